"""A strict core schema of a model: it reads as strictly as JSON, and writes sets in one order.

Each check is at the value itself, so it runs before the author's validators. Checks of a whole value after reading,
such as for lost entries, are in ``form``.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import IntEnum
from typing import Any, cast

from pydantic_core import PydanticCustomError, SchemaValidator, to_jsonable_python

from ballast.contracts.wire import MAX_WHOLE, canonical, read_digits, text_or_length

#: The most digits of a number before its point, and after it.
MAX_DIGITS = 100
_TOO_LARGE = 10**MAX_DIGITS

Node = dict[str, Any]

#: Keys of a core schema that hold another schema, or several.
SINGLE = (
    *("schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "extras_keys_schema"),
    *("json_schema", "python_schema", "lax_schema", "strict_schema"),
)
_LISTS = ("choices", "fields", "steps", "definitions")
#: Validators that run before the schema inside them.
_BEFORE = ("function-before", "function-wrap")
_OF_TIME = ("date", "time", "datetime", "timedelta")
#: Types for which ``strict=False`` comes from the author; on containers it comes from pydantic.
_STRICT = ("int", "float", "bool", "decimal", "literal", "enum", *_OF_TIME)


def out_of_bounds(value: Any, path: str = "") -> str | None:
    """Return the path of a number in JSON ``value`` that is not finite or is too long; None if there is none."""
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


def strict_schema(schema: Node) -> Node:
    """Return a core schema that reads as strictly as JSON, and writes sets in one order.

    Its nodes are pydantic-core's: https://docs.pydantic.dev/latest/api/pydantic_core_schema/
    """
    return _strict(schema, Coercion.NOTHING, ())


class Coercion(IntEnum):
    """Allowed coercions: none; of texts, after the author's before-validator; of keys; all of pydantic's."""

    NOTHING = 0
    TEXTS = 1
    KEYS = 2
    ALL = 3


def _strict(node: Node, lax: Coercion, beside: tuple[str, ...]) -> Node:
    """Make a node and its inner nodes strict; ``beside``: the types of all choices of the union that it belongs to."""
    kind, made = node["type"], dict(node)
    if kind in ("model", "dataclass", "typed-dict"):
        lax = Coercion.ALL if (node.get("config") or {}).get("strict") is False else Coercion.NOTHING
        made |= _closed(node)
    elif kind in _BEFORE and not is_from_pydantic(node["function"]["function"]):
        lax = max(lax, Coercion.TEXTS)
    choices = tuple(_node(one)["type"] for one in node["choices"]) if kind == "union" else ()
    for name in SINGLE:
        if isinstance(node.get(name), dict) and name != "python_schema":
            made[name] = _strict(node[name], lax, beside if kind in ("nullable", "default") else ())
    if "keys_schema" in node:  # a JSON key is a text, whatever its type here
        made["keys_schema"] = one_spelling_key(_strict(node["keys_schema"], Coercion.KEYS, ()))
    for name in schema_lists(node):
        made[name] = _each(node[name], lambda one: _strict(one, lax, choices))
    return _strict_leaf(made, Coercion.ALL if node.get("strict") is False and kind in _STRICT else lax, beside)


def schema_lists(node: Node) -> Iterator[str]:
    """Yield the keys under which a node holds several schemas, a tuple's items included."""
    yield from (name for name in _LISTS if name in node)
    if isinstance(node.get("items_schema"), list):
        yield "items_schema"


def _each(held: Any, change: Callable[[Node], Node]) -> Any:
    """Apply ``change`` to each of several schemas: in a dict, in a list, or in a list of (schema, label)."""
    if isinstance(held, dict):
        return {key: change(one) for key, one in held.items()}
    if any(isinstance(one, str) for one in held):  # a dataclass lists the names of its fields
        return held
    return [(change(one[0]), *one[1:]) if isinstance(one, tuple) else change(one) for one in held]


def _node(choice: Any) -> Node:
    return cast(Node, choice[0] if isinstance(choice, tuple) else choice)


def is_from_pydantic(function: Any) -> bool:
    """Return whether a validator is pydantic's own, such as a deque's."""
    function = getattr(function, "func", function)
    return str(getattr(function, "__module__", "")).partition(".")[0] == "pydantic"


def _closed(node: Node) -> Node:
    """Return settings by which a nested model refuses unknown fields instead of dropping them."""
    config = node.get("config") or {}
    if node.get("root_model") or "allow" in (config.get("extra_fields_behavior"), node.get("extra_behavior")):
        return {}
    closed: Node = {"config": config | {"extra_fields_behavior": "forbid"}}
    return closed | ({"extra_behavior": "forbid"} if node["type"] == "typed-dict" else {})


