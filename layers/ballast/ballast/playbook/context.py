"""A tool's context: what its function gets besides the arguments, what it raises, and the write that happens once.

``write_once`` writes to DynamoDB once, however often its call is attempted. One transaction writes the effect and a
marker that holds the result::

    attempt 1   read marker: none   read, decide   [ marker + effect ]   crash, nothing returned
    attempt 2   read marker: found ─▶ the recorded result; nothing is written

Two attempts at the same time both find no marker. The second transaction then fails on the marker's own condition,
and the recorded result is returned. A tool that writes this way honours its key: declare ``honours_key=True``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from ballast.contracts import RunRequest
from ballast.errors import RetryLater
from ballast.table import Item, Update, absent, plain, wire

ResultT = TypeVar("ResultT")

#: Reasons of a cancelled transaction that pass by themselves; the records are as they were read.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ToolFailed(Exception):
    """Raised by a tool for an outcome of the business, such as "order already shipped".

    It is recorded as the call's result, ``failed``, with this text: normal traffic that the
    planner reads and learns from. Anything else that a tool raises is a defect or an outage.
    """


@dataclass
class Bill:
    """What one attempt at a call came to. The one thing in a tool's context that changes.

    begun     whether the tool itself was started
    reported  what it says that it cost; None where it says nothing
    """

    begun: bool = False
    reported: int | None = None

    def add(self, microusd: int) -> None:
        """Add to what the tool reports. Raises ``ValueError`` for anything but an integer of 0 or more."""
        if not is_microusd(microusd):
            raise ValueError(f"A cost is an integer of micro-dollars, 0 or more, not {microusd!r}.")
        self.reported = (self.reported or 0) + microusd


def is_microusd(value: object) -> bool:
    """Say whether a value is a cost: an integer of micro-dollars, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


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
            raise RetryLater("Another transaction interfered; nothing was written.") from cancelled
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


@dataclass(frozen=True)
class ToolContext:
    """What a tool may use besides its arguments.

    run_id, turn, index  where the call stands
    idempotency_key      the same for every attempt at this call, different for every other call
    request              the run's request; its ``context`` is what the caller vouches for
    now                  the time of this attempt, UTC
    environ              the executor's environment: the names of the business's tables
    client               ``client("dynamodb")`` returns a boto3 client with the executor's role
    timeout_s            after so many seconds the executor gives this attempt up; None where the tool
                         has no ``timeout_s``. Give it to an HTTP client as its own timeout.
    bill                 what this attempt came to; a tool uses ``report_cost``
    """

    run_id: str
    turn: int
    index: int
    idempotency_key: str
    request: RunRequest
    now: datetime
    environ: Mapping[str, str]
    client: Callable[[str], Any]
    timeout_s: float | None = None
    bill: Bill = field(default_factory=Bill, repr=False, compare=False)

    def report_cost(self, microusd: int) -> None:
        """Say what the call really cost, in millionths of a US dollar; several reports add up.

        What is reported is charged, also where it is more than was declared; what is not, as it was declared.
        """
        self.bill.add(microusd)

    @property
    def idempotency_headers(self) -> dict[str, str]:
        """The HTTP header under which payment providers and the IETF draft expect the key."""
        return {"Idempotency-Key": self.idempotency_key}

    def write_once(
        self, *, table: str, key: str, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
    ) -> ResultT:
        """Write to DynamoDB once: ``ballast.playbook.context.write_once``."""
        return write_once(self, table=table, key=key, result=result, attempt=attempt)

    def written_once(self, *, table: str, key: str, result: type[ResultT]) -> ResultT | None:
        """Return what ``write_once`` recorded for this call, None where it wrote nothing."""
        return written_once(self, table=table, key=key, result=result)
