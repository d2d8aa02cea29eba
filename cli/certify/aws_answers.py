"""Answers of AWS that do not say what has become of a request: an error after its effect, and botocore's retries.

::

    retried     request ─ effect ─ 500 ─▶ botocore sends it again ─▶ its answer
    failed      request ─ effect ─ 500 ─▶ sent again ─ 500 ─▶ … ─▶ the tool gets the 500
    throttled   request ─ effect ─ 500 ─▶ sent again ─ throttled ─▶ … ─▶ the tool gets the throttle
    limited     the same, with the other name that AWS has for it
    closed      request ─ effect ─ no answer ─▶ sent again ─ no answer ─▶ … ─▶ the tool gets the client's error
    away        request ─ effect ─ no answer ─▶ sent again ─ no connection ─▶ … ─▶ the tool gets that error
    refused     request ─ throttled ─▶ … ─▶ the tool gets the throttle, and there is no effect
    unprocessed request ─ 200 ─▶ that says that nothing of it was done
    partly      its first half ─ effect ─ 200 ─▶ that says that the other half was not done
    denied, missing, invalid    a request after the first ─ error ─▶ the tool
    silent, unreached, internal, busy, forbidden    a look-up, each time ─ error ─▶ the tool

In ``throttled``, the error that the tool gets speaks of the last try, and the first one had its effect. A transaction
is refused by a conflict with another one, as DynamoDB does. A request that botocore repeats with its own token is
counted once by DynamoDB, for ten minutes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from types import SimpleNamespace
from typing import Any, Literal

import botocore.endpoint
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.retries.quota import RetryQuota

from cli.certify.threads import of_attempt
from localcloud.moto_seams.replaced import replaced

Kind = Literal[
    "retried", "failed", "throttled", "limited", "closed", "away", "refused", "unprocessed", "partly",
    "denied", "missing", "invalid", "silent", "unreached", "internal", "busy", "forbidden",
]  # fmt: skip
#: What is played at a request, and how it is told.
PLAYS: Mapping[Kind, str] = {
    "retried": "AWS answered request {} with 500 after its effect, and botocore sent it again",
    "failed": "AWS answered request {} with 500 after its effect, and botocore's retries too",
    "throttled": "The answer of request {} was lost after its effect, and botocore's retries were throttled",
    "limited": "The answer of request {} was lost after its effect, and botocore's retries were above a limit",
    "closed": "The connection was closed after the effect of request {}, and in botocore's retries too",
    "away": "The answer of request {} was lost after its effect, and botocore's retries made no connection",
    "refused": "AWS throttled request {} until botocore gave up",
    "unprocessed": "AWS answered request {} with 200, and that nothing of it was processed",
    "partly": "AWS answered request {} with 200, and that it has processed half of it",
}
#: What is played at each request after the first: errors that no repetition helps.
REFUSALS: Mapping[Kind, str] = {
    "denied": "AWS denied request {}, after those before it had their effect",
    "missing": "AWS did not find what request {} names, after those before it had their effect",
    "invalid": "AWS found request {} invalid, after those before it had their effect",
}
#: What is played at a request that looks something up, each time that it is made.
OUTAGES: Mapping[Kind, str] = {
    "silent": "No answer came to request {} in time",
    "unreached": "No connection was made for request {}",
    "internal": "AWS answered request {} with 500",
    "busy": "AWS throttled request {}",
    "forbidden": "AWS denied request {}",
}
_INTERNAL = (500, "InternalServerError", "The request has failed because of an internal error.")
_DENIED = (400, "AccessDeniedException", "The executor has no right to do this.")
_REFUSED: Mapping[Kind, tuple[int, str, str]] = {
    "internal": _INTERNAL,
    "forbidden": _DENIED,
    "denied": _DENIED,
    "missing": (400, "ResourceNotFoundException", "Requested resource not found"),
    "invalid": (400, "ValidationException", "One or more parameter values were invalid."),
}


@dataclass(frozen=True)
class Play:
    """What AWS answers to the ``at``-th of an attempt's requests to it, from 0."""

    at: int
    kind: Kind

    def __str__(self) -> str:
        return {**PLAYS, **REFUSALS, **OUTAGES}[self.kind].format(self.at + 1)


@dataclass
class Played:
    """What has become of a play: how often it was played, and whether another request was answered after it."""

    times: int = 0
    answered_since: bool = False


