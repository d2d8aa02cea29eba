"""Append-only collections. Adding items returns a new collection, which shares most of the old one's items.

Folds keep such values from turn to turn (``ballast.run``). With plain tuples and dictionaries each turn would copy all
turns before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar, overload

ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
#: Items in each full part of a list.
_PART = 32
#: A new layer is merged with the one before it, unless that one is at least this many times as large.
_TIMES = 8


class PersistentList(Sequence[ItemT]):
    """A sequence in parts of equal length and an unfinished last part. Equal to any sequence of equal items."""

    def __init__(self, items: Iterable[ItemT] = ()) -> None:
        self._parts: tuple[tuple[ItemT, ...], ...] = ()
        self._last: tuple[ItemT, ...] = tuple(items)
        self._split()

    def _split(self) -> None:
        while len(self._last) >= _PART:
            self._parts, self._last = (*self._parts, self._last[:_PART]), self._last[_PART:]

    def with_more(self, items: Iterable[ItemT]) -> PersistentList[ItemT]:
        """Return the list with these items after its own."""
        made = PersistentList((*self._last, *items))
        made._parts = (*self._parts, *made._parts)
        return made

    def __len__(self) -> int:
        return len(self._parts) * _PART + len(self._last)

    def __iter__(self) -> Iterator[ItemT]:
        return chain.from_iterable((*self._parts, self._last))

    @overload
    def __getitem__(self, at: int) -> ItemT: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[ItemT, ...]: ...
    def __getitem__(self, at: int | slice) -> ItemT | tuple[ItemT, ...]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                return tuple(self)[at]
            first = start // _PART
            near = tuple(chain.from_iterable((*self._parts[first:], self._last)))
            return near[start - first * _PART : max(0, stop - first * _PART)]
        place = range(len(self))[at]
        part = place // _PART
        return self._parts[part][place % _PART] if part < len(self._parts) else self._last[place % _PART]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # its items may have none

    def __repr__(self) -> str:
        return f"PersistentList({tuple(self)!r})"


class PersistentDict(Mapping[KeyT, ValueT]):
    """A mapping in a few layers, the newest last. A layer absorbs the small layers after it."""

    def __init__(self, items: Mapping[KeyT, ValueT] | None = None) -> None:
        self._layers: tuple[Mapping[KeyT, ValueT], ...] = (dict(items),) if items else ()
        self._count = len(items) if items else 0

    def with_more(self, items: Mapping[KeyT, ValueT]) -> PersistentDict[KeyT, ValueT]:
        """Return the mapping with these items; they replace earlier items with the same keys."""
        if not items:
            return self
        made: PersistentDict[KeyT, ValueT] = PersistentDict()
        made._count = self._count + sum(key not in self for key in items)
        layers, newest = self._layers, dict(items)
        while layers and len(layers[-1]) < _TIMES * len(newest):
            newest, layers = {**layers[-1], **newest}, layers[:-1]
        made._layers = (*layers, newest)
        return made

    def __getitem__(self, key: KeyT) -> ValueT:
        for layer in reversed(self._layers):
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[KeyT]:
        merged: dict[KeyT, ValueT] = {}
        for layer in self._layers:
            merged |= layer
        return iter(merged)

    def __repr__(self) -> str:
        return f"PersistentDict({dict(self)!r})"
