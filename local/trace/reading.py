"""Read fields of a log entry's body without trusting their types.

A journal may come from another version or have been edited; a trace shows what can be shown
and never stops for the rest.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.trace.clean import as_text
from local.trace.timeline import Piece


def text(body: Mapping[str, Any], key: str) -> str:
    """Return the field as text; an empty string where it is absent or null."""
    return as_text(body.get(key))


def number(body: Mapping[str, Any], key: str) -> int:
    """Return the field as a whole number; 0 where it is not one."""
    return whole(body.get(key)) or 0


def whole(value: Any) -> int | None:
    """Return ``value`` where it is a whole number, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the field as an object; an empty one where it is something else."""
    value = body.get(key)
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """Return ``value`` where it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def between(start: str, end: str) -> int | None:
    """Return the ms from one ISO 8601 time to another, or None where one cannot be read."""
    try:
        return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000)
    except (TypeError, ValueError):
        return None


def pieces(messages: Any) -> tuple[Piece, ...]:
    """Return the blocks of Converse messages (an array, or one message)."""
    found = messages if isinstance(messages, list) else [messages]
    return tuple(
        _piece(str(message.get("role", "")), block)
        for message in found
        if isinstance(message, Mapping)
        for block in listed(message.get("content"))
    )


def _piece(role: str, block: Any) -> Piece:
    if not isinstance(block, Mapping):
        return Piece(role=role, kind="other", text=as_text(block))
    if isinstance(block.get("text"), str):
        return Piece(role=role, kind="text", text=block["text"])
    if "reasoningContent" in block:
        reasoning = mapping(mapping(block, "reasoningContent"), "reasoningText")
        return Piece(role=role, kind="reasoning", text=text(reasoning, "text") or "(encrypted)")
    if "toolUse" in block:
        use = mapping(block, "toolUse")
        return Piece(role=role, kind="tool_use", text=f"{text(use, 'name')} {text(use, 'input')}")
    if "toolResult" in block:
        result = mapping(block, "toolResult")
        said = " ".join(as_text(_content(part)) for part in listed(result.get("content")))
        return Piece(role=role, kind="tool_result", text=said, error=result.get("status") == "error")
    return Piece(role=role, kind="other", text=as_text(dict(block)))


def _content(part: Any) -> Any:
    if isinstance(part, Mapping):
        return part.get("text", part.get("json", dict(part)))
    return part
