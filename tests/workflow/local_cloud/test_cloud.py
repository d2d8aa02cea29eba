"""The local cloud, deployed from a template: runs, waits, stops and ends."""

import json
import os
from typing import Any

import pytest

from localcloud.clock import VirtualClock
from localcloud.cloud import LocalCloud
from tests.workflow.local_cloud.conftest import TEMPLATE, begin


def test_a_functions_environment_is_the_templates_with_the_local_overrides(cloud: LocalCloud) -> None:
    described = cloud.invoke("WorkFunction", {"describe": True})

    assert (
        described["environ"]
        == cloud.environ("WorkFunction")
        == {
            "RUN_LOG_TABLE": cloud.physical_id("RunLogTable"),
            "PLAYBOOK_DIR": str(TEMPLATE.parent),
            "MODEL_ENDPOINT_URL": "",
            "GREETING": "hello",
            "DAYS": "400",
            "QUEUE_URL": cloud.physical_id("Questions"),
        }
    )
    assert described["os"] is None
    assert "PLAYBOOK_DIR" not in cloud.environ("ShortFunction")
    assert 0 < described["remaining_ms"] <= 30_000


def test_outputs_and_physical_ids_are_the_stacks(cloud: LocalCloud) -> None:
    assert cloud.outputs == {"TableName": cloud.physical_id("RunLogTable")}
    with pytest.raises(KeyError, match="no Nothing"):
        cloud.physical_id("Nothing")


def test_the_templates_alarms_exist_with_their_references_resolved(cloud: LocalCloud) -> None:
    alarms = cloud.session.client("cloudwatch").describe_alarms()["MetricAlarms"]

    assert [alarm["AlarmName"] for alarm in alarms] == ["ballast-local-FailuresAlarm"]
    assert alarms[0]["Dimensions"] == [{"Name": "StateMachineArn", "Value": cloud.physical_id("AgentStateMachine")}]


@pytest.mark.parametrize("side_by_side", [True, False])
def test_a_maps_results_are_in_order(run: Any, side_by_side: bool) -> None:
    ended = run(go="map", items=[1, "boom", 3], side_by_side=side_by_side)

    assert ended.output == [{"echo": {"item": 1, "note": None}}, "caught", {"echo": {"item": 3, "note": None}}]


def test_a_hung_task_is_cut_by_its_own_timeout(run: Any) -> None:
    ended = run(hang_s=1.3, timeout_s=1)

    assert ended.output == {"error": "timeout"}


def test_the_end_of_a_functions_time_is_an_error_of_the_task(run: Any) -> None:
    assert run(go="short", hang_s=1.1).output == {"error": "sandbox"}


def test_a_result_over_256_kib_fails_the_task_and_no_state_can_catch_it_as_anything_else(run: Any) -> None:
    ended = run(big=256 * 1024)

    assert (ended.status, ended.error) == ("FAILED", "States.DataLimitExceeded")


def test_transitions_lead_from_state_to_state_also_in_and_out_of_a_map(cloud: LocalCloud, run: Any) -> None:
    ended = run(go="map", items=[1, "boom"], side_by_side=False)

    assert cloud.transitions(ended.run_id) == [
        ("Note", "Choose"),
        ("Choose", "Each"),
        ("Each", "One"),
        ("Each", "One"),
        ("One", "Otherwise"),
    ]


def test_a_retried_state_is_entered_once(cloud: LocalCloud, run: Any) -> None:
    ended = run(fail_times=2, key="entered")

    assert cloud.transitions(ended.run_id) == [("Note", "Choose"), ("Choose", "Work")]


