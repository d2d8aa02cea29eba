"""A tool's JSON Schema in a model's dialect, and in the form to which a provider can hold the model. Pure.

::

    a tool's schema ── in_dialect ─▶ what the model reads ── strict_form ─▶ what its provider can enforce

Only what is read is left: calls are checked against the tool's own form whatever their schema said.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ballast.models.card import Dialect

#: Keywords under which each value is a schema by name, a list of schemas, and one schema.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_DEFINITIONS = ("$defs", "definitions")
#: No model takes them at the root of a tool's schema.
_NOT_AT_THE_ROOT = ("allOf", "anyOf", "oneOf")
_REF = "#/$defs/"


class NotInlinable(ValueError):
    """A schema contains itself, and the model does not follow references."""


class TooLarge(ValueError):
    """A schema is too large or too deep as a model would read it. The message continues "its arguments"."""


class NotStrict(ValueError):
    """A provider cannot hold a model to a schema. The message continues "its arguments"."""


#: Bytes of a schema in a model's dialect, and schemas inside each other: every prompt carries them.
MOST_BYTES, MOST_LEVELS = 131_072, 48
#: A pattern that a grammar may not express: lookaround, groups with options, lazy repetitions, and all escapes but
#: those of classes, white space and signs: back references, word boundaries, properties (``\\p{L}``).
_NO_GRAMMAR = re.compile(r"\(\?|[*+?}][?+]|\\[^dDwWsSnrtfv\W]|\\_")
#: One of these says what a value can be.
_SAYS_WHAT = ("$ref", "anyOf", "const", "enum", "type")


def in_dialect(schema: Mapping[str, Any], dialect: "Dialect") -> dict[str, Any]:
    """Return ``schema`` as a model with that dialect reads it; equal schemas give equal bytes, names sorted.

    Its root is always an object's schema, which Converse demands. Raises ``NotInlinable``, which says where, and
    ``TooLarge``.
    """
    dropped = {*dialect.unsupported, *(() if dialect.additional_properties else ("additionalProperties",))}
    # The mapping of a discriminator names definitions.
    dropped |= set() if dialect.refs else {*_DEFINITIONS, "discriminator"}
    definitions = {name: _without(one, dropped) for name, one in schema.get("$defs", {}).items()}
    root = _without(dict(schema), dropped)
    if not dialect.refs:
        _refuse_too_large(root, definitions)
        root = _inlined(root, definitions, ())
    elif "$ref" in root:
        root = {**definitions[root.pop("$ref").removeprefix(_REF)], **root}
    made = {key: value for key, value in root.items() if key not in _NOT_AT_THE_ROOT}
    if dialect.root_keys is not None:
        made = {key: value for key, value in made.items() if key in dialect.root_keys}
    found: dict[str, Any] = in_order({"type": "object", **made})
    if (size := _bytes(found)) > MOST_BYTES:
        raise TooLarge(f"have {size} bytes of schema; {MOST_BYTES} are allowed")
    return found


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace"))


def _refuse_too_large(root: Mapping[str, Any], definitions: Mapping[str, Any]) -> None:
    """Raise ``TooLarge`` if ``root`` were too large with its definitions inlined; nothing is inlined for that."""
    known: dict[str, tuple[int, int]] = {}

    def measured(schema: Mapping[str, Any], inside: tuple[str, ...], above: int) -> tuple[int, int]:
        """Return the bytes and the levels of a schema, which has ``above`` levels around it."""
        size, levels = _bytes(schema), 1
        inner: list[Any] = [(None, one) for one in _schemas_in(schema)]
        name = str(schema["$ref"]).removeprefix(_REF) if "$ref" in schema else None
        if name in inside:
            raise NotInlinable(f"{' in '.join((*reversed(inside), name or ''))}")
        if name is not None:
            inner.append((name, definitions[name]))
        for named, one in inner:
            if above + levels > MOST_LEVELS:
                raise TooLarge(f"have more than {MOST_LEVELS} levels of schemas inside each other")
            if not isinstance(one, Mapping):
                continue
            within = (*inside, named) if named else inside
            own = known[named] if named in known else measured(one, within, above + 1)
            if named:
                known[named] = own
            # What stands in a schema has been counted with it.
            size += own[0] if named else own[0] - _bytes(one)
            levels = max(levels, 1 + own[1])
        if above + levels > MOST_LEVELS:
            raise TooLarge(f"have more than {MOST_LEVELS} levels of schemas inside each other")
        return size, levels

    # The root's own keywords may be left out afterwards, so this allows for some bytes more.
    size, _ = measured(root, (), 0)
    if size > 2 * MOST_BYTES:
        raise TooLarge(f"have {size} bytes of schema without references; {MOST_BYTES} are allowed")


def _schemas_in(schema: Mapping[str, Any]) -> list[Any]:
    """Return the schemas directly inside a schema."""
    found: list[Any] = []
    _each(dict(schema), found.append)
    return found


def strict_form(schema: Mapping[str, Any], dialect: "Dialect") -> dict[str, Any]:
    """Return ``schema``, which is in that dialect, as its provider can hold the model to it.

    It may allow more than ``schema``: keywords that cannot be enforced are left out. Each object is closed. Raises
    ``NotStrict`` where that would forbid what ``schema`` describes.
    """
    _refuse_cycles(schema.get("$defs", {}))
    if not dialect.additional_properties:
        raise NotStrict("cannot be closed in this model's dialect")
    made: dict[str, Any] = in_order(_held(schema, frozenset(dialect.strict_keys)))
    return made


def strict_size(schema: Any) -> tuple[int, int]:
    """Return how many properties of a schema may be left out, and how many have several forms, at any depth."""
    if isinstance(schema, list):
        return _total(map(strict_size, schema))
    if not isinstance(schema, Mapping):
        return 0, 0
    fields = schema.get("properties", {})
    forms = sum("anyOf" in one or isinstance(one.get("type"), list) for one in fields.values())
    inside: list[Any] = [schema.get(key) for key in (*_LISTED, *_SINGLE)]
    inside += [one for key in _NAMED for one in schema.get(key, {}).values()]
    return _total([(len(fields.keys() - {*schema.get("required", ())}), forms), *map(strict_size, inside)])


def _total(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    left_out, forms = zip(*sizes, strict=True) if (sizes := list(sizes)) else ((), ())
    return sum(left_out), sum(forms)


def _held(schema: Any, keys: frozenset[str]) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or not any(key in schema for key in (*_SAYS_WHAT, "oneOf")):
        raise NotStrict("take a value of any kind")
    kept = {"anyOf": schema["oneOf"]} if "oneOf" in schema else {}
    kept |= {key: value for key, value in schema.items() if key in keys}
    kept |= _items(schema) if "items" in keys else {}
    if kept.get("minItems", 0) > 1:
        del kept["minItems"]
    if any(isinstance(one, dict | list) for one in kept.get("enum", ())):
        del kept["enum"]
    if _NO_GRAMMAR.search(kept.get("pattern", "")):
        del kept["pattern"]
    closed = kept.pop("additionalProperties", None)
    made = _each(kept, lambda one: _held(one, keys))
    kinds = schema.get("type")
    if "properties" not in schema and kinds != "object" and not (isinstance(kinds, list) and "object" in kinds):
        return made
    if closed not in (False, None) or (closed is None and "properties" not in schema):
        raise NotStrict("take fields of any name")
    return {**made, "additionalProperties": False}


def _items(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``items`` of a list whose first ones have schemas of their own: each may be any of them."""
    kinds = schema.get("type")
    if "array" not in (kinds if isinstance(kinds, list) else [kinds]):
        return {}
    first, rest = schema.get("prefixItems") or [], schema.get("items")
    forms = [*first, *([] if rest in (None, False) else [rest])]
    if not forms:
        raise NotStrict("take a list of values of any kind")
    forms = [one for at, one in enumerate(forms) if one not in forms[:at]]
    return {"items": forms[0] if len(forms) == 1 else {"anyOf": forms}}


