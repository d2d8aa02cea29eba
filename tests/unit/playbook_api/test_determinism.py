"""Clocks and chance found in validators, and functions that depend on their arguments alone."""

import functools
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ballast.playbook.arguments.determinism import why_validator_varies


class Clock:
    def now(self) -> int:
        return int(time.time())

    @staticmethod
    def static() -> int:
        return int(time.time())

    def __call__(self, value: Any) -> Any:
        return value or int(time.time())

    @classmethod
    def check(cls, value: Any) -> Any:
        return value or cls._new()

    @classmethod
    def _new(cls) -> int:
        return int(time.time())


CLOCK = Clock()
BY_NAME = {"now": time.time}


def imports(value: Any) -> Any:
    import time as clock

    return value or clock.time()


def imports_from(value: Any) -> Any:
    from time import time as now

    return value or now()


def sets(value: Any) -> Any:
    value.__setitem__("t", time.time())
    return value


@pytest.mark.parametrize(
    "function",
    [
        *(imports, imports_from, sets, CLOCK),
        lambda value: value or CLOCK.now(),
        lambda value: value or Clock.static(),
        lambda value: value or __import__("time").time(),
        lambda value: value or getattr(time, "time")(),  # noqa: B009
        lambda value: value or BY_NAME["now"](),
        functools.partial(lambda now, value: value or now(), time.time),
    ],
)
def test_a_clock_is_seen_however_it_is_called(function: Callable[[Any], Any]) -> None:
    assert why_validator_varies(function) is not None


def test_a_method_of_the_model_is_followed() -> None:
    assert why_validator_varies(Clock.check, Clock) is not None


def hashes(value: Any) -> Any:
    if hash(value) == 0:
        raise ValueError
    return value


def compares(value: Any) -> Any:
    if not secrets.compare_digest(value, "x"):
        raise ValueError
    return value


@pytest.mark.parametrize(
    "function",
    [
        *(hashes, compares),
        lambda value: datetime.fromtimestamp(value, UTC),
        lambda value: time.strptime(value, "%H:%M"),
    ],
)
def test_what_depends_on_its_arguments_alone_is_no_clock(function: Callable[[Any], Any]) -> None:
    assert why_validator_varies(function) is None


def test_chance_is_seen() -> None:
    assert why_validator_varies(lambda value: value or random.random()) is not None
