"""Play a case and return its result."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults.invariants import broken_rules
from tests.faults.matrix import Case, Recorded
from tests.faults.play import how_it_ended, play
from tests.faults.replay import From
from tests.faults.shop import TABLES, Shop
from tests.faults.world import World

#: A case that takes longer goes round in circles.
LIMIT_S = 60


@dataclass(frozen=True)
class Result:
    """What came of a case. ``wrong`` is empty where every invariant held; ``ended`` says how the run ended."""

    scenario: str
    kind: str
    where: str
    ended: str
    wrong: tuple[str, ...]


def shop_of(world: World) -> Shop:
    """Return the shop as every case finds it."""
    world.renew(None)
    return Shop.of({table: world.items(table) for table in TABLES})


def judge(world: World, case: Case, before: Shop, recorded: Recorded | None = None) -> Result:
    """Play the case and judge it; with ``recorded`` from where it parts from the run without a fault."""
    plan = case.make()
    played_plan = From(recorded.seen.steps, case.begins_at, plan) if recorded and case.begins_at else plan
    try:
        with limited():
            played = play(world, case.scenario, played_plan)
            wrong = broken_rules(world, played, before, survivable=case.survivable)
            how = how_it_ended(world, played)
    except Exception as problem:
        return Result(case.scenario.name, case.kind, case.where, "?", (harness_broke(problem),))
    if not plan.happened:
        wrong.append("injected: the fault never happened")
    return Result(case.scenario.name, case.kind, case.where, how, tuple(wrong))


class TooLong(Exception):
    """A case does not come to an end."""


def harness_broke(problem: Exception) -> str:
    """Return what to say of a case that could not be played."""
    return f"harness: {''.join(traceback.format_exception(problem))}"


@contextmanager
def limited() -> Iterator[None]:
    """Raise ``TooLong`` in a block that takes longer."""

    def over(*_: Any) -> None:
        raise TooLong(f"more than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
