"""What a model call costs by the usage that it reports, and how it is reported itself."""

from typing import Any

import pytest

from ballast.folds import usage
from ballast.money import TokenCounts
from functions.planner.completion import read_completion
from tests.unit.functions.endpoint import Endpoint, fails, reads, says
from tests.unit.functions.stack import Stack


@pytest.mark.parametrize(
    ("reported", "cost"),
    [
        ({"inputTokens": 100, "outputTokens": 10}, 100 * 3 + 10 * 15),
        ({"inputTokens": 0, "outputTokens": 0}, 0),
        ({"inputTokens": 1, "outputTokens": 0, "cacheReadInputTokens": 1}, 4),  # 3.3, rounded up
        ({"inputTokens": 0, "outputTokens": 0, "cacheReadInputTokens": 1000}, 300),
        ({"inputTokens": 0, "outputTokens": 0, "cacheWriteInputTokens": 1000}, 3750),
        # More than was promised is charged as it is.
        ({"inputTokens": 1_000_000, "outputTokens": 100_000}, 3_000_000 + 1_500_000),
        # No usage that can be trusted: the reservation stays.
        (False, None),
        ({}, None),
        ({"outputTokens": 50}, None),
        ({"inputTokens": 50}, None),
        ({"inputTokens": -1, "outputTokens": 5}, None),
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
    used = usage(stack.events(run_id))
    assert (used.spent_microusd, used.reserved_microusd) == (expected, 0)


@pytest.mark.parametrize(
    ("reported", "tokens"),
    [
        ({"cacheReadInputTokenCount": 7}, TokenCounts(input=3, output=2, cache_read=7)),
        ({"cacheReadInputTokens": 0, "cacheReadInputTokenCount": 7}, TokenCounts(input=3, output=2, cache_read=7)),
        ({"cacheWriteInputTokenCount": 7}, TokenCounts(input=3, output=2, cache_write=7)),
        ({"cacheReadInputTokens": 5, "cacheWriteInputTokens": 6}, TokenCounts(3, 2, 5, 6)),
        ({"inputTokens": True}, None),
        ({"outputTokens": 2.5}, None),
        ({"outputTokens": float("nan")}, None),
    ],
)
def test_cache_tokens_count_under_both_of_their_spellings(reported: Any, tokens: TokenCounts | None) -> None:
    """Without the client: it knows one of the two spellings, and drops the other from the reply."""
    reply = {"usage": {"inputTokens": 3, "outputTokens": 2} | reported}

    assert read_completion(reply, turn=1).tokens == tokens


def test_a_completion_that_cost_more_than_promised_stops_the_run(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1", usage={"inputTokens": 1_000_000, "outputTokens": 0}))
    stack.plan(run_id)

    assert stack.plan(run_id, 2)["reason"] == "cost_limit"
    assert len(model.requests) == 1


def test_every_charge_says_by_which_prices(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Done."))

    stack.plan(run_id)

    versions = {stack.body(run_id, f"0001.model.{step}")["price_version"] for step in ("requested", "responded")}
    assert len(versions) == 1
    assert versions.pop()


def test_a_call_is_reported_as_one_line_of_embedded_metrics(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    reply = {"inputTokens": 1000, "outputTokens": 100, "cacheReadInputTokens": 10}
    model.will(says("Done.", usage=reply))

    stack.plan(run_id)

    [line] = stack.lines()
    directive = line["_aws"]["CloudWatchMetrics"][0]
    assert directive["Namespace"] == "Ballast"
    assert directive["Dimensions"] == [["service"]]
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}["CostUsd"] == "None"
    assert (line["CostUsd"], line["Tokens"], line["ModelCalls"]) == ([0.004503], [1110.0], [1.0])


def test_what_stays_charged_of_a_failed_call_is_reported_too(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(fails(424, "ModelErrorException"))
    with pytest.raises(Exception, match="ModelErrorException"):
        stack.plan(run_id)

    [line] = stack.lines()
    assert line["CostUsd"] == [stack.body(run_id, "0001.model.failed")["cost_microusd"] / 1_000_000]
    assert "Tokens" not in line
