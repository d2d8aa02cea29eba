"""Which calls people were asked about and said no to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballast.contracts import ToolCall
from ballast.folds.calls import as_sent
from ballast.folds.sameness import Identity, asks_the_same, identity
from ballast.log.events import ApprovalGiven

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run


@dataclass(frozen=True)
class Rejection:
    """A person's no: to the call at ``turn`` and ``index``, by whom, in what words."""

    turn: int
    index: int
    by: str
    comment: str


def rejected(run: Run, state: CallState) -> tuple[ToolCall, ...]:
    """Return the call that people rejected, in each form that it had: as proposed, and as somebody changed it.

    Empty where nobody did. That nobody answered is no rejection.
    """
    if state.approval is not False:
        return ()
    changed = [given for given in run.facts(ApprovalGiven) if given.at == state.position and given.changes_arguments]
    return (state.as_admitted, *(state.call.model_copy(update={"arguments": one.arguments}) for one in changed))


def rejected_before(
    run: Run,
    at: tuple[int, int],
    call: ToolCall,
    same: Identity = identity,
) -> Rejection | None:
    """Return the rejection of the same call before ``at``, where that is the last that people said to it; else None."""
    before = [state for state in run.calls if state.position < at and state.approval is not None]
    sent = as_sent(run, at, call)
    for state in sorted(before, key=lambda one: one.position, reverse=True):
        forms = rejected(run, state) or (state.as_admitted,)
        if any(asks_the_same(call, sent, form, state.call, same) for form in forms):
            return None if state.approval else _rejection(run, state)
    return None


def _rejection(run: Run, state: CallState) -> Rejection:
    answers = (one.answer for one in run.approvals(*state.position))
    said = next((one for one in answers if one is not None and one.approve is False), None)
    by, comment = (said.by, said.comment) if said is not None else (None, "")
    return Rejection(*state.position, by or "a person", comment)
