"""Which calls people were asked about and said no to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import Event, ToolCall
from ballast.folds.approvals import approval_rounds
from ballast.folds.calls import CallState, as_sent, calls
from ballast.folds.sameness import asks_the_same, identity


@dataclass(frozen=True)
class Rejection:
    """A person's no: to the call at ``turn`` and ``index``, by whom, in what words."""

    turn: int
    index: int
    by: str
    comment: str


def rejected(events: Sequence[Event], state: CallState) -> tuple[ToolCall, ...]:
    """Return the call that people rejected, in each form that it had: as proposed, and as somebody changed it.

    Empty where nobody did. That nobody answered is no rejection.
    """
    if state.approval is not False:
        return ()
    given = (event.body for event in events if (event.turn, event.index) == (state.turn, state.index))
    changed = [body["arguments"] for body in given if body.get("changed") and "arguments" in body]
    return (state.as_admitted, *(state.call.model_copy(update={"arguments": arguments}) for arguments in changed))


def rejected_before(
    events: Sequence[Event],
    at: tuple[int, int],
    call: ToolCall,
    same: Callable[[ToolCall], str] = identity,
) -> Rejection | None:
    """Return the rejection of the same call before ``at``, where that is the last that people said to it; else None."""
    before = [state for state in calls(events) if (state.turn, state.index) < at and state.approval is not None]
    sent = as_sent(events, at, call)
    for state in sorted(before, key=lambda one: (one.turn, one.index), reverse=True):
        forms = rejected(events, state) or (state.as_admitted,)
        if any(asks_the_same(call, sent, form, state.call, same) for form in forms):
            return None if state.approval else _rejection(events, state)
    return None


def _rejection(events: Sequence[Event], state: CallState) -> Rejection:
    answers = (one.answer for one in approval_rounds(events, state.turn, state.index))
    said: Mapping[str, Any] = next((one for one in answers if one is not None and one.get("approve") is False), {})
    return Rejection(state.turn, state.index, str(said.get("by") or "a person"), str(said.get("comment") or ""))