def _strict_leaf(node: Node, lax: Coercion, beside: tuple[str, ...]) -> Node:
    kind = node["type"]
    if kind == "float":
        bounded = node | {"allow_inf_nan": False}
        return _number(bounded, lax) if lax or beside else _checked(bounded | {"strict": True}, _float)
    if kind == "int":
        # In a union with a type that has fractions, 4.0 belongs to that type.
        fractions = {"float", "decimal", "any"}.intersection(beside)
        return _number(node, lax) if lax or fractions else _checked(node | {"strict": True}, _integer)
    if kind == "decimal":
        bounded = _checked(node | {"allow_inf_nan": False} | _bounds(node), after=_bounded)
        # In a union a before-check would keep a text from being read as a decimal.
        return bounded if beside else _checked(bounded, _short_decimal)
    if kind == "json":
        return _checked(node, _json_in_text)
    if kind == "function-plain" and "IPvAny" in getattr(node["function"]["function"], "__qualname__", ""):
        return _checked(node, _only_text)
    if lax is Coercion.ALL:
        return node
    if kind in _OF_TIME:
        return _of_time(node, lax, beside)
    if lax is Coercion.KEYS:
        return node
    if kind == "bool":
        return _checked(node, _no_number) if lax else node | {"strict": True}
    if kind in ("literal", "enum"):
        return _of_known(node)
    return _collection(node)


def _collection(node: Node) -> Node:
    if node["type"] in ("set", "frozenset"):
        return {"serialization": {"type": "function-wrap", "function": sorted_set}} | node
    return node


def one_spelling_key(node: Node) -> Node:
    """Accept only one spelling of a key: of "5" and "05" one would be lost."""
    return node if node["type"] == "any" or node == {"type": "str"} else _checked(node, wrap=_as_written)


def _number(node: Node, lax: Coercion) -> Node:
    if lax is Coercion.NOTHING:
        return node | {"strict": True}
    return _checked(node, _short if lax is Coercion.ALL else _short_and_no_bool)


def _bounds(node: Node) -> Node:
    places = min(node.get("decimal_places", MAX_DIGITS), MAX_DIGITS)
    return {"max_digits": min(node.get("max_digits", 2 * MAX_DIGITS), MAX_DIGITS + places), "decimal_places": places}


def _of_known(node: Node) -> Node:
    """Compare a literal's or an enum's values by JSON type as well: to pydantic, 1 equals true and 1.0."""
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
        # 1.0 is 1 in JSON; in Python it also equals True.
        return int(value) if type(value) is float and float not in kinds and value.is_integer() else value

    return _checked(node, check)


def _checked(
    node: Node,
    before: Callable[[Any], Any] | None = None,
    *,
    after: Callable[[Any], Any] | None = None,
    wrap: Callable[[Any, Any], Any] | None = None,
) -> Node:
    """Put a check before, after or around a node, and keep its serialization."""
    kind = "function-before" if before else "function-after" if after else "function-wrap"
    made: Node = {"type": kind, "function": {"type": "no-info", "function": before or after or wrap}, "schema": node}
    return made | ({"ref": node.pop("ref")} if "ref" in node else {})


def _integer(value: Any) -> Any:
    if type(value) is not float or not value.is_integer():
        return value
    if abs(value) > MAX_WHOLE:
        raise PydanticCustomError("digits", "must be written with all its digits, without a point or an exponent")
    return int(value)


def _float(value: Any) -> Any:
    if isinstance(value, int) and not float_keeps(value):
        raise PydanticCustomError("digits", "has more digits than a floating-point number keeps")
    return value


def float_keeps(value: int) -> bool:
    """Return whether a float keeps every digit of a whole number."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        raise PydanticCustomError("too_long", "must be a number of at most {digits} digits", {"digits": MAX_DIGITS})
    return value


def _short_and_no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("json_type", "must be a number, not true or false")
    return _short(value)


def _short_decimal(value: Any) -> Any:
    if isinstance(value, str) and len(value) > 3 * MAX_DIGITS:
        raise PydanticCustomError("too_long", "must have at most {digits} digits", {"digits": MAX_DIGITS})
    return value


def _bounded(value: Any) -> Any:
    """Limit a decimal's digits on both sides of the point, whatever the author allows, even for 0."""
    if isinstance(value, Decimal) and not within_digits(value):
        raise PydanticCustomError("too_long", "must have at most {digits} digits", {"digits": MAX_DIGITS})
    return value


def within_digits(value: Decimal) -> bool:
    """Return whether a decimal is finite and has at most ``MAX_DIGITS`` digits before and after its point."""
    _, digits, exponent = value.as_tuple()  # pydantic counts no more than 28 digits
    if not isinstance(exponent, int):
        return False
    return -MAX_DIGITS <= exponent <= MAX_DIGITS and len(digits) + exponent <= MAX_DIGITS


