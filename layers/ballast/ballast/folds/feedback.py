"""Fold what people say of a run afterwards into each person's newest words. Pure.

Nothing in Ballast acts on feedback: it is not signed, and it changes neither the run nor its money. It selects runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from ballast.contracts.person import same_person
from ballast.errors import LogCorrupt
from ballast.log.event import Event
from ballast.log.events import RunFeedback
from ballast.values import dataclass

Verdict = Literal["right", "wrong"]
VERDICTS: tuple[str, ...] = get_args(Verdict)
#: Most characters of a note and of an identity.
NOTE_CHARS, BY_CHARS = 2_000, 256


@dataclass(frozen=True)
class Feedback:
    """One person's newest words. ``at``: when they were recorded, ISO 8601; ``role``: by which right they spoke."""

    verdict: Verdict
    by: str
    role: str
    note: str
    at: str
    number: int


def feedback_in(events: Iterable[Event]) -> tuple[Feedback, ...]:
    """Return each person's newest feedback, in the order in which it was given; what no person gives is left out."""
    newest: list[Feedback] = []
    given = (event for event in events if event.name == RunFeedback.NAME)
    for event in sorted(given, key=lambda event: event.index):
        one = feedback_of(event)
        if one is not None:
            newest = [other for other in newest if not same_person(other.by, one.by)] + [one]
    return tuple(newest)


def verdict_of(given: Iterable[Feedback]) -> Verdict | None:
    """Return wrong if anybody says so, else right; None if nobody said anything."""
    said = {one.verdict for one in given}
    return "wrong" if "wrong" in said else "right" if said else None


def feedback_of(event: Event) -> Feedback | None:
    """Return the feedback in ``run.feedback``; None if it is not in the form in which people give it."""
    try:
        said = event.fact
    except LogCorrupt:
        return None
    if not isinstance(said, RunFeedback) or said.verdict not in VERDICTS:
        return None
    if not 0 < len(said.by) <= BY_CHARS or len(said.note) > NOTE_CHARS:
        return None
    verdict: Verdict = "wrong" if said.verdict == "wrong" else "right"
    return Feedback(verdict, said.by, said.role, said.note, event.at, said.number)
