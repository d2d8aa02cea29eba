"""The run's duration by cause: the entries of its log, in the order of time, divide it without a gap.

::

    opened ── workflow ──▶ model.requested ── model ──▶ model.responded ── workflow ──▶ call.intended ── tools ──▶ …

Between two entries the run was doing what the newest entry of its newest turn began. Entries of earlier turns are late
and change nothing. Where an entry records how long its model or tool took, that part of the time before it is theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from ballast.contracts.task import LAST_TURN
from ballast.contracts.timeline import Position, Timeline, Turn
from ballast.contracts.why import TIME_CAUSES, TimeShare
from ballast.log.event import GARBLED, Event
from ballast.why.money import is_refused

#: What a kind of entry begins. Any other kind begins a step of the workflow.
_BEGINS = {
    "model.requested": "model",
    "model.failed": "pauses",
    "call.intended": "tools",
    "call.reserved": "tool_attempts",
    "call.doubted": "tool_attempts",
}
_CHANGES_NOTHING = ("escalation.announced",)
#: What the recorded time of an entry is spent on.
_TOOK = {"model.responded": "model", "call.settled": "tools"}


def durations(made: Timeline, events: Iterable[Event], repeated: frozenset[Position]) -> tuple[TimeShare, ...]:
    """Return where the run's time went; () if its duration is unknown or negative."""
    whole = made.duration_ms
    if whole is None or whole < 0:
        return ()
    sums: dict[str, int] = defaultdict(int)
    where: dict[str, set[int]] = defaultdict(set)
    kinds = {turn.turn: _kind(turn, repeated) for turn in made.turns}
    lost = {(turn.turn, one.attempt) for turn in made.turns for one in turn.attempts if one.state != "responded"}
    doing, turn, before = "workflow", 0, 0
    asked: set[int] = set()  # positions of calls that wait for people

    def add(cause: str, ms: int) -> None:
        named = kinds.get(turn) if cause in ("model", "tools", "workflow") else None
        sums[named or cause] += ms
        if ms:
            where[named or cause].add(turn)

    for at, event in _in_time(events, made.opened_at, whole):
        late = event.turn < turn or event.name in _CHANGES_NOTHING
        passed = at - before
        took = _latency(event, passed) if doing in ("workflow", "model") and not late else 0
        if took:
            add("workflow", passed - took)
            add(_TOOK[event.name], took)
        else:
            add(doing, passed)
        before = at
        if late:
            continue
        if turn < event.turn < LAST_TURN:
            turn = event.turn
            asked.clear()
        _ask(asked, event)
        doing = "people" if asked else _begun(event, lost)
    return tuple(
        TimeShare(cause=name, words=words, ms=sums[name], turns=tuple(sorted(where[name] - {0})))
        for name, words in sorted(TIME_CAUSES.items(), key=lambda one: -sums[one[0]])
        if sums[name]
    )


def _in_time(events: Iterable[Event], start: str, whole: int) -> list[tuple[int, Event]]:
    """Return the events with their ms since the opening, within the run's duration, in the order of time."""
    found: list[tuple[int, Event]] = []
    for event in events:
        try:
            since = datetime.fromisoformat(event.at) - datetime.fromisoformat(start)
            found.append((min(whole, max(0, round(since.total_seconds() * 1000))), event))
        except (TypeError, ValueError):
            continue
    return sorted(found, key=lambda one: one[0])


def _kind(turn: Turn, repeated: frozenset[Position]) -> str | None:
    """Return the cause of the whole turn, if it brought nothing."""
    if not turn.calls:
        return None
    if all((turn.turn, call.index) in repeated for call in turn.calls):
        return "loop_laps"
    return "refused_calls" if all(map(is_refused, turn.calls)) else None


def _ask(asked: set[int], event: Event) -> None:
    if event.name in ("call.approval_requested", "call.approval_given"):
        asked.add(event.index)
    elif event.name.startswith("call."):
        asked.discard(event.index)
    else:
        asked.clear()


def _begun(event: Event, lost: set[Position]) -> str:
    if event.name == "model.requested" and (event.turn, event.index) in lost:
        return "failed_attempts"
    if event.name == "escalation.opened":
        return "requester" if event.body.get("kind") == "question" else "people"
    return _BEGINS.get(event.name, "workflow")


def _latency(event: Event, passed: int) -> int:
    """Return the recorded ms of a model or tool, at most those that passed."""
    try:
        took = event.body.get("latency_ms") if event.name in _TOOK else None
    except GARBLED:
        return 0
    return min(passed, took) if isinstance(took, int) and not isinstance(took, bool) and took > 0 else 0
