"""``python -m bench.leases``: many runs at once against one tenant's window, with processes that die.

The real functions of ``functions/lifecycle`` on tables in memory whose transactions are DynamoDB's (a test compares
them with moto's), 32 threads, and one hour of one tenant that has room for a part of the runs. Before and after each
request a process may die; a transaction may meet another one; an agent may die between its reservation and its
outcome; a third of the runs is aborted, and half of those aborts send no event. At the end the sweeper
runs.

Must be zero: micro-dollars beyond the window at any moment, lost leases, and the difference
between the windows and the logs.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ballast.contracts import LimitsPatch, RunRequest
from ballast.errors import NotAdmitted, RetryLater
from ballast.run import Run
from bench import NotMeasured, require
from tests.functions.lifecycle.world import Died, World
from tests.support.tables_in_memory import Tables

TENANT, WINDOW = "acme", "hour#2026-03-01T12"
CEILING, LIMIT = 10_000, 2_000_000
WINDOW_LIMITS = {"TENANT_HOUR_USD": "2", "TENANT_RUNS": "1000000", "ACCOUNT_RUNS": "1000000"}
#: Probabilities: of a process's death at one moment, of a conflict, of an agent's death.
DEATH, CONFLICT, AGENT_DEATH = 0.03, 0.02, 0.05
_TRIES = 200


class Peaks(Tables):
    """Tables that record the maximum ever taken from a window."""

    def __init__(self, conflicts: Any) -> None:
        super().__init__(conflicts)
        self.peaks: dict[tuple[str, str], int] = {}

    def _store(self, change: Any) -> None:
        super()._store(change)
        item = change.after
        if item is not None and "taken_microusd" in item:
            key = item["account"]["S"], item["window"]["S"]
            self.peaks[key] = max(self.peaks.get(key, 0), int(item["taken_microusd"]["N"]))


@dataclass
class Figures:
    """The result of a measurement."""

    runs: int
    threads: int
    admitted: int = 0
    refused: int = 0
    deaths: int = 0
    cut: int = 0
    swept: int = 0
    peak_microusd: int = 0
    windows_microusd: int = 0
    logs_microusd: int = 0
    lost_leases: int = 0
    seconds: float = 0.0

    @property
    def overspend_microusd(self) -> int:
        """The amount beyond the limit at any moment."""
        return max(0, self.peak_microusd - LIMIT)

    @property
    def holds(self) -> bool:
        """Whether everything that must be zero is zero."""
        return not self.overspend_microusd and not self.lost_leases and self.windows_microusd == self.logs_microusd

    def lines(self) -> Iterator[str]:
        """Yield the printed lines."""
        yield f"{self.runs} runs over {self.threads} threads, ceiling {CEILING} each, window {LIMIT} (micro-dollars)"
        yield f"  admitted {self.admitted}, refused {self.refused}, cut from outside {self.cut}"
        yield f"  deaths of processes {self.deaths}, leases settled by the sweeper {self.swept}, {self.seconds:.1f} s"
        yield f"  most ever taken        {self.peak_microusd:>9}"
        yield f"  overspend              {self.overspend_microusd:>9}"
        yield f"  leases lost            {self.lost_leases:>9}"
        yield f"  in the window at last  {self.windows_microusd:>9}"
        yield f"  by the logs            {self.logs_microusd:>9}"


@dataclass
class Crowd:
    """The runs of one measurement."""

    seed: int
    dice: threading.local = field(default_factory=threading.local)
    deaths: int = 0

    def __post_init__(self) -> None:
        self._counting = threading.Lock()
        self.tables = Peaks(lambda: self.chance(CONFLICT))
        self.world = World(self._burn, WINDOW_LIMITS, tables=self.tables)

    def chance(self, probability: float) -> bool:
        """Draw from this thread's random numbers; outside of a run nothing fails."""
        thrown: random.Random | None = getattr(self.dice, "of_run", None)
        return thrown is not None and thrown.random() < probability

    def _burn(self) -> None:
        if self.chance(DEATH):
            with self._counting:
                self.deaths += 1
            raise Died

    def again(self, do: Any) -> bool:
        """Repeat until it succeeds, as the workflow's retries do; return whether the run was admitted."""
        for _ in range(_TRIES):
            try:
                do()
            except (Died, RetryLater):
                continue
            except NotAdmitted:
                return False
            return True
        raise RuntimeError("it never came to its end")

    def run(self, number: int) -> str:
        """Run one run and return its outcome."""
        dice = self.dice.of_run = random.Random(f"{self.seed} {number}")  # noqa: S311  no secret
        request = RunRequest(
            request_id=f"r-{number}",
            agent="tester",
            text="Tidy.",
            intent="tidy",
            tenant=TENANT,
            limits=LimitsPatch(cost_microusd=CEILING),
        )
        try:
            if not self.again(lambda: self.world.admit(request)):
                self.world.executions.status[request.run_id] = "SUCCEEDED"
                return "refused"
            for turn in range(1, dice.randint(1, 5)):
                reserved = self.world.reserve(request.run_id, turn, dice.randint(500, 4_000))
                if reserved and not self.chance(AGENT_DEATH):
                    self.world.respond(request.run_id, turn, dice.randint(0, reserved))
            if dice.random() < 1 / 3:
                self.world.executions.status[request.run_id] = "ABORTED"
                if dice.random() < 1 / 2:
                    with suppress(Died, RetryLater):
                        self.world.told_that_it_was_aborted(request.run_id)
                return "cut"
            self.again(lambda: self.world.settle(request.run_id))
            self.world.executions.status[request.run_id] = "SUCCEEDED"
            return "settled"
        finally:
            self.dice.of_run = None


