"""Where a run stands: what a status display or a person on call asks first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ballast.contracts import HandOver, Planner
from ballast.contracts.task import LAST_TURN
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalRequested,
    EscalationAnswered,
    EscalationOpened,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunEnded,
    RunRefused,
)

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run

Status = Literal["unknown", "running", "waiting", "ended", "refused"]


@dataclass(frozen=True)
class Progress:
    """A run at one moment.

    status      unknown before the log has an opening; waiting while a person or the requester is asked
    turn        the newest turn with an entry; 0 before the first
    planner     in charge of that turn, or of the next one where it has handed over
    pending     that turn's calls without an outcome
    committed   the writes that happened, or may have happened
    escalation_id  what waits for a person, if anything does: an escalation, an approval, a question to the requester
    by, degraded   of an ended run: whose answer it is, and whether that is not the agent
    reason      why it waits, was refused or ended as it did; None where there is nothing to say
    """

    status: Status
    turn: int = 0
    planner: Planner = Planner.AGENT
    pending: tuple[CallState, ...] = ()
    committed: tuple[CallState, ...] = ()
    escalation_id: str | None = None
    by: str | None = None
    degraded: bool | None = None
    reason: str | None = None


def progress(run: Run) -> Progress:
    """Return where the run stands."""
    ended = run.ending
    if isinstance(ended, RunRefused):
        return Progress(status="refused", reason=ended.reason)
    if not run.is_open:
        return Progress(status="unknown")
    turn = max(event.turn for event in run if event.turn < LAST_TURN)
    planner = _in_charge(run)
    if isinstance(ended, RunEnded):
        return Progress(
            status="ended",
            turn=turn,
            planner=planner,
            committed=run.committed,
            by=ended.by,
            degraded=ended.degraded,
            reason=ended.reason,
        )
    pending = tuple(state for state in run.calls if state.turn == turn and not state.ended)
    asked = _open_question(run, turn, {state.index for state in pending})
    return Progress(
        status="waiting" if asked else "running",
        turn=turn,
        planner=planner,
        pending=pending,
        committed=run.committed,
        escalation_id=asked.escalation_id if asked else None,
        reason=asked.reason if asked else None,
    )


#: They are asked and answer; whoever was in charge before goes on, if they name nobody else.
_PEOPLE = (Planner.HUMAN, Planner.REQUESTER)
_DECIDING = frozenset({ModelResponded.NAME, PlanDecided.NAME, EscalationAnswered.NAME})


def _in_charge(run: Run) -> Planner:
    """Return who plans, or is asked."""
    planner = resting = Planner.AGENT
    for event in run:
        if event.name == ModelRequested.NAME:
            planner = resting = Planner.AGENT
        elif event.name == EscalationOpened.NAME:
            opened = run.fact(EscalationOpened, event.turn)
            planner = Planner.REQUESTER if opened is not None and opened.kind == "question" else Planner.HUMAN
        elif event.name in _DECIDING:
            stands = run.proposals[event.turn]
            if stands.planner not in _PEOPLE:
                resting = stands.planner
            planner = stands.decision.to if isinstance(stands.decision, HandOver) else resting
            if planner not in _PEOPLE:
                resting = planner
    return planner


def _open_question(run: Run, turn: int, pending: set[int]) -> EscalationOpened | ApprovalRequested | None:
    """Return the oldest question of ``turn`` that no person has answered; earlier turns wait for nobody."""
    for event in run:
        if event.turn != turn:
            continue
        if event.name == EscalationOpened.NAME and EscalationAnswered.key(turn) not in run.by_seq:
            return run.fact(EscalationOpened, turn)
        if event.name == ApprovalRequested.NAME and event.index in pending:
            at = turn, event.index, event.round
            if ApprovalAnswered.key(*at) not in run.by_seq:
                return run.fact(ApprovalRequested, *at)
    return None
