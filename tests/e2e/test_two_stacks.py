"""Two stacks of the template in one account: an event starts one run, and metrics and alarms belong to one stack."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ballast.contracts import RunRequest
from localcloud.clock import VirtualClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, said

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
STACK, OTHER = "ballast-local", "other"


def answers(request: Any, _: str) -> Any:
    return said([{"text": "It is seven."}], "end_turn", request)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(PLAYBOOK, model=CallableModel(answers), clock=VirtualClock(), beside=[OTHER]) as opened:
        events, sqs = opened.session.client("events"), opened.session.client("sqs")
        sqs.create_queue(QueueName="heard")
        events.put_rule(Name="hear", EventPattern=json.dumps({"source": ["ballast"], "detail-type": ["Run Answered"]}))
        events.put_targets(Rule="hear", Targets=[{"Id": "heard", "Arn": "arn:aws:sqs:eu-west-1:123456789012:heard"}])
        yield opened


def executions(cloud: LocalCloud, prefix: str = "") -> dict[str, str]:
    """Return the status of each execution of a stack, by name."""
    found = cloud.session.client("stepfunctions").list_executions(
        stateMachineArn=cloud.physical_id(f"{prefix}AgentStateMachine")
    )
    return {one["name"]: one["status"] for one in found["executions"]}


def eventually(holds: Callable[[], Any]) -> Any:
    until = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)
    return found


def put(cloud: LocalCloud, request_id: str, **more: Any) -> str:
    """Put an event that asks for a run and return the run's id."""
    detail = {"request_id": request_id, "text": "How many?"} | more
    cloud.session.client("events").put_events(
        Entries=[{"Source": "ballast", "DetailType": "Run Requested", "Detail": json.dumps(detail)}]
    )
    cloud.pump()
    return RunRequest(request_id=request_id, text="How many?").run_id


def heard(cloud: LocalCloud, run_id: str) -> list[dict[str, Any]]:
    sqs, found = cloud.session.client("sqs"), []
    url = sqs.get_queue_url(QueueName="heard")["QueueUrl"]
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", []):
        detail = json.loads(message["Body"])["detail"]
        if detail["run_id"] == run_id:
            found.append(detail)
    return found


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("stack", "runs", "idle"), [(STACK, "", f"{OTHER}."), (OTHER, f"{OTHER}.", "")])
def test_an_event_starts_one_run_in_the_stack_that_it_names(
    cloud: LocalCloud, stack: str, runs: str, idle: str
) -> None:
    run_id = put(cloud, f"for-{stack}", stack=stack)

    eventually(lambda: executions(cloud, runs).get(run_id) == "SUCCEEDED")

    assert run_id not in executions(cloud, idle)
    [told] = eventually(lambda: heard(cloud, run_id))
    assert told["stack"] == stack


@pytest.mark.parametrize(
    "named",
    [
        *({}, {"stack": "a-third"}, {"stack": ""}, {"stack": None}, {"stack": "ballast"}),
        *(
            {"stack": [OTHER]},
            {"stack": [STACK, OTHER]},
            {"stack": "OTHER"},
            {"stack": "*"},
            {"stack": "ballast-loca*"},
        ),
    ],
)
def test_an_event_that_names_neither_starts_nothing(cloud: LocalCloud, named: dict[str, Any]) -> None:
    run_id = put(cloud, f"nobody-{json.dumps(named)}".replace(" ", ""), **named)

    assert run_id not in executions(cloud)
    assert run_id not in executions(cloud, f"{OTHER}.")


def test_the_same_request_to_both_is_a_run_in_each(cloud: LocalCloud) -> None:
    request = {"request_id": "both", "text": "How many?"}

    ids = [cloud.invoke(f"{prefix}StartFunction", request)["run_id"] for prefix in ("", f"{OTHER}.")]

    assert ids[0] == ids[1]
    for prefix in ("", f"{OTHER}."):
        eventually(lambda prefix=prefix: executions(cloud, prefix).get(ids[0]) == "SUCCEEDED")


def test_metrics_and_what_alarms_watch_are_one_stacks(cloud: LocalCloud) -> None:
    run_id = put(cloud, "measured", stack=OTHER)
    eventually(lambda: executions(cloud, f"{OTHER}.").get(run_id) == "SUCCEEDED")

    def services(function: str) -> set[str]:
        lines = [json.loads(line) for line in cloud.logs(function).splitlines() if '"_aws"' in line]
        return {line["service"] for line in lines if "CostUsd" in line}

    assert services(f"{OTHER}.AgentFunction") == {OTHER}
    assert services("AgentFunction") <= {STACK}
    alarms = cloud.session.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {
        (alarm["AlarmName"].rpartition("-")[0], one["Value"])
        for alarm in alarms
        for one in alarm.get("Dimensions", [])
        if alarm.get("Namespace") == "Ballast" and one["Name"] == "service"
    }
    assert watched == {(STACK, STACK), (OTHER, OTHER)}


