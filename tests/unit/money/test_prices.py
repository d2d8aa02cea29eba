"""The cost of a completion, and price tables that are refused."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts.service_tier import ServiceTier
from ballast.errors import ModelRefused, SettingInvalid
from ballast.money import ModelPrice, Price, PriceBook, PriceTable, TokenCounts, load_prices
from ballast.money.prices import PRICES_FILE

rates = st.integers(0, 100_000_000)
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
prices = st.builds(Price, **dict.fromkeys(CLASSES, rates))
tokens = st.integers(0, 2_000_000)
usages = st.builds(TokenCounts, **dict.fromkeys(CLASSES, tokens))
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = """
tables:
- version: '1'
  valid_from: 2026-01-01
  models:
    a.model: {input: 1, output: 2, cache_read: 3, cache_write_5m: 4, cache_write_1h: 5}
"""


@settings(max_examples=100)
@given(price=prices, used=usages)
def test_a_cost_is_exact_and_rounded_up(price: Price, used: TokenCounts) -> None:
    exact = sum(Fraction(getattr(used, name) * getattr(price, name), 1_000_000) for name in CLASSES)

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


def test_nothing_costs_nothing() -> None:
    assert rate(7).cost(TokenCounts()) == 0


def test_one_cheap_token_costs_a_whole_micro_dollar() -> None:
    assert rate(35_000).cost(TokenCounts(input=1)) == 1


def rate(rate: int, **more: Any) -> ModelPrice:
    """Return a price that is the same for every class."""
    return ModelPrice(**dict.fromkeys(CLASSES, rate), **more)


def table(version: str = "1", valid_from: date = date(2026, 1, 1), **models: ModelPrice) -> PriceTable:
    return PriceTable(version=version, valid_from=valid_from, models=models)


def shipped() -> PriceTable:
    return load_prices().at(MIDNIGHT)


def test_the_shipped_table_can_be_read() -> None:
    assert shipped().version
    for price in shipped().models.values():
        assert price.output > price.input > price.cache_read > 0
        assert price.cache_write_1h >= price.cache_write_5m >= price.input


@pytest.mark.parametrize("profile", ["us.", "eu.", "apac.", "global.", "jp.", "us-gov."])
def test_an_inference_profile_has_its_model_s_price(profile: str) -> None:
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"

    assert shipped().price(profile + model) == shipped().price(model)


def test_a_price_of_the_profile_itself_goes_first() -> None:
    both = table(**{"a.model": rate(1), "eu.a.model": rate(2)})

    assert both.price("eu.a.model").input == 2
    assert both.price("us.a.model").input == 1


@pytest.mark.parametrize("model", ["", "gpt-4o", "xx.anthropic.claude-sonnet-4-6", "eu.eu.anthropic.claude-sonnet-4-6"])
def test_a_model_without_a_price_is_refused_with_what_to_do(model: str) -> None:
    with pytest.raises(
        ModelRefused, match=r"Add it to ballast/money/prices\.yaml .* `model:` in agent\.yaml"
    ) as refused:
        shipped().price(model)

    assert repr(model) in str(refused.value)
    assert shipped().version in str(refused.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "(whole)"),
        ("[]", "(whole)"),
        ("tables: []", "tables"),
        (GOOD.replace("2026-01-01", "2026"), "valid_from"),
        (GOOD + GOOD.replace("tables:", ""), "later day"),
        (GOOD + GOOD.replace("tables:", "").replace("2026-01-01", "2025-01-01"), "later day"),
        (GOOD + GOOD.replace("tables:", "").replace("2026-01-01", "2026-02-01"), "version"),
        (GOOD.replace("output: 2", "output: 2, tiers: {flex: 0}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, tiers: {turbo: 50}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, tiers: {default: 50}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, tiers: {flex: {input: 1}}"), "tiers"),
        (GOOD.replace("version: '1'", "x: 1"), "version"),
        (GOOD.replace("'1'", "''"), "version"),
        (GOOD.replace("'1'", "1"), "version"),
        (GOOD.replace("output: 2, ", ""), "tables.0.models.a.model.output"),
        (GOOD.replace("output: 2", "output: -2"), "tables.0.models.a.model.output"),
        (GOOD.replace("output: 2", "output: 2.5"), "tables.0.models.a.model.output"),
        (GOOD.replace("output: 2", "output: '2'"), "tables.0.models.a.model.output"),
        (GOOD.replace("output: 2", "output: true"), "tables.0.models.a.model.output"),
        (GOOD.replace("output: 2", "output: .nan"), "tables.0.models.a.model.output"),
        (GOOD.replace("output: 2", "out: 2"), "tables.0.models.a.model.out"),
        (GOOD + "currency: USD\n", "currency"),
        (GOOD + "\tx", "line"),
        (GOOD + "2026-11-01: x\n", "keys"),
        (GOOD + "until: 2026-02-30\n", "day"),
        (GOOD + "more: &a [*a]\n", "Circular"),
    ],
)
def test_a_broken_table_is_named_with_the_field(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(SettingInvalid) as refused:
        load_prices(file)

    assert str(refused.value).startswith(f"{file}: ")
    assert named in str(refused.value)


def test_a_version_may_be_a_date_without_quotes(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(GOOD.replace("'1'", "2026-11-01"), encoding="utf-8")

    assert load_prices(file).tables[0].version == "2026-11-01"


def test_a_table_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    for file in (tmp_path / "missing.yaml", binary):
        with pytest.raises(SettingInvalid, match=f"^{file}"):
            load_prices(file)


def test_the_message_names_the_file_that_is_there() -> None:
    assert PRICES_FILE.is_file()
    assert PRICES_FILE.parts[-4:] == ("ballast", "ballast", "money", "prices.yaml")


# Tiers


def tiered() -> PriceTable:
    tiers = {ServiceTier.PRIORITY: 175, ServiceTier.FLEX: Price(**dict.fromkeys(CLASSES, 40))}
    return table(**{"a.model": rate(101, tiers=tiers)})


def test_a_tier_costs_its_percentage_rounded_up_or_its_own_price() -> None:
    assert tiered().price("us.a.model").input == 101
    assert tiered().price("us.a.model", ServiceTier.PRIORITY).input == 177
    assert tiered().price("us.a.model", ServiceTier.FLEX).output == 40


def test_a_tier_without_a_price_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelRefused, match=r"'reserved' .*under the model's `tiers:` in ballast/money/prices\.yaml"):
        tiered().price("a.model", ServiceTier.RESERVED)


def test_the_worst_of_a_tier_is_never_below_the_default_that_it_may_be_served_in() -> None:
    assert tiered().worst("a.model", ServiceTier.FLEX).input == 101
    assert tiered().worst("a.model", ServiceTier.PRIORITY).input == 177


@pytest.mark.parametrize(
    ("reported", "charged"),
    [("default", 101), ("flex", 40), ("priority", 177), ("reserved", 177), ("turbo", 177), ("", 177)],
)
def test_a_tier_that_nobody_knows_is_charged_as_the_dearest(reported: str, charged: int) -> None:
    assert tiered().served("a.model", reported).input == charged


# Days


@settings(max_examples=50)
@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=6, unique=True), today=st.integers(-10, 410))
def test_the_newest_table_that_is_valid_is_taken(days: list[int], today: int) -> None:
    start = date(2026, 1, 1)
    book = PriceBook(tables=tuple(table(str(day), start + timedelta(day)) for day in sorted(days)))
    moment = datetime(2026, 1, 1, 23, 59, tzinfo=UTC) + timedelta(today)
    valid = [day for day in days if day <= today]

    if valid:
        assert book.at(moment).version == str(max(valid))
    else:
        with pytest.raises(ModelRefused, match=r"No price table is valid on .* Add one to ballast/money/prices\.yaml"):
            book.at(moment)


def test_the_table_of_an_older_charge_is_found_by_its_version() -> None:
    book = PriceBook(tables=(table("1"), table("2", date(2026, 2, 1), **{"a.model": rate(5)})))

    assert book.of("1").models == {}
    assert book.of("2").price("a.model").input == 5
    with pytest.raises(SettingInvalid, match="no table of version '3'"):
        book.of("3")
