"""What is known of a value in a function while what a clock says is followed (``ballast.playbook.flows``). Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

Sources = Callable[[str, Any, set[str]], bool]


@dataclass(frozen=True)
class Value:
    """What is known of a value.

    hot    whether a clock is in it
    roots  the parameters that it is, or is a part of, or holds
    exact  what it is: a parameter as it was given, or None; "" where nobody knows
    """

    hot: bool = False
    roots: frozenset[str] = frozenset()
    exact: str = ""


NONE = Value(exact="None")
NEVER = "never"


def either(values: Iterable[Value]) -> Value:
    some = list(values)
    exact = {one.exact for one in some}
    roots: frozenset[str] = frozenset().union(*(one.roots for one in some))
    return Value(any(one.hot for one in some), roots, exact.pop() if len(exact) == 1 else "")


@dataclass(frozen=True)
class Known:
    """What the rule about clocks (``ballast.playbook.steady``) knows of a function's names, which flows do not.

    named       the globals and outer names of a function
    hot         whether a named value is a clock, read by some attributes
    attributes  what a function may read of an object
    followed    the author's functions by which a value is used, by an attribute
    """

    named: Callable[[FunctionType], Iterator[tuple[str, Any]]]
    hot: Sources
    attributes: Callable[[FunctionType], set[str]]
    followed: Callable[[Any, set[str]], Iterator[FunctionType]]
