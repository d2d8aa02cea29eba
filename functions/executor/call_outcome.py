"""The outcome of one call, and its two forms: what the log says of it, and what the executor keeps for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ballast.contracts import ToolCall
from ballast.log.events import CallRefused, CallSettled, LeftOut

Position = tuple[int, int]
#: What is kept with an outcome, and is no part of it in the log.
_ASIDE = "aside"
#: What is kept of a write that ended before anybody began it: the event that says so.
_UNBEGUN = "unbegun"
#: What the log says of a call that ended.
Ends = CallRefused | CallSettled


@dataclass(frozen=True)
class Aside:
    """What is kept with the outcome of a write, for whoever would undo it later.

    on_rollback  what a rollback does about it: undo, keep or freeze; "" in what an older version recorded
    gives_back   whether its undo gives its money back to the windows
    undoes       the effect that it undid; None for what is no undo
    """

    on_rollback: str = ""
    gives_back: bool = False
    undoes: Position | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Aside:
        """Return what ``kept`` says."""
        undoes = kept.get("undoes")
        return cls(kept.get("on_rollback", ""), bool(kept.get("gives_back")), position_of(undoes) if undoes else None)

    @property
    def kept(self) -> dict[str, Any]:
        """It as JSON."""
        kept: dict[str, Any] = {"on_rollback": self.on_rollback}
        if self.gives_back:
            kept["gives_back"] = True
        if self.undoes is not None:
            kept["undoes"] = named(self.undoes)
        return kept


@dataclass(frozen=True)
class CallOutcome:
    """What became of a call. What is None, and False, is not said.

    status       ok, failed, denied or unknown
    result       what the tool returned, JSON; said where it is ok
    message      what went wrong, or what there is to say beside the result
    undo         the call that undoes it; said once ``undo_made``, also where nothing does
    undo_made    whether its undo was made of the whole result
    notice       what the model is told beside the result
    repeat_of    the call whose recorded result this one got
    unanswered   what follows where nobody answered
    defect       the message is that of an error and of no outcome of the business
    left_out     the result was too large to be recorded
    latency_ms   how long it took
    cost_microusd  what is charged for it
    aside        what only the executor keeps
    tool         the tool as an earlier attempt kept it; None for the call's own
    unbegun      what the log says of a write that ended before anybody began it, a refusal without its arguments
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
    left_out: LeftOut | None = None
    latency_ms: int | None = None
    cost_microusd: int | None = None
    aside: Aside | None = None
    tool: str | None = None
    unbegun: Ends | None = None

    @classmethod
    def never_begun(cls, ends: Ends) -> CallOutcome:
        """Return the record of a write that nobody began: its status is never ok, and nothing undoes it."""
        status = "refused" if isinstance(ends, CallRefused) else ends.status
        return cls("repeated" if status == "ok" else status, undo_made=True, unbegun=ends)

    @classmethod
    def without_effect(cls, status: str, message: str) -> CallOutcome:
        """Return the outcome of a call that a rule ended: there is nothing to undo."""
        return cls(status, message=message, undo_made=True)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> CallOutcome:
        """Return the outcome that ``kept`` made JSON of. Raises ``ValidationError`` where it is none."""
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
            left_out=settled.left_out,
            latency_ms=settled.latency_ms,
            cost_microusd=settled.cost_microusd,
            aside=Aside.read(kept[_ASIDE]) if kept.get(_ASIDE) else None,
            tool=settled.tool,
            unbegun=_read_unbegun(kept[_UNBEGUN]) if kept.get(_UNBEGUN) else None,
        )

    def kept(self, tool: str) -> dict[str, Any]:
        """Return it as JSON, for the executor's own record of a call of ``tool``."""
        body = self.settled((0, 0), tool).body
        if self.aside is not None:
            body |= {_ASIDE: self.aside.kept}
        if self.unbegun is not None:
            body |= {_UNBEGUN: {"event": self.unbegun.NAME.partition(".")[2], "body": self.unbegun.body}}
        return body

    def settled(self, at: Position, tool: str) -> CallSettled:
        """Return what the log says of the call of ``tool`` at that position."""
        said = {
            "message": self.message,
            "notice": self.notice,
            "repeat_of": self.repeat_of,
            "unanswered": self.unanswered,
            "defect": self.defect or None,
            "left_out": self.left_out,
            "latency_ms": self.latency_ms,
            "cost_microusd": self.cost_microusd,
        }
        given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        if self.status == "ok":
            given["result"] = self.result
        if self.undo_made:
            given["undo"] = self.undo
        return CallSettled(turn=at[0], index=at[1], tool=self.tool or tool, status=self.status, **given)


def _read_unbegun(kept: Mapping[str, Any]) -> Ends:
    kind = CallRefused if kept["event"] == "refused" else CallSettled
    return kind.model_validate({**_NOWHERE, **kept["body"]})


#: In the executor's own record the key of the item tells the position.
_NOWHERE = {"turn": 0, "index": 0}


def named(at: Position) -> str:
    """Return the name of a position: ``0003.1`` is turn 3, call 1."""
    return f"{at[0]:04d}.{at[1]}"


def position_of(text: str) -> Position:
    """Return what ``0003.1`` names: turn 3, call 1."""
    turn, _, index = text.partition(".")
    return int(turn), int(index)
