"""A clock in a validator may decide whether there is a value, and never which."""

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ballast.playbook.arguments.determinism import why_validator_varies

LOG = logging.getLogger(__name__)
STATE: dict[str, float] = {}


def future(value: Any) -> Any:
    if value < date.today():  # noqa: DTZ011
        raise ValueError("past")
    return value


def must(ok: bool, value: Any) -> Any:
    if not ok:
        raise ValueError("past")
    return value


def raises(text: str) -> Any:
    raise ValueError(text)


def puts(value: Any) -> None:
    value.append(time.time())


def later(value: Any) -> Any:
    return value + int(time.time())


class Booking:
    start: Any
    items: list[str]

    def collects(self) -> Any:
        problems = []
        if self.start < datetime.now(UTC):
            problems.append("start is past")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def collects_by_name(self) -> Any:
        errors = {}
        now = datetime.now(UTC)
        for name in ("start", "end"):
            if getattr(self, name) < now:
                errors[name] = "is past"
        if errors:
            raise ValueError(str(errors))
        return self

    def asks_its_own(self) -> Any:
        self.check()
        return self

    def check(self) -> None:
        if self.start < time.time():
            raise ValueError

    def evens(self) -> Any:
        if self.start < datetime.now(UTC):
            raise ValueError
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        return self

    def adds_to_its_own(self) -> Any:
        items = self.items
        if self.start < datetime.now(UTC):
            items.append("late")
        return self

    def sets(self) -> Any:
        vars(self).update(at=time.time())
        return self


def checks_and_evens(value: Any) -> Any:
    read = datetime.fromisoformat(value.strip())
    if read < datetime.now(UTC):
        raise ValueError("past")
    return read.astimezone(UTC).isoformat()


def takes_the_time(value: Any) -> Any:
    begun = time.perf_counter()
    made = value.strip()
    LOG.info("%s took %s", value, time.perf_counter() - begun)
    return made


def takes_the_time_of_a_handler(value: Any, handler: Any) -> Any:
    begun = time.monotonic()
    try:
        return handler(value)
    finally:
        if time.monotonic() - begun > 1:
            LOG.warning("slow: %s", value)


def any_of(value: Any) -> Any:
    if any(one < date.today() for one in value):  # noqa: DTZ011
        raise ValueError
    return sorted(value)


def says_why(value: Any) -> Any:
    why = "past" if value < date.today() else ""  # noqa: DTZ011
    if why:
        raise ValueError(why)
    return value


def asks_inside(value: Any) -> Any:
    def is_over(one: Any) -> bool:
        return bool(one < time.time())

    if is_over(value):
        raise ValueError
    return value


@pytest.mark.parametrize(
    "function",
    [
        *(Booking.collects, Booking.collects_by_name, Booking.asks_its_own, Booking.evens),
        *(future, checks_and_evens, takes_the_time, takes_the_time_of_a_handler, any_of, says_why, asks_inside),
        lambda value: future(value.date()),
        lambda value: must(value >= date.today(), value),  # noqa: DTZ011
        lambda value: value if value >= date.today() else raises("past"),  # noqa: DTZ011
    ],
)
def test_a_clock_may_decide_whether_there_is_a_value(function: Callable[..., Any]) -> None:
    assert why_validator_varies(function, Booking) is None


def none_of_it(value: Any) -> Any:
    if value < date.today():  # noqa: DTZ011
        return None
    return value


def chooses(value: Any) -> Any:
    if time.time() > 1e9:
        return value
    return value.upper()


def turns(value: Any) -> Any:
    if int(time.time()) % 2:
        value.reverse()
    return value


def mends(value: Any) -> Any:
    try:
        future(value)
    except ValueError:
        value = value + timedelta(days=1)
    return value


def mends_in_silence(value: Any) -> Any:
    with contextlib.suppress(ValueError):
        future(value)
        value = value + timedelta(days=1)
    return value


def waits(value: Any) -> Any:
    while value < date.today():  # noqa: DTZ011
        value += timedelta(days=1)
    return value


def stops(value: Any) -> Any:
    for turn in range(9):
        if turn > time.time():
            break
        value = value + 1
    return value


def by_type(value: Any) -> Any:
    list.append(value, time.time())
    return value


def inside(value: Any) -> Any:
    def put() -> None:
        value.append(time.time())

    put()
    return value


def by_helper(value: Any) -> Any:
    puts(value)
    return value


def kept(_: Any) -> Any:
    STATE["at"] = time.time()
    return STATE["at"]


def matched(value: Any) -> Any:
    match date.today().year:  # noqa: DTZ011
        case 2026:
            return value
        case _:
            return value + 1


@pytest.mark.parametrize(
    "function",
    [
        *(Booking.adds_to_its_own, Booking.sets, none_of_it, chooses, turns, mends, mends_in_silence, waits, stops),
        *(by_type, inside, by_helper, kept, matched),
        lambda value: later(value) or value,
        lambda value: must(True, later(value)),
        lambda value: max(value, date.today()),  # noqa: DTZ011
        lambda value: [one for one in value if one > time.time()],
        lambda value: f"{value}-{time.time()}",
        lambda value, now=time.time: value or now(),
    ],
)
def test_it_may_not_decide_which(function: Callable[..., Any]) -> None:
    assert why_validator_varies(function, Booking) is not None


def test_the_message_says_which_line() -> None:
    line = none_of_it.__code__.co_firstlineno + 2

    assert f"line {line} (return None)" in str(why_validator_varies(none_of_it))


def test_without_a_source_a_check_may_only_check() -> None:
    names: dict[str, Any] = {"date": date}
    exec("def check(v):\n    assert v > date.today()\n    return v\n", names)
    exec("def other(v):\n    assert v > date.today()\n    return v.day\n", names)

    assert why_validator_varies(names["check"]) is None
    assert "its source cannot be read" in str(why_validator_varies(names["other"]))


class Raises:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Answers:
    def __getattr__(self, name: str) -> Any:
        return {}


class Endless:
    def __getattr__(self, name: str) -> Any:
        return Endless()


@pytest.mark.parametrize(
    "made",
    [Raises, Answers, Endless, lambda: [Raises()], lambda: {"a": Answers()}],
    ids=("raises", "answers", "endless", "list", "table"),
)
def test_what_cannot_be_looked_at_is_skipped(made: Callable[[], Any]) -> None:
    known = made()

    assert why_validator_varies(lambda value: value.strip() if known is not None else value) is None
    assert why_validator_varies(lambda value, one=known: value.strip() if one else value) is None
    assert why_validator_varies(lambda value: value or (known, time.time())) is not None
