"""A provider with false usage, stop reasons, tiers and sizes does not change other tenants' windows."""

from __future__ import annotations

import json
from datetime import date
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballast.contracts import ExitReason
from ballast.contracts.decision import STOP_REASONS
from ballast.errors import RetryLater
from ballast.log.events import ModelFailed, ModelRequested, ModelResponded
from ballast.models.catalog import Catalog
from ballast.money import dollars
from functions.agent.reply import read_completion
from functions.agent.usage import charge_of
from tests.functions.endpoint import Endpoint, Reply, says
from tests.functions.lifecycle.test_leases import DAY, HOUR, taken
from tests.functions.lifecycle.test_leases import settled as spent
from tests.functions.stack import Stack
from tests.support.sampling import examples

TENANT = count(1)
MODELS = Catalog()
CEILING = 150_000

counts = st.one_of(
    st.integers(0, 20_000),
    st.sampled_from([-1, 0, 1, 10**6, 10**9, 10**12, 10**12 + 1, 10**18, 2**63, 10**30]),
    st.sampled_from([None, True, "7", "1e9", 2.5, [], {}]),
)
details = st.one_of(
    st.none(),
    st.lists(
        st.fixed_dictionaries({"ttl": st.sampled_from(["5m", "1h", "9y", None]), "inputTokens": counts}), max_size=3
    ),
    st.just({"1h": 7}),
)
usages = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"inputTokens": counts, "outputTokens": counts},
        optional={"cacheReadInputTokens": counts, "cacheWriteInputTokens": counts, "cacheDetails": details},
    ),
)
texts = st.one_of(
    st.sampled_from(
        ["", " ", "Done.", "<think>Hm.</think>", '<tool_call>{"name": "read_note"}', "\ud800", "ж" * 9_000]
    ),
    st.integers(1, 200_000).map(lambda size: "x" * size),
)
calls = st.fixed_dictionaries(
    {
        "toolUseId": st.sampled_from(["", "a", "t0001c1"]),
        "name": st.sampled_from(["read_note", "write_note", "erase_note", "?", "n" * 300]),
        "input": st.one_of(st.just({"note_id": "n-1"}), texts, st.just({"note_id": ["x" * 5_000]}), st.none()),
    }
)
blocks = st.one_of(
    st.fixed_dictionaries({"text": texts}),
    st.fixed_dictionaries({"toolUse": calls}),
    st.fixed_dictionaries({"citationsContent": st.just({"content": [{"text": "It is."}], "citations": []})}),
    st.fixed_dictionaries({"reasoningContent": st.just({"reasoningText": {"text": "Hm.", "signature": "s" * 900}})}),
    st.sampled_from([{}, {"text": 5}, {"surprise": 1}]),
)
replies = st.fixed_dictionaries(
    {
        "content": st.lists(blocks, max_size=4) | blocks.map(lambda block: [block] * 1_200),
        "stopReason": st.sampled_from([*sorted(STOP_REASONS), "a_reason_of_next_year", "", None, 7]),
        "usage": usages,
        "tier": st.sampled_from([None, "default", "priority", "flex", "reserved", "turbo", 7]),
    }
)


def body(said: dict[str, Any]) -> dict[str, Any]:
    made = {
        "output": {"message": {"role": "assistant", "content": said["content"]}},
        "stopReason": said["stopReason"],
        "usage": said["usage"],
    }
    return made if said["tier"] is None else made | {"serviceTier": {"type": said["tier"]}}


