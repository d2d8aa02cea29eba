"""Whether a value of a result is merely computed from the arguments of its own call. Pure.

Who adds 240 and 241 by a tool has not learned 481, and who joins "O-10" and "02" has not learned O-1002.

======== ==========================================================================================
number   a sum, difference, product, quotient or percentage of two arguments; of three a sum; of all of
         them a sum or a product; what an argument such as "240 + 241" comes to
text     arguments put together, two or more of them, or one of them backwards
======== ==========================================================================================

Numbers that choose a page (``ballast.validation.taint``) compute nothing.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from itertools import combinations, islice, product

from ballast.validation.amounts import names_paging
from ballast.validation.value import Leaf, Wanted

_CENT = Decimal("0.01")
#: So many arguments are computed with, and so long are a text to put together and an expression.
_NUMBERS, _FEW, _TEXT, _EXPRESSION = 60, 20, 200, 200
#: Fewer letters read the same backwards by chance.
_BACKWARDS = 5
_OPERATORS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LOOKS_COMPUTED = re.compile(r"[-+*/×x÷()0-9.\s]{3,}", re.ASCII | re.IGNORECASE)


def is_computed(wanted: Wanted, brought: Sequence[Leaf]) -> bool:
    """Say whether the value follows from these arguments."""
    if not brought:
        return False
    if len(wanted.leaf.numbers) == 1 and is_number_computed(next(iter(wanted.leaf.numbers)), brought):
        return True
    return _is_put_together(wanted.leaf.compact, brought)


def is_number_computed(value: Decimal, brought: Sequence[Leaf]) -> bool:
    """Say whether a number follows from the numbers among these arguments."""
    terms = [abs(one) for leaf in brought if not names_paging(leaf.field) for one in leaf.numbers]
    if not terms and not any(isinstance(leaf.value, str) for leaf in brought):
        return False
    cents = abs(value).quantize(_CENT, ROUND_HALF_UP)
    results = islice((abs(one) for one in _results(list(dict.fromkeys(terms))[:_NUMBERS], terms, brought)), 40_000)
    return any(one == abs(value) or (one.is_finite() and _cents(one) == cents) for one in results)


def _cents(value: Decimal) -> Decimal:
    try:
        return value.quantize(_CENT, ROUND_HALF_UP)
    except DecimalException:
        return Decimal("NaN")


def _results(distinct: Sequence[Decimal], terms: Sequence[Decimal], brought: Sequence[Leaf]) -> Iterator[Decimal]:
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
    for leaf in brought:
        if isinstance(leaf.value, str) and (found := _evaluated(leaf.value)) is not None:
            yield found


def _evaluated(text: str) -> Decimal | None:
    """Return what "240 + 241" comes to; None where the text is no such thing."""
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


def _is_put_together(compact: str, brought: Sequence[Leaf]) -> bool:
    if not 1 < len(compact) <= _TEXT:
        return False
    pieces = {leaf.compact for leaf in brought} - {"", compact}
    if len(compact) >= _BACKWARDS and compact[::-1] in pieces:
        return True
    pieces = {piece for piece in pieces if piece in compact}
    reached = {0}
    for at in range(len(compact)):
        if at in reached:
            reached.update(at + len(piece) for piece in pieces if compact.startswith(piece, at))
    return len(compact) in reached
