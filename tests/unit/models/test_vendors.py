"""The shipped cards say what Bedrock's models are known to take, refuse and cost."""

import re
from datetime import date

import pytest

from ballast.errors import ModelRefused
from ballast.models.card_file import CardFile
from ballast.models.catalog import Catalog
from localcloud.converse.rules import refused

MODELS = Catalog()
NOW = date(2026, 12, 1)
VENDORS = {
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "moonshotai",
    "nvidia",
    "openai",
    "qwen",
    "writer",
    "xai",
    "zai",
}
#: They refuse every temperature: pydantic-ai 2.68.0 by live requests; logancyang/obsidian-copilot#2600.
REFUSE_TEMPERATURE = [
    *(f"anthropic.claude-{one}" for one in ("opus-4-7", "opus-4-8", "opus-5", "opus-5-5", "sonnet-5", "sonnet-5-5")),
    *(f"anthropic.claude-{one}" for one in ("haiku-5-5", "fable-5", "fable-5-1", "mythos-5")),
    *(f"openai.gpt-{one}" for one in ("5.6-sol", "5.6-luna", "5.6-terra", "6-sol", "6-luna", "6-astra", "6.1-sol")),
    "xai.grok-4.6",
    "xai.grok-4.7",
    "deepseek.r1-v1:0",
]


def test_each_vendor_of_a_text_model_has_cards() -> None:
    assert {model.partition(".")[0] for model in MODELS.ids()} == VENDORS


@pytest.mark.parametrize("model", MODELS.ids())
def test_a_model_that_can_be_an_agents_has_a_price_today_and_the_others_say_why(model: str) -> None:
    shipped = MODELS.card(model)

    if shipped.converse_api and shipped.prices:
        assert MODELS.price(model, on=NOW).price().output > 0
        assert shipped.families
    else:
        with pytest.raises(ModelRefused, match=r"Converse does not serve|No price for the model"):
            MODELS.check(model, tools=False, on=NOW)


@pytest.mark.parametrize("model", REFUSE_TEMPERATURE)
def test_a_model_that_refuses_temperature_is_sent_none(model: str) -> None:
    shipped = MODELS.card(model)

    assert (shipped.temperature, shipped.top_p, shipped.temperature_with_top_p) == (False, False, False)


@pytest.mark.parametrize("model", [one for one in MODELS.ids() if one.startswith(("meta.", "mistral.", "writer."))])
def test_llama_mistral_and_palmyra_take_no_text_beside_results(model: str) -> None:
    shipped = MODELS.card(model)

    assert not shipped.text_beside_results
    assert shipped.result_status is not model.startswith("writer.")


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("anthropic.claude-haiku-4-5-20251001-v1:0", 4096),
        ("anthropic.claude-opus-4-5-20251101-v1:0", 4096),
        ("anthropic.claude-opus-4-6-v1", 4096),
        ("anthropic.claude-opus-4-7", 2048),
        ("anthropic.claude-opus-4-8", 1024),
        ("anthropic.claude-opus-5", 512),
        ("anthropic.claude-sonnet-5", 1024),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 1024),
        ("anthropic.claude-haiku-5-5", 512),
        ("anthropic.claude-sonnet-4-6", 2048),
        ("amazon.nova-lite-v1:0", 1536),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", 1024),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", 2048),
        ("amazon.nova-pro-v1:0", 1024),
    ],
)
def test_a_model_caches_from_its_own_number_of_tokens_on(model: str, tokens: int) -> None:
    cache = MODELS.card(model).cache

    assert cache is not None
    assert cache.least_tokens == tokens


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("openai.gpt-6-sol", {"reasoning": {"effort": "high"}}),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "high"}),
        ("deepseek.v3.2", {"reasoning_effort": "high"}),
        ("qwen.qwen3-32b-v1:0", {"reasoning_config": "high"}),
        ("xai.grok-4.6", {"reasoning": {"effort": "high"}}),
        ("zai.glm-5", {"reasoning_effort": "high"}),
        ("zai.glm-5.3", {"reasoning_effort": "high"}),
        ("amazon.nova-2-lite-v1:0", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}),
        ("anthropic.claude-opus-5", {"output_config": {"effort": "high"}}),
    ],
)
def test_each_vendor_is_asked_for_effort_in_its_own_way(model: str, fields: dict[str, object]) -> None:
    thinking = MODELS.card(model).thinking

    assert thinking is not None
    assert thinking.effort is not None
    assert "high" in thinking.effort.levels
    assert thinking.effort.given(effort="high").additional_fields == fields


