"""The one JSON form of a tool's arguments: how it is read, how it is written, and what has none.

::

    JSON from anywhere ── read: validated, written, read again ──▶ arguments ── write ──▶ the form

The form has the names that a model sends (aliases), every field with its default, and texts and digits as they were
read. Reading the form gives the same arguments, and writing those the same form: ``read`` refuses what does not.
A type that cannot survive this is refused when the tool is made (``ballast.playbook.formless``).

Reading is as strict as JSON is: a number is no text, true is no 1, and numbers are finite and bounded before a
validator of the author's computes with them. A field with ``strict=False`` (or its model's config), or with a validator
of its own before it, takes texts as pydantic does; ``4.0`` is an integer in JSON, too.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from enum import IntEnum
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError, SchemaSerializer, SchemaValidator, to_jsonable_python

from ballast.contracts.wire import canonical, complaints, whole
from ballast.errors import SchemaViolation, ends_the_process, whatever_it_raises

#: A number has at most so many digits before its point, and as many behind it.
MAX_DIGITS = 100
_TOO_LARGE = 10**MAX_DIGITS

Node = dict[str, Any]

#: Where a core schema holds other schemas: one, or several.
ONE = (
    *("schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "extras_keys_schema"),
    *("json_schema", "python_schema", "lax_schema", "strict_schema"),
)
_SEVERAL = ("choices", "fields", "steps", "definitions")
#: A validator of the author's that stands before what is inside it.
_BEFORE = ("function-before", "function-wrap")
_OF_TIME = ("date", "time", "datetime", "timedelta")
#: Where ``strict=False`` is the author's word about a value, and not pydantic's about a container.
_STRICT = ("int", "float", "bool", "decimal", "literal", "enum", *_OF_TIME)


class Form:
    """Reads and writes the arguments of one model in their one JSON form."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.schema = hardened(cast(Node, model.__pydantic_core_schema__))
        self._reader, self._writer = reader(self.schema), writer(self.schema)
        self._told_apart = writer(_by_value(self.schema)) if _has(self.schema, "decimal") else self._writer

    def read(self, arguments: Any) -> BaseModel:
        """Return JSON ``arguments`` as the model. Raises ``ValidationError`` or ``SchemaViolation``."""
        if (large := out_of_bounds(arguments)) is not None:
            raise SchemaViolation(f"{large}: must be a finite number of at most {MAX_DIGITS} digits")
        made: BaseModel = self._reader.validate_json(canonical(arguments))
        return self._settled(made)

    def made(self, values: Mapping[str, Any]) -> BaseModel:
        """Return the author's own ``values``, by the names of Python or of JSON, as the model.

        They may be JSON, and are read as JSON is, or what Python has: a ``Decimal``, a date. Raises as ``read`` does.
        """
        for by_name in (None, True):  # a nested model may have the one's name as the other's alias: JSON's come first
            with suppress(ValueError, TypeError):
                made: BaseModel = self._reader.validate_json(canonical(dict(values)), by_alias=True, by_name=by_name)
                return self._settled(made)
        return self._settled(self.model.model_validate(dict(values), by_alias=True, by_name=True))

    def write(self, args: BaseModel) -> dict[str, Any]:
        """Return the form of arguments that were read."""
        form: dict[str, Any] = written(self._writer, args)
        return form

    def value(self, args: BaseModel) -> Any:
        """Return JSON by which equal arguments are told: the form, with 1.50 of an amount as 1.5."""
        return written(self._told_apart, args)

    def _settled(self, args: BaseModel) -> BaseModel:
        """Return the arguments as their form says them. Raises ``SchemaViolation`` where it does not say the same."""
        try:
            return cast(BaseModel, settled(self._reader, self._writer, args)[0])
        except Unsettled as problem:
            raise SchemaViolation(
                f"{', '.join(self._lost(args)) or '(whole)'}: is another value once it is written as JSON and read "
                f"again ({problem}). Send it in another way"
            ) from None

    def _lost(self, args: BaseModel) -> Iterator[str]:
        """Yield the names of the fields that are other ones after the way through JSON."""
        again: Any = None
        with whatever_it_raises():
            again = self._reader.validate_json(canonical(written(self._writer, args)))
        if again is None:
            return
        for name, info in type(args).model_fields.items():
            if getattr(args, name, None) != getattr(again, name, None):
                yield info.serialization_alias or info.alias or name


class Unsettled(Exception):
    """A value is another one once it was written and read again; says how."""


