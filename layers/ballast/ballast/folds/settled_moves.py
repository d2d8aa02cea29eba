"""Fold what operators found out about calls of unknown effect: whether the business's own money moved. Pure.

The copy in the log is for readers: a report stops asking for what was found out. The money follows the reservation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ballast.errors import LogCorrupt
from ballast.log.event import Event
from ballast.log.events import RunMoveSettled
from ballast.values import dataclass

#: Most characters of an operator's name.
BY_CHARS = 256


@dataclass(frozen=True)
class SettledMove:
    """What an operator found. ``at``: when it was recorded, ISO 8601."""

    turn: int
    index: int
    happened: bool
    by: str
    at: str


def settled_moves(events: Iterable[Event]) -> Mapping[tuple[int, int], SettledMove]:
    """Return what was found, by call; the first finding counts, since no other one is carried out."""
    found: dict[tuple[int, int], SettledMove] = {}
    for event in sorted((one for one in events if one.name == RunMoveSettled.NAME), key=lambda one: one.index):
        if (one := move_settled_of(event)) is not None:
            found.setdefault((one.turn, one.index), one)
    return found


def move_settled_of(event: Event) -> SettledMove | None:
    """Return the finding in ``run.move_settled``; None if it is not in the form of an operator's command."""
    try:
        said = event.fact
    except LogCorrupt:
        return None
    if not isinstance(said, RunMoveSettled) or min(said.call) < 1 or len(said.by) > BY_CHARS:
        return None
    return SettledMove(*said.call, said.happened, said.by, event.at)
