"""Take a server's credentials out of what it sends back, in the spellings in which it may echo them. Pure.

::

    text ─▶ without escapes, round by round ─▶ folded: case, width, spaces and what nobody sees are gone ─▶ runs
                                                  └─▶ its letters and digits alone ─────────────────────────▶ runs

A run of 12 characters of a secret is the secret, and so are its first or last 8, and a shorter secret whole. Its
letters and digits count as well, whatever stands between them. A secret is also known by its hex, its base64 and its
base32, wherever it begins in them, and by those of UTF-16; of a very long one, a longer run of these is needed. One of
fewer than 8 characters is found as a sensitive value is (``ballast.masking``).

The work grows with the text, not with the number of secrets: each place is looked up once in the secrets' pieces.
"""

import base64
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html import unescape
from typing import Any
from urllib.parse import unquote_to_bytes

from ballast.masking import Finder, Secret
from ballast.values import dataclass

#: What stands for a secret that a server sent back.
HIDDEN = "***"
#: So many characters of a secret are the secret: its first or its last ones, and any.
_ENDS, _ANY = 8, 12
#: The length of the pieces that are looked up, and the most of them of one encoded form.
_PIECE, _MOST_PIECES = 8, 64
#: The most places in a secret that one piece may have.
_MOST_PLACES = 16
#: A shorter secret is searched for as it is written.
_LEAST = 4
#: Characters of a list that is one text, cut up: each item of it is one, or its code.
_LEAST_ITEMS = 4

