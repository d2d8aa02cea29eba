"""DynamoDB's condition, filter, update and projection expressions, read once and applied to items in memory.

Items are as DynamoDB's JSON has them (``{"name": {"S": "…"}}``), binary as bytes. What is not known is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

Item = dict[str, Any]
Names = Mapping[str, str]
Test = Callable[[Item, Names, Item], bool]
#: Returns an attribute value, None where the item has none.
Operand = Callable[[Item, Names, Item], Any]
_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+]|-|[#:]?[A-Za-z_][\w]*(?:\.[#\w]+)*|$)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


class Invalid(Exception):
    """DynamoDB would refuse the expression with a ValidationException."""


@dataclass(frozen=True)
class Condition:
    """A condition that was read: ``holds``, and the placeholders that it uses."""

    holds: Test
    names: frozenset[str]
    values: frozenset[str]


@dataclass(frozen=True)
class Update:
    """An update that was read: ``apply`` changes an item and returns the paths' first names that it changed."""

    apply: Callable[[Item, Names, Item], set[str]]
    names: frozenset[str]
    values: frozenset[str]


@lru_cache(maxsize=2048)
def condition(text: str) -> Condition:
    """Read a ConditionExpression, FilterExpression or KeyConditionExpression."""
    reader = _Reader(text)
    test = reader.any_of()
    reader.expect("")
    return Condition(test, frozenset(reader.names), frozenset(reader.values))


@lru_cache(maxsize=2048)
def update(text: str) -> Update:
    """Read an UpdateExpression of SET, ADD and REMOVE."""
    reader = _Reader(text)
    changes = list(reader.changes())

    def apply(item: Item, names: Names, values: Item) -> set[str]:
        before = copied(item)  # every part sees the item as it was
        return {change(item, before, names, values) for change in changes}

    return Update(apply, frozenset(reader.names), frozenset(reader.values))


@lru_cache(maxsize=2048)
def projection(text: str) -> tuple[str, ...]:
    """Read a ProjectionExpression of whole attributes."""
    parts = tuple(part.strip() for part in text.split(","))
    if any("." in part or "[" in part for part in parts):
        raise NotImplementedError(f"a projection of parts of attributes: {text}")
    return parts