@contextmanager
def aws_answers(play: Play, executed: Callable[[Any, Mapping[str, Any]], None]) -> Iterator[Played]:
    """Within the block, play it at an attempt's requests. ``executed`` is told what had its effect unanswered.

    An outage stays: the same request, made again by the tool, is answered in the same way.
    """
    asked, built, played, counting = [-1], [-1], Played(), Lock()
    first: dict[int, Any] = {}
    out: list[Any] = []

    def answered(send: Callable[[], Any], request: Any, model: Any, context: dict[str, Any]) -> Any:
        tries = context["retries"]["attempt"]
        if tries == 1:
            with counting:
                asked[0] += 1
                context["played_at"] = asked[0]
        number = context["played_at"]
        same = (model.name, request.url, request.body)
        if number != play.at and same not in out:
            played.answered_since |= played.times > 0
            return send()
        if play.kind == "partly":
            answer, problem = send()
            if (left := context.get("left")) is None or problem is not None or answer[0].status_code >= 300:
                return answer, problem
            played.times += 1
            return (answer[0], _added(answer[1], unprocessed(model, left) or {})), None
        if play.kind == "unprocessed":
            parsed = unprocessed(model, context.get("certified", {}))
            if parsed is None:
                return send()
            played.times += 1
            context["unprocessed"] = True
            return (answer_200(request), parsed), None
        played.times += 1
        if play.kind in OUTAGES:
            out.append(same)
            return _outage(play.kind, request, model, context)
        if play.kind in REFUSALS:
            return _error(request, *_REFUSED[play.kind])
        if play.kind == "refused" or (play.kind == "throttled" and tries > 1):
            return _throttled(request, model, context)
        if play.kind == "limited" and tries > 1:
            return _error(request, 400, "ThrottlingException", "Rate exceeded.")
        if tries == 1:
            first[number] = send()
            executed(model, context)
        if play.kind == "closed" or (play.kind == "away" and tries == 1):
            return None, ConnectionClosedError(endpoint_url=request.url)
        if play.kind == "away":
            return None, EndpointConnectionError(endpoint_url=request.url)
        if tries == 1 or play.kind == "failed":
            return _error(request, *_INTERNAL)
        if model.name == "TransactWriteItems":
            return first[number]
        return send()

    def cut(model: Any, params: dict[str, Any], context: dict[str, Any]) -> None:
        built[0] += 1
        name = f"{model.service_model.service_name}.{model.name}"
        if play.kind == "partly" and built[0] == play.at and (two := halves(name, params)) is not None:
            params.update(two[0])
            context["left"] = two[1]

    with requests_answered_by(answered):
        _CUTTING.append(cut)
        try:
            yield played
        finally:
            _CUTTING.remove(cut)


_CUTTING: list[Callable[[Any, dict[str, Any], dict[str, Any]], None]] = []


def cut_request(model: Any, params: dict[str, Any], context: dict[str, Any]) -> None:
    """Cut the parameters of a request, before it is built, to the half that a play lets AWS process."""
    for cut in _CUTTING:
        cut(model, params, context)


@contextmanager
def requests_answered_by(answered: Callable[..., Any]) -> Iterator[None]:
    """Within the block, let ``answered`` (send, request, model, context) answer each try of an attempt's requests.

    They are those of the clients that the rig has made, in whatever thread, and all of the attempt's threads.

    Relies on ``Endpoint._do_get_response`` making each try of a request, and on ``time.sleep`` of its module being
    what it waits with. A client's quota of retries is never used up: each play is told from the others.
    """

    def get_response(self: Any, request: Any, model: Any, context: dict[str, Any]) -> Any:
        def send() -> Any:
            return before(self, request, model, context)

        return answered(send, request, model, context) if "certified" in context or of_attempt() else send()

    patient = SimpleNamespace(sleep=lambda _: None)
    with (
        replaced(botocore.endpoint.Endpoint, "_do_get_response", get_response) as before,
        replaced(botocore.endpoint, "time", patient),
        replaced(RetryQuota, "acquire", lambda *_: True),
    ):
        yield


def _outage(kind: Kind, request: Any, model: Any, context: Mapping[str, Any]) -> Any:
    if kind == "silent":
        return None, ReadTimeoutError(endpoint_url=request.url)
    if kind == "unreached":
        return None, EndpointConnectionError(endpoint_url=request.url)
    return _throttled(request, model, context) if kind == "busy" else _error(request, *_REFUSED[kind])


