"""Where a run stands: what a status display or a person on call asks first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ballast.contracts import HandOver, Planner
from ballast.contracts.task import LAST_TURN
from ballast.folds.calls import CallState, calls, committed, proposals
from ballast.folds.opening import ending
from ballast.log.event import Event

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


def progress(events: Sequence[Event]) -> Progress:
    """Fold ``events`` into where the run stands."""
    end = ending(events)
    if end is not None and end.name == "run.refused":
        return Progress(status="refused", reason=end.body["reason"])
    if not any(event.name == "run.opened" for event in events):
        return Progress(status="unknown")
    turn = max(event.turn for event in events if event.turn < LAST_TURN)
    planner, done = _in_charge(events), committed(events)
    if end is not None:
        return Progress(
            status="ended",
            turn=turn,
            planner=planner,
            committed=done,
            by=end.body["by"],
            degraded=end.body["degraded"],
            reason=end.body.get("reason"),
        )
    pending = tuple(state for state in calls(events) if state.turn == turn and not state.ended)
    question = _open_question(events, turn, {state.index for state in pending})
    return Progress(
        status="waiting" if question else "running",
        turn=turn,
        planner=planner,
        pending=pending,
        committed=done,
        escalation_id=question.body["escalation_id"] if question else None,
        reason=question.body["reason"] if question else None,
    )


#: They are asked and answer; whoever was in charge before goes on, if they name nobody else.
_PEOPLE = (Planner.HUMAN, Planner.REQUESTER)


def _in_charge(events: Sequence[Event]) -> Planner:
    """Return who plans, or is asked."""
    made = proposals(events)
    planner = resting = Planner.AGENT
    for event in events:
        if event.name == "model.requested":
            planner = resting = Planner.AGENT
        elif event.name == "escalation.opened":
            planner = Planner.REQUESTER if event.body.get("kind") == "question" else Planner.HUMAN
        elif event.name in ("model.responded", "plan.decided", "escalation.answered"):
            stands = made[event.turn]
            if stands.planner not in _PEOPLE:
                resting = stands.planner
            planner = stands.decision.to if isinstance(stands.decision, HandOver) else resting
            if planner not in _PEOPLE:
                resting = planner
    return planner


def _open_question(events: Sequence[Event], turn: int, pending: set[int]) -> Event | None:
    """Return the oldest question of ``turn`` that no person has answered; earlier turns wait for nobody."""
    now = [event for event in events if event.turn == turn]
    answered = {(event.name, event.index, event.round) for event in now}
    for event in now:
        if event.name == "escalation.opened" and ("escalation.answered", event.index, 1) not in answered:
            return event
        asks = event.name == "call.approval_requested" and event.index in pending
        if asks and ("call.approval_answered", event.index, event.round) not in answered:
            return event
    return None
