"""DynamoDB's attribute values and keys: validation, stored form, sizes and order.

Values are in DynamoDB's JSON (``{"name": {"S": "…"}}``), binary as bytes. The rules are those of the developer
guide: "Supported data types and naming rules", "Constraints in DynamoDB".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

Attribute = dict[str, Any]
Item = dict[str, Any]

MAX_DIGITS, MAX_DEPTH = 38, 32
#: The most bytes of a hash key and of a range key.
MAX_KEYS = 2048, 1024
#: Exact for any two DynamoDB numbers: from 1E-130 to 9.99E+125.
_EXACT = Context(prec=300)
_SHORT = re.compile(r"0|-?[1-9][0-9]{0,37}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")


class Refused(Exception):
    """An error response of DynamoDB: its code, its message and its other fields."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.more = code, message, more


class Invalid(Refused):
    """The ValidationException for a request."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


_KeySchema = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Schema:
    """A table's keys, and those of its indexes by name; the range key is None where there is none.

    types  of keys that are not texts, by name
    shown  an index's projected attributes besides its keys and the table's, by its name; whole items where it has none
    """

    keys: tuple[str, str | None]
    indexes: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: _KeySchema, indexes: Sequence[Mapping[str, Any]], definitions: _KeySchema) -> Schema:
        """Read what a CreateTable says."""
        return cls(
            _keys(keys),
            {index["IndexName"]: _keys(index["KeySchema"]) for index in indexes},
            {each["AttributeName"]: each["AttributeType"] for each in definitions},
            {
                index["IndexName"]: tuple(index["Projection"].get("NonKeyAttributes", ()))
                for index in indexes
                if index["Projection"]["ProjectionType"] != "ALL"
            },
        )

    def projected(self, index: str, item: Item) -> Item:
        """Return what the index holds of an item."""
        if index not in self.shown:
            return item
        held = {*self.shown[index], *self.keys, *self.indexes[index]}
        return {name: value for name, value in item.items() if name in held}

    @cached_property
    def key_names(self) -> frozenset[str]:
        """The names of the table's own keys."""
        return frozenset(name for name in self.keys if name)

    @cached_property
    def key_sizes(self) -> Mapping[str, int]:
        """The greatest sizes of the table's own keys."""
        return {name: size for name, size in zip(self.keys, MAX_KEYS, strict=True) if name}

    @cached_property
    def index_key_sizes(self) -> Mapping[str, int]:
        """The greatest sizes of the indexes' other keys."""
        pairs = [pair for keys in self.indexes.values() for pair in zip(keys, MAX_KEYS, strict=True)]
        return {name: size for name, size in pairs if name and name not in self.key_names}


def accepted(attribute: Attribute, depth: int = 0) -> Attribute:
    """Return a copy in stored form: numbers without needless zeros, sets in order."""
    if len(attribute) != 1:
        many = "is empty" if not attribute else "has more than one datatypes set"
        raise Invalid(f"Supplied AttributeValue {many}, must contain exactly one of the supported datatypes")
    ((kind, value),) = attribute.items()
    if kind == "S" or kind == "BOOL":
        return {kind: value}
    if kind == "N":
        return {"N": number(value)}
    if kind == "B":
        return {"B": value.encode() if isinstance(value, str) else bytes(value)}
    if kind == "NULL":
        if value is not True:
            raise _wrong("Null attribute value types must have the value of true")
        return {"NULL": True}
    if kind in ("SS", "NS", "BS"):
        return {kind: _members(kind, value)}
    if depth == MAX_DEPTH:
        raise Invalid("Nesting Levels have exceeded supported limits")
    if kind == "M":
        return {"M": {name: accepted(inner, depth + 1) for name, inner in value.items()}}
    if kind == "L":
        return {"L": [accepted(inner, depth + 1) for inner in value]}
    raise NotImplementedError(f"attributes of type {kind}")


def accepted_item(item: Item) -> Item:
    """Return a copy of all attributes in stored form."""
    return {name: accepted(value) for name, value in item.items()}


