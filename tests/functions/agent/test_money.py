"""Charges of a model call by its reported usage, and the metrics of the call."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts.service_tier import ServiceTier
from ballast.log.events import ModelRequested
from ballast.models.catalog import Catalog
from ballast.money import TokenCounts
from functions.agent.reply import read_completion
from functions.agent.usage import ReadUsage, charge_of, checked_usage, sent_bytes
from tests.functions.endpoint import Endpoint, fails, reads, says
from tests.functions.stack import Stack
from tests.functions.variants import ledger_with, with_models

MODELS = Catalog()
NOVA_PRO = "eu.amazon.nova-pro-v1:0"  # 0.8 micro-dollars a token in; priority 175 %, flex 50 %


def used(*, written: int = 0, kept: int | None = None, details: Any = None, **more: int) -> dict[str, Any]:
    """Return a usage that wrote to the cache, ``kept`` of it for an hour."""
    if kept is not None:
        details = [{"ttl": "1h", "inputTokens": kept}]
    usage: dict[str, Any] = {"inputTokens": 0, "outputTokens": 1, "cacheWriteInputTokens": written} | more
    return usage | ({} if details is None else {"cacheDetails": details})


@pytest.mark.sampled(10)
@pytest.mark.parametrize(
    ("reported", "cost"),
    [
        ({"inputTokens": 100, "outputTokens": 10}, 100 * 3 + 10 * 15),
        ({"inputTokens": 31, "outputTokens": 1, "cacheReadInputTokens": 1}, 109),  # 108.3, rounded up
        ({"inputTokens": 0, "outputTokens": 1, "cacheReadInputTokens": 1000}, 315),
        ({"inputTokens": 0, "outputTokens": 1, "cacheWriteInputTokens": 1000}, 3765),
        # An hour in the cache costs more than five minutes; the details divide the sum.
        (used(written=1000, kept=1000), 6015),
        (used(written=1000, kept=400), 600 * 3.75 + 400 * 6 + 15),
        (used(written=400, kept=1000), 6015),  # the details exceed the sum
        (used(written=1000, kept=0), 3765),
        (used(written=10, details=[{"ttl": "5m", "inputTokens": 10}]), 53),
        (used(written=10, details=[{"ttl": "3h", "inputTokens": 10}]), 75),
        # More than the attempt could have used is charged at its bound: at most the whole reservation.
        (used(written=10**12, kept=10**12, outputTokens=10**12), None),
        ({"inputTokens": 100, "outputTokens": 501}, 100 * 3 + 500 * 15),
        ({"inputTokens": 100, "outputTokens": 10**12}, 100 * 3 + 500 * 15),
        # Fewer tokens than the prompt or the reply must have are not believed.
        ({"inputTokens": 0, "outputTokens": 0}, None),
        ({"inputTokens": 0, "outputTokens": 1}, None),
        ({"inputTokens": 1, "outputTokens": 1}, None),
        ({"inputTokens": 6, "outputTokens": 1}, None),
        ({"inputTokens": 900, "outputTokens": 0}, None),
        ({"inputTokens": 1, "outputTokens": 0, "cacheReadInputTokens": 1}, None),
        # Without a usage that can be right the reservation stays charged.
        (False, None),
        ({}, None),
        ({"outputTokens": 50}, None),
        ({"inputTokens": 50}, None),
        ({"inputTokens": -1, "outputTokens": 5}, None),
        (used(cacheReadInputTokens=-5), None),
        (used(cacheWriteInputTokens=-5), None),
        (used(written=10, details=[{"ttl": "1h", "inputTokens": -10}]), None),
        (used(inputTokens=10**13), None),
    ],
)
def test_a_completion_costs_what_it_reports_or_what_was_reserved(
    stack: Stack, model: Endpoint, reported: Any, cost: int | None
) -> None:
    run_id = stack.open()
    model.will(says("Done.", usage=reported))

    stack.plan(run_id)

    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    expected = reserved if cost is None else cost
    assert stack.body(run_id, "0001.model.responded")["cost_microusd"] == expected
    used = stack.log.read(run_id).usage
    assert (used.spent_microusd, used.reserved_microusd) == (expected, 0)


@pytest.mark.parametrize(
    ("reported", "tokens"),
    [
        ({"cacheReadInputTokenCount": 7}, TokenCounts(input=3, output=2, cache_read=7)),
        ({"cacheReadInputTokens": 0, "cacheReadInputTokenCount": 7}, TokenCounts(input=3, output=2, cache_read=7)),
        ({"cacheWriteInputTokenCount": 7}, TokenCounts(input=3, output=2, cache_write_5m=7)),
        ({"cacheReadInputTokens": 5, "cacheWriteInputTokens": 6}, TokenCounts(3, 2, 5, 6)),
        ({"cacheReadInputTokens": None, "cacheDetails": None}, TokenCounts(3, 2)),
        ({"cacheReadInputTokens": "7"}, None),
        ({"cacheDetails": {"1h": 7}}, None),
        ({"cacheDetails": [7]}, None),
        ({"cacheDetails": [{"ttl": None, "inputTokens": 7}]}, TokenCounts(3, 2, cache_write_1h=7)),
        ({"inputTokens": True}, None),
        ({"outputTokens": 2.5}, None),
        ({"outputTokens": float("nan")}, None),
    ],
)
def test_cache_tokens_count_under_both_of_their_spellings(reported: Any, tokens: TokenCounts | None) -> None:
    """Without the client: it knows one of the two spellings, and drops the other from the reply."""
    reply = {"usage": {"inputTokens": 3, "outputTokens": 2} | reported}

    assert read_completion(reply, turn=1).tokens == tokens


@pytest.mark.parametrize(
    ("block", "believed"),
    [
        ({"text": "x" * 304}, True),  # 24 characters a token, and the first 64 free
        ({"text": "x" * 305}, False),
        ({"citationsContent": {"content": [{"text": "x" * 305}]}}, False),
        ({"toolUse": {"name": "t", "toolUseId": "1", "input": {"note": "x" * 300}}}, False),
        ({"toolUse": {"name": "t", "toolUseId": "1", "input": {"note": "x" * 200}}}, True),
        ({"toolUse": {"name": "t" * 305, "toolUseId": "1", "input": {}}}, False),
        ({"reasoningContent": {"reasoningText": {"text": "x" * 305, "signature": "s"}}}, False),
        (
            {"reasoningContent": {"reasoningText": {"text": "", "signature": "x" * 9_000}}},
            True,
        ),  # not of its text
        ({"reasoningContent": {"redactedContent": b"x" * 9_000}}, True),  # encrypted: its length proves nothing
        ({"text": " " * 1_200 + "_" * 1_200 + "."}, True),  # a token may be 128 of one mark
        ({"text": "\r\n" * 300 + "Name: " + "_" * 2_000}, True),
        ({"text": " " * 9_000 + "-" * 9_000 + "."}, False),
        ({"text": "\u3000" * 6_000 + "."}, False),
        ({"guardContent": {"text": {"text": "x" * 305}}}, False),
        ({"guardContent": {"text": {"text": "x" * 304}}}, True),
        ({"reasoningContent": {"reasoningText": {"text": ["x" * 305]}}}, False),
        ({"reasoningContent": {"reasoningText": "x" * 305}}, False),
        ({"text": ["x" * 305]}, False),
        ({"toolResult": {"toolUseId": "s", "content": [{"text": "x" * 9_000}]}}, True),  # a server-side tool's
    ],
)
def test_fewer_tokens_than_the_reply_can_have_are_no_usage(block: dict[str, Any], believed: bool) -> None:
    reply = {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 100, "outputTokens": 10},
    }

    assert (read_completion(reply, turn=1).tokens is not None) == believed


@pytest.mark.parametrize(("made", "believed"), [(1, False), (19, False), (20, True)])
def test_each_call_has_a_token(made: int, believed: bool) -> None:
    call = {"toolUse": {"name": "t", "toolUseId": "1", "input": {}}}
    reply = {
        "output": {"message": {"role": "assistant", "content": [call] * 20}},
        "usage": {"inputTokens": 100, "outputTokens": made},
    }

    assert (read_completion(reply, turn=1).tokens is not None) == believed


@pytest.mark.parametrize(
    ("block", "believed"),
    [
        ({"text": "."}, False),
        ({"text": " \n"}, True),
        ({"citationsContent": {"content": [{"text": "Hm."}]}}, False),
        ({"toolUse": {"name": "", "toolUseId": "1", "input": {}}}, False),
        ({"toolUse": {"name": "t", "toolUseId": "1"}}, False),
        ({"reasoningContent": {"reasoningText": {"text": "Hm."}}}, False),
        ({"reasoningContent": {"redactedContent": b"x"}}, False),
        ({"toolResult": {"toolUseId": "s", "content": [{"text": "x"}]}}, True),
    ],
)
@pytest.mark.parametrize("stop", ["end_turn", "tool_use", "max_tokens", None])
def test_whatever_says_thinks_or_calls_has_a_token(block: dict[str, Any], believed: bool, stop: Any) -> None:
    reply = {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": stop,
        "usage": {"inputTokens": 100, "outputTokens": 0},
    }

    assert (read_completion(reply, turn=1).tokens is not None) == believed


@pytest.mark.parametrize(
    ("sent", "least"), [(0, 0), (1, 1), (1_536, 3), (4_096, 7), (4_400, 13), (15_000, 455), (100_000, 3_996)]
)
def test_a_prompt_has_a_least_number_of_tokens_for_its_bytes(sent: int, least: int) -> None:
    requested = ModelRequested(turn=1, attempt=1, reserved_microusd=0, sent_bytes=sent)

    assert checked_usage(ReadUsage(TokenCounts(least, 1)), requested).tokens
    assert not least or checked_usage(ReadUsage(TokenCounts(least - 1, 1)), requested).tokens is None
    assert not least or checked_usage(ReadUsage(TokenCounts(0, 1, cache_read=least - 1)), requested).why


def test_only_what_is_counted_as_text_counts_as_sent() -> None:
    said = {"role": "user", "content": [{"text": "Hm."}]}
    more = [{"reasoningContent": {}}, {"image": {"source": "x" * 900}}, {"document": {"source": "x" * 900}}]

    assert sent_bytes([], {}, [said]) == sent_bytes([], {}, [said | {"content": [*said["content"], *more]}])
    assert sent_bytes([], {}, [said | {"content": [{"text": "Hm." + " " * 900}]}]) < 150


@pytest.mark.parametrize(
    ("reported", "cost", "doubted"),
    [
        ({"inputTokens": 0, "outputTokens": 0}, 0, False),  # the prompt was blocked: no inference
        ({"inputTokens": 900, "outputTokens": 0}, 2700, False),
        ({"inputTokens": 900, "outputTokens": 40}, 3300, False),  # the reply was blocked: both are charged
        ({"inputTokens": 1, "outputTokens": 40}, None, True),  # so few tokens are no prompt
        ({}, None, False),
    ],
)
def test_a_guardrails_words_are_not_the_models(
    stack: Stack, model: Endpoint, reported: dict[str, int], cost: int | None, doubted: bool
) -> None:
    run_id = stack.open()
    model.will(says("Sorry, the model cannot answer this question. " * 5, stop="guardrail_intervened", usage=reported))

    assert stack.plan(run_id)["reason"] == "guardrail_intervened"

    charged = stack.body(run_id, "0001.model.responded")
    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert charged["cost_microusd"] == (reserved if cost is None else cost)
    assert ("usage_disbelieved" in charged) == doubted


def test_a_usage_above_the_bound_costs_the_bound_and_is_reported_and_the_run_goes_on(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open()
    model.will(reads("n-1", usage={"inputTokens": 1_000_000, "outputTokens": 2}), says("Done."))

    stack.plan(run_id)

    requested, responded = (stack.body(run_id, f"0001.model.{step}") for step in ("requested", "responded"))
    bound = requested["input_tokens_bound"]
    assert responded["cost_microusd"] == bound * 3 + 2 * 15 <= requested["reserved_microusd"]
    assert responded["gen_ai.usage.input_tokens"] == bound
    why = f"1000000 prompt tokens where {bound} are possible"
    assert responded["usage_disbelieved"] == why
    [told] = [line for line in stack.lines() if "UsageDisbelieved" in line]
    assert (told["run_id"], told["seq"], told["why"]) == (run_id, "0001.model.requested", why)
    assert stack.plan(run_id, 2)["kind"] == "answer"


@pytest.mark.parametrize("believable", [{"inputTokens": 1_000, "outputTokens": 10}, False])
def test_a_usage_that_can_be_right_and_none_at_all_are_not_reported(
    stack: Stack, model: Endpoint, believable: Any
) -> None:
    run_id = stack.open()
    model.will(says("Done.", usage=believable))

    stack.plan(run_id)

    assert "usage_disbelieved" not in stack.body(run_id, "0001.model.responded")
    assert not [line for line in stack.lines() if "UsageDisbelieved" in line]


def test_nothing_is_built_on_a_count_that_is_hardly_right(stack: Stack, model: Endpoint) -> None:
    """Ten tokens are believed for a prompt of 4 KB, yet the next prompt's bound is counted in bytes."""
    run_id = stack.open()
    model.will(reads("n-1", usage={"inputTokens": 10, "outputTokens": 5}), says("Done."))
    stack.plan(run_id)
    first, responded = (stack.body(run_id, f"0001.model.{step}") for step in ("requested", "responded"))
    assert responded["cost_microusd"] == 10 * 3 + 5 * 15

    stack.plan(run_id, 2)

    assert stack.body(run_id, "0002.model.requested")["input_tokens_bound"] > first["input_tokens_bound"]