def _json_in_text(value: Any) -> Any:
    """Read JSON in a text exactly: a number that a double cannot hold becomes a text, as outside."""
    if not isinstance(value, str):
        return value
    try:
        said = read_digits(value, once=True)
        large = out_of_bounds(said)
        text = canonical(said)
    except (ValueError, RecursionError):
        raise PydanticCustomError(
            "json_invalid", "must be JSON with finite numbers and without repeated names"
        ) from None
    if large is not None:
        raise PydanticCustomError("too_long", "must have numbers of at most {digits} digits", {"digits": MAX_DIGITS})
    return text


#: Required beginnings. Without them pydantic reads "20260102" as seconds since 1970.
_SHAPES = {
    "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "datetime": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    "time": re.compile(r"[0-9]{2}:[0-9]{2}"),
    "timedelta": re.compile(r"[+-]?(P|[0-9]+ ?d|[0-9]+:[0-9]{2})", re.IGNORECASE),
}
_SHOWN = {"date": "2026-01-31", "datetime": "2026-01-31T09:30:00Z", "time": "09:30:00", "timedelta": "PT1H30M"}
_LOST = re.compile(r"[.,][0-9]{6}0*[1-9]")


def _of_time(node: Node, lax: Coercion, beside: tuple[str, ...]) -> Node:
    """Accept a date or a time only as an ISO 8601 text, with no more digits than it keeps.

    In a union it is converted here, so that a date counts as exactly as a text in the same union.
    """
    kind = node["type"]
    error = PydanticCustomError("json_type", "must be an ISO 8601 text such as {shown}", {"shown": _SHOWN[kind]})

    def shaped(value: Any) -> Any:
        if isinstance(value, int | float):
            raise error
        if isinstance(value, str) and (not _SHAPES[kind].match(value) or _LOST.search(value)):
            raise error
        return value

    earlier = beside[: beside.index(kind)] if kind in beside else ()
    if not beside or lax:
        return _checked(node, shaped)
    if {"str", "any"}.intersection(earlier):  # that type takes every text
        return node | {"strict": True}
    alone = {name: value for name, value in node.items() if name not in ("ref", "serialization", "metadata")}
    strict = SchemaValidator(cast(Any, alone | {"strict": True}))
    other = {"date": "datetime", "datetime": "date"}.get(kind) in beside

    def read(value: Any) -> Any:
        text = shaped(value)
        if isinstance(text, str) and other and (len(text) == len(_SHOWN["date"])) != (kind == "date"):
            raise error
        return strict.validate_json(json.dumps(text)) if isinstance(text, str) else text

    return _checked(node | {"strict": True}, read)


def _only_text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise PydanticCustomError("json_type", "must be a text")
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
            raise PydanticCustomError(
                "key", "must be written as {key}", {"key": text_or_length(written_as, MAX_DIGITS)}
            )
    return made


def sorted_set(value: Any, handler: Callable[[Any], Any]) -> Any:
    """Serialize a set sorted by its items' JSON."""
    return sorted(handler(value), key=canonical)


def decimals_by_value(schema: Node) -> Node:
    """Return the schema with decimals written by value, without trailing zeros."""
    return _written_by(schema, {"decimal": _value_of})


def python_numbers(schema: Node) -> Node:
    """Return the schema with the author's Python numbers written by type: true is not 1, and a Decimal is a number."""
    return _written_by(schema, {"int": _number_of, "float": _number_of})


def without_defaults(schema: Node) -> Node:
    """Return the schema with factory defaults as plain values, so that a serializer can exclude them."""
    made = dict(schema)
    for name in SINGLE:
        if isinstance(schema.get(name), dict):
            made[name] = without_defaults(schema[name])
    for name in schema_lists(schema):
        made[name] = _each(schema[name], without_defaults)
    if schema["type"] == "default" and "default_factory" in schema and not schema.get("default_factory_takes_data"):
        made["default"] = made.pop("default_factory")()
    return made


def _written_by(schema: Node, functions: Mapping[str, Callable[[Any], Any]]) -> Node:
    made = dict(schema)
    for name in SINGLE:
        if isinstance(schema.get(name), dict):
            made[name] = _written_by(schema[name], functions)
    for name in schema_lists(schema):
        made[name] = _each(schema[name], lambda one: _written_by(one, functions))
    if schema["type"] in functions:
        return {"serialization": {"type": "function-plain", "function": functions[schema["type"]]}} | made
    return made


def _number_of(value: Any) -> Any:
    if not isinstance(value, Decimal) or not within_digits(value):
        return value
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else value


def _value_of(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value
    sign, digits, exponent = value.as_tuple()  # exactly: ``normalize`` rounds
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    return f"{'-' if sign else ''}{short}E{int(exponent) + len(text) - len(short)}" if short else "0"


def has_type(schema: Any, kind: str) -> bool:
    if isinstance(schema, dict):
        return schema.get("type") == kind or any(has_type(one, kind) for one in schema.values())
    return isinstance(schema, list | tuple) and any(has_type(one, kind) for one in schema)