@pytest.mark.parametrize(
    ("model", "default", "off"),
    [
        ("anthropic.claude-opus-4-8", "no", None),
        ("anthropic.claude-opus-5", "yes", {"thinking": {"type": "disabled"}}),
        ("anthropic.claude-sonnet-5-5", "yes", {"thinking": {"type": "between_tools"}}),
        ("anthropic.claude-opus-5-5", "always", None),
        ("openai.gpt-6-sol", "yes", {"reasoning": {"effort": "none"}}),
        ("openai.gpt-6-astra", "always", None),
        ("xai.grok-4.7", "always", None),
    ],
)
def test_a_model_thinks_by_itself_as_its_card_says(model: str, default: str, off: dict[str, object] | None) -> None:
    thinking = MODELS.card(model).thinking

    assert thinking is not None
    assert thinking.default == default
    assert (thinking.off.additional_fields if thinking.off else None) == off


@pytest.mark.parametrize("model", ["opus-5-5", "sonnet-5-5", "fable-5-1", "mythos-5-1"])
def test_a_claude_that_cannot_be_forced_to_call_is_not(model: str) -> None:
    assert MODELS.card(f"anthropic.claude-{model}").tool_choice == ("auto",)


@pytest.mark.parametrize(
    ("model", "tokens", "input_rate", "output_rate"),
    [
        ("global.anthropic.claude-haiku-5-5", 100_000, 100_000, 500_000),
        ("global.anthropic.claude-haiku-5-5", 100_001, 500_000, 2_500_000),
        ("us.anthropic.claude-haiku-5-5", 100_001, 550_000, 2_750_000),
        ("global.openai.gpt-6-sol", 272_000, 2_000_000, 10_000_000),
        ("global.openai.gpt-6-sol", 272_001, 4_000_000, 15_000_000),
        ("eu.amazon.nova-pro-v1:0", 1, 1_050_000, 4_200_000),
        ("eu.deepseek.v3.2", 1, 740_000, 2_220_000),
        ("minimax.minimax-m2.5", 1, 471_000, 1_884_000),
    ],
)
def test_a_price_is_that_of_the_family_and_the_length(
    model: str, tokens: int, input_rate: int, output_rate: int
) -> None:
    made = MODELS.price(model, on=NOW).price().of_prompt(tokens)

    assert (made.input, made.output) == (input_rate, output_rate)


#: Models of generations that Bedrock has retired or is retiring, each with its day.
LEGACY = {
    "amazon.nova-premier-v1:0": date(2026, 9, 14),
    "anthropic.claude-3-5-haiku-20241022-v1:0": date(2026, 6, 19),
    "anthropic.claude-3-5-sonnet-20240620-v1:0": date(2026, 3, 1),
    "anthropic.claude-3-5-sonnet-20241022-v2:0": date(2026, 3, 1),
    "anthropic.claude-3-7-sonnet-20250219-v1:0": date(2026, 4, 28),
    "anthropic.claude-3-haiku-20240307-v1:0": date(2026, 9, 10),
    "anthropic.claude-3-opus-20240229-v1:0": date(2026, 1, 15),
    "anthropic.claude-opus-4-1-20250805-v1:0": date(2027, 1, 8),
    "anthropic.claude-opus-4-20250514-v1:0": date(2026, 6, 2),
    "anthropic.claude-sonnet-4-20250514-v1:0": date(2026, 10, 14),
}
_OLD = ("anthropic.claude-3-", "anthropic.claude-opus-4-1-", "amazon.nova-premier-")
_OLD_NAMES = re.compile(r"anthropic\.claude-(opus|sonnet)-4-2025")


@pytest.mark.parametrize("model", [one for one in MODELS.ids() if one.startswith(_OLD) or _OLD_NAMES.match(one)])
def test_a_model_of_a_retired_generation_has_its_day(model: str) -> None:
    known = LEGACY[model]

    assert MODELS.card(model).retires == known
    with pytest.raises(ModelRefused, match=f"served until {known}"):
        MODELS.check(
            model if "in-region" in MODELS.card(model).families else f"us.{model}",
            tools=True,
            on=known,
            check_retired=True,
        )


