"""Requests as API Gateway sends them to a function, and the function's responses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema

from ballast.http.problem import CONTENT_TYPE, ProblemDetails
from tests.functions.stack import HANDLERS, LambdaContext, Stack
from tests.support.events import sample

ROOT = Path(__file__).parents[2]
_KEYS = count(1)

#: (who, what API Gateway says of them)
OPERATOR = "arn:aws:iam::123456789012:user/ballast-operator/ann"
REVIEWER = "arn:aws:iam::123456789012:user/ballast-reviewer-acme/rae"
ACME = "arn:aws:sts::123456789012:assumed-role/ballast-tenant-acme/shop"
GLOBEX = "arn:aws:sts::123456789012:assumed-role/ballast-tenant-globex/shop"


def token(tenant: str | None, **claims: Any) -> dict[str, Any]:
    """Return the authorizer of a caller with a JWT."""
    return {"jwt": {"claims": {"sub": "shop-42"} | ({"tenant": tenant} if tenant else {}) | claims, "scopes": None}}


def event(
    method: str,
    path: str,
    *,
    who: str | Mapping[str, Any] | None = OPERATOR,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a request; ``who`` is an ARN, an authorizer's words, or None. A ``body`` that is no text becomes JSON."""
    made = copy.deepcopy(sample("start-run-by-an-operator"))
    made["rawPath"] = made["requestContext"]["http"]["path"] = path
    made["requestContext"]["http"]["method"] = method
    made["headers"].pop("idempotency-key")
    made["headers"] |= headers or {}
    made["body"] = body if body is None or isinstance(body, str) else json.dumps(body)
    if query is not None:
        made["queryStringParameters"] = dict(query)
        made["rawQueryString"] = "&".join(f"{name}={value}" for name, value in query.items())
    context = made["requestContext"]
    if isinstance(who, str):
        context["authorizer"]["iam"]["userArn"] = who
    elif who is None:
        del context["authorizer"]
    else:
        context["authorizer"] = dict(who)
    return made


@dataclass(frozen=True)
class Reply:
    """A response. ``body`` is JSON, where it is."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The body's JSON."""
        return json.loads(self.text)

    @property
    def wrong(self) -> set[str]:
        """The fields that a problem names."""
        return {error["field"] for error in self.body.get("errors", ())}


def ask(stack: Stack, function: str, request: Any, **more: Any) -> Reply:
    """Return what ``function`` answers; whatever goes wrong must have a problem's form."""
    context = more.pop("context", None) or LambdaContext()
    answered = HANDLERS[function](request, context, runtime=stack.runtime(function), **more)
    answered = json.loads(json.dumps(answered, allow_nan=False))
    assert answered.keys() == {"statusCode", "headers", "body", "isBase64Encoded", "cookies"}
    headers = {name.lower(): value for name, value in answered["headers"].items()}
    reply = Reply(answered["statusCode"], headers, answered["body"])
    if reply.status >= 400:
        assert headers["content-type"] == CONTENT_TYPE
        details = ProblemDetails.model_validate_json(reply.text)
        assert details.status == reply.status
    _documented(request, reply)
    return reply


_DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))


def _documented(request: Any, reply: Reply) -> None:
    """Hold the reply to the API's own description, where the request is of an operation that it has."""
    match request:
        case {"rawPath": str(path), "requestContext": {"http": {"method": str(method)}}} if reply.status != 405:
            for template, operations in _DOCUMENT["paths"].items():
                if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path) and method.lower() in operations:
                    responses = operations[method.lower()]["responses"]
                    # A request that is none, API Gateway does not send.
                    assert str(reply.status) in {*responses, "400"}, f"{method} {template}: {reply.status}"
                    if reply.status < 400:
                        _form(template, method.lower(), str(reply.status)).validate(reply.body)


@cache
def _form(template: str, method: str, status: str) -> Any:
    steps = ("paths", template, method, "responses", status, "content", "application/json", "schema")
    pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
    return jsonschema.Draft202012Validator({"$ref": f"#/{pointer}"} | _DOCUMENT)


def key() -> str:
    """Return an idempotency key that nobody used."""
    return f"http-{next(_KEYS)}"
