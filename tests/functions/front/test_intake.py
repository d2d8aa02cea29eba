"""A request starts one execution, however often it comes."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import InvalidInput, RequestConflict, RetryLater, SettingInvalid
from tests.functions.cloud import ENVIRONS, Cloud, client
from tests.functions.stack import Stack, client_error, once

ARN = ENVIRONS["intake"]["STATE_MACHINE_ARN"]


@pytest.fixture(scope="module", autouse=True)
def workflow(cloud: Cloud) -> Iterator[None]:
    """A workflow that waits where the request says so, and else ends at once."""
    choice = {"Variable": "$.request.context.waits", "IsPresent": True, "Next": "Wait"}
    states = {
        "Begin": {"Type": "Choice", "Choices": [choice], "Default": "End"},
        "Wait": {"Type": "Wait", "Seconds": 600, "End": True},
        "End": {"Type": "Pass", "End": True},
    }
    client("stepfunctions").create_state_machine(
        name="agent",
        roleArn="arn:aws:iam::123456789012:role/workflow",
        definition=json.dumps({"StartAt": "Begin", "States": states}),
    )
    yield
    for execution in client("stepfunctions").list_executions(stateMachineArn=ARN)["executions"]:
        client("stepfunctions").stop_execution(executionArn=execution["executionArn"])


def request(name: str, **fields: Any) -> dict[str, Any]:
    """Return a request of that name; each test uses names of its own."""
    return {"request_id": name, "agent": "tester", "text": "Tidy my notes."} | fields


def executions(run_id: str) -> list[dict[str, Any]]:
    """Return the executions of that run."""
    found = client("stepfunctions").list_executions(stateMachineArn=ARN)["executions"]
    return [execution for execution in found if execution["name"] == run_id]


def ended(run_id: str) -> None:
    """Wait until the run's execution is over."""
    while executions(run_id)[0]["status"] == "RUNNING":
        time.sleep(0.01)


def test_a_request_starts_an_execution_named_after_its_run(stack: Stack) -> None:
    event = request("starts", context={"order": "o-1"})

    started = stack.invoke("intake", event)

    made = RunRequest.model_validate(event)
    assert started == {
        "run_id": made.run_id,
        "execution_arn": ARN.replace(":stateMachine:", ":execution:") + f":{made.run_id}",
        "started": True,
    }
    described = client("stepfunctions").describe_execution(executionArn=started["execution_arn"])
    assert json.loads(described["input"]) == {"request": made.model_dump(mode="json"), "when_full": "refuse"}


@pytest.mark.parametrize("context", [{}, {"waits": True}])
def test_the_same_request_twice_is_one_execution(stack: Stack, context: dict[str, Any]) -> None:
    event = request(f"twice-{len(context)}", context=context)
    first = stack.invoke("intake", event)
    if not context:
        ended(first["run_id"])

    second = stack.invoke("intake", dict(reversed(event.items())))

    assert (second["run_id"], second["execution_arn"]) == (first["run_id"], first["execution_arn"])
    assert len(executions(first["run_id"])) == 1


def test_a_request_whose_run_is_over_is_found_and_not_started(stack: Stack) -> None:
    run_id = stack.invoke("intake", request("is-over"))["run_id"]
    ended(run_id)

    assert stack.invoke("intake", request("is-over"))["started"] is False


@pytest.mark.parametrize("context", [{}, {"waits": True}])
def test_the_same_name_for_another_request_is_a_conflict(stack: Stack, context: dict[str, Any]) -> None:
    name = f"conflict-{len(context)}"
    run_id = stack.invoke("intake", request(name, context=context))["run_id"]
    if not context:
        ended(run_id)

    with pytest.raises(RequestConflict, match=name):
        stack.invoke("intake", request(name, context=context, text="Burn my notes."))

    assert len(executions(run_id)) == 1


def test_a_missing_workflow_is_named(stack: Stack) -> None:
    stack.environs["intake"]["STATE_MACHINE_ARN"] = ARN + "-gone"

    with pytest.raises(SettingInvalid, match="STATE_MACHINE_ARN"):
        stack.invoke("intake", request("no-workflow"))


def test_a_throttle_means_try_again_later(stack: Stack) -> None:
    stack.on("intake", "stepfunctions", "StartExecution", once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater):
        stack.invoke("intake", request("throttled"))

    assert stack.invoke("intake", request("throttled"))["started"] is True


def test_a_run_that_was_started_and_cannot_be_seen_yet_is_asked_for_again(stack: Stack) -> None:
    run_id = stack.invoke("intake", request("not-seen-yet"))["run_id"]
    ended(run_id)
    stack.on("intake", "stepfunctions", "DescribeExecution", once(client_error("ExecutionDoesNotExist")))

    with pytest.raises(RetryLater):
        stack.invoke("intake", request("not-seen-yet"))

    assert stack.invoke("intake", request("not-seen-yet"))["run_id"] == run_id


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ({}, "request_id"),
        ([], "RunRequest"),
        (None, "RunRequest"),
        ({"request_id": "malformed"}, "text"),
        ({"request_id": "a b", "text": "x"}, "request_id"),
        ({"request_id": "malformed", "text": "x", "run_id": "run-1"}, "run_id"),
        ({"request_id": "malformed", "text": "x", "context": {"a": float("nan")}}, "RunRequest"),
    ],
)
def test_a_request_that_is_none_names_the_field_and_starts_nothing(stack: Stack, event: Any, names: str) -> None:
    before = len(client("stepfunctions").list_executions(stateMachineArn=ARN)["executions"])

    with pytest.raises(InvalidInput, match=names):
        stack.invoke("intake", event)

    assert len(client("stepfunctions").list_executions(stateMachineArn=ARN)["executions"]) == before
