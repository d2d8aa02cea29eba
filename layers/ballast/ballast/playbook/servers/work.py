"""The work that a JSON Schema makes of a value, bounded before a validator begins it. Pure.

A schema is a server's words, and so may be a result. A few definitions that each refer twice to the next one make a
validator compare a value a million times, and no validator can be stopped. So the comparisons are counted first, each
pair of a subschema and a value once, which is little work whatever the schema says::

    work(schema, value) = 1 + the work of its parts for the same value + the work of its parts for the inner values
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: Most comparisons of one check: well under a second.
MAX_STEPS = 100_000
#: Most characters that patterns are compared with: in one text, and in one check. A pattern takes up to 0.2 ms for
#: each character of it, and one that looks ahead the square of a text.
MAX_TEXT, MAX_TEXTS = 4_096, 65_536
_REF = "#/$defs/"
_SAME, _SAME_LISTS = ("not", "if", "then", "else"), ("anyOf", "oneOf", "allOf")
_OF_NAMES = ("additionalProperties", "unevaluatedProperties")
_OF_ITEMS = ("items", "unevaluatedItems", "contains")


def same_value(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the parts of a normalized schema that are compared with the same value; of references, their names."""
    yield from (schema[key] for key in _SAME if key in schema)
    for key in _SAME_LISTS:
        yield from schema.get(key, ())
    yield from schema.get("dependentSchemas", {}).values()
    if "$ref" in schema:
        yield str(schema["$ref"]).removeprefix(_REF)


class Work:
    """The work of one schema, which is normalized."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._root, self._definitions = schema, schema.get("$defs", {})
        #: What is compared once for each value, and with no pattern, needs no count.
        self._plain = not any(_makes_work(one) for one in (schema, *self._definitions.values()))

    def too_much(self, value: Any) -> str:
        """Return why a value is not compared with the schema, which continues "it"; "" if it can be."""
        if self._plain:
            return ""
        try:
            steps, characters = _Count(self._definitions).of(self._root, value)
        except _Long as long:
            return str(long)
        except RecursionError:
            steps, characters = MAX_STEPS + 1, 0
        if characters > MAX_TEXTS:
            return f"has more than {MAX_TEXTS} characters that its schema compares with patterns"
        return f"needs more than {MAX_STEPS} comparisons by its schema" if steps > MAX_STEPS else ""


class _Count:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._known: dict[tuple[int, int], tuple[int, int]] = {}

    def of(self, schema: Any, value: Any) -> tuple[int, int]:
        """Return the comparisons of a value, and the characters of texts that patterns are compared with."""
        if not isinstance(schema, Mapping):
            return 1, 0
        pair = id(schema), id(value)
        if pair not in self._known:
            self._known[pair] = MAX_STEPS + 1, 0  # where it contains itself for the same value
            parts = [
                *(
                    (self._definitions.get(one, {}) if isinstance(one, str) else one, value)
                    for one in same_value(schema)
                ),
                *((part, one) for part, one, _ in _inside(schema, value)),
            ]
            counted = [self.of(*one) for one in parts]
            characters = _characters(schema, value) + sum(found for _, found in counted)
            self._known[pair] = min(1 + sum(steps for steps, _ in counted), MAX_STEPS + 1), characters
        return self._known[pair]


def _characters(schema: Mapping[str, Any], value: Any) -> int:
    texts = [value] if "pattern" in schema and isinstance(value, str) else []
    names = [*value] if isinstance(value, Mapping) else []
    lengths = [len(text) for text in (*texts, *(names * len(schema.get("patternProperties", ()))))]
    if (longest := max(lengths, default=0)) > MAX_TEXT:
        raise _Long(f"has a text of {longest} characters, and a pattern is compared with at most {MAX_TEXT}")
    return sum(lengths)


def compared(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[Mapping[str, Any], Any, tuple[str, ...]]]:
    """Yield each subschema with a value that it is compared with, and the value's path. ``Work`` bounds how many."""
    definitions = schema.get("$defs", {})
    left: list[tuple[Any, Any, tuple[str, ...]]] = [(schema, value, ())]
    while left:
        part, one, path = left.pop()
        if isinstance(part, str):
            part = definitions.get(part, {})
        if not isinstance(part, Mapping):
            continue
        yield part, one, path
        left.extend((inner, one, path) for inner in same_value(part))
        left.extend((inner, within, (*path, step)) for inner, within, step in _inside(part, one))


class _Long(Exception):
    """A text is longer than patterns are compared with."""


def _inside(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[Any, Any, str]]:
    """Yield the parts of a schema with the inner values that they are compared with, or may be, and their names."""
    if isinstance(value, Mapping):
        named = schema.get("properties", {})
        others = [schema[key] for key in _OF_NAMES if key in schema]
        others += schema.get("patternProperties", {}).values()
        for name, one in value.items():
            yield from ((part, one, name) for part in (*([named[name]] if name in named else []), *others))
            if "propertyNames" in schema:
                yield schema["propertyNames"], name, name
    elif isinstance(value, list | tuple):
        parts = [schema[key] for key in _OF_ITEMS if key in schema]
        first = schema.get("prefixItems", [])
        for at, one in enumerate(value):
            yield from ((part, one, str(at)) for part in (*first[at : at + 1], *parts))


def _makes_work(schema: Any) -> bool:
    """Return whether a value may be compared more than once, or with a pattern, anywhere in a schema."""
    if isinstance(schema, list):
        return any(map(_makes_work, schema))
    if not isinstance(schema, Mapping):
        return False
    if any(key in schema for key in (*_SAME, *_SAME_LISTS, "dependentSchemas", "$ref", "pattern", "patternProperties")):
        return True
    return any(_makes_work(one) for key, one in schema.items() if key != "enum" and not re.match("default|ex|con", key))
