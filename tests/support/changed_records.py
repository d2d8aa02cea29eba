"""Records of a run in which one field of one event was changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ballast.log.event import Event
from localcloud.replay.recorded import RecordedRun


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from _leaves(one, (*path, name))


def _bent(value: Any) -> Iterator[Any]:
    """Yield another value of the same type, and one of another type."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
        case float():
            yield value + 0.5
        case str():
            yield value + "x"
        case None:
            yield "x"
        case list():
            yield [*value, "x"]
        case dict():
            yield {**value, "zzz": 1}
    yield 7 if isinstance(value, str) else "x"


def _bodies(body: dict[str, Any]) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield a body for each field at any depth that is changed, has another type, or is missing."""
    for path in _leaves(body):
        outer = body
        for name in path[:-1]:
            outer = outer[name]
        where = ".".join(map(str, path))
        for value in _bent(outer[path[-1]]):
            yield f"{where} = {str(value)[:30]!r}", partial(_with_value, body, path, value)
        if isinstance(outer, dict):
            yield f"{where} gone", partial(_with_value, body, path)
    yield "zzz = 1", lambda: {**body, "zzz": 1}


def _with_value(body: dict[str, Any], path: tuple[Any, ...], *value: Any) -> dict[str, Any]:
    made = copy.deepcopy(body)
    at: Any = made
    for name in path[:-1]:
        at = at[name]
    if value:
        at[path[-1]] = value[0]
    else:
        del at[path[-1]]
    return made


def changed_records(run: RecordedRun) -> Iterator[tuple[str, str, Callable[[], RecordedRun]]]:
    """Yield the run with one change: the event's key, the change in words, what makes the record.

    Thousands of changes are dear to make, and a sample of them is played.
    """
    for event in run.events:
        for what, body in _bodies(event.body):
            yield event.seq, what, partial(_with_body, run, event, body)
        yield event.seq, "at", partial(_with_time, run, event)
        for name in dict(event.stored):
            yield event.seq, f"stored {name}", partial(_with_stored, run, event, name)


def _with_body(run: RecordedRun, event: Event, body: Callable[[], dict[str, Any]]) -> RecordedRun:
    return _among(run, event.model_copy(update={"body": body()}))


def _with_time(run: RecordedRun, event: Event) -> RecordedRun:
    return _among(run, event.model_copy(update={"at": event.at.replace("2026", "2027")}))


def _with_stored(run: RecordedRun, event: Event, name: str) -> RecordedRun:
    return _among(run, event.with_stored({**dict(event.stored), name: "x"}))


def _among(run: RecordedRun, changed: Event) -> RecordedRun:
    return RecordedRun.of([changed if one.seq == changed.seq else one for one in run.events], run.source)
