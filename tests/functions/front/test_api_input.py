"""Invalid input to the API of runs: a defined error that names what to correct, and no run."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.http.api import MAX_BODY_BYTES
from functions.front.contract import NewRun
from tests.functions.cloud import client
from tests.functions.http import ask, event
from tests.functions.stack import Stack
from tests.support.events import sample

pytestmark = pytest.mark.usefixtures("waiting_workflow")


def started() -> int:
    """Return how many executions there are."""
    arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:agent"
    return len(client("stepfunctions").list_executions(stateMachineArn=arn)["executions"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({"text": "x" * 20_001}, "text"),
        ({"text": "\U0001f600" * 19_000}, "text"),
        ({"text": "x", "agent": "no spaces"}, "agent"),
        ({"text": "x", "intent": ""}, "intent"),
        ({"text": "x", "context": []}, "context"),
        ({"text": "x", "context": {"a": "y" * 40_000}}, "context"),
        ({"text": "x", "limits": {"turns": 0}}, "limits.turns"),
        ({"text": "x", "limits": {"turns": "3"}}, "limits.turns"),
        ({"text": "x", "limits": {"cost_usd": 1}}, "limits.cost_usd"),
        ({"text": "x", "tenant": "a/b"}, "tenant"),
        ({"text": "x", "reply_to": "http://example.com/queue"}, "reply_to"),
        ({"text": "x", "request_id": "mine"}, "request_id"),
        ([{"text": "x"}], "(body)"),
        ("null", "(body)"),
        ("", "(body)"),
        (None, "(body)"),
    ],
)
def test_a_field_that_is_wrong_is_named_and_not_echoed(stack: Stack, body: Any, field: str) -> None:
    before = started()

    reply = ask(stack, "api", event("POST", "/runs", body=body))

    assert (reply.status, reply.body["type"]) == (422, "urn:ballast:problem:invalid-input")
    assert any(name == field or name.startswith(f"{field}.") for name in reply.wrong), reply.body
    assert len(reply.text) < 2_000
    assert started() == before


@pytest.mark.parametrize("body", ['{"text": "x", "text": "y"}', '{"text": "x", "context": {"a": {"b": 1, "b": 2}}}'])
def test_a_name_that_stands_twice_is_refused(stack: Stack, body: str) -> None:
    before = started()

    reply = ask(stack, "api", event("POST", "/runs", body=body))

    assert (reply.status, started()) == (400, before)
    assert "a name occurs twice in one object" in reply.body["detail"]


def test_a_key_in_the_body_is_told_its_place(stack: Stack) -> None:
    reply = ask(stack, "api", event("POST", "/runs", body={"text": "x", "request_id": "mine"}))

    told = {one["field"]: one["message"] for one in reply.body["errors"]}
    assert told == {"request_id": "belongs into the header Idempotency-Key, not into the body"}


def test_every_wrong_field_is_named_at_once(stack: Stack) -> None:
    request = event("POST", "/runs", body={"agent": "", "extra": 1}, headers={"idempotency-key": "a b"})

    assert ask(stack, "api", request).wrong == {"text", "agent", "extra", "idempotency-key"}


@pytest.mark.parametrize("name", ["", " ", "a b", "ü", "x" * 129, "a\x7f"])
def test_a_key_that_cannot_be_one_is_refused(stack: Stack, name: str) -> None:
    reply = ask(stack, "api", event("POST", "/runs", body={"text": "x"}, headers={"idempotency-key": name}))

    assert (reply.status, reply.wrong) == (422, {"idempotency-key"})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "text",
        '{"text": NaN}',
        '{"text": "\\ud800"}',
        '{"a": ' * 5_000,
        "{'text': 'x'}",
        '{"text": "x"} {}',
        "\x00",
    ],
)
def test_a_body_that_is_not_json_is_said_to_be_none(stack: Stack, text: str) -> None:
    reply = ask(stack, "api", event("POST", "/runs", body=text))

    assert (reply.status, reply.body["type"]) == (400, "urn:ballast:problem:bad-request")


def test_a_context_that_is_nested_too_deep_is_refused(stack: Stack) -> None:
    deep = json.loads('{"a":' * 100 + "1" + "}" * 100)

    assert ask(stack, "api", event("POST", "/runs", body={"text": "x", "context": deep})).status == 422


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 422), (MAX_BODY_BYTES + 1, 413)])
def test_a_body_over_the_limit_is_too_large(stack: Stack, size: int, status: int) -> None:
    body = '{"text": "' + "x" * (size - 12) + '"}'
    assert len(body) == size

    assert ask(stack, "api", event("POST", "/runs", body=body)).status == status


def test_the_limit_is_of_bytes_and_not_of_characters(stack: Stack) -> None:
    assert ask(stack, "api", event("POST", "/runs", body="ü" * (MAX_BODY_BYTES // 2 + 1))).status == 413


@pytest.mark.parametrize("body", ["not base64!", "/w==", "A"])
def test_a_binary_body_that_is_no_text_is_refused(stack: Stack, body: str) -> None:
    request = event("POST", "/runs", body=body) | {"isBase64Encoded": True}

    assert ask(stack, "api", request).status == 400


@pytest.mark.parametrize(
    "media", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
def test_another_media_type_is_not_taken(stack: Stack, media: str) -> None:
    request = event("POST", "/runs", body='{"text": "x"}', headers={"content-type": media})

    assert ask(stack, "api", request).status == 415


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_by_any_other_spelling_is(stack: Stack, media: str) -> None:
    request = event("POST", "/runs", body={"text": "x"}, headers={"content-type": media})

    assert ask(stack, "api", request).status == 202


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/runs/", 404, None),
        ("GET", "/run", 404, None),
        ("GET", "/runs/run-1/nothing", 404, None),
        ("OPTIONS", "/nothing", 404, None),
        ("DELETE", "/runs", 405, "GET, POST"),
        ("PUT", "/runs/run-1", 405, "GET"),
        ("HEAD", "/runs", 405, "GET, POST"),
        ("GET", "/runs/run-1/cancel", 405, "POST"),
    ],
)
def test_what_does_not_exist_is_a_problem_too(
    stack: Stack, method: str, path: str, status: int, allow: str | None
) -> None:
    reply = ask(stack, "api", event(method, path))

    assert (reply.status, reply.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize(
    "run_id", ["run-1", "RUN-aaaaaaaaaaaaaaaaaaaaaaaa", "run-aaaaaaaaaaaaaaaaaaaaaaaa", "..", "%2e", "ü"]
)
@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("GET", "/events"), ("GET", "/timeline"), ("GET", "/why"), ("POST", "/cancel")]
)
def test_a_run_that_is_not_there_is_not_found(stack: Stack, method: str, rest: str, run_id: str) -> None:
    assert ask(stack, "api", event(method, f"/runs/{run_id}{rest}")).status == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "done"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "51"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "1,2"}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-03-01T12:00:00"}, "since"),
        ({"since": "0001-01-01T00:00:00+12:00"}, "since"),
        ({"until": "9999-12-31T23:59:59-12:00"}, "since"),
        ({"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "until"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a#b"}, "tenant"),
        ({"next": ""}, "next"),
        ({"next": "x" * 1_001}, "next"),
    ],
)
def test_a_query_that_is_wrong_is_refused(stack: Stack, query: dict[str, str], field: str) -> None:
    reply = ask(stack, "api", event("GET", "/runs", query=query))

    assert reply.status == 422
    assert any(field in name for name in reply.wrong), reply.body


def mutations(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str, Any]]:
    """Yield every way to take a part away, and to make it of another type or oversized: (where, how, with what)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in items:
        where = (*path, step)
        yield where, "missing", None
        for name, other in {
            "null": None,
            "number": 1,
            "list": [1],
            "object": {"a": 1},
            "oversized": "x" * 300_000,
        }.items():
            yield where, name, other
        yield from mutations(part, where)