@pytest.mark.parametrize(
    ("asked", "served", "cost", "why"),
    [
        ("default", "flex", 800, "served in a tier that was not asked for"),  # half the price, not asked for
        ("default", "priority", 800, "served in a tier that was not asked for"),
        ("default", "turbo", 900, "served in a tier that was not asked for"),  # 1400: more than was reserved
        ("priority", "default", 800, None),
        ("priority", "priority", 900, "served in a tier that was not asked for"),
        ("flex", "flex", 400, None),
        ("flex", "default", 800, None),
    ],
)
def test_a_tier_costs_no_more_than_was_reserved_and_no_less_than_was_asked_for(
    asked: str, served: str, cost: int, why: str | None
) -> None:
    requested = ModelRequested(
        turn=1,
        attempt=1,
        model=NOVA_PRO,
        reserved_microusd=900,
        price_version=MODELS.card(NOVA_PRO).prices[0].version,
        service_tier=asked,
    )
    reply = {"usage": {"inputTokens": 1_000, "outputTokens": 0}, "serviceTier": {"type": served}}

    completion = read_completion(reply, turn=1)
    charge = charge_of(requested, completion.usage, completion.tier, MODELS)

    assert (charge.cost_microusd, charge.usage_disbelieved) == (cost, why)


def test_a_models_own_id_is_reserved_at_the_dearest_region_and_charged_in_the_stacks_own(
    stack: Stack, model: Endpoint
) -> None:
    stack.environs["planner"]["MODEL_ID"] = "minimax.minimax-m2.5"  # $0.30 and $1.20; eu-west-1 120 %, dearest 157 %
    run_id = stack.open()
    model.will(says("Done.", usage={"inputTokens": 1000, "outputTokens": 100}))

    stack.plan(run_id)

    requested, responded = (stack.body(run_id, f"0001.model.{step}") for step in ("requested", "responded"))
    assert responded["cost_microusd"] == 504  # (1000 * 300 000 + 100 * 1 200 000) * 1.2, per million
    tokens = requested["gen_ai.request.max_tokens"]
    assert requested["reserved_microusd"] > tokens * 1_200_000 * 156 // 100 // 1_000_000


