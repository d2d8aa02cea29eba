"""DynamoDB's condition, filter, key, update and projection expressions, parsed and applied to items in memory.

An expression that DynamoDB refuses raises ``Invalid``; an unsupported one is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path as File
from typing import Any

from tests.support.attributes import Attribute, Invalid, Item, added, copied, order

Names = Mapping[str, str]
Path = tuple[str, ...]
Test = Callable[[Item, Names, Item], bool]
#: Returns an attribute value; None if the item has none.
Operand = Callable[[Item, Names, Item], Any]
_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+]|-|[#:]?[A-Za-z_][\w]*(?:\.[#\w]+)*|$)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_ORDERED = ("S", "N", "B")
_SETS = ("SS", "NS", "BS")


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its placeholders, and the types of its values.

    paths  the paths of a condition, those that an update changes, or those that a projection shows
    """

    names: frozenset[str]
    values: frozenset[str]
    checks: tuple[Callable[[Item], None], ...]
    parts: tuple[Callable[[Names], Path], ...]

    def paths(self, names: Names) -> list[Path]:
        """Return the paths with their placeholders filled in."""
        return [part(names) for part in self.parts]


@dataclass(frozen=True)
class Condition(Expression):
    """A condition. ``terms`` are its comparisons: path, operator and operands; ``plain``: it is their conjunction."""

    holds: Test
    terms: tuple[tuple[Callable[[Names], Path], str, tuple[str, ...]], ...]
    plain: bool


@dataclass(frozen=True)
class Update(Expression):
    """An update: ``apply`` changes an item; every part sees the item as it was before."""

    apply: Callable[[Item, Item, Names, Item], None]


class Projection(Expression):
    """A projection."""


@lru_cache(maxsize=2048)
def condition(text: str) -> Condition:
    """Read a ConditionExpression, FilterExpression or KeyConditionExpression."""
    reader = _Reader(text)
    test = reader.any_of()
    reader.expect("")
    return Condition(**reader.read(reader.paths.values()), holds=test, terms=tuple(reader.terms), plain=reader.plain)


@lru_cache(maxsize=2048)
def update(text: str) -> Update:
    """Read an UpdateExpression of SET, ADD and REMOVE."""
    reader = _Reader(text)
    changes = list(reader.changes())

    def apply(item: Item, before: Item, names: Names, values: Item) -> None:
        for change in changes:
            change(item, before, names, values)

    return Update(**reader.read(reader.targets), apply=apply)


@lru_cache(maxsize=2048)
def projection(text: str) -> Projection:
    """Read a ProjectionExpression."""
    reader = _Reader(text)
    reader.projected()
    return Projection(**reader.read(reader.targets))


def check(read: Iterable[Expression], names: Names, values: Item) -> None:
    """Refuse unused or missing placeholders, values of the wrong type, and overlapping paths."""
    for what, given, used in (
        ("Names", names.keys(), {name for expression in read for name in expression.names}),
        ("Values", values.keys(), {value for expression in read for value in expression.values}),
    ):
        if given - used:
            listed = ", ".join(sorted(given - used))
            raise Invalid(f"Value provided in ExpressionAttribute{what} unused in expressions: keys: {{{listed}}}")
        if used - given:
            raise Invalid(f"An expression attribute used is not defined: {', '.join(sorted(used - given))}")
    for expression in read:
        for value_is_right in expression.checks:
            value_is_right(values)
        paths = expression.paths(names) if isinstance(expression, Update | Projection) else []
        for at, path in enumerate(paths):
            if any(path[: len(other)] == other[: len(path)] for other in paths[:at]):
                raise Invalid(f"Two document paths overlap with each other: {'.'.join(path)}")


def hash_value(read: Condition, keys: tuple[str, str | None], names: Names, values: Item) -> Attribute:
    """Return a key condition's hash key value. Refuse anything else."""
    terms = {path(names): (sign, operands) for path, sign, operands in read.terms}
    sign, operands = terms.get((keys[0],), ("", ()))
    rest = [of_range for path, of_range in terms.items() if path == (keys[1],)]
    right = all(sign in ("=", "BETWEEN", "begins_with", *_COMPARE) for sign, _ in rest) and sign == "="
    if not right or not read.plain or len(read.terms) != 1 + len(rest):
        raise Invalid("Query key condition not supported")
    if not read.values.issuperset((*operands, *(operand for _, others in rest for operand in others))):
        raise Invalid("Query key condition not supported: a key is compared with a value")
    value: Attribute = values[operands[0]]
    return value


def picked(item: Item, paths: Iterable[Path]) -> Item:
    """Return a copy of an item's values at these paths."""
    shown: Item = {}
    for *outer, last in paths:
        source, target = item, shown
        for name in outer:
            source = source.get(name, {}).get("M", {})
        if last in source:
            for name in outer:
                target = target.setdefault(name, {"M": {}})["M"]
            target[last] = copied(source[last])
    return shown


