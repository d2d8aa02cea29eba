"""The forms of an OpenAPI document as they are sent, and as they are answered. Pure.

JSON Schema knows none of what makes them two, so it is written in the words that it knows:

::

    readOnly          sent: not required                     answered: as it is
    writeOnly         sent: as it is                         answered: not required
    discriminator     sent: a constant in each form,         answered: any of the forms
                      and a base is any of its kinds
    nullable (3.0)    null is one of the types
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SCHEMAS = "#/components/schemas/"
#: Added to the name of a base, for its own fields without those of its kinds; no schema's own name has such a sign.
_ALONE = "+fields"
_MAX_DEPTH = 16


class LeftOut(Exception):
    """An operation cannot be a tool; the text says why."""


def resolved(document: Mapping[str, Any], value: Any) -> Any:
    """Return what a reference of the document leads to. Raises ``LeftOut``."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(value, Mapping) or "$ref" not in value:
            return value
        reference = str(value["$ref"])
        if not reference.startswith("#/"):
            raise LeftOut(f"it refers to another document ({reference[:80]}), and nothing is fetched")
        value = document
        for step in reference[2:].replace("~1", "\0").split("/"):
            name = step.replace("\0", "/").replace("~0", "~")
            if not isinstance(value, Mapping) or name not in value:
                raise LeftOut(f"it refers to {reference[:80]}, which is not in the document")
            value = value[name]
    raise LeftOut("its references never end")


