"""What a completion costs, and what a price table may not hold."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.errors import ModelRefused, SettingInvalid
from ballast.money import Price, PriceTable, TokenCounts, load_prices
from ballast.money.prices import PRICES_FILE

rates = st.integers(0, 100_000_000)
prices = st.builds(Price, input=rates, output=rates, cache_read=rates, cache_write=rates)
tokens = st.integers(0, 2_000_000)
usages = st.builds(TokenCounts, input=tokens, output=tokens, cache_read=tokens, cache_write=tokens)
CLASSES = ("input", "output", "cache_read", "cache_write")
GOOD = "version: '1'\nmodels:\n  a.model: {input: 1, output: 2, cache_read: 3, cache_write: 4}\n"


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
    prompt = TokenCounts(input=used.input, cache_read=used.cache_read, cache_write=used.cache_write)

    assert price.cost(prompt) <= price.worst_input_cost(used.input + used.cache_read + used.cache_write)


def test_nothing_costs_nothing() -> None:
    assert Price(input=3, output=15, cache_read=1, cache_write=4).cost(TokenCounts()) == 0


def test_one_cheap_token_costs_a_whole_micro_dollar() -> None:
    assert Price(input=35_000, output=0, cache_read=0, cache_write=0).cost(TokenCounts(input=1)) == 1


def test_the_shipped_table_can_be_read() -> None:
    table = load_prices()

    assert table.version
    assert all(price.output > price.input > price.cache_read > 0 for price in table.models.values())


@pytest.mark.parametrize("profile", ["us.", "eu.", "apac.", "global.", "jp.", "us-gov."])
def test_an_inference_profile_has_its_model_s_price(profile: str) -> None:
    table = load_prices()
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"

    assert table.price(profile + model) == table.models[model]


def test_a_price_of_the_profile_itself_goes_first() -> None:
    one, other = (Price(input=rate, output=1, cache_read=1, cache_write=1) for rate in (1, 2))
    table = PriceTable(version="1", models={"a.model": one, "eu.a.model": other})

    assert table.price("eu.a.model") == other
    assert table.price("us.a.model") == one


@pytest.mark.parametrize("model", ["", "gpt-4o", "xx.anthropic.claude-sonnet-4-6", "eu.eu.anthropic.claude-sonnet-4-6"])
def test_a_model_without_a_price_is_refused_with_what_to_do(model: str) -> None:
    with pytest.raises(
        ModelRefused, match=r"Add it to ballast/money/prices\.yaml .* `model:` in agent\.yaml"
    ) as refused:
        load_prices().price(model)

    assert repr(model) in str(refused.value)
    assert load_prices().version in str(refused.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "(whole)"),
        ("[]", "(whole)"),
        ("version: '1'", "models"),
        (GOOD.replace("version: '1'", ""), "version"),
        (GOOD.replace("'1'", "''"), "version"),
        (GOOD.replace("'1'", "1"), "version"),
        (GOOD.replace("output: 2, ", ""), "models.a.model.output"),
        (GOOD.replace("output: 2", "output: -2"), "models.a.model.output"),
        (GOOD.replace("output: 2", "output: 2.5"), "models.a.model.output"),
        (GOOD.replace("output: 2", "output: '2'"), "models.a.model.output"),
        (GOOD.replace("output: 2", "output: true"), "models.a.model.output"),
        (GOOD.replace("output: 2", "output: .nan"), "models.a.model.output"),
        (GOOD.replace("output: 2", "out: 2"), "models.a.model.out"),
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

    assert load_prices(file).version == "2026-11-01"


def test_a_table_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    for file in (tmp_path / "missing.yaml", binary):
        with pytest.raises(SettingInvalid, match=f"^{file}"):
            load_prices(file)


def test_the_message_names_the_file_that_is_there() -> None:
    assert PRICES_FILE.is_file()
    assert PRICES_FILE.parts[-4:] == ("ballast", "ballast", "money", "prices.yaml")
