"""How large and how deep JSON may be, and whether text is JSON at all. Pure."""

import json
from typing import Any

from ballast.contracts.wire import utf8_size

#: What a tool takes and returns where it says nothing else: bytes of JSON in UTF-8, and levels.
ARGUMENT_BYTES = 64 * 1024
RESULT_BYTES = 128 * 1024
DEPTH = 16


def too_large(value: Any, *, max_bytes: int, max_depth: int = DEPTH) -> str | None:
    """Return what is too much about ``value``, with what is allowed; None where it fits."""
    if depth(value, max_depth + 1) > max_depth:
        return f"nested more than {max_depth} levels deep; send at most {max_depth}"
    size = utf8_size(value)
    return f"{size} bytes of JSON; at most {max_bytes} are allowed" if size > max_bytes else None


def depth(value: Any, enough: int) -> int:
    """Return how many levels of objects and lists ``value`` has; counting stops at ``enough``."""
    level, found = [one for one in [value] if isinstance(one, dict | list)], 0
    while level and found < enough:
        found += 1
        inside = (inner for one in level for inner in (one.values() if isinstance(one, dict) else one))
        level = [inner for inner in inside if isinstance(inner, dict | list)]
    return found


def why_no_object(text: str) -> str | None:
    """Return why a text is not one JSON object: no JSON, ambiguous, or something else; None where it is one."""
    doubled = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(items)
        doubled = doubled or len(made) < len(items)
        return made

    def no_number(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=no_number)
        value, end = decoder.raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return "it is not JSON"
    if text.lstrip()[end:].strip():
        return "there is text after the JSON"
    if doubled:
        return "a key occurs twice in one object"
    return None if isinstance(value, dict) else "it is JSON, and no object"
