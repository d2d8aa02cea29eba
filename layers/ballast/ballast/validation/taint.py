"""Whether a value may have come out of text that nobody vouches for. Pure.

A model that read a planted text may hand it on whole, in pieces, in other words or decoded. So an argument is clean
only where trusted sources name it, or all its words; a choice of the tool's own (a Literal, a boolean) is always
clean, and a count or a date is unless untrusted text names it.
"""

import re
from collections.abc import Iterable
from datetime import date, time
from typing import Any, Protocol

from ballast.validation.amounts import names_amount
from ballast.validation.marks import Found
from ballast.validation.spelling import Token, tokens
from ballast.validation.value import Leaf, Wanted, json_leaves

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?([T ][0-9:.]{4,15}(Z|[+-][0-9:]{4,6})?)?", re.ASCII)
#: A passage: so many words in a row.
_PASSAGE = 6
#: Words that carry nothing.
_FUNCTION_WORDS = frozenset(
    {"of", "the", "to", "in", "on", "for", "and", "or", "by", "with", "from", "is", "are", "an"}
)
#: Numbers below this count something, wherever else they stand; up to the second one they may, or be a year.
_FEW, _MANY = 100, 2_100


class Said(Protocol):
    """A source, as far as it is asked here."""

    @property
    def trusted(self) -> bool:
        """Whether somebody vouches for it."""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its texts and numbers."""

    @property
    def brought(self) -> Any:
        """The arguments of the call itself, JSON."""

    def holds(self, wanted: Wanted, *, perhaps: bool = False) -> bool:
        """Say whether the value occurs here, and was not brought here."""


class Heard:
    """What a run has heard so far, by trust. Each text is taken apart once, and only where something is asked."""

    def __init__(self, sources: Iterable[Said] = ()) -> None:
        self._trusted: list[Said] = []
        self._untrusted: list[Said] = []
        self._known = _Words()
        self._planted = _Words()
        for source in sources:
            self.add(source)

    def add(self, source: Said) -> None:
        """Take note of a source."""
        (self._trusted if source.trusted else self._untrusted).append(source)
        (self._known if source.trusted else self._planted).add(source)

    def may_have_made(self, arguments: Iterable[Found]) -> bool:
        """Say whether untrusted text may have made one of these arguments of a call."""
        return bool(self._untrusted) and any(self._may_have_made(found) for found in arguments)

    def names_alone(self, found: Found) -> bool:
        """Say whether only untrusted text names the value of an argument, or a telling value in it.

        Telling are e-mail and web addresses and words with a digit: what a text may smuggle into one's own words.
        """
        if found.chosen or not self._untrusted or _counts(found, _FEW):
            return False
        wanted = wanted_of(found)
        if _among(self._trusted, wanted):
            return False
        if _among(self._untrusted, wanted, perhaps=True):
            return True
        leaf = wanted.leaf
        return isinstance(leaf.value, str) and bool((self._planted.telling & _telling(leaf)) - self._known.telling)

    def is_quoted_by(self, text: str) -> bool:
        """Say whether the text has a passage that only untrusted text has."""
        mine = _passages(Leaf(text).tokens)
        return bool((self._planted.passages & mine) - self._known.passages) if mine and self._untrusted else False

    def _may_have_made(self, found: Found) -> bool:
        if found.chosen or str(found.value).strip() == "":
            return False
        wanted = wanted_of(found)
        if _counts(found, _MANY) or _is_date(found):
            few = _counts(found, _FEW) or _among(self._trusted, wanted)
            return not few and _among(self._untrusted, wanted, perhaps=True)
        if isinstance(wanted.leaf.value, str) and _words(wanted.leaf) - _FUNCTION_WORDS <= self._known.words:
            return False
        return not _among(self._trusted, wanted)


class _Words:
    """The words, the telling ones and the passages of sources; what a call brought itself it has not taught."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._telling: set[str] = set()
        self._passages: set[tuple[str, ...]] = set()
        self._new: dict[str, list[Said]] = {"words": [], "telling": [], "passages": []}

    def add(self, source: Said) -> None:
        for left in self._new.values():
            left.append(source)

    @property
    def words(self) -> set[str]:
        for source in _taken(self._new["words"]):
            brought = {word for leaf in json_leaves(source.brought) for word in _words(leaf)}
            self._words.update(word for leaf in source.leaves for word in _words(leaf) if word not in brought)
        return self._words

    @property
    def telling(self) -> set[str]:
        for source in _taken(self._new["telling"]):
            brought = {word for leaf in json_leaves(source.brought) for word in _telling(leaf)}
            self._telling.update(word for leaf in source.leaves for word in _telling(leaf) if word not in brought)
        return self._telling

    @property
    def passages(self) -> set[tuple[str, ...]]:
        for source in _taken(self._new["passages"]):
            self._passages.update(passage for leaf in source.leaves for passage in _passages(leaf.tokens))
        return self._passages


def wanted_of(found: Found) -> Wanted:
    """Return what to look for: the value of an argument, compared as its mark says or as its name and type tell."""
    return Wanted.of(found.value, getattr(found.mark, "kind", None), found.field)


def _taken(left: list[Said]) -> list[Said]:
    taken = [*left]
    left.clear()
    return taken


def _among(sources: Iterable[Said], wanted: Wanted, *, perhaps: bool = False) -> bool:
    return any(source.holds(wanted, perhaps=perhaps) for source in sources)


def _words(leaf: Leaf) -> set[str]:
    return {token.text for token in tokens(leaf.evened)}


def _telling(leaf: Leaf) -> set[str]:
    """Return the addresses and the words with a digit; a word with joined parts, such as an id, is one."""
    found: set[str] = {*leaf.emails, *leaf.urls}
    word = ""
    for token in (*leaf.tokens, Token("", "", " ")):
        if token.gap not in ("", "-", "_") and word:
            if len(word) > 2 and any(map(str.isdigit, word)) and not _DATE.fullmatch(word):
                found.add(word.replace("-", "").replace("_", ""))
            word = ""
        word += (token.gap if word else "") + token.text
    return found


def _passages(words: tuple[Token, ...]) -> set[tuple[str, ...]]:
    texts = [token.text for token in words]
    return {tuple(texts[at : at + _PASSAGE]) for at in range(len(texts) - _PASSAGE + 1)}


def _is_date(found: Found) -> bool:
    return isinstance(found.value, date | time) or _DATE.fullmatch(str(found.value)) is not None


def _counts(found: Found, below: int) -> bool:
    """Say whether it is a whole number below that and no amount: pages, pieces, days."""
    value = found.value
    return isinstance(value, int) and abs(value) < below and not names_amount(found.field)
