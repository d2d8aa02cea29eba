"""Records of a run in which one field of one event was changed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
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


def _bodies(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a body for each field at any depth that is changed, has another type, or is missing."""
    for path in _leaves(body):
        outer = body
        for name in path[:-1]:
            outer = outer[name]
        where = ".".join(map(str, path))
        for value in _bent(outer[path[-1]]):
            yield f"{where} = {str(value)[:30]!r}", _with_value(body, path, value)
        if isinstance(outer, dict):
            yield f"{where} gone", _with_value(body, path)
    yield "zzz = 1", {**body, "zzz": 1}


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


def changed_records(run: RecordedRun) -> Iterator[tuple[str, str, RecordedRun]]:
    """Yield the run with one change: the event's key, the change in words, the record."""
    for event in run.events:
        for what, body in _bodies(event.body):
            yield event.seq, what, _among(run, event.model_copy(update={"body": body}))
        yield event.seq, "at", _among(run, event.model_copy(update={"at": event.at.replace("2026", "2027")}))
        for name in dict(event.stored):
            yield event.seq, f"stored {name}", _among(run, event.with_stored({**dict(event.stored), name: "x"}))


def _among(run: RecordedRun, changed: Event) -> RecordedRun:
    return RecordedRun.of([changed if one.seq == changed.seq else one for one in run.events], run.source)
