"""Whether a value may have come out of text that nobody vouches for. Pure.

A model that read a planted text may hand it on whole, in pieces, in other words, decoded, or letter by letter as
numbers. So nothing is asked about what the text says: an argument is accounted for where trusted sources name it, and
otherwise it may have come out of the text.

============== ==========================================================================================
text           trusted sources name it; or they name every word of it, its addresses and ids whole, and what
               is short (digits, letters) in the same order
number, date   trusted sources name it, a percentage as "15 %", a number up to twelve as a word, the nearest day as
               "May 24"
list           the same of each item; short items as they stand together, and so more than three short arguments
choice         of a write: always (the author's own words). Of a read: see ``may_have_made``
============== ==========================================================================================
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Protocol

from ballast.validation.amounts import names_paging
from ballast.validation.computed import Brought
from ballast.validation.dates import Day, day_of, days_in, is_nearest
from ballast.validation.marks import Found
from ballast.validation.spelling import Token, even, tokens
from ballast.validation.value import Kind, Leaf, Wanted

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?([T ][0-9:.]{4,15}(Z|[+-][0-9:]{4,6})?)?", re.ASCII)
#: A passage: so many words in a row.
_PASSAGE = 6
#: Words that carry nothing.
_FUNCTION_WORDS = frozenset(
    {*("of", "the", "to", "in", "on", "for", "and", "or", "by", "with", "from", "is", "are", "an", "at", "as", "be")}
    | {*("it", "my", "me", "we", "he", "no", "not", "so", "up", "do", "if", "us")}
)
#: A word with fewer letters, or of digits, is a piece of something; a list may be put together of such.
_SHORT = 3
#: Pages below the first number are chosen freely, up to the second where untrusted text does not name them.
_FEW, _MANY = 100, 2_100
#: So many free choices select what a read returns; more of them may spell something.
_CHOICES = 3
_NUMBER_WORDS = dict(
    enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
)


class Said(Protocol):
    """A source, as far as it is asked here."""

    @property
    def trusted(self) -> bool:
        """Whether somebody vouches for it."""

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Its texts and numbers."""

    @property
    def on(self) -> date | None:
        """The day on which the run was opened, where it is known."""

    @property
    def arguments(self) -> Brought:
        """What the call itself was made with."""

    def holds(self, wanted: Wanted, *, perhaps: bool = False) -> bool:
        """Say whether the value occurs here, and was not brought here."""


class Heard:
    """What a run has heard so far, by trust. Each text is taken apart once, and only where something is asked."""

    def __init__(self, sources: Iterable[Said] = (), on: date | None = None) -> None:
        self._trusted: list[Said] = []
        self._untrusted: list[Said] = []
        self._known = _Words()
        self._planted = _Words()
        self._on = on
        for source in sources:
            self.add(source)

    def add(self, source: Said) -> None:
        """Take note of a source."""
        self._on = self._on or source.on
        (self._trusted if source.trusted else self._untrusted).append(source)
        (self._known if source.trusted else self._planted).add(source)

    def may_have_made(self, arguments: Sequence[Found], *, switches: int = 0) -> bool:
        """Say whether untrusted text may have made one of these arguments of a read, so that its result is tainted.

        What nothing trusted accounts for taints the result, choices and small numbers too: a tool may put them
        together. Only what selects does not: a page or a limit, and up to three choices by words, booleans among
        them (``switches``), that stand in no list and that no untrusted text names.
        """
        if not self._untrusted:
            return False
        left = self.unaccounted(found for found in arguments if not self._pages(found))
        return not all(map(self._selects, left)) or (len(left) + switches > _CHOICES)

    def unaccounted(self, arguments: Iterable[Found]) -> list[Found]:
        """Return the arguments that nothing trusted accounts for; none before untrusted text was heard."""
        if not self._untrusted:
            return []
        left: list[Found] = []
        for together in _together(arguments):
            missing = [found for found in together if not self._accounts_for(found)]
            left += missing if missing or all(map(self._is_run, _short_runs(together))) else together
        return left

    def names_alone(self, found: Found) -> bool:
        """Say whether only untrusted text names the value of an argument, or a telling value in it.

        Telling are e-mail and web addresses, their hosts, and words with a digit: what a text may smuggle into one's
        own words.
        """
        if found.chosen or not self._untrusted:
            return False
        wanted = wanted_of(found)
        if _among(self._trusted, wanted) or self._counts(wanted):
            return False
        if _among(self._untrusted, wanted, perhaps=True):
            return True
        leaf = wanted.leaf
        return isinstance(leaf.value, str) and bool((self._planted.telling & _telling(leaf)) - self._known.telling)

    def is_quoted_by(self, text: str) -> bool:
        """Say whether the text has a passage that only untrusted text has."""
        mine = _passages(Leaf(text).tokens)
        return bool((self._planted.passages & mine) - self._known.passages) if mine and self._untrusted else False

    def _accounts_for(self, found: Found) -> bool:
        if str(found.value).strip() == "":
            return True
        wanted = wanted_of(found)
        day = day_of(found.value)
        if day is not None and self._names_day(date(*day)):
            return True
        # By words first: that is a look into sets.
        by_words = self._has_words_of(wanted.leaf) if isinstance(wanted.leaf.value, str) else self._counts(wanted)
        return by_words or _among(self._trusted, wanted)

    def _names_day(self, day: date) -> bool:
        """Say whether trusted sources name the day; one without a year is the nearest, and not whichever."""
        known = self._known.days
        if (day.year, day.month, day.day) in known:
            return True
        if (None, day.month, day.day) not in known:
            return False
        if self._on is not None:
            return is_nearest(day, self._on)
        return str(day.year) in self._known.words or str(day.year) not in self._planted.words

    def _counts(self, wanted: Wanted) -> bool:
        """Say whether a trusted source names a small number as a word."""
        value = wanted.leaf.value
        if not isinstance(value, int) or not 0 <= value < len(_NUMBER_WORDS) or wanted.amount is not None:
            return False
        return _NUMBER_WORDS[value] in self._known.words

    def _has_words_of(self, leaf: Leaf) -> bool:
        words, telling = leaf.tokens, _telling(leaf)
        if telling and not all(map(self._is_run, telling - self._known.telling)):
            return False
        if any(not _is_short(word) and word.text not in self._known.words for word in words):
            return False
        return all(map(self._is_run, _runs(words)))

    def _is_run(self, run: str) -> bool:
        return _among(self._trusted, Wanted(Leaf(run), (Kind.TEXT,)))

    def _selects(self, found: Found) -> bool:
        """Say whether it is one choice among words that its author wrote, and no text told which."""
        text = str(getattr(found.value, "value", found.value))
        if not found.chosen or found.in_list or sum(map(str.isalpha, text)) < _SHORT:
            return False
        return not _among(self._untrusted, Wanted.of(text), perhaps=True)

    def _pages(self, found: Found) -> bool:
        value = found.value
        if not isinstance(value, int) or not names_paging(found.field) or found.in_list:
            return False
        return 0 <= value < _FEW or (
            _FEW <= value < _MANY and not _among(self._untrusted, wanted_of(found), perhaps=True)
        )


