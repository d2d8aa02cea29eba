"""The catalog: cards of the platform and of a playbook, their prices, and what is refused."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts.service_tier import ServiceTier
from ballast.errors import ModelRefused, SettingInvalid
from ballast.models.card import Cache, DatedPrice, Dialect, Media, ModelCard, Thinking
from ballast.models.card_file import CardFile, read_cards
from ballast.models.catalog import Catalog, facts_without_source
from ballast.money import Price

CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
MODELS = Catalog()
DAY = date(2026, 6, 1)
HAIKU, NOVA_PRO = "anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0"
NO_CARD = "acme.oracle-v1:0"


def price(rate: int, version: str = "1", **more: Any) -> dict[str, Any]:
    return {"version": version, "valid_from": "2026-01-01"} | dict.fromkeys(CLASSES, rate) | more


def card(*prices: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {
        "vendor": "Acme",
        "name": "Oracle",
        "as_of": "2026-01-01",
        "context_window": 1_000,
        "max_output": 100,
        "prices": list(prices or (price(7),)),
    } | facts


def catalog(models: dict[str, Any], **more: Any) -> Catalog:
    return Catalog(CardFile.of({"models": models} | more))


# The shipped cards


@pytest.mark.parametrize("model", MODELS.ids())
def test_each_fact_of_a_shipped_card_names_its_document(model: str) -> None:
    shipped = MODELS.card(model)

    assert list(facts_without_source(shipped)) == []
    assert all(source.address or source.title for sources in shipped.sources.values() for source in sources)


@pytest.mark.parametrize("model", MODELS.ids())
def test_a_shipped_price_is_plausible_in_every_family_and_tier(model: str) -> None:
    shipped = MODELS.card(model)

    for dated in shipped.prices:
        for family in (*dated.regions, "in-region"):
            for made in dated.of(model, family).tiers.values():
                assert made.output >= made.input >= made.cache_read > 0
                assert made.cache_write_1h >= made.cache_write_5m >= made.input
    if shipped.cache is not None:
        assert shipped.prices[-1].cache_read < shipped.prices[-1].input


@pytest.mark.parametrize("model", MODELS.ids())
def test_a_shipped_card_stands_in_the_file_of_its_ids_first_part(model: str) -> None:
    assert f"{model.partition('.')[0]}.yaml" in [file.name for file in MODELS.vendors.iterdir()]
    assert MODELS.knows(model)


#: The figures of versions that were charged by, in micro-dollars per million tokens: they never change.
USED = [
    (HAIKU, "2026-11-01", (1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000)),
    (f"eu.{HAIKU}", "2026-11-01", (1_100_000, 5_500_000, 110_000, 1_375_000, 2_200_000)),
    (f"us.{HAIKU}", "2026-11-01", (1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000)),
    (f"us.{HAIKU}", "2026-11-28", (1_100_000, 5_500_000, 110_000, 1_375_000, 2_200_000)),
    (f"global.{HAIKU}", "2026-11-28", (1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000)),
    ("anthropic.claude-sonnet-4-6", "2026-11-01", (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000)),
    ("eu.anthropic.claude-sonnet-4-6", "2026-11-28", (3_300_000, 16_500_000, 330_000, 4_125_000, 6_600_000)),
    (
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "2026-11-01",
        (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000),
    ),
    (
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "2026-11-01",
        (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000),
    ),
    ("anthropic.claude-3-5-haiku-20241022-v1:0", "2026-11-28", (800_000, 4_000_000, 80_000, 1_000_000, 1_600_000)),
    ("amazon.nova-micro-v1:0", "2026-11-01", (35_000, 140_000, 8_750, 35_000, 35_000)),
    ("eu.amazon.nova-lite-v1:0", "2026-11-28", (60_000, 240_000, 15_000, 60_000, 60_000)),
    (f"eu.{NOVA_PRO}", "2026-11-01", (800_000, 3_200_000, 200_000, 800_000, 800_000)),
]


@pytest.mark.parametrize(("model", "version", "figures"), USED)
def test_the_figures_of_a_used_version_never_change(model: str, version: str, figures: tuple[int, ...]) -> None:
    used = MODELS.price_of(version, model).price()

    assert tuple(getattr(used, name) for name in CLASSES) == figures


def test_the_tiers_of_a_used_version_never_change() -> None:
    for version in ("2026-11-01", "2026-11-28"):
        tiers = MODELS.price_of(version, NOVA_PRO).tiers

        assert {tier.value: made.input for tier, made in tiers.items()} == {
            "default": 800_000,
            "priority": 1_400_000,
            "flex": 400_000,
            "reserved": 800_000,
        }


# Ids


@pytest.mark.parametrize(
    "model_id",
    [
        NOVA_PRO,
        f"eu.{NOVA_PRO}",
        f"region.{NOVA_PRO}",
        f"arn:aws:bedrock:eu-west-1::foundation-model/{NOVA_PRO}",
        f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{NOVA_PRO}",
    ],
)
def test_a_model_has_one_card_under_all_its_ids(model_id: str) -> None:
    assert MODELS.card(model_id).id == NOVA_PRO
    assert MODELS.knows(model_id)


def test_an_arn_that_names_a_profile_costs_what_the_profile_costs() -> None:
    arn = f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.{HAIKU}"

    assert MODELS.price(arn, on=date.max).tiers == MODELS.price(f"eu.{HAIKU}", on=date.max).tiers
    assert MODELS.price(arn, on=date.max).tiers != MODELS.price(f"global.{HAIKU}", on=date.max).tiers


def test_another_id_of_the_same_model_has_its_card() -> None:
    made = catalog({NO_CARD: card(also=["acme.oracle-latest"])})

    assert made.card("eu.acme.oracle-latest").id == NO_CARD


@pytest.mark.parametrize(
    "model", ["", "gpt-4o", f"xx.{HAIKU}", f"eu.eu.{HAIKU}", "../vendors/amazon", "amazon.", NO_CARD]
)
def test_an_unknown_model_is_refused_with_the_lines_to_add(model: str) -> None:
    with pytest.raises(ModelRefused, match=r"models\.yaml") as refused:
        MODELS.card(model)

    assert repr(model) in str(refused.value)
    assert not MODELS.knows(model)


def test_the_lines_to_add_are_a_card(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused) as refused:
        MODELS.card(NO_CARD)
    (tmp_path / "models.yaml").write_text(str(refused.value).partition("\n\n")[2], encoding="utf-8")

    made = Catalog.of_playbook(tmp_path)

    assert made.price(NO_CARD, on=date(2026, 2, 1)).price().cache_write_1h == 1_000_000
    made.check(NO_CARD, tools=True, on=date.max)


@pytest.mark.parametrize(
    ("model", "similar"),
    [
        ("amazon.nova-pro", NOVA_PRO),
        ("anthropic.claude-haiku-4-5", HAIKU),
        ("eu.anthropic.claude-haiku-4.5", HAIKU),
        ("claude-haiku-4.5", HAIKU),
        ("us.anthropic.claude-hiaku-4-5", HAIKU),
        ("us.anthropic.claude-sonnet-4-6-v1:0", "anthropic.claude-sonnet-4-6"),
        ("nova pro", NOVA_PRO),
        ("gpt-oss-120b", "openai.gpt-oss-120b-1:0"),
        ("mistral-large", "mistral.mistral-large-2402-v1:0"),
        ("openai/gpt-6-sol", "openai.gpt-6-sol"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-prooo", NOVA_PRO),
    ],
)
def test_a_misspelt_model_is_told_first_what_it_most_likely_meant(model: str, similar: str) -> None:
    with pytest.raises(ModelRefused, match=f"Similar: {similar}[,.]"):
        MODELS.card(model)


@pytest.mark.parametrize(
    ("model", "similar"),
    [
        ("haiku", "claude-haiku-5-5"),
        ("gpt-oss", "openai.gpt-oss-20b-1:0"),
        ("llama4", "llama4-scout"),
        ("claud-opus", "opus"),
    ],
)
def test_a_part_of_a_name_is_told_the_models_that_have_it(model: str, similar: str) -> None:
    with pytest.raises(ModelRefused, match=f"Similar: .*{similar}"):
        MODELS.card(model)


def test_a_model_like_no_other_is_told_no_name() -> None:
    with pytest.raises(ModelRefused) as refused:
        MODELS.card(NO_CARD)

    assert "Similar" not in str(refused.value)


# A playbook's own


def test_an_arn_of_a_playbook_is_the_model_behind_it() -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk"
    with pytest.raises(ModelRefused, match=f"arns:\n  {arn}: MODEL_ID"):
        MODELS.check(arn, tools=True, on=date.max)

    own = catalog({}, arns={arn: f"eu.{HAIKU}"})

    own.check(arn, tools=True, on=date.max)
    assert own.card(arn).id == HAIKU
    assert own.price(arn, on=date.max).tiers == MODELS.price(f"eu.{HAIKU}", on=date.max).tiers
    assert own.price(arn, on=date.max).model_id == arn


def test_an_arn_with_a_misspelt_model_behind_it_is_told_which_and_what_it_may_have_meant() -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/desk"
    own = catalog({}, arns={arn: "eu.amazon.nova-pro"})

    with pytest.raises(ModelRefused, match=rf"'eu\.amazon\.nova-pro', which `arns:` .* {arn}.*Similar: {NOVA_PRO}"):
        own.check(arn, tools=True, on=date.max)


def test_an_own_fact_stands_over_the_platforms_and_the_rest_stays() -> None:
    own = catalog({HAIKU: {"temperature": False, "cache": {"least_tokens": 8_192}}}).card(HAIKU)
    shipped = MODELS.card(HAIKU)

    assert (own.temperature, own.cache and own.cache.least_tokens) == (False, 8_192)
    assert own.cache is not None
    assert shipped.cache is not None
    assert own.cache.ttls == shipped.cache.ttls
    assert own.prices == shipped.prices


def test_an_own_price_counts_from_its_day_and_the_platforms_before() -> None:
    own = catalog({HAIKU: {"prices": [price(5, "negotiated", valid_from="2026-07-01")]}})

    assert own.price(HAIKU, on=date(2026, 6, 30)).version == "2026-11-01"
    assert own.price(HAIKU, on=date(2026, 7, 1)).price().input == 5
    assert own.price(HAIKU, on=date(2027, 1, 1)).price().input == 5  # also once the platform has a newer one
    assert own.price_of("2026-11-28", HAIKU).price(ServiceTier.DEFAULT).output > 5


def test_an_own_price_may_not_take_the_name_of_the_platforms() -> None:
    with pytest.raises(SettingInvalid, match="needs a version of its own"):
        catalog({HAIKU: {"prices": [price(5, "2026-11-28")]}}).card(HAIKU)


# Prices


@settings(max_examples=50)
@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=6, unique=True), today=st.integers(-10, 410))
def test_the_newest_price_that_is_valid_is_taken(days: list[int], today: int) -> None:
    start = date(2026, 1, 1)
    prices = [price(1, str(day), valid_from=(start + timedelta(day)).isoformat()) for day in sorted(days)]
    made = catalog({NO_CARD: card(*prices)})
    valid = [day for day in days if day <= today]

    if valid:
        assert made.price(NO_CARD, on=start + timedelta(today)).version == str(max(valid))
    else:
        with pytest.raises(ModelRefused, match=r"is valid on .* Add one to the playbook's models\.yaml"):
            made.price(NO_CARD, on=start + timedelta(today))


def test_a_version_that_is_gone_is_named() -> None:
    with pytest.raises(SettingInvalid, match=r"no price of version '3'.*never remove"):
        MODELS.price_of("3", HAIKU)


def test_a_family_costs_its_percentage_or_its_own_price_in_every_tier() -> None:
    whole = dict.fromkeys(CLASSES, 100)
    tiers = {"flex": 50, "priority": whole | {"output": 300}}
    regions = {"us": 100, "eu": 110, "apac": whole | {"input": 140}}
    made = catalog({NO_CARD: card(price(100, tiers=tiers, regions=regions))})

    assert made.price(f"us.{NO_CARD}", on=date.max).price().output == 100
    assert made.price(f"eu.{NO_CARD}", on=date.max).price(ServiceTier.FLEX).output == 55
    assert made.price(f"eu.{NO_CARD}", on=date.max).price(ServiceTier.PRIORITY).output == 330
    assert made.price(f"apac.{NO_CARD}", on=date.max).price(ServiceTier.FLEX).input == 70
    assert made.price(f"apac.{NO_CARD}", on=date.max).price(ServiceTier.PRIORITY).output == 300


def test_a_family_that_is_not_listed_is_never_undercharged() -> None:
    made = catalog({NO_CARD: card(price(100, regions={"us": 100, "eu": 110, "jp": 105}))})

    assert made.price(f"sa.{NO_CARD}", on=date.max).price().input == 110
    assert made.price(NO_CARD, on=date.max).price().input == 110


def test_a_long_prompt_is_dearer_in_every_family_and_tier() -> None:
    whole = dict.fromkeys(CLASSES, 100)
    dearer = {"over": 1_000, "input": 500, "output": 200}
    regions = {"us": 100, "eu": 110, "apac": whole}
    made = catalog({NO_CARD: card(price(100, tiers={"flex": 50}, regions=regions, long_prompt=dearer))})

    for family, rate in (("us", 100), ("eu", 110), ("apac", 100), ("sa", 110)):
        for tier, percent in ((ServiceTier.DEFAULT, 100), (ServiceTier.FLEX, 50)):
            long = made.price(f"{family}.{NO_CARD}", on=date.max).price(tier).of_prompt(1_001)

            assert (long.input, long.output) == (rate * percent * 5 // 100, rate * percent * 2 // 100)


def test_a_price_without_the_caches_classes_is_refused_for_a_model_that_caches() -> None:
    own = catalog({HAIKU: {"prices": [{"version": "mine", "valid_from": "2027-01-01", "input": 3, "output": 5}]}})

    with pytest.raises(SettingInvalid, match=r"mine: the model caches prompts\. .*cache_write_1h"):
        own.card(HAIKU)


def test_an_own_price_without_regions_keeps_the_families_of_the_model() -> None:
    model = "anthropic.claude-opus-4-6-v1"
    own = catalog({model: {"prices": [price(7, "mine", valid_from="2027-01-01")]}})

    assert own.card(model).families == MODELS.card(model).families != ()
    assert own.in_region(f"region.{model}", "eu-west-1") == f"eu.{model}"
    with pytest.raises(ModelRefused, match="has no inference profile apac"):
        own.check(f"apac.{model}", tools=True, on=date.max)


def test_an_own_price_keeps_what_it_does_not_say_of_the_price_before() -> None:
    haiku = "anthropic.claude-haiku-5-5"
    first = price(1_000, "mine-1", valid_from="2027-01-01")
    later = price(2_000, "mine-2", valid_from="2027-02-01", regions={"us": 120, "eu": 130})
    last = price(3_000, "mine-3", valid_from="2027-03-01", long_prompt=None)
    own = catalog({haiku: {"prices": [first, later, last]}, HAIKU: {"prices": [first | {"regions": None}]}})
    shipped = MODELS.card(haiku).prices[-1]

    def at(month: int, model: str = f"us.{haiku}") -> Price:
        return own.price(model, on=date(2027, month, 2)).price()

    assert shipped.long_prompt is not None
    assert (at(1).input, at(1).long_prompt) == (1_100, shipped.long_prompt)
    assert own.card(haiku).prices[-3].tiers == shipped.tiers
    assert at(1).worst_input_cost(150_000) == 25 * at(1).worst_input_cost(30_000)
    assert (at(2).input, at(3).input, at(3).long_prompt) == (2_400, 3_600, None)
    assert at(1, f"us.{HAIKU}").input == 1_000


@pytest.mark.parametrize(
    ("facts", "model", "why"),
    [
        ({"id": HAIKU}, NOVA_PRO, "id: is no fact of a card"),
        ({"also": [HAIKU]}, NO_CARD, f"also: {HAIKU} is an id of the platform's {HAIKU}"),
        ({"also": [HAIKU]}, HAIKU, f"also: {HAIKU} is an id of the platform's {HAIKU}"),
        ({"also": [f"us.{HAIKU}"]}, NO_CARD, f"also: us.{HAIKU} is the id of an inference profile of {HAIKU}"),
        ({"also": ["acme.two"]}, NO_CARD, "also: acme.two is an id of acme.two, too"),
        ({"also": ["acme.three"]}, NO_CARD, "also: acme.three is an id of acme.two, too"),
    ],
)
def test_a_card_may_not_take_the_id_of_another_one(facts: dict[str, Any], model: str, why: str) -> None:
    under = NOVA_PRO if "id" in facts else NO_CARD
    own = catalog({under: card(**facts), "acme.two": card(also=["acme.three"])})

    with pytest.raises(SettingInvalid, match=re.escape(why)):
        own.check(model, tools=True, on=date.max)


@pytest.mark.parametrize(
    ("arn", "why"),
    [
        (f"us.{HAIKU}", "is not an ARN"),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/us.{HAIKU}", "names its model"),
    ],
)
def test_what_names_its_model_itself_cannot_be_another_one(arn: str, why: str) -> None:
    own = catalog({}, arns={arn: "us.amazon.nova-micro-v1:0"})

    with pytest.raises(ModelRefused, match=rf"models\.yaml: arns\.{arn}: {why}"):
        own.check(arn, tools=True, on=date.max)


def test_a_price_without_the_caches_classes_costs_them_as_input() -> None:
    made = catalog({NO_CARD: card({"version": "1", "input": 3, "output": 9})}).price(NO_CARD, on=date.max).price()

    assert (made.cache_read, made.cache_write_5m, made.cache_write_1h) == (3, 3, 3)


# What an agent cannot use


@pytest.mark.parametrize(
    ("facts", "model", "why"),
    [
        ({"tools": False}, NO_CARD, "takes no tools"),
        ({"converse_api": False}, NO_CARD, "Converse does not serve"),
        ({"prices": []}, NO_CARD, "No price"),
        ({"prices": [price(1, regions={"us": 100})]}, f"eu.{NO_CARD}", f"It has: us.{NO_CARD}"),
        ({"prices": [price(1, regions={"us": 100})]}, NO_CARD, f"It has: us.{NO_CARD}"),
    ],
)
def test_a_model_that_cannot_be_an_agents_is_refused_with_the_reason(
    facts: dict[str, Any], model: str, why: str
) -> None:
    with pytest.raises(ModelRefused, match=why):
        catalog({NO_CARD: card(**facts)}).check(model, tools=True, on=date.max)


def test_a_model_without_tools_is_fine_where_none_are_offered() -> None:
    catalog({NO_CARD: card(tools=False)}).check(NO_CARD, tools=False, on=date.max)


@pytest.mark.parametrize("model", [f"region.{NO_CARD}", f"us.{NO_CARD}"])
def test_a_family_that_it_has_and_the_stacks_own_are_fine(model: str) -> None:
    catalog({NO_CARD: card(price(1, regions={"us": 100}))}).check(model, tools=True, on=date.max)


# Broken files

GOOD = """
families:
  acme: {temperature: true}