def test_a_failed_executions_event_is_delivered_as_on_aws(cloud: LocalCloud, run: Any, bench: Any) -> None:
    ended = run(go="query", note="x")

    [event] = bench.events
    arn = cloud.physical_id("AgentStateMachine").replace(":stateMachine:", ":execution:") + f":{ended.run_id}"
    assert (event["source"], event["detail-type"]) == ("aws.states", "Step Functions Execution Status Change")
    assert event["resources"] == [arn] == [event["detail"]["executionArn"]]
    assert event["detail"]["stateMachineArn"] == cloud.physical_id("AgentStateMachine")
    assert (event["detail"]["name"], event["detail"]["status"]) == (ended.run_id, "FAILED")
    assert json.loads(event["detail"]["input"]) == {"go": "query", "note": "x"}
    assert event["detail"]["startDate"] <= event["detail"]["stopDate"]
    assert event["detail"]["error"] == "States.QueryEvaluationError"


def test_a_run_that_went_well_is_no_event_for_the_rule(run: Any, bench: Any) -> None:
    run()

    assert bench.events == []


def test_an_event_that_is_not_taken_is_delivered_again(cloud: LocalCloud, bench: Any, clock: VirtualClock) -> None:
    started = clock.monotonic()
    name = begin(cloud, "stubborn-run", {"go": "query"})

    cloud.wait(name, 10)
    clock.pause(3_600)

    assert [round(at - started) for at in bench.at] == [0, 60, 180]


def test_an_event_that_is_never_taken_goes_to_the_dead_letters(cloud: LocalCloud, clock: VirtualClock) -> None:
    name = begin(cloud, "never-settled", {"go": "query"})

    cloud.wait(name, 10)
    clock.pause(3_600)

    queue = cloud.physical_id("Unsettled")
    received = cloud.session.client("sqs").receive_message(QueueUrl=queue, MessageAttributeNames=["All"])
    [message] = received["Messages"]
    assert json.loads(message["Body"])["detail"]["name"] == name
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "not yet"


def test_the_front_door_starts_a_run(cloud: LocalCloud) -> None:
    from ballast.contracts import RunRequest

    seen: list[str] = []
    cloud.before_invoke.append(lambda function, payload: seen.append(payload.setdefault("run_id", "run-of-a-request")))
    try:
        run_id = cloud.start(RunRequest(request_id="r-1", text="Where is my order?"))
        ended = cloud.wait(run_id, 10)
    finally:
        cloud.before_invoke.clear()

    assert seen[0] == run_id == "run-of-a-request"
    assert ended.output["result"]["echo"]["text"] == "Where is my order?"


def test_waiting_says_where_a_run_is_that_does_not_end(cloud: LocalCloud, bench: Any) -> None:
    name = begin(cloud, "run-waits", {"go": "ask"})

    with pytest.raises(TimeoutError, match=r"run-waits has not ended after 0\.3 s; it is RUNNING, in Ask"):
        cloud.wait(name, 0.3)

    assert cloud.status(name) == "RUNNING"
    cloud.stop(name)
    assert cloud.wait(name, 10).status == cloud.status(name) == "ABORTED"


def test_a_run_that_never_was_is_named(cloud: LocalCloud) -> None:
    with pytest.raises(LookupError, match="no run run-never"):
        cloud.wait("run-never", 10)


def test_a_runs_log_is_read_back(cloud: LocalCloud) -> None:
    from ballast.log.run_log import RunLog
    from ballast.runtime import Runtime

    names = {"RUN_LOG_TABLE": cloud.physical_id("RunLogTable"), "PAYLOAD_BUCKET": cloud.physical_id("PayloadBucket")}
    RunLog.of(Runtime(names, session=cloud.session)).write("run-x", "0001.model.requested", {"a": 1})

    assert [(event.seq, event.body) for event in cloud.events("run-x")] == [("0001.model.requested", {"a": 1})]


def test_the_environment_of_the_process_is_left_alone(cloud: LocalCloud, run: Any) -> None:
    before = dict(os.environ)

    run()

    assert dict(os.environ) == before
    assert os.environ.get("AWS_ACCESS_KEY_ID") != "FOOBARKEY"
