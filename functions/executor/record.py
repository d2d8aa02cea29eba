"""The executor's own records of a run's writes, in a table that only the executor can write.

The log has the same facts, but every function that may append to the log may overwrite them. So a fact that gives a
right (to undo an effect without a person, to give money back to a window, to go on without an answer) is read here::

    call#<hash of the effect's key>  Powertools' record: the outcome, its cost, its undo, what a rollback does about it
    undone#<the effect's key>        the call that undoes it; one at most
    nobody#<the effect's key>.2      that nobody answered in round 2, word for word as in the log

Records are kept for 45 days, longer than any run lives. Without a record nothing is known, and a person must look.

``Once`` runs a write at most once per key, through Powertools' idempotency utility. Its limit: a record says INPROGRESS
until the first attempt ends or its lease (the Lambda's remaining time) runs out. After that a second attempt runs the
function again, and the function must find out that it is not the first (``effect.WriteAttempt``)::

    attempt 1  ──INPROGRESS──▶ effect ──▶ COMPLETED            the normal case
    attempt 2               └▶ AttemptInProgress (retry)       while 1 still runs
    attempt 2                                   └▶ the recorded result
    attempt 1  ──INPROGRESS──▶ effect ──▶ dies
    attempt 2  ── lease over ──▶ resolves what 1 left behind
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import AttemptInProgress, ProcessEnds
from ballast.log.events import ApprovalAnswered, CallRefused, CallSettled, LeftOut, Unlike
from ballast.log.keys import Key
from ballast.log.run_log import RunLog
from ballast.runtime import Runtime
from ballast.table import Answer, Condition, Item, Put, Table, absent, equals
from ballast.values import dataclass

#: Turn and index of a call.
Position = tuple[int, int]
#: The log's event of a call that ended.
CallEnd = CallRefused | CallSettled

#: Longer than any run lives: the state machine is cut after 40 days.
_KEPT_S = 45 * 24 * 3600
#: The prefix of the ids of outcomes.
_PREFIX = "call"
#: The field of a record that holds the facts for a later undo.
_UNDO_FACTS = "aside"
#: The field of a record for the event of a write that ended before an attempt began it.
_UNBEGUN = "unbegun"
#: The position in a record, where the item's key has it already.
_NOWHERE = {"turn": 0, "index": 0}


def effect_key(run_id: str, at: Position) -> str:
    """Return the effect's identity: run, turn, position."""
    return f"{run_id}.{_named(at)}"


def _named(at: Position) -> str:
    """Return the name of a position: ``0003.1`` is turn 3, call 1."""
    return f"{at[0]:04d}.{at[1]}"


def _position_of(text: str) -> Position:
    """Return what ``0003.1`` names: turn 3, call 1."""
    turn, _, index = text.partition(".")
    return int(turn), int(index)


@dataclass(frozen=True)
class UndoFacts:
    """The facts about a write that a later undo needs; only the executor's own record has them.

    on_rollback  what a rollback does about it: undo, keep or freeze; "" in what an older version recorded
    gives_back   whether its undo gives its money back to the windows
    undoes       the effect that it undid; None if it is no undo
    """

    on_rollback: str = ""
    gives_back: bool = False
    undoes: Position | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> UndoFacts:
        """Return what ``kept`` says."""
        undoes = kept.get("undoes")
        return cls(kept.get("on_rollback", ""), bool(kept.get("gives_back")), _position_of(undoes) if undoes else None)

    @property
    def kept(self) -> dict[str, Any]:
        """The facts as JSON."""
        kept: dict[str, Any] = {"on_rollback": self.on_rollback}
        if self.gives_back:
            kept["gives_back"] = True
        if self.undoes is not None:
            kept["undoes"] = _named(self.undoes)
        return kept


