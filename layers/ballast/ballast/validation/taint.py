"""Taint: whether a value may come from untrusted text. Pure.

A model that read a planted text may pass it on whole, in pieces, in other words, decoded, or as character codes. So the
text's content is not examined: an argument is accounted for if trusted sources name it, and otherwise it may come from
the text.

============== ==========================================================================================
text           trusted sources name it; or they name each of its words, its addresses and ids whole, and its short parts
               (digits, letters) in the same order
number, date   trusted sources name it, a percentage as "15 %", a number up to twelve as a word, the nearest day as
               "May 24"
list           each item; short items as one run, and likewise more than three short arguments
choice         for a write: always (the author's own words). For a read: see ``may_taint``
============== ==========================================================================================

A file is untrusted text that is not searched: it may hold any value, and names none.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Literal, Protocol

from ballast.regex import regex
from ballast.validation.amounts import names_paging
from ballast.validation.computed import CallInputs
from ballast.validation.index import Group
from ballast.validation.marks import FieldValue
from ballast.validation.numbers import Day, day_of, days_in, is_nearest
from ballast.validation.values import Kind, Leaf, SearchValue
from ballast.validation.words import Token, normalize, tokens

_DATE = regex(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?([T ][0-9:.]{4,15}(Z|[+-][0-9:]{4,6})?)?", re.ASCII)
#: The number of consecutive words of a passage.
_PASSAGE = 6
#: Words without content.
_FUNCTION_WORDS = frozenset(
    {*("of", "the", "to", "in", "on", "for", "and", "or", "by", "with", "from", "is", "are", "an", "at", "as", "be")}
    | {*("it", "my", "me", "we", "he", "no", "not", "so", "up", "do", "if", "us")}
)
#: Shorter words, and digits, are pieces that a list may combine.
_SHORT = 3
#: A page number below the first bound never taints; one below the second does only if untrusted text names it.
_FEW, _MANY = 100, 2_100
#: Most choices among a read's arguments that do not taint its result; more of them could spell a text.
_CHOICES = 3
_NUMBER_WORDS = dict(
    enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
)


class TextSource(Protocol):
    """The part of a source that taint depends on."""

    @property
    def trusted(self) -> bool:
        """Whether the source is trusted."""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its texts and numbers."""

    @property
    def on(self) -> date | None:
        """The day on which the run was opened, if known."""

    @property
    def arguments(self) -> CallInputs:
        """The call's own arguments."""

    @property
    def words(self) -> bool:
        """Whether it is one person's words, which may be a "no"."""

    @property
    def file(self) -> bool:
        """Whether it stands for files, which only a model reads."""

    def holds(self, wanted: SearchValue, *, loose: bool = False) -> bool:
        """Return whether the value occurs here and is not the call's own argument."""

    def was_named_before(self, wanted: SearchValue) -> bool:
        """Return whether the value was put to people before they said this."""