def measure(runs: int, threads: int, seed: int) -> Figures:
    """Run ``runs`` over ``threads``, then the sweeper, and add up."""
    require(runs > 0, f"{runs} runs measure nothing.")
    crowd = Crowd(seed)
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        became = list(pool.map(crowd.run, range(runs)))
    world = crowd.world
    swept = 0
    for _ in range(-(-runs // 500) + 2):  # it handles 500 leases at a time
        world.clock.now += timedelta(hours=2)
        swept += int(world.sweep()["settled"])
    leases = world.leases()
    opened = [run for run in leases if any(event.name == "run.opened" for event in world.log.read(run))]
    found = Figures(
        runs=runs,
        threads=threads,
        admitted=len(opened),
        refused=became.count("refused"),
        deaths=crowd.deaths,
        cut=became.count("cut"),
        swept=swept,
        peak_microusd=crowd.tables.peaks[f"tenant#{TENANT}", WINDOW],
        windows_microusd=world.windows()[f"tenant#{TENANT}", WINDOW][0],
        logs_microusd=sum(Run.of(world.log.read(run)).usage.charged_microusd for run in opened),
        lost_leases=sum(lease.held for lease in leases.values()) + sum(not leases[run].parts for run in opened),
        seconds=time.perf_counter() - started,
    )
    told = f"Of {runs} runs {found.admitted} were admitted and {found.refused} refused"
    require(found.admitted > 0 and found.logs_microusd > 0, f"{told}; {found.logs_microusd} micro-dollars were spent.")
    require(found.admitted + found.refused == runs, f"{told}; what became of the others?")
    return found


def main() -> int:
    """Print the figures; return 1 if something that must be zero is not."""
    typed = argparse.ArgumentParser(description="Runs at once against one window, with processes that die.")
    typed.add_argument("--runs", type=int, default=1_000)
    typed.add_argument("--threads", type=int, default=32)
    typed.add_argument("--seed", type=int, default=1)
    options = typed.parse_args()
    try:
        found = measure(options.runs, options.threads, options.seed)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    print(*found.lines(), sep="\n")
    return 0 if found.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
