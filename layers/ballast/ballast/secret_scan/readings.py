"""Plain readings of a text: of a secret that is hidden in it, and of a phrase that it says. Pure.

::

    pass\\u200bword, раssword, ｐａｓｓｗｏｒｄ      one spelling: format characters out, look-alikes as Latin letters
    password%3Dx, password&#61;x, \\u0070assword   decoded
    pass<b>word</b>, pass**word**, [pass](x)word  markup and quotes out
    won't, won’t                                 one apostrophe
    a re-\\nfund, We\\n- will                    lines of a page joined
    p a s s w o r d                              letters that stand apart joined
    cGFzc3dvcmQ6IGh1bnRlcjI=                     Base64 of a text

Words to look for must pass ``spelled`` too: the same letters of Russian or Greek words are mapped.
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote

from ballast.masking import MASK

#: Letters of other scripts that look like Latin ones.
_LOOK_ALIKE = dict(
    zip(
        "аеікморсӏтухѕјԁԛԝһгпѵАВЕІКМНОРСТХУЅЈԚԜҺѴ" + "αεικνορτυχωϲϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "օսոհցԱՕՍ" + "ⅼꓑꓢꓪꓳꓣꓓ",
        "aeikmopcltyxsjdqwhrnvABEIKMHOPCTXYSJQWHV" + "aeikvoptuxwcjABEZHIKMNOPTYX" + "ounhgUOU" + "lPSWORD",
        strict=True,
    )
)
_NAMED = re.compile(r"(?:LETTER|CAPITAL|SYMBOL) (?:SMALL CAPITAL |TURNED |SCRIPT |OPEN )?([A-Z])(?: WITH .*)?$")
_SPELLED = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "−": "-", "„": '"', "‚": '"'}
_BLANK = "\u115f\u1160\u3164\uffa0\u2800"
#: Between these and Latin letters or digits there is often no space.
_UNSPACED = r"\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff"
_BOUNDARY = re.compile(rf"(?<=[{_UNSPACED}])(?=[!-~])|(?<=[!-~])(?=[{_UNSPACED}])")
_ESCAPED = re.compile(r"\\u\{?([0-9a-fA-F]{4,6})\}?|\\x([0-9a-fA-F]{2})")
_MARKUP = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]{0,100}>|\*\*|__|~~|\|\||[`\"']|\\(?=[^\w\s])", re.DOTALL)
#: What a page does not show: comments, the target of a link, tags within a line, the mark of a list, a table's lines.
_COMMENT = re.compile(r"<!--.{0,2000}?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\](?:\([^()\n]{0,500}\)|\[[^\[\]\n]{0,100}\])")
_LINES = "br|p|div|li|ul|ol|dl|dt|dd|tr|td|th|table|thead|tbody|h[1-6]|hr|blockquote|pre|section|article|header|footer"
_BLOCK = re.compile(rf"</?(?:{_LINES})(?:[\s/][^<>]{{0,300}})?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_MARK = re.compile(r"(?m)^[ \t]*(?:(?:[-+*•‣◦▪]|[0-9]{1,3}[.)]|>|#{1,6})[ \t]+)+")
_BROKEN = re.compile(r"(?<=[^\W_])-[ \t]*\r?\n\s*(?=[^\W_])")
#: Signs between two letters that are written for an apostrophe; ``latin`` makes quotes of some.
_APOSTROPHE = re.compile(r"(?<=[^\W_])[\"'`´ʹʻʼʽˈ′‵＇ꞌ‘’‛](?=[^\W_])")
_EMPHASIS = re.compile(r"[*_~`\"]|(?<![^\W_])'|'(?![^\W_])|\\(?=[^\w\s])")
_APART = re.compile(
    r"(?<!\S)\S(?: \S){3,}(?!\S)|(?<![A-Za-z0-9])[A-Za-z0-9](?:[ \t._*·|/-]{1,3}[A-Za-z0-9]){3,}(?![A-Za-z0-9])"
)
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{12,}={0,2}")
_DECODED, _PRINTABLE = 3, re.compile(r"[\t\n\r -~\u00a0-\u024f]{8,}")


def readings(text: str) -> Iterator[str]:
    """Yield the text in one spelling, and each reading that differs from it."""
    first = latin(_decoded(text))
    found = {first: None}
    without = _MARKUP.sub("", first)
    for one in (without, _page(first), _joined(first), _joined(without), *map(latin, _of_base64(first))):
        found.setdefault(one)
    yield from found


def plain(text: str) -> str:
    """Return the text as its reader sees it: without case, spacing, markup, marks and quotes."""
    return next(_as_seen(text))


def says(text: str, phrase: str) -> bool:
    """Return whether a reader of the text sees the phrase in it; signs of markup in a phrase are meant as they are."""
    if phrase in text:
        return True
    wanted = _flat(_line(phrase))
    if not wanted or _TAG.search(phrase) or _LINK.search(phrase):
        return False
    return any(wanted in one for one in _as_seen(text))


def may_say(shown: str, text: str) -> bool:
    """Return whether a text of a log may be ``text``, as its reader sees it: a mask stands for any words."""
    first, *parts = [plain(part) for part in shown.split(MASK)]
    wanted = plain(text)
    if not parts:
        return wanted == first
    *between, last = parts
    at = len(first) if wanted.startswith(first) else -1
    for part in between:
        found = wanted.find(part, at) if at >= 0 else -1
        at = found + len(part) if found >= 0 else -1
    return at >= 0 and len(wanted) - at >= len(last) and wanted.endswith(last)


def is_seen(text: str) -> bool:
    """Return whether a text has a sign that one sees."""
    return any(unicodedata.category(one)[0] not in "CZ" and one not in _BLANK and _as_ascii(one) for one in text)


def _as_seen(text: str) -> Iterator[str]:
    """Yield what a reader sees: decoded first. A line that ends in a hyphen may end within a word, or between two."""
    found: dict[str, None] = {}
    for written in (_decoded(text), html.unescape(text), text):
        first = _page(written)
        for one in (first, _joined(first), *_of_base64(first)):
            for joined in ("", "-"):
                found.setdefault(_flat(_line(_BROKEN.sub(joined, _MARK.sub("", one)))))
    yield from found


def _page(text: str) -> str:
    """Return a text as a page shows it: its lines, without tags, links and comments."""
    text = _LINK.sub(r"\1", _COMMENT.sub("", text))
    return latin(_APOSTROPHE.sub("'", _TAG.sub("", _BLOCK.sub("\n", text))))


def _line(text: str) -> str:
    """Return a text without emphasis and quotes, in one spelling."""
    return _EMPHASIS.sub("", _APOSTROPHE.sub("'", latin(_APOSTROPHE.sub("'", text)))).replace("|", " ")


def _flat(text: str) -> str:
    return " ".join("".join(one for one in text.casefold() if one.isspace() or one >= " ").split())


def without_spaces(text: str) -> str:
    """Return the text in one spelling, without any white space."""
    return "".join(latin(_decoded(text)).split())


def latin(text: str) -> str:
    """Return the text in one spelling: no marks, no format characters, look-alikes as the Latin letters."""
    return text if text.isascii() else _BOUNDARY.sub(" ", spelled(text))


def spelled(text: str) -> str:
    """Return the text as ``latin`` does, without the spaces that it puts between scripts."""
    return "".join(map(_as_ascii, unicodedata.normalize("NFKD", text)))


@lru_cache(4096)
def _as_ascii(one: str) -> str:
    if one.isascii():
        return one
    if one in _LOOK_ALIKE or one in _SPELLED:
        return _LOOK_ALIKE.get(one) or _SPELLED[one]
    kind = unicodedata.category(one)
    if kind in ("Cf", "Mn", "Me") or one in _BLANK:
        return ""
    if kind in ("Zs", "Zl", "Zp"):
        return " "
    if kind == "Nd":
        return str(unicodedata.digit(one))
    if kind in ("Pi", "Pf"):
        return '"'
    if kind == "Pd":
        return "-"
    name = unicodedata.name(one, "")
    found = _NAMED.search(name) if name.startswith(("LATIN", "NEGATIVE", "REGIONAL", "SQUARED", "CIRCLED")) else None
    if found is None:
        return one
    return found[1] if "CAPITAL LETTER" in name or "SYMBOL" in name else found[1].lower()


def _decoded(text: str) -> str:
    """Return the text with percent signs, references of HTML and escapes decoded; also where that was done twice."""
    for _ in range(_DECODED):
        before = text
        text = unquote(text) if "%" in text else text
        text = html.unescape(text) if "&" in text else text
        text = _ESCAPED.sub(_character, text) if "\\" in text else text
        if text == before:
            break
    return text


def _character(found: re.Match[str]) -> str:
    number = int(found[1] or found[2], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


def _joined(text: str) -> str:
    return _APART.sub(lambda found: re.sub(r"[ \t._*·|/-]" if " " not in found[0] else " ", "", found[0]), text)


def _of_base64(text: str) -> Iterator[str]:
    for found in _BASE64.finditer(text):
        if meant := meant_by(found[0]):
            yield meant


@lru_cache(4096)
def meant_by(word: str) -> str:
    """Return the text of which the word is the Base64; "" if it is none."""
    word = word.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        meant = base64.b64decode(word + "=" * (-len(word) % 4), validate=True).decode()
    except ValueError:
        return ""
    return meant if _PRINTABLE.fullmatch(meant) else ""
