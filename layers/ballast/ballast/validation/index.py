"""An index of texts and numbers: which of them contain a value. Each is analyzed once. Pure.

The first values are searched for in each text in turn, with one cheap test for most texts. After that the numbers,
addresses and words of all texts are put into tables, and values are looked up. Both give the same answer; the work
grows with the size of the texts plus the number of values, not their product.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from ballast.validation.values import Kind, Leaf, SearchValue
from ballast.validation.words import Words

#: This many values are searched for in each text, and in each source of a group, before tables are built.
_FEW, _FEW_OF_A_GROUP = 16, 64


class Index:
    """Texts and numbers in order, and which of them contain a value."""

    def __init__(self, leaves: Iterable[Leaf] = ()) -> None:
        self._leaves = [*leaves]
        self._asked = 0
        self._tables: dict[str, dict[Any, list[int]]] = {}
        self._found: dict[tuple[SearchValue, bool], tuple[int, ...]] = {}

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Return whether one of them contains the value; ``loose`` as in ``SearchValue.may_occur_in``."""
        return next(self.holding(wanted, loose=loose), None) is not None

    def holding(self, wanted: SearchValue, *, loose: bool = False) -> Iterator[int]:
        """Yield the positions of those that contain the value, in order."""
        self._asked += 1
        if self._asked <= _FEW or len(self._leaves) == 0:
            occurs = wanted.may_occur_in if loose else wanted.occurs_in
            yield from (at for at, leaf in enumerate(self._leaves) if occurs(leaf))
            return
        key = wanted, loose
        if key not in self._found:
            self._found[key] = tuple(sorted(self._looked_up(wanted, loose)))
        yield from self._found[key]

    def _looked_up(self, wanted: SearchValue, loose: bool) -> set[int]:
        found = {at for name, key in wanted.sought(loose=loose) for at in self._table(name).get(key, ())}
        if Kind.TEXT in wanted.kinds:
            for words in (self._words, self._loose_words):
                found.update(words.owners(wanted.leaf.tokens))
            if wanted.leaf.code:
                found.update(self._words.owners_of_code(wanted.leaf.code))
        return found

    def _table(self, name: str) -> dict[Any, list[int]]:
        if name not in self._tables:
            made = self._tables[name] = {}
            for at, leaf in enumerate(self._leaves):
                for value in getattr(leaf, name):
                    made.setdefault(value, []).append(at)
        return self._tables[name]

    @cached_property
    def _words(self) -> Words:
        return Words([leaf.tokens for leaf in self._leaves])

    @cached_property
    def _loose_words(self) -> Words:
        return Words([leaf.loose_tokens for leaf in self._leaves])


class Accounts(Protocol):
    """The arguments of a source's call."""

    def explains(self, wanted: SearchValue) -> bool:
        """Return whether the value is one of them or follows from them."""


class HasLeaves(Protocol):
    """A member of a group."""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its texts and numbers."""

    @property
    def arguments(self) -> Accounts:
        """The arguments of its call."""

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Return whether it names the value, other than as its call's own argument."""


HeldT = TypeVar("HeldT", bound=HasLeaves)


class Group(Generic[HeldT]):
    """Sources in order, and which of them name a value other than as their call's own argument."""

    def __init__(self, sources: Iterable[HeldT] = ()) -> None:
        self._sources = [*sources]
        self._asked = 0
        self._index: Index | None = None
        self._owners: list[HeldT] = []

    def __iter__(self) -> Iterator[HeldT]:
        return iter(self._sources)

    def __bool__(self) -> bool:
        return bool(self._sources)

    def add(self, source: HeldT) -> None:
        """Add a source."""
        self._sources.append(source)
        self._index, self._asked = None, 0

    def naming(self, wanted: SearchValue, *, loose: bool = False) -> Iterator[HeldT]:
        """Yield the sources that name the value; ``loose``: it may have been taken from there."""
        self._asked += 1
        if self._asked <= _FEW_OF_A_GROUP:
            yield from (source for source in self._sources if source.holds(wanted, loose=loose))
            return
        if self._index is None:
            self._owners = [source for source in self._sources for _ in source.leaves]
            self._index = Index(leaf for source in self._sources for leaf in source.leaves)
        last = None
        for at in self._index.holding(wanted, loose=loose):
            source = self._owners[at]
            if source is not last and not source.arguments.explains(wanted):
                yield source
            last = source

    def names(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Return whether one of them names the value."""
        return next(self.naming(wanted, loose=loose), None) is not None
