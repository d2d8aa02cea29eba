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
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import RetryLater
from ballast.log.events import ApprovalAnswered
from ballast.log.keys import Key
from ballast.log.run_log import RunLog
from functions.executor.call_outcome import Aside, CallOutcome, Position, named, position_of
from functions.executor.once import KEPT_S, PREFIX

Item = dict[str, Any]
#: So many positions, with two items each, in one request.
_POSITIONS_A_BATCH, _ATTEMPTS = 50, 5


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

    dynamodb: Any
    table: str
    log: RunLog
    clock: Callable[[], datetime]

    def find(self, run_id: str, at: Position) -> Done | None:
        """Return what is recorded of the write at that position; None where nothing is. Strongly consistent."""
        return self.of(run_id, [at]).get(at)

    def of(self, run_id: str, positions: Iterable[Position]) -> dict[Position, Done]:
        """Return what is recorded of the writes at those positions. Raises ``RetryLater``."""
        wanted = sorted(set(positions))
        found: dict[str, Item] = {}
        for start in range(0, len(wanted), _POSITIONS_A_BATCH):
            some = wanted[start : start + _POSITIONS_A_BATCH]
            found |= self._read([name for at in some for name in (_outcome(run_id, at), _undone(run_id, at))])
        return {at: done for at in wanted if (done := self._done(run_id, at, found)) is not None}

    def claim(self, run_id: str, effect: Position, by: Position, *, instead_of: Position | None) -> bool:
        """Note that the call ``by`` undoes ``effect``, before it does; say whether no other one does.

        ``instead_of``: the call that was to undo it before, and did not.
        """
        nobody_yet, mine, its = "attribute_not_exists(id)", "undone_by = :by", "undone_by = :before"
        values = {":by": {"S": named(by)}, ":before": {"S": named(instead_of or by)}}
        item = {"undone_by": {"S": named(by)}}
        return self._put(_undone(run_id, effect), item, f"{nobody_yet} OR {mine} OR {its}", values) is None

    def nobody(self, run_id: str, answer: ApprovalAnswered) -> ApprovalAnswered:
        """Note that nobody answered in a round, and return what the log is to say of it: as it was first noted."""
        item = {"body": {"S": canonical(answer.body)}}
        before = self._put(_nobody(run_id, answer), item, "attribute_not_exists(id)", None)
        if before is None:
            return answer
        noted = ApprovalAnswered.read(Key.of(answer.seq), json.loads(before["body"]["S"]))
        assert isinstance(noted, ApprovalAnswered)
        return noted

    def said_nobody(self, run_id: str, answer: ApprovalAnswered) -> bool:
        """Say whether the executor itself noted that nobody answered in that round, word for word."""
        name = _nobody(run_id, answer)
        found = self._read([name]).get(name)
        return found is not None and found["body"]["S"] == canonical(answer.body)

    def _done(self, run_id: str, at: Position, found: Mapping[str, Item]) -> Done | None:
        item = found.get(_outcome(run_id, at), {})
        if item.get("status", {}).get("S") != "COMPLETED":
            return None
        kept = CallOutcome.read(self.log.unkept(run_id, json.loads(item["data"]["S"])))
        aside, undone = kept.aside or Aside(), found.get(_undone(run_id, at))
        return Done(
            at=at,
            status=kept.status,
            undo=kept.undo,
            on_rollback=aside.on_rollback,
            gives_back=aside.gives_back,
            undoes=aside.undoes,
            undone_by=position_of(undone["undone_by"]["S"]) if undone else None,
        )

    def _read(self, names: list[str]) -> dict[str, Item]:
        keys: Any = [{"id": {"S": name}} for name in names]
        found: dict[str, Item] = {}
        for _ in range(_ATTEMPTS):
            with consequences(self._resource):
                page = self.dynamodb.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
            found |= {item["id"]["S"]: item for item in page["Responses"].get(self.table, [])}
            keys = page.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys")
            if not keys:
                return found
        raise RetryLater(f"{self._resource} leaves keys unread; try again.")

    def _put(self, name: str, item: Item, only_if: str, values: Item | None) -> Item | None:
        """Write the item and return None, or what is there where the condition does not hold."""
        expiration = {"N": str(int(self.clock().timestamp()) + KEPT_S)}
        request: Item = {
            "TableName": self.table,
            "Item": {"id": {"S": name}, "expiration": expiration, **item},
            "ConditionExpression": only_if,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if values:
            request["ExpressionAttributeValues"] = values
        with consequences(self._resource):
            try:
                self.dynamodb.put_item(**request)
            except self.dynamodb.exceptions.ConditionalCheckFailedException as already:
                return dict(already.response["Item"])
        return None

    @property
    def _resource(self) -> str:
        return f"Table {self.table} (IDEMPOTENCY_TABLE)"


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
