"""Values that `ballast certify` sees of a function beside its arguments: of modules, classes, defaults; and names."""

import itertools
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.certify.modules import changed_in, memory_of, own_to_its_process
from cli.certify.pure import watched
from cli.certify.rules import _is_money

HERE = str(Path(__file__).parent)
_SEEN: list[str] = []
_FIXED = ("a",)
_COUNT = 0
_MADE: list[int] | None = None
_DRAWN = random.Random(7)
_NUMBERS = itertools.count()
_IS_DEPLOYED = __file__.startswith("/opt")
_NAME = Path(__file__).stem


class _Counter:
    calls = 0

    def __init__(self) -> None:
        self.own = 0

    @classmethod
    def in_class(cls) -> None:
        cls.calls += 1

    def in_object(self) -> None:
        self.own += 1


_OBJECT = _Counter()
_HELD = {"a": _Counter()}


def _global() -> None:
    global _COUNT
    _COUNT += 1


def _default(noted: list[int] = []) -> None:  # noqa: B006 - it is what is tried
    noted.append(1)


def _of_itself() -> None:
    vars(_of_itself)["n"] = vars(_of_itself).get("n", 0) + 1


def _lazily() -> list[int]:
    global _MADE
    _MADE = [1] if _MADE is None else _MADE
    return _MADE


def _closed() -> Callable[[], None]:
    count = 0

    def closed() -> None:
        nonlocal count
        count += 1

    return closed


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda: _SEEN.append("x"), "_SEEN"),
        (_global, "_COUNT"),
        (_default, "the default 1 of _default()"),
        (_of_itself, "_of_itself.n"),
        (_closed(), "count"),
        (lambda: _Counter.in_class(), "_Counter.calls"),  # noqa: PLW0108 - by its name
        (lambda: _OBJECT.in_object(), "_OBJECT"),  # noqa: PLW0108 - by its name
        (_OBJECT.in_object, "the object of in_object()"),
        (lambda: _HELD["a"].in_object(), "_HELD"),  # noqa: PLW0108 - by its name
        (lambda: _DRAWN.random(), "_DRAWN"),  # noqa: PLW0108 - by its name
        (lambda: len(_FIXED), ""),
        (_lazily, ""),
    ],
)
def test_what_each_call_changes_and_reads_is_named(function: Callable[[], Any], name: str) -> None:
    function()
    before = memory_of(function, "tests")

    function()

    assert changed_in(before, memory_of(function, "tests")) == name


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: next(_NUMBERS), "_NUMBERS, an iterator"),
        (lambda: __file__, "__file__, which tells its place"),
        (lambda: HERE, "HERE, which tells its place"),
        (lambda: _IS_DEPLOYED, "_IS_DEPLOYED, which its module takes from its place"),
        (lambda: sys.argv, "argv of sys"),
        (lambda: _FIXED, "_FIXED, which its module takes from a clock or by chance"),
        (lambda: (_NAME, _COUNT, os.sep), ""),
    ],
)
def test_what_a_process_has_alone_is_named(function: Callable[[], Any], said: str) -> None:
    line = next(
        at for at, text in enumerate(Path(__file__).read_text().splitlines(), 1) if text.startswith("_FIXED = ")
    )

    own = own_to_its_process(function, "tests", HERE, [(Path(__file__).name, line)])

    assert own.startswith(said)
    assert bool(own) == bool(said)


def _again() -> float:
    drawn = random.Random(7)
    drawn.seed()
    return drawn.random()


@pytest.mark.parametrize(
    ("function", "reads"),
    [
        (lambda: random.Random("text").sample([1, 2, 3], 2), False),
        (lambda: random.Random().random(), True),
        (lambda: random.SystemRandom(7).random(), True),
        (lambda: _DRAWN.random(), True),  # noqa: PLW0108 - by its name
        (_again, True),
    ],
)
def test_a_generator_follows_from_its_arguments_if_the_call_itself_seeds_it(
    function: Callable[[], Any], reads: bool
) -> None:
    found: list[str] = []

    with watched(HERE, found):
        function()

    assert bool(found) == reads


@pytest.mark.parametrize(
    ("name", "is_money"),
    [
        *[(name, True) for name in ("amount", "unit_price", "total_usd", "price_per_kg", "costPerKWh", "months_fee")],
        *[(name, False) for name in ("amount_ml", "totalKg", "paid_hours", "discount_percent", "hours_total", "ratio")],
    ],
)
def test_a_name_with_a_unit_is_no_amount_of_money(name: str, is_money: bool) -> None:
    assert _is_money(name) == is_money
