"""A write to DynamoDB that happens once, however often its call is attempted.

One transaction writes the effect and a marker that holds the result::

    attempt 1   read marker: none   read, decide   [ marker + effect ]   crash, nothing returned
    attempt 2   read marker: found ─▶ the recorded result; nothing is written

Two attempts side by side both find no marker; the second transaction then fails on the marker's
own condition and answers with what the first one recorded.

A tool that writes this way honours its key: declare ``honours_key=True``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter

from ballast.errors import RetryLater
from ballast.playbook.failed import ToolFailed
from ballast.table import Item, Update, absent, plain, wire

if TYPE_CHECKING:
    from ballast.playbook.context import ToolContext

ResultT = TypeVar("ResultT")

# Reasons of a cancelled transaction that lie in the moment and not in the records.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


@dataclass(frozen=True)
class Change(Generic[ResultT]):
    """What an attempt wants to do.

    result    what the tool returns, now and at every later attempt
    writes    the effect, as parts of one transaction ({"Update": …}, {"Put": …}, …), at most 99
    conflict  what to tell the planner where a condition of them no longer holds
    """

    result: ResultT
    writes: Sequence[Mapping[str, Any]]
    conflict: str


def write_once(
    ctx: "ToolContext", *, table: str, key: str, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
) -> ResultT:
    """Apply the change that ``attempt`` returns, unless this call was applied before.

    The marker lies in ``table`` (a name), whose partition key is the attribute ``key``, as
    ``marker#<idempotency key>``. Raises ``ToolFailed`` where somebody else changed the records in between and
    ``RetryLater`` where another transaction was in the way. Other errors of AWS are not caught.
    """
    kind: TypeAdapter[ResultT] = TypeAdapter(result)
    if (recorded := _recorded(ctx, table, key)) is not None:
        return kind.validate_json(recorded)
    change = attempt()
    mark = _mark(ctx, table, key, kind.dump_json(change.result).decode())
    client = ctx.client("dynamodb")
    try:
        client.transact_write_items(TransactItems=[mark, *change.writes])
    except client.exceptions.TransactionCanceledException as cancelled:
        marker_code, *codes = [reason.get("Code") for reason in cancelled.response["CancellationReasons"]]
        if marker_code == "ConditionalCheckFailed" and (recorded := _recorded(ctx, table, key)) is not None:
            return kind.validate_json(recorded)
        if "ConditionalCheckFailed" in codes:
            raise ToolFailed(change.conflict) from None
        if _PASSING.intersection([marker_code, *codes]):
            raise RetryLater("Another transaction was in the way; nothing was written.") from cancelled
        raise
    return change.result


def written_once(ctx: "ToolContext", *, table: str, key: str, result: type[ResultT]) -> ResultT | None:
    """Return what ``write_once`` recorded for this call, or None where it wrote nothing: a ``verify``."""
    recorded = _recorded(ctx, table, key)
    return None if recorded is None else TypeAdapter(result).validate_json(recorded)


def _key(ctx: "ToolContext", key: str) -> Item:
    return {key: f"marker#{ctx.idempotency_key}"}


def _recorded(ctx: "ToolContext", table: str, key: str) -> str | None:
    found = ctx.client("dynamodb").get_item(TableName=table, Key=wire(_key(ctx, key)), ConsistentRead=True)
    return str(plain(found["Item"])["result"]) if "Item" in found else None


def _mark(ctx: "ToolContext", table: str, key: str, result: str) -> dict[str, Any]:
    # An Update, though the item is new: the executor's role then needs no right to replace whole records.
    recorded = {"result": result, "run_id": ctx.run_id, "at": ctx.now.isoformat()}
    return {"Update": Update(_key(ctx, key), set=recorded, only_if=absent(key)).request(table)}
