"""API Gateway's translation between a request and a function (HTTP API, payload 2.0)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.gateway.http_api import Reply, Request, event_of, match, reply_of
from localcloud.template import HttpRoute
from tests.support.events import sample

ROUTES = [
    HttpRoute("$default", "Rest", public=False),
    HttpRoute("GET /console", "Console", public=True),
    HttpRoute("GET /console/{name}", "Part", public=True),
    HttpRoute("ANY /escalations/{escalation_id}", "People", public=False),
    HttpRoute("ANY /runs/{run_id}/messages", "People", public=False),
]
WHO = {"iam": {"userArn": "arn:aws:iam::123456789012:user/ballast-operator/ann"}}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(*headers: tuple[str, str], method: str = "GET", target: str = "/runs", body: bytes = b"") -> dict[str, Any]:
    request = Request(method, target, headers, body)
    matched = match(ROUTES, method, request.path)
    assert matched is not None
    return event_of(request, matched, authorizer=WHO, request_id="r-1", now=NOW)


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/console", "Console", {}),
        ("POST", "/console", "Rest", {}),
        ("GET", "/console/app.js", "Part", {"name": "app.js"}),
        ("GET", "/console/", "Rest", {}),
        ("GET", "/console/a/b", "Rest", {}),
        ("DELETE", "/escalations/esc-1", "People", {"escalation_id": "esc-1"}),
        ("POST", "/runs/run%201/messages", "People", {"run_id": "run 1"}),
        ("GET", "/", "Rest", {}),
    ],
)
def test_the_most_specific_route_answers(method: str, path: str, function: str, parameters: dict[str, str]) -> None:
    matched = match(ROUTES, method, path)

    assert matched is not None
    assert (matched.route.function, matched.parameters) == (function, parameters)


def test_without_a_default_route_there_may_be_none() -> None:
    assert match(ROUTES[1:], "GET", "/runs") is None


def test_an_event_has_the_form_of_those_on_aws() -> None:
    filed = sample("start-run-by-an-operator")

    made = event(("Content-Type", "application/json"), method="POST", body=b'{"text": "Hello."}')

    assert made.keys() == filed.keys()
    assert made["requestContext"].keys() == filed["requestContext"].keys()
    assert made["requestContext"]["http"].keys() == filed["requestContext"]["http"].keys()
    assert made["requestContext"]["time"] == filed["requestContext"]["time"]
    assert made["requestContext"]["timeEpoch"] == filed["requestContext"]["timeEpoch"]


def test_repeated_headers_and_parameters_are_joined_and_cookies_are_apart() -> None:
    made = event(("Prefer", "wait=1"), ("prefer", "x"), ("Cookie", "a=1; b=2"), target="/runs?a=1&b=%20&a=2&c=")

    assert made["headers"] == {"prefer": "wait=1,x"}
    assert made["cookies"] == ["a=1", "b=2"]
    assert made["rawQueryString"] == "a=1&b=%20&a=2&c="
    assert made["queryStringParameters"] == {"a": "1,2", "b": " ", "c": ""}


@pytest.mark.parametrize(
    ("media_type", "body", "encoded"),
    [
        ("application/json; charset=utf-8", b"{}", False),
        ("text/plain", "é".encode(), False),
        ("application/problem+json", b"{}", False),
        ("application/json", b"\xff", True),
        ("application/octet-stream", b"{}", True),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("", b"{}", True),
    ],
)
def test_a_body_that_is_not_declared_as_text_is_base64(media_type: str, body: bytes, encoded: bool) -> None:
    made = event(("Content-Type", media_type), method="POST", body=body)

    assert made["isBase64Encoded"] is encoded
    assert (base64.b64decode(made["body"]) if encoded else made["body"].encode()) == body


def test_a_public_route_gets_no_identity_and_nothing_in_a_request_makes_one() -> None:
    assert "authorizer" not in event(target="/console")["requestContext"]
    assert event(("X-Local-Tenant", "acme"), ("Authorization", "Bearer x"))["requestContext"]["authorizer"] == WHO


@pytest.mark.parametrize(
    ("response", "status", "headers", "body"),
    [
        (
            {"statusCode": 202, "headers": {"Location": "/runs/1", "Content-Type": "a/b"}, "body": "{}"},
            202,
            [("location", "/runs/1"), ("content-type", "a/b")],
            b"{}",
        ),
        (
            {"statusCode": 200, "body": "aGk=", "isBase64Encoded": True, "headers": {"content-type": "a/b"}},
            200,
            None,
            b"hi",
        ),
        ({"statusCode": 204, "cookies": ["a=1", "b=2"]}, 204, [("set-cookie", "a=1"), ("set-cookie", "b=2")], b""),
        ({"answer": 42}, 200, [("content-type", "application/json")], b'{"answer": 42}'),
        ("Hello.", 200, [("content-type", "application/json")], b'"Hello."'),
        ({"statusCode": "many"}, 500, None, None),
        ({"statusCode": 99}, 500, None, None),
        ({"statusCode": 200, "headers": {"a": "b\r\nset-cookie: c"}}, 500, None, None),
        ({"statusCode": 200, "body": "%%", "isBase64Encoded": True}, 500, None, None),
    ],
)
def test_a_functions_response_becomes_a_reply(response: Any, status: int, headers: Any, body: bytes | None) -> None:
    reply = reply_of(response)

    assert reply.status == status
    assert headers is None or reply.headers == headers
    assert body is None or reply.body == body


def test_what_the_gateway_itself_answers_has_a_message() -> None:
    assert json.loads(Reply.of_gateway(404, "Not Found").body) == {"message": "Not Found"}