class _Words:
    """The words, the telling ones and the passages of sources; what a call brought itself it has not taught."""

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._telling: set[str] = set()
        self._days: set[Day] = set()
        self._passages: set[tuple[str, ...]] = set()
        self._new: dict[str, list[Said]] = {"words": [], "telling": [], "days": [], "passages": []}

    def add(self, source: Said) -> None:
        for left in self._new.values():
            left.append(source)

    @property
    def words(self) -> set[str]:
        for source in _taken(self._new["words"]):
            brought = {word for leaf in source.arguments.leaves for word in _words(leaf)}
            new = {word for leaf in source.leaves for word in _words(leaf)} - brought
            self._words.update(word for word in new if not source.arguments.puts_together(word))
        return self._words

    @property
    def telling(self) -> set[str]:
        for source in _taken(self._new["telling"]):
            brought = {word for leaf in source.arguments.leaves for word in _telling(leaf)}
            self._telling.update(word for leaf in source.leaves for word in _telling(leaf) if word not in brought)
        return self._telling

    @property
    def days(self) -> set[Day]:
        for source in _taken(self._new["days"]):
            brought = {day[1:] for leaf in source.arguments.leaves for day in days_in(leaf.evened)}
            self._days.update(day for leaf in source.leaves for day in days_in(leaf.evened) if day[1:] not in brought)
        return self._days

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
    return {token.text for token in leaf.tokens or tokens(leaf.evened)}


def _telling(leaf: Leaf) -> set[str]:
    """Return the addresses, their hosts and the words with a digit; a word with joined parts, such as an id, is one."""
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
    """Yield what is short in a text, as far as it stands together: "o 10 02", and not the words that carry nothing."""
    run = ""
    for token in (*words, Token("", "w", " ")):
        if token.text and _is_short(token) and token.text not in _FUNCTION_WORDS:
            run += (token.gap if run else "") + token.text
        elif run:
            yield run
            run = ""


def _short_runs(together: Sequence[Found]) -> Iterator[str]:
    """Yield what is short in a list, as far as it stands together; a single item stands for itself."""
    run: list[str] = []
    for text in (*(even(str(found.value)) for found in together), "end"):
        compact = [char for char in text if char.isalnum()]
        if len(compact) < _SHORT:
            run.append(text)
            continue
        if len(run) > 1:
            yield " ".join(run)
        run = []


def _together(arguments: Iterable[Found]) -> Iterator[list[Found]]:
    """Yield the arguments, those of one list together, and what is short outside of lists if it is much."""
    found: dict[str, list[Found]] = {}
    short: list[Found] = []
    for one in arguments:
        if one.in_list:
            found.setdefault(one.shape, []).append(one)
        elif one.chosen or sum(map(str.isalnum, str(one.value))) >= _SHORT:
            found[one.path] = [one]
        else:
            short.append(one)
    yield from found.values()
    yield from [short] if len(short) > _CHOICES else ([one] for one in short)
