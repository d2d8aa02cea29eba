"""Windows have sortable names and an end; a claim that does not fit says when it will."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.money.windows import (
    ACCOUNT,
    Claim,
    WindowLimits,
    day_of,
    ends,
    full,
    hour_of,
    money_claims,
    of_tenant,
    run_claim,
)

NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
LIMITS = WindowLimits(hour_microusd=100, day_microusd=300, runs=2)


def test_an_hour_and_a_day_are_those_of_utc() -> None:
    late_in_tokyo = datetime(2026, 3, 2, 8, 59, tzinfo=timezone(timedelta(hours=9)))

    assert hour_of(late_in_tokyo) == "hour#2026-03-01T23"
    assert day_of(late_in_tokyo) == "day#2026-03-01"


@given(st.integers(0, 4_000_000_000))
def test_every_time_lies_in_the_window_that_is_named_for_it(seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)

    assert timedelta() < ends(hour_of(at)) - at <= timedelta(hours=1)
    assert timedelta() < ends(day_of(at)) - at <= timedelta(days=1)
    assert hour_of(ends(hour_of(at))) > hour_of(at)
    assert day_of(ends(day_of(at))) > day_of(at)


@pytest.mark.parametrize(
    ("names", "opens_at"),
    [
        (["hour"], datetime(2026, 3, 1, 13, tzinfo=UTC)),
        (["day"], datetime(2026, 3, 2, tzinfo=UTC)),
        (["hour", "day"], datetime(2026, 3, 2, tzinfo=UTC)),
        (["hour", "running"], datetime(2026, 3, 1, 13, tzinfo=UTC)),
        (["running"], None),
    ],
)
def test_the_last_window_to_end_decides_when_there_is_room(names: list[str], opens_at: datetime | None) -> None:
    claims = [*money_claims(ACCOUNT, NOON, 50, LIMITS), run_claim(of_tenant("acme"), LIMITS)]

    found = full(tuple(claim for claim in claims if claim.window.partition("#")[0] in names))

    assert found.opens_at == opens_at
    assert found.of_money == (names != ["running"])
    assert not found.never


def test_what_is_larger_than_a_window_never_fits_into_it() -> None:
    hour, day = money_claims(ACCOUNT, NOON, 101, LIMITS)

    assert (hour.room, day.room) == (-1, 199)
    assert full((hour,)).never
    assert full((hour,)).opens_at is None


def test_a_claim_says_what_counts_it() -> None:
    assert Claim(ACCOUNT, "running", 1, 2).attribute == "runs"
    assert {claim.attribute for claim in money_claims(ACCOUNT, NOON, 1, LIMITS)} == {"taken_microusd"}
