"""Who is next when a planner gives up: rollback, then the intent's fallback, then a human; and why it gave up."""

from collections.abc import Sequence

from ballast.contracts import HandOver, Planner
from ballast.contracts.exit_reason import ExitReason
from ballast.folds.calls import proposals
from ballast.folds.effects import must_roll_back
from ballast.log.event import Event


def successor(of: Planner, events: Sequence[Event], *, has_fallback: bool, starts_clean: bool = True) -> Planner:
    """Return the planner that takes over from ``of``.

    ``has_fallback`` says whether the playbook has a script for the run's intent, ``starts_clean`` whether what the
    agent did is rolled back before it. A planner that has had its turn does not get another one, except by a
    person's decision.
    """
    goes_on = has_fallback and not any(made.planner is Planner.FALLBACK for made in proposals(events).values())
    if of is Planner.AGENT and must_roll_back(events) and (starts_clean or not goes_on):
        return Planner.ROLLBACK
    return Planner.FALLBACK if goes_on and of in (Planner.AGENT, Planner.ROLLBACK) else Planner.HUMAN


def why_it_stopped(events: Sequence[Event]) -> ExitReason | None:
    """Return why the agent was stopped, None where it was not, or goes on since.

    What came after it (the rollback, a script, the workflow's own hand-over) is a consequence and no reason.
    """
    made, why = proposals(events), None
    for event in events:
        if event.name == "model.requested":
            why = None  # it goes on
            continue
        cut = event.body.get("handed_over") if event.name in ("plan.decided", "escalation.opened") else None
        decision = made[event.turn].decision if event.name in ("model.responded", "plan.decided") else None
        if why is None and cut:
            why = ExitReason(cut["reason"])
        if why is None and isinstance(decision, HandOver) and decision.reason is not ExitReason.QUESTION:
            why = ExitReason(decision.reason)
    return why
