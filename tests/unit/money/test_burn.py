"""The burn rate's thresholds, each at its edge, in whole micro-dollars."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.money.breaker import Mode
from ballast.money.burn import Burning, burning

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = "hour#2026-03-01T12", "day#2026-03-01"
USD = 1_000_000


def mode(hour_spent: int, day_spent: int = 0, *, minutes: float = 30, hour: int = 10**9, day: int = 240 * USD) -> str:
    """Return the mode that is asked for so many minutes after noon, ``-`` for none."""
    now = NOON + timedelta(minutes=minutes)
    ask = burning(Burning(HOUR, hour_spent, hour), Burning(DAY, day_spent, day), now)
    return ask.mode.value if ask else "-"


@pytest.mark.parametrize(
    ("spent", "minutes", "asked"),
    [
        (79_999_999, 10, "-"),
        (80_000_000, 10, "cheaper"),
        (80_000_000, 47.9, "cheaper"),
        (80_000_000, 48, "-"),  # 80 % of the money in 80 % of the time: as it was meant
        (99_999_999, 48, "-"),
        (100_000_000, 59, "fallback_only"),
        (170_000_000, 1, "fallback_only"),
    ],
)
def test_an_hour_that_is_used_up_before_its_time(spent: int, minutes: float, asked: str) -> None:
    assert mode(spent, minutes=minutes, hour=100 * USD, day=10**12) == asked


@pytest.mark.parametrize(
    ("spent", "at", "asked"),
    [
        (191_999_999, 0, "-"),
        (192_000_000, 0, "cheaper"),
        (192_000_000, 7.2 * 60, "-"),
        (240_000_000, 0, "fallback_only"),
    ],
)
def test_a_day_that_is_used_up_before_its_time(spent: int, at: float, asked: str) -> None:
    assert mode(0, spent, minutes=at) == asked


@pytest.mark.parametrize(
    ("spent", "minutes", "asked"),
    [  # the day is meant for $10 an hour
        (14_999_999, 30, "-"),
        (15_000_000, 30, "cheaper"),
        (29_999_999, 30, "cheaper"),
        (30_000_000, 30, "fallback_only"),
        (4_999_999, 0, "-"),  # in the first ten minutes as if there had been ten
        (5_000_000, 0, "cheaper"),
        (5_000_000, 10, "cheaper"),
        (5_000_000, 10.1, "-"),
    ],
)
def test_an_hour_whose_pace_the_day_does_not_stand(spent: int, minutes: float, asked: str) -> None:
    assert mode(spent, minutes=minutes) == asked


def test_the_strictest_of_all_is_asked_for_with_its_reason() -> None:
    ask = burning(Burning(HOUR, 5 * USD, 50 * USD), Burning(DAY, 240 * USD, 240 * USD), NOON)

    assert ask is not None
    assert (ask.mode, ask.reason) == (Mode.FALLBACK_ONLY, "$240.00 of the day's $240.00 are spent.")


def test_without_a_limit_nothing_burns() -> None:
    assert mode(10**9, 10**9, hour=0, day=0) == "-"


AMOUNT = st.integers(0, 10**9)


@given(hour=AMOUNT, day=AMOUNT, more=AMOUNT, minutes=st.floats(0, 59.9), limit=st.integers(1, 10**9))
def test_whoever_spends_more_is_never_asked_for_less(
    hour: int, day: int, more: int, minutes: float, limit: int
) -> None:
    def level(extra: int) -> int:
        asked = mode(hour + extra, day + extra, minutes=minutes, hour=limit, day=limit)
        return 0 if asked == "-" else Mode(asked).level

    assert level(more) >= level(0)
