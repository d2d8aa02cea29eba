"""A text without what hides its marks: entities, backslashes, full-width letters and characters without a width. Pure.

``&lt;think&gt;``, full-width brackets and brackets after a backslash all read ``<think>``.
What is found in the evened text is cut out of the text itself, by ``Evened.origin``: nothing else of it is changed.
"""

import html
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

#: Look-alikes that NFKC does not take for one another.
_ALIKE = {
    "‹": "<", "⟨": "<", "\u3008": "<", "❮": "<", "❬": "<", "❰": "<", "◁": "<",
    "›": ">", "⟩": ">", "\u3009": ">", "❯": ">", "❭": ">", "❱": ">", "▷": ">",
    "∣": "|", "│": "|", "❘": "|", "▁": "_", "‐": "-", "‑": "-",
    "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_NO_WIDTH = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]")
_ENTITY = r"&(?:amp;){0,3}(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,24}\d{0,2});"
_ESCAPE = r"\\u00[2-7][0-9a-fA-F]|\\(?=[<>\[\]{}()|_*`~#/\"'=-])"


@dataclass(frozen=True)
class Evened:
    """The evened text, and where each of its places is in the text that it was made of.

    ends, origins  where a changed part ends, here and there
    starts         where it starts there
    """

    text: str
    ends: tuple[int, ...] = ()
    origins: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    def origin(self, at: int) -> int:
        """Return the place in the original text of the place ``at`` in this one."""
        passed = bisect_right(self.ends, at)
        shift = self.origins[passed - 1] - self.ends[passed - 1] if passed else 0
        return min(at + shift, self.starts[passed]) if passed < len(self.starts) else at + shift


def evened(text: str) -> Evened:
    """Return ``text`` as a reader would see it. Linear in its length."""
    letters = {one: plain for one in set(text) if one > "\x7f" and (plain := _plain(one)) is not None}
    kinds = [_ENTITY] if "&" in text else []
    kinds += [_ESCAPE] if "\\" in text else []
    kinds += ["[" + "".join(map(re.escape, letters)) + "]"] if letters else []
    if not kinds:
        return Evened(text)
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
    return Evened("".join([*parts, text[since:]]), tuple(ends), tuple(origins), tuple(starts))


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
    """Return the ASCII that a letter stands for, nothing where it has no width; None where it is itself."""
    if _NO_WIDTH.match(letter):
        return ""
    seen = _ALIKE.get(letter) or unicodedata.normalize("NFKC", letter)
    return seen if seen.isascii() else None