class TextsRead:
    """The texts that a run has read so far, by trust. Each text is analyzed once, and only when needed.

    Words account for a value only if neither untrusted text nor a question of the agent has named it as well: they may
    be a "no" to that.
    """

    def __init__(self, sources: Iterable[TextSource] = (), on: date | None = None) -> None:
        self._trusted, self._said, self._untrusted = Group[TextSource](), Group[TextSource](), Group[TextSource]()
        self._known = _Words()
        self._worded = _Words()
        self._planted = _Words()
        self._on = on
        self._files = False
        for source in sources:
            self.add(source)

    def add(self, source: TextSource) -> None:
        """Add a source."""
        self._on = self._on or source.on
        if source.file:
            self._files = True
            return
        if not source.trusted:
            sources, words = self._untrusted, self._planted
        elif source.words:
            sources, words = self._said, self._worded
        else:
            sources, words = self._trusted, self._known
        sources.add(source)
        words.add(source)

    @property
    def untrusted_text(self) -> bool:
        """Whether any untrusted text was read, or may stand in a file."""
        return bool(self._untrusted) or self._files

    @property
    def files(self) -> bool:
        """Whether the run has files."""
        return self._files

    def settles(self, wanted: SearchValue) -> bool:
        """Return whether people's words name a value that neither untrusted text nor a question of the agent named."""
        named = any(not source.was_named_before(wanted) for source in self._said.naming(wanted))
        return named and not self._plants(wanted)

    def _plants(self, wanted: SearchValue) -> bool:
        return self._untrusted.names(wanted, loose=True) or self._counts(wanted, self._planted.words)

    def may_taint(self, arguments: Sequence[FieldValue], *, switches: int = 0) -> bool:
        """Return whether untrusted text may be in one of these arguments of a read, which taints its result.

        Any argument that no trusted source accounts for taints the result, choices and small numbers included: a tool
        may combine them. Exceptions are a page or a limit, and up to three choices by words, booleans (``switches``)
        included, outside of lists and not named by untrusted text.
        """
        if not self.untrusted_text:
            return False
        left = self.unaccounted(found for found in arguments if not self._pages(found))
        return not all(map(self._selects, left)) or (len(left) + switches > _CHOICES)

    def unaccounted(self, arguments: Iterable[FieldValue]) -> list[FieldValue]:
        """Return the arguments that no trusted source accounts for; none before untrusted text was read."""
        if not self.untrusted_text:
            return []
        left: list[FieldValue] = []
        for together in _together(arguments):
            missing = [found for found in together if not self._accounts_for(found)]
            left += missing if missing or all(map(self._is_run, _short_runs(together))) else together
        return left

    def only_untrusted_names(self, found: FieldValue) -> bool:
        """Return whether only untrusted text names an argument's value, or a telling part of it.

        Telling parts are e-mail and web addresses, their hosts, and words with a digit.
        """
        if found.chosen or not self._untrusted:
            return False
        wanted = wanted_of(found)
        if self._trusted.names(wanted) or self._counts(wanted, self._known.words):
            return False
        if self._untrusted.names(wanted, loose=True):
            return True
        leaf = wanted.leaf
        return isinstance(leaf.value, str) and bool((self._planted.telling & _telling(leaf)) - self._known.telling)

    def quotes_untrusted(self, text: str) -> bool:
        """Return whether the text quotes a passage that only untrusted text has."""
        mine = _passages(Leaf(text).tokens)
        return bool((self._planted.passages & mine) - self._known.passages) if mine and self._untrusted else False

    def may_quote_a_file(self, text: str) -> bool:
        """Return whether the text has a passage that no trusted source has, and that a file may have."""
        mine = _passages(Leaf(text).tokens) if self._files else set()
        return bool(mine - self._known.passages - (self._worded.passages - self._planted.passages))

    def _accounts_for(self, found: FieldValue) -> bool:
        if str(found.value).strip() == "":
            return True
        wanted = wanted_of(found)
        day = day_of(found.value)
        if day is not None and self._names_day(day, self._known):
            return True
        # By words first, which is cheap.
        if self._names(wanted, with_words=False) or self._trusted.names(wanted):
            return True
        if not self._said or self._plants(wanted):
            return False
        if day is not None and self._names_day(day, self._worded):
            return not {day, (None, *day[1:])} & self._planted.days
        if self._said.names(wanted):
            return self.settles(wanted)
        return self._names(wanted, with_words=True)

    def _names_day(self, day: tuple[int, int, int], words: "_Words") -> bool:
        """Return whether these sources name the day; without a year they mean the nearest one."""
        if day in words.days:
            return True
        if (None, *day[1:]) not in words.days:
            return False
        if self._on is not None:
            return is_nearest(date(*day), self._on)
        year = str(day[0])
        return year in self._known.words or year not in self._planted.words

    def _names(self, wanted: SearchValue, *, with_words: bool) -> bool:
        if isinstance(wanted.leaf.value, str):
            return self._has_words_of(wanted.leaf, with_words=with_words)
        return self._counts(wanted, self._known.words) or (with_words and self._counts(wanted, self._worded.words))

    def _counts(self, wanted: SearchValue, words: set[str]) -> bool:
        """Return whether one of the words is the small number in letters."""
        value = wanted.leaf.value
        if not isinstance(value, int) or not 0 <= value < len(_NUMBER_WORDS) or wanted.amount is not None:
            return False
        return _NUMBER_WORDS[value] in words

    def _has_words_of(self, leaf: Leaf, *, with_words: bool) -> bool:
        words, is_run = leaf.tokens, self._is_run if with_words else self._is_known_run
        telling = {word for word in _telling(leaf) if not self._knows(word, "telling", with_words=with_words)}
        if telling and not all(map(is_run, telling)):
            return False
        if any(not _is_short(word) and not self._knows(word.text, "words", with_words=with_words) for word in words):
            return False
        return all(map(is_run, _runs(words)))

    def _knows(self, word: str, which: Literal["words", "telling"], *, with_words: bool) -> bool:
        if word in getattr(self._known, which):
            return True
        if not with_words or word not in getattr(self._worded, which):
            return False
        if which == "telling" and not word.startswith("//"):
            return self.settles(SearchValue.of(word))
        return word in _FUNCTION_WORDS or word not in getattr(self._planted, which)

    def _is_known_run(self, run: str) -> bool:
        return self._trusted.names(SearchValue(Leaf(run), (Kind.TEXT,)))

    def _is_run(self, run: str) -> bool:
        return self._is_known_run(run) or self.settles(SearchValue(Leaf(run), (Kind.TEXT,)))

    def _selects(self, found: FieldValue) -> bool:
        """Return whether it is a choice among the author's words that no untrusted text names."""
        text = str(getattr(found.value, "value", found.value))
        if not found.chosen or found.in_list or sum(map(str.isalpha, text)) < _SHORT:
            return False
        return not self._untrusted.names(SearchValue.of(text), loose=True)

    def _pages(self, found: FieldValue) -> bool:
        value = found.value
        if not isinstance(value, int) or not names_paging(found.field) or found.in_list:
            return False
        return 0 <= value < _FEW or (_FEW <= value < _MANY and not self._untrusted.names(wanted_of(found), loose=True))