@dataclass(frozen=True)
class CallOutcome:
    """The outcome of a call. A field that is None or False is not recorded.

    status       ok, failed, denied or unknown
    result       the tool's result, JSON; recorded where the status is ok
    message      what went wrong, or a remark beside the result
    undo         the call that undoes it; recorded if ``undo_made``, also where it is None
    undo_made    whether the undo was made, from the whole result
    notice       the model's text beside the result
    repeat_of    the call whose recorded result this one got
    unanswered   the consequence where nobody answered a request for approval
    defect       the message is of an unexpected error, and not the business's answer
    circuit      the downstream whose circuit was open, so that the tool was not run
    unlike       the server that answered otherwise than it was pinned
    left_out     size and hash of a result that was too large to be recorded
    latency_ms   the duration
    cost_microusd  the charge; None where the tool costs nothing, or where the cost is not known
    cost_known   whether the cost was recorded, also where it is None; an older version recorded none
    undo_facts   the facts for a later undo, which only the executor's record has
    tool         the tool's name in an earlier attempt's record; None for the call's own
    attachments  the files that came with the result, as the log has them
    unbegun      the log's event of a write that ended before an attempt began it, a refusal without its arguments
    """

    status: str
    result: Any = None
    message: str | None = None
    undo: ToolCall | None = None
    undo_made: bool = False
    notice: str | None = None
    repeat_of: Position | None = None
    unanswered: str | None = None
    defect: bool = False
    circuit: str | None = None
    unlike: Unlike | None = None
    left_out: LeftOut | None = None
    latency_ms: int | None = None
    cost_microusd: int | None = None
    cost_known: bool = False
    undo_facts: UndoFacts | None = None
    tool: str | None = None
    unbegun: CallEnd | None = None
    attachments: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def never_begun(cls, call_end: CallEnd) -> CallOutcome:
        """Return the record of a write that no attempt began: its status is never ok, and it has no undo."""
        status = "refused" if isinstance(call_end, CallRefused) else call_end.status
        return cls("repeated" if status == "ok" else status, undo_made=True, unbegun=call_end)

    @classmethod
    def without_effect(cls, status: str, message: str) -> CallOutcome:
        """Return the outcome of a call that a rule ended: it has no undo."""
        return cls(status, message=message, undo_made=True)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> CallOutcome:
        """Return the outcome from ``kept``'s JSON. Raises ``ValidationError``."""
        settled = CallSettled.model_validate({**_NOWHERE, **kept})
        return cls(
            status=settled.status,
            result=settled.result,
            message=kept.get("message"),
            undo=settled.undo,
            undo_made="undo" in kept,
            notice=kept.get("notice"),
            repeat_of=settled.repeat_of,
            unanswered=settled.unanswered,
            defect=settled.defect,
            circuit=settled.circuit,
            unlike=settled.unlike,
            left_out=settled.left_out,
            latency_ms=settled.latency_ms,
            cost_microusd=settled.cost_microusd,
            cost_known="cost_microusd" in kept,
            undo_facts=UndoFacts.read(kept[_UNDO_FACTS]) if kept.get(_UNDO_FACTS) else None,
            tool=settled.tool,
            unbegun=_read_unbegun(kept[_UNBEGUN]) if kept.get(_UNBEGUN) else None,
            attachments=tuple(settled.attachments),
        )

    def kept(self, tool: str) -> dict[str, Any]:
        """Return it as JSON, for the executor's own record of a call of ``tool``."""
        body = self.settled((0, 0), tool).body
        if self.cost_known:
            body |= {"cost_microusd": self.cost_microusd}
        if self.undo_facts is not None:
            body |= {_UNDO_FACTS: self.undo_facts.kept}
        if self.unbegun is not None:
            body |= {_UNBEGUN: {"event": self.unbegun.NAME.partition(".")[2], "body": self.unbegun.body}}
        return body

    def settled(self, at: Position, tool: str) -> CallSettled:
        """Return the log's event of the call of ``tool`` at that position."""
        said = {
            "message": self.message,
            "notice": self.notice,
            "repeat_of": self.repeat_of,
            "unanswered": self.unanswered,
            "defect": self.defect or None,
            "circuit": self.circuit,
            "unlike": self.unlike,
            "left_out": self.left_out,
            "latency_ms": self.latency_ms,
            "cost_microusd": self.cost_microusd,
            "attachments": list(self.attachments) or None,
        }
        given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        if self.status == "ok":
            given["result"] = self.result
        if self.undo_made:
            given["undo"] = self.undo
        return CallSettled(turn=at[0], index=at[1], tool=self.tool or tool, status=self.status, **given)


