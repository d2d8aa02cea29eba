"""Find known values in a text, in every spelling that Ballast or a tool may use. Pure.

============ ==========================================================================================
as it is     the value, in any case, without surrounding space
compatible   in other forms of the same letters (NFKC): full width, ligatures, accents as characters of their own
escaped      as JSON, Python (also of bytes), a URL and HTML escape it: ``\\"``, ``\\u00e9``, ``%22``, ``+``, ``&#39;``
regrouped    a value of six digits or more, and of letters and digits only: ``4111-1111…``, ``de89 3704…``
equivalent   a number, a date or a time in another form, or as Python writes it: ``equivalents``
abbreviated  the beginning or the end of a long value next to an ellipsis, or a part too long to be chance
============ ==========================================================================================

A text is decoded once, keeping the position of each character, and one Aho-Corasick automaton searches for all values
together: the time grows with the text, not with the number of values or their similarity.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import field

from ballast.masking.equivalents import EquivalentForms
from ballast.masking.plain import DecodedText, decoded, has_bytes, seen
from ballast.regex import regex
from ballast.values import dataclass

#: Optional characters between groups of digits or letters.
_BETWEEN = " \t\n\r\u00a0\u2002\u2003\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u00b7-./()_,:+'"
#: At most this many in a row are inside a value.
_WIDEST_GAP = 3
#: Values with fewer digits are not searched for regrouped: "12-34" is not "1234".
_LEAST_DIGITS = 6
#: Shortest part of a value (beginning or end) that counts as found next to an ellipsis, and anywhere.
_LEAST_PART, _TELLING_PART = 8, 40
#: An ellipsis after a beginning, and before an end.
_LEFT_OUT_AFTER = regex(r"[ \"'\[(<{]{0,2}(?:\.\.\.|\u2026)")
_LEFT_OUT_BEFORE = regex(r"[ \"'\])>}]{0,2}(?:\.\.\.|\u2026)")  # in a text read backwards

_BARRIER = "\ue000"


def ungrouped(spelling: DecodedText) -> DecodedText:
    """Return a decoded text without group separators, in lower case and ASCII digits."""
    made: list[str] = []
    places: list[int] = []
    gap = 0
    for place, char in enumerate(spelling.text):
        if char in _SEPARATORS:
            gap += 1
            continue
        if gap > _WIDEST_GAP:
            made.append(_BARRIER)
            places.append(place)
        gap = 0
        made.append(_folded(char))
        places.append(place)
    starts, ends = spelling.starts, spelling.ends
    return DecodedText(
        "".join(made),
        places if starts is None else [starts[place] for place in places],
        [place + 1 for place in places] if ends is None else [ends[place] for place in places],
    )


_SEPARATORS = frozenset(_BETWEEN)
_NO_SEPARATORS = str.maketrans("", "", _BETWEEN)


def _folded(char: str) -> str:
    if char < "\x80":
        return char.lower()
    digit = unicodedata.decimal(char, None)
    return _small(char) if digit is None else str(digit)


def grouping_key(value: str) -> str | None:
    """Return a value's letters and digits for the regrouped search; None if it has other characters or too few
    digits."""
    made = ungrouped(seen(value)).text
    if not all(char.isalnum() for char in made):
        return None
    return made if sum(char.isdigit() for char in made) >= _LEAST_DIGITS else None


#: A regular expression finds the next value's first characters; with many values, its first one only.
_BEGINNING, _FEW = 4, 50


@dataclass
class Automaton:
    """An Aho-Corasick automaton: finds several texts in one pass."""

    _next: list[dict[str, int]] = field(default_factory=lambda: [{}])
    _fail: list[int] = field(default_factory=lambda: [0])
    _longest: list[int] = field(default_factory=lambda: [0])
    _begins: re.Pattern[str] | None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Automaton":
        """Return the automaton of these texts; empty ones are ignored."""
        made, wanted = cls(), [*filter(None, texts)]
        for text in wanted:
            made._add(text)
        made._link({text[:_BEGINNING] for text in wanted})
        return made

    def _add(self, text: str) -> None:
        state = 0
        for char in text:
            following = self._next[state].get(char)
            if following is None:
                following = len(self._next)
                self._next[state][char] = following
                self._next.append({})
                self._fail.append(0)
                self._longest.append(0)
            state = following
        self._longest[state] = len(text)

    def _link(self, beginnings: set[str]) -> None:
        if not beginnings:
            return
        few = len(beginnings) <= _FEW
        first = "[" + "".join(map(re.escape, sorted(self._next[0]))) + "]"
        self._begins = re.compile("|".join(map(re.escape, sorted(beginnings))) if few else first)
        queue = list(self._next[0].values())
        for state in queue:
            for char, following in self._next[state].items():
                queue.append(following)
                fail = self._fail[state]
                while fail and char not in self._next[fail]:
                    fail = self._fail[fail]
                self._fail[following] = self._next[fail].get(char, 0)
                self._longest[following] = self._longest[following] or self._longest[self._fail[following]]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of the texts, ordered by end; they may overlap."""
        if self._begins is None:
            return []
        found, begins = [], self._begins
        after, fail, longest = self._next, self._fail, self._longest
        start = begins.search(text)
        while start is not None:
            state, at = 0, start.start()
            for at in range(at, len(text)):  # noqa: B020  continues from where the search stopped
                char = text[at]
                while state and char not in after[state]:
                    state = fail[state]
                state = after[state].get(char, 0)
                if longest[state]:
                    found.append((at + 1 - longest[state], at + 1))
                if not state:
                    break
            start = begins.search(text, at + 1)
        return found


