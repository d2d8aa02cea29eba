"""The part of one process among several. It has its own module because a spawned process imports it by name.

Each process has a world of its own, which it makes once and never leaves.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.faults.desk import Ran, run_of
from tests.faults.judge import Result, judge, shop_of
from tests.faults.matrix import Case, Recorded, all_cases
from tests.faults.scenarios import NOT_IN_A_RUN
from tests.faults.shop import Shop
from tests.faults.world import World, world


@dataclass(frozen=True)
class Process:
    """A process's world, its shop, and the matrix as it derived it: the same in every process."""

    world: World
    before: Shop
    recorded: Sequence[Recorded] = ()
    cases: Sequence[tuple[Recorded, Case]] = ()
    keeps: ExitStack = field(default_factory=ExitStack)


_MINE: list[Process] = []


def begin(every: int, times: int) -> None:
    """Make this process's world, and derive every so many-th case; none where ``every`` is 0."""
    keeps = ExitStack()
    made = keeps.enter_context(world())
    derived = all_cases(made, times=times) if every else []
    cases = [(recorded, case) for recorded, cases in derived for case in cases]
    mine = Process(made, shop_of(made), [recorded for recorded, _ in derived], cases[:: every or 1], keeps)
    gc.collect()
    gc.freeze()  # what stands now stays
    _MINE.append(mine)


def end() -> None:
    """Leave the world; for a caller that is not a process of its own."""
    _MINE.pop().keeps.close()


def mine() -> Process:
    """Return this process's world and matrix."""
    return _MINE[0]


@dataclass(frozen=True)
class Derived:
    """How many cases there are, how each scenario ends without a fault, and which functions none invokes."""

    cases: int
    usual: dict[str, str]
    not_invoked: tuple[str, ...]


def derived() -> Derived:
    """Return what ``begin`` found."""
    mine = _MINE[0]
    usual, invoked = {}, set[str]()
    for recorded in mine.recorded:
        usual[recorded.played.scenario.name] = recorded.ended
        invoked |= {invocation.function for invocation in recorded.played.invocations}
    return Derived(len(mine.cases), usual, tuple(sorted(set(mine.world.functions) - invoked - set(NOT_IN_A_RUN))))


def play_some(begin_at: int, end_at: int) -> list[Result]:
    """Play the cases from ``begin_at`` to before ``end_at``."""
    mine = _MINE[0]
    return [judge(mine.world, case, mine.before, recorded) for recorded, case in mine.cases[begin_at:end_at]]


def run_some(seeds: Sequence[int]) -> list[Ran]:
    """Run the desk under a random mix of faults, once for each seed."""
    mine = _MINE[0]
    return [run_of(mine.world, seed, mine.before) for seed in seeds]