def test_no_day_on_which_a_retired_model_costs_too_little_is_to_come() -> None:
    model = "us.anthropic.claude-3-5-sonnet-20240620-v1:0"  # AWS doubled it on 2025-12-01, the card on 2026-11-30

    assert MODELS.price(model, on=date(2026, 11, 29)).price().input == 3_000_000
    assert MODELS.price(model, on=date(2026, 11, 30)).price().input == 6_000_000
    for day in (date(2026, 3, 1), date(2026, 11, 29)):
        with pytest.raises(ModelRefused, match="served until 2026-03-01"):
            MODELS.check(model, tools=True, on=day, check_retired=True)


@pytest.mark.parametrize("model", ["meta.llama3-3-70b-instruct-v1:0", "meta.llama4-scout-17b-instruct-v1:0"])
def test_what_only_profiles_reach_is_refused_by_its_own_id(model: str) -> None:
    MODELS.check(f"us.{model}", tools=True, on=NOW)

    with pytest.raises(ModelRefused, match=rf"has no form without an inference profile\. It has: us\.{model}"):
        MODELS.check(model, tools=True, on=NOW)


@pytest.mark.parametrize(
    "model",
    [
        "eu.anthropic.claude-fable-5-1",
        "us-gov.anthropic.claude-fable-5-1",
        *(f"anthropic.claude-{one}" for one in ("fable-5-1", "haiku-5-5", "sonnet-5-5", "opus-5-5", "opus-5")),
        *(f"anthropic.claude-{one}" for one in ("opus-4-8", "sonnet-5", "sonnet-4-6", "opus-4-1-20250805-v1:0")),
        *("amazon.nova-2-lite-v1:0", "amazon.nova-premier-v1:0", "mistral.pixtral-large-2502-v1:0"),
        *("openai.gpt-6-sol", "moonshotai.kimi-k3", "meta.llama4-scout-17b-instruct-v1:0"),
    ],
)
def test_a_form_that_only_a_price_list_knows_is_refused_here_and_by_the_double(model: str) -> None:
    base, family = MODELS.named(model)
    assert family in MODELS.card(model).prices[-1].regions or model.startswith("us-gov.") or family == "in-region"

    with pytest.raises(ModelRefused, match=rf"It has: \w+(-\w+)?\.{re.escape(base)}.*say so for it in models.yaml"):
        MODELS.check(model, tools=True, on=NOW)
    said = refused({"messages": [{"role": "user", "content": [{"text": "Hello."}]}]}, model)
    assert said is not None
    assert said.rule.name in ("the profile exists", "a profile is needed")


def test_every_shipped_model_says_where_it_is_served() -> None:
    silent = [one.id for one in MODELS.cards() if one.converse_api and None in (one.on_demand, one.profiles)]

    assert silent == []


def test_a_playbook_may_say_that_bedrock_serves_a_form_by_now() -> None:
    facts = {"anthropic.claude-fable-5-1": {"on_demand": True, "profiles": ["eu"]}}
    own = Catalog(CardFile(models=facts))

    for model in ("anthropic.claude-fable-5-1", "eu.anthropic.claude-fable-5-1"):
        own.check(model, tools=True, on=NOW)
    with pytest.raises(ModelRefused, match="has no inference profile us"):
        own.check("us.anthropic.claude-fable-5-1", tools=True, on=NOW)


def test_provisioned_capacity_needs_no_calls_by_the_models_own_id() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/desk"
    own = Catalog(CardFile(arns={arn: "anthropic.claude-haiku-5-5", f"{arn}-2": "eu.anthropic.claude-fable-5-1"}))

    own.check(arn, tools=True, on=NOW)
    with pytest.raises(ModelRefused, match=r"no inference profile eu\."):
        own.check(f"{arn}-2", tools=True, on=NOW)


@pytest.mark.parametrize(("model", "most"), [("nova-2-lite-v1:0", 5), ("nova-lite-v1:0", 20), ("nova-pro-v1:0", 20)])
def test_nova_2_takes_fewer_images_in_a_request_than_nova_1(model: str, most: int) -> None:
    images = MODELS.card(f"amazon.{model}").images

    assert images is not None
    assert images.most == most
