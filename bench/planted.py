"""Loops planted into recorded runs that went well: how soon are they found?"""

from collections.abc import Iterator, Sequence
from statistics import median_high

from ballast.contracts import CallTools, Event
from ballast.contracts.event import call_seq, model_seq
from ballast.folds import CallState, calls
from ballast.folds.despair import Rung, call_key, despair
from ballast.folds.despair.memory import LONGEST_CYCLE
from bench.transcripts import Transcript

#: Laps after which a loop that was not found never will be.
LAPS = 10


def rows(runs: Sequence[Transcript]) -> Iterator[str]:
    """Yield the table, by the number of calls in a lap."""
    yield f"{'calls a lap':<17}{'planted':>8}{'found':>7}   calls until the hand-over: fewest, median, most"
    for period in range(1, LONGEST_CYCLE + 1):
        laps = [(run, _different_reads(run)[-period:]) for run in runs if run.went_well]
        tried = [_until_found(run, lap) for run, lap in laps if len(lap) == period]
        found = [made for made in tried if made is not None]
        yield f"{period:<17}{len(tried):>8}{len(found):>7}   {min(found)}, {median_high(found)}, {max(found)}"


def _different_reads(run: Transcript) -> list[CallState]:
    return list({call_key(state.call): state for state in calls(run.events) if state.effect == "read"}.values())


def _until_found(run: Transcript, lap: Sequence[CallState]) -> int | None:
    """Return how many calls an agent makes that repeats ``lap`` at the end of ``run`` before it has to hand over."""
    events, turn = list(run.events), run.events[-1].turn
    for made in range(LAPS * len(lap)):
        if despair(events).rung is Rung.LOOP:
            return made
        turn += 1
        events += _again(lap[made % len(lap)], turn)
    return None


def _again(state: CallState, turn: int) -> Iterator[Event]:
    """Yield the events of the call in ``turn``, with the result that it had."""
    decision = CallTools(calls=(state.call,)).model_dump(mode="json")
    outcome = {"status": state.status, "result": state.result, "message": state.message}
    for seq, body in (
        (model_seq(turn, 1, "responded"), {"attempt": 1, "cost_microusd": 0, "decision": decision}),
        (call_seq(turn, 1, "intended"), {"tool": state.call.tool, "effect": "read", "undo": None}),
        (call_seq(turn, 1, "settled"), outcome),
    ):
        yield Event(run_id="planted", seq=seq, at="2026-11-01T09:00:00+00:00", body=body)
