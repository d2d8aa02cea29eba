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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from html import unescape

from ballast.masking.equivalents import EquivalentForms
from ballast.regex import regex
from ballast.values import dataclass

#: Dashes and minus signs in three classes: hyphens, which join; en dashes, which join or separate; em dashes, which
#: separate.
_HYPHENS = "-\u058a\u05be\u1400\u1806\u2010\u2011\u2e17\u2e1a\u2e40\u2e5d\u30a0\ufe63\uff0d\U00010ead"
_EN_DASHES, _EM_DASHES = (
    "\u2013\u2012\u2212\ufe32\u207b\u208b",
    "\u2014\u2015\u2043\u2e3a\u2e3b\u301c\u3030\ufe31\ufe58",
)
_DASHES = {ord(char): kind[0] for kind in (_HYPHENS, _EN_DASHES, _EM_DASHES) for char in kind}
_ALL_DASHES = dict.fromkeys(_DASHES, "-")
#: Invisible characters, for a regular expression's brackets: a soft hyphen, a zero-width space, marks.
UNSEEN = (
    "\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f"
)
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

_HEX = "[0-9a-fA-F]"
_SLASHES = r"(?:\\|%(?:25)*5[cC])+"
_ESCAPE = regex(
    rf"(?P<pair>{_SLASHES}u[dD][89abAB]{_HEX}{{2}}{_SLASHES}u[dD][c-fC-F]{_HEX}{{2}})"
    rf"|(?P<bytes>(?:{_SLASHES}x{_HEX}{{2}})+)"
    rf"|{_SLASHES}(?:u(?P<u>{_HEX}{{4}})|U(?P<U>000{_HEX}{{5}}|0010{_HEX}{{4}})|(?P<c>[nrtbf]))"
    rf"|(?P<slash>{_SLASHES})|(?P<url>(?:%(?:25)*(?!5[cC]){_HEX}{{2}})+)|(?P<plus>\+)"
    rf"|(?P<unseen>[{UNSEEN}]+)"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos|nbsp);)"
)
_SEEN_BY_NOBODY = regex(f"[{UNSEEN}]")
_PERCENT = regex(rf"%(?:25)*({_HEX}{{2}})")
_HAS_BYTES = regex(rf"(?:\\|5[cC])x{_HEX}{{2}}")
_BYTE = regex(rf"{_SLASHES}x({_HEX}{{2}})")
_UNITS = regex(rf"u([dD]{_HEX}{{3}})")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_BARRIER = "\ue000"
#: A stretch of ASCII, or a character with the marks that are combined with it.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a"
    "\ufe20-\ufe2f"
)
_COMPOSED = regex(rf"[\x00-\x7f]+(?![{_MARKS}])|.[{_MARKS}]*", re.DOTALL)


def dashes(text: str) -> str:
    """Return ``text`` with each dash as one of three: a hyphen, an en dash, an em dash. Positions stay the same."""
    return text if text.isascii() else text.translate(_DASHES)


@dataclass(frozen=True)
class DecodedText:
    """A decoded text, with the position of each character in the original.

    starts, ends  by the position of a character; None if the text had nothing to decode
    """

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original positions of the characters ``start`` to ``end`` (excluded)."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def decoded(text: str, *, utf8: bool = True, unseen: bool = False, plus: str = " ") -> DecodedText:
    """Return ``text`` without escapes and in NFKC; a backslash before anything unknown is dropped.

    utf8    whether Python's byte escapes (``\\xc3\\xbc``) are read as UTF-8 if possible; else as characters
    unseen  whether invisible characters stay
    plus    what a plus sign is read as: a URL has it for a space
    """
    return _compatible(_unescaped(text, utf8=utf8, unseen=unseen, plus=plus))


