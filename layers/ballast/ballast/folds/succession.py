"""Who is next when a planner gives up: rollback, then the intent's fallback, then a human; and why it gave up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ballast.contracts import HandOver, Planner
from ballast.contracts.exit_reason import ExitReason
from ballast.log.events import EscalationOpened, ModelRequested, ModelResponded, PlanDecided

if TYPE_CHECKING:
    from ballast.run import Run


def successor(of: Planner, run: Run, *, has_fallback: bool, starts_clean: bool = True) -> Planner:
    """Return the planner that takes over from ``of``.

    ``has_fallback`` says whether the playbook has a script for the run's intent, ``starts_clean`` whether what the
    agent did is rolled back before it. A planner that has had its turn does not get another one, except by a
    person's decision.
    """
    goes_on = has_fallback and not any(made.planner is Planner.FALLBACK for made in run.proposals.values())
    if of is Planner.AGENT and run.must_roll_back and (starts_clean or not goes_on):
        return Planner.ROLLBACK
    return Planner.FALLBACK if goes_on and of in (Planner.AGENT, Planner.ROLLBACK) else Planner.HUMAN


def why_it_stopped(run: Run) -> ExitReason | None:
    """Return why the agent was stopped, None where it was not, or goes on since.

    What came after it (the rollback, a script, the workflow's own hand-over) is a consequence and no reason.
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
            stands = run.proposals[event.turn].decision  # of a completion that came too late, not its own
            if isinstance(stands, HandOver) and stands.reason is not ExitReason.QUESTION:
                why = stands.reason
    return why


_STOPPING = frozenset({ModelResponded.NAME, PlanDecided.NAME, EscalationOpened.NAME})