def settled(read: SchemaValidator, write: SchemaSerializer, value: Any) -> tuple[Any, Any]:
    """Return ``value`` as its JSON says it, and that JSON, which reads and writes the same for ever.

    Raises ``Unsettled``. A default may be written more loosely than it is read (0 of an amount): one way puts it right.
    """
    try:
        form = written(write, value)
        again = read.validate_json(canonical(form))
        if canonical(once_more := written(write, again)) != canonical(form):
            form, again = once_more, read.validate_json(canonical(once_more))
            once_more = written(write, again)
        same = again == value and canonical(once_more) == canonical(form)
    except ValidationError as problem:
        raise Unsettled(complaints(problem)) from None
    except BaseException as problem:  # whatever a serializer or validator of the author's raises
        if ends_the_process(problem):
            raise
        raise Unsettled(type(problem).__name__) from None
    if not same:
        raise Unsettled("it does not come back as it was")
    return again, form


def reader(schema: Node) -> SchemaValidator:
    """Return what reads JSON by a hardened schema, nested models included."""
    return SchemaValidator(cast(Any, schema), _use_prebuilt=False)


def writer(schema: Node) -> SchemaSerializer:
    """Return what writes JSON by a hardened schema, nested models included."""
    return SchemaSerializer(cast(Any, schema), _use_prebuilt=False)


def written(write: SchemaSerializer, value: Any) -> Any:
    """Return a value as JSON, by the names that are read again and without what is only computed."""
    # Without warnings: they would print the value, sensitive or not.
    return write.to_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)


def out_of_bounds(value: Any, path: str = "") -> str | None:
    """Return where JSON ``value`` holds a number that is not finite or is too long; None where it holds none."""
    left = [(path, value)]
    while left:
        where, one = left.pop()
        if isinstance(one, dict):
            left.extend((f"{where}.{name}".lstrip("."), inner) for name, inner in one.items())
        elif isinstance(one, list | tuple):
            left.extend((f"{where}.{position}".lstrip("."), inner) for position, inner in enumerate(one))
        elif (isinstance(one, float) and not math.isfinite(one)) or (
            isinstance(one, int) and not isinstance(one, bool) and not -_TOO_LARGE < one < _TOO_LARGE
        ):
            return where or "(whole)"
    return None


def hardened(schema: Node) -> Node:
    """Return a core schema that reads as strictly as JSON is, and writes what has no order in one order.

    Its nodes are pydantic-core's: https://docs.pydantic.dev/latest/api/pydantic_core_schema/
    """
    return _hardened(schema, Lax.NOTHING, ())


class Lax(IntEnum):
    """What is coerced: nothing; texts, where a validator of the author's stands before; all that pydantic does."""

    NOTHING = 0
    TEXTS = 1
    ALL = 2


def _hardened(node: Node, lax: Lax, beside: tuple[str, ...]) -> Node:
    """Harden a node and what is inside it; ``beside``: the types of all choices of the union that it is one of."""
    kind, made = node["type"], dict(node)
    if kind in ("model", "dataclass", "typed-dict"):
        lax = Lax.ALL if (node.get("config") or {}).get("strict") is False else Lax.NOTHING
    elif kind in _BEFORE and not is_pydantics(node["function"]["function"]):
        lax = max(lax, Lax.TEXTS)
    choices = tuple(_node(one)["type"] for one in node["choices"]) if kind == "union" else ()
    for name in ONE:
        if isinstance(node.get(name), dict) and name != "python_schema":
            made[name] = _hardened(node[name], lax, beside if kind in ("nullable", "default") else ())
    if "keys_schema" in node:  # a key of JSON is a text, whatever it stands for
        made["keys_schema"] = _key(_hardened(node["keys_schema"], Lax.ALL, ()))
    for name in several(node):
        made[name] = _each(node[name], lambda one: _hardened(one, lax, choices))
    return _leaf(made, Lax.ALL if node.get("strict") is False and kind in _STRICT else lax, beside)


def several(node: Node) -> Iterator[str]:
    """Yield the names under which a node holds several schemas; those of a tuple's items are a list as well."""
    yield from (name for name in _SEVERAL if name in node)
    if isinstance(node.get("items_schema"), list):
        yield "items_schema"


def _each(held: Any, change: Callable[[Node], Node]) -> Any:
    """Change each schema of several: by name, in a list, or in a list with a label beside it."""
    if isinstance(held, dict):
        return {key: change(one) for key, one in held.items()}
    if any(isinstance(one, str) for one in held):  # a dataclass lists the names of its fields
        return held
    return [(change(one[0]), *one[1:]) if isinstance(one, tuple) else change(one) for one in held]


def _node(choice: Any) -> Node:
    return cast(Node, choice[0] if isinstance(choice, tuple) else choice)


def is_pydantics(function: Any) -> bool:
    """Say whether a validator is pydantic's own, as those of a deque are."""
    function = getattr(function, "func", function)
    return str(getattr(function, "__module__", "")).partition(".")[0] == "pydantic"


