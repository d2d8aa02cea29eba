"""Loop detection on recorded runs of a real model: loops found, savings, false alarms.

    python -m bench.loops [--runs]

Reads ``../shared/traces`` (200 runs of gpt-4o at tau-bench's airline desk, labelled by their reward) through the
fold that the agent and the executor use. Before each turn of the recording the fold sees the log up to there,
as it would in a run. The recording continues whatever the fold returns, so it shows when the ladder would have
stepped in, not what the model would have done then.

The second table: the last reads of the runs that went well are repeated at their end.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ballast.folds.loops import Rung, detect
from ballast.folds.usage import INPUT_TOKENS, OUTPUT_TOKENS
from ballast.log.event import Event
from ballast.run import Run
from bench import NotMeasured, planted, require
from bench.transcripts import TAU_BENCH, Transcript, transcripts


@dataclass(frozen=True)
class Stop:
    """The turn before which the ladder stepped in, and what the recording did from there on."""

    turn: int
    calls: int
    tokens: int


@dataclass(frozen=True)
class Verdict:
    """What the ladder would have done in one run.

    signs   the signals, by kind
    forbid  the turn before which a tool was forbidden; loop: before which the agent had to hand over. None: never
    """

    run: Transcript
    signs: Counter[str]
    forbid: Stop | None
    loop: Stop | None


def judge(run: Transcript) -> Verdict:
    """Return what the ladder would have done in ``run``, turn by turn."""
    signs = detect(Run.of(run.events)).signals
    first = min((turn for (turn, _), sign in signs.items() if sign.rung >= Rung.FORBID), default=None)
    reached: dict[Rung, int] = {}
    for turn, before in _prefixes(run.events):
        if first is None or turn <= first:  # one rung per turn: until then there are notices only
            continue
        rung = detect(Run.of(before)).rung
        for step in (Rung.FORBID, Rung.LOOP):
            if rung >= step:
                reached.setdefault(step, turn)
    kinds = Counter(sign.kind.value for sign in signs.values())
    return Verdict(run, kinds, _stop(run, reached.get(Rung.FORBID)), _stop(run, reached.get(Rung.LOOP)))


def _prefixes(events: tuple[Event, ...]) -> Iterator[tuple[int, tuple[Event, ...]]]:
    """Yield (turn, the log before it) for every turn of the agent and for one that would follow the last."""
    for at, event in enumerate(events):
        if event.name == "model.requested":
            yield event.turn, events[:at]
    yield events[-1].turn + 1, events


def _stop(run: Transcript, turn: int | None) -> Stop | None:
    if turn is None:
        return None
    later = [event.body for event in run.events if event.turn >= turn]
    tokens = sum(body.get(INPUT_TOKENS, 0) + body.get(OUTPUT_TOKENS, 0) for body in later)
    return Stop(turn, sum(state.turn >= turn for state in Run.of(run.events).calls), tokens)


def deaf(run: Transcript) -> Transcript:
    """Return the run without the user's replies, so that no reply resets the count."""
    return replace(run, events=tuple(event for event in run.events if event.name != "escalation.answered"))


def rows(runs: Sequence[Transcript]) -> Iterator[str]:
    """Yield the table: all tasks, the even and the odd ones, and all of them without resets by replies."""
    yield (
        f"{'tasks':<17}{'runs':>5}{'well':>6}{'noticed':>9}{'forbidden':>11}{'handed over':>13}"
        f"{'calls saved':>13}{'tokens saved':>14}   false alarms: noticed, forbidden, handed over"
    )
    judged = [judge(run) for run in runs]
    tables = {
        "all": judged,
        "even": [one for one in judged if one.run.task_id % 2 == 0],
        "odd": [one for one in judged if one.run.task_id % 2 == 1],
        "deaf to replies": [judge(deaf(run)) for run in runs],
    }
    for name, some in tables.items():
        well = [one for one in some if one.run.went_well]
        stops = [one.loop for one in some if one.loop]
        saved = f"{sum(stop.calls for stop in stops):>13}{sum(stop.tokens for stop in stops):>14,}"
        alarms = ", ".join(str(_count(well, what)) for what in ("signs", "forbid", "loop"))
        found = f"{_count(some, 'signs'):>9}{_count(some, 'forbid'):>11}{len(stops):>13}"
        yield f"{name:<17}{len(some):>5}{len(well):>6}{found}{saved}   {alarms}"


def _count(judged: Iterable[Verdict], what: str) -> int:
    return sum(bool(getattr(one, what)) for one in judged)


def details(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield one line for each run with a signal."""
    for one in verdicts:
        if one.signs:
            kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(one.signs.items()))
            stops = [
                f"{name} before turn {stop.turn} ({stop.calls} calls, {stop.tokens:,} tokens left)"
                for name, stop in (("forbidden", one.forbid), ("handed over", one.loop))
                if stop
            ]
            label = "went well " if one.run.went_well else "went wrong"
            name = f"task {one.run.task_id:>2} trial {one.run.trial} {label}"
            yield f"{name}  {kinds}; {'; '.join(stops) or 'notice only'}"


def main() -> int:
    """Print the tables, and with ``--runs`` every run with a signal. Returns 2 if the traces are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true", help="one line for each run with a signal")
    options = parser.parse_args()
    if not TAU_BENCH.is_file():
        print(f"{TAU_BENCH} is not there: this benchmark reads recorded runs that the project does not carry.")
        return 2
    runs = list(transcripts())
    try:
        require(any(run.went_well for run in runs), f"{TAU_BENCH} holds no run that went well.")
        print(*rows(runs), "", *planted.rows(runs), sep="\n")
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    if options.runs:
        print("", *details(map(judge, runs)), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
