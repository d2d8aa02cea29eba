"""The breaker's rules: causes that open it, what closes it, and which of several modes holds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.money.breaker import (
    OPEN_FOR,
    PROBE_PERCENT,
    Breaker,
    CurrentMode,
    Mode,
    current_mode,
    is_probe,
    relieved,
    set_by_hand,
    tripped,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RUNS = [f"run-{number}" for number in range(2_000)]


def by_hand(breaker: Breaker, mode: Mode, minutes: int | None = None, now: datetime = NOON) -> Breaker:
    duration = None if minutes is None else minutes * MINUTE
    return set_by_hand(breaker, mode, by="ann", reason="why", now=now, duration=duration)


def trip(breaker: Breaker, mode: Mode, cause: str = "alarm", now: datetime = NOON) -> Breaker:
    return tripped(breaker, cause, mode, reason="it rings", now=now)


def mode(breaker: Breaker, now: datetime = NOON, run_id: str | None = None) -> Mode:
    return current_mode([breaker], now, run_id=run_id).mode


def stopped_of(breaker: Breaker, now: datetime) -> list[str]:
    return [run_id for run_id in RUNS if mode(breaker, now, run_id) is not Mode.NORMAL]


def test_the_modes_are_in_the_order_of_their_strictness() -> None:
    assert [one.level for one in (Mode.NORMAL, Mode.CHEAPER, Mode.FALLBACK_ONLY, Mode.STOPPED)] == [0, 1, 2, 3]


def test_nothing_holds_where_nobody_set_anything() -> None:
    assert current_mode([], NOON) == current_mode([Breaker(), Breaker(tenant="acme")], NOON) == CurrentMode()


@pytest.mark.parametrize("all_", Mode)
@pytest.mark.parametrize("own", Mode)
def test_of_everyones_and_the_tenants_the_stricter_holds(all_: Mode, own: Mode) -> None:
    breakers = [by_hand(Breaker(), all_), by_hand(Breaker(tenant="acme"), own)]

    current = current_mode(breakers, NOON)

    assert current.mode.level == max(all_.level, own.level)
    if own.level > all_.level:
        assert current.tenant == "acme"


# By hand


def test_what_a_person_sets_says_who_and_why_and_holds_until_it_is_taken_back() -> None:
    breaker = by_hand(Breaker(), Mode.STOPPED)

    current = current_mode([breaker], NOON + 1_000 * MINUTE)

    assert current == CurrentMode(Mode.STOPPED, "open", None, NOON, "ann", "why", None)
    assert mode(by_hand(breaker, Mode.NORMAL)) is Mode.NORMAL


def test_what_a_person_sets_for_some_minutes_ends_with_them() -> None:
    breaker = by_hand(Breaker(), Mode.FALLBACK_ONLY, minutes=30)

    assert mode(breaker, NOON + 30 * MINUTE - timedelta(microseconds=1)) is Mode.FALLBACK_ONLY
    assert mode(breaker, NOON + 30 * MINUTE) is Mode.NORMAL


def test_beside_what_tripped_by_itself_the_stricter_holds() -> None:
    milder, stricter = by_hand(Breaker(), Mode.CHEAPER), by_hand(Breaker(), Mode.STOPPED)

    assert mode(trip(milder, Mode.FALLBACK_ONLY)) is Mode.FALLBACK_ONLY
    assert mode(trip(stricter, Mode.FALLBACK_ONLY)) is Mode.STOPPED


def test_normal_takes_back_what_tripped_as_well_and_what_is_still_the_case_trips_it_again() -> None:
    breaker = by_hand(trip(by_hand(Breaker(), Mode.CHEAPER), Mode.STOPPED), Mode.NORMAL)

    assert mode(breaker) is Mode.NORMAL
    assert mode(trip(breaker, Mode.STOPPED)) is Mode.STOPPED


def test_normal_for_some_minutes_holds_whatever_trips_and_not_longer() -> None:
    breaker = trip(by_hand(Breaker(), Mode.NORMAL, minutes=60), Mode.STOPPED, now=NOON + MINUTE)

    current = current_mode([breaker], NOON + 59 * MINUTE)

    assert (current.mode, current.by, current.until) == (Mode.NORMAL, "ann", NOON + 60 * MINUTE)
    assert mode(breaker, NOON + 60 * MINUTE) is Mode.STOPPED


def test_a_tenant_held_at_normal_does_not_escape_everyones_breaker() -> None:
    held = by_hand(Breaker(tenant="acme"), Mode.NORMAL, minutes=60)

    assert current_mode([held, trip(Breaker(), Mode.STOPPED)], NOON).mode is Mode.STOPPED


# By a cause


def test_a_trip_names_its_cause() -> None:
    current = current_mode([trip(Breaker(), Mode.FALLBACK_ONLY, "hourly-cost")], NOON)

    assert current == CurrentMode(Mode.FALLBACK_ONLY, "open", None, NOON, "hourly-cost", "it rings", NOON + OPEN_FOR)


def test_an_open_breaker_lets_nothing_through() -> None:
    breaker = trip(Breaker(), Mode.STOPPED)

    assert stopped_of(breaker, NOON + OPEN_FOR - timedelta(microseconds=1)) == RUNS


def test_a_half_open_breaker_lets_one_run_in_twenty_pass_and_always_the_same() -> None:
    breaker, later = trip(Breaker(), Mode.STOPPED), NOON + OPEN_FOR

    probes = set(RUNS) - set(stopped_of(breaker, later))

    assert current_mode([breaker], later).state == "half_open"
    assert probes == set(RUNS) - set(stopped_of(breaker, later + 1_000 * MINUTE))
    assert len(RUNS) * PROBE_PERCENT / 200 < len(probes) < len(RUNS) * PROBE_PERCENT / 50
    assert probes != {run_id for run_id in RUNS if is_probe(run_id, NOON + MINUTE)}


def test_a_probe_of_one_cause_is_stopped_by_another_that_is_open() -> None:
    later = NOON + OPEN_FOR
    breaker = trip(trip(Breaker(), Mode.STOPPED), Mode.CHEAPER, "another", now=later)

    assert {mode(breaker, later, run_id) for run_id in RUNS} == {Mode.STOPPED, Mode.CHEAPER}


def test_when_its_cause_is_over_it_closes_but_not_before_its_time() -> None:
    breaker = relieved(trip(Breaker(), Mode.STOPPED), "alarm", now=NOON + MINUTE)

    assert mode(breaker, NOON + OPEN_FOR - timedelta(microseconds=1)) is Mode.STOPPED
    assert mode(breaker, NOON + OPEN_FOR) is Mode.NORMAL


def test_half_open_it_closes_as_soon_as_its_cause_is_over() -> None:
    later = NOON + OPEN_FOR + MINUTE

    assert relieved(trip(Breaker(), Mode.STOPPED), "alarm", now=later).trips == {}


def test_a_cause_that_comes_back_before_the_time_is_over_holds_it_open_anew() -> None:
    again = NOON + 5 * MINUTE
    breaker = trip(relieved(trip(Breaker(), Mode.STOPPED), "alarm", now=NOON + MINUTE), Mode.STOPPED, now=again)

    assert current_mode([breaker], NOON + OPEN_FOR).state == "open"
    assert current_mode([breaker], again + OPEN_FOR).state == "half_open"


def test_the_end_of_one_cause_leaves_another_alone() -> None:
    breaker = trip(trip(Breaker(), Mode.STOPPED, "one"), Mode.CHEAPER, "other")

    assert mode(relieved(breaker, "one", now=NOON + OPEN_FOR), NOON + OPEN_FOR) is Mode.CHEAPER


def test_a_stricter_mode_opens_a_half_open_breaker_anew_and_a_milder_one_takes_its_place() -> None:
    later = NOON + OPEN_FOR
    stricter = trip(trip(Breaker(), Mode.CHEAPER), Mode.FALLBACK_ONLY, now=later)
    milder = trip(trip(Breaker(), Mode.FALLBACK_ONLY), Mode.CHEAPER, now=later)

    assert (mode(stricter, later), current_mode([stricter], later).state) == (Mode.FALLBACK_ONLY, "open")
    assert mode(milder, later) is Mode.CHEAPER
    assert mode(trip(trip(Breaker(), Mode.FALLBACK_ONLY), Mode.CHEAPER), NOON) is Mode.FALLBACK_ONLY


@pytest.mark.parametrize("minutes", [0, 1, 9, 10, 11, 500])
def test_the_same_news_twice_changes_nothing(minutes: int) -> None:
    breaker, now = trip(Breaker(), Mode.STOPPED), NOON + minutes * MINUTE

    assert trip(breaker, Mode.STOPPED, now=now) is breaker
    assert relieved(breaker, "of nothing", now=now) is breaker


# A run that a person let pass


def test_a_run_passes_what_held_when_it_was_handed_over_and_no_later_trip() -> None:
    breaker = trip(trip(Breaker(), Mode.STOPPED), Mode.FALLBACK_ONLY, "later", now=NOON + 2 * MINUTE)

    current = current_mode([breaker], NOON + 3 * MINUTE, run_id="run-1", passed=NOON + MINUTE)

    assert (current.mode, current.by) == (Mode.FALLBACK_ONLY, "later")
    assert current_mode([breaker], NOON + 3 * MINUTE, run_id="run-1", passed=NOON + 2 * MINUTE) == CurrentMode()


# Whatever happens

CHANGES = st.one_of(
    st.tuples(st.just("trip"), st.sampled_from(["a", "b"]), st.sampled_from(list(Mode)[1:])),
    st.tuples(st.just("relieve"), st.sampled_from(["a", "b"]), st.none()),
    st.tuples(st.just("hand"), st.sampled_from(Mode), st.none() | st.integers(1, 30)),
)


@given(st.lists(st.tuples(st.integers(0, 20), CHANGES), max_size=12))
def test_whatever_happens_a_trip_lets_nothing_through_before_its_time_and_json_forgets_nothing(changes: list) -> None:  # type: ignore[type-arg]
    breaker, now = Breaker(), NOON

    for minutes, (what, one, other) in changes:
        now += minutes * MINUTE
        if what == "trip":
            breaker = trip(breaker, other, one, now)
            held = breaker.hand is not None and breaker.hand.mode is Mode.NORMAL and mode(breaker, now) is Mode.NORMAL
            assert held or mode(breaker, now).level >= other.level or now >= breaker.trips[one].half_open_at
        elif what == "relieve":
            breaker = relieved(breaker, one, now=now)
        else:
            breaker = by_hand(breaker, one, other, now)
            assert mode(breaker, now).level >= one.level
        assert Breaker.model_validate_json(breaker.model_dump_json()) == breaker
    calm = now + 40 * MINUTE
    for cause in list(breaker.trips):
        breaker = relieved(breaker, cause, now=calm)
    assert mode(breaker, calm) is (breaker.hand.mode if breaker.hand and breaker.hand.until is None else Mode.NORMAL)
