"""DynamoDB tables in plain Python values, behind the interface of ``ballast.table.Table``.

A replay has one process and one run at a time, so nothing conflicts and nothing is throttled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ballast.table import Answer, Condition, Item, Page, Put, Query, Table, Update
from ballast.table import _Joined as Joined
from ballast.table import _Test as Test

#: The attributes of each table's key, by the variable that names the table.
KEYS: Mapping[str, tuple[str, ...]] = {
    "BUDGETS_TABLE": ("account", "window"),
    "MOVES_TABLE": ("account", "window"),
    "ESCALATIONS_TABLE": ("escalation_id",),
    "IDEMPOTENCY_TABLE": ("id",),
    "RUN_LOG_TABLE": ("run_id", "seq"),
}

_MISSING = object()
_TESTS: Mapping[str, Callable[..., bool]] = {
    "attribute_not_exists({})": lambda value: value is _MISSING,
    "attribute_exists({})": lambda value: value is not _MISSING,
    "{} = {}": lambda value, other: value is not _MISSING and value == other,
    "{} <> {}": lambda value, other: value is _MISSING or value != other,
    "{} <= {}": lambda value, other: value is not _MISSING and value <= other,
    "{} >= {}": lambda value, other: value is not _MISSING and value >= other,
    "{} BETWEEN {} AND {}": lambda value, low, high: value is not _MISSING and low <= value <= high,
    "begins_with({}, {})": lambda value, start: isinstance(value, str) and value.startswith(start),
}


def holds(condition: Condition | None, item: Mapping[str, Any]) -> bool:
    """Say whether a condition holds for an item; an empty one does not exist."""
    match condition:
        case None:
            return True
        case Test(form=form, path=path, values=values):
            return _TESTS[form](_at(item, path), *values)
        case Joined(word=word, conditions=conditions):
            parts = (holds(one, item) for one in conditions)
            return all(parts) if word == "AND" else any(parts)
    raise NotImplementedError(f"A condition of the type {type(condition).__name__}.")


def _at(item: Mapping[str, Any], path: str) -> Any:
    found: Any = item
    for name in path.split("."):
        found = found.get(name, _MISSING) if isinstance(found, Mapping) else _MISSING
    return found


class Tables:
    """All tables of a replay; ``table`` stands in for ``Table.of``."""

    def __init__(self) -> None:
        self._tables: dict[str, MemoryTable] = {}

    def table(self, name: str, variable: str) -> MemoryTable:
        """Return the table of that name. Two functions' tables of one name are the same."""
        if name not in self._tables:
            self._tables[name] = MemoryTable(None, name, f"Table {name} ({variable})")
            self._tables[name].begin(KEYS[variable])
        return self._tables[name]

    def clear(self) -> None:
        """Empty all tables."""
        for one in self._tables.values():
            one.items.clear()


class MemoryTable(Table):
    """One table. ``items`` by the values of their key."""

    items: dict[tuple[Any, ...], Item]
    keys: tuple[str, ...]

    def begin(self, keys: tuple[str, ...]) -> None:
        """Let these attributes be the key; the table is empty."""
        vars(self).update(items={}, keys=keys)

    def get(self, key: Mapping[str, Any], *, only: Sequence[str] = ()) -> Item | None:
        found = self.items.get(self._place(key))
        return None if found is None else _part(found, only)

    def batch_get(
        self, keys: Sequence[Mapping[str, Any]], *, only: Sequence[str] = (), consistent: bool = True
    ) -> list[Item]:
        found = (self.get(key, only=only) for key in keys)
        return [item for item in found if item is not None]

    def page(self, query: Query) -> Page:
        found = [item for item in self.items.values() if holds(query.where, item) and holds(query.having, item)]
        found.sort(key=lambda item: [str(item.get(name, "")) for name in self.keys], reverse=query.descending)
        return Page([_part(item, query.only) for item in found[: query.limit]], None)

    def count(self, query: Query) -> int:
        return len(self.page(query).items)

    def write(self, write: Put | Update, *, show: bool = False) -> Answer:
        place = self._place(write.item if isinstance(write, Put) else write.key)
        before = self.items.get(place)
        if not holds(write.only_if, before or {}):
            # As DynamoDB: a put that was refused shows what is there, an update shows nothing.
            shown = before if show and isinstance(write, Put) else None
            return Answer(written=False, item=copy.deepcopy(shown))
        self.items[place] = after = _after(write, before)
        return Answer(written=True, item=copy.deepcopy(after) if show and isinstance(write, Update) else None)

    def transact(self, writes: Sequence[Put | Update]) -> frozenset[int]:
        there = [self.items.get(self._place(one.item if isinstance(one, Put) else one.key), {}) for one in writes]
        failed = frozenset(at for at, one in enumerate(writes) if not holds(one.only_if, there[at]))
        if not failed:
            for one in writes:
                self.write(one)
        return failed

    def delete(self, key: Mapping[str, Any]) -> None:
        """Remove an item."""
        self.items.pop(self._place(key), None)

    def _place(self, key: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(key[name] for name in self.keys)


def _after(write: Put | Update, before: Item | None) -> Item:
    if isinstance(write, Put):
        return copy.deepcopy(dict(write.item))
    item = copy.deepcopy(before) if before is not None else dict(write.key)
    for path, value in write.set.items():
        _holder(item, path)[path.rpartition(".")[2]] = copy.deepcopy(value)
    for name, value in write.set_if_absent.items():
        item.setdefault(name, copy.deepcopy(value))
    for path in write.remove:
        _holder(item, path).pop(path.rpartition(".")[2], None)
    for path, number in write.add.items():
        holder, name = _holder(item, path), path.rpartition(".")[2]
        holder[name] = holder.get(name, 0) + number
    return item


def _holder(item: Item, path: str) -> Item:
    for name in path.split(".")[:-1]:
        item = item[name]
    return item


def _part(item: Item, only: Sequence[str]) -> Item:
    found = item if not only else {name: item[name] for name in only if name in item}
    return copy.deepcopy(found)
