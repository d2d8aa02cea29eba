"""An attempt's worst case is reserved before it, and never more than the run has left."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.money import Price, Reservation, TokenCounts, affordable
from ballast.money.prices import LEAST_USEFUL_TOKENS, LongPrompt

rates = st.integers(0, 100_000_000)
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
percents = st.integers(100, 1_000)
surcharges = st.builds(LongPrompt, over=st.integers(1, 300_000), input=percents, output=percents)
prices = st.builds(Price, **dict.fromkeys(CLASSES, rates), long_prompt=st.none() | surcharges)
bounds = st.integers(0, 1_000_000)
SONNET = Price(
    input=3_000_000, output=15_000_000, cache_read=300_000, cache_write_5m=3_750_000, cache_write_1h=3_750_000
)


@settings(max_examples=100)
@given(
    price=prices,
    bound=bounds,
    max_tokens=st.integers(1, 10_000),
    left=st.integers(-10, 10**9),
    shares=st.tuples(*[st.integers(0, 100)] * 5),
)
def test_no_usage_within_the_bounds_costs_more_than_was_reserved(
    price: Price, bound: int, max_tokens: int, left: int, shares: tuple[int, int, int, int, int]
) -> None:
    reserved = affordable(price, input_bound=bound, max_tokens=max_tokens, left_microusd=left)
    if reserved is None:
        return
    fresh, read, written, kept, made = shares
    whole = max(fresh + read + written + kept, 1)

    used = TokenCounts(
        input=bound * fresh // whole,
        cache_read=bound * read // whole,
        cache_write_5m=bound * written // whole,
        cache_write_1h=bound * kept // whole,
        output=reserved.max_tokens * made // 100,
    )

    assert price.cost(used) <= reserved.microusd


@settings(max_examples=100)
@given(price=prices, bound=bounds, max_tokens=st.integers(1, 10_000), left=st.integers(-10, 10**9))
def test_a_reservation_is_within_what_is_left_and_the_largest_that_is(
    price: Price, bound: int, max_tokens: int, left: int
) -> None:
    prompt = price.worst_input_cost(bound)
    useful = min(LEAST_USEFUL_TOKENS, max_tokens)

    reserved = affordable(price, input_bound=bound, max_tokens=max_tokens, left_microusd=left)

    if reserved is None:
        assert prompt + output_cost(price.of_prompt(bound), useful) > left
        return
    assert reserved.microusd == prompt + output_cost(price.of_prompt(bound), reserved.max_tokens)
    assert reserved.microusd <= left
    assert useful <= reserved.max_tokens <= max_tokens
    if reserved.max_tokens < max_tokens:
        assert prompt + output_cost(price.of_prompt(bound), reserved.max_tokens + 1) > left


def output_cost(price: Price, tokens: int) -> int:
    return price.cost(TokenCounts(output=tokens))


@pytest.mark.parametrize(
    ("left", "reserved"),
    [
        (1_000_000, Reservation(microusd=3_750 + 15_360, max_tokens=1_024)),
        (3_750 + 15_360, Reservation(microusd=3_750 + 15_360, max_tokens=1_024)),
        (3_750 + 15_359, Reservation(microusd=3_750 + 15_345, max_tokens=1_023)),
        (3_750 + 960, Reservation(microusd=3_750 + 960, max_tokens=LEAST_USEFUL_TOKENS)),
        (3_750 + 959, None),
        (3_750, None),
        (3_749, None),
        (0, None),
        (-1, None),
    ],
)
def test_max_tokens_is_cut_to_what_is_left_down_to_what_is_still_useful(
    left: int, reserved: Reservation | None
) -> None:
    assert affordable(SONNET, input_bound=1_000, max_tokens=1_024, left_microusd=left) == reserved


def test_a_turn_limited_to_few_tokens_may_have_them() -> None:
    assert affordable(SONNET, input_bound=0, max_tokens=1, left_microusd=15) == Reservation(microusd=15, max_tokens=1)
    assert affordable(SONNET, input_bound=0, max_tokens=1, left_microusd=14) is None


def test_a_model_that_costs_nothing_is_affordable_with_nothing_left() -> None:
    free = Price(**dict.fromkeys(CLASSES, 0))

    reserved = affordable(free, input_bound=10**9, max_tokens=1_024, left_microusd=0)

    assert reserved == Reservation(microusd=0, max_tokens=1_024)
