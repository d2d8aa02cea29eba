"""Who is next when a planner gives up: rollback, then the intent's fallback, then a human."""

from collections.abc import Sequence

from ballast.contracts import Event, Planner
from ballast.folds.calls import proposals
from ballast.folds.effects import must_roll_back


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
