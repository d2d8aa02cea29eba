"""Refuse at load a tool whose arguments have no JSON form (``form``), naming field and type.

Four checks: types that JSON cannot carry; names and defaults that do not survive; functions that vary between calls
(``determinism``); and sample values, each tried twice, wherever the author has a validator or serializer. What they
miss is refused call by call, since ``Form.read`` compares.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from typing import Any, NoReturn, get_args

from pydantic import Secret, SecretBytes, SecretStr
from pydantic._internal._validators import import_string
from pydantic_core import to_jsonable_python

from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid, whatever_it_raises
from ballast.playbook.arguments.determinism import why_factory_varies, why_validator_varies
from ballast.playbook.arguments.form import Form, Unstable, reader, round_trip, writer
from ballast.playbook.arguments.strict_schema import (
    SINGLE,
    Node,
    is_from_pydantic,
    one_spelling_key,
    schema_lists,
    sorted_set,
)
from ballast.values import dataclass

#: Kinds of schema whose values JSON does not have, with the remedy.
_NO_JSON = {
    "generator": "can be read only once; use list[…]",
    "callable": "is a callable, which JSON does not have",
    "is-instance": "is a class that JSON does not have; use a pydantic model, or add a validator and a serializer",
    "is-subclass": "is a class, which JSON does not have",
    "complex": "is not a JSON number; use two fields",
    "call": "is a named tuple; use a pydantic model",
    "arguments": "is a function's arguments, which JSON does not have",
    "arguments-v3": "is a function's arguments, which JSON does not have",
}
#: Branches that only apply to Python objects, and are skipped.
_OF_PYTHON = {"json-or-python": ("python_schema",)}
_FUNCTIONS = ("function-before", "function-after", "function-wrap", "function-plain")
_SECRETS = (Secret, SecretStr, SecretBytes)
#: Kinds that cannot be JSON keys.
_NO_KEYS = ("none", "tuple", "list", "set", "frozenset", "dict", "model", "dataclass", "typed-dict", "json")
_FIELDS = ("model-field", "dataclass-field", "typed-dict-field")
#: Kinds for the fields of a model, before the model exists.
_FIELDS_OF = ("model-fields", "dataclass-args")
#: Settings by which a model writes values that it does not read.
_CONFIG = {
    "ser_json_timedelta": ("float", "seconds_float", "milliseconds_float"),
    "ser_json_temporal": ("seconds", "milliseconds"),
}
#: Sample values for the author's own validators and serializers.
_TRIED: tuple[Any, ...] = (
    *("a", "AB", "ab cd", " x ", "", "1", "-2", "1.50", "40.00", "1e3", "true", "2026-01-02", "2026-01-02T03:04:05Z"),
    *("03:04:05", "PT1H", "O-1001", "C-1001", "R-1001", "a,b", "a1b2c3", "jo@example.org", "https://example.org/a"),
    *("/a/b", "127.0.0.1", "::1", "+15550100", "EUR", "DE", "en", "#ff0000", "4111111111111111", "aGk=", "1MB"),
    *("12345678-1234-4234-8234-123456789012", "{}", "[1]", "A" * 20),
    *(0, 1, 2, -3, 7, 250, 1.5, -0.25, True, False, None),
    *([], ["a"], ["b", "a"], [1], [2, 1], [1.5], ["2026-01-02"], [[1]], [{}]),
    *({}, {"a": "b"}, {"a": 1}, {"1": "a"}, {"b": 1, "a": 2}),
)


def require_json_form(form: Form, where: str) -> None:
    """Raise ``PlaybookInvalid`` if values of the form's model would not survive model → JSON → model."""
    _Check(where, _definitions(form.schema)).at(form.schema, _Place(form.model.__name__), tries=True)


