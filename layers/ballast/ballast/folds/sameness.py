"""When two calls are the same: the tool's name, and arguments that say the same."""

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from unicodedata import normalize

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical, sha256


def same(value: Any) -> Any:
    """Return ``value`` (JSON, or a model's dump) without what makes no difference.

    Order of keys, spaces around and between words, the Unicode normal form, 1 and 1.0. A text that looks
    like a number stays a text: an id "007" is not "7".
    """
    match value:
        case None | bool():
            return value
        case Enum():
            return same(value.value)
        case int() | float() | Decimal():
            return _number(value)
        case str():
            return f"'{' '.join(normalize('NFC', value).split())}"
        case date() | datetime() | time():
            return f"'{value.isoformat()}"
        case Mapping():
            return {normalize("NFC", str(key)): same(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [same(inner) for inner in value]
        case _:
            return f"'{value}"


def identity(call: ToolCall) -> str:
    """Return what a call has in common with every other that asks for the same: a SHA-256."""
    return identity_of(call.tool, call.arguments)


def identity_of(tool: str, arguments: Any) -> str:
    """Return the identity of a call of ``tool``; ``arguments`` as JSON or as a model dumped them."""
    return sha256(canonical([tool, same(arguments)]))


def _number(value: int | float | Decimal) -> str:
    """Return the number's digits and exponent, exactly: no rounding, whatever its size."""
    sign, digits, exponent = Decimal(value if isinstance(value, int) else str(value)).as_tuple()
    if isinstance(exponent, str):  # a NaN or an infinity
        return f"{sign}{exponent}"
    plain = "".join(map(str, digits)).lstrip("0")
    significant = plain.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(plain) - len(significant)}"