def _read_unbegun(kept: Mapping[str, Any]) -> CallEnd:
    kind = CallRefused if kept["event"] == "refused" else CallSettled
    return kind.model_validate({**_NOWHERE, **kept["body"]})


class LeaseStays(ProcessEnds):
    """Ends an attempt whose effect may still happen: its record says INPROGRESS until the end of its lease.

    It is no ``Exception``: for one Powertools would delete the record, and the next attempt would act at once.
    """


class Once:
    """Powertools' idempotency over one table."""

    def __init__(self, persistence: Callable[[], Any], table_name: str) -> None:
        self._make_persistence = persistence
        self._table = f"Table {table_name} (IDEMPOTENCY_TABLE)"

    @classmethod
    def of(cls, runtime: Runtime, table_name: str) -> Once:
        """Return it over that table, with a client of ``runtime``. The first write imports Powertools and boto3."""

        def persistence() -> Any:
            from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer

            return DynamoDBPersistenceLayer(table_name=table_name, boto3_client=runtime.client("dynamodb"))

        return cls(persistence, table_name)

    @cached_property
    def _persistence(self) -> Any:
        return self._make_persistence()

    def run(self, key: str, effect: Callable[[], dict[str, Any]], context: Any) -> dict[str, Any]:
        """Return ``effect()``, or its earlier result under ``key``.

        ``context``: the Lambda context, whose remaining time is the lease. Raises ``AttemptInProgress`` while another
        attempt runs, every error of ``effect`` (its record is then deleted, except for ``LeaseStays``: the next attempt
        runs it again), ``RetryLater`` where the table does not answer before the effect, and ``SettingInvalid`` where
        the table is missing.
        """
        from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
        from aws_lambda_powertools.utilities.idempotency.exceptions import (
            IdempotencyAlreadyInProgressError,
            IdempotencyInconsistentStateError,
            IdempotencyPersistenceLayerError,
        )

        config = IdempotencyConfig(expires_after_seconds=_KEPT_S, hash_function="sha256")
        config.register_lambda_context(context)

        outcomes: list[dict[str, Any]] = []
        begun = False

        def run(**_: Any) -> dict[str, Any]:
            nonlocal begun
            begun = True
            outcomes.append(effect())
            return outcomes[0]

        once: Callable[..., dict[str, Any]] = idempotent_function(
            run,
            data_keyword_argument="key",
            persistence_store=self._persistence,
            config=config,
            key_prefix=_PREFIX,
        )
        try:
            return once(key=key)
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as running:
            if begun:  # an error of the effect
                raise
            raise AttemptInProgress(f"{key}: another attempt at this call has not ended; try again.") from running
        except IdempotencyPersistenceLayerError as problem:
            if outcomes:  # the effect has ended and the log will have it; only this record is missing
                return outcomes[0]
            with consequences(self._table):
                raise problem.__cause__ or problem from None


@dataclass(frozen=True)
class Done:
    """A write of the run that has ended, as the executor recorded it.

    status       ok, failed or unknown; refused, denied or repeated where no attempt began it
    undo         the call that undoes it, or None
    on_rollback  what a rollback does about it: undo, keep or freeze; "" in what an older version recorded
    gives_back   whether its undo gives its money back to the windows
    undoes       the effect that it undid; None for what is no undo
    undone_by    the call that has undone it or is about to, or None
    cost_microusd  its charge; None where it cost nothing, or in what an older version recorded
    """

    at: Position
    status: str
    undo: ToolCall | None
    on_rollback: str
    gives_back: bool
    undoes: Position | None
    undone_by: Position | None
    cost_microusd: int | None = None