@dataclass(frozen=True)
class _Place:
    """The position of a node: its field's path and type, and the enclosing model with its settings.

    around  the enclosing model's node; ``name`` is the field's name in JSON, "" outside of a model
    """

    path: str
    type_name: str = ""
    owner: Any = None
    config: Node = field(default_factory=dict)
    around: Node | None = None
    name: str = ""

    def within(self, node: Node) -> "_Place":
        if node["type"] not in ("model", "dataclass", "typed-dict"):
            return self
        return replace(self, owner=node.get("cls"), config=node.get("config") or {}, around=node, name="")

    def at(self, name: str, read_as: str = "") -> "_Place":
        annotation = getattr(getattr(self.owner, "__pydantic_fields__", {}).get(name), "annotation", None)
        known = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
        known = "" if annotation is None else known.replace("typing.", "")
        return replace(self, path=f"{self.path}.{name}", type_name=known, name=read_as)


@dataclass(frozen=True)
class _Check:
    """The check of one model. ``where`` names the tool."""

    where: str
    definitions: Mapping[str, Node]

    def at(self, node: Node, place: _Place, *, tries: bool) -> None:
        """Check a node and its inner nodes; ``tries``: try sample values if the author's functions are here."""
        kind = node["type"]
        if kind in _NO_JSON:
            self._refuse(place, _NO_JSON[kind])
        a_set = kind in ("set", "frozenset")
        if a_set and node["serialization"].get("function") is not sorted_set:
            self._refuse(place, "is a set with a serializer of its own, so its order is not fixed; use list[…]")
        place = place.within(node)
        self._refuse_varying(node, place)
        if (
            kind == "dict"
            and (why := _unusable_key(self._unwrapped(node.get("keys_schema")), self._codecs)) is not None
        ):
            self._refuse(place, f"has keys that cannot be JSON names ({why}); use dict[str, …] or a list")
        self._check_config(place)
        self._check_class(node, place)
        owns = "serialization" in node and not a_set
        if kind in ("enum", "literal") and not _needs_its_model(node):
            self._try_each(node, place, node["members"] if kind == "enum" else node["expected"])
        if kind in _FUNCTIONS and node["function"]["function"] is import_string:
            self._refuse(place, "imports whatever it is given; use str and choose in the tool")
        if tries and (owns or (kind in _FUNCTIONS and not _is_ours(node["function"]["function"]))):
            self._try(node, place)
            tries = False
        for name in SINGLE:
            if isinstance(node.get(name), dict) and name not in _OF_PYTHON.get(kind, ()):
                again = tries or name in ("items_schema", "keys_schema", "values_schema")
                self.at(node[name], place, tries=again and not owns)
        for name in schema_lists(node):
            for key, one in _named(node[name]):
                if one["type"] in _FIELDS:
                    self._field(one, str(one.get("name", key)), place, tries=not owns)
                else:
                    self.at(one, place, tries=not owns)

    def _field(self, node: Node, name: str, place: _Place, *, tries: bool) -> None:
        named, known = node.get("serialization_alias", name), list(_read_as(node, name, place.config))
        here = place.at(name, next(iter(known), name))
        if node.get("serialization_exclude") or "serialization_exclude_if" in node:
            self._refuse(here, "is excluded from serialization; remove `exclude`")
        if node.get("init_only"):
            self._refuse(here, "is an InitVar, which is not kept; make it a field")
        if named not in known:
            read_as = " or ".join(known) or "a path"
            self._refuse(here, f"is written as {named} and read as {read_as}; give it one name: Field(alias=…)")
        self._default(node["schema"], here)
        self.at(node["schema"], here, tries=tries)

    def _default(self, schema: Node, place: _Place) -> None:
        if schema["type"] != "default":
            return
        factory = schema.get("default_factory")
        why = why_factory_varies(factory) if factory else None
        if why is not None:
            self._refuse(
                place,
                f"has a default that may differ each time ({why}): a clock, chance, the environment. Take it "
                "from ctx in the tool, or build the default from constants and plain types",
            )
        if schema.get("default_factory_takes_data") or _needs_its_model(schema):  # tried as part of its model
            return
        default = factory() if factory else schema["default"]
        if factory and factory() != default:
            self._refuse(place, "has a default that differs each time; take it from ctx in the tool")
        if default is None and schema["schema"]["type"] == "nullable":
            return
        try:
            round_trip(*self._codecs(schema), default)
        except Unstable as problem:
            self._refuse(place, f"has a default that changes when it is written as JSON and read again ({problem})")

    def _refuse_varying(self, node: Node, place: _Place) -> None:
        """Refuse a function of the author's that may give another result for the same value."""
        functions = [node["function"]["function"]] if node["type"] in _FUNCTIONS else []
        functions.append(node.get("serialization", {}).get("function"))
        post_init = {"model": node.get("post_init"), "dataclass": "__post_init__"}.get(node["type"])
        functions.append(getattr(node.get("cls"), post_init, None) if post_init else None)
        if node.get("custom_init"):
            functions.append(node["cls"].__init__)
        for function in functions:
            if function is None or is_from_pydantic(function) or _is_ours(function):
                continue
            if (why := why_validator_varies(function, place.owner)) is not None:
                name = getattr(function, "__qualname__", "a validator")
                self._refuse(
                    place,
                    f"may be read as a different value each time: {name} {why}. Take it from ctx in the tool, and only "
                    "check here",
                )

    def _unwrapped(self, node: Node | None) -> Node:
        """Return the node inside functions, references and nullables."""
        node = node or {"type": "any"}
        while node["type"] in ("nullable", "definition-ref", "function-before", "function-after", "function-wrap"):
            node = self.definitions[node["schema_ref"]] if node["type"] == "definition-ref" else node["schema"]
        return node

    def _check_class(self, node: Node, place: _Place) -> None:
        made: Any = node.get("cls")
        if node["type"] == "dataclass" and getattr(made, "__eq__", None) is object.__eq__:
            self._refuse(place, f"holds {made.__name__}, whose instances are not compared by value; remove eq=False")
        for name, private in getattr(made, "__private_attributes__", {}).items():
            factory = getattr(private, "default_factory", None)
            if factory is not None and (why_factory_varies(factory) or factory() != factory()):
                self._refuse(place.at(name), "is different each time; create it in the tool")

    def _check_config(self, place: _Place) -> None:
        config = place.config
        if config.get("ser_json_bytes", "utf8") != config.get("val_json_bytes", "utf8"):
            self._refuse(
                place, "writes bytes in another form than it reads; set val_json_bytes to the value of ser_json_bytes"
            )
        for name, values in _CONFIG.items():
            if config.get(name) in values:
                self._refuse(place, f"writes times as numbers, which it does not read; remove {name}")

    def _try(self, node: Node, place: _Place) -> None:
        """Try sample values with the author's validators and serializers.

        A function around a model's fields and a field's serializer method need the model, so the whole model is tried.
        """
        needs, values = _needs_its_model(node), (*_TRIED, *self._samples(node), *_members(node))
        whole = node
        if place.around is not None and (needs or self._unwrapped(node)["type"] in _FIELDS_OF):
            whole = place.around
        if needs and place.name:
            others = next((dict(one) for one in self._samples(whole)), {})
            without = {name: value for name, value in others.items() if name != place.name}
            values = (without, *({**without, place.name: value} for value in values))
        read, write = self._codecs(whole)
        for value in values:
            for made in _accepted(read, value):
                if any(made != again for again in _accepted(read, value)):
                    self._refuse(place, f"is not stable: {value!r} is read as a different value each time")
                self._survives(made, read, write, place)

    def _try_each(self, node: Node, place: _Place, values: Iterable[Any]) -> None:
        """Try all values of a literal or an enum."""
        read, write = self._codecs(node)
        for value in values:
            self._survives(value, read, write, place)

    def _survives(self, value: Any, read: Any, write: Any, place: _Place) -> None:
        try:
            round_trip(read, write, value)
        except Unstable as problem:
            if isinstance(value, _SECRETS):
                self._refuse(place, "is written as asterisks; use Annotated[str, Sensitive]")
            self._refuse(place, f"does not survive model → JSON → model: {value!r} comes back changed ({problem})")

    def _samples(self, node: Node) -> Iterator[Any]:
        """Yield sample values for the node: preferring texts, then preferring numbers."""
        for values in (_TRIED, _TRIED[::-1]):
            with suppress(LookupError, RecursionError):
                yield self._sample(node, 0, values)

    def _sample(self, node: Node, deep: int, values: Sequence[Any]) -> Any:
        """Return a sample that the node accepts, from the first of ``values``. Raises ``LookupError`` if none is
        known."""
        if deep > 8:
            raise LookupError
        if node["type"] == "definition-ref":
            return self._sample(self.definitions[node["schema_ref"]], deep + 1, values)
        if node["type"] in ("model", "dataclass", *(_FUNCTIONS)) and "schema" in node:
            return self._sample(node["schema"], deep + 1, values)
        if node["type"] in ("model-fields", "dataclass-args", "typed-dict"):
            fields = node["fields"]
            named = fields.items() if isinstance(fields, dict) else ((one["name"], one) for one in fields)
            return {
                next(iter(_read_as(one, name, {})), name): self._sample(one["schema"], deep + 1, values)
                for name, one in named
                if one["schema"]["type"] != "default"
            }
        read = reader(self._whole(node))
        for value in values:
            with whatever_it_raises():
                read.validate_json(canonical(value))
                return value
        raise LookupError

    def _codecs(self, node: Node) -> tuple[Any, Any]:
        whole = self._whole(node)
        return reader(whole), writer(whole)

    def _whole(self, node: Node) -> Node:
        if not self.definitions:
            return node
        # A node with a reference may occur only once.
        alone = {name: value for name, value in node.items() if name != "ref"}
        return {"type": "definitions", "schema": alone, "definitions": list(self.definitions.values())}

    def _refuse(self, place: _Place, why: str) -> NoReturn:
        named = f"{place.path} ({place.type_name})" if place.type_name else place.path
        raise PlaybookInvalid(f"{self.where}: {named} {why}. An argument must survive JSON unchanged.")


