"""Answers of AWS that do not say what has become of a request: an error after its effect, and botocore's retries.

::

    retried     request ─ effect ─ 500 ─▶ botocore sends it again ─▶ its answer
    failed      request ─ effect ─ 500 ─▶ sent again ─ 500 ─▶ … ─▶ the tool gets the 500
    throttled   request ─ effect ─ 500 ─▶ sent again ─ throttled ─▶ … ─▶ the tool gets the throttle
    limited     the same, with the other name that AWS has for it
    refused     request ─ throttled ─▶ … ─▶ the tool gets the throttle, and there is no effect

In ``throttled``, the error that the tool gets speaks of the last try, and the first one had its effect. A transaction
is refused by a conflict with another one, as DynamoDB does. A request that botocore repeats with its own token is
counted once by DynamoDB, for ten minutes.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import botocore.endpoint
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from localcloud.moto_seams.replaced import replaced

Kind = Literal["retried", "failed", "throttled", "limited", "refused"]
#: What is played at a request, and how it is told.
PLAYS: Mapping[Kind, str] = {
    "retried": "AWS answered request {} with 500 after its effect, and botocore sent it again",
    "failed": "AWS answered request {} with 500 after its effect, and botocore's retries too",
    "throttled": "The answer of request {} was lost after its effect, and botocore's retries were throttled",
    "limited": "The answer of request {} was lost after its effect, and botocore's retries were above a limit",
    "refused": "AWS throttled request {} until botocore gave up",
}


@dataclass(frozen=True)
class Play:
    """What AWS answers to the ``at``-th of an attempt's requests to it, from 0."""

    at: int
    kind: Kind

    def __str__(self) -> str:
        return PLAYS[self.kind].format(self.at + 1)


@contextmanager
def aws_answers(play: Play, executed: Callable[[Any, Mapping[str, Any]], None]) -> Iterator[None]:
    """Within the block, play it at the requests of this thread. ``executed`` is told what had its effect unanswered.

    Relies on ``Endpoint._do_get_response`` making each try of a request, and on ``time.sleep`` of its module being
    what it waits with.
    """
    mine = threading.current_thread()
    asked = [-1]
    first: dict[int, Any] = {}

    def answered(self: Any, request: Any, model: Any, context: dict[str, Any]) -> Any:
        if threading.current_thread() is not mine:
            return before(self, request, model, context)
        tries = context["retries"]["attempt"]
        if tries == 1:
            asked[0] += 1
        if asked[0] != play.at:
            return before(self, request, model, context)
        if play.kind == "refused" or (play.kind == "throttled" and tries > 1):
            return _throttled(request, model, context)
        if play.kind == "limited" and tries > 1:
            return _error(request, 400, "ThrottlingException", "Rate exceeded.")
        if tries == 1:
            first[asked[0]] = before(self, request, model, context)
            executed(model, context)
        if tries == 1 or play.kind == "failed":
            return _error(request, 500, "InternalServerError", "The request has failed because of an internal error.")
        if model.name == "TransactWriteItems":
            return first[asked[0]]
        return before(self, request, model, context)

    patient = SimpleNamespace(sleep=lambda _: None)
    with (
        replaced(botocore.endpoint.Endpoint, "_do_get_response", answered) as before,
        replaced(botocore.endpoint, "time", patient),
    ):
        yield


def _throttled(request: Any, model: Any, context: Mapping[str, Any]) -> Any:
    if model.name == "TransactWriteItems":
        items = context.get("certified", {}).get("TransactItems", [None])
        reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item."} for _ in items]
        said = "Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict]"
        return _error(request, 400, "TransactionCanceledException", said, CancellationReasons=reasons)
    code = "ProvisionedThroughputExceededException" if model.service_model.service_name == "dynamodb" else None
    return _error(request, 400, code or "ThrottlingException", "Rate exceeded.")


def _error(request: Any, status: int, code: str, message: str, **more: Any) -> Any:
    response = AWSResponse(request.url, status, HTTPHeaders(), _Raw(b"{}"))
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": {}}
    return (response, {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata, **more}), None


class _Raw(io.BytesIO):
    """A body, as urllib3 has it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()
