"""A tool's context: what its function gets besides the arguments, what it raises, and the write that happens once.

``write_once`` writes to DynamoDB once, however often its call is attempted. One transaction writes the effect and a
marker that holds the result::

    attempt 1   read marker: none   read, decide   [ marker + effect ]   crash, nothing returned
    attempt 2   read marker: found ─▶ the recorded result; nothing is written

Two attempts at the same time both find no marker. The second transaction then fails on the marker's own condition,
and the recorded result is returned. A tool that writes this way honours its key: declare ``honours_key=True``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from ballast.contracts import RunRequest
from ballast.errors import RetryLater, SettingInvalid
from ballast.on_behalf import no_token
from ballast.table import Item, Update, absent, plain, wire
from ballast.values import dataclass

ResultT = TypeVar("ResultT")

#: Reasons of a cancelled transaction that pass by themselves; the records are as they were read.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ToolFailed(Exception):
    """Raised by a tool to refuse for a reason of the business, such as "order already shipped".

    The call is recorded as ``failed`` with this text, which the planner reads and learns from.
    Anything else that a tool raises is a defect or an outage.
    """


class NotSent(ToolFailed):
    """Raised by a tool that sent nothing, and would send nothing if it were called again.

    The call is recorded as ``failed`` if nothing was sent before. If an earlier attempt is in doubt, this says nothing
    about it.
    """


class NotConfigured(NotSent):
    """Raised where a server cannot be called as it is set up, until an operator mends it: a URL, a secret, a right."""

    def __init__(self, message: str) -> None:
        super().__init__(f"Not configured: {message} Nothing was sent.")


class ToolChanged(NotSent):
    """Raised where a server describes a tool otherwise than it was pinned. Nothing was sent."""

    def __init__(self, message: str, *, server: str, tool: str, kind: str) -> None:
        super().__init__(message)
        self.server, self.tool, self.kind = server, tool, kind


class AsIfAgain(ToolFailed):
    """Raised where a server refuses a call as it would refuse its repetition.

    Who stands between may have sent it twice: not even of a first attempt does this prove that nothing was done.
    """


class WrongResult(Exception):
    """Raised where a server has answered in another form than it was pinned. A repetition would be answered alike."""

    def __init__(self, message: str, *, server: str, tool: str, kind: str) -> None:
        super().__init__(message)
        self.server, self.tool, self.kind = server, tool, kind


@dataclass
class Bill:
    """The cost of one attempt at a call. The only mutable part of a tool's context.

    begun     whether the tool's function was started
    reported  the cost that it reported, in micro-dollars; None if it reported none
    """

    begun: bool = False
    reported: int | None = None

    def add(self, microusd: int) -> None:
        """Add a reported cost. Raises ``ValueError`` for anything but an integer of 0 or more."""
        if not is_microusd(microusd):
            raise ValueError(f"A cost is an integer of micro-dollars, 0 or more, not {microusd!r}.")
        self.reported = (self.reported or 0) + microusd


def is_microusd(value: object) -> bool:
    """Return whether a value is a cost: an integer of micro-dollars, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class Change(Generic[ResultT]):
    """The change that an attempt wants to make.

    result    the tool's return value, now and at every later attempt
    writes    the effect, as parts of one transaction ({"Update": …}, {"Put": …}, …), at most 99
    conflict  message to the planner if a condition of the writes no longer holds
    """

    result: ResultT
    writes: Sequence[Mapping[str, Any]]
    conflict: str


