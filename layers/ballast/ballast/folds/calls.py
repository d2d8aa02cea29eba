"""Calls: the proposals of each turn, the outcome of each call, and the identity of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ballast.contracts import Answer, CallTools, HandOver, Planner, ToolCall
from ballast.contracts.attachment import Kept
from ballast.contracts.wire import canonical, parse, sha256
from ballast.errors import LogCorrupt
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalNeeded,
    ApprovalVoid,
    CallIntended,
    CallRefused,
    CallSettled,
    EscalationAnswered,
    Fact,
    ModelResponded,
    PlanDecided,
)
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.run import Run, Turn


#: The identity of a call: equal for calls that ask for the same.
Identity = Callable[[ToolCall], str]


def same(value: Any) -> Any:
    """Return a normal form of JSON ``value``: independent of the order of keys, and with 1 for 1.0.

    Texts are compared unchanged; a field's type declares that spaces or case do not matter
    (``StringConstraints(strip_whitespace=True)``). Texts that look like numbers stay texts: the id "007" is not "7".
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict):
        return {key: same(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [same(inner) for inner in value]
    return f"'{value}"


def identity(call: ToolCall) -> str:
    """Return the identity of a call, by its tool and arguments: a SHA-256."""
    return identity_of(call.tool, call.arguments)


def identity_of(tool: str, arguments: Any) -> str:
    """Return the identity of a call of ``tool`` with these arguments, JSON."""
    return sha256(canonical([tool, same(arguments)]))


def asks_the_same(
    call: ToolCall, sent: ToolCall, before: ToolCall, sent_before: ToolCall, same: Callable[[ToolCall], str]
) -> bool:
    """Return whether a call repeats an earlier one: in the gate's normalized form, or in the form that was sent.

    Calls with equal sent arguments are the same, even if the tool's validator adds something each time, such as the
    time. ``call`` and ``before`` are normalized by the gate; ``sent`` and ``sent_before`` are as proposed, or as people
    changed them.
    """
    return same(before) == same(call) or identity(sent) in (identity(before), identity(sent_before))


def _number(value: int | float) -> str:
    """Return the number's digits and exponent, exactly: no rounding, whatever its size."""
    sign, digits, exponent = Decimal(value if isinstance(value, int) else str(value)).as_tuple()
    if isinstance(exponent, str):  # a NaN or an infinity
        return f"{sign}{exponent}"
    plain = "".join(map(str, digits)).lstrip("0")
    significant = plain.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(plain) - len(significant)}"


@dataclass(frozen=True)
class Proposed:
    """The decision of one turn and its planner. ``parallel``: none of its calls writes."""

    turn: int
    planner: Planner
    decision: CallTools | Answer | HandOver
    parallel: bool
    undoes: tuple[int, int] | None = None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The proposed calls; empty for any other decision."""
        return self.decision.calls if isinstance(self.decision, CallTools) else ()


@dataclass(frozen=True)
class CallState:
    """One call at its position, and its state.

    status   proposed | intended | ok | failed | denied | refused | unknown
    result   the tool's result, JSON; without a result ``message`` has the error
    error    the name of the error of a refused call
    undo     the call that would undo it, recorded with the effect
    approval None until people answered, else whether they approved
    notice   a remark for the model about the result, such as that the result is an earlier one
    repeat_of    turn and index of the earlier call whose recorded result this one got; it had no effect of its own
    on_rollback  the rollback's rule for the effect: undo, keep or freeze; recorded before the effect
    approved_by  the people who approved it
    proposed     the planner's call, if a person changed the arguments; ``call`` is the changed one
    admitted     the call with normalized arguments, as the gate recorded it; None before the gate
    recorded_files  the files that came with its result, as the log has them; see ``attachments``
    """

    turn: int
    index: int
    planner: Planner
    call: ToolCall
    status: str = "proposed"
    effect: str | None = None
    result: Any = None
    message: str = ""
    error: str = ""
    undo: ToolCall | None = None
    approval: bool | None = None
    notice: str = ""
    repeat_of: tuple[int, int] | None = None
    on_rollback: str | None = None
    approved_by: tuple[str, ...] = ()
    proposed: ToolCall | None = None
    admitted: ToolCall | None = None
    recorded_files: tuple[dict[str, Any], ...] = ()

    @property
    def position(self) -> tuple[int, int]:
        """The turn and the index."""
        return self.turn, self.index

    @property
    def attachments(self) -> tuple[Kept, ...]:
        """The files that came with its result. Raises ``LogCorrupt``."""
        return kept_files(self.recorded_files)

    @property
    def as_admitted(self) -> ToolCall:
        """The call for comparison and display: normalized, if the gate has recorded it."""
        return self.admitted or self.call

    @property
    def ended(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status not in ("proposed", "intended")

    @property
    def is_committed(self) -> bool:
        """Whether it is a write that happened, or may have happened."""
        return self.effect == "write" and self.status in ("ok", "intended", "unknown")

    def after(self, fact: Fact) -> CallState:
        """Return the state after one more fact about the call."""
        match fact:
            case CallIntended():
                return replace(
                    self,
                    status="intended",
                    effect=fact.effect,
                    undo=fact.undo,
                    on_rollback=fact.on_rollback,
                    admitted=self._admitted(fact),
                )
            case ApprovalNeeded():
                return replace(self, admitted=self._admitted(fact))
            case CallRefused():
                return replace(self, status="refused", message=fact.message, error=fact.error)
            case ApprovalAnswered():
                return self._answered(fact)
            case ApprovalVoid():
                return replace(self, approval=None, approved_by=(), message="")
            case CallSettled():
                return replace(
                    self,
                    status=fact.status,
                    result=fact.result,
                    message=fact.message,
                    undo=fact.undo or self.undo,
                    notice=fact.notice,
                    repeat_of=fact.repeat_of,
                    effect=self.effect or fact.effect,
                    admitted=self._admitted(fact),
                    recorded_files=tuple(fact.attachments),
                )
        return self

    def _answered(self, fact: ApprovalAnswered) -> CallState:
        by = tuple(one.by for one in fact.approvals) or (fact.by or "",)
        state = replace(self, approval=fact.approve, approved_by=by if fact.approve else (), message=fact.comment)
        if not fact.approve or not fact.changes_arguments:
            return state
        changed = state.call.model_copy(update={"arguments": fact.arguments})
        return replace(state, call=changed, proposed=state.proposed or state.call, admitted=None)

    def _admitted(self, fact: CallIntended | ApprovalNeeded | CallSettled) -> ToolCall | None:
        """Return the call as the gate recorded it; older versions did not record it with an approval."""
        if "arguments" not in fact.model_fields_set:
            return self.admitted
        return self.call.model_copy(update={"arguments": fact.arguments})


def kept_files(recorded: Iterable[dict[str, Any]]) -> tuple[Kept, ...]:
    """Return the files that an event has. Raises ``LogCorrupt``."""
    return tuple(parse(Kept, one, what="attachment", error=LogCorrupt) for one in recorded)


_DECIDING = frozenset({ModelResponded.NAME, PlanDecided.NAME, EscalationAnswered.NAME})


def proposal(turn: Turn) -> Proposed | None:
    """Return the last decision of a turn; None before the first."""
    deciding = [event for event in turn.events if event.name in _DECIDING]
    decided = [event.fact for event in deciding]
    match decided[-1] if decided else None:
        case ModelResponded() as fact:
            return Proposed(turn.number, Planner.AGENT, fact.decision, fact.parallel)
        case PlanDecided() as fact:
            return Proposed(turn.number, fact.planner, fact.decision, fact.parallel, fact.undoes)
        case EscalationAnswered() as fact:
            planner = Planner.REQUESTER if fact.kind == "question" else Planner.PERSON
            return Proposed(turn.number, planner, fact.decision, parallel=False)
    return None


def calls_of(turn: Turn) -> tuple[CallState, ...]:
    """Return the proposed calls of a turn with their outcomes, by position."""
    made = turn.proposal
    if made is None or not made.calls:
        return ()
    states = {index: CallState(made.turn, index, made.planner, call) for index, call in enumerate(made.calls, start=1)}
    for event in turn.events:
        if event.name.startswith("call.") and event.index in states:
            states[event.index] = states[event.index].after(event.fact)
    return tuple(states.values())


def as_sent(run: Run, at: tuple[int, int], call: ToolCall) -> ToolCall:
    """Return the call at a position as it was proposed, or as people changed it; ``call`` if there is none."""
    found = run.call(*at)
    return call if found is None else found.call
