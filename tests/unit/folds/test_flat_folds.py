"""Folds over a growing run cost the same late as early: each visits only the new turns."""

from collections.abc import Callable
from typing import Any

import pytest

from ballast.contracts import ToolCall
from ballast.folds.loops import detect
from ballast.run import Run
from bench.plan import counted
from tests.unit.folds.loop_runs import LoopRun

EARLY, LATE, MOST = 10, 200, 1.15
CALL = ToolCall(tool="change", arguments={"number": 3})

FOLDS: dict[str, Callable[[Run], Any]] = {
    "earlier": lambda run: run.earlier((run.newest_turn, 1), CALL),
    "rejected_before": lambda run: run.rejected_before((run.newest_turn, 1), CALL),
    "to_undo": lambda run: run.to_undo,
    "usage": lambda run: run.usage,
    "is_unfinished": lambda run: run.is_unfinished,
    "loops": lambda run: detect(run, remember="loops"),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", FOLDS)
def test_a_fold_of_a_run_of_writes_costs_the_same_late_as_early(name: str) -> None:
    fold, written = FOLDS[name], LoopRun()
    run, lines = Run(), {}
    for turn in range(1, LATE + 1):
        known = len(written.events)
        written.writes("change", {"number": turn})
        run = run.with_event(*written.events[known:])
        work = counted(lambda run=run: fold(run))
        lines[turn] = work.lines.total()

    # A mapping merges its layers now and then: the mean of ten turns.
    early, late = (sum(lines[turn] for turn in range(at - 9, at + 1)) for at in (2 * EARLY, LATE))
    assert 0 < late <= MOST * early
