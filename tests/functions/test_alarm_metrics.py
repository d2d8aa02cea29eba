"""The metrics of the template's alarms are those that runs emit, with the same dimensions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import LogCorrupt, SettingInvalid, WindowFull
from ballast.log.run_log import RunLog
from ballast.metrics import METRICS, NAMESPACE
from tests.functions.cloud import STACK_NAME, client
from tests.functions.endpoint import Endpoint, reads, says
from tests.functions.http import ask, event
from tests.functions.moves import PURSE, pay
from tests.functions.remote import carried_out, with_servers
from tests.functions.roomy import opened
from tests.functions.stack import Stack
from tests.functions.variants import ledger_with, with_models
from tests.support.remote_mcp import McpOverHttp, notes_tools
from tests.template.alarms import ALARMS, watched

#: A metric, as CloudWatch tells it from others: its name, and its dimensions with their values.
Metric = tuple[str, frozenset[tuple[str, str]]]
LOOK = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


def emitted(lines: Iterable[Mapping[str, Any]]) -> set[Metric]:
    """Return the metrics that CloudWatch would make of the lines, by the format of EMF."""
    return {
        (metric["Name"], frozenset((name, line[name]) for name in dimensions))
        for line in lines
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", [])
        if directive["Namespace"] == NAMESPACE
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
        if metric["Name"] in line
    }


def asked_of(alarm: str) -> set[Metric]:
    """Return what an alarm watches of Ballast's own metrics."""
    return {
        (metric["MetricName"], frozenset((one["Name"], _here(one["Value"])) for one in metric["Dimensions"]))
        for metric in watched(alarm)
        if metric["Namespace"] == NAMESPACE
    }


def _here(value: Any) -> str:
    return STACK_NAME if value == {"Ref": "AWS::StackName"} else str(value)


@pytest.fixture
def seen(stack: Stack, model: Endpoint, tmp_path: Path) -> set[Metric]:
    """Return the metrics of runs: good, in circles, forged, lied about, turned away; and of each minute."""
    well = stack.open()
    model.will(reads("n-1"), says("All is tidy."))
    stack.plan(well)
    stack.execute(well)
    stack.plan(well, 2)
    stack.invoke("settle", {"run_id": well, "turn": 2, "ending": "answer"})

    circles = opened(stack)
    for turn in range(1, 5):
        model.will(reads("n-1"))
        stack.plan(circles, turn)
        stack.execute(circles, turn)
    assert stack.plan(circles, 5)["reason"] == "loop"

    model.will(says("All is tidy.", usage={"inputTokens": 10**9, "outputTokens": 1}))
    stack.plan(stack.open())

    stack.environs["planner"]["MODEL_ID"] = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    model.will(says("All is tidy.", usage={"inputTokens": 9, "outputTokens": 9, "cacheWriteInputTokens": 900}))
    stack.plan(stack.open())
    stack.environs["planner"].pop("MODEL_ID")

    usual = stack.environs["planner"]["PLAYBOOK_DIR"]
    stack.environs["planner"]["PLAYBOOK_DIR"] = with_models(
        ledger_with(tmp_path), {"models": {stack.body(well, "0000.run.opened")["model"]: {"retires": "2026-03-09"}}}
    )
    model.will(says("All is tidy."))
    stack.plan(stack.open())
    stack.environs["planner"]["PLAYBOOK_DIR"] = usual

    forged = stack.open()
    planners = RunLog.of(stack.runtime("planner"))
    planners.write(forged, "0001.escalation.answered", {"decision": {"kind": "answer", "text": "It is paid out."}})
    stack.invoke("settle", {"run_id": forged, "turn": 1, "ending": "answer"})

    stack.environs["executor"]["PLAYBOOK_DIR"] = str(PURSE)
    beyond = stack.open()
    stack.propose(beyond, pay("400.01"))
    assert stack.execute(beyond) == "refused"

    with McpOverHttp(stream=False) as server:
        declared = {"kind": "mcp", "url": server.url, "private": True}
        with_servers(stack, tmp_path / "changed", {"notes": (declared, notes_tools(description="Read a note."))})
        stack.alone("executor")
        assert carried_out(stack, {"tool": "notes_add", "arguments": {"text": "a"}})[0] == "failed"

    stack.invoke("trip", LOOK)

    stack.environs["admit"]["TENANT_HOUR_USD"] = "0"
    with pytest.raises(WindowFull):
        stack.open()
    stack.environs["admit"].pop("TENANT_HOUR_USD")

    stack.environs["api"]["IAM_TENANT_PATTERN"] = "[z-a]"
    ask(stack, "api", event("GET", "/runs"))

    touch_the_log(stack, circles)
    return emitted(stack.lines())


def touch_the_log(stack: Stack, run_id: str) -> None:
    """Let the stream tell of a change, a copy fail, and Settle find a log that does not fit."""
    keys = {"run_id": {"S": run_id}, "seq": {"S": "0000.run.opened"}}
    change = {"eventName": "MODIFY", "dynamodb": {"Keys": keys, "OldImage": keys, "NewImage": keys}}
    added = {"eventName": "INSERT", "dynamodb": {"Keys": keys, "NewImage": keys}}
    stack.invoke("touched", {"Records": [change]})
    stack.environs["copy"]["LOG_COPY_BUCKET"] = "there-is-none"
    with pytest.raises(SettingInvalid):
        stack.invoke("copy", {"Records": [added]})
    item = client("dynamodb").get_item(TableName="run-log", Key=keys)["Item"]
    client("dynamodb").put_item(TableName="run-log", Item=item | {"digest": {"S": "0"}})
    with pytest.raises(LogCorrupt):
        stack.invoke("settle", {"run_id": run_id, "turn": 5, "ending": "failed"}, runtime=stack.cold("settle"))


OURS = sorted(name for name in ALARMS if asked_of(name))


def test_what_every_alarm_watches_is_emitted(seen: set[Metric]) -> None:
    assert len(OURS) > 10
    assert {name: asked_of(name) - seen for name in OURS if asked_of(name) - seen} == {}


def test_no_metric_is_emitted_under_a_name_or_a_dimension_of_a_run_or_a_tenant(seen: set[Metric]) -> None:
    assert {name for name, _ in seen} <= METRICS.keys()
    assert {key for _, dimensions in seen for key, _ in dimensions} <= {"service", "window", "model", "reason", "mode"}
