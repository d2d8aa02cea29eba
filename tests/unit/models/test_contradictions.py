"""A playbook's own card whose facts contradict each other does not load, and the error says which and what to do."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.errors import ModelRefused, SettingInvalid
from ballast.models.card_file import CardFile
from ballast.models.catalog import Catalog
from ballast.models.contradictions import contradictions
from cli.commands.prices import problems

DAY = date(2026, 6, 1)
PRICE = {"version": "1", "input": 1, "output": 1, "cache_read": 1, "cache_write_5m": 1, "cache_write_1h": 1}
FACTS: dict[str, Any] = {
    "vendor": "Acme",
    "as_of": "2026-01-01",
    "context_window": 100_000,
    "max_output": 8_000,
    "prices": [PRICE],
}
IMAGES = {"formats": ["png"], "most": 1, "most_bytes": 9}
DOCUMENTS = {"formats": ["pdf"], "most": 1, "most_bytes": 9}
SENT = {"additional_fields": {"a": 1}}
BUDGET = {"least": 1_024, "additional_fields": {"a": "$budget"}}
EFFORT = {"levels": {"low": []}, "additional_fields": {"a": ["$effort"]}}

CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "more output than window": ({"max_output": 100_001}, "max_output: is 100001, above context_window"),
    "a cache that nothing reaches": (
        {"cache": {"places": ["system"], "least_tokens": 100_001}},
        "cache.least_tokens: is 100001, above context_window",
    ),
    "least above most": (
        {"cache": {"places": ["system"], "least_tokens": 9, "most_tokens": 8}},
        "cache.least_tokens: is 9, above most_tokens, which is 8",
    ),
    "a place twice": (
        {"cache": {"places": ["system", "system"], "least_tokens": 9}},
        "cache.places: names system twice",
    ),
    "a lifetime twice": (
        {"cache": {"places": ["system"], "least_tokens": 9, "ttls": ["5m", "5m"]}},
        "cache.ttls: names 5m twice",
    ),
    "five minutes after an hour": (
        {"cache": {"places": ["system"], "least_tokens": 9, "ttls": ["1h", "5m"]}},
        "cache.ttls: names 5m after 1h",
    ),
    "no room for an answer": ({"max_output": 63}, "max_output: is 63; an answer of less than 64"),
    "points after a system prompt that it does not take": (
        {"system": False, "cache": {"places": ["system"], "least_tokens": 9}},
        "cache.places: names system, and system is false",
    ),
    "points after tools that it does not take": (
        {"tools": False, "cache": {"places": ["tools"], "least_tokens": 9}},
        "cache.places: needs tools",
    ),
    "strict tools and no tools": ({"tools": False, "strict_tools": True}, "strict_tools: needs tools"),
    "changes of tools and no tools": ({"tools": False, "tool_changes": True}, "tool_changes: needs tools"),
    "images in results and no tools": (
        {"tools": False, "images": {**IMAGES, "in_results": True}},
        "images.in_results: needs tools",
    ),
    "documents in results and no tools": (
        {"tools": False, "documents": {**DOCUMENTS, "in_results": True}},
        "documents.in_results: needs tools",
    ),
    "a choice twice": ({"tool_choice": ["auto", "auto"]}, "tool_choice: names auto twice"),
    "references without definitions": (
        {"tool_schema": {"refs": True, "root_keys": ["type", "properties"]}},
        "tool_schema.refs: is true, and root_keys lacks $defs",
    ),
    "references that are left out": (
        {"tool_schema": {"refs": True, "root_keys": None, "unsupported": ["$defs"]}},
        "tool_schema.refs: is true, and unsupported names $defs",
    ),
    "a root without arguments": (
        {"tool_schema": {"refs": False, "root_keys": ["type"]}},
        "tool_schema.root_keys: must have properties",
    ),
    "arguments that are left out": (
        {"tool_schema": {"root_keys": None, "unsupported": ["properties"]}},
        "tool_schema.unsupported: without properties",
    ),
    "a keyword that is taken and left out": (
        {"tool_schema": {"refs": False, "root_keys": ["type", "properties", "title"], "unsupported": ["title"]}},
        "tool_schema.root_keys: names title, which unsupported names as well",
    ),
    "closed objects that are not taken, at the root": (
        {
            "tool_schema": {
                "refs": False,
                "additional_properties": False,
                "root_keys": ["type", "properties", "additionalProperties"],
            }
        },
        "tool_schema.root_keys: names additionalProperties",
    ),
    "closed objects that are taken and left out": (
        {"tool_schema": {"root_keys": None, "additional_properties": True, "unsupported": ["additionalProperties"]}},
        "tool_schema.additional_properties: is true, and unsupported names",
    ),
    "more images than Converse takes": (
        {"images": {**IMAGES, "most": 21}},
        "images.most: is 21; Converse takes at most",
    ),
    "larger documents than Converse takes": (
        {"documents": {**DOCUMENTS, "most_bytes": 10**9}},
        "documents.most_bytes: is 1000000000; Converse takes",
    ),
    "a format twice": ({"images": {**IMAGES, "formats": ["png", "png"]}}, "images.formats: names png twice"),
    "an image larger than the window": (
        {"images": {**IMAGES, "most_tokens": 100_001}},
        "images.most_tokens: is 100001, above context_window",
    ),
    "a budget that is sent nowhere": (
        {"thinking": {"budget": {**BUDGET, **SENT}}},
        "thinking.budget.additional_fields: must hold the text $budget",
    ),
    "an effort that is sent nowhere": (
        {"thinking": {"effort": {**EFFORT, **SENT}}},
        "thinking.effort.additional_fields: must hold the text $effort",
    ),
    "another placeholder": (
        {"thinking": {"budget": {"least": 9, "additional_fields": {"a": "$budget", "b": ["$effort"]}}}},
        "thinking.budget.additional_fields: $effort would be sent as it is",
    ),
    "a placeholder where no value is": (
        {"thinking": {"adaptive": {"output_config": {"a": {"b": "$budget"}}}}},
        "thinking.adaptive.additional_fields: $budget would be sent as it is",
    ),
    "thinking that nothing asks for": ({"thinking": {"adaptive": {}}}, "thinking.adaptive.additional_fields: is empty"),
    "thinking that cannot be": ({"thinking": {}}, "thinking.default: is no, and nothing asks for thinking"),
    "off, and always on": ({"thinking": {"default": "always", "off": SENT}}, "thinking.off: forbids what default says"),
    "off, and never on": ({"thinking": {"effort": EFFORT, "off": SENT}}, "thinking.off: forbids what default says"),
    "on, and no way off": ({"thinking": {"default": "yes"}}, "thinking.off: must say how thinking is forbidden"),
    "reasoning that must go back and never came": (
        {"thinking": {"budget": BUDGET, "returned": False, "given_back": "must"}},
        "thinking.given_back: is must, and returned is false",
    ),
    "thinking without a bound": (
        {"thinking": {"budget": BUDGET, "forbids": ["max_tokens"]}},
        "thinking.forbids: max_tokens would leave attempts without a bound",
    ),
    "a usual level without a bound": (
        {"thinking": {"effort": {**EFFORT, "levels": {"high": ["max_tokens"]}, "default": "high"}}},
        "thinking.effort.default: high takes no max_tokens",
    ),
    "a budget above every reply": (
        {"thinking": {"budget": {**BUDGET, "least": 8_000}}},
        "thinking.budget.least: must be below max_output",
    ),
    "a temperature that is always forbidden": (
        {"temperature": True, "thinking": {"default": "always", "forbids": ["temperature"]}},
        "temperature: is true, and thinking.forbids it",
    ),
    "a choice that is always forbidden": (
        {"tool_choice": ["any"], "thinking": {"default": "always", "forbids": ["forced_tool_choice"]}},
        "tool_choice: thinking.forbids a forced one",
    ),
    "both settings without one of them": (
        {"temperature": True, "temperature_with_top_p": True},
        "temperature_with_top_p: needs temperature and top_p",
    ),
    "a long prompt beyond the window": (
        {"prices": [PRICE | {"long_prompt": {"over": 100_000, "input": 200, "output": 200}}]},
        "prices: 1: long_prompt.over must be below context_window",
    ),
    "no id of a call": ({"tool_use_id": "^[0-9]+$"}, "tool_use_id: fits none of the ids that Ballast sends"),
    "itself under another name": ({"also": ["acme.one"]}, "also: names acme.one itself"),
    "an ARN as an id": ({"also": ["arn:aws:bedrock:eu-west-1:1:x/y"]}, "id: arn:aws:bedrock:eu-west-1:1:x/y is an ARN"),
}


def own(facts: dict[str, Any]) -> Catalog:
    return Catalog(CardFile.of({"models": {"acme.one": FACTS | facts}}))


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused_with_its_fields(name: str) -> None:
    facts, words = CONTRADICTIONS[name]

    with pytest.raises(ModelRefused) as refused:
        own(facts).check("acme.one", tools=False, on=DAY)

    assert str(refused.value).startswith(f"models.yaml: models.acme.one: {words}")


def test_a_card_that_sends_what_it_says_is_taken() -> None:
    thinking = {"default": "yes", "budget": BUDGET, "effort": EFFORT, "adaptive": SENT, "off": SENT}
    cache = {"places": ["tools", "system"], "least_tokens": 8, "most_tokens": 8}
    own({"thinking": thinking, "cache": cache, "images": IMAGES, "documents": DOCUMENTS}).check(
        "acme.one", tools=True, on=DAY
    )


@pytest.mark.parametrize("part", ["images", "documents"])
def test_a_format_that_converse_does_not_have_is_refused_with_those_it_has(part: str) -> None:
    wrong = {"formats": ["tiff"], "most": 1, "most_bytes": 1}
    known = {"images": "'png', 'jpeg', 'gif' or 'webp'", "documents": "'pdf', 'csv', 'doc', 'docx'"}

    with pytest.raises(SettingInvalid, match=f"{part}.formats.0: Input should be {known[part]}"):
        own({part: wrong}).card("acme.one")


def test_the_tokens_of_a_document_are_no_fact_of_a_card() -> None:
    with pytest.raises(SettingInvalid, match=r"documents\.most_tokens: Extra"):
        own({"documents": {**DOCUMENTS, "most_tokens": 9}}).card("acme.one")


def test_no_card_of_the_platform_contradicts_itself() -> None:
    assert [(card.id, said) for card in Catalog().cards() for said in contradictions(card)] == []


def test_a_fact_that_a_playbook_changes_is_compared_with_the_platforms(tmp_path: Path) -> None:
    nova = "amazon.nova-pro-v1:0"
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": {nova: {"context_window": 4}}}), encoding="utf-8")
    (tmp_path / "agent.yaml").write_text("name: a\nmodel: acme.one\ninstructions: Help.\n", encoding="utf-8")

    assert any(f"models.{nova}: max_output: is" in one for one in problems(tmp_path))
    with pytest.raises(ModelRefused, match="above context_window, which is 4"):
        Catalog.of_playbook(tmp_path).check(nova, tools=True, on=DAY)
