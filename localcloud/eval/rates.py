"""Pass rates: an interval for one, and the exact test whether it became worse. Pure.

The interval is Wilson's. The test is Fisher's, over several cases with each case's numbers kept apart: it asks how
likely so few passes are if nothing changed, given how many passed before and now together. It assumes nothing of the
size of the samples, so with few of them it finds little and never more false regressions than its level says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import comb, sqrt

#: Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054
#: How likely an eval may call anything a regression, of all its cases together, although nothing changed.
LEVEL = 0.05


@dataclass(frozen=True)
class Rate:
    """How many of so many samples passed."""

    passed: int
    played: int

    def __post_init__(self) -> None:
        if not 0 <= self.passed <= self.played:
            raise ValueError(f"{self.passed} of {self.played} cannot have passed")

    @property
    def share(self) -> float:
        """The share that passed; 0 if none was played."""
        return self.passed / self.played if self.played else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval at 95 %: where the true rate lies. Without a sample: anywhere."""
        if not self.played:
            return 0.0, 1.0
        n, squared = self.played, _Z * _Z
        middle = (self.passed + squared / 2) / (n + squared)
        half = _Z / (n + squared) * sqrt(self.passed * (n - self.passed) / n + squared / 4)
        low = 0.0 if self.passed == 0 else max(0.0, middle - half)
        high = 1.0 if self.passed == n else min(1.0, middle + half)
        return low, high

    def reaches(self, permille: int) -> bool:
        """Return whether at least so many thousandths passed. Exact."""
        return self.played > 0 and 1000 * self.passed >= permille * self.played


def together(rates: Iterable[Rate]) -> Rate:
    """Return the rate of all samples."""
    kept = list(rates)
    return Rate(sum(one.passed for one in kept), sum(one.played for one in kept))


def chance(pairs: Iterable[tuple[Rate, Rate]]) -> float:
    """Return how likely so few passes, or fewer, are in the second of each pair if no rate changed.

    The exact conditional test, stratified by pair; of one pair it is Fisher's, one-sided.
    """
    total, least, chances = 0, 0, [1.0]
    for old, new in pairs:
        total += new.passed
        at_least, of_pair = _passes(old, new)
        least += at_least
        chances = _sum(chances, of_pair)
    return min(1.0, sum(chances[: total - least + 1]))


def _passes(old: Rate, new: Rate) -> tuple[int, list[float]]:
    """Return the fewest possible passes of ``new``, and the chance of each number from there on."""
    passed, played = old.passed + new.passed, old.played + new.played
    fewest, most = max(0, passed - old.played), min(new.played, passed)
    ways = comb(played, new.played)
    return fewest, [
        comb(passed, count) * comb(played - passed, new.played - count) / ways for count in range(fewest, most + 1)
    ]


def _sum(one: list[float], other: list[float]) -> list[float]:
    made = [0.0] * (len(one) + len(other) - 1)
    for at, chance_of_one in enumerate(one):
        for beside, chance_of_other in enumerate(other):
            made[at + beside] += chance_of_one * chance_of_other
    return made


def shown(chances: Mapping[str, float], level: float = LEVEL) -> frozenset[str]:
    """Return the names whose chance is so small that it counts, of all together at ``level`` (Holm's procedure)."""
    found: set[str] = set()
    for at, (name, one) in enumerate(sorted(chances.items(), key=lambda item: (item[1], item[0]))):
        if one > level / (len(chances) - at):
            break
        found.add(name)
    return frozenset(found)
