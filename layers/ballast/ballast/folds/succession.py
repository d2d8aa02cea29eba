"""Who is next when a planner gives up: rollback, then the intent's fallback, then a human."""

from collections.abc import Sequence

from ballast.contracts import Event, Planner
from ballast.folds.calls import proposals, to_undo


def successor(of: Planner, events: Sequence[Event], *, has_fallback: bool) -> Planner:
    """Return the planner that takes over from ``of``.

    ``has_fallback`` says whether the playbook has a script for the run's intent. A planner that
    has had its turn does not get another one, except by a person's decision.
    """
    if of is Planner.AGENT and to_undo(events):
        return Planner.ROLLBACK
    tried = any(made.planner is Planner.FALLBACK for made in proposals(events).values())
    if of in (Planner.AGENT, Planner.ROLLBACK) and has_fallback and not tried:
        return Planner.FALLBACK
    return Planner.HUMAN
