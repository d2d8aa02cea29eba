"""Progress: the status of a run, the next planner, and why the agent stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ballast.contracts import HandOver, Planner
from ballast.contracts.decision import ExitReason
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
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.folds.calls import CallState
    from ballast.run import Run


Status = Literal["unknown", "running", "waiting", "ended", "refused"]


@dataclass(frozen=True)
class Progress:
    """A run at one moment.

    status      unknown before the log has an opening; waiting while a person or the requester is asked
    turn        the newest turn with an entry; 0 before the first
    planner     the planner in charge of that turn; after a hand-over, of the next turn
    pending     that turn's calls without an outcome
    committed   the writes that happened, or may have happened
    escalation_id  the open escalation, approval or question to the requester; None if there is none
    by, degraded   of an ended run: the planner that answered, and whether that was not the agent
    reason      why it waits, was refused or ended; None if there is no reason
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
    """Return the run's progress."""
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
    asked = _open_escalation(run, turn, {state.index for state in pending})
    return Progress(
        status="waiting" if asked else "running",
        turn=turn,
        planner=planner,
        pending=pending,
        committed=run.committed,
        escalation_id=asked.escalation_id if asked else None,
        reason=asked.reason if asked else None,
    )


#: People answer, and then the planner before them continues, unless they name another one.
_PEOPLE = (Planner.PERSON, Planner.REQUESTER)
_DECISIONS = frozenset({ModelResponded.NAME, PlanDecided.NAME, EscalationAnswered.NAME})


def _in_charge(run: Run) -> Planner:
    """Return the planner in charge, or the people who are asked."""
    planner = resting = Planner.AGENT
    for event in run:
        if event.name == ModelRequested.NAME:
            planner = resting = Planner.AGENT
        elif event.name == EscalationOpened.NAME:
            opened = run.fact(EscalationOpened, event.turn)
            planner = Planner.REQUESTER if opened is not None and opened.kind == "question" else Planner.PERSON
        elif event.name in _DECISIONS:
            stands = run.proposals[event.turn]
            if stands.planner not in _PEOPLE:
                resting = stands.planner
            planner = stands.decision.to if isinstance(stands.decision, HandOver) else resting
            if planner not in _PEOPLE:
                resting = planner
    return planner


def _open_escalation(run: Run, turn: int, pending: set[int]) -> EscalationOpened | ApprovalRequested | None:
    """Return the oldest escalation of ``turn`` without an answer; earlier turns have none."""
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


def successor(of: Planner, run: Run, *, has_fallback: bool, starts_clean: bool = True) -> Planner:
    """Return the planner that takes over from ``of``.

    ``has_fallback``: the playbook has a script for the run's intent. ``starts_clean``: the agent's effects are rolled
    back before the script starts. A planner that was replaced does not come back, except by a person's decision.
    """
    goes_on = has_fallback and not any(made.planner is Planner.FALLBACK for made in run.proposals.values())
    if of is Planner.AGENT and run.must_roll_back and (starts_clean or not goes_on):
        return Planner.ROLLBACK
    return Planner.FALLBACK if goes_on and of in (Planner.AGENT, Planner.ROLLBACK) else Planner.PERSON


def why_it_stopped(run: Run) -> ExitReason | None:
    """Return why the agent was stopped; None if it was not stopped, or has continued since.

    Later hand-overs (of the rollback, of a script, by the workflow) are consequences and do not change the reason.
    """
    why: ExitReason | None = None
    for event in run:
        if event.name == ModelRequested.NAME:
            why = None  # it goes on
            continue
        if event.name not in _STOPPING or why is not None:
            continue
        fact = event.fact
        cut = fact.handed_over if isinstance(fact, PlanDecided | EscalationOpened) else None
        if cut is not None:
            why = cut.reason
        elif isinstance(fact, ModelResponded | PlanDecided):
            stands = run.proposals[event.turn].decision  # not the decision of a completion that came too late
            if isinstance(stands, HandOver) and stands.reason is not ExitReason.QUESTION:
                why = stands.reason
    return why


_STOPPING = frozenset({ModelResponded.NAME, PlanDecided.NAME, EscalationOpened.NAME})
