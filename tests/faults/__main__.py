"""``python -m tests.faults``: play the whole matrix, print the table, write ``fault-report.json``.

With ``--random N`` also N seeded runs of the desk under a random mix of all faults. Ends 0 where every
invariant held in every case, 1 where one did not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from rich.console import Console

from tests.faults import share
from tests.faults.desk import Ran
from tests.faults.judge import Result, judge
from tests.faults.report import name_of, show, show_runs, write
from tests.faults.scenarios import SCENARIOS

REPORT = Path("fault-report.json")
#: Each request gets its faults in so many places where a handler is seen to make it after the same requests.
TIMES = 1
#: So many cases, or seeds, are handed to a process at once.
_AT_ONCE = 20

OneT = TypeVar("OneT")


def play_all(options: argparse.Namespace, console: Console) -> int:
    """Play the matrix and the seeds, each process its share, and report."""
    started = perf_counter()
    every = 0 if options.seed is not None else options.every
    seeds = [options.seed] if options.seed is not None else list(range(options.random))
    with ProcessPoolExecutor(
        options.workers, mp_context=get_context("spawn"), initializer=share.begin, initargs=(every, options.times)
    ) as pool:
        derived = pool.submit(share.derived).result()
        console.print(f"{derived.cases} cases, {len(seeds)} seeds", markup=False)
        starts = range(0, derived.cases, _AT_ONCE)
        cases = [pool.submit(share.play_some, start, start + _AT_ONCE) for start in starts]
        runs = [pool.submit(share.run_some, seeds[start : start + 5]) for start in range(0, len(seeds), 5)]
        results: list[Result] = sorted(_all(cases, console), key=_order)
        seconds = perf_counter() - started
        ran: list[Ran] = sorted(_all(runs, console), key=lambda one: one.seed)
    if results:
        show(results, derived.usual, seconds, console)
    if ran:
        show_runs(ran, perf_counter() - started - seconds, console)
    if derived.not_invoked and every:
        console.print(f"No scenario invokes {', '.join(derived.not_invoked)}.", markup=False, style="bold")
    if every:
        write(results, ran, derived, seconds, options.report)
    failed = (
        any(one.wrong for one in results)
        or any(one.wrong for one in ran)
        or (bool(every) and bool(derived.not_invoked))
    )
    return int(failed)


def _all(futures: Sequence[Future[list[OneT]]], console: Console) -> list[OneT]:
    """Return what all of them return, and say now and then how far it is."""
    found: list[OneT] = []
    said = 0
    for done, future in enumerate(as_completed(futures), start=1):
        found += future.result()
        if done * 10 // len(futures) > said:
            said = done * 10 // len(futures)
            wrong = sum(bool(one.wrong) for one in found)  # type: ignore[attr-defined]
            console.print(f"  {said * 10} %: {len(found)} played, {wrong} failed", markup=False, highlight=False)
    return found


def play_one(name: str, console: Console) -> int:
    """Play one case from its start and print its log."""
    share.begin(1, 1_000)
    mine = share.mine()
    found = [case for _, case in mine.cases if case.name == name]
    if not found:
        console.print(f"There is no case {name!r}; fault-report.json names them.", markup=False)
        return 2
    result = judge(mine.world, found[0], mine.before)
    for event in mine.world.events(found[0].scenario.run_id):
        console.print(f"{event.at[11:23]} {event.seq}", markup=False)
    console.print(f"{name_of(result)}: {result.ended}; {list(result.wrong) or 'all is well'}", markup=False)
    return int(bool(result.wrong))


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth case; 0 for none")
    parser.add_argument("--times", type=int, default=TIMES, metavar="N", help="places for each request (%(default)s)")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="and so many seeded runs of the desk")
    parser.add_argument("--case", metavar="NAME", help="one case alone, from its start, with its log")
    parser.add_argument("--seed", type=int, metavar="N", help="one seed alone")
    parser.add_argument("--report", type=Path, default=REPORT, help="%(default)s")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    return play_one(options.case, console) if options.case else play_all(options, console)


def _order(result: Result) -> tuple[int, str, str]:
    return [scenario.name for scenario in SCENARIOS].index(result.scenario), result.kind, result.where


if __name__ == "__main__":
    sys.exit(main())
