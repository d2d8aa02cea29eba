"""Text for a terminal: untrusted text made harmless and shortened; amounts and durations as people read them.

What a model, a customer or a tool wrote is untrusted: an escape sequence could repaint the screen, a
bidirectional override could reverse a sentence, a lone surrogate could stop the printer. Such characters
become visible escapes, and so does the sign of what a CI system would obey: GitHub's ``::command::`` at the
start of a line, Azure's ``##vso[command]`` and TeamCity's ``##teamcity[command]`` anywhere. Markup is
harmless because the renderer makes ``rich.text.Text`` of everything and parses none of it.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from ballast.money.amounts import dollars

# Format characters that are harmless inside words of real languages and emoji.
_JOINERS = {"\u200c", "\u200d"}
#: An id, which is useful only as a whole; longer matches are texts.
_ID = re.compile(r"[\w.:-]+")
_LONGEST_ID = 128
#: A field of at most this many characters is shown whole.
_SHORT = 40
_DANGEROUS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: Commands to the CI system that shows a log: at the start of a line, and anywhere in it.
_COMMAND = re.compile(r"^(\s*):(?=:\S)", re.MULTILINE)
_COMMAND_WITHIN = re.compile(r"#(?=#(?:vso|teamcity)?\[)", re.IGNORECASE)


def clean(text: str, *, lines: bool = True) -> str:
    """Return ``text`` with every character that steers a terminal made visible.

    ``lines`` keeps line breaks; without it the text becomes one line. Tabs become spaces.
    """
    unified = text.replace("\r\n", "\n").replace("\t", "    ")
    if not lines:
        unified = " ".join(unified.split("\n"))
    shown = "".join(char if _harmless(char) else _escape(char) for char in unified)
    return _COMMAND_WITHIN.sub(lambda _: _escape("#"), _COMMAND.sub(lambda found: found[1] + _escape(":"), shown))


def _harmless(char: str) -> bool:
    return char == "\n" or char in _JOINERS or unicodedata.category(char) not in _DANGEROUS


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_text(value: Any) -> str:
    """Return a JSON value as text: a string as it is, anything else as JSON with spaces to wrap at."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json_text(value)


def clipped(text: str, limit: int | None) -> str:
    """Return about ``limit`` characters of ``text``, cut between words, and the number of those left out."""
    if limit is None or len(text) <= limit:
        return text
    kept = _beginning(text, limit)
    return f"{kept.rstrip()} … (+{len(text) - len(kept):,} characters)"


def brief(value: Any, limit: int | None) -> str:
    """Return a result as one cleaned line of about ``limit`` characters that shows every field.

    Long fields are shortened one by one; nulls are left out.
    """
    whole = clean(as_text(value), lines=False)
    if limit is None or len(whole) <= limit or not isinstance(value, Mapping):
        return clipped(whole, limit)
    shown = shared({str(name): field for name, field in _without_nulls(value).items()}, limit)
    return clipped("{" + ", ".join(f'"{name}": {field}' for name, field in shown.items()) + "}", 2 * limit)


def shared(fields: Mapping[str, Any], limit: int | None) -> dict[str, str]:
    """Return fields as cleaned JSON: short values whole; long values share the rest of ``limit``."""
    texts = {clean(name, lines=False): clean(json_text(value), lines=False) for name, value in fields.items()}
    if limit is None or sum(map(len, texts.values())) <= limit:
        return texts
    short = sum(len(text) for text in texts.values() if len(text) <= _SHORT)
    long = sum(len(text) > _SHORT for text in texts.values())
    share = max(_SHORT, (limit - short) // max(1, long))
    return {name: text if len(text) <= share else cut_short(text, share) for name, text in texts.items()}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(field) for name, field in value.items() if field is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def json_text(value: Any) -> str:
    """Return ``value`` as JSON, strings in quotes."""
    return json.dumps(value, ensure_ascii=False, default=repr)


def cut_short(text: str, limit: int) -> str:
    """Return about ``limit`` characters of ``text``, cut between words if possible, and a mark."""
    return f"{_beginning(text, limit).rstrip()} …"


def _beginning(text: str, limit: int) -> str:
    """Return about ``limit`` characters: cut between words, or between parts of a word, and never within an id."""
    at_space = text.rfind(" ", 0, limit)
    if at_space > limit // 2:
        return text[:at_space]
    for part in _ID.finditer(text):
        if part.start() >= limit:
            break
        if part.end() > limit and len(part[0]) <= _LONGEST_ID:
            return text[: part.start()] if part.start() > limit // 2 else text[: part.end()]
    return text[:limit]


def usd(microusd: int) -> str:
    """Return micro-dollars as ``$0.0123``: exact."""
    amount = dollars(microusd)
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"


def span(ms: int | None) -> str:
    """Return a duration in ms as people read it: ``340 ms``, ``2.1 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if ms is None:
        return ""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def count(number: int, noun: str) -> str:
    """Return ``1 turn``, ``2 turns``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