def write_once(
    ctx: "ToolContext", *, table: str, key: str, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
) -> ResultT:
    """Apply the change that ``attempt`` returns, unless this call was applied before.

    The marker is in ``table`` (a name), whose partition key is the attribute ``key``, as
    ``marker#<idempotency key>``. Raises ``ToolFailed`` if somebody else changed the records in between and
    ``RetryLater`` if another transaction interfered. Other errors of AWS are not caught.
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
        # Whatever the reason: boto3 may have sent the transaction twice, and the error speaks of the last time.
        if (recorded := _recorded(ctx, table, key)) is not None:
            return kind.validate_json(recorded)
        if "ConditionalCheckFailed" in codes:
            raise ToolFailed(change.conflict) from None
        if _PASSING.intersection([marker_code, *codes]):
            raise RetryLater("Another transaction interfered; nothing was written.") from cancelled
        raise
    return change.result


def written_once(ctx: "ToolContext", *, table: str, key: str, result: type[ResultT]) -> ResultT | None:
    """Return what ``write_once`` recorded for this call, None if it wrote nothing. Serves as a ``verify``."""
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


def tools_environ(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return what tools read as ``ctx.environ``: the executor's environment and the names in TOOLS_ENVIRONMENT.

    TOOLS_ENVIRONMENT is one JSON object of texts: the output Environment of business.yaml.
    Raises ``SettingInvalid`` for anything else, and for a name that the environment has already.
    """
    text = environ.get("TOOLS_ENVIRONMENT", "")
    if not text:
        return environ
    where = "TOOLS_ENVIRONMENT, business.yaml's output Environment"
    try:
        pairs = json.loads(text, object_pairs_hook=tuple)
    except ValueError as problem:
        raise SettingInvalid(
            f'{where}: is not JSON ({problem}). Write {{"ORDERS_TABLE": "${{OrdersTable}}"}} after `!Sub`.'
        ) from None
    if not isinstance(pairs, tuple):
        raise SettingInvalid(f'{where}: must be one JSON object, such as {{"ORDERS_TABLE": "${{OrdersTable}}"}}.')
    found: dict[str, str] = {}
    for name, value in pairs:
        if not (name.isascii() and name.isidentifier() and isinstance(value, str)):
            raise SettingInvalid(f"{where}: {name[:80]!r} must be letters, digits and _, and its value a text.")
        if name in found or name in environ:
            whose = "is in it twice" if name in found else "is a variable of the executor already"
            raise SettingInvalid(f"{where}: {name} {whose}. Rename it, in business.yaml and in the tools.")
        found[name] = value
    return {**environ, **found}


@dataclass(frozen=True)
class ToolContext:
    """The second argument of a tool's function.

    run_id, turn, index  position of the call
    idempotency_key      the same for every attempt at this call, and different for every other call
    request              the run's request; the caller vouches for its ``context``
    now                  the time of this attempt, UTC
    environ              the names of the business's tables and secrets, as business.yaml's output Environment has
                         them, beside the executor's own variables
    client               ``client("dynamodb")`` returns a boto3 client with the executor's role
    timeout_s            after this many seconds the executor gives this attempt up; None if the tool
                         has no ``timeout_s``. Give it to an HTTP client as its own timeout.
    bill                 the cost of this attempt; a tool uses ``report_cost``
    files                the files of this attempt; a tool uses ``attach``
    requester            who asked for the run, if the caller was authenticated
    token                ``token("desk")`` returns the requester's token of that name, for tools of ``servers/``
    """

    run_id: str
    turn: int
    index: int
    idempotency_key: str
    request: RunRequest
    now: datetime
    environ: Mapping[str, str]
    client: Callable[..., Any]
    timeout_s: float | None = None
    bill: Bill = field(default_factory=Bill, repr=False, compare=False)
    files: list[tuple[str, str, bytes]] = field(default_factory=list, repr=False, compare=False)
    requester: str | None = None
    token: Callable[[str], str] = field(default=no_token, repr=False, compare=False)

    def attach(self, name: str, file_format: str, content: bytes) -> None:
        """Send an image or a document to the model with the result, if its model takes it; else the model is told.

        ``file_format`` is Converse's name of it (png, pdf, csv …). The executor checks and keeps the content; the
        result and the log have none of it. What is in it vouches for no value. A file of another format, or above the
        run's limits, is left out, and the model is told why: the call stays what it was.
        """
        self.files.append((name, file_format, bytes(content)))

    def report_cost(self, microusd: int) -> None:
        """Report the call's actual cost in millionths of a US dollar; several reports add up.

        The reported cost is charged, even a higher one than declared; without a report, the declared cost.
        """
        self.bill.add(microusd)

    @property
    def idempotency_headers(self) -> dict[str, str]:
        """The HTTP header in which payment providers and the IETF draft expect the key."""
        return {"Idempotency-Key": self.idempotency_key}

    def write_once(
        self, *, table: str, key: str, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
    ) -> ResultT:
        """Write to DynamoDB once: ``ballast.playbook.context.write_once``."""
        return write_once(self, table=table, key=key, result=result, attempt=attempt)

    def written_once(self, *, table: str, key: str, result: type[ResultT]) -> ResultT | None:
        """Return the result that ``write_once`` recorded for this call, None if it wrote nothing."""
        return written_once(self, table=table, key=key, result=result)
