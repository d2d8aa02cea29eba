"""Samples of the dearest cases: the suite plays one of each class; FULL=1 plays them all."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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


def covering(cases: Sequence[Mapping[str, object]], most: int | None = None) -> list[int]:
    """Return the places of cases in which each value of each parameter occurs; at most ``most``, from all of them.

    A case has a value of each parameter. Of one parameter with ten values, ``most=3`` takes the first,
    the middle and the last.
    """
    missing = {pair for case in cases for pair in case.items()}
    chosen: list[int] = []
    used = Counter[tuple[str, object]]()

    def worth(at: int) -> tuple[int, int]:
        """More that is missing comes first, then what was played less often: values take turns."""
        return len(missing & cases[at].items()), -sum(used[pair] for pair in cases[at].items())

    while missing:
        best = max(range(len(cases)), key=worth)
        chosen.append(best)
        missing -= cases[best].items()
        used.update(cases[best].items())
    chosen.sort()
    if most is None or len(chosen) <= most:
        return chosen
    return [chosen[round(at * (len(chosen) - 1) / max(most - 1, 1))] for at in range(most)]


def examples(few: int, many: int) -> int:
    """Return how many examples a property is tried with."""
    return many if FULL else few
