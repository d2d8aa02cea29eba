"""Settings of a playbook's ``inference`` that a model takes, by its card."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ballast.models.card import ModelCard
from ballast.playbook.inference import Inference

BUDGET = {"least": 1024, "additional_fields": {"thinking": {"type": "enabled", "budget_tokens": "$budget"}}}
ADAPTIVE = {"additional_fields": {"thinking": {"type": "adaptive"}}}
EFFORT = {
    "levels": {"low": [], "high": ["max_tokens"]},
    "additional_fields": {"output_config": {"effort": "$effort"}},
}
OFF = {"additional_fields": {"thinking": {"type": "disabled"}}}


def card(**facts: Any) -> ModelCard:
    """Return the card of a model that takes a temperature, and what ``facts`` say."""
    known = {
        "id": "acme.m",
        "vendor": "Acme",
        "name": "M",
        "as_of": date(2026, 11, 29).isoformat(),
        "context_window": 100_000,
        "max_output": 8_000,
        "temperature": True,
    }
    return ModelCard.model_validate(known | facts, strict=False)


def test_by_default_a_temperature_of_0_is_sent_where_it_is_taken_and_nothing_else() -> None:
    assert Inference().taken_by(card()).temperature == "0"

    taken = Inference().taken_by(card(temperature=False))
    assert (taken.temperature, taken.top_p, taken.additional_fields) == (None, None, {})


def test_a_model_that_takes_one_of_both_gets_the_one_that_the_author_wrote() -> None:
    both = card(top_p=True)

    wrote = Inference(top_p="0.5")
    assert (wrote.taken_by(both).temperature, wrote.taken_by(both).top_p) == (None, "0.5")

    two = Inference(top_p="0.5", temperature="0.2").taken_by(both)
    assert (two.temperature, two.top_p) == ("0.2", None)
    assert "not both" in two.refused["top_p"]


def test_thinking_is_asked_for_by_a_budget_and_leaves_out_what_it_forbids() -> None:
    thinker = card(thinking={"budget": BUDGET, "forbids": ["temperature", "top_p"]}, top_p=True)

    taken = Inference(thinking=2_000, top_p="0.5").taken_by(thinker)

    assert taken.additional_fields == {"thinking": {"type": "enabled", "budget_tokens": 2_000}}
    assert (taken.temperature, taken.top_p) == (None, None)
    assert (taken.budget, taken.thinking_tokens) == (2_000, 2_000)
    assert Inference().taken_by(thinker).temperature == "0"  # it does not think unless it is asked to


def test_a_budget_is_at_least_the_models_smallest_and_leaves_room_for_an_answer() -> None:
    thinker = card(thinking={"budget": BUDGET})

    assert Inference(thinking=10).taken_by(thinker).budget == 1_024

    taken = Inference(thinking=8_000).taken_by(thinker)
    assert (taken.budget, taken.additional_fields) == (0, {})
    assert "at most 8000 tokens" in taken.refused["thinking"]


def test_a_budget_becomes_adaptive_thinking_where_there_is_no_budget() -> None:
    taken = Inference(thinking=2_000, thinking_room=500).taken_by(card(thinking={"adaptive": ADAPTIVE}))

    assert taken.additional_fields == {"thinking": {"type": "adaptive"}}
    assert (taken.budget, taken.thinking_tokens) == (0, 500)
    assert "thinking" in taken.refused


def test_thinking_and_effort_are_merged() -> None:
    both = card(thinking={"adaptive": ADAPTIVE, "effort": EFFORT})

    taken = Inference(thinking="adaptive", effort="low").taken_by(both)

    assert taken.additional_fields == {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}


def test_effort_alone_makes_a_model_think_only_if_that_is_how_it_is_asked() -> None:
    by_effort = card(thinking={"effort": EFFORT, "forbids": ["temperature"]})
    with_adaptive = card(thinking={"effort": EFFORT, "adaptive": ADAPTIVE, "forbids": ["temperature"]})

    assert Inference(effort="low").taken_by(by_effort).temperature is None
    assert Inference(effort="low").taken_by(by_effort).thinking_tokens == 4_096
    assert Inference(effort="low").taken_by(with_adaptive).temperature == "0"
    assert Inference(effort="low").taken_by(with_adaptive).thinking_tokens == 0


def test_an_effort_without_a_limit_of_tokens_is_not_sent_because_nothing_would_bound_the_attempt() -> None:
    taken = Inference(effort="high").taken_by(card(thinking={"effort": EFFORT}))

    assert taken.additional_fields == {}
    assert "no bound" in taken.refused["effort"]


@pytest.mark.parametrize("off", [OFF, None])
def test_thinking_is_switched_off_where_a_model_can_be_told(off: Any) -> None:
    thinker = card(thinking={"default": "yes", "off": off, "forbids": ["temperature"]})

    taken = Inference(thinking=False).taken_by(thinker)

    assert (taken.temperature, taken.thinking_tokens) == (("0", 0) if off else (None, 4_096))
    assert taken.additional_fields == (OFF["additional_fields"] if off else {})
    assert ("thinking" in taken.refused) is (off is None)


LEVELS = {
    "levels": {"low": [], "high": [], "max": []},
    "additional_fields": {"output_config": {"effort": "$effort"}},
}


@pytest.mark.parametrize(
    ("effort", "default", "sent"),
    [("max", None, "high"), ("high", None, "high"), ("low", "max", "low"), (None, "max", "high"), (None, "high", None)],
)
def test_beside_thinking_off_the_highest_effort_that_is_taken_there_is_sent(
    effort: str | None, default: str | None, sent: str | None
) -> None:
    capped = {"default": "yes", "adaptive": ADAPTIVE, "effort": LEVELS | {"default": default}}
    thinker = card(thinking=capped | {"off": OFF | {"not_with": ["max"]}})

    taken = Inference(thinking=False, effort=effort).taken_by(thinker)

    assert taken.additional_fields.get("output_config") == (None if sent is None else {"effort": sent})
    assert ("effort" in taken.refused) is (effort == "max")
    assert Inference(effort="max").taken_by(thinker).refused == {}


def test_a_model_that_only_thinks_less_has_room_to_think_and_is_not_told_to_be_off() -> None:
    thinker = card(thinking={"default": "yes", "off": OFF | {"still_thinks": True}, "forbids": ["temperature"]})

    taken = Inference(thinking=False).taken_by(thinker)

    assert taken.additional_fields == OFF["additional_fields"]
    assert (taken.thinking_tokens, taken.temperature) == (4_096, None)
    assert "does not stop thinking" in taken.refused["thinking"]


@pytest.mark.parametrize("default", ["no", "yes"])
def test_who_thinks_by_effort_is_asked_for_none_while_it_must_not_think(default: str) -> None:
    off = {"off": OFF} if default == "yes" else {}

    taken = Inference(thinking=False, effort="low").taken_by(
        card(thinking={"default": default, "effort": EFFORT, **off})
    )

    assert "output_config" not in taken.additional_fields
    assert taken.thinking_tokens == 0
    assert "takes none while it must not think" in taken.refused["effort"]


def test_a_model_that_does_not_think_is_asked_for_nothing() -> None:
    taken = Inference(thinking=2_000, effort="low", strict_tools=True, structured_answers=True).taken_by(card())

    assert (taken.additional_fields, taken.output_config, taken.thinking_tokens) == ({}, {}, 0)
    assert (taken.strict_tools, taken.answers_in) == (False, None)
    assert taken.refused.keys() == {"thinking", "effort", "strict_tools", "structured_answers"}
    assert Inference(thinking=False).taken_by(card()).refused == {}


@pytest.mark.parametrize(
    "written",
    [
        {"thinking": True},
        {"thinking": "much"},
        {"temperature": 1.5},
        {"required": ["effort"]},
        {"required": ["nonsense"]},
        {"required": ["strict_tools"]},
    ],
)
def test_a_setting_that_means_nothing_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Inference.model_validate(written)


_FORBIDDEN = st.lists(st.sampled_from(["temperature", "top_p", "forced_tool_choice", "prefill"]), unique=True)


@given(
    st.fixed_dictionaries(
        {
            "default": st.sampled_from(["no", "yes", "always"]),
            "budget": st.sampled_from([None, BUDGET]),
            "adaptive": st.sampled_from([None, ADAPTIVE]),
            "effort": st.sampled_from([None, EFFORT]),
            "off": st.sampled_from([None, OFF]),
            "forbids": _FORBIDDEN,
        }
    ),
    st.sampled_from([None, False, 2_000, "adaptive"]),
    st.sampled_from([None, "low", "high", "none"]),
    st.booleans(),
)
def test_whatever_is_not_refused_is_sent(
    thinking: dict[str, Any], wanted: Any, effort: str | None, takes_top_p: bool
) -> None:
    model = card(thinking=thinking, top_p=takes_top_p)
    inference = Inference(thinking=wanted, effort=effort, top_p="0.9")

    taken = inference.taken_by(model)

    assert (taken.top_p is None) == ("top_p" in taken.refused)
    assert taken.temperature is None or taken.top_p is None
    sent = str(taken.additional_fields)
    if effort is not None and "effort" not in taken.refused and thinking["effort"] and wanted is not False:
        assert "low" in sent
    if wanted in (2_000, "adaptive") and "thinking" not in taken.refused:
        assert ("enabled" if wanted == 2_000 else "adaptive") in sent
        assert taken.thinking_tokens > 0
    if taken.thinking_tokens:
        assert (
            not {"temperature", "top_p"}
            & {*thinking["forbids"]}
            & {name for name in ("temperature", "top_p") if getattr(taken, name) is not None}
        )
