"""What came of all cases, as a table for people and as ``fault-report.json`` for machines."""

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

from tests.faults.judge import Result

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


def write(results: Sequence[Result], usual: Mapping[str, str], not_exercised: Sequence[str], file: Path) -> None:
    """Write the file: counts, how the runs ended, and every case with what was injected where."""
    content: dict[str, Any] = {
        "cases": len(results),
        "passed": sum(not result.wrong for result in results),
        "by_kind": {kind: _counts(results, "kind", kind) for kind in dict.fromkeys(one.kind for one in results)},
        "endings_without_a_fault": dict(usual),
        "endings": dict(Counter(result.ended for result in results).most_common()),
        "functions_not_exercised": list(not_exercised),
        "results": [asdict(result) for result in results],
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
