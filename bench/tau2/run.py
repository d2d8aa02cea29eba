"""``python -m bench.tau2.run``: play all gold plans and print how many end as in tau2 alone."""

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from statistics import mean
from time import perf_counter

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.tau2.environments import DOMAINS
from bench.tau2.gold import gold_plans
from bench.tau2.play import Outcome, desk, play

HEADINGS = ("tasks", "hash\nequal", "as\ntau2", "calls", "refused\nby tau2", "transitions\na run", "s\na run", "s\nall")


def play_share(domain: str, task_ids: Sequence[str]) -> list[Outcome]:
    """Play some tasks of a domain one after the other, in one local cloud."""
    plans = [plan for plan in gold_plans(domain) if plan.task_id in task_ids]
    with desk(domain, plans) as cloud:
        # What stands now stays: a full collection need not walk it again for every task's database.
        gc.freeze()
        return [play(cloud, plan) for plan in plans]


def play_domain(pool: Executor, domain: str, tasks: int | None, workers: int) -> list[Outcome]:
    """Play a domain's first ``tasks`` tasks (all, if None), shared out among the ``workers`` of ``pool``."""
    ids = [plan.task_id for plan in gold_plans(domain)][:tasks]
    shares = [share for share in (ids[worker::workers] for worker in range(workers)) if share]
    played = pool.map(play_share, [domain] * len(shares), shares)
    found = {outcome.task_id: outcome for share in played for outcome in share}
    return [found[task_id] for task_id in ids]


def play_domains(domains: Sequence[str], tasks: int | None, workers: int) -> dict[str, tuple[list[Outcome], float]]:
    """Return each domain's outcomes, in the order of its tasks, and the seconds they took in all."""
    results = {}
    # A process has room for one local cloud. Spawned, not forked: boto3 and moto keep threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for domain in domains:
            started = perf_counter()
            results[domain] = (play_domain(pool, domain, tasks, workers), perf_counter() - started)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 where every task came out as tau2 has it, 1 where one differs, 2 where tau2 is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.tau2.run", description=__doc__)
    parser.add_argument("--domain", choices=DOMAINS, help="only this one")
    parser.add_argument("--tasks", type=_count, metavar="N", help="only the first N of each domain")
    parser.add_argument("--workers", type=_count, default=os.cpu_count(), metavar="N", help="processes (%(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a task, for machines")
    options = parser.parse_args(arguments)
    domains = [options.domain] if options.domain else DOMAINS
    try:
        results = play_domains(domains, options.tasks, options.workers)
    except ImportError as missing:
        print(f"{missing}. Install tau2: pip install --no-deps -r requirements/tau2.txt", file=sys.stderr)
        return 2
    if options.json:
        for outcomes, _ in results.values():
            for outcome in outcomes:
                print(json.dumps(asdict(outcome)))
    else:
        show(results)
    return int(any(outcome.differences for outcomes, _ in results.values() for outcome in outcomes))


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def show(results: dict[str, tuple[list[Outcome], float]]) -> None:
    """Print a line a domain, then every task that differs, and why."""
    console = Console()
    table = Table(title="tau2's gold plans through Ballast", box=SIMPLE, pad_edge=False)
    table.add_column("domain")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for domain, (outcomes, seconds) in results.items():
        table.add_row(
            domain,
            str(len(outcomes)),
            str(sum(outcome.hash_equal for outcome in outcomes)),
            str(sum(not outcome.differences for outcome in outcomes)),
            str(sum(outcome.calls for outcome in outcomes)),
            str(sum(outcome.failed for outcome in outcomes)),
            f"{mean(outcome.transitions for outcome in outcomes):.1f}",
            f"{mean(outcome.seconds for outcome in outcomes):.2f}",
            f"{seconds:.1f}",
        )
    console.print(table)
    for outcomes, _ in results.values():
        for outcome in outcomes:
            for difference in outcome.differences:
                console.print(f"{outcome.domain} task {outcome.task_id}: {difference}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
