"""The results of all cases, as a table for people and as ``fault-report.json`` for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tests.faults.desk import Ran
from tests.faults.judge import Result
from tests.faults.share import Derived

#: So many failures are shown; the file has them all.
_SHOWN = 40


def show(results: Sequence[Result], usual: Mapping[str, str], seconds: float, console: Console) -> None:
    """Print a line for each kind of fault, one for each scenario, and what failed.

    ``usual`` says how each scenario ends without a fault.
    """
    for title, key in (("What was injected", "kind"), ("Into which run", "scenario")):
        console.print(_table(title, key, results, usual))
    passed = sum(not result.wrong for result in results)
    console.print(f"{len(results)} cases, {passed} passed, {len(results) - passed} failed, in {seconds:.0f} s.")
    for result in [result for result in results if result.wrong][:_SHOWN]:
        console.print(f"\n{name_of(result)}", markup=False, style="bold")
        for wrong in result.wrong:
            console.print(f"  {wrong}", markup=False, soft_wrap=True)


def name_of(result: Result) -> str:
    """Return the case's name, as ``--case`` takes it."""
    return f"{result.scenario} / {result.kind} / {result.where}"


def show_runs(ran: Sequence[Ran], seconds: float, console: Console) -> None:
    """Print how the seeded runs ended, with their money and stock by the log and in the store."""
    table = Table(title="The desk under a random mix of faults", box=SIMPLE, pad_edge=False)
    table.add_column("how they ended")
    for heading in ("runs", "faults", "refunded by the log", "in the store", "pieces by the log", "in the store"):
        table.add_column(heading, justify="right")
    ended = Counter(one.ended for one in ran)
    for how in [*(how for how, _ in ended.most_common()), "all"]:
        table.add_row(how, *_sums([one for one in ran if how in (one.ended, "all")]))
    console.print(table)
    failed = [one for one in ran if one.wrong]
    console.print(f"{len(ran)} seeds, {len(ran) - len(failed)} reconcile, {len(failed)} do not, in {seconds:.0f} s.")
    for one in failed[:_SHOWN]:
        console.print(f"\nseed {one.seed}: {one.wants}; {one.ended}", markup=False, style="bold")
        for line in (*one.wrong, *(f"injected: {fault}" for fault in one.injected)):
            console.print(f"  {line}", markup=False, soft_wrap=True)
        console.print(f"  play it again: python -m tests.faults --seed {one.seed}", markup=False)


def _sums(ran: Sequence[Ran]) -> tuple[str, ...]:
    def usd(cents: int) -> str:
        return f"{cents / 100:.2f} USD"

    faults = sum(len(one.injected) for one in ran)
    log, store = [one.by_log for one in ran], [one.in_store for one in ran]
    money = [usd(sum(cents for cents, _ in sums)) for sums in (log, store)]
    return (str(len(ran)), str(faults), *money, *(f"{sum(pieces for _, pieces in sums):+d}" for sums in (log, store)))


def write(results: Sequence[Result], ran: Sequence[Ran], derived: Derived, seconds: float, file: Path) -> None:
    """Write the file: counts, how the runs ended, and every case with what was injected where."""
    content: dict[str, Any] = {
        "cases": len(results),
        "passed": sum(not result.wrong for result in results),
        "seconds": round(seconds),
        "seeds": len(ran),
        "seeds_passed": sum(not one.wrong for one in ran),
        "by_kind": {kind: _counts(results, "kind", kind) for kind in dict.fromkeys(one.kind for one in results)},
        "endings_without_a_fault": derived.usual,
        "endings": dict(Counter(result.ended for result in results).most_common()),
        "functions_not_exercised": derived.not_invoked,
        "results": [asdict(result) for result in results],
        "runs": [asdict(one) for one in ran],
    }
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _counts(results: Sequence[Result], key: str, value: str) -> dict[str, int]:
    those = [result for result in results if getattr(result, key) == value]
    return {"cases": len(those), "passed": sum(not result.wrong for result in those)}


def _table(title: str, key: str, results: Sequence[Result], usual: Mapping[str, str]) -> Table:
    table = Table(title=title, box=SIMPLE, pad_edge=False)
    table.add_column(key)
    for heading in ("cases", "passed", "ended as without"):
        table.add_column(heading, justify="right")
    table.add_column("other endings")
    for value in dict.fromkeys(getattr(result, key) for result in results):
        those = [result for result in results if getattr(result, key) == value]
        others = Counter(result.ended for result in those if result.ended != usual[result.scenario])
        table.add_row(
            str(value),
            str(len(those)),
            str(sum(not result.wrong for result in those)),
            str(len(those) - others.total()),
            ", ".join(f"{ended} {times}" for ended, times in others.most_common(4)),
        )
    return table
