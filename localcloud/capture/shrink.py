"""Delta debugging: the fewest parts of a list with which a property still holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

One = TypeVar("One")


class NoMoreTries(Exception):
    """The bound of tries is reached."""


def ddmin(parts: Sequence[One], holds: Callable[[Sequence[One]], bool]) -> list[One]:
    """Return a part of ``parts`` from which nothing can be left out, for which ``holds`` as for the whole.

    Zeller's and Hildebrandt's ddmin, with the empty list tried first: complements of ever smaller pieces are tried
    until leaving out any single part makes the property fail. ``holds(parts)`` must be true, and is not asked again.
    """
    kept = list(parts)
    if not kept or holds([]):
        return []
    pieces = 2
    while len(kept) > 1:
        size = -(-len(kept) // pieces)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if rest and holds(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(pieces * 2, len(kept))
    return kept
