"""API Gateway's event (HTTP API, payload 2.0), checked before anything reads it."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ballast.contracts.wire import read_json
from ballast.http.problem import Problem, invalid

#: What a run's request may be at most; Step Functions takes no more as an execution's input.
MAX_BODY_BYTES = 256 * 1024
_OURS = "application/json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Http(_Part):
    method: str = Field(min_length=1, max_length=16)


class _RequestContext(_Part):
    http: _Http
    authorizer: dict[str, Any] | None = None


class _GatewayEvent(_Part):
    version: str = Field(pattern=r"^2\.0$")
    raw_path: str = Field(alias="rawPath")
    raw_query_string: str = Field(default="", alias="rawQueryString")
    query_string: dict[str, str] | None = Field(default=None, alias="queryStringParameters")
    headers: dict[str, str] = Field(default_factory=dict)
    cookies: list[str] | None = None
    body: str | None = None
    is_base64: bool = Field(default=False, alias="isBase64Encoded")
    request_context: _RequestContext = Field(alias="requestContext")


def read_event(event: Any) -> dict[str, Any]:
    """Return ``event`` with what it must have, its body as text. Raises ``Problem`` (400, 413, 415)."""
    try:
        read = _GatewayEvent.model_validate(event)
    except (ValidationError, RecursionError):
        raise Problem(400, "Bad request", "This is no event of an HTTP API (payload format 2.0).") from None
    headers = {name.lower(): value for name, value in read.headers.items()}
    # Nothing but POST has a body here.
    body = _text(read.body, is_base64=read.is_base64) if read.request_context.http.method.upper() == "POST" else None
    if body and (sent := headers.get("content-type", _OURS).partition(";")[0].strip().lower()) != _OURS:
        raise Problem(415, "Unsupported media type", f"Send {_OURS}, not {sent[:80] or 'nothing'}.")
    context = read.request_context
    return {
        "version": "2.0",
        "rawPath": read.raw_path,
        "rawQueryString": read.raw_query_string,
        "queryStringParameters": read.query_string,
        # Powertools looks at the media type with an eye for its case.
        "headers": headers | ({"content-type": _OURS} if body else {}),
        "body": body,
        "isBase64Encoded": False,
        # The path that the gateway gives has no stage in it where the stage is the default one.
        "requestContext": {
            "stage": "$default",
            "http": {"method": context.http.method, "path": read.raw_path},
            "authorizer": context.authorizer,
        },
    }


def read_body(text: str) -> dict[str, Any]:
    """Return the JSON object in ``text``. Raises ``Problem``: 400 where it is not JSON, 422 where it is no object.

    Stricter than Python's own reader: no NaN, no half of a surrogate pair, nothing too deep.
    """
    try:
        value = from_json(text, allow_inf_nan=False)
        read_json(text)  # for the digits of its numbers
    except ValueError as problem:
        raise Problem(400, "Bad request", f"The body is not JSON: {' '.join(str(problem).split())[:200]}.") from None
    if not isinstance(value, dict):
        raise invalid("(body)", "must be a JSON object")
    return value


def _text(body: str | None, *, is_base64: bool) -> str | None:
    if body is None:
        return None
    if len(body) > (MAX_BODY_BYTES * 4 // 3 + 4 if is_base64 else MAX_BODY_BYTES):
        raise _too_large()
    try:
        sent = base64.b64decode(body, validate=True) if is_base64 else body.encode()
        if len(sent) > MAX_BODY_BYTES:
            raise _too_large()
        return sent.decode()
    except (binascii.Error, UnicodeError):
        raise Problem(400, "Bad request", "The body is not text in UTF-8.") from None


def _too_large() -> Problem:
    return Problem(413, "Content too large", f"A request may have {MAX_BODY_BYTES} bytes, and this one has more.")
