"""Which of many texts and numbers hold a value: each is taken apart once, however many values are asked for. Pure.

The first values are looked for in each text, one after the other: that asks of nearly every text one cheap question
and takes none apart. From then on the numbers, addresses and words of all texts stand in tables, and a value is looked
up. Both give the same answer; the work grows with the size of the texts and the number of values, not their product.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from ballast.validation.values import Kind, Leaf, SearchValue
from ballast.validation.words import Words

#: So many values are looked for in each text, and in each source of a group, before there are tables.
_FEW, _FEW_OF_A_GROUP = 16, 64


class Index:
    """Texts and numbers in their order, and who holds a value among them."""

    def __init__(self, leaves: Iterable[Leaf] = ()) -> None:
        self._leaves = [*leaves]
        self._asked = 0
        self._tables: dict[str, dict[Any, list[int]]] = {}
        self._found: dict[tuple[SearchValue, bool], tuple[int, ...]] = {}

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Say whether one of them holds the value; ``loose`` as in ``Wanted.may_occur_in``."""
        return next(self.holding(wanted, loose=loose), None) is not None

    def holding(self, wanted: SearchValue, *, loose: bool = False) -> Iterator[int]:
        """Yield the positions of those that hold the value, in their order."""
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
    """What a source was made of."""

    def explains(self, wanted: SearchValue) -> bool:
        """Say whether the value is one of these, or follows from them."""


class HasLeaves(Protocol):
    """What a group is made of."""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its texts and numbers."""

    @property
    def arguments(self) -> Accounts:
        """What it was made of."""

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Say whether it names the value, which was not brought there."""


HeldT = TypeVar("HeldT", bound=HasLeaves)


class Group(Generic[HeldT]):
    """Sources in their order, and which of them name a value that was not brought there."""

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
        """Say whether one of them names the value."""
        return next(self.naming(wanted, loose=loose), None) is not None
