"""The one place that calls a model: Bedrock Converse through boto3, without botocore's retries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ballast.contracts import ExitReason
from ballast.contracts.error_text import error_text
from ballast.contracts.wire import read_digits
from ballast.errors import ends_the_process
from functions.agent.too_long import is_too_long

if TYPE_CHECKING:
    from ballast.runtime import Runtime

#: Errors after which another attempt may succeed, and whether Bedrock may charge for this one.
_TRY_AGAIN: dict[str, tuple[ExitReason, bool]] = {
    "ThrottlingException": (ExitReason.MODEL_THROTTLED, False),
    "ModelNotReadyException": (ExitReason.MODEL_UNAVAILABLE, False),
    "ServiceUnavailableException": (ExitReason.MODEL_UNAVAILABLE, False),
    "ServiceUnavailable": (ExitReason.MODEL_UNAVAILABLE, False),
    "InternalServerException": (ExitReason.MODEL_UNAVAILABLE, True),
    "ModelErrorException": (ExitReason.MODEL_UNAVAILABLE, True),
    "ModelTimeoutException": (ExitReason.MODEL_TIMEOUT, True),
}
#: The same for a status that came without such a name: from a gateway, a proxy or a double.
_TRY_AGAIN_STATUS: dict[int, tuple[ExitReason, bool]] = {
    408: (ExitReason.MODEL_TIMEOUT, True),
    424: (ExitReason.MODEL_UNAVAILABLE, True),
    429: (ExitReason.MODEL_THROTTLED, False),
    500: (ExitReason.MODEL_UNAVAILABLE, True),
    502: (ExitReason.MODEL_UNAVAILABLE, True),
    503: (ExitReason.MODEL_UNAVAILABLE, False),
    504: (ExitReason.MODEL_TIMEOUT, True),
}
#: More digits than each double keeps, with a point or an exponent.
_LONG_FRACTION = re.compile(rb"[0-9][0-9.]{15,}")
#: A call that was given less time than this and did not answer may just have been cut too early.
_FAIR_S = 10


@dataclass(frozen=True)
class ModelFailure(Exception):
    """The call brought no completion.

    again    another attempt may succeed
    charged  the attempt may have cost something; its reservation stays charged
    detail   what the provider says, as long as it is: it may quote the request, so it is cut where it is recorded
    retry_after_s  when the provider wants to be asked again, if it says so
    """

    reason: ExitReason
    again: bool
    charged: bool
    detail: str
    retry_after_s: float | None = None


@dataclass(frozen=True)
class ModelAway(ModelFailure):
    """The provider is throttled, down or hung: what a circuit breaker counts."""


class Converse:
    """A Converse client with its time limit. The endpoint is AWS's, or the local cloud's."""

    def __init__(self, client: Callable[[int], Any], timeout_s: int) -> None:
        self._client, self._timeouts_s = client, _ladder(timeout_s)

    @classmethod
    def of(cls, runtime: Runtime, *, endpoint_url: str, timeout_s: int) -> Converse:
        """Build it, once per runtime. ``endpoint_url`` "" is AWS's own; no call may take longer than ``timeout_s``."""
        from botocore.config import Config

        def client(seconds: int) -> Any:
            config = Config(
                # A retry is a new attempt with its own reservation, never a hidden one.
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=min(5, seconds),
                read_timeout=seconds,
            )
            # botocore knows no timeout of a single request: each timeout has a client, made when it is needed.
            variant = "" if seconds == timeout_s else f"{seconds}s"
            made = runtime.client("bedrock-runtime", config, endpoint_url or None, variant=variant)
            made.meta.events.register("after-call.bedrock-runtime.Converse", _keep_digits, unique_id="ballast-digits")
            return made

        client(timeout_s)
        return cls(client, timeout_s)

    def reply(self, request: dict[str, Any], *, within_s: float) -> dict[str, Any]:
        """Send ``request`` (the arguments of ``converse``) and return the reply.

        It is cut within ``within_s``, or somewhat earlier. Raises ``ModelFailure``.
        """
        timeout_s = next((one for one in self._timeouts_s if one <= within_s), self._timeouts_s[-1])
        try:
            return self._send(request, timeout_s)
        except ModelFailure as failure:
            # A caller in a hurry says nothing about the provider.
            hurried = failure.reason is ExitReason.MODEL_TIMEOUT and timeout_s < min(_FAIR_S, self._timeouts_s[0])
            if not failure.again or hurried:
                raise
            raise ModelAway(**vars(failure)) from failure

    def _send(self, request: dict[str, Any], timeout_s: int) -> dict[str, Any]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            EndpointConnectionError,
            HTTPClientError,
            ParamValidationError,
            ReadTimeoutError,
        )

        try:
            reply: dict[str, Any] = self._client(timeout_s).converse(**request)
        except ClientError as problem:
            raise _failure(problem.response) from problem
        except ReadTimeoutError as problem:
            raise ModelFailure(ExitReason.MODEL_TIMEOUT, True, True, error_text(problem)) from problem
        except (ConnectTimeoutError, EndpointConnectionError) as problem:
            raise ModelFailure(ExitReason.MODEL_UNAVAILABLE, True, False, error_text(problem)) from problem
        except ParamValidationError as problem:
            raise ModelFailure(ExitReason.MODEL_REFUSED, False, False, error_text(problem)) from problem
        except (HTTPClientError, BotoCoreError) as problem:
            # The connection broke: it may have been charged.
            raise ModelFailure(ExitReason.MODEL_UNAVAILABLE, True, True, error_text(problem)) from problem
        except BaseException as problem:
            if ends_the_process(problem):
                raise
            # botocore's parser raises whatever a reply of another shape makes it stumble over.
            detail = f"The reply is none of Converse's: {type(problem).__name__}: {error_text(problem)}"
            raise ModelFailure(ExitReason.MALFORMED_MODEL_OUTPUT, False, True, detail) from problem
        return reply