def _refuse_cycles(definitions: Mapping[str, Any]) -> None:
    inside = {name: set(_names_in(one)) for name, one in definitions.items()}
    for name in inside:
        reached, more = set(), inside[name]
        while more:
            reached |= more
            more = {further for one in more for further in inside.get(one, ())} - reached
        if name in reached:
            raise NotStrict(f"contain themselves ({name})")


def _names_in(value: Any) -> Iterator[str]:
    """Yield the definitions that a schema refers to."""
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _names_in(inner)
    if isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
        yield value["$ref"].removeprefix(_REF)


def in_order(value: Any) -> Any:
    """Return JSON ``value`` with the names of each object sorted, as the log keeps it."""
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    return [in_order(one) for one in value] if isinstance(value, list | tuple) else value


def _inlined(schema: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made = {key: value for key, value in schema.items() if key != "$ref"}
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_REF)
        if name in inside:
            raise NotInlinable(f"{' in '.join((*reversed(inside), name))}")
        return {**_inlined(definitions[name], definitions, (*inside, name)), **made}
    return _each(made, lambda one: _inlined(one, definitions, inside))


def _without(schema: Any, dropped: set[str]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: value for key, value in schema.items() if key not in dropped}
    return _each(kept, lambda one: _without(one, dropped))


def _each(schema: dict[str, Any], made: Callable[[Any], Any]) -> dict[str, Any]:
    """Return ``schema`` with each schema directly inside it replaced. The names of properties are no keywords."""
    found = dict(schema)
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            found[key] = {name: made(one) for name, one in value.items()}
        elif key in _LISTED and isinstance(value, list):
            found[key] = [made(one) for one in value]
        elif key in _SINGLE:
            found[key] = made(value)
    return found
