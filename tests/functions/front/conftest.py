"""A state machine that accepts executions."""

import json
from collections.abc import Iterator

import pytest

from tests.functions.cloud import ENVIRONS, Cloud, client


@pytest.fixture(scope="module")
def waiting_workflow(cloud: Cloud) -> Iterator[str]:
    """Executions of it wait until they are stopped."""
    states = {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}
    client("stepfunctions").create_state_machine(
        name="agent",
        roleArn="arn:aws:iam::123456789012:role/workflow",
        definition=json.dumps({"StartAt": "Wait", "States": states}),
    )
    arn = ENVIRONS["api"]["STATE_MACHINE_ARN"]
    yield arn
    for execution in client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]:
        client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
