"""Approvals: the rounds of asking people about a call, and their answers.

Each round asks once. An approval that is no longer valid is void, and a new round asks again::

    needed (by the executor: the reason and the binding) ─▶ requested (people are asked)
      ─▶ given … (one of several) ─▶ answered: approved │ rejected │ nobody answered in time
      ─▶ void (the bound values have changed) ─▶ needed, round 2
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ballast.contracts import ToolCall
from ballast.folds.calls import Identity, as_sent, asks_the_same, identity
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalGiven,
    ApprovalNeeded,
    ApprovalRequested,
    ApprovalVoid,
    CallSettled,
    EscalationAnswered,
    Fact,
)
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run


@dataclass(frozen=True)
class ApprovalRound:
    """One request for the approval of one call.

    needed     the reason and the binding; None if an older version asked
    requested  the request to people
    given      the approvals so far, if several people must approve
    answer     None before an answer; its ``approve`` is None if nobody answered in time
    void       what had changed before the approved call could act
    """

    number: int
    needed: ApprovalNeeded | None = None
    requested: ApprovalRequested | None = None
    given: tuple[ApprovalGiven, ...] = ()
    answer: ApprovalAnswered | None = None
    void: ApprovalVoid | None = None

    @property
    def unanswered(self) -> bool:
        """Whether nobody answered in time. That is not a rejection."""
        return self.answer is not None and self.answer.approve is None

    @property
    def parked(self) -> bool:
        """Whether people have the long time, because nobody answered in the short one."""
        return self.needed is not None and self.needed.parked

    def _after(self, fact: Fact) -> ApprovalRound:
        match fact:
            case ApprovalNeeded():
                return replace(self, needed=fact)
            case ApprovalRequested():
                return replace(self, requested=fact)
            case ApprovalGiven():
                return replace(self, given=(*self.given, fact))
            case ApprovalAnswered():
                return replace(self, answer=fact)
            case ApprovalVoid():
                return replace(self, void=fact)
        return self


def approval_rounds(run: Run, turn: int, index: int) -> tuple[ApprovalRound, ...]:
    """Return the rounds of asking about the call at that position, oldest first."""
    rounds: dict[int, ApprovalRound] = {}
    for event in run.turn(turn).events:
        if event.index == index and event.name.startswith("call.approval_"):
            known = rounds.get(event.round, ApprovalRound(event.round))
            rounds[event.round] = known._after(event.fact)
    return tuple(rounds[number] for number in sorted(rounds))


def approval_given_up(run: Run, turn: int) -> bool:
    """Return whether nobody answered a call's approval in that turn, and the tool's rule is to hand over."""
    settled = (event.fact for event in run.turn(turn).by_name.get(CallSettled.NAME, ()))
    return any(isinstance(one, CallSettled) and one.unanswered == "fallback" for one in settled)


def decided_by_operator(run: Run, turn: int) -> bool:
    """Return whether an operator proposed the calls of that turn."""
    answered = run.fact(EscalationAnswered, turn)
    return answered is not None and answered.role == "operator"


@dataclass(frozen=True)
class Rejection:
    """A person's rejection of the call at ``turn`` and ``index``."""

    turn: int
    index: int
    by: str
    comment: str


def rejected(run: Run, state: CallState) -> tuple[ToolCall, ...]:
    """Return the call that people rejected, in each form that it had: as proposed, and as somebody changed it.

    Empty if nobody rejected it; a missing answer is not a rejection.
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
    """Return the rejection of the same call before ``at``, if it is people's last answer to that call; else None."""
    decided = run.gathered("decided calls", lambda turn: (one for one in turn.calls if one.approval is not None))
    before = [state for state in decided if state.position < at]
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
