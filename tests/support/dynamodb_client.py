"""The client side of the tables in memory: errors, request parameters, botocore's events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.support.attributes import Invalid, Refused

Answer = dict[str, Any]


class ConditionalCheckFailedException(ClientError):
    """As boto3 names it."""


class TransactionCanceledException(ClientError):
    """As boto3 names it."""


class ResourceNotFoundException(ClientError):
    """As boto3 names it."""


class Exceptions:
    """A client's ``exceptions``."""

    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException
    ResourceNotFoundException = ResourceNotFoundException
    ClientError = ClientError


def request(operation: str, *parameters: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Answer requests of this operation one at a time; accept only these parameters."""

    def decorated(method: Callable[..., Answer]) -> Callable[..., Answer]:
        @wraps(method)
        def answered(self: Any, **wanted: Any) -> Answer:
            refuse_others(operation, wanted, parameters)
            with self.one_at_a_time:
                try:
                    return method(self, **wanted)
                except Refused as problem:
                    error: Any = {"Error": {"Code": problem.code, "Message": problem.message}}
                    kind = getattr(Exceptions, problem.code, ClientError)
                    raise kind(error | {"message": problem.message} | problem.more, operation) from None

        return answered

    return decorated


def refuse_others(what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an unknown parameter by name."""
    if others := set(wanted) - set(known):
        listed = ", ".join(sorted(others))
        raise NotImplementedError(f"{what} with {listed}: add it to tests/support/tables_in_memory.py and its contract")


def refuse_twice(places: Sequence[Any], message: str) -> None:
    """Refuse a request that names an item twice."""
    if len(set(map(str, places))) < len(places):
        raise Invalid(message)


def cancelled(reasons: list[dict[str, Any]]) -> Refused:
    """Return the error of a cancelled transaction."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return Refused("TransactionCanceledException", message, CancellationReasons=reasons)


def answer_requests(session: Any, tables: Callable[[], Any]) -> None:
    """Let ``tables()`` answer the DynamoDB requests of all clients that the session makes from now on.

    botocore has then checked the parameters, and continues as with a response from the wire: it emits ``after-call``
    and raises an error as the client's own class. Its retries never see it.
    """

    def before_parameter_build(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["tables_in_memory"] = params

    def before_call(model: Any, context: Mapping[str, Any], **_: Any) -> tuple[Any, Answer]:
        method = getattr(tables(), _method(model.name), None)
        if method is None:
            raise NotImplementedError(f"{model.name}: add it to tests/support/tables_in_memory.py and its contract")
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0, "RequestId": "in-memory"}
        try:
            answer = method(**context["tables_in_memory"])
        except ClientError as problem:
            metadata["HTTPStatusCode"] = 400
            answer = dict(problem.response)
        return SimpleNamespace(status_code=metadata["HTTPStatusCode"], headers={}), answer | {
            "ResponseMetadata": metadata
        }

    session.events.register_last("before-parameter-build.dynamodb", before_parameter_build)
    session.events.register("before-call.dynamodb", before_call)


@cache
def _method(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
