"""Problem details (RFC 9457): the one form of errors over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from ballast.contracts.wire import Wire, without_surrogates
from ballast.errors import (
    AnswerUnsigned,
    EscalationClosed,
    InvalidInput,
    MayNotAnswer,
    NotYetResumed,
    RequestConflict,
    RetryLater,
)

CONTENT_TYPE = "application/problem+json"
#: Wrong fields that are listed, characters of each, and characters of the detail.
_MAX_FIELDS, _MAX_CHARS, _MAX_DETAIL_CHARS = 20, 300, 1_000
_NAMED = re.compile(r"([a-z_]+(?:\.[a-z_]+)*): (.+)", re.DOTALL)


class FieldError(Wire):
    """One field that is wrong. ``field`` is a dotted path, or the name of a parameter or header."""

    field: str
    message: str


class ProblemDetails(Wire):
    """What went wrong and what to do (RFC 9457).

    type      the kind of problem: compare this, and show ``detail``
    instance  this occurrence in the service's log, if there is something to look up
    """

    type: str = Field(pattern=r"^urn:ballast:problem:[a-z-]+$")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    errors: tuple[FieldError, ...] | None = None
    instance: str | None = None


class Problem(Exception):
    """Ends a request with ``details``; ``headers`` go with them."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        instance: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.details = ProblemDetails(
            type=f"urn:ballast:problem:{re.sub('[^a-z]+', '-', title.lower())}",
            title=title,
            status=status,
            detail=detail,
            errors=tuple(errors) or None,
            instance=instance,
        )
        self.headers = dict(headers or {})

    def masked(self, mask: Callable[[str], str]) -> Problem:
        """Return the same problem with its texts masked, then cut to their limits."""
        errors = self.details.errors and tuple(
            one.model_copy(update={"field": mask(one.field)[:_MAX_CHARS], "message": mask(one.message)[:_MAX_CHARS]})
            for one in self.details.errors
        )
        detail = mask(self.details.detail)[:_MAX_DETAIL_CHARS]
        self.details = self.details.model_copy(update={"detail": detail, "errors": errors})
        return self

    def response(self) -> dict[str, Any]:
        """Return Lambda's response to API Gateway (payload 2.0)."""
        return {
            "statusCode": self.details.status,
            "headers": {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", **self.headers},
            "body": json.dumps(self.details.model_dump(mode="json", exclude_none=True)),
            "isBase64Encoded": False,
            "cookies": [],
        }


def not_found(what: str) -> Problem:
    """Return the problem (404) of something that is missing or another tenant's: the caller is not told which."""
    return Problem(404, "Not found", f"There is no {what} here.")


def invalid(field: str, message: str) -> Problem:
    """Return the problem (422) of one wrong field."""
    return Problem(422, "Invalid input", f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def conflict(title: str, detail: str) -> Problem:
    """Return the problem (409) of a resource whose state does not allow the request."""
    return Problem(409, title, detail)


def invalid_fields(problems: Sequence[Any]) -> Problem:
    """Return the problem (422) of pydantic's errors, without echoing what was sent."""
    errors = [FieldError(field=_field(item["loc"]), message=_message(item)) for item in problems]
    more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    detail = f"{errors[0].field}: {errors[0].message}{more}" if errors else "The request is not valid."
    return Problem(422, "Invalid input", detail, errors=errors[:_MAX_FIELDS])


#: Fields that callers send in a body and that stand elsewhere.
_ELSEWHERE = {"request_id": "belongs into the header Idempotency-Key, not into the body"}


def _message(item: Any) -> str:
    unknown = str(item["loc"][-1]) if item["type"] == "extra_forbidden" and item["loc"] else ""
    return _ELSEWHERE.get(unknown) or _clean(str(item["msg"]))


def problem_of(error: Exception) -> Problem | None:
    """Return the problem for one of Ballast's own errors; None for a defect."""
    match error:
        case Problem():
            return error
        case RequestConflict():
            return conflict("Request conflict", str(error))
        case EscalationClosed():
            return conflict("Escalation closed", str(error))
        case AnswerUnsigned():
            detail = (
                "The log holds an unsigned entry in the place of this answer, so it was not taken. Call an operator."
            )
            return conflict("Log changed", detail)
        case MayNotAnswer():
            return Problem(403, "Forbidden", str(error))
        case InvalidInput():
            return _invalid_input(str(error))
        case NotYetResumed():
            return Problem(503, "Not yet resumed", str(error), headers={"Retry-After": "5"})
        case RetryLater():
            detail = "The service is busy and has done nothing. Send the same request again."
            return Problem(503, "Try again later", detail, headers={"Retry-After": "1"})
    return None


def _invalid_input(text: str) -> Problem:
    """Return the problem of an ``InvalidInput``, whose text mostly begins with the field."""
    named = _NAMED.match(text)
    errors = [FieldError(field=named[1], message=_clean(named[2]))] if named else []
    return Problem(422, "Invalid input", _clean(text), errors=errors)


def _field(location: Sequence[str | int]) -> str:
    """Return pydantic's location without its first step, the part of the request."""
    steps = [_clean(str(step)) for step in location]
    if steps and steps[0] in ("body", "query", "header", "path"):
        steps = steps[1:]
    return ".".join(steps) or "(body)"


def _clean(text: str) -> str:
    return without_surrogates(" ".join(text.split())).removeprefix("Value error, ")
