"""Count what one Plan does: files entered, functions, calls and lines of our own code, and how often each fold runs.

    python -m bench.plan [--turns 3 10 200]

One run for each number of turns, as ``bench.turns`` plays it; counted is the Plan of its last turn in a warm function.
Ours are the files under ``functions`` and ``layers``. A fold is a function of ``ballast.folds`` of a run alone; it runs
once a Plan and visits the turns that are new. Counts do not depend on the machine.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from ballast import folds
from bench import NotMeasured, require
from bench.turns import cloud_with, fetches, measure
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel

ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(str(ROOT / home) for home in ("functions", "layers"))
FOLDS = str(Path(folds.__file__).parent)


@dataclass
class Counted:
    """Our own code that ran: calls and lines by function."""

    calls: Counter[CodeType] = field(default_factory=Counter)
    lines: Counter[CodeType] = field(default_factory=Counter)

    def trace(self, frame: FrameType, what: str, _: Any) -> Callable[..., Any] | None:
        """Count an event of the interpreter; for ``sys.settrace``."""
        code = frame.f_code
        if not code.co_filename.startswith(OURS):
            return None
        if what == "call":
            self.calls[code] += 1
        elif what == "line":
            self.lines[code] += 1
        return self.trace

    @property
    def files(self) -> set[str]:
        """The files that were entered."""
        return {code.co_filename for code in self.calls}

    @property
    def folds(self) -> Mapping[str, int]:
        """How often each fold ran, by its name."""
        found = {
            code.co_name: count
            for code, count in self.calls.items()
            if code.co_filename.startswith(FOLDS) and code.co_varnames[: code.co_argcount] == ("run",)
        }
        return dict(sorted(found.items()))


def counted(work: Callable[[], Any]) -> Counted:
    """Return what ``work`` does in this thread."""
    found = Counted()
    before = sys.gettrace()
    sys.settrace(found.trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


def plan_of(cloud: LocalCloud, turn: int) -> list[Counted]:
    """Return a list that will have the counts of each Plan of that turn, the next ones that ``cloud`` plays."""
    found: list[Counted] = []

    def begins(function: str, event: Mapping[str, Any]) -> None:
        if function == "AgentFunction" and event["turn"] == turn:
            found.append(Counted())
            sys.settrace(found[-1].trace)

    def ended(function: str, _: Any, __: Any) -> None:
        if function == "AgentFunction":
            sys.settrace(None)

    cloud.before_invoke.append(begins)
    cloud.after_invoke.append(ended)
    return found


def table(wanted: Sequence[int]) -> Iterator[str]:
    """Yield the table, a line as soon as it is counted. Raises ``NotMeasured``."""
    yield f"{'turns':>6}{'files':>7}{'functions':>11}{'calls':>7}{'lines':>7}  folds, and how often each ran"
    for turns in wanted:
        with cloud_with(CallableModel(fetches)) as (cloud, meter):
            # The run before it leaves a warm function and no run.
            measure(cloud, meter, 3, name="warm")
            plans = plan_of(cloud, turns)
            measure(cloud, meter, turns, name="counted")
        require(len(plans) == 1, f"The run of {turns} turns had {len(plans)} Plans of its last turn.")
        found = plans[0]
        ran = ", ".join(f"{name} {count}" for name, count in found.folds.items())
        figures = f"{turns:>6}{len(found.files):>7}{len(found.calls):>11}"
        yield f"{figures}{found.calls.total():>7}{found.lines.total():>7}  {ran}"


def main() -> int:
    """Count and print the table; 1 where a run did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", action="extend", help="(3 10 200)")
    try:
        for line in table(parser.parse_args().turns or [3, 10, 200]):
            print(line, flush=True)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
