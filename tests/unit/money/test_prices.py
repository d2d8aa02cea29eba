"""The cost of a completion, by class of usage and service tier."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts.service_tier import ServiceTier
from ballast.errors import ModelRefused
from ballast.money import ModelPrice, Price, TokenCounts
from ballast.money.prices import LongPrompt, highest

rates = st.integers(0, 100_000_000)
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
percents = st.integers(100, 1_000)
surcharges = st.builds(LongPrompt, over=st.integers(1, 3_000_000), input=percents, output=percents)
prices = st.builds(Price, **dict.fromkeys(CLASSES, rates), long_prompt=st.none() | surcharges)
tokens = st.integers(0, 2_000_000)
usages = st.builds(TokenCounts, **dict.fromkeys(CLASSES, tokens))


@settings(max_examples=100)
@given(price=prices, used=usages)
def test_a_cost_is_exact_and_rounded_up(price: Price, used: TokenCounts) -> None:
    dearer = price.long_prompt
    percent = dict.fromkeys(CLASSES, 100)
    if dearer is not None and used.prompt > dearer.over:
        percent = dict.fromkeys(CLASSES, dearer.input) | {"output": dearer.output}
    scaled = {name: -(-getattr(price, name) * percent[name] // 100) for name in CLASSES}  # rates are whole
    exact = sum(Fraction(getattr(used, name) * scaled[name], 1_000_000) for name in CLASSES)

    assert exact <= price.cost(used) < exact + 1


@settings(max_examples=100)
@given(price=prices, used=usages)
def test_more_tokens_never_cost_less(price: Price, used: TokenCounts) -> None:
    for name in CLASSES:
        more = TokenCounts(**{one: getattr(used, one) + (one == name) for one in CLASSES})

        assert price.cost(more) >= price.cost(used)


@settings(max_examples=100)
@given(price=prices, used=usages)
def test_a_prompt_never_costs_more_than_in_its_dearest_class(price: Price, used: TokenCounts) -> None:
    prompt = replace(used, output=0)

    assert price.cost(prompt) <= price.worst_input_cost(prompt.prompt)


@settings(max_examples=100)
@given(some=st.lists(prices, min_size=1, max_size=3), used=usages)
def test_the_highest_of_some_prices_is_below_none_of_them_at_any_length(some: list[Price], used: TokenCounts) -> None:
    assert highest(some).cost(used) >= max(price.cost(used) for price in some)


def test_a_long_prompt_costs_more_from_its_first_token_on() -> None:
    price = rate(1_000_000).model_copy(update={"long_prompt": LongPrompt(over=100, input=500, output=150)})

    assert price.cost(TokenCounts(input=40, cache_read=60, output=10)) == 110
    assert price.cost(TokenCounts(input=41, cache_read=60, output=10)) == 505 + 15
    assert price.worst_input_cost(101) == 505


def test_a_model_that_is_dearer_for_long_prompts_only_is_not_cheaper() -> None:
    short, flat = rate(100), rate(200)
    long = short.model_copy(update={"long_prompt": LongPrompt(over=100, input=500, output=500)})
    one, other = (ModelPrice("m", "1", {ServiceTier.DEFAULT: price}) for price in (long, flat))

    assert not one.is_cheaper_than(other)
    assert ModelPrice("m", "1", {ServiceTier.DEFAULT: short}).is_cheaper_than(other)


def test_nothing_costs_nothing() -> None:
    assert rate(7).cost(TokenCounts()) == 0


def test_one_cheap_token_costs_a_whole_micro_dollar() -> None:
    assert rate(35_000).cost(TokenCounts(input=1)) == 1


def rate(rate: int) -> Price:
    """Return a price that is the same for every class."""
    return Price(**dict.fromkeys(CLASSES, rate))


# Tiers


def tiered() -> ModelPrice:
    made = {ServiceTier.DEFAULT: rate(101), ServiceTier.PRIORITY: rate(101).times(175), ServiceTier.FLEX: rate(40)}
    return ModelPrice("a.model", "1", made)


def test_a_percentage_is_rounded_up() -> None:
    assert tiered().price().input == 101
    assert tiered().price(ServiceTier.PRIORITY).input == 177


def test_a_tier_without_a_price_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelRefused, match=r"'reserved' .*under `tiers:` to the playbook's models\.yaml"):
        tiered().price(ServiceTier.RESERVED)


def test_the_worst_of_a_tier_is_never_below_the_default_that_it_may_be_served_in() -> None:
    assert tiered().worst(ServiceTier.FLEX).input == 101
    assert tiered().worst(ServiceTier.PRIORITY).input == 177


@pytest.mark.parametrize(
    ("reported", "charged"),
    [("default", 101), ("flex", 40), ("priority", 177), ("reserved", 177), ("turbo", 177), ("", 177)],
)
def test_a_tier_that_nobody_knows_is_charged_as_the_dearest(reported: str, charged: int) -> None:
    assert tiered().served(reported).input == charged
