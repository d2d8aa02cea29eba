"""Samples of the dearest cases: the suite plays one of each class; FULL=1 plays them all."""

import os
from collections.abc import Iterable, Sequence
from itertools import product
from typing import TypeVar

One = TypeVar("One")
Other = TypeVar("Other")

FULL = os.environ.get("FULL") == "1"


def dealt(cases: Iterable[One], others: Iterable[Other], full: bool = FULL) -> list[tuple[One, Other]]:
    """Return pairs in which each case and each of the others occurs; with ``full`` every pair."""
    some, more = list(cases), list(others)
    if full:
        return list(product(some, more))
    return [(some[at % len(some)], more[at % len(more)]) for at in range(max(len(some), len(more)))]


def sampled(cases: Sequence[One], few: Sequence[One], full: bool = FULL) -> Sequence[One]:
    """Return one case of each class; with ``full`` all ``cases``."""
    assert all(one in cases for one in few)
    return cases if full else few


def examples(few: int, many: int) -> int:
    """Return how many examples a property is tried with."""
    return many if FULL else few
