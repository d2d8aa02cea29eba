"""What the executor itself recorded of a run's writes, in a table that nobody else can write.

The log says it, too; but whoever may append to the log may overwrite it. So what gives a right (to undo an effect
without a person, to give a window back, to say that nobody answered) is read here::

    call#<hash of the effect's key>  Powertools' record: the outcome, its undo, what a rollback does about it
    undone#<the effect's key>        which call undoes it; one at most
    nobody#<the effect's key>.2      that nobody answered in round 2, word for word as the log is to have it

Kept for 45 days, longer than any run lives. What is not here is not known: then a person has to look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.log.events import ApprovalAnswered
from ballast.log.keys import Key
from ballast.log.run_log import RunLog
from ballast.table import Answer, Condition, Item, Put, Table, absent, equals
from functions.executor.call_outcome import Aside, CallOutcome, Position, named, position_of
from functions.executor.once import KEPT_S, PREFIX


@dataclass(frozen=True)
class Done:
    """A write of this run that came to an end, as the executor recorded it.

    status       ok, failed or unknown; refused, denied or repeated where nobody began it
    undo         the call that undoes it; None where nothing does
    on_rollback  what a rollback does about it: undo, keep or freeze; "" in what an older version recorded
    gives_back   whether its undo gives its money back to the windows
    undoes       the effect that it undid; None for what is no undo
    undone_by    the call that has undone it, or is about to
    """

    at: Position
    status: str
    undo: ToolCall | None
    on_rollback: str
    gives_back: bool
    undoes: Position | None
    undone_by: Position | None


@dataclass(frozen=True)
class Recorded:
    """The executor's own table."""

    table: Table
    log: RunLog
    clock: Callable[[], datetime]

    def find(self, run_id: str, at: Position) -> Done | None:
        """Return what is recorded of the write at that position; None where nothing is. Strongly consistent."""
        return self.of(run_id, [at]).get(at)

    def of(self, run_id: str, positions: Iterable[Position]) -> dict[Position, Done]:
        """Return what is recorded of the writes at those positions. Raises ``RetryLater``."""
        wanted = sorted(set(positions))
        found = self._read([name for at in wanted for name in (_outcome(run_id, at), _undone(run_id, at))])
        return {at: done for at in wanted if (done := self._done(run_id, at, found)) is not None}

    def claim(self, run_id: str, effect: Position, by: Position, *, instead_of: Position | None) -> bool:
        """Note that the call ``by`` undoes ``effect``, before it does; say whether no other one does.

        ``instead_of``: the call that was to undo it before, and did not.
        """
        nobody_yet, mine = absent("id"), equals("undone_by", named(by))
        its = equals("undone_by", named(instead_of or by))
        return self._put(_undone(run_id, effect), {"undone_by": named(by)}, nobody_yet | mine | its).written

    def nobody(self, run_id: str, answer: ApprovalAnswered) -> ApprovalAnswered:
        """Note that nobody answered in a round, and return what the log is to say of it: as it was first noted."""
        put = self._put(_nobody(run_id, answer), {"body": canonical(answer.body)}, absent("id"))
        if put.written:
            return answer
        assert put.item is not None
        noted = ApprovalAnswered.read(Key.of(answer.seq), json.loads(put.item["body"]))
        assert isinstance(noted, ApprovalAnswered)
        return noted

    def said_nobody(self, run_id: str, answer: ApprovalAnswered) -> bool:
        """Say whether the executor itself noted that nobody answered in that round, word for word."""
        name = _nobody(run_id, answer)
        found = self._read([name]).get(name)
        return found is not None and found["body"] == canonical(answer.body)

    def _done(self, run_id: str, at: Position, found: Mapping[str, Item]) -> Done | None:
        item = found.get(_outcome(run_id, at), {})
        if item.get("status") != "COMPLETED":
            return None
        kept = CallOutcome.read(self.log.unkept(run_id, json.loads(item["data"])))
        aside, undone = kept.aside or Aside(), found.get(_undone(run_id, at))
        return Done(
            at=at,
            status=kept.status,
            undo=kept.undo,
            on_rollback=aside.on_rollback,
            gives_back=aside.gives_back,
            undoes=aside.undoes,
            undone_by=position_of(undone["undone_by"]) if undone else None,
        )

    def _read(self, names: list[str]) -> dict[str, Item]:
        return {item["id"]: item for item in self.table.batch_get([{"id": name} for name in names])}

    def _put(self, name: str, item: Item, only_if: Condition) -> Answer:
        """Write the item, or show what is there where the condition does not hold."""
        expiration = int(self.clock().timestamp()) + KEPT_S
        return self.table.write(Put({"id": name, "expiration": expiration, **item}, only_if), show=True)


def effect_key(run_id: str, at: Position) -> str:
    """Return the effect's identity: run, turn, position."""
    return f"{run_id}.{named(at)}"


def _outcome(run_id: str, at: Position) -> str:
    """Return the id under which Powertools keeps the outcome: of the key as JSON."""
    return f"{PREFIX}#{sha256(json.dumps(effect_key(run_id, at)).encode()).hexdigest()}"


def _undone(run_id: str, at: Position) -> str:
    return f"undone#{effect_key(run_id, at)}"


def _nobody(run_id: str, answer: ApprovalAnswered) -> str:
    return f"nobody#{effect_key(run_id, answer.at)}.{answer.round}"