def _keep_digits(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Give the calls of a reply the numbers that a double would have changed, as text: 12345678901234567.89.

    botocore reads every fraction as a double. A tool that takes a Decimal gets it as it was sent, any other refuses it.
    """
    body: bytes = http_response.content
    if http_response.status_code >= 300 or not _LONG_FRACTION.search(body):
        return
    with suppress(ValueError, LookupError, TypeError, RecursionError):  # no reply at all: others say so
        exact = read_digits(body)["output"]["message"]["content"]
        for block, read in zip(parsed["output"]["message"]["content"], exact, strict=True):
            if "toolUse" in block:
                block["toolUse"]["input"] = read["toolUse"].get("input", {})


def _failure(response: Mapping[str, Any]) -> ModelFailure:
    """Return what an error response means: by its name, else by its status."""
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    known = _TRY_AGAIN.get(error.get("Code", "")) or _TRY_AGAIN_STATUS.get(status)
    too_long = known is None and is_too_long(str(error.get("Code", "")), str(error.get("Message", "")))
    otherwise = ExitReason.MODEL_CONTEXT_WINDOW_EXCEEDED if too_long else ExitReason.MODEL_REFUSED
    reason, charged = known or (otherwise, False)
    detail = f"{error.get('Code', '')}: {error.get('Message', '')}"
    return ModelFailure(reason, known is not None, charged, detail, _retry_after_s(response))


def _retry_after_s(response: Mapping[str, Any]) -> float | None:
    """Return the seconds of the header ``Retry-After``; a date is not looked at."""
    sent = str(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", ""))
    return float(sent) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", sent) else None


def _ladder(longest_s: int) -> tuple[int, ...]:
    """Return the timeouts that there are clients for: each four fifths of the one before, down to a second."""
    rungs = [longest_s]
    while rungs[-1] > 1:
        rungs.append(max(1, rungs[-1] * 4 // 5))
    return tuple(rungs)
