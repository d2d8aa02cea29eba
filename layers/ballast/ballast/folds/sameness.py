"""When two calls are the same: the tool's name, and arguments that are equal JSON."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ballast.contracts import ToolCall
from ballast.contracts.wire import canonical, sha256

#: Tells equal calls: what a call has in common with every other that asks for the same.
Identity = Callable[[ToolCall], str]


def same(value: Any) -> Any:
    """Return JSON ``value`` without what makes no difference: the order of keys, and 1 and 1.0.

    Texts are the same when they are the same: where spaces or case say nothing, the field's own type says so
    (``StringConstraints(strip_whitespace=True)``). A text that looks like a number stays a text: an id "007" is no "7".
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict):
        return {key: same(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [same(inner) for inner in value]
    return f"'{value}"


def identity(call: ToolCall) -> str:
    """Return what a call has in common with every other that asks for the same: a SHA-256."""
    return identity_of(call.tool, call.arguments)


def identity_of(tool: str, arguments: Any) -> str:
    """Return the identity of a call of ``tool`` with these arguments, JSON."""
    return sha256(canonical([tool, same(arguments)]))


def asks_the_same(
    call: ToolCall, sent: ToolCall, before: ToolCall, sent_before: ToolCall, same: Callable[[ToolCall], str]
) -> bool:
    """Say whether a call asks for what an earlier one did: as its tool reads both, or as both were sent.

    What was sent twice is one call, whatever a validator of the tool's puts into its arguments each time, such as a
    time. ``call`` and ``before`` are in the form that the gate gave them; ``sent`` and ``sent_before`` are as they were
    proposed, or as people changed them.
    """
    return same(before) == same(call) or identity(sent) in (identity(before), identity(sent_before))


def _number(value: int | float) -> str:
    """Return the number's digits and exponent, exactly: no rounding, whatever its size."""
    sign, digits, exponent = Decimal(value if isinstance(value, int) else str(value)).as_tuple()
    if isinstance(exponent, str):  # a NaN or an infinity
        return f"{sign}{exponent}"
    plain = "".join(map(str, digits)).lstrip("0")
    significant = plain.rstrip("0")
    if not significant:
        return "0"
    return f"{'-' if sign else ''}{significant}e{exponent + len(plain) - len(significant)}"
