"""A tool's JSON Schema in a model's dialect. Pure.

Only what the model reads is left: calls are checked against the tool's own form whatever their schema said.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ballast.models.card import Dialect

#: Keywords under which each value is a schema by name, a list of schemas, and one schema.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_DEFINITIONS = ("$defs", "definitions")
_REF = "#/$defs/"


class NotInlinable(ValueError):
    """A schema contains itself, and the model does not follow references."""


def in_dialect(schema: Mapping[str, Any], dialect: "Dialect") -> dict[str, Any]:
    """Return ``schema`` as a model with that dialect reads it; equal schemas give equal bytes, names sorted.

    Its root is always an object's schema, which Converse demands. Raises ``NotInlinable``, which says where.
    """
    definitions = schema.get("$defs", {})
    dropped = {*dialect.unsupported, *(() if dialect.additional_properties else ("additionalProperties",))}
    root = dict(schema)
    if not dialect.refs:
        # The mapping of a discriminator names definitions.
        dropped |= {*_DEFINITIONS, "discriminator"}
        root = _inlined(root, definitions, ())
    elif "$ref" in root:
        root = {**definitions[root.pop("$ref").removeprefix(_REF)], **root}
    made = _without(root, dropped)
    if dialect.root_keys is not None:
        made = {key: value for key, value in made.items() if key in dialect.root_keys}
    found: dict[str, Any] = in_order({"type": "object", **made})
    return found


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