_HEX = "[0-9A-Fa-f]"
_ESCAPE = re.compile(
    rf"\\+(?:u(?P<u>{_HEX}{{4}})|u\{{(?P<braced>{_HEX}{{1,6}})\}}|U(?P<U>000{_HEX}{{5}})|x(?P<x>{_HEX}{{2}})|(?P<c>[nrt])|)"
    rf"|(?P<high>(?:%[89A-Fa-f]{_HEX})+)|%(?P<url>[0-7]{_HEX})"
    rf"|&(?:\#0*(?P<number>[0-9]{{1,7}});?|\#[xX]0*(?P<hex>{_HEX}{{1,6}});?|(?P<name>[A-Za-z][A-Za-z0-9]{{1,31}};))"
    rf"|(?P<prefix>\b0[xX](?={_HEX}{{2}}(?!{_HEX})))"
)
#: What escapes of escapes repeat.
_REPEATED = re.compile(r"(?<=%)(?:25)+|(?<=&)(?:amp;)+")
#: Layers of escapes in escapes. The first two are read one by one: a secret may have a percent sign.
_ROUNDS = (_ESCAPE, _ESCAPE, _REPEATED, _ESCAPE, _ESCAPE, _ESCAPE)
#: What stands between the characters of a text that is shown: a place to break a line, an emphasis.
_TAG = re.compile(r"</?[A-Za-z!][^<>]{0,100}>")
#: Letters and a sign that show nothing.
_FILLERS = "\u115f\u1160\u2800"
_BEGINS = re.compile(r"[\\%&]|0[xX]")
_BLANK = re.compile(r"[\x00-\x20\x7f]+")
_NEITHER = re.compile(r"[\W_]+")


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets."""
    return _search(frozenset(filter(None, secrets))).without(text)


def hidden(value: Any, secrets: Iterable[str]) -> Any:
    """Return decoded JSON without the secrets: in its texts, keys and numbers, and in a text that is a list."""
    return _search(frozenset(filter(None, secrets))).hidden(value)


@dataclass(frozen=True)
class _Form:
    """One way to write a secret, folded. ``ends``, ``any``: so many of its first or last characters, or any, are it."""

    chars: str
    ends: int = _ENDS
    any: int = _ANY

    def run(self, view: str, at: int, place: int) -> tuple[int, int] | None:
        """Return the run of the secret around ``at`` of a view, whose piece stands at ``place`` of it."""
        start, end, first, last = at, at + _PIECE, place, place + _PIECE
        while start and first and view[start - 1] == self.chars[first - 1]:
            start, first = start - 1, first - 1
        while end < len(view) and last < len(self.chars) and view[end] == self.chars[last]:
            end, last = end + 1, last + 1
        at_an_end = first == 0 or last == len(self.chars)
        enough = min(self.ends if at_an_end else self.any, len(self.chars))
        return (start, end) if end - start >= enough else None


#: By a piece: the forms in which it is, and where.
_Pieces = dict[str, list[tuple[_Form, int]]]


def _add(pieces: _Pieces, form: _Form) -> None:
    last = len(form.chars) - _PIECE
    if last < 0:
        return
    step = max(min(form.any, len(form.chars)) - _PIECE + 1, 1)
    for place in dict.fromkeys([*range(0, last + 1, step), last]):
        places = pieces.setdefault(form.chars[place : place + _PIECE], [])
        if len(places) < _MOST_PLACES:
            places.append((form, place))


class _Search:
    def __init__(self, secrets: frozenset[str]) -> None:
        self._tiny = sorted(secret for secret in secrets if len(secret) < _LEAST)
        self._short: set[str] = set()
        self._written: _Pieces = {}
        self._bare: _Pieces = {}
        known = [secret for secret in sorted(secrets) if len(secret) >= _LEAST]
        for secret in known:
            written = _folded(secret)
            for chars in dict.fromkeys([written, *map(_folded, _decoded(secret))]):
                if len(chars) < _PIECE:
                    self._short |= {chars} if len(chars) >= _LEAST else set()
                # One that looks like an escape itself is shorter where a text's escapes are gone.
                _add(self._written, _Form(chars, any=_ANY if chars == written else _ENDS))
                _add(self._bare, _Form(_bare(chars)))
            for form in _encoded(secret):
                _add(self._bare, form)
        self._least = min([len(secret) for secret in secrets] + [_PIECE])
        self._sensitive = Finder.of(Secret(secret) for secret in known if len(secret) < _PIECE)

    def hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.without(value)
        if isinstance(value, Mapping):
            return {self.hidden(name): self.hidden(one) for name, one in value.items()}
        if isinstance(value, list):
            return HIDDEN if self._is_cut_up(value) else [self.hidden(one) for one in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and self.without(str(value)) != str(value):
            return HIDDEN
        return value

    def _is_cut_up(self, items: list[Any]) -> bool:
        """Say whether a list is a secret, of which each item is a character or its code."""
        if len(items) < _LEAST_ITEMS:
            return False
        if all(isinstance(one, str) and len(one) <= 1 for one in items):
            text = "".join(items)
        elif all(type(one) is int and 0 <= one <= 0xFF for one in items):
            text = bytes(items).decode("latin-1")
        else:
            return False
        return self.without(text) != text

    def without(self, text: str) -> str:
        if len(text) < self._least and text.isascii():
            return text
        for secret in self._tiny:
            text = text.replace(secret, HIDDEN)
        if self._is_in(text):
            text = _cut(text, self._spans(text))
            if self._is_in(text):  # a spelling in a spelling: its place is not known
                return HIDDEN
        return self._sensitive.text(text, lambda _: HIDDEN) if self._short else text

    def _is_in(self, text: str) -> bool:
        for stage in (text, *_decoded(text)):
            view = _folded(stage)
            if any(short in view for short in self._short):
                return True
            if next(_runs(view, self._written), None) or next(_runs(_bare(view), self._bare), None):
                return True
        return False

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of secrets in a text."""
        for stage in _placed(text):
            view = stage.folded()
            for short in self._short:
                yield from (view.span(*one.span()) for one in re.finditer(re.escape(short), view.text))
            yield from (view.span(*one) for one in _runs(view.text, self._written))
            bare = view.bare()
            yield from (bare.span(*one) for one in _runs(bare.text, self._bare))


@lru_cache(maxsize=32)
def _search(secrets: frozenset[str]) -> _Search:
    return _Search(secrets)


def _runs(view: str, pieces: _Pieces) -> Iterator[tuple[int, int]]:
    if not pieces:
        return
    done = 0
    for at in [at for at in range(len(view) - _PIECE + 1) if view[at : at + _PIECE] in pieces]:
        if at + _PIECE <= done:
            continue
        for form, place in pieces[view[at : at + _PIECE]]:
            if found := form.run(view, at, place):
                yield found
                done = max(done, found[1])


def _cut(text: str, spans: Iterable[tuple[int, int]]) -> str:
    made, done = [], 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        if start >= done:
            made += [text[done:start], HIDDEN]
        done = end
    return "".join([*made, text[done:]])