def without_nullable(value: Any) -> Any:
    """Return a document with ``nullable`` of 3.0 written as 3.1 does."""
    if isinstance(value, list):
        return [without_nullable(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = {name: without_nullable(one) for name, one in value.items()}
    if made.get("nullable") is not True or not {"type", "$ref", "allOf", "anyOf", "oneOf", "enum"} & made.keys():
        return made
    del made["nullable"]
    if isinstance(made.get("type"), str) and "$ref" not in made:
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        return made
    return {"anyOf": [made, {"type": "null"}]}


def as_answered(value: Any) -> Any:
    """Return a document without ``required`` for what is only written, such as a password."""
    if isinstance(value, list):
        return [as_answered(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = {name: as_answered(one) for name, one in value.items()}
    required, fields = made.get("required"), made.get("properties")
    if isinstance(required, list) and isinstance(fields, Mapping):
        hidden = {name for name, one in fields.items() if isinstance(one, Mapping) and one.get("writeOnly") is True}
        made["required"] = [name for name in required if name not in hidden]
    if isinstance(made.get("discriminator"), Mapping) and isinstance(made.get("oneOf"), list):
        made["anyOf"] = made.pop("oneOf")  # several may fit: the discriminator tells which of them is meant
    return made


def as_sent(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without what only answers have, and with its discriminators as constants."""
    return _Sent(document).document()


def is_read_only(document: Mapping[str, Any], schema: Any) -> bool:
    """Say whether a property stands in answers alone."""
    try:
        found = resolved(document, schema)
    except LeftOut:
        return False
    return isinstance(found, Mapping) and found.get("readOnly") is True


class _Sent:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        components = document.get("components")
        schemas = components.get("schemas") if isinstance(components, Mapping) else None
        self._schemas: Mapping[str, Any] = schemas if isinstance(schemas, Mapping) else {}
        #: The kinds of each base, with the values of its discriminator that name them.
        self._kinds = {name: kinds for name in self._schemas if (kinds := self._kinds_of(name))}

    def document(self) -> dict[str, Any]:
        made: dict[str, Any] = self._of(self._document)
        schemas = made["components"]["schemas"] if self._kinds else {}
        for base, kinds in self._kinds.items():
            for part in (part for kind in kinds for part in schemas[kind].get("allOf", ())):
                if isinstance(part, dict) and part.get("$ref") == f"{_SCHEMAS}{base}":
                    part["$ref"] += _ALONE
        for base, kinds in self._kinds.items():
            schema = schemas.pop(base)
            name = schema.pop("discriminator")["propertyName"]
            schemas[base + _ALONE] = schema
            forms = {kind: f"{_SCHEMAS}{kind}{_ALONE if kind == base else ''}" for kind in kinds}
            schemas[base] = {"anyOf": [self._named(name, forms[kind], values) for kind, values in kinds.items()]}
        return made

    def _of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._of(one) for one in value]
        if not isinstance(value, Mapping):
            return value
        made = {name: self._of(one) for name, one in value.items()}
        if not value.keys().isdisjoint(("properties", "allOf")) and (hidden := set(self._only_read(value))):
            self._release(made, hidden)
        said, forms = value.get("discriminator"), value.get("oneOf") or value.get("anyOf")
        if isinstance(said, Mapping) and isinstance(said.get("propertyName"), str) and isinstance(forms, list):
            made = {key: one for key, one in made.items() if key not in ("discriminator", "oneOf", "anyOf")}
            named = _names(said)
            made["anyOf"] = [self._form(said["propertyName"], one, named) for one in forms]
        return made

    def _only_read(self, schema: Any) -> Iterator[str]:
        """Yield the names of a schema's properties that are only read, also of the schemas that it is made of."""
        for part in self._parts(schema):
            fields = part.get("properties")
            for name, one in fields.items() if isinstance(fields, Mapping) else ():
                if is_read_only(self._document, one):
                    yield name

    def _parts(self, schema: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
        """Yield a schema, and those of its ``allOf``, resolved."""
        try:
            schema = resolved(self._document, schema)
        except LeftOut:
            return
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return
        yield schema
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            yield from self._parts(part, depth + 1)

    def _release(self, made: dict[str, Any], hidden: set[str]) -> None:
        """Require none of these properties. They may be sent: many servers take such an id for a reference."""
        if isinstance(made.get("required"), list):
            made["required"] = [name for name in made["required"] if name not in hidden]
        parts = made.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._release(part, hidden)

    def _kinds_of(self, base: str) -> dict[str, list[str]]:
        """Return the schemas that are kinds of a base, with the values that name each; none where it has none."""
        schema = self._schemas[base]
        said = schema.get("discriminator") if isinstance(schema, Mapping) else None
        if not isinstance(said, Mapping) or {"oneOf", "anyOf"} & schema.keys():
            return {}
        kinds = [name for name, one in self._schemas.items() if one is not schema and self._is_made_of(one, schema)]
        if not kinds or not isinstance(said.get("propertyName"), str):
            return {}
        named = _names(said)
        with_itself = [base] if base in named or not named else []
        return {name: named.get(name, [name]) for name in (*kinds, *with_itself)}

    def _is_made_of(self, schema: Any, base: Any) -> bool:
        return any(part is base for part in self._parts(schema))

    def _form(self, name: str, form: Any, named: Mapping[str, list[str]]) -> Any:
        """Return one of several forms with the values that name it; one that is written out in its place has none."""
        reference = form.get("$ref") if isinstance(form, Mapping) else None
        if not isinstance(reference, str):
            return self._of(form)
        kind = reference.rpartition("/")[2]
        of_its_bases = (_names(one["discriminator"]) for one in self._parts(form) if "discriminator" in one)
        values = next((one[kind] for one in (named, *of_its_bases) if kind in one), [kind])
        return self._named(name, reference, values)

    def _named(self, name: str, reference: str, values: list[str]) -> dict[str, Any]:
        """Return the schema at a reference with one of these values under a name, as far as it lets that have them."""
        allowed = self._allowed(name, {"$ref": reference.removesuffix(_ALONE)})
        fit = values if allowed is None else [one for one in values if one in allowed]
        if not fit:
            return {"$ref": reference}  # its own words tell it from the others
        return {"allOf": [{"$ref": reference}, {"properties": {name: {"enum": fit}}, "required": [name]}]}

    def _allowed(self, name: str, schema: Any) -> list[Any] | None:
        """Return the values that a schema lets a property have; None where it may have any text."""
        for part in self._parts(schema):
            fields = part.get("properties")
            own = next(self._parts(fields.get(name)), None) if isinstance(fields, Mapping) else None
            if own is None:
                continue
            if "const" in own:
                return [own["const"]]
            if isinstance(own.get("enum"), list):
                return [*own["enum"]]
            kinds = own.get("type", "string")
            if "string" not in (kinds if isinstance(kinds, list) else [kinds]):
                return []
        return None


def _names(discriminator: Any) -> dict[str, list[str]]:
    """Return the values by which a mapping names schemas."""
    mapping = discriminator.get("mapping") if isinstance(discriminator, Mapping) else None
    named = dict[str, list[str]]()
    for value, target in mapping.items() if isinstance(mapping, Mapping) else ():
        named.setdefault(str(target).rpartition("/")[2], []).append(value)
    return named