def _compatible(spelling: DecodedText) -> DecodedText:
    """Return a text in NFKC: full-width letters as ordinary ones. Footnotes and fractions (5², 5½) stay apart."""
    text = spelling.text
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return spelling
    made: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _COMPOSED.finditer(text):
        chars, (start, end) = match[0], match.span()
        if chars.isascii() or unicodedata.category(chars[0]) == "No":
            made.append(chars)
            places.extend((place, place + 1) for place in range(start, end))
        else:
            chars = unicodedata.normalize("NFKC", chars).translate(_ALL_DASHES)
            made.append(chars)
            places.extend([(start, end)] * len(chars))
    spans = [spelling.span(*place) for place in places]
    return DecodedText("".join(made), [start for start, _ in spans], [end for _, end in spans])


def _unescaped(text: str, *, utf8: bool, unseen: bool, plus: str) -> DecodedText:
    if not text.isascii():
        text = text.translate(_ALL_DASHES)
    if not any(begins in text for begins in "\\%+&") and (text.isascii() or not _SEEN_BY_NOBODY.search(text)):
        return DecodedText(text)
    made: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0

    def put(chars: str, start: int, end: int) -> None:
        chars = "" if not unseen and _SEEN_BY_NOBODY.match(chars) else chars.translate(_ALL_DASHES)
        made.append(chars)
        starts.extend([start] * len(chars))
        ends.extend([end] * len(chars))

    def as_it_is(start: int, end: int) -> None:
        made.append(text[start:end])
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))

    for match in _ESCAPE.finditer(text):
        as_it_is(at, match.start())
        at = match.end()
        kind = match.lastgroup
        if kind == "url":
            _put_bytes(_PERCENT, match, put, lambda two: f"%{two.upper()}", plus=plus)
        elif kind == "bytes":
            _put_bytes(_BYTE, match, put, lambda two: chr(int(two, 16)), longest=4 if utf8 else 0)
        elif kind == "entity":
            put(unescape(match[0]), match.start(), at)
        elif kind == "plus":
            put(plus, match.start(), at)
        elif kind == "c":
            put(_CONTROL[match["c"]], match.start(), at)
        elif kind == "pair":
            high, low = (int(part, 16) for part in _UNITS.findall(match[0]))
            put(chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), match.start(), at)
        elif kind == "unseen":
            as_it_is(match.start(), at if unseen else match.start())
        elif kind != "slash":
            put(chr(int(match[kind or ""], 16)), match.start(), at)
    as_it_is(at, len(text))
    return DecodedText("".join(made), starts, ends)


def _put_bytes(
    byte: re.Pattern[str],
    match: re.Match[str],
    put: Callable[[str, int, int], None],
    otherwise: Callable[[str], str],
    *,
    plus: str = "+",
    longest: int = 4,
) -> None:
    """Decode a run of bytes as UTF-8, in characters of up to ``longest`` bytes; ``otherwise`` handles invalid ones."""
    parts = list(byte.finditer(match.string, match.start(), match.end()))
    at = 0
    while at < len(parts):
        for length in range(1, longest + 1):
            some = parts[at : at + length]
            try:
                char = bytes(int(one[1], 16) for one in some).decode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                continue
            break
        else:
            some, char = parts[at : at + 1], ""
        if len(char) == 1:  # a plus may be a space, so each is treated as one
            put(plus if char == "+" else char, some[0].start(), some[-1].end())
        else:
            put(otherwise(some[0][1]), some[0].start(), some[0].end())
        at += len(some)


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
    seen = _SEEN_BY_NOBODY.sub("", value.translate(_ALL_DASHES))
    made = ungrouped(_compatible(DecodedText(seen))).text
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
            other = decoded(text, utf8=False) if _HAS_BYTES.search(text) else spelling
            if other.text != spelling.text:
                found += self._in(other)
        return _merged([*found, *self._with_unseen(text)])

    def _with_unseen(self, text: str) -> list[tuple[int, int]]:
        if self._unseen is None:
            return []
        readings = (True, False) if _HAS_BYTES.search(text) else (True,)
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