def test_an_alarm_trips_the_breaker_of_its_own_stack_alone(cloud: LocalCloud) -> None:
    detail = {
        "alarmName": f"{OTHER}-HourlyCostAlarm",
        "state": {"value": "ALARM", "reason": "It costs.", "timestamp": "2026-03-01T12:00:00.000+0000"},
        "previousState": {"value": "OK"},
    }
    rings = {"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "detail": detail}

    for prefix in ("", f"{OTHER}."):
        cloud.invoke(f"{prefix}TripFunction", rings)

    dynamodb, tripped = cloud.session.client("dynamodb"), []
    for prefix in ("", f"{OTHER}."):
        items = dynamodb.scan(TableName=cloud.physical_id(f"{prefix}BudgetsTable"))["Items"]
        tripped.append(any(f"{OTHER}-HourlyCostAlarm" in json.dumps(item) for item in items))
    assert tripped == [False, True]


def test_one_stacks_roles_reach_nothing_of_the_other(cloud: LocalCloud) -> None:
    from botocore.exceptions import ClientError

    for mine, theirs in (("", f"{OTHER}."), (f"{OTHER}.", "")):
        dynamodb = cloud.runtime(f"{mine}ExecutorFunction").client("dynamodb")
        key = {"run_id": {"S": "r"}, "seq": {"S": "s"}}
        dynamodb.get_item(TableName=cloud.physical_id(f"{mine}RunLogTable"), Key=key)
        with pytest.raises(ClientError, match="not authorized"):
            dynamodb.get_item(TableName=cloud.physical_id(f"{theirs}RunLogTable"), Key=key)
        assert cloud.physical_id(f"{mine}RunRequestQueue") != cloud.physical_id(f"{theirs}RunRequestQueue")


@pytest.mark.parametrize("name", ["by-hand", "run-" + "a" * 24, "x" * 80])
def test_an_execution_that_is_not_named_as_its_run_is_refused_and_leaves_nothing(cloud: LocalCloud, name: str) -> None:
    states, request = cloud.session.client("stepfunctions"), {"request_id": f"misnamed-{name}", "text": "How many?"}
    run_id = RunRequest.model_validate(request).run_id

    arn = states.start_execution(
        stateMachineArn=cloud.physical_id("AgentStateMachine"), name=name, input=json.dumps({"request": request})
    )["executionArn"]
    described = eventually(
        lambda: next((one for one in [states.describe_execution(executionArn=arn)] if one["status"] != "RUNNING"), None)
    )

    assert json.loads(described["output"]) == {"status": "refused", "reason": "ExecutionMisnamed"}
    assert cloud.events(run_id) == ()
    assert cloud.events(name) == ()
    # The request itself can still be run, by the name that is its own.
    assert cloud.wait(cloud.start(RunRequest.model_validate(request)), 60).status == "SUCCEEDED"


def test_an_execution_of_the_runs_name_may_be_started_by_anybody_who_may(cloud: LocalCloud) -> None:
    request = {"request_id": "by-hand-and-right", "text": "How many?"}
    run_id = RunRequest.model_validate(request).run_id

    cloud.session.client("stepfunctions").start_execution(
        stateMachineArn=cloud.physical_id("AgentStateMachine"), name=run_id, input=json.dumps({"request": request})
    )

    assert cloud.wait(run_id, 60).output["status"] == "answered"


def test_a_message_that_came_to_the_wrong_queue_is_put_aside(cloud: LocalCloud) -> None:
    event = {
        "source": "ballast",
        "detail-type": "Run Requested",
        "detail": {"request_id": "astray", "text": "x", "stack": OTHER},
    }
    sqs = cloud.session.client("sqs")

    sqs.send_message(QueueUrl=cloud.physical_id("RunRequestQueue"), MessageBody=json.dumps(event))
    cloud.pump()

    [message] = sqs.receive_message(
        QueueUrl=cloud.physical_id("RunRequestDeadLetterQueue"), MessageAttributeNames=["All"]
    )["Messages"]
    assert "detail.stack" in message["MessageAttributes"]["message"]["StringValue"]
    assert RunRequest(request_id="astray", text="x").run_id not in executions(cloud)
