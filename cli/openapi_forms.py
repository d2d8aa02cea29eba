"""The forms of an OpenAPI document as they are sent, and as they are answered. Pure.

JSON Schema knows none of what makes them two, so it is written in the words that it knows:

::

    readOnly          sent: not required                     answered: as it is
    writeOnly         sent: as it is                         answered: not required
    discriminator     sent: a constant in each form,         answered: as it is
                      and a base is any of its kinds
    oneOf             sent: as it is                         answered: any of the forms, or several
    nullable (3.0)    null is one of the types
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_SCHEMAS = "#/components/schemas/"
#: Added to the name of a base, for its own fields without those of its kinds; no schema's own name has such a sign.
_ALONE = "+fields"
_MAX_DEPTH = 16
#: Keywords under which is data, whatever it looks like; and those under which each object has a name.
_DATA = frozenset({"enum", "const", "default", "example", "examples"})
_NAMED = frozenset(
    {
        *("properties", "patternProperties", "dependentSchemas", "$defs", "definitions", "schemas", "paths"),
        *("parameters", "requestBodies", "responses", "headers", "content", "variables", "callbacks", "pathItems"),
    }
)


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


def without_nullable(document: Any) -> Any:
    """Return a document with ``nullable`` of 3.0 written as 3.1 does."""
    return _walked(document, lambda _, made: _with_null(made))


def _with_null(made: dict[str, Any]) -> dict[str, Any]:
    if made.get("nullable") is not True or not {"type", "$ref", "allOf", "anyOf", "oneOf", "enum"} & made.keys():
        return made
    del made["nullable"]
    if isinstance(made.get("type"), str) and "$ref" not in made:
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list) and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        return made
    return {"anyOf": [made, {"type": "null"}]}


def as_answered(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without ``required`` for what is only written, such as a password."""
    made: dict[str, Any] = _Answered(document, "writeOnly").of(document)
    return made