@settings(max_examples=examples(6, 40), deadline=None, suppress_health_check=list(HealthCheck))
@given(said=st.lists(replies, min_size=1, max_size=4))
def test_windows_never_take_more_than_was_reserved_and_other_tenants_notice_nothing(
    stack: Stack, model: Endpoint, said: list[dict[str, Any]]
) -> None:
    tenant = f"t-{next(TENANT)}"
    bystander = stack.open(tenant=f"{tenant}-other", limits={"cost_microusd": CEILING})
    before = {window: taken("account", window) for window in (HOUR, DAY)}
    run_id = stack.open(tenant=tenant, limits={"cost_microusd": CEILING})
    model.replies = [Reply(json.dumps(body(one)).encode()) for one in said]

    for turn in range(1, len(said) + 1):
        try:
            decision = stack.plan(run_id, turn)
        except RetryLater:
            break
        if decision["kind"] == "answer" or decision["to"] not in (None, "agent"):
            assert decision["reason"] is None or decision["reason"] in set(ExitReason)
            break
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "failed"})

    run = stack.log.read(run_id)
    reserved = {asked.turn: asked.reserved_microusd for asked in run.facts(ModelRequested)}
    for outcome in (*run.facts(ModelResponded), *run.facts(ModelFailed)):
        assert 0 <= outcome.cost_microusd <= reserved[outcome.turn]
    charged = run.usage.charged_microusd
    assert charged <= min(sum(reserved.values()), run.opening.cost_ceiling_microusd)
    for window in (HOUR, DAY):
        assert taken(f"tenant#{tenant}", window) == spent(f"tenant#{tenant}", window) == charged
        assert taken("account", window) - before[window] == charged
        assert (taken(f"tenant#{tenant}-other", window), spent(f"tenant#{tenant}-other", window)) == (CEILING, 0)
    stack.invoke("settle", {"run_id": bystander, "turn": 1, "ending": "failed"})


@settings(max_examples=examples(100, 600), deadline=None)
@given(
    said=replies,
    model=st.sampled_from(["eu.amazon.nova-pro-v1:0", "anthropic.claude-sonnet-4-6"]),
    asked=st.sampled_from(["default", "priority", "flex"]),
    bound=st.integers(1, 100_000),
    most=st.integers(1, 8_000),
    sent=st.integers(0, 100_000),
)
def test_a_reply_costs_no_more_than_was_reserved_and_nothing_is_disbelieved_in_silence(
    said: dict[str, Any], model: str, asked: str, bound: int, most: int, sent: int
) -> None:
    """Without the client: it drops what has another type than Converse's."""
    priced = MODELS.price(model, on=date.max)
    asked = asked if model.startswith("eu.amazon") else "default"
    price = priced.worst(asked)  # type: ignore[arg-type]
    requested = ModelRequested(
        turn=1,
        attempt=1,
        model=model,
        max_tokens=most,
        prompt_bound=bound,
        sent_bytes=min(sent, bound),
        reserved_microusd=price.worst_input_cost(bound) + -(-most * price.output // 1_000_000),
        price_version=priced.version,
        service_tier=asked,
    )

    completion = read_completion(body(said), 1)
    charge = charge_of(requested, completion.usage, completion.tier, MODELS)

    assert 0 <= charge.cost_microusd <= requested.reserved_microusd
    tokens = {name: value for name, value in charge.body.items() if name.startswith(("gen_ai.usage", "ballast.usage"))}
    assert tokens.get("gen_ai.usage.output_tokens", 0) <= most
    assert sum(value for name, value in tokens.items() if "output" not in name and "1h" not in name) <= bound
    if not tokens:
        assert charge.cost_microusd == requested.reserved_microusd
        assert not said["usage"] or charge.usage_disbelieved


@pytest.mark.parametrize("tokens", [900_000, 10**12])
def test_one_reply_closes_no_window(stack: Stack, model: Endpoint, tokens: int) -> None:
    """The account's hour has room for four runs. After a reply that says millions it has room for three more."""
    room, tenant = taken("account", HOUR) + 4 * CEILING, f"t-{next(TENANT)}"
    stack.environs["admit"] |= {"ACCOUNT_HOUR_USD": dollars(room)}
    run_id = stack.open(tenant=tenant, limits={"cost_microusd": CEILING})
    model.will(says("Done.", usage={"inputTokens": tokens, "outputTokens": tokens}))
    stack.plan(run_id)

    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})

    for _ in range(3):
        stack.open(tenant=f"{tenant}-other", limits={"cost_microusd": CEILING})
    assert [line["run_id"] for line in stack.lines() if "UsageDisbelieved" in line] == [run_id]