@lru_cache(maxsize=1)
def reserved_words() -> frozenset[str]:
    """Return DynamoDB's reserved words; the list is moto's copy of the developer guide's."""
    moto = find_spec("moto")
    assert moto is not None
    assert moto.origin is not None
    return frozenset(File(moto.origin).parent.joinpath("dynamodb/parsing/reserved_keywords.txt").read_text().split())


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [*_tokens(text), ""]
        self._at = 0
        if len(self._tokens) == 1:
            raise Invalid("The expression can not be empty")
        self.names: set[str] = set()
        self.values: set[str] = set()
        self.checks: list[Callable[[Item], None]] = []
        self.paths: dict[str, Callable[[Names], Path]] = {}
        #: The paths that an update changes or a projection returns.
        self.targets: list[Callable[[Names], Path]] = []
        self.terms: list[tuple[Callable[[Names], Path], str, tuple[str, ...]]] = []
        self.plain = True

    def read(self, paths: Iterable[Callable[[Names], Path]]) -> dict[str, Any]:
        """Return an Expression's members."""
        names, values = frozenset(self.names), frozenset(self.values)
        return {"names": names, "values": values, "checks": tuple(self.checks), "parts": tuple(paths)}

    # Conditions

    def any_of(self) -> Test:
        tests = [self._all_of()]
        while self._take("OR"):
            self.plain = False
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda *about: any(test(*about) for test in tests)

    def _all_of(self) -> Test:
        tests = [self._one()]
        while self._take("AND"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda *about: all(test(*about) for test in tests)

    def _one(self) -> Test:
        if self._take("NOT"):
            self.plain = False
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
        left, operand = self._peek(), self._operand()
        if name in ("attribute_exists", "attribute_not_exists"):
            self.expect(")")
            self._term(left, name)
            return lambda *about: (operand(*about) is not None) is (name == "attribute_exists")
        self.expect(",")
        right, other = self._peek(), self._operand()
        self.expect(")")
        self._term(left, name, right)
        if name == "begins_with":
            self._typed(right, name, ("S", "B"))

        def test(*about: Any) -> bool:
            one, two = operand(*about), other(*about)
            if one is None or two is None:
                return False
            ((kind, whole),) = one.items()
            if name == "contains" and kind in (*_SETS, "L"):
                return two in whole if kind == "L" else next(iter(two.values())) in whole
            if next(iter(two)) != kind or kind not in ("S", "B"):
                return False
            return whole.startswith(two[kind]) if name == "begins_with" else two[kind] in whole

        return test

    def _comparison(self) -> Test:
        left, operand = self._peek(), self._operand()
        sign = self._next()
        if sign == "BETWEEN":
            bounds, low = [self._peek()], self._operand()
            self.expect("AND")
            bounds, high = [*bounds, self._peek()], self._operand()
            self._term(left, sign, *bounds)
            for bound in bounds:
                self._typed(bound, sign, _ORDERED)
            self.checks.append(lambda values: _refuse_empty_range(*(values.get(bound) for bound in bounds)))
            return lambda *about: (
                _compares(">=", operand(*about), low(*about)) and _compares("<=", operand(*about), high(*about))
            )
        if sign == "IN":
            self.expect("(")
            choices = [self._operand()]
            while self._take(","):
                choices.append(self._operand())
            self.expect(")")
            self._term(left, sign)
            return lambda *about: any(_compares("=", operand(*about), choice(*about)) for choice in choices)
        if sign not in ("=", "<>", *_COMPARE):
            raise NotImplementedError(f"{sign!r} in the expression {self._text}")
        right, other = self._peek(), self._operand()
        self._term(left, sign, right)
        if sign in _COMPARE:
            self._typed(right, sign, _ORDERED)
        return lambda *about: _compares(sign, operand(*about), other(*about))

    def _term(self, left: str, sign: str, *operands: str) -> None:
        if left.startswith(":"):
            self.plain = False
        else:
            self.terms.append((self.paths[left], sign, operands))

    def _typed(self, token: str, function: str, kinds: tuple[str, ...]) -> None:
        """Check a value's type with ``check``; a path's type is known only with the item."""

        def value_is_right(values: Item) -> None:
            kind = next(iter(values[token]))
            if kind not in kinds:
                raise Invalid(f"Incorrect operand type for operator or function: {function}, operand type: {kind}")

        if token.startswith(":"):
            self.checks.append(value_is_right)

    # Updates

    def changes(self) -> Iterator[Callable[[Item, Item, Names, Item], None]]:
        seen: set[str] = set()
        while clause := self._next():
            if clause not in ("SET", "ADD", "REMOVE"):
                raise NotImplementedError(f"{clause!r} in the update {self._text}")
            if clause in seen:
                raise Invalid(f'The "{clause}" section can only be used once in an update expression')
            seen.add(clause)
            yield self._change(clause)
            while self._take(","):
                yield self._change(clause)

    def _change(self, clause: str) -> Callable[[Item, Item, Names, Item], None]:
        path = self._path(self._next())
        self.targets.append(path)
        if clause == "REMOVE":
            return lambda item, before, names, values: _remove(item, path(names))
        if clause == "ADD":
            token, amount = self._peek(), self._operand()
            self._typed(token, "ADD", ("N", *_SETS))
            return lambda item, before, names, values: _add(item, path(names), amount(before, names, values))
        self.expect("=")
        value = self._sum()
        return lambda item, before, names, values: _set(item, path(names), value(before, names, values))

    def _sum(self) -> Operand:
        left, operand = self._peek(), self._addend()
        if self._peek() not in ("+", "-"):
            return operand
        sign, right, other = self._next(), self._peek(), self._addend()
        for token in (left, right):
            self._typed(token, sign, ("N",))

        def value(*about: Any) -> Any:
            one, two = operand(*about), other(*about)
            if one is None or two is None:
                return None
            if "N" not in one or "N" not in two:
                raise Invalid("An operand in the update expression has an incorrect data type")
            return {"N": added(one["N"], two["N"], sign)}

        return value

    def _addend(self) -> Operand:
        if self._take("list_append"):
            return self._appended()
        if not self._take("if_not_exists"):
            return self._operand()
        self.expect("(")
        operand = self._operand()
        self.expect(",")
        other = self._addend()
        self.expect(")")
        return lambda *about: found if (found := operand(*about)) is not None else other(*about)

    def _appended(self) -> Operand:
        self.expect("(")
        first, front = self._peek(), self._addend()
        self.expect(",")
        second, back = self._peek(), self._addend()
        self.expect(")")
        for token in (first, second):
            self._typed(token, "list_append", ("L",))

        def value(*about: Any) -> Any:
            one, two = front(*about), back(*about)
            if one is None or two is None:
                return None
            if "L" not in one or "L" not in two:
                raise Invalid("An operand in the update expression has an incorrect data type")
            return {"L": [*one["L"], *two["L"]]}

        return value

    # Parts

    def projected(self) -> None:
        self.targets.append(self._path(self._next()))
        while self._take(","):
            self.targets.append(self._path(self._next()))
        self.expect("")

    def _operand(self) -> Operand:
        token = self._next()
        if token.startswith(":"):
            self.values.add(token)
            return lambda item, names, values: values[token]
        if self._peek() == "(":
            raise NotImplementedError(f"the function {token} in the expression {self._text}")
        path = self._path(token)

        def operand(item: Item, names: Names, values: Item) -> Any:
            *outer, last = path(names)
            for name in outer:
                item = item.get(name, {}).get("M", {})
            return item.get(last)

        return operand

    def _path(self, token: str) -> Callable[[Names], Path]:
        parts = token.split(".")
        if not all(re.fullmatch(r"#\w+|[A-Za-z_]\w*", part) for part in parts):
            raise NotImplementedError(f"{token!r} in the expression {self._text}")
        for part in parts:
            if part.upper() in reserved_words():
                raise Invalid(f"Attribute name is a reserved keyword; reserved keyword: {part}")
        self.names.update(part for part in parts if part.startswith("#"))

        def path(names: Names) -> Path:
            return tuple(names.get(part, part) for part in parts)

        self.paths[token] = path
        return path

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
    if sign in ("=", "<>"):
        return (one == other) is (sign == "=")
    kind = next(iter(one))
    return kind in other and kind in _ORDERED and _COMPARE[sign](order(one), order(other))


def _refuse_empty_range(low: Attribute | None, high: Attribute | None) -> None:
    if low is None or high is None:
        return
    if low.keys() != high.keys():
        raise Invalid("The BETWEEN operator requires same data type for lower and upper bounds")
    if order(low) > order(high):
        raise Invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound")


def _holder(item: Item, path: Path) -> Item:
    for name in path[:-1]:
        if "M" not in item.get(name, {}):
            raise Invalid("The document path provided in the update expression is invalid for update")
        item = item[name]["M"]
    return item


def _set(item: Item, path: Path, value: Any) -> None:
    if value is None:
        raise Invalid("The provided expression refers to an attribute that does not exist in the item")
    _holder(item, path)[path[-1]] = copied(value)


def _remove(item: Item, path: Path) -> None:
    _holder(item, path).pop(path[-1], None)


def _add(item: Item, path: Path, value: Any) -> None:
    holder = _holder(item, path)
    before = holder.get(path[-1], {"N": "0"})
    if "N" not in value:
        raise NotImplementedError(f"ADD of {next(iter(value))}")
    if "N" not in before:
        raise Invalid("An operand in the update expression has an incorrect data type")
    holder[path[-1]] = {"N": added(before["N"], value["N"])}