def copied(value: Any) -> Any:
    """Return a copy of what DynamoDB has for JSON. ``copy.deepcopy`` takes several times as long."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def sort_key(attribute: Item) -> Any:
    """Return what values of one type are ordered by: numbers as numbers, texts by their bytes."""
    ((kind, value),) = attribute.items()
    return Decimal(value) if kind == "N" else value.encode() if kind == "S" else bytes(value)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*_tokens(text), ""]
        self._at = 0
        self.names: set[str] = set()
        self.values: set[str] = set()

    # Conditions

    def any_of(self) -> Test:
        tests = [self._all_of()]
        while self._take("OR"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda *about: any(test(*about) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._take("AND"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda *about: all(test(*about) for test in tests)

    def _one(self) -> Test:
        if self._take("NOT"):
            test = self._one()
            return lambda *about: not test(*about)
        if self._take("("):
            test = self.any_of()
            self.expect(")")
            return test
        if self._peek() in ("attribute_exists", "attribute_not_exists", "begins_with", "contains"):
            return self._function(self._next())
        return self._comparison()

    def _function(self, name: str) -> Test:
        self.expect("(")
        operand = self._operand()
        if name in ("attribute_exists", "attribute_not_exists"):
            self.expect(")")
            return lambda *about: (operand(*about) is not None) is (name == "attribute_exists")
        self.expect(",")
        other = self._operand()
        self.expect(")")

        def test(*about: Any) -> bool:
            one, two = operand(*about), other(*about)
            if one is None or two is None:
                return False
            ((kind, whole),) = one.items()
            if name == "contains" and kind in ("SS", "NS", "BS", "L"):
                return two in whole if kind == "L" else next(iter(two.values())) in whole
            if next(iter(two)) != kind or kind not in ("S", "B"):
                return False
            return whole.startswith(two[kind]) if name == "begins_with" else two[kind] in whole

        return test

    def _comparison(self) -> Test:
        operand = self._operand()
        sign = self._next()
        if sign == "BETWEEN":
            low = self._operand()
            self.expect("AND")
            high = self._operand()
            return lambda *about: (
                _compares(">=", operand(*about), low(*about)) and _compares("<=", operand(*about), high(*about))
            )
        if sign == "IN":
            self.expect("(")
            choices = [self._operand()]
            while self._take(","):
                choices.append(self._operand())
            self.expect(")")
            return lambda *about: any(_compares("=", operand(*about), choice(*about)) for choice in choices)
        if sign not in ("=", "<>", *_COMPARE):
            raise NotImplementedError(f"{sign!r} in the expression {self._text}")
        other = self._operand()
        return lambda *about: _compares(sign, operand(*about), other(*about))

    # Updates

    def changes(self) -> Iterator[Callable[[Item, Item, Names, Item], str]]:
        while clause := self._next():
            if clause not in ("SET", "ADD", "REMOVE"):
                raise NotImplementedError(f"{clause!r} in the update {self._text}")
            yield self._change(clause)
            while self._take(","):
                yield self._change(clause)

    def _change(self, clause: str) -> Callable[[Item, Item, Names, Item], str]:
        path = self._path(self._next())
        if clause == "REMOVE":
            return lambda item, before, names, values: _remove(item, path(names))
        if clause == "ADD":
            added = self._operand()
            return lambda item, before, names, values: _add(item, path(names), added(before, names, values))
        self.expect("=")
        value = self._value()
        return lambda item, before, names, values: _set(item, path(names), value(before, names, values))

    def _value(self) -> Operand:
        operand = self._term()
        if self._peek() not in ("+", "-"):
            return operand
        sign, other = self._next(), self._term()

        def value(*about: Any) -> Any:
            one, two = operand(*about), other(*about)
            if one is None or two is None or "N" not in one or "N" not in two:
                raise Invalid("An operand in the update expression has an incorrect data type")
            return _number(Decimal(one["N"]) + (1 if sign == "+" else -1) * Decimal(two["N"]))

        return value

    def _term(self) -> Operand:
        if not self._take("if_not_exists"):
            return self._operand()
        self.expect("(")
        operand = self._operand()
        self.expect(",")
        other = self._term()
        self.expect(")")
        return lambda *about: found if (found := operand(*about)) is not None else other(*about)

    # Parts

    def _operand(self) -> Operand:
        token = self._next()
        if token.startswith(":"):
            self.values.add(token)
            return lambda item, names, values: values[token]
        path = self._path(token)

        def operand(item: Item, names: Names, values: Item) -> Any:
            *outer, last = path(names)
            for name in outer:
                item = item.get(name, {}).get("M", {})
            return item.get(last)

        return operand

    def _path(self, token: str) -> Callable[[Names], list[str]]:
        parts = token.split(".")
        if not all(re.fullmatch(r"#\w+|\w+", part) for part in parts):
            raise NotImplementedError(f"{token!r} in the expression {self._text}")
        self.names.update(part for part in parts if part.startswith("#"))
        return lambda names: [names.get(part, part) for part in parts]

    def expect(self, token: str) -> None:
        if (found := self._next()) != token:
            raise NotImplementedError(f"{found!r} instead of {token!r} in the expression {self._text}")

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, token: str) -> bool:
        if self._peek() == token:
            self._at += 1
            return True
        return False


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None or not found[1]:
            raise NotImplementedError(f"{text[at:]!r} in the expression {text}")
        yield found[1]
        at = found.end()


def _compares(sign: str, one: Any, other: Any) -> bool:
    if one is None or other is None:
        return sign == "<>" and one is not other
    ((kind, value),), ((other_kind, against),) = one.items(), other.items()
    if sign in ("=", "<>"):
        same = kind == other_kind and (Decimal(value) == Decimal(against) if kind == "N" else value == against)
        return same is (sign == "=")
    return kind == other_kind and kind in ("S", "N", "B") and _COMPARE[sign](sort_key(one), sort_key(other))


def _holder(item: Item, path: list[str]) -> Item:
    for name in path[:-1]:
        if "M" not in item.get(name, {}):
            raise Invalid("The document path provided in the update expression is invalid for update")
        item = item[name]["M"]
    return item


def _set(item: Item, path: list[str], value: Any) -> str:
    if value is None:
        raise Invalid("The provided expression refers to an attribute that does not exist in the item")
    _holder(item, path)[path[-1]] = copied(value)
    return path[0]


def _remove(item: Item, path: list[str]) -> str:
    _holder(item, path).pop(path[-1], None)
    return path[0]


def _add(item: Item, path: list[str], value: Any) -> str:
    holder = _holder(item, path)
    ((kind, amount),) = value.items()
    before = holder.get(path[-1])
    if kind != "N":
        raise NotImplementedError(f"ADD of {kind}")
    if before is not None and "N" not in before:
        raise Invalid("An operand in the update expression has an incorrect data type")
    holder[path[-1]] = _number(Decimal(before["N"] if before else 0) + Decimal(amount))
    return path[0]


def _number(value: Decimal) -> Item:
    return {"N": f"{value.normalize():f}"}
