"""A write that happens once, however often its call is attempted.

One transaction writes the effect and a marker that holds the result::

    attempt 1   read marker: none   read, decide   [ marker + effect ]   crash, nothing returned
    attempt 2   read marker: found ─▶ the recorded result; nothing is written

Two attempts side by side both find no marker; the second transaction then fails on the marker's
own condition and answers with what the first one recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from ballast.errors import RetryLater
from ballast.playbook import ToolContext, ToolFailed

from .table import Table

ResultT = TypeVar("ResultT", bound=BaseModel)

# Reasons of a cancelled transaction that lie in the moment and not in the records.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


@dataclass(frozen=True)
class Change(Generic[ResultT]):
    """What an attempt wants to do.

    result    what the tool returns, now and at every later attempt
    writes    the effect, as parts of one transaction
    conflict  what to tell the planner where a condition no longer holds
    """

    result: ResultT
    writes: list[dict[str, Any]]
    conflict: str


def exactly_once(
    ctx: ToolContext, table: Table, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
) -> ResultT:
    """Apply the change that ``attempt`` returns, unless this call was applied before.

    The marker lies in ``table`` as ``marker#<idempotency key>``. Raises ``ToolFailed`` where
    somebody else changed the records in between, ``RetryLater`` where another transaction was in
    the way. Other errors of AWS are not caught.
    """
    marker = f"marker#{ctx.idempotency_key}"
    if (recorded := table.get(ctx, marker)) is not None:
        return result.model_validate_json(recorded["result"])
    change = attempt()
    mark = {"result": change.result.model_dump_json(), "run_id": ctx.run_id, "at": ctx.now.isoformat()}
    client = ctx.client("dynamodb")
    try:
        client.transact_write_items(TransactItems=[table.add(ctx, marker, mark), *change.writes])
    except client.exceptions.TransactionCanceledException as cancelled:
        marker_code, *codes = [reason.get("Code") for reason in cancelled.response["CancellationReasons"]]
        if marker_code == "ConditionalCheckFailed" and (recorded := table.get(ctx, marker)) is not None:
            return result.model_validate_json(recorded["result"])
        if "ConditionalCheckFailed" in codes:
            raise ToolFailed(change.conflict) from None
        if _PASSING.intersection([marker_code, *codes]):
            raise RetryLater("Another transaction was in the way; nothing was written.") from cancelled
        raise
    return change.result
