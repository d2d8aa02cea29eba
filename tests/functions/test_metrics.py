"""Metrics of the functions: one for each occasion, however often a function is invoked for it."""

import json
from decimal import Decimal
from typing import Any

import pytest
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

from ballast.metrics import METRICS, NAMESPACE, metric_line
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack


def reported(stack: Stack, metric: str) -> list[float]:
    """Return the values that were reported of a metric, in order."""
    return [value for line in stack.lines() for value in line.get(metric, [])]


def test_a_run_reports_its_end_once(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("All is tidy."))
    stack.plan(run_id)
    stack.clock.advance(1.5)

    for _ in range(2):
        stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})

    ended = stack.body(run_id, "9999.run.ended")
    assert reported(stack, "Runs") == [1]
    assert reported(stack, "RunCostUsd") == [ended["spent_microusd"] / 1_000_000]
    assert reported(stack, "AnswerLatency") == [1_500]
    assert reported(stack, "Fallbacks") == [0]


def test_a_run_without_an_answer_has_no_latency_of_one(stack: Stack) -> None:
    run_id = stack.open()

    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "unanswered"})

    assert reported(stack, "Runs") == [1]
    assert reported(stack, "AnswerLatency") == []


def test_a_run_in_which_a_fallback_planned_says_so(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, {"tool": "read_note", "arguments": {"note_id": "n-1"}}, by="fallback")

    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "unanswered"})

    assert reported(stack, "Fallbacks") == [1]


@pytest.mark.parametrize(("arguments", "refused"), [({"note_id": "n-1"}, 0), ({"note": "n-1"}, 1)])
def test_a_call_is_reported_once_with_whether_it_was_refused(
    stack: Stack, arguments: dict[str, Any], refused: int
) -> None:
    run_id = stack.open()
    stack.propose(run_id, {"tool": "read_note", "arguments": arguments})

    for _ in range(2):
        stack.execute(run_id)

    assert reported(stack, "ToolCalls") == [1]
    assert reported(stack, "RefusedCalls") == [refused]


@pytest.mark.parametrize(("kind", "asked"), [("escalation", [1]), ("question", [])])
def test_a_person_who_is_asked_is_reported_once(stack: Stack, kind: str, asked: list[int]) -> None:
    run_id = stack.open()
    event = {"run_id": run_id, "turn": 1, "kind": kind, "reason": "no_fallback", "timeout_s": 60, "task_token": "t"}

    for _ in range(2):
        stack.invoke("open", event)

    assert reported(stack, "Escalations") == asked


def test_a_metric_that_is_not_listed_cannot_be_emitted() -> None:
    with pytest.raises(KeyError):
        metric_line({"Typo": 1})


def test_every_metric_can_be_emitted_in_its_unit() -> None:
    for name, unit in METRICS.items():
        assert f'"Name": "{name}", "Unit": "{unit}"' in metric_line({name: 1})


def test_a_line_is_what_powertools_would_write() -> None:
    values, dimensions, fields = {"LimitsReached": 1, "CostUsd": Decimal("0.0105")}, {"limit": "turns"}, {"run_id": "r"}
    theirs = AmazonCloudWatchEMFProvider(
        metric_set={}, dimension_set={}, metadata_set={}, default_dimensions={}, namespace=NAMESPACE, service="desk"
    )
    theirs.add_dimension("limit", "turns")
    for name, value in values.items():
        theirs.add_metric(name, METRICS[name], float(value))
    theirs.add_metadata("run_id", "r")

    ours = json.loads(metric_line(values, dimensions=dimensions, fields=fields).of("desk"))

    written = json.loads(json.dumps(theirs.serialize_metric_set()))
    for line in (ours, written):
        line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0].sort()
        assert line["_aws"].pop("Timestamp") > 1_700_000_000_000
    assert ours == written
