"""Play a case and say what came of it."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ballast.folds import ending
from tests.faults.invariants import broken_rules
from tests.faults.matrix import Case, Recorded
from tests.faults.play import Played, play
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
        with _limit():
            played = play(world, case.scenario, played_plan)
            wrong = broken_rules(world, played, before, survivable=case.survivable)
            how = how_it_ended(world, played)
    except Exception:
        return Result(case.scenario.name, case.kind, case.where, "?", (f"harness: {traceback.format_exc()}",))
    if not plan.happened:
        wrong.append("injected: the fault never happened")
    return Result(case.scenario.name, case.kind, case.where, how, tuple(wrong))


def how_it_ended(world: World, played: Played) -> str:
    """Return the ending in words, e.g. ``answered by agent``."""
    end = ending(world.events(played.scenario.run_id))
    if end is None:
        return "not started" if played.execution is None else f"{played.execution.status} without a log"
    if end.name == "run.refused":
        return "refused"
    return " by ".join(filter(None, (end.body["status"], end.body["by"])))


class TooLong(Exception):
    """A case does not come to an end."""


@contextmanager
def _limit() -> Iterator[None]:
    def over(*_: Any) -> None:
        raise TooLong(f"more than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