def _encoded(secret: str) -> Iterator[_Form]:
    """Yield the secret's encoded forms, each by its letters and digits."""
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) < _ENDS:
        return
    wide = secret.encode("utf-16-le", "surrogatepass")
    found = [(raw.hex(), 16, 24), (wide.hex(), 32, 48)]
    found += [(core, 10, 12) for core in _cores(base64.b64encode, raw, 6, 3)]
    found += [(core, 10, 12) for core in _cores(base64.b64encode, base64.b64encode(raw), 6, 3)]
    found += [(core, 16, 24) for core in _cores(base64.b64encode, wide, 6, 3)]
    for encode in (base64.b32encode, base64.b32hexencode):
        found += [(core, 12, 16) for core in _cores(encode, raw, 5, 5)]
    for chars, ends, most in found:
        bare = _bare(_folded(chars))
        yield _Form(bare, ends, max(most, len(bare) // _MOST_PIECES + _PIECE - 1))


def _cores(encode: Any, raw: bytes, bits: int, places: int) -> Iterator[str]:
    """Yield the characters of an encoding that are the secret's alone, for each place at which it may begin."""
    for before in range(places):
        text = encode(b"\0" * before + raw).decode()
        yield text[-(-before * 8 // bits) : (before + len(raw)) * 8 // bits]


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    """Return a character without its case, width and marks; "" for a space and for what nobody sees."""
    plain = unicodedata.normalize("NFKD", char).casefold()
    return "".join(one for one in plain if unicodedata.category(one)[0] not in "CMZ" and one not in _FILLERS)


def _folded(text: str) -> str:
    if text.isascii():
        return _BLANK.sub("", text.lower())
    return text.translate({ord(char): _fold(char) for char in set(text)})


def _bare(folded: str) -> str:
    return _NEITHER.sub("", folded)


def _meaning(escape: re.Match[str]) -> str:
    """Return what an escape stands for. A backslash before anything else is dropped."""
    kind = escape.lastgroup
    if kind is None or kind == "prefix":
        return ""
    said = escape[kind]
    if kind == "c":
        return " "
    if kind == "name":
        return unescape(f"&{said}")
    if kind == "high":
        return unquote_to_bytes(re.sub("%(?:25)+", "%", said)).decode("utf-8", "replace")
    code = int(said, 10 if kind == "number" else 16)
    return chr(code) if code <= 0x10FFFF else ""


def _nothing(_: re.Match[str]) -> str:
    return ""


def _layers(text: str) -> Iterator[tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]]]:
    """Yield what the escapes of a text stand for, one layer of them after the other, and how it was made of the one
    before; at last what is shown of it, without its tags."""
    for pattern in _ROUNDS:
        before, meaning = text, _meaning if pattern is _ESCAPE else _nothing
        text = pattern.sub(meaning, text) if _BEGINS.search(text) else text
        if text != before:
            yield text, pattern, meaning
        elif pattern is _ESCAPE:
            break
    if "<" in text and (shown := _TAG.sub("", text)) != text:
        yield shown, _TAG, _nothing


def _decoded(text: str) -> Iterator[str]:
    return (said for said, *_ in _layers(text))


@dataclass(frozen=True)
class _Placed:
    """A text made of another one: where each of its characters begins and ends there."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        return self.starts[start], self.ends[end - 1]

    def made(self, parts: Iterable[tuple[str, int, int]]) -> "_Placed":
        """Return the text of the parts, each of which stands for a span of this one."""
        chars: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for part, start, end in parts:
            chars.append(part)
            starts += [self.starts[start]] * len(part)
            ends += [self.ends[end - 1]] * len(part)
        return _Placed("".join(chars), starts, ends)

    def replaced(self, pattern: re.Pattern[str], meaning: Callable[[re.Match[str]], str]) -> "_Placed":
        parts, done = [], 0
        for found in pattern.finditer(self.text):
            parts += [(self.text[at], at, at + 1) for at in range(done, found.start())]
            done = found.end()
            parts.append((meaning(found), found.start(), done))
        return self.made([*parts, *((self.text[at], at, at + 1) for at in range(done, len(self.text)))])

    def folded(self) -> "_Placed":
        return self.made((_fold(char), at, at + 1) for at, char in enumerate(self.text))

    def bare(self) -> "_Placed":
        return self.made((char, at, at + 1) for at, char in enumerate(self.text) if char.isalnum())


def _placed(text: str) -> Iterator[_Placed]:
    """Yield a text and what its escapes stand for, with the places of their characters in it."""
    stage = _Placed(text, range(len(text)), range(1, len(text) + 1))
    yield stage
    for _, pattern, meaning in _layers(text):
        stage = stage.replaced(pattern, meaning)
        yield stage