class _Words:
    """The words, telling parts, days and passages of sources, without the calls' own arguments."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._telling: set[str] = set()
        self._days: set[Day] = set()
        self._passages: set[tuple[str, ...]] = set()
        self._new: dict[str, list[TextSource]] = {"words": [], "telling": [], "days": [], "passages": []}

    def add(self, source: TextSource) -> None:
        for left in self._new.values():
            left.append(source)

    @property
    def words(self) -> set[str]:
        for source in _taken(self._new["words"]):
            own = {word for leaf in source.arguments.leaves for word in _words(leaf)}
            new = {word for leaf in source.leaves for word in _words(leaf)} - own
            self._words.update(word for word in new if not source.arguments.concatenates(word))
        return self._words

    @property
    def telling(self) -> set[str]:
        for source in _taken(self._new["telling"]):
            own = {word for leaf in source.arguments.leaves for word in _telling(leaf)}
            self._telling.update(word for leaf in source.leaves for word in _telling(leaf) if word not in own)
        return self._telling

    @property
    def days(self) -> set[Day]:
        for source in _taken(self._new["days"]):
            own = {day[1:] for leaf in source.arguments.leaves for day in days_in(leaf.normalized)}
            self._days.update(day for leaf in source.leaves for day in days_in(leaf.normalized) if day[1:] not in own)
        return self._days

    @property
    def passages(self) -> set[tuple[str, ...]]:
        for source in _taken(self._new["passages"]):
            self._passages.update(passage for leaf in source.leaves for passage in _passages(leaf.tokens))
        return self._passages


def wanted_of(found: FieldValue) -> SearchValue:
    """Return an argument's value to search for, compared by its mark's kind, or by its name and type."""
    return found.wanted


def _taken(left: list[TextSource]) -> list[TextSource]:
    taken = [*left]
    left.clear()
    return taken


def _words(leaf: Leaf) -> set[str]:
    return {token.text for token in leaf.tokens or tokens(leaf.normalized)}


def _telling(leaf: Leaf) -> set[str]:
    """Return the addresses, their hosts and the words with a digit; joined parts, as in an id, are one word."""
    found: set[str] = {*leaf.emails, *leaf.urls, *(f"//{host}" for host in leaf.hosts)}
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


def _is_short(token: Token) -> bool:
    return token.kind != "w" or len(token.text) < _SHORT


def _runs(words: Iterable[Token]) -> Iterator[str]:
    """Yield runs of short tokens in a text, such as "o 10 02", without function words."""
    run = ""
    for token in (*words, Token("", "w", " ")):
        if token.text and _is_short(token) and token.text not in _FUNCTION_WORDS:
            run += (token.gap if run else "") + token.text
        elif run:
            yield run
            run = ""


def _short_runs(together: Sequence[FieldValue]) -> Iterator[str]:
    """Yield runs of two or more short items in a list."""
    run: list[str] = []
    for text in (*(normalize(str(found.value)) for found in together), "end"):
        compact = [char for char in text if char.isalnum()]
        if len(compact) < _SHORT:
            run.append(text)
            continue
        if len(run) > 1:
            yield " ".join(run)
        run = []


def _together(arguments: Iterable[FieldValue]) -> Iterator[list[FieldValue]]:
    """Yield the arguments in groups: those of one list, and more than three short ones outside of lists."""
    found: dict[str, list[FieldValue]] = {}
    short: list[FieldValue] = []
    for one in arguments:
        if one.in_list:
            found.setdefault(one.shape, []).append(one)
        elif one.chosen or sum(map(str.isalnum, str(one.value))) >= _SHORT:
            found[one.path] = [one]
        else:
            short.append(one)
    yield from found.values()
    yield from [short] if len(short) > _CHOICES else ([one] for one in short)
