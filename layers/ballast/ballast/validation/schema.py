"""JSON from a model: a small part of JSON Schema, bounds of size and depth, and whether a text is one object. Pure.

type, properties, required, additionalProperties (true or false), items, enum, const, anyOf, minLength, maxLength,
pattern, minimum, maximum, minItems, maxItems; title, description, default and examples are ignored. Any other keyword
is refused at load, so that none is silently without effect.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ballast.contracts.wire import utf8_size

Schema = Mapping[str, Any]

_SAYS_NOTHING = {"title", "description", "default", "examples", "$schema"}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


def _is_count(value: Any) -> bool:
    return _TYPES["integer"](value) and value >= 0


def _is_pattern(value: Any) -> bool:
    try:
        re.compile(value)
    except (re.error, TypeError):
        return False
    return True


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


#: The check of each keyword's value; ``properties``, ``items`` and ``anyOf`` hold schemas.
_KEYWORDS: dict[str, Callable[[Any], bool]] = {
    "type": _is_type,
    "properties": lambda value: isinstance(value, dict),
    "required": _are_names,
    "additionalProperties": lambda value: isinstance(value, bool),
    "items": lambda value: isinstance(value, dict),
    "enum": lambda value: isinstance(value, list) and bool(value),
    "const": lambda _: True,
    "anyOf": lambda value: isinstance(value, list) and bool(value),
    "minLength": _is_count,
    "maxLength": _is_count,
    "pattern": _is_pattern,
    "minimum": _TYPES["number"],
    "maximum": _TYPES["number"],
    "minItems": _is_count,
    "maxItems": _is_count,
}


def schema_complaint(schema: Any, path: str = "") -> str | None:
    """Return what is wrong with a schema; None if it can be used."""
    where = path or "(whole)"
    if not isinstance(schema, dict):
        return f"{where}: a schema must be a mapping"
    for keyword, value in schema.items():
        if keyword in _SAYS_NOTHING:
            continue
        if keyword not in _KEYWORDS:
            return f"{where}: {keyword} is not supported; supported are {', '.join(_KEYWORDS)}"
        if not _KEYWORDS[keyword](value):
            return f"{where}: {keyword} cannot be {value!r}"
    inner = {f"{path}.{name}".lstrip("."): one for name, one in schema.get("properties", {}).items()}
    inner |= {f"{path}[{position}]": one for position, one in enumerate(schema.get("anyOf", []))}
    inner |= {f"{path}[]": schema["items"]} if "items" in schema else {}
    return next((wrong for at, one in inner.items() if (wrong := schema_complaint(one, at)) is not None), None)


def complaints_of(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Yield complaints about ``value`` with the field and what is allowed, without values."""
    where = path or "(whole)"
    types = schema.get("type", [])
    names = types if isinstance(types, list) else [types]
    if names and not any(_TYPES[name](value) for name in names):
        yield f"{where}: must be {' or '.join(names)}"
        return
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{where}: must be one of {', '.join(repr(one) for one in schema['enum'])}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where}: must be {schema['const']!r}"
    if "anyOf" in schema and not any(not [*complaints_of(value, one, path)] for one in schema["anyOf"]):
        yield f"{where}: fits none of the {len(schema['anyOf'])} allowed forms"
    if isinstance(value, str):
        yield from _text(value, schema, where)
    elif _TYPES["number"](value):
        if value < schema.get("minimum", value):
            yield f"{where}: must be at least {schema['minimum']}"
        if value > schema.get("maximum", value):
            yield f"{where}: must be at most {schema['maximum']}"
    elif isinstance(value, list):
        yield from _list(value, schema, path, where)
    elif isinstance(value, dict):
        yield from _object(value, schema, path)


def _text(value: str, schema: Schema, where: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"{where}: must have at least {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{where}: must have at most {schema['maxLength']} characters"
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"{where}: must match {schema['pattern']}"


def _list(value: list[Any], schema: Schema, path: str, where: str) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{where}: must have at least {schema['minItems']} items"
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{where}: must have at most {schema['maxItems']} items"
    if "items" in schema:
        for position, one in enumerate(value):
            yield from complaints_of(one, schema["items"], f"{path}[{position}]")


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}.{name}: is required".lstrip(".")
    if schema.get("additionalProperties", True) is False and set(value) - set(known):
        allowed = ", ".join(known) or "nothing"
        yield f"{path or '(whole)'}: has fields that are not allowed; allowed are {allowed}"
    for name, one in known.items():
        if name in value:
            yield from complaints_of(value[name], one, f"{path}.{name}".lstrip("."))


def _same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


#: The default limits of a tool's arguments and results: bytes of JSON in UTF-8, and levels.
ARGUMENT_BYTES = 64 * 1024
RESULT_BYTES = 128 * 1024
DEPTH = 16


def too_large(value: Any, *, max_bytes: int, max_depth: int = DEPTH) -> str | None:
    """Return how ``value`` exceeds the limits, with what is allowed; None if it fits."""
    if depth(value, max_depth + 1) > max_depth:
        return f"nested more than {max_depth} levels deep; send at most {max_depth}"
    size = utf8_size(value)
    return f"{size} bytes of JSON; at most {max_bytes} are allowed" if size > max_bytes else None


def depth(value: Any, enough: int) -> int:
    """Return the levels of objects and lists in ``value``; counting stops at ``enough``."""
    level, found = [one for one in [value] if isinstance(one, dict | list)], 0
    while level and found < enough:
        found += 1
        inside = (inner for one in level for inner in (one.values() if isinstance(one, dict) else one))
        level = [inner for inner in inside if isinstance(inner, dict | list)]
    return found


def why_no_object(text: str) -> str | None:
    """Return why a text is not one JSON object, None if it is one."""
    doubled = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        made = dict(items)
        doubled = doubled or len(made) < len(items)
        return made

    def no_number(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=no_number)
        value, end = decoder.raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return "it is not JSON"
    if text.lstrip()[end:].strip():
        return "there is text after the JSON"
    if doubled:
        return "a key occurs twice in one object"
    return None if isinstance(value, dict) else "it is JSON, but not an object"
