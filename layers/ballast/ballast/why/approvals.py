"""The rounds of a call's approval in words, from all their entries: each approval, change, time-out and park."""

from __future__ import annotations

from collections.abc import Sequence

from ballast.contracts.timeline import Approval
from ballast.why.words import clock, named


def anybody(rounds: Sequence[Approval]) -> bool:
    """Whether an entry of a person stands in any of the rounds."""
    return any(one.given or one.changed_by or one.approve is not None for one in rounds)


def rounds_told(rounds: Sequence[Approval], *, goes_on: bool) -> str:
    """Return in words what became of the rounds, without a final answer; "" if there is nothing to tell.

    goes_on  the run has no ending, so people may still answer the newest round
    """
    first = rounds[0].round if rounds else 0
    clauses = [_clause(one, again=one.round != first, goes_on=goes_on) for one in rounds if not one.void]
    return "; ".join(clause for clause in clauses if clause)


def _missing(one: Approval) -> str:
    """Return how many approvals there are of how many: ``1 of 2 of finance``."""
    group = f" of {named(one.approvers, 60)}" if one.approvers else ""
    return f"{len(one.given)} of {max(one.approvals, 1)}{group}"


def _clause(one: Approval, *, again: bool, goes_on: bool) -> str:
    said = []
    if one.changed_by:
        said.append(f"{named(one.changed_by, 60)} changed its arguments, so all approvals were needed anew")
    if one.given and one.approve is not True:
        names = ", ".join(named(name, 60) for name in one.given[:4])
        more = f" and {len(one.given) - 4} more" if len(one.given) > 4 else ""
        said.append(f"{names}{more} approved ({_missing(one)})")
    until = f" until {clock(one.answer_by)}" if one.answer_by else " in time"
    if one.silent:
        said.append(f"{'nobody else' if said else 'nobody'} answered{until}")
    elif one.approve is None and (said or again):
        verb = "has answered yet" if goes_on else "answered before the end"
        said.append(f"{'nobody else' if said else 'nobody'} {verb}{f', time is{until}' if goes_on else ''}")
    if not said:
        return ""
    asked = f"asked again{' (parked, with the long time)' if one.parked else ''}, " if again else ""
    return f"{asked}{', '.join(said)}"