def _leaf(node: Node, lax: Lax, beside: tuple[str, ...]) -> Node:
    kind = node["type"]
    if kind == "float":
        return _number(node | {"allow_inf_nan": False}, lax)
    if kind == "int":
        # Beside a type that has fractions 4.0 is that type's own.
        fractions = {"float", "decimal", "any"}.intersection(beside)
        return _number(node, lax) if lax or fractions else _checked(node | {"strict": True}, _whole)
    if kind == "decimal":
        bounded = node | {"allow_inf_nan": False} | _bounds(node)
        # pydantic counts no more than 28 digits. In a union a check before it would let a text be no decimal.
        return bounded if beside else _checked(bounded, _short_decimal)
    if lax is Lax.ALL:
        return node
    if kind == "bool":
        return _checked(node, _no_number) if lax else node | {"strict": True}
    if kind in _OF_TIME:
        return node | {"strict": True} if beside and not lax else _checked(node, _only_text)
    if kind in ("literal", "enum"):
        return _of_known(node)
    return _collection(node)


def _collection(node: Node) -> Node:
    if node["type"] in ("set", "frozenset"):
        return {"serialization": {"type": "function-wrap", "function": in_order}} | node
    return node


def _key(node: Node) -> Node:
    """Let a key be written in one way only: of "5" and "05" one would be lost."""
    return node if node["type"] == "any" or node == {"type": "str"} else _checked(node, wrap=_as_written)


def _number(node: Node, lax: Lax) -> Node:
    if lax is Lax.NOTHING:
        return node | {"strict": True}
    return _checked(node, _short if lax is Lax.ALL else _short_and_no_bool)


def _bounds(node: Node) -> Node:
    if "max_digits" in node:
        return {}
    places = node.get("decimal_places", MAX_DIGITS)
    return {"max_digits": MAX_DIGITS + places, "decimal_places": places}


def _of_known(node: Node) -> Node:
    """A literal's or an enum's values are told apart by their JSON type as well: pydantic's 1 is also true and 1.0."""
    known = [member.value for member in node["members"]] if node["type"] == "enum" else list(node["expected"])
    kinds = {type(getattr(one, "value", one)) for one in known}
    if not any(issubclass(kind, int | float) for kind in kinds):
        return node
    numbers = {kind for kind in kinds if issubclass(kind, int | float) and kind is not bool}
    texts = any(issubclass(kind, str) for kind in kinds)

    def check(value: Any) -> Any:
        fits = {bool: bool in kinds, int: bool(numbers), float: bool(numbers), str: texts}.get(type(value), True)
        if not fits:
            raise PydanticCustomError("json_type", "must be of the JSON type that is declared")
        return value

    return _checked(node, check)


def _checked(
    node: Node, before: Callable[[Any], Any] | None = None, *, wrap: Callable[[Any, Any], Any] | None = None
) -> Node:
    """Put a check before a node, or around it; what writes it stays what it was."""
    kind, function = ("function-before", before) if before else ("function-wrap", wrap)
    made: Node = {"type": kind, "function": {"type": "no-info", "function": function}, "schema": node}
    return made | ({"ref": node.pop("ref")} if "ref" in node else {})


def _whole(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        raise PydanticCustomError("too_long", "must be a number of at most {digits} digits", {"digits": MAX_DIGITS})
    return value


def _short_and_no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("json_type", "must be a number, not true or false")
    return _short(value)


def _short_decimal(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        whole, _, behind = value.partition(".")
        if max(len(whole), len(behind)) > MAX_DIGITS:
            raise PydanticCustomError("too_long", "must have at most {digits} digits", {"digits": MAX_DIGITS})
    return value


def _only_text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise PydanticCustomError("json_type", "must be a text in ISO 8601")
    return value


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise PydanticCustomError("json_type", "must not be a number")
    return value


def _as_written(value: Any, handler: Callable[[Any], Any]) -> Any:
    made = handler(value)
    if isinstance(value, str):
        [written_as] = to_jsonable_python({made: 0})
        if written_as != value:
            raise PydanticCustomError("key", "must be written as {key}", {"key": whole(written_as, MAX_DIGITS)})
    return made


def in_order(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Write a set in the order of its items' JSON."""
    return sorted(handler(value), key=canonical)


def _by_value(schema: Node) -> Node:
    """Return the schema with decimals written by their value: without the zeros that say nothing."""
    made = dict(schema)
    for name in ONE:
        if isinstance(schema.get(name), dict):
            made[name] = _by_value(schema[name])
    for name in several(schema):
        made[name] = _each(schema[name], _by_value)
    if schema["type"] == "decimal":
        return {"serialization": {"type": "function-plain", "function": _value_of}} | made
    return made


def _value_of(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    sign, digits, exponent = value.as_tuple()  # exactly: ``normalize`` rounds
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    return f"{'-' if sign else ''}{short}E{int(exponent) + len(text) - len(short)}" if short else "0"


def _has(schema: Any, kind: str) -> bool:
    if isinstance(schema, dict):
        return schema.get("type") == kind or any(_has(one, kind) for one in schema.values())
    return isinstance(schema, list | tuple) and any(_has(one, kind) for one in schema)
