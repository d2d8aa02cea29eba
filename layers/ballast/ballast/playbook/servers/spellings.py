"""Take secrets out of what a server sends back, in the spellings in which it may echo them. Pure.

A secret, or its first eight characters and more, is found as it is, in percent, in HTML's entities, in the escapes of
JSON, each in any mixture, in base64 of both alphabets wherever it begins, and in hex. A text is decoded once; only
where a spelling is in it, the place is looked for.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html import unescape
from html.entities import codepoint2name
from urllib.parse import unquote

#: What stands for a secret that a server sent back.
HIDDEN = "***"
#: So many first characters of a secret are one as well: in base64 and in hex, these are so many.
_CUT, _CUT_BASE64, _CUT_HEX = 8, 10, 16
_ESCAPE = re.compile(r"\\+u([0-9A-Fa-f]{4})|\\+x([0-9A-Fa-f]{2})|\\+(?=[/\"'&<>=\\])")
_URL_SAFE = str.maketrans("-_", "+/")
_ROUNDS = 3


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets."""
    stages = _decoded(text)
    for secret in filter(None, secrets):
        known = _spellings(secret)
        if not _is_in(stages, known):
            continue
        for spelling in known:
            text = _cut_out(text, spelling)
        stages = _decoded(text)
        if _is_in(stages, known):  # a spelling in a spelling: its place is not known
            return HIDDEN
    return text


def _is_in(stages: tuple[str, ...], known: tuple["_Spelling", ...]) -> bool:
    plain, *coded = known
    for stage in stages:
        if plain.start in stage:
            return True
        in_base64, in_hex = stage.translate(_URL_SAFE), stage.lower()
        if any(one.start in (in_hex if one.any_case else in_base64) for one in coded):
            return True
    return False


def _decoded(text: str) -> tuple[str, ...]:
    """Return a text, and what its escapes stand for, one layer of them after the other."""
    stages = [text]
    for _ in range(_ROUNDS):
        before = text
        if "\\" in text:
            text = _ESCAPE.sub(lambda one: chr(int(one[1] or one[2], 16)) if one[1] or one[2] else "", text)
            stages.append(text)
        if "&" in text:
            text = unescape(text)
            stages.append(text)
        if "%" in text:
            text = unquote(text)
            stages.append(text)
        if text == before:
            break
    return tuple(dict.fromkeys(stages))


class _Spelling:
    """One way to write a secret: ``start`` is what shows that it is there, ``chars`` all of it."""

    def __init__(self, chars: str, cut: int, *, any_case: bool = False) -> None:
        self.chars, self.start, self.any_case = chars, chars[:cut], any_case
        self.begins = re.compile("".join(_pattern(char, any_case) for char in self.start))

    def end(self, text: str, at: int) -> int:
        """Return where the rest of the secret ends in a text, as far as it is there."""
        for char in self.chars[len(self.start) :]:
            found = re.compile(_pattern(char, self.any_case)).match(text, at)
            if found is None:
                break
            at = found.end()
        return at


def _cut_out(text: str, spelling: _Spelling) -> str:
    made, done = [], 0
    while found := spelling.begins.search(text, done):
        made += [text[done : found.start()], HIDDEN]
        done = spelling.end(text, found.end())
    return "".join([*made, text[done:]]) if made else text


@lru_cache(maxsize=256)
def _spellings(secret: str) -> tuple[_Spelling, ...]:
    raw = secret.encode("utf-8", "surrogatepass")
    found = [_Spelling(secret, _CUT)]
    if len(raw) >= _CUT:
        found.append(_Spelling(raw.hex(), _CUT_HEX, any_case=True))
        found += [_Spelling(core, _CUT_BASE64) for core in _cores(raw)]
    return tuple(found)


def _cores(raw: bytes) -> Iterator[str]:
    """Yield the characters of base64 that are the secret's alone, for each place at which it may begin."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).decode()
        whole = (before + len(raw)) * 8 // 6  # characters of which every bit is known
        yield text[(before * 8 + 5) // 6 : whole]


@lru_cache(maxsize=4096)
def _pattern(char: str, any_case: bool) -> str:
    """Return a regular expression of a character in each of its spellings."""
    code = ord(char)
    ways = [rf"\\*{re.escape(char)}"]
    if any_case:
        ways.append(rf"\\*{re.escape(char.upper())}")
    if char in "+/":
        ways.append("-" if char == "+" else "_")
    percent = "".join(f"%(?:25)*{_hex(f'{byte:02x}')}" for byte in char.encode("utf-8", "surrogatepass"))
    name = codepoint2name.get(code) or {"'": "apos"}.get(char)
    ways += [percent, rf"&(?:amp;)*#0*{code};?", rf"&(?:amp;)*#[xX]0*{_hex(f'{code:x}')};?"]
    ways += [rf"&(?:amp;)*{name};"] if name else []
    ways += [rf"\\+u{_hex(f'{code:04x}')}"] if code < 0x10000 else []
    ways += [rf"\\+x{_hex(f'{code:02x}')}"] if code < 0x100 else []
    return f"(?:{'|'.join(ways)})"


def _hex(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)
