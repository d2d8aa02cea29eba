"""Count the calls until a loop that was planted into a recorded run is found."""

from collections.abc import Iterator, Sequence
from statistics import median_high

from ballast.folds.calls import CallState, identity
from ballast.folds.loops import Rung, detect
from ballast.folds.loops.signals import LONGEST_CYCLE
from ballast.run import Run
from bench import require
from bench.transcripts import Transcript, executed

#: Laps after which a loop counts as not found.
LAPS = 10


def rows(runs: Sequence[Transcript]) -> Iterator[str]:
    """Yield the table, by the number of calls in a lap."""
    yield f"{'calls a lap':<17}{'planted':>8}{'found':>7}   calls until the hand-over: fewest, median, most"
    for period in range(1, LONGEST_CYCLE + 1):
        laps = [(run, _different_reads(run)[-period:]) for run in runs if run.went_well]
        tried = [_until_found(run, lap) for run, lap in laps if len(lap) == period]
        found = [made for made in tried if made is not None]
        require(bool(found), f"None of {len(tried)} planted loops of {period} calls was found.")
        yield f"{period:<17}{len(tried):>8}{len(found):>7}   {min(found)}, {median_high(found)}, {max(found)}"


def _different_reads(run: Transcript) -> list[CallState]:
    return list({identity(state.call): state for state in Run.of(run.events).calls if state.effect == "read"}.values())


def _until_found(run: Transcript, lap: Sequence[CallState]) -> int | None:
    """Return the number of calls, repeating ``lap`` at the end of ``run``, before the agent has to hand over."""
    events, turn = list(run.events), run.events[-1].turn
    for made in range(LAPS * len(lap)):
        if detect(Run.of(events)).rung is Rung.LOOP:
            return made
        turn += 1
        again = lap[made % len(lap)]
        outcome = {"status": again.status, "result": again.result, "message": again.message}
        events += executed(turn, again.call, "read", outcome)
    return None
