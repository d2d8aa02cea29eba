"""What despair detection does to the recorded runs of a real model: loops found, what is saved, false alarms.

    python -m bench.despair [--runs]

Reads ``../shared/traces`` (200 runs of gpt-4o at tau-bench's airline desk, labelled by their reward) through the
fold that the planner and the executor obey. Before each turn of the recording the fold sees the log up to there,
as it would in a run. The recording goes on whatever the fold says, so it shows when the ladder would have
stepped in, not what the model would have done then.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ballast.contracts import Event
from ballast.folds import calls
from ballast.folds.despair import Rung, despair
from ballast.folds.usage import INPUT_TOKENS, OUTPUT_TOKENS
from bench.transcripts import TAU_BENCH, Transcript, transcripts


@dataclass(frozen=True)
class Stop:
    """From which turn on the ladder stepped in, and what the recording still did from there on."""

    turn: int
    calls: int
    tokens: int


@dataclass(frozen=True)
class Verdict:
    """What the ladder did in one run. The stops are None where it did not come to that rung.

    notices  signals by kind; ``answers`` how many of them are answered from the log
    forbid   before the turn after the one in which a tool was forbidden
    loop     before the turn in which the agent would have had to hand over
    """

    run: Transcript
    notices: Counter[str]
    answers: int
    forbid: Stop | None
    loop: Stop | None


def judge(run: Transcript) -> Verdict:
    """Return what the ladder would have done in ``run``, turn by turn."""
    seen: dict[Rung, int] = {}
    last = despair(run.events)
    for turn, before in _prefixes(run.events):
        rung = despair(before).rung
        for reached in (Rung.FORBID, Rung.LOOP):
            if rung >= reached:
                seen.setdefault(reached, turn)
    return Verdict(
        run,
        Counter(sign.kind.value for sign in last.signs.values()),
        sum(sign.answer for sign in last.signs.values()),
        _stop(run, seen.get(Rung.FORBID)),
        _stop(run, seen.get(Rung.LOOP)),
    )


def _prefixes(events: tuple[Event, ...]) -> Iterator[tuple[int, tuple[Event, ...]]]:
    """Yield (turn, the log before it) for every turn of the agent and for one that would follow the last."""
    for at, event in enumerate(events):
        if event.name == "model.requested":
            yield event.turn, events[:at]
    yield events[-1].turn + 1, events


def _stop(run: Transcript, turn: int | None) -> Stop | None:
    if turn is None:
        return None
    later = [event for event in run.events if event.turn >= turn]
    tokens = sum(event.body.get(INPUT_TOKENS, 0) + event.body.get(OUTPUT_TOKENS, 0) for event in later)
    return Stop(turn, sum(state.turn >= turn for state in calls(run.events)), tokens)


def rows(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield the table: all tasks, those with an even id (thresholds were chosen on them), those with an odd one."""
    judged = list(verdicts)
    yield (
        f"{'tasks':<6}{'runs':>6}{'well':>6}  {'noticed':>8}{'forbidden':>11}{'handed over':>13}"
        f"{'calls saved':>13}{'tokens saved':>14}  false alarms: notice, forbid, hand-over"
    )
    for name, wanted in (("all", (0, 1)), ("even", (0,)), ("odd", (1,))):
        some = [one for one in judged if one.run.task_id % 2 in wanted]
        well = [one for one in some if one.run.went_well]
        stops = [one.loop for one in some if one.loop]
        yield (
            f"{name:<6}{len(some):>6}{len(well):>6}  {_count(some, 'notices'):>8}{_count(some, 'forbid'):>11}"
            f"{len(stops):>13}{sum(stop.calls for stop in stops):>13}{sum(stop.tokens for stop in stops):>14,}"
            f"  {_count(well, 'notices')}, {_count(well, 'forbid')}, {_count(well, 'loop')}"
        )


def _count(judged: Iterable[Verdict], what: str) -> int:
    return sum(bool(getattr(one, what)) for one in judged)


def details(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield one line for each run with a signal."""
    for one in verdicts:
        if one.notices:
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(one.notices.items()))
            stops = [
                f"{name} before turn {stop.turn} ({stop.calls} calls, {stop.tokens:,} tokens left)"
                for name, stop in (("forbidden", one.forbid), ("handed over", one.loop))
                if stop
            ]
            label = "went well" if one.run.went_well else "went wrong"
            name = f"task {one.run.task_id:>2} trial {one.run.trial} {label:<10}"
            yield f"{name} {kinds}; {'; '.join(stops) or 'notice only'}"


def main() -> int:
    """Print the table, and with ``--runs`` every run with a signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true", help="one line for each run with a signal")
    options = parser.parse_args()
    if not TAU_BENCH.is_file():
        print(f"{TAU_BENCH} is not there: this benchmark reads recorded runs that the project does not carry.")
        return 2
    judged = [judge(run) for run in transcripts()]
    print("\n".join(rows(judged)))
    if options.runs:
        print("\n".join(details(judged)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
