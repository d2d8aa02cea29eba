"""What was proposed in each turn, what became of each call, and what would have to be undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ballast.contracts import Answer, CallTools, Event, HandOver, Planner, ToolCall
from ballast.contracts.decision import recorded_decision


@dataclass(frozen=True)
class Proposed:
    """The decision of one turn and who made it. ``parallel``: none of its calls writes."""

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
    """One call at its position and what became of it.

    status   proposed | intended | ok | failed | denied | refused | unknown
    result   what the tool returned, JSON; ``message`` says what went wrong instead
    error    the name of the error of a refused call
    undo     the call that would undo it, recorded with the effect
    approval None while nobody was asked or answered, else whether it was approved
    notice   what the model must be told of the result, such as that it is an earlier one
    repeat_of    turn and index of the call whose recorded result this one got; it had no effect of its own
    on_rollback  what a rollback does about the effect: undo, keep or freeze; recorded before it
    approved_by  who let it happen
    proposed     what the planner had proposed, where a person changed the arguments; ``call`` is what may act
    admitted     the call with its arguments in their one form, as the gate recorded it; None before the gate
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

    @property
    def as_admitted(self) -> ToolCall:
        """The call as it is compared and shown: in its one form, where the gate has recorded that."""
        return self.admitted or self.call

    @property
    def ended(self) -> bool:
        """Whether its outcome is recorded."""
        return self.status not in ("proposed", "intended")


def proposals(events: Sequence[Event]) -> Mapping[int, Proposed]:
    """Return the decision of each turn, by turn.

    A completion that came after its turn was cut is there as well; it was never executed.
    """
    found: dict[int, Proposed] = {}
    for event in events:
        if event.name == "model.responded":
            planner = Planner.AGENT
        elif event.name == "plan.decided":
            planner = Planner(event.body["planner"])
        elif event.name == "escalation.answered":
            planner = Planner.REQUESTER if event.body.get("kind") == "question" else Planner.HUMAN
        else:
            continue
        undoes = event.body.get("undoes")
        found[event.turn] = Proposed(
            turn=event.turn,
            planner=planner,
            decision=recorded_decision(event.body["decision"]),
            parallel=bool(event.body.get("parallel", False)),
            undoes=(undoes[0], undoes[1]) if undoes else None,
        )
    return found


def calls(events: Sequence[Event]) -> tuple[CallState, ...]:
    """Return every proposed call with its outcome, in the order of the work."""
    states = {
        (made.turn, position): CallState(made.turn, position, made.planner, call)
        for made in proposals(events).values()
        for position, call in enumerate(made.calls, start=1)
    }
    for event in events:
        key = (event.turn, event.index)
        if not event.name.startswith("call.") or key not in states:
            continue
        states[key] = _after(states[key], event)
    return tuple(states[key] for key in sorted(states))


def as_sent(events: Sequence[Event], at: tuple[int, int], call: ToolCall) -> ToolCall:
    """Return the call at a position as it was proposed, or as people changed it; ``call`` where none is there."""
    return next((state.call for state in calls(events) if (state.turn, state.index) == at), call)


def _after(state: CallState, event: Event) -> CallState:
    body = event.body
    if event.name == "call.intended":
        return replace(
            state,
            status="intended",
            effect=body["effect"],
            undo=_call(body.get("undo")),
            on_rollback=body.get("on_rollback"),
            admitted=_admitted(state, body),
        )
    if event.name == "call.approval_needed":
        return replace(state, admitted=_admitted(state, body))
    if event.name == "call.refused":
        return replace(state, status="refused", message=body["message"], error=body.get("error", ""))
    if event.name == "call.approval_answered":
        return _answered(state, body)
    if event.name == "call.approval_void":
        return replace(state, approval=None, approved_by=(), message="")
    if event.name == "call.settled":
        repeat_of = body.get("repeat_of")
        return replace(
            state,
            status=body["status"],
            result=body.get("result"),
            message=body.get("message", ""),
            undo=_call(body.get("undo")) or state.undo,
            notice=body.get("notice", ""),
            repeat_of=(repeat_of[0], repeat_of[1]) if repeat_of else None,
        )
    return state


def _answered(state: CallState, body: Mapping[str, Any]) -> CallState:
    approve = body["approve"]
    given = body.get("approvals") or [{"by": body.get("by", "")}]
    state = replace(
        state,
        approval=approve,
        approved_by=tuple(one["by"] for one in given) if approve else (),
        message=body.get("comment", ""),
    )
    if not approve or "arguments" not in body:
        return state
    changed = state.call.model_copy(update={"arguments": body["arguments"]})
    return replace(state, call=changed, proposed=state.proposed or state.call, admitted=None)


def _admitted(state: CallState, body: Mapping[str, Any]) -> ToolCall | None:
    """Return the call as the gate recorded it; an older version recorded none with an approval."""
    if "arguments" not in body:
        return state.admitted
    return state.call.model_copy(update={"arguments": body["arguments"]})


def _call(data: Any) -> ToolCall | None:
    return ToolCall(tool=data["tool"], arguments=data["arguments"]) if data else None


def find_call(events: Sequence[Event], turn: int, index: int) -> CallState | None:
    """Return the call at that position, or None where nobody proposed it."""
    return next((state for state in calls(events) if (state.turn, state.index) == (turn, index)), None)


def committed(events: Sequence[Event]) -> tuple[CallState, ...]:
    """Return the writes that happened, or may have happened, in order."""
    return tuple(
        state for state in calls(events) if state.effect == "write" and state.status in ("ok", "intended", "unknown")
    )
