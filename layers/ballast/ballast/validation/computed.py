"""Values of a result that are merely computed from the call's own arguments. Pure.

Adding 240 and 241 with a tool does not teach 481, and joining "O-10" and "02" does not teach O-1002.

======== ==========================================================================================
number   a sum, difference, product, quotient or percentage of two arguments; a sum of three; a sum, mean or product of
         all; the value of an argument such as "240 + 241"
text     two or more arguments concatenated, or one of them backwards
======== ==========================================================================================

Page numbers and limits do not count (``ballast.validation.taint``).
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from functools import cached_property
from itertools import combinations, product
from typing import Any

from ballast.validation.amounts import names_paging
from ballast.validation.index import Index
from ballast.validation.values import Leaf, SearchValue, json_leaves
from ballast.values import dataclass

_CENT = Decimal("0.01")
#: Bounds: numbers, numbers for triples, length of a text, pieces of a text, length of an expression.
_NUMBERS, _FEW, _TEXT, _PIECES, _EXPRESSION = 60, 20, 200, 300, 200
#: Shorter texts read the same backwards by chance.
_BACKWARDS = 5
_OPERATORS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LOOKS_COMPUTED = re.compile(r"[-+*/×x÷()0-9.\s]{3,}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class CallInputs:
    """A call's arguments, and the values that follow from them, computed once and only when needed."""

    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, arguments: Any) -> "CallInputs":
        """Return the arguments, JSON, as texts and numbers."""
        return cls(json_leaves(arguments))

    def explains(self, wanted: SearchValue) -> bool:
        """Return whether the value is one of the arguments or follows from them."""
        if not self.leaves:
            return False
        if self._index.holds(wanted, loose=True) or self.concatenates(wanted.leaf.compact):
            return True
        return len(wanted.leaf.numbers) == 1 and _cents(next(iter(wanted.leaf.numbers))) in self._results

    def explains_number(self, value: Decimal) -> bool:
        """Return the same for a number."""
        return value in self._numbers or _cents(value) in self._results

    def concatenates(self, compact: str) -> bool:
        """Return whether the letters and digits are two or more arguments concatenated, or one of them backwards."""
        if not self._pieces or not 1 < len(compact) <= _TEXT:
            return False
        if len(compact) >= _BACKWARDS and compact[::-1] in self._pieces:
            return True
        pieces = [piece for piece in self._pieces if piece != compact and piece in compact]
        reached = {0}
        for at in range(len(compact) if pieces else 0):
            if at in reached:
                reached.update(at + len(piece) for piece in pieces if compact.startswith(piece, at))
        return len(compact) in reached

    @cached_property
    def _index(self) -> Index:
        return Index(self.leaves)

    @cached_property
    def _numbers(self) -> frozenset[Decimal]:
        return frozenset(number for leaf in self.leaves for number in leaf.numbers)

    @cached_property
    def _pieces(self) -> frozenset[str]:
        pieces = {leaf.compact for leaf in self.leaves if not names_paging(leaf.field)} - {""}
        return frozenset(sorted((piece for piece in pieces if len(piece) <= _TEXT), key=len)[:_PIECES])

    @cached_property
    def _results(self) -> frozenset[Decimal]:
        terms = [abs(one) for leaf in self.leaves if not names_paging(leaf.field) for one in leaf.numbers]
        distinct = list(dict.fromkeys(terms))[:_NUMBERS]
        return frozenset(map(_cents, _results(distinct, terms, self.leaves)))


def _cents(value: Decimal) -> Decimal:
    try:
        return abs(value).quantize(_CENT, ROUND_HALF_UP)
    except DecimalException:
        return Decimal("NaN")


def _results(distinct: Sequence[Decimal], terms: Sequence[Decimal], own_leaves: Sequence[Leaf]) -> Iterator[Decimal]:
    if len(terms) > 1:
        yield sum(terms, Decimal(0))
        yield sum(terms, Decimal(0)) / len(terms)
        yield math.prod(terms[:_FEW], start=Decimal(1))
    for one, other in product(distinct, repeat=2):
        yield from (one + other, one - other, one * other)
        yield from (one * other / 100, one - one * other / 100, one + one * other / 100)
        if other:
            yield one / other
    for three in combinations(distinct[:_FEW], 3):
        yield sum(three, Decimal(0))
    for leaf in own_leaves:
        if isinstance(leaf.value, str) and (found := _evaluated(leaf.value)) is not None:
            yield found


def _evaluated(text: str) -> Decimal | None:
    """Return the value of an expression such as "240 + 241"; None for other texts."""
    if len(text) > _EXPRESSION or not _LOOKS_COMPUTED.fullmatch(text):
        return None
    written = re.sub(r"[x×]", "*", text.lower()).replace("÷", "/").strip()
    try:
        return _value(ast.parse(written, mode="eval").body, written)
    except (SyntaxError, ValueError, DecimalException, RecursionError):
        return None


def _value(node: ast.expr, written: str) -> Decimal:
    match node:
        case ast.Constant():
            return Decimal(ast.get_source_segment(written, node) or "NaN")
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, written)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.left, written), _value(node.right, written))
    raise ValueError(type(node).__name__)