@dataclass(frozen=True)
class Recorded:
    """Reads and conditional writes of the executor's own records."""

    table: Table
    log: RunLog
    clock: Callable[[], datetime]

    def find(self, run_id: str, at: Position) -> Done | None:
        """Return the record of the write at that position, or None. Strongly consistent. Raises ``RetryLater``."""
        return self.of(run_id, [at]).get(at)

    def of(self, run_id: str, positions: Iterable[Position]) -> dict[Position, Done]:
        """Return the records of the writes at those positions. Strongly consistent. Raises ``RetryLater``."""
        wanted = sorted(set(positions))
        found = self._read([name for at in wanted for name in (_outcome(run_id, at), _undone(run_id, at))])
        return {at: done for at in wanted if (done := self._done(run_id, at, found)) is not None}

    def claim(self, run_id: str, effect: Position, by: Position, *, instead_of: Position | None) -> bool:
        """Record that the call ``by`` is about to undo ``effect``; False where another call has claimed that.

        ``instead_of``: the call that had claimed it before and has failed.
        """
        nobody_yet, mine = absent("id"), equals("undone_by", _named(by))
        its = equals("undone_by", _named(instead_of or by))
        return self._put(_undone(run_id, effect), {"undone_by": _named(by)}, nobody_yet | mine | its).written

    def record_unanswered(self, run_id: str, answer: ApprovalAnswered) -> ApprovalAnswered:
        """Record that nobody answered in a round, and return the answer as it was recorded first, for the log."""
        put = self._put(_nobody(run_id, answer), {"body": canonical(answer.body)}, absent("id"))
        if put.written:
            return answer
        assert put.item is not None
        noted = ApprovalAnswered.read(Key.of(answer.seq), json.loads(put.item["body"]))
        assert isinstance(noted, ApprovalAnswered)
        return noted

    def has_unanswered(self, run_id: str, answer: ApprovalAnswered) -> bool:
        """Say whether the executor has recorded, word for word, that nobody answered in that round."""
        name = _nobody(run_id, answer)
        found = self._read([name]).get(name)
        return found is not None and found["body"] == canonical(answer.body)

    def _done(self, run_id: str, at: Position, found: Mapping[str, Item]) -> Done | None:
        item = found.get(_outcome(run_id, at), {})
        if item.get("status") != "COMPLETED":
            return None
        kept = CallOutcome.read(self.log.unkept(run_id, json.loads(item["data"])))
        undo_facts, undone = kept.undo_facts or UndoFacts(), found.get(_undone(run_id, at))
        return Done(
            at=at,
            status=kept.status,
            undo=kept.undo,
            on_rollback=undo_facts.on_rollback,
            gives_back=undo_facts.gives_back,
            undoes=undo_facts.undoes,
            undone_by=_position_of(undone["undone_by"]) if undone else None,
            cost_microusd=kept.cost_microusd,
        )

    def _read(self, names: list[str]) -> dict[str, Item]:
        return {item["id"]: item for item in self.table.batch_get([{"id": name} for name in names])}

    def _put(self, name: str, item: Item, only_if: Condition) -> Answer:
        """Write the item; where the condition does not hold, return the item that is there."""
        expiration = int(self.clock().timestamp()) + _KEPT_S
        return self.table.write(Put({"id": name, "expiration": expiration, **item}, only_if), show=True)


def _outcome(run_id: str, at: Position) -> str:
    """Return the id of Powertools' record: it hashes the key as JSON."""
    return f"{_PREFIX}#{sha256(json.dumps(effect_key(run_id, at)).encode()).hexdigest()}"


def _undone(run_id: str, at: Position) -> str:
    return f"undone#{effect_key(run_id, at)}"


def _nobody(run_id: str, answer: ApprovalAnswered) -> str:
    return f"nobody#{effect_key(run_id, answer.at)}.{answer.round}"