def _members(kind: str, value: Any) -> list[Any]:
    if not value:
        raise _wrong(f"An {'number' if kind == 'NS' else 'string' if kind == 'SS' else 'binary'} set may not be empty")
    members = [plain(accepted({kind[0]: member})) for member in value]
    if len(set(members)) < len(members):
        raise _wrong("Input collection contains duplicates")
    return sorted(members)


def number(text: str | Decimal) -> str:
    """Return a number as DynamoDB stores it: at most 38 digits, no exponent, no needless zeros."""
    if isinstance(text, str):
        if _SHORT.fullmatch(text):
            return text
        if not _NUMBER.fullmatch(text):
            raise Invalid(f"The parameter cannot be converted to a numeric value: {text}")
    value = Decimal(text)
    if not value:
        return "0"
    if value.adjusted() > 125:
        raise Invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if value.adjusted() < -130:
        raise Invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    if len(digits) > MAX_DIGITS:
        raise Invalid(f"Attempting to store more than {MAX_DIGITS} significant digits in a Number")
    return f"{value.normalize(_EXACT):f}"


def added(one: str, other: str, sign: str = "+") -> str:
    """Return the sum or difference of two numbers. One that needs more than 38 digits is refused, not rounded."""
    return number((_EXACT.add if sign == "+" else _EXACT.subtract)(Decimal(one), Decimal(other)))


def copied(value: Any) -> Any:
    """Return a copy of a value in DynamoDB's JSON, several times faster than ``copy.deepcopy``."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def order(attribute: Attribute) -> Any:
    """Return the sort key of values of one type: numbers as numbers, texts by their bytes."""
    ((kind, value),) = attribute.items()
    return Decimal(value) if kind == "N" else value.encode() if kind == "S" else bytes(value)


def size(item: Mapping[str, Attribute]) -> int:
    """Return an item's size in bytes by DynamoDB's rules: names and contents, a few bytes per nested value."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(attribute: Attribute) -> int:
    """Return the size of one value in bytes."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "B":
        return len(value)
    if kind == "N":
        return len(value) // 2 + 2
    if kind == "M":
        return 3 + sum(len(name.encode()) + 1 + value_size(inner) for name, inner in value.items())
    if kind == "L":
        return 3 + sum(1 + value_size(inner) for inner in value)
    return 1 if kind in ("NULL", "BOOL") else sum(value_size({kind[0]: part}) for part in value)


def _wrong(message: str) -> Invalid:
    return Invalid(f"One or more parameter values were invalid: {message}")


def refuse_wrong_keys(schema: Schema, item: Item, sizes: Mapping[str, int]) -> None:
    """Refuse an item whose keys have another type, are empty, or are too long."""
    for name, greatest in sizes.items():
        if name not in item:
            continue
        ((kind, value),) = item[name].items()
        if kind != (expected := schema.types.get(name, "S")):
            raise _wrong(f"Type mismatch for key {name} expected: {expected} actual: {kind}")
        if not value:
            raise _wrong(f"The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}")
        if value_size(item[name]) > greatest:
            raise _wrong(f"Size of key {name} has exceeded the maximum size limit of {greatest} bytes")


def place(schema: Schema, key: Item) -> tuple[Any, Any]:
    """Return the values of a table's hash and range keys, "" for a range key that it does not have."""
    if key.keys() != schema.key_names:
        raise Invalid("The provided key element does not match the schema")
    refuse_wrong_keys(schema, key, schema.key_sizes)
    by_hash, by_range = schema.keys
    return plain(key[by_hash]), plain(key[by_range]) if by_range else ""


def plain(attribute: Attribute) -> Any:
    """Return a value without its type."""
    return next(iter(attribute.values()))


def _keys(schema: _KeySchema) -> tuple[str, str | None]:
    by_kind = {key["KeyType"]: key["AttributeName"] for key in schema}
    return by_kind["HASH"], by_kind.get("RANGE")
