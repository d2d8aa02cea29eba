"""Records that a double tells of: an effect each, whether they are items of a list or values of an object by key.

A list is what has arrived, in whatever order: two calls that run side by side leave it in either. So its items are
compared as a set that may hold the same one twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from typing import Any

from ballast.contracts.wire import canonical


def in_any_order(told: Any) -> Any:
    """Return what a double tells with the items of each list in one order."""
    if isinstance(told, dict):
        return {name: in_any_order(one) for name, one in told.items()}
    if isinstance(told, list | tuple):
        return sorted((in_any_order(one) for one in told), key=_text)
    return told


def is_undone(before: Any, now: Any, made: Any, traces: Set[str] = frozenset()) -> bool:
    """Whether an undo has left what was there before its call; ``made``: what stood between the two.

    A record that the call has made may stay if the undo has changed it (a payment that is voided). What was there
    before, and attributes of it, must be as they were, but for those of the names in ``traces``.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        added = made if isinstance(made, dict) else {}
        return all(
            is_undone(before[name], now[name], added.get(name), traces)
            if name in before and name in now
            else name in now and name in added and added[name] != now[name]
            for name in {*before, *now} - traces
        )
    if isinstance(before, list) and isinstance(now, list):
        had, has, with_it = (_counted(one, traces) for one in (before, now, made if isinstance(made, list) else []))
        left, of_the_call = has - had, with_it - had
        return not had - has and not left & of_the_call and left.total() <= of_the_call.total()
    return bool(before == now)


def _counted(items: list[Any], traces: Set[str]) -> Counter[str]:
    return Counter(_text(_without(one, traces)) for one in items)


def _without(value: Any, names: Set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(one, names) for name, one in value.items() if name not in names}
    return [_without(one, names) for one in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    try:
        return str(canonical(value))
    except Exception:
        return repr(value)
