"""Models and prices follow the region that the stack is in."""

import re
from datetime import date

import pytest

from ballast.models.card import DatedPrice, ModelCard
from ballast.models.catalog import Catalog
from ballast.money import Price
from ballast.money.prices import CLASSES, highest
from ballast.playbook import load_playbook
from tests.functions.playbook.desk import FOLDER

HAIKU, NOVA = "anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0"
MODELS = Catalog()
BEFORE, NOW = date(2026, 6, 1), date(2026, 12, 1)


def price(model: str, on: date = NOW) -> Price:
    return MODELS.price(model, on=on).price()


@pytest.mark.parametrize(
    ("region", "haiku", "nova"),
    [
        ("eu-west-1", "eu.", "eu."),
        ("eu-central-2", "eu.", "eu."),
        ("us-east-1", "us.", "us."),
        ("us-west-2", "us.", "us."),
        ("ca-central-1", "us.", "us."),
        ("ap-northeast-1", "jp.", "apac."),
        ("ap-southeast-2", "au.", "apac."),
        ("ap-south-1", "global.", "apac."),
        ("me-central-1", "global.", ""),
        ("sa-east-1", "global.", "region."),
        ("af-south-1", "global.", "region."),
        ("us-gov-west-1", "region.", ""),
        ("cn-north-1", "region.", "region."),
        ("us-iso-east-1", "region.", "region."),
        ("", "global.", "region."),
    ],
)
def test_a_model_is_called_by_the_profile_of_the_region(region: str, haiku: str, nova: str) -> None:
    playbook = load_playbook(FOLDER).in_region(region)

    assert (playbook.agent.model, playbook.agent.cheaper_model) == (haiku + HAIKU, nova + NOVA)
    assert playbook.agent.second_model is None
    for model in (playbook.agent.model, str(playbook.agent.cheaper_model)):
        assert price(model).output > 0


@pytest.mark.parametrize(
    "model", ["eu.anthropic.x", "my-own", "regional.x", "", "arn:aws:bedrock:x:1:inference-profile/a"]
)
def test_a_model_that_does_not_follow_stays_as_it_is(model: str) -> None:
    assert MODELS.in_region(model, "us-east-1") == model


@pytest.mark.parametrize(
    ("region", "called"),
    [("ap-south-1", "in."), ("ap-south-2", "in."), ("ap-southeast-1", "global."), ("us-east-1", "us.")],
)
def test_a_model_with_a_profile_of_india_is_called_by_it_there(region: str, called: str) -> None:
    kimi = "moonshotai.kimi-k3"

    assert MODELS.in_region(f"region.{kimi}", region) == called + kimi
    assert MODELS.card(f"in.{kimi}").id == kimi
    assert price(f"in.{kimi}").input == price(f"us.{kimi}").input > price(f"global.{kimi}").input


def test_a_model_that_the_table_does_not_know_is_called_by_its_own_name() -> None:
    assert MODELS.in_region("region.acme.oracle-v1", "us-east-1") == "acme.oracle-v1"


@pytest.mark.parametrize("model", [one for one in MODELS.ids() if re.search("claude.*4-[56]", one)])
@pytest.mark.parametrize("geography", ["us", "eu", "jp", "au"])
def test_a_regional_profile_costs_a_tenth_more_than_the_global_one(model: str, geography: str) -> None:
    regional, globally = price(f"{geography}.{model}"), price(f"global.{model}")

    for name in CLASSES:
        assert getattr(regional, name) * 10 == getattr(globally, name) * 11


def test_a_profile_that_is_not_listed_is_never_undercharged() -> None:
    listed = [HAIKU if one == "in-region" else f"{one}.{HAIKU}" for one in MODELS.card(HAIKU).prices[-1].regions]
    dearest = max(price(model).output for model in listed)

    assert price(f"apac.{HAIKU}").output == dearest
    assert price(f"region.{HAIKU}").output == dearest


def test_every_listed_profile_is_the_first_of_some_region_or_dearer_tables_stay() -> None:
    assert MODELS.price(HAIKU, on=BEFORE).version != MODELS.price(HAIKU, on=NOW).version
    assert price(f"us.{HAIKU}", BEFORE).output == 5_000_000
    assert MODELS.price_of("2026-11-01", f"eu.{HAIKU}").price().output == 5_500_000


@pytest.mark.parametrize(
    ("model", "region", "percent"),
    [
        ("amazon.nova-lite-v1:0", "us-east-1", 100),
        ("amazon.nova-lite-v1:0", "us-gov-west-1", 120),
        ("amazon.nova-lite-v1:0", "eu-north-1", 120),  # not known, so as the most expensive one
        (NOVA, "us-east-1", 100),
        ("openai.gpt-oss-120b-1:0", "us-east-1", 100),
        ("minimax.minimax-m2.5", "eu-west-1", 120),
        ("minimax.minimax-m2.5", "", 157),
        ("us.amazon.nova-lite-v1:0", "us-gov-west-1", 100),  # a profile costs the same wherever it is called
    ],
)
def test_a_models_own_id_costs_what_its_region_costs(model: str, region: str, percent: int) -> None:
    card = MODELS.card(model)

    made = MODELS.price_of(card.prices[-1].version, model, region).price()

    assert made.input * 100 == card.prices[-1].input * percent
    assert made.output * 100 == card.prices[-1].output * percent


@pytest.mark.parametrize("card", MODELS.cards(), ids=lambda one: one.id)
def test_no_region_costs_more_than_an_attempt_is_reserved_at(card: ModelCard) -> None:
    for price in card.prices:
        reserved = price.of(card.id, "in-region").price()
        for region in [*price.regions, "mars-1"]:
            charged = price.of(card.id, "in-region", region).price()
            assert highest([charged, reserved]) == reserved


def test_a_region_that_costs_more_than_in_region_raises_what_is_reserved() -> None:
    dated = DatedPrice.model_validate(
        {**dict.fromkeys(CLASSES, 100), "version": "1", "regions": {"in-region": 100, "eu-west-2": 150, "us": 90}}
    )

    assert dated.of("acme.one", "in-region").price().input == 150
    assert dated.of("acme.one", "in-region", "eu-west-2").price().input == 150
    assert dated.of("acme.one", "in-region", "eu-west-1").price().input == 150  # not listed
    assert dated.of("acme.one", "us").price().input == 90