class ValueSearch:
    """A search for values in texts, in every spelling. ``exactly``: values to match by case, because other cases are
    common words."""

    def __init__(self, values: Iterable[str], *, exactly: Iterable[str] = ()) -> None:
        self._as_written = Automaton.of(exactly)
        given = set(values)
        self._readings = EquivalentForms(sorted(given))
        known = sorted({one for value in given for one in _case_variants(value)})
        plain = {value: decoded(value).text for value in known}
        self._exact = Automaton.of(known)
        # Little is left of a value made of backslashes, so it is searched for undecoded; of one with invisible
        # characters, so it is searched for with them.
        wanted, unseen = set(self._readings.written), set()
        for value, text in plain.items():
            least = min(len(value), 4)
            if len(text) >= least:
                wanted.add(lower_in_place(text))
            elif len(whole := decoded(value, unseen=True).text) >= least:
                unseen.add(lower_in_place(whole))
        self._plain = Automaton.of(wanted)
        self._unseen = Automaton.of(unseen) if unseen else None
        codes = {made for value in known if (made := grouping_key(value)) is not None}
        self._codes = Automaton.of(codes) if codes else None
        self._parts = _Parts({lower_in_place(decoded(value).text) for value in given})

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the spans of values in ``text``, in order, with overlaps merged."""
        spelling = decoded(text)
        found = self._in(spelling)
        if spelling.starts is not None:  # "\\new" may be a newline and "ew", or a backslash and the value "new"
            found += self._exact.spans(lower_in_place(text)) + self._as_written.spans(text)
            other = decoded(text, utf8=False) if has_bytes(text) else spelling
            if other.text != spelling.text:
                found += self._in(other)
        return _merged([*found, *self._with_unseen(text)])

    def _with_unseen(self, text: str) -> list[tuple[int, int]]:
        if self._unseen is None:
            return []
        readings = (True, False) if has_bytes(text) else (True,)
        spellings = [decoded(text, utf8=utf8, unseen=True) for utf8 in readings]
        return [one.span(*span) for one in spellings for span in self._unseen.spans(lower_in_place(one.text))]

    def _in(self, spelling: DecodedText) -> list[tuple[int, int]]:
        text = spelling.text
        lower = lower_in_place(text)
        spans = [*self._plain.spans(lower), *self._parts.spans(lower), *self._readings.spans(text)]
        found = [spelling.span(*span) for span in [*spans, *self._as_written.spans(text)]]
        if self._codes is not None and _may_hold(self._codes, text):
            bare = ungrouped(spelling)
            found += [bare.span(*span) for span in self._codes.spans(bare.text)]
        return found


#: Shorter texts occur everywhere.
_SHORTEST_BARE = 4


def _case_variants(value: str) -> Iterable[str]:
    """Return a value, with and without surrounding space, in the forms of a search that ignores case.

    Some letters have another lower case after upper case: ß becomes ss.
    """
    bare = value.strip()
    both = (value, bare) if len(bare) >= _SHORTEST_BARE else (value,)
    return {lower_in_place(one) for text in both for one in (text, text.upper())}


def lower_in_place(text: str) -> str:
    """Return a text in lower case, with all positions unchanged."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(map(_small, text))


def _small(char: str) -> str:
    return char.lower()[0]  # İ becomes an i and a combining dot


class _Parts:
    """A search for beginnings and ends of long values that were abbreviated or cut."""

    def __init__(self, values: Iterable[str]) -> None:
        long = [value for value in values if len(value) > _LEAST_PART]
        self._beginnings = _Beginnings(long, _LEFT_OUT_AFTER)
        self._ends = _Beginnings([value[::-1] for value in long], _LEFT_OUT_BEFORE)

    def spans(self, text: str) -> list[tuple[int, int]]:
        ends = self._ends.spans(text[::-1])
        return [*self._beginnings.spans(text), *((len(text) - end, len(text) - start) for start, end in ends)]


class _Beginnings:
    """A search for beginnings of values. ``left_out`` matches the ellipsis after a cut."""

    def __init__(self, values: Iterable[str], left_out: re.Pattern[str]) -> None:
        self._sorted = sorted(values)
        self._automaton = Automaton.of({value[:_LEAST_PART] for value in self._sorted})
        self._left_out = left_out

    def spans(self, text: str) -> list[tuple[int, int]]:
        found, known = [], 0
        for start, end in self._automaton.spans(text):
            if start < known:
                continue
            length = max(
                _common_length(text, start, value) for value in self._nearest(text[start : start + _TELLING_PART])
            )
            # A value's own full stop may be the first of the ellipsis.
            places = range(max(end, start + length - 2), start + length + 1)
            if length >= _TELLING_PART or any(self._left_out.match(text, at) for at in places):
                known = start + length
                found.append((start, known))
        return found

    def _nearest(self, text: str) -> Sequence[str]:
        """Return the neighbours of ``text`` among the sorted values; one of them has the longest common beginning."""
        at = bisect_left(self._sorted, text)
        return self._sorted[max(0, at - 1) : at + 1]


def _common_length(text: str, start: int, value: str) -> int:
    """Return how many characters of the value the text has from ``start`` on."""
    least, most = 0, len(value)
    while least < most:
        middle = (least + most + 1) // 2
        if text.startswith(value[:middle], start):
            least = middle
        else:
            most = middle - 1
    return least


def _may_hold(codes: Automaton, text: str) -> bool:
    """Return whether a code may be in the text; a fast check whose False is certain."""
    return not text.isascii() or bool(codes.spans(text.translate(_NO_SEPARATORS).lower()))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if made and start < made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((start, end))
    return made
