"""Text of a model: joined from a reply's blocks, and normalised so that no spelling hides a tag or a tool's name. Pure.

``&lt;think&gt;``, full-width brackets and brackets after a backslash all normalise to ``<think>``. Patterns search the
normalised text; ``Normalised.origin`` finds the same place in the original, which is otherwise left as it is.
"""

import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ballast.values import dataclass

#: Look-alikes that NFKC does not unite.
_ALIKE = {
    "‹": "<", "⟨": "<", "\u3008": "<", "❮": "<", "❬": "<", "❰": "<", "◁": "<",
    "›": ">", "⟩": ">", "\u3009": ">", "❯": ">", "❭": ">", "❱": ">", "▷": ">",
    "∣": "|", "│": "|", "❘": "|", "▁": "_", "‐": "-", "‑": "-",
    "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_NO_WIDTH = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]")
#: Letters and symbols that show nothing: fillers of Hangul, the empty Braille cell.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
#: A line that begins or ends a fence of code; only one without ``info`` ends it.
FENCE_LINE = re.compile(r"^[ \t>*-]{0,12}```+(?P<info>[^`\n]*)$", re.MULTILINE)
#: Words of a name.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ENTITY = r"&(?:amp;){0,3}(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,24}\d{0,2});"
_ESCAPE = r"\\u00[2-7][0-9a-fA-F]|\\(?=[<>\[\]{}()|_*`~#/\"'=-])"


def text_of(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of a reply's blocks. A citation is a block of its own in the middle of a sentence."""
    said, after_citation = "", True
    for block in blocks:
        cited = cited_text(block)
        text = cited if cited is not None else block.get("text")
        if not isinstance(text, str) or not text:
            continue
        between = cited is not None or after_citation or not text.strip()
        said = said + text if between else f"{said.rstrip()}\n\n{text}"
        after_citation = cited is not None
    return said.strip()


def shows_something(text: str) -> bool:
    """Say whether a person who reads ``text`` sees anything: a letter, number, mark of writing or symbol."""
    return any(unicodedata.category(one)[0] in "LNPS" and one not in _BLANKS for one in text)


def cited_text(block: Mapping[str, Any]) -> str | None:
    """Return the text of a ``citationsContent``; None for any other block."""
    cited = block.get("citationsContent")
    if not isinstance(cited, Mapping):
        return None
    parts = cited.get("content")
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    return "".join(text for text in texts if isinstance(text, str))


@dataclass(frozen=True)
class Normalised:
    """A normalised text, with the positions of its changed parts.

    ends     where each changed part ends in this text
    starts   where it starts in the original
    origins  where it ends in the original
    """

    text: str
    ends: tuple[int, ...] = ()
    origins: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    def origin(self, at: int) -> int:
        """Return the position in the original text of the position ``at`` in this one."""
        passed = bisect_right(self.ends, at)
        shift = self.origins[passed - 1] - self.ends[passed - 1] if passed else 0
        return min(at + shift, self.starts[passed]) if passed < len(self.starts) else at + shift


def normalised(text: str) -> Normalised:
    """Return ``text`` as a reader sees it, in time linear in its length."""
    letters = {one: plain for one in set(text) if one > "\x7f" and (plain := _plain(one)) is not None}
    kinds = [_ENTITY] if "&" in text else []
    kinds += [_ESCAPE] if "\\" in text else []
    kinds += ["[" + "".join(map(re.escape, letters)) + "]"] if letters else []
    if not kinds:
        return Normalised(text)
    parts, ends, origins, starts, since, length = [], [], [], [], 0, 0
    for found in re.finditer("|".join(kinds), text):
        seen = _read(found.group(), letters)
        if seen == found.group():
            continue
        parts += [text[since : found.start()], seen]
        length += found.start() - since + len(seen)
        since = found.end()
        ends.append(length)
        origins.append(since)
        starts.append(found.start())
    return Normalised("".join([*parts, text[since:]]), tuple(ends), tuple(origins), tuple(starts))


def _read(written: str, letters: dict[str, str]) -> str:
    if written in letters:
        return letters[written]
    if written.startswith("&"):
        seen = written
        for _ in range(4):
            seen = html.unescape(seen)
        plain = _plain(seen) if len(seen) == 1 else written
        return seen if plain is None else plain
    return chr(int(written[2:], 16)) if written.startswith("\\u") else ""


def _plain(letter: str) -> str | None:
    """Return the ASCII that a letter stands for, "" if it has no width; None if it stands for itself."""
    if _NO_WIDTH.match(letter):
        return ""
    seen = _ALIKE.get(letter) or unicodedata.normalize("NFKC", letter)
    return seen if seen.isascii() else None


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: ``toolCall``, ``TOOL_CALL`` and ``tool-call`` have the same two."""
    return [word.lower() for word in _WORD.findall(name)]


def any_spelling(name: str) -> str:
    """Return the pattern of a name in any spelling (``look_up``, ``lookUp``); a name of one word has only its own."""
    words = words_of(name)
    return "(?i:" + "[_-]?".join(words) + ")" if len(words) > 1 else re.escape(name)