models:
  acme.one:
    like: acme
    vendor: Acme
    name: One
    as_of: 2026-01-01
    context_window: 10
    max_output: 5
    prices:
    - {version: '1', valid_from: 2026-01-01, input: 1, output: 2, cache_read: 3, cache_write_5m: 4, cache_write_1h: 5}
"""
SECOND = "    - {version: '2', valid_from: 2026-01-01, input: 1, output: 2}\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[]", "(whole)"),
        (GOOD + "currency: USD\n", "currency"),
        (GOOD + "\tx", "line"),
        (GOOD + "2026-11-01: x\n", "keys"),
        (GOOD + "until: 2026-02-30\n", "day"),
        (GOOD + "more: &a [*a]\n", "Circular"),
        (GOOD + "arns: [x]\n", "arns: must be a mapping"),
        (GOOD + "arns: {x: 1}\n", "arns: must be a mapping, and each in it text"),
        (GOOD + "vendor: 1\n", "vendor: must be text"),
        (GOOD.replace("  acme: {temperature: true}", "  acme: yes"), "families: must be a mapping"),
        (GOOD.replace("like: acme", "like: acmo"), "there is no family 'acmo'. It must be one of: acme"),
        (GOOD.replace("{temperature: true}", "{like: acme}"), "the family acme is like itself"),
        (GOOD.replace("name: One", "sources: {prices: list}"), "sources.prices: there is no document 'list'"),
        (GOOD.replace("max_output: 5", "max_outputs: 5"), "models.acme.one: max_outputs"),
        (GOOD.replace("{temperature: true}", "{temperatures: true}"), "models.acme.one: temperatures"),
        (GOOD.replace("2026-01-01, input", "2026, input"), "valid_from"),
        (GOOD + SECOND, "later day"),
        (GOOD + SECOND.replace("2026-01-01", "2025-01-01"), "later day"),
        (GOOD + SECOND.replace("2026-01-01", "2026-02-01").replace("'2'", "'1'"), "version"),
        (GOOD.replace("output: 2", "output: 2, tiers: {flex: 0}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, tiers: {turbo: 50}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, tiers: {default: 50}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, tiers: {flex: {input: 1}}"), "tiers"),
        (GOOD.replace("output: 2", "output: 2, regions: {mars: 100}"), "regions"),
        (GOOD.replace("version: '1'", "x: 1"), "version"),
        (GOOD.replace("'1'", "''"), "version"),
        (GOOD.replace("'1'", "1"), "version"),
        (GOOD.replace("output: 2, ", ""), "models.acme.one: prices.0.output"),
        (GOOD.replace("cache_read: 3, ", ""), "models.acme.one: prices.0.cache_read"),
        (GOOD.replace("output: 2", "output: -2"), "models.acme.one: prices.0.output"),
        (GOOD.replace("output: 2", "output: 2.5"), "models.acme.one: prices.0.output"),
        (GOOD.replace("output: 2", "output: '2'"), "models.acme.one: prices.0.output"),
        (GOOD.replace("output: 2", "output: true"), "models.acme.one: prices.0.output"),
        (GOOD.replace("output: 2", "output: .nan"), "prices.0.output"),
        (GOOD.replace("output: 2", "out: 2"), "models.acme.one: prices.0.out"),
        (GOOD.replace("prices:", "prices: no\n    x:"), "must be a list"),
    ],
)
def test_a_broken_file_is_named_with_the_field(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(SettingInvalid) as refused:
        Catalog.of_playbook(tmp_path).card("acme.one")

    assert str(refused.value).startswith(f"{file}: ")
    assert named in str(refused.value)


def test_the_file_of_these_cases_is_good(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(GOOD, encoding="utf-8")

    assert Catalog.of_playbook(tmp_path).card("acme.one").temperature


def test_a_version_may_be_a_date_without_quotes(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(GOOD.replace("'1'", "2026-11-01"), encoding="utf-8")

    assert Catalog.of_playbook(tmp_path).price("acme.one", on=date.max).version == "2026-11-01"


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")

    for file in (tmp_path / "missing.yaml", binary):
        with pytest.raises(SettingInvalid, match=f"^{file}"):
            read_cards(file)


# The page

PAGE = Path("docs/models.md").read_text(encoding="utf-8")


def test_the_page_names_every_fact_of_a_card() -> None:
    parts = (ModelCard, Thinking, Cache, Dialect, Media, DatedPrice)
    names = {name for part in parts for name in part.model_fields} - {"id", "prices", "sources"}

    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []


def test_the_pages_own_cards_load(tmp_path: Path) -> None:
    block = next(text for text in PAGE.split("```yaml\n")[1:] if text.startswith("models:")).partition("```")[0]
    (tmp_path / "models.yaml").write_text(block, encoding="utf-8")

    own = Catalog.of_playbook(tmp_path)

    assert own.price(f"eu.{HAIKU}", on=date(2026, 12, 1)).price().input == 990_000
    assert own.price(NO_CARD, on=date(2026, 12, 1)).price().output == 5_000_000


def test_the_pages_profile_is_the_model_behind_it(tmp_path: Path) -> None:
    block = next(text for text in PAGE.split("```yaml\n")[1:] if text.startswith("arns:")).partition("```")[0]
    (tmp_path / "models.yaml").write_text(block, encoding="utf-8")
    [arn] = Catalog.of_playbook(tmp_path).own.arns

    assert Catalog.of_playbook(tmp_path).card(arn).id == HAIKU


# Reading


def test_another_id_of_a_platforms_model_is_found_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(
        "vendor: Acme\nas_of: 2026-11-29\n\nmodels:\n  acme.one:\n    also: [acme.two]\n    context_window: 9\n"
        "    max_output: 9\n  acme.three:\n    context_window: 8\n    max_output: 8\n",
        encoding="utf-8",
    )

    found = Catalog(vendors=tmp_path)

    assert (found.card("acme.two").id, found.card("acme.one").context_window) == ("acme.one", 9)
    assert found.card("acme.three").context_window == 8
    assert not found.knows("acme.thre")


@pytest.mark.parametrize("word", ["yes", "no", "off", "on"])
def test_a_word_of_a_card_is_text_and_not_a_boolean(tmp_path: Path, word: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        f"models:\n  acme.one:\n    name: {word}\n    tools: false\n    system: true\n"
        f"    thinking: {{default: yes, off: {{output_config: {{a: {word}}}}}}}\n",
        encoding="utf-8",
    )

    facts = read_cards(file).facts("acme.one")

    assert facts["name"] == word
    assert facts["thinking"] == {"default": "yes", "off": {"output_config": {"a": word}}}
    assert (facts["tools"], facts["system"]) == (False, True)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"context_window": 10**25}, "context_window: Input should be less than or equal to 100000000"),
        ({"tool_name": "^(a+)+$"}, "tool_name: .*a text could take it hours"),
        ({"tool_use_id": "^(a|a)*$"}, "tool_use_id: .*a text could take it hours"),
        ({"tool_name": "^" + "[a-z_]*" * 10 + "$"}, "tool_name: .*has 10 repetitions without a small end"),
        ({"prices": [price(1, input=0)]}, r"prices: 1: input: is 0, so no limit would bound a run"),
        ({"prices": [price(1, output=0)]}, r"prices: 1: output: is 0"),
        ({"on_demand": False, "profiles": []}, "nothing could call it"),
    ],
)
def test_a_fact_that_cannot_be_right_is_refused_at_load(facts: dict[str, Any], why: str) -> None:
    with pytest.raises((ModelRefused, SettingInvalid), match=why):
        catalog({NO_CARD: card(**facts)}).check(NO_CARD, tools=True, on=date.max)


def test_facts_under_a_profiles_id_are_refused_with_the_place_where_they_belong() -> None:
    own = Catalog(CardFile(models={f"us.{HAIKU}": {"retires": None}}))

    with pytest.raises(SettingInvalid, match=rf"is the id of an inference profile\. Write its facts under {HAIKU}"):
        own.card(f"us.{HAIKU}")
