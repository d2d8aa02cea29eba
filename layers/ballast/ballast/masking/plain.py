"""Decode a text as a reader sees it, keeping the position of each character. Pure.

Escapes of JSON, Python, URLs and HTML are read, invisible characters are dropped, dashes are one of three, and other
forms of a character (full width, ligatures, a separate accent) are read in NFKC.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from html import unescape

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


def seen(text: str) -> DecodedText:
    """Return ``text`` as a reader sees it, with its escapes."""
    return _compatible(DecodedText(_SEEN_BY_NOBODY.sub("", text.translate(_ALL_DASHES))))


def has_bytes(text: str) -> bool:
    """Return whether Python's byte escapes are in the text, so that it has two readings."""
    return _HAS_BYTES.search(text) is not None