def test_every_charge_says_by_which_prices(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Done."))

    stack.plan(run_id)

    versions = {stack.body(run_id, f"0001.model.{step}")["price_version"] for step in ("requested", "responded")}
    assert len(versions) == 1
    assert versions.pop()


def test_a_call_is_reported_as_one_line_of_embedded_metrics(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    reply = {"inputTokens": 1000, "outputTokens": 100, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 4}
    model.will(says("Done.", usage=reply))

    stack.plan(run_id)

    [line] = [line for line in stack.lines() if "ModelCalls" in line]
    directive = line["_aws"]["CloudWatchMetrics"][0]
    assert directive["Namespace"] == "Ballast"
    assert directive["Dimensions"] == [["service"]]
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}["CostUsd"] == "None"
    assert (line["CostUsd"], line["Tokens"], line["ModelCalls"]) == ([0.004518], [1114.0], [1.0])


@pytest.mark.parametrize(
    ("retires", "left", "words"),
    [
        ("2026-05-01", None, ""),
        ("2026-04-30", 60, "until 2026-04-30, 60 more days"),
        ("2026-03-01", 0, "has been served until"),
        ("2026-02-20", -9, "has been served until"),
    ],
)
def test_a_model_that_is_retired_soon_is_told_with_each_call_and_still_asked(
    stack: Stack, model: Endpoint, tmp_path: Path, retires: str, left: int | None, words: str
) -> None:
    run_id = stack.open()
    asked = stack.body(run_id, "0000.run.opened")["model"]
    folder = with_models(ledger_with(tmp_path), {"models": {asked: {"retires": retires}}})
    stack.environs["planner"]["PLAYBOOK_DIR"] = folder
    model.will(says("Done."))

    assert stack.plan(run_id)["kind"] == "answer"  # whether it is refused, the provider says

    told = [line for line in stack.lines() if "ModelDaysLeft" in line]
    assert [line["ModelDaysLeft"] for line in told] == ([] if left is None else [[float(left)]])
    assert all(line["model"] == asked and words in line["notice"] for line in told)


def test_what_stays_charged_of_a_failed_call_is_reported_too(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(fails(424, "ModelErrorException"))
    with pytest.raises(Exception, match="ModelErrorException"):
        stack.plan(run_id)

    [line] = [line for line in stack.lines() if "CostUsd" in line]
    assert line["CostUsd"] == [stack.body(run_id, "0001.model.failed")["cost_microusd"] / 1_000_000]
    assert "Tokens" not in line


# Service tiers


@pytest.mark.parametrize(
    ("reported", "cost"), [(None, 800), ("default", 800), ("flex", 400), ("priority", 1400), ("turbo", 1400), (7, 1400)]
)
def test_a_completion_is_charged_by_the_tier_that_it_says_it_was_served_in(reported: Any, cost: int) -> None:
    requested = ModelRequested(
        turn=1,
        attempt=1,
        model=NOVA_PRO,
        reserved_microusd=9_999,
        price_version=MODELS.card(NOVA_PRO).prices[0].version,
    )
    reply = {"usage": {"inputTokens": 1_000, "outputTokens": 0}}
    if reported is not None:
        reply["serviceTier"] = {"type": reported}

    completion = read_completion(reply, turn=1)
    charge = charge_of(requested, completion.usage, completion.tier, MODELS)

    assert charge.cost_microusd == cost
    assert charge.service_tier == str(reported or "default")


#: A model with tiers, and none beside it that lacks them.
NOVA_ALONE: dict[str, Any] = {"model": NOVA_PRO, "cheaper_model": None}


def test_the_playbooks_tier_is_asked_for_reserved_for_and_recorded(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    stack.environs["planner"] |= {"PLAYBOOK_DIR": ledger_with(tmp_path, service_tier="priority", **NOVA_ALONE)}
    run_id = stack.open()
    model.will(says("Done.", tier="priority"))

    stack.plan(run_id)

    requested, responded = (stack.body(run_id, f"0001.model.{step}") for step in ("requested", "responded"))
    assert model.requests[0]["serviceTier"] == {"type": "priority"}
    assert (requested["service_tier"], responded["service_tier"]) == ("priority", "priority")
    worst = MODELS.price(NOVA_PRO, on=date(2026, 3, 1)).worst(ServiceTier.PRIORITY)
    assert requested["reserved_microusd"] == worst.worst_input_cost(requested["input_tokens_bound"]) + worst.cost(
        TokenCounts(output=500)
    )
    assert responded["cost_microusd"] == 140 + 56  # 100 tokens in, 10 out


def test_a_tier_without_a_price_is_not_called_and_the_note_names_the_file(
    stack: Stack, model: Endpoint, tmp_path: Path
) -> None:
    folder = ledger_with(tmp_path, service_tier="flex", **NOVA_ALONE)
    stack.environs["planner"] |= {"PLAYBOOK_DIR": folder, "MODEL_ID": "eu.anthropic.claude-haiku-4-5-20251001-v1:0"}
    run_id = stack.open()

    assert stack.plan(run_id)["reason"] == "model_refused"

    assert model.requests == []
    assert "models.yaml" in stack.body(run_id, "0001.plan.decided")["note"]


def test_by_default_no_tier_is_named_to_the_model(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Done."))

    stack.plan(run_id)

    assert "serviceTier" not in model.requests[0]
