"""Models and prices follow the region that the stack is in."""

import re
from datetime import UTC, datetime

import pytest

from ballast.money import load_prices
from ballast.money.prices import PriceTable
from ballast.playbook import load_playbook
from tests.functions.playbook.desk import FOLDER

HAIKU, NOVA = "anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-pro-v1:0"
NOW = load_prices().at(datetime(2026, 12, 1, tzinfo=UTC))
BEFORE = load_prices().at(datetime(2026, 6, 1, tzinfo=UTC))


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
        ("sa-east-1", "global.", ""),
        ("af-south-1", "global.", ""),
        ("us-gov-west-1", "", ""),
        ("cn-north-1", "", ""),
        ("us-iso-east-1", "", ""),
        ("", "global.", ""),
    ],
)
def test_a_model_is_called_by_the_profile_of_the_region(region: str, haiku: str, nova: str) -> None:
    playbook = load_playbook(FOLDER).in_region(region, NOW)

    assert (playbook.agent.model, playbook.agent.cheaper_model) == (haiku + HAIKU, nova + NOVA)
    assert playbook.agent.second_model is None
    for model in (playbook.agent.model, str(playbook.agent.cheaper_model)):
        assert NOW.price(model).output > 0


@pytest.mark.parametrize(
    "model", ["eu.anthropic.x", "my-own", "regional.x", "", "arn:aws:bedrock:x:1:inference-profile/a"]
)
def test_a_model_that_does_not_follow_stays_as_it_is(model: str) -> None:
    assert NOW.in_region(model, "us-east-1") == model


def test_a_model_that_the_table_does_not_know_is_called_by_its_own_name() -> None:
    assert NOW.in_region("region.acme.oracle-v1", "us-east-1") == "acme.oracle-v1"


@pytest.mark.parametrize("model", [one for one in NOW.models if re.search("4-[56]", one)])
@pytest.mark.parametrize("geography", ["us", "eu", "jp", "au"])
def test_a_regional_profile_costs_a_tenth_more_than_the_global_one(model: str, geography: str) -> None:
    regional, globally = NOW.price(f"{geography}.{model}"), NOW.price(f"global.{model}")

    for name in type(regional).model_fields:
        assert getattr(regional, name) * 10 == getattr(globally, name) * 11


def test_a_profile_that_is_not_listed_is_never_undercharged() -> None:
    dearest = max(NOW.price(f"{one}.{HAIKU}").output for one in ("us", "eu", "jp", "au", "global"))

    assert NOW.price(f"apac.{HAIKU}").output == dearest
    assert NOW.price(f"region.{HAIKU}").output == dearest


def test_every_listed_profile_is_the_first_of_some_region_or_dearer_tables_stay() -> None:
    assert BEFORE.version != NOW.version
    assert BEFORE.price(f"us.{HAIKU}").output == 5_000_000
    assert load_prices().of("2026-11-01").price(f"eu.{HAIKU}").output == 5_500_000


def test_a_tier_costs_its_part_of_the_profiles_price() -> None:
    price = dict.fromkeys(("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"), 100)
    model = price | {"tiers": {"flex": 50, "priority": price | {"output": 300}}, "profiles": {"eu": 110}}
    table = PriceTable.model_validate({"version": "1", "models": {"m": model}}, strict=False)

    from ballast.contracts.service_tier import ServiceTier

    assert table.price("eu.m", ServiceTier.FLEX).output == 55
    assert table.price("eu.m", ServiceTier.PRIORITY).output == 330
    assert table.price("m").output == 100