def answer_200(request: Any) -> AWSResponse:
    """Return a response without content, for a parsed answer that is made up."""
    return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(b"{}"))


#: Requests that have several parts, and the parameter that has them.
_PARTS = {
    "dynamodb.BatchWriteItem": "RequestItems",
    "dynamodb.BatchGetItem": "RequestItems",
    "dynamodb.BatchExecuteStatement": "Statements",
    "sqs.SendMessageBatch": "Entries",
    "sqs.DeleteMessageBatch": "Entries",
    "sqs.ChangeMessageVisibilityBatch": "Entries",
    "sns.PublishBatch": "PublishBatchRequestEntries",
    "events.PutEvents": "Entries",
    "kinesis.PutRecords": "Records",
    "firehose.PutRecordBatch": "Records",
    "s3.DeleteObjects": "Delete",
}


def parts_of(name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of a request with one of its parts each; those as they are where it has none."""
    at = _PARTS.get(name)
    held = params.get(at) if at is not None else None
    if at is None or not held:
        return [dict(params)]
    if at == "Delete":
        return [{**params, at: {**held, "Objects": [one]}} for one in held["Objects"]]
    if isinstance(held, list):
        return [{**params, at: [one]} for one in held]
    each = [
        (table, {**asked, "Keys": [one]} if isinstance(asked, dict) else [one])
        for table, asked in held.items()
        for one in (asked["Keys"] if isinstance(asked, dict) else asked)
    ]
    return [{**params, at: {table: part}} for table, part in each]


def halves(name: str, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the parameters of a request with the first half of its parts, and with the others; None for one part."""
    parts = parts_of(name, params)
    if len(parts) < 2:
        return None
    first, last = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    return _joined(_PARTS[name], first), _joined(_PARTS[name], last)


def _joined(at: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    whole = parts[0]
    for one in parts[1:]:
        whole = {**whole, at: _added(whole[at], one[at])}
    return whole


def _added(one: Any, other: Any) -> Any:
    """Return two answers, or two parts of a request, as one: lists and counts are added."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: _added(one[name], other[name]) for name in one if name in other}
        return {**one, **other, **both}
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    if isinstance(one, int) and isinstance(other, int) and not isinstance(one, bool):
        return one + other
    return one


def unprocessed(model: Any, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an answer of 200 that says that nothing of a request was done; None if its operation has none."""
    failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "An internal error."}

    def each(name: str) -> list[dict[str, Any]]:
        return [dict(failed) for _ in params.get(name, ())]

    def by_id(name: str) -> dict[str, Any]:
        entries = [{"Id": one["Id"], "SenderFault": False, "Code": "InternalError"} for one in params.get(name, ())]
        return {"Successful": [], "Failed": entries}

    answers: dict[str, Callable[[], dict[str, Any]]] = {
        "dynamodb.BatchWriteItem": lambda: {"UnprocessedItems": params["RequestItems"]},
        "dynamodb.BatchExecuteStatement": lambda: {
            "Responses": [{"Error": {"Code": "ThrottlingError", "Message": "Busy."}} for _ in params["Statements"]]
        },
        "sqs.SendMessageBatch": lambda: by_id("Entries"),
        "sqs.DeleteMessageBatch": lambda: by_id("Entries"),
        "sqs.ChangeMessageVisibilityBatch": lambda: by_id("Entries"),
        "sns.PublishBatch": lambda: by_id("PublishBatchRequestEntries"),
        "events.PutEvents": lambda: {"FailedEntryCount": len(each("Entries")), "Entries": each("Entries")},
        "kinesis.PutRecords": lambda: {"FailedRecordCount": len(each("Records")), "Records": each("Records")},
        "firehose.PutRecordBatch": lambda: {
            "FailedPutCount": len(each("Records")),
            "RequestResponses": each("Records"),
        },
        "s3.DeleteObjects": lambda: {
            "Errors": [{"Key": one["Key"], "Code": "InternalError"} for one in params["Delete"]["Objects"]]
        },
        "lambda.Invoke": lambda: {
            "StatusCode": 200,
            "FunctionError": "Unhandled",
            "Payload": io.BytesIO(b'{"errorMessage": "It failed.", "errorType": "Error"}'),
        },
    }
    made = answers.get(f"{model.service_model.service_name}.{model.name}")
    if made is None:
        return None
    return made() | {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}


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
