"""A real execution that waits for its task token."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.functions.cloud import client

_NAMES = count(1)


def create_workflow() -> str:
    """Create the state machine: one state, which sends its token to the queue ``tokens`` and waits."""
    queue = client("sqs").create_queue(QueueName="tokens")["QueueUrl"]
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"},
        "TimeoutSeconds": 60,
        "End": True,
    }
    made = client("stepfunctions").create_state_machine(
        name="waits",
        roleArn="arn:aws:iam::123456789012:role/workflow",
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait}}),
    )
    return str(made["stateMachineArn"])


@dataclass(frozen=True)
class Waiting:
    """One execution and the token that it waits for."""

    arn: str
    token: str

    @classmethod
    def begin(cls, workflow: str) -> Waiting:
        """Start an execution and return it once it waits."""
        started = client("stepfunctions").start_execution(stateMachineArn=workflow, name=f"waiting-{next(_NAMES)}")
        queue = client("sqs").get_queue_url(QueueName="tokens")["QueueUrl"]
        for _ in range(500):
            for message in client("sqs").receive_message(QueueUrl=queue).get("Messages", []):
                client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                return cls(started["executionArn"], message["Body"])
            time.sleep(0.01)
        raise TimeoutError("the execution never waited")

    @property
    def waits(self) -> bool:
        """Whether nobody has answered it."""
        return bool(client("stepfunctions").describe_execution(executionArn=self.arn)["status"] == "RUNNING")

    def output(self) -> dict[str, Any]:
        """Return what it was answered with."""
        self._until_it_ends()
        described = client("stepfunctions").describe_execution(executionArn=self.arn)
        assert described["status"] == "SUCCEEDED", described["status"]
        return dict(json.loads(described["output"]))

    def stop(self) -> None:
        """End it, as a timeout does: its token is worth nothing any more."""
        if self.waits:
            client("stepfunctions").send_task_failure(taskToken=self.token, error="TimedOut")
            self._until_it_ends()

    def _until_it_ends(self) -> None:
        for _ in range(500):
            if not self.waits:
                return
            time.sleep(0.01)
        raise TimeoutError("nobody answered it")