def as_sent(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without what only answers have, and with its discriminators as constants."""
    return _Sent(document).document()


def is_read_only(document: Mapping[str, Any], schema: Any) -> bool:
    """Say whether a property stands in answers alone."""
    return _is_marked(document, schema, "readOnly", set())


def _walked(value: Any, change: Callable[[Mapping[str, Any], dict[str, Any]], Any]) -> Any:
    """Return a part of a document with each object in it changed: not what is data, nor what gives parts their names.

    ``change``: takes an object, and the same with its parts changed.
    """
    if isinstance(value, list):
        return [_walked(one, change) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = dict[str, Any]()
    for name, one in value.items():
        if name in _NAMED and isinstance(one, Mapping):
            made[name] = {inner: _walked(part, change) for inner, part in one.items()}
        else:
            made[name] = copy.deepcopy(one) if name in _DATA else _walked(one, change)
    return change(value, made)


def _is_marked(document: Mapping[str, Any], schema: Any, word: str, seen: set[int]) -> bool:
    """Say whether a schema is ``readOnly`` or ``writeOnly``: itself, by what it is made of, or by each of its forms."""
    if not isinstance(schema, Mapping) or id(schema) in seen:
        return False
    seen.add(id(schema))
    if schema.get(word) is True:
        return True
    try:
        found = resolved(document, schema)
    except LeftOut:
        return False
    if found is not schema:
        return _is_marked(document, found, word, seen)
    if any(_is_marked(document, part, word, seen) for part in _list(schema, "allOf")):
        return True
    forms = [*_list(schema, "anyOf"), *_list(schema, "oneOf")]
    some = [one for one in forms if not isinstance(one, Mapping) or one.get("type") != "null"]
    return bool(some) and all(_is_marked(document, one, word, seen) for one in some)


def _list(schema: Mapping[str, Any], name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


class _Forms:
    """A document in which nothing is required that has a mark, ``readOnly`` or ``writeOnly``, where it is required."""

    def __init__(self, document: Mapping[str, Any], mark: str) -> None:
        self._document, self._mark = document, mark

    def of(self, value: Any) -> Any:
        """Return a part of the document."""
        return _walked(value, self._changed)

    def _changed(self, value: Mapping[str, Any], made: dict[str, Any]) -> dict[str, Any]:
        if (isinstance(value.get("required"), list) or _list(value, "allOf")) and (hidden := self._hidden(value)):
            self._release(made, hidden)
        return made

    def _hidden(self, schema: Any) -> set[str]:
        """Return the names of a schema's properties with the mark, also of the schemas that it is made of."""
        hidden = set[str]()
        for part in self._parts(schema, ("allOf", "anyOf", "oneOf")):
            fields = part.get("properties")
            for name, one in fields.items() if isinstance(fields, Mapping) else ():
                if _is_marked(self._document, one, self._mark, set()):
                    hidden.add(name)
        return hidden

    def _parts(self, schema: Any, by: tuple[str, ...] = ("allOf",)) -> Iterator[Mapping[str, Any]]:
        """Yield a schema, and those that it is made of, resolved; each once."""
        seen, left = set[int](), [schema]
        while left:
            try:
                part = resolved(self._document, left.pop(0))
            except LeftOut:
                continue
            if isinstance(part, Mapping) and id(part) not in seen:
                seen.add(id(part))
                yield part
                left = [*(one for name in by for one in _list(part, name)), *left]

    def _release(self, made: dict[str, Any], hidden: set[str]) -> None:
        """Require none of these properties. They may be sent: many servers take such an id for a reference.

        A schema elsewhere that requires one is written out in this place: elsewhere it requires it still.
        """
        if isinstance(made.get("required"), list):
            made["required"] = [name for name in made["required"] if name not in hidden]
        parts = _list(made, "allOf")
        for place, part in enumerate(parts):
            inner = part
            if isinstance(part, dict) and "$ref" in part and self._requires(part, hidden):
                inner = parts[place] = self._written_out(part)
            if isinstance(inner, dict) and "$ref" not in inner:
                self._release(inner, hidden)

    def _requires(self, schema: Any, hidden: set[str]) -> bool:
        required = {name for part in self._parts(schema) for name in _list(part, "required") if isinstance(name, str)}
        return not hidden.isdisjoint(required) and not hidden.isdisjoint(required - self._hidden(schema))

    def _written_out(self, reference: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.of(resolved(self._document, reference))
        return made


class _Answered(_Forms):
    def _changed(self, value: Mapping[str, Any], made: dict[str, Any]) -> dict[str, Any]:
        made = super()._changed(value, made)
        if isinstance(made.get("oneOf"), list) and "anyOf" not in made:
            made["anyOf"] = made.pop("oneOf")  # open objects may fit several, which is no fault of the server's work
        return made


class _Sent(_Forms):
    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document, "readOnly")
        components = document.get("components")
        schemas = components.get("schemas") if isinstance(components, Mapping) else None
        self._schemas: Mapping[str, Any] = schemas if isinstance(schemas, Mapping) else {}
        #: The name of the discriminator that a schema has, or has from a base, and the values that name schemas.
        self._told = {name: told for name in self._schemas if (told := self._told_of(name)) is not None}
        made_of: dict[int, list[str]] = {}
        for name in self._told:
            for part in self._parts(self._schemas[name]):
                made_of.setdefault(id(part), []).append(name)
        #: The kinds of each base, with the values of its discriminator that name them. A last kind has itself.
        self._kinds = {name: kinds for name in self._told if (kinds := self._kinds_of(name, made_of))}

    def document(self) -> dict[str, Any]:
        """Return all of it."""
        made: dict[str, Any] = self.of(self._document)
        schemas = made["components"]["schemas"] if self._kinds else {}
        for name in self._told if self._kinds else ():
            self._stand_alone(schemas[name])
        for base, kinds in self._kinds.items():
            schema, name = schemas.pop(base), self._told[base][0]
            schema.pop("discriminator", None)
            schemas[base + _ALONE] = schema
            forms = [self._named(name, self._of_one_kind(kind, name), values) for kind, values in kinds.items()]
            last = "discriminator" not in self._schemas[base] and [*kinds] == [base]
            schemas[base] = self._last(name, base, kinds[base]) if last else {"anyOf": forms}
        return made

    def _changed(self, value: Mapping[str, Any], made: dict[str, Any]) -> dict[str, Any]:
        made = super()._changed(value, made)
        said, forms = value.get("discriminator"), value.get("oneOf") or value.get("anyOf")
        if isinstance(said, Mapping) and isinstance(said.get("propertyName"), str) and isinstance(forms, list):
            made = {key: one for key, one in made.items() if key not in ("discriminator", "oneOf", "anyOf")}
            named = _names(said)
            made["anyOf"] = [self._form(said["propertyName"], one, named) for one in forms]
        return made

    def _written_out(self, reference: Any) -> dict[str, Any]:
        made = super()._written_out(reference)
        made.pop("discriminator", None)
        self._stand_alone(made)
        return made

    def _stand_alone(self, made: Any) -> None:
        """Let a kind be made of its bases' own fields, and not of their kinds, of which it is one."""
        for part in _list(made, "allOf") if isinstance(made, dict) else ():
            name = str(part.get("$ref", "")).removeprefix(_SCHEMAS) if isinstance(part, dict) else ""
            if name in self._kinds:
                part["$ref"] += _ALONE
            self._stand_alone(part)

    def _told_of(self, name: str) -> tuple[str, dict[str, list[str]]] | None:
        """Return a schema's discriminator, its own or that of its bases, with the values of all that have that name."""
        schema = self._schemas[name]
        if not isinstance(schema, Mapping) or "$ref" in schema:
            return None  # another name of a schema is no kind of it
        said = [
            one
            for part in self._parts(schema)
            if isinstance(one := part.get("discriminator"), Mapping) and not {"oneOf", "anyOf"} & part.keys()
            if isinstance(one.get("propertyName"), str)
        ]
        if not said:
            return None
        named = dict[str, list[str]]()
        for one in said:
            for kind, values in _names(one).items() if one["propertyName"] == said[0]["propertyName"] else ():
                named.setdefault(kind, values)
        return said[0]["propertyName"], named

    def _kinds_of(self, base: str, made_of: Mapping[int, list[str]]) -> dict[str, list[str]]:
        """Return the schemas that are kinds of a base, with the values that name each; none where it has none."""
        schema, named = self._schemas[base], self._told[base][1]
        kinds = [name for name in made_of[id(schema)] if name != base]
        inherited = "discriminator" not in schema
        if not kinds and not inherited:
            return {}
        with_itself = [base] if base in named or not named or inherited else []
        return {name: named.get(name) or self._told[name][1].get(name, [name]) for name in (*kinds, *with_itself)}

    def _of_one_kind(self, kind: str, name: str) -> str:
        """Return the reference to a kind that its discriminator names: without its own kinds, if that tells them."""
        return f"{_SCHEMAS}{kind}{_ALONE if kind in self._kinds and self._told[kind][0] == name else ''}"

    def _last(self, name: str, kind: str, values: list[str]) -> dict[str, Any]:
        """Return a schema that is a kind and has none: a value may be left out where its own fields let it be."""
        made = self._named(name, f"{_SCHEMAS}{kind}{_ALONE}", values)
        if "allOf" in made:
            del made["allOf"][1]["required"]
        return made

    def _form(self, name: str, form: Any, named: Mapping[str, list[str]]) -> Any:
        """Return one of several forms with the values that name it; one that is written out in its place has none."""
        reference = form.get("$ref") if isinstance(form, Mapping) else None
        if not isinstance(reference, str):
            return self.of(form)
        kind = reference.rpartition("/")[2]
        of_its_bases = (_names(one["discriminator"]) for one in self._parts(form) if "discriminator" in one)
        values = next((one[kind] for one in (named, *of_its_bases) if kind in one), [kind])
        return self._named(name, self._of_one_kind(kind, name) if kind in self._kinds else reference, values)

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