def _needs_its_model(node: Node) -> bool:
    """Return whether the enclosing model's method writes a node (``@field_serializer``)."""
    return bool(node.get("serialization", {}).get("is_field_serializer"))


def _members(node: Node) -> Iterator[Any]:
    """Yield the values of a literal or an enum, as JSON."""
    while node["type"] in ("default", "nullable"):
        node = node["schema"]
    with whatever_it_raises():
        yield from to_jsonable_python(list(node.get("members") or node.get("expected") or ()))


def _definitions(schema: Node) -> dict[str, Node]:
    if schema["type"] != "definitions":
        return {}
    return {str(one["ref"]): one for one in schema["definitions"]}


def _read_as(field: Node, name: str, config: Node) -> Iterator[str]:
    """Yield the names by which a field is read."""
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    alias = field.get("validation_alias")
    if alias is None:
        yield name
        return
    if config.get("validate_by_alias", True):
        whole = alias if isinstance(alias, list) and isinstance(alias[0], list) else [alias]
        for one in whole:
            steps = [one] if isinstance(one, str) else one
            if len(steps) == 1 and isinstance(steps[0], str):
                yield steps[0]
    if by_name:
        yield name


def _named(held: Any) -> Iterator[tuple[str, Node]]:
    """Yield several schemas with their names, "" for unnamed ones."""
    for key, one in held.items() if isinstance(held, dict) else (("", one) for one in held):
        inner = one[0] if isinstance(one, tuple) else one
        if isinstance(inner, dict):  # a dataclass also lists the names of its fields
            yield str(key), inner


def _accepted(read: Any, value: Any) -> Iterator[Any]:
    """Yield the value that JSON ``value`` is read as; nothing if it is refused or an error is raised."""
    with whatever_it_raises():
        return iter((read.validate_json(canonical(value)),))
    return iter(())


def _unusable_key(node: Node, codecs: Callable[[Node], tuple[Any, Any]]) -> str | None:
    """Return the type of a dict's keys if no text can be one; None if one can."""
    kind = str(node["type"])
    if kind in _NO_KEYS:
        return kind
    if kind not in ("literal", "enum"):
        return None
    values = node["members"] if kind == "enum" else node["expected"]
    read, _ = codecs({"type": "dict", "keys_schema": one_spelling_key(node)})
    for value in values:
        [name] = to_jsonable_python({value: 0})
        if not any(made == {value: 0} for made in _accepted(read, {name: 0})):
            return f"{value!r} of the {kind}"
    return None


def _is_ours(function: Any) -> bool:
    return str(getattr(function, "__module__", "")) == sorted_set.__module__
