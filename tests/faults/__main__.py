"""``python -m tests.faults``: play the whole matrix, print the table, write ``fault-report.json``.

Ends 0 where every invariant held in every case, 1 where one did not.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from rich.console import Console

from tests.faults.judge import Result, how_it_ended, judge, shop_of
from tests.faults.matrix import all_cases, record
from tests.faults.report import name_of, show, write
from tests.faults.scenarios import SCENARIOS
from tests.faults.world import world

REPORT = Path("fault-report.json")
#: Each shape of invocation gets its faults in so many places.
TIMES = 2


def play_share(share: int, shares: int, every: int, times: int) -> list[Result]:
    """Play one share of the cases, in a world of its own."""
    with world() as made:
        before = shop_of(made)
        cases = [(one, case) for one, cases in all_cases(made, times=times) for case in cases][::every]
        gc.collect()
        gc.freeze()  # what stands now stays
        return [judge(made, case, before, recorded) for recorded, case in cases[share::shares]]


def as_usual() -> tuple[dict[str, str], list[str]]:
    """Return how each scenario ends without a fault, and the functions that no scenario invokes."""
    with world() as made:
        usual, invoked = {}, set[str]()
        for scenario in SCENARIOS:
            played = record(made, scenario).played
            usual[scenario.name] = how_it_ended(made, played)
            invoked |= {invocation.function for invocation in played.invocations}
        return usual, sorted(set(made.functions) - invoked)


def play_one(name: str, console: Console) -> int:
    """Play one case from its start and print its log."""
    with world() as made:
        found = [case for _, cases in all_cases(made, times=1_000) for case in cases if case.name == name]
        if not found:
            console.print(f"There is no case {name!r}; fault-report.json names them.", markup=False)
            return 2
        result = judge(made, found[0], shop_of(made))
        for event in made.events(found[0].scenario.run_id):
            console.print(f"{event.at[11:23]} {event.seq}", markup=False)
    console.print(f"{name_of(result)}: {result.ended}; {list(result.wrong) or 'all is well'}", markup=False)
    return int(bool(result.wrong))


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case")
    parser.add_argument("--times", type=int, default=TIMES, metavar="N", help="places for each shape of invocation")
    parser.add_argument("--case", metavar="NAME", help="one case alone, from its start, with its log")
    parser.add_argument("--report", type=Path, default=REPORT, help="%(default)s")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if options.case:
        return play_one(options.case, console)
    started = perf_counter()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        shares = [
            pool.submit(play_share, share, options.workers, options.every, options.times)
            for share in range(options.workers)
        ]
        results = sorted((result for share in shares for result in share.result()), key=_order)
        usual, not_exercised = pool.submit(as_usual).result()
    show(results, usual, perf_counter() - started, console)
    if not_exercised:
        console.print(f"No scenario invokes {', '.join(not_exercised)}.", markup=False)
    write(results, usual, not_exercised, options.report)
    return int(any(result.wrong for result in results))


def _order(result: Result) -> tuple[int, str]:
    return [scenario.name for scenario in SCENARIOS].index(result.scenario), result.kind


if __name__ == "__main__":
    sys.exit(main())