def mutated(event: Any, where: tuple[Any, ...], how: str, other: Any) -> Any:
    """Return a copy of ``event`` with that mutation."""
    made = copy.deepcopy(event)
    holder = made
    for step in where[:-1]:
        holder = holder[step]
    if how == "missing":
        del holder[where[-1]]
    else:
        holder[where[-1]] = other
    return made


@pytest.mark.parametrize("meaning", ["start-run-by-an-operator", "start-run-by-a-tenants-token", "open-the-console"])
def test_every_mutation_of_a_filed_event_has_a_defined_answer(stack: Stack, meaning: str) -> None:
    filed = sample(meaning)
    found: dict[int, int] = {}

    for where, how, other in mutations(filed):
        reply = ask(stack, "api", mutated(filed, where, how, other))
        found[reply.status] = found.get(reply.status, 0) + 1

    assert found.keys() <= {200, 202, 400, 401, 403, 404, 405, 409, 413, 415, 422}, found
    assert found[400] > 20


@pytest.mark.parametrize("request_", [None, [], "text", 7, {}, {"version": "1.0"}, {"Records": []}])
def test_an_event_that_is_none_of_the_apis_is_refused(stack: Stack, request_: Any) -> None:
    assert ask(stack, "api", request_).status == 400


def test_what_may_be_posted_is_a_run_request_without_its_key() -> None:
    assert NewRun.model_fields.keys() == RunRequest.model_fields.keys() - {"request_id"}


@pytest.mark.parametrize("number", ["12345678901234567.89", "0.12345678901234567890", "1e-400"])
def test_a_number_whose_digits_would_be_lost_is_refused_with_the_remedy(stack: Stack, number: str) -> None:
    before = started()
    body = f'{{"text": "x", "context": {{"amount": {number}}}}}'

    reply = ask(stack, "api", event("POST", "/runs", body=body))

    assert reply.status == 400
    assert f"{number[:40]} has more digits" in reply.text
    assert "send it as text" in reply.text
    assert started() == before


@pytest.mark.parametrize("number", ["1.10", "0.1", "1e2", "123456789.25", str(2**53)])
def test_a_number_that_keeps_its_digits_is_taken(stack: Stack, number: str) -> None:
    body = f'{{"text": "x", "context": {{"amount": {number}}}}}'

    assert ask(stack, "api", event("POST", "/runs", body=body)).status == 202


def test_a_whole_number_that_the_workflow_would_change_is_refused_by_its_field(stack: Stack) -> None:
    body = {"text": "x", "context": {"account": 2**53 + 1}}

    reply = ask(stack, "api", event("POST", "/runs", body=body))

    assert reply.status == 422
    assert "context.account" in reply.text
    assert "Send it as text" in reply.text
