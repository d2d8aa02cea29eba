"""Events that other systems receive: a rule for all of Ballast's events, and its queue."""

from __future__ import annotations

import json
from typing import Any

from tests.functions.cloud import client


def listen() -> None:
    """Keep every event of ours from now on. Call it again: harmless."""
    arn = "arn:aws:sqs:eu-west-1:123456789012:heard"
    client("sqs").create_queue(QueueName="heard")
    client("events").put_rule(Name="hear", EventPattern=json.dumps({"source": ["ballast"]}))
    client("events").put_targets(Rule="hear", Targets=[{"Id": "heard", "Arn": arn}])


def heard(run_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (detail-type, detail) of the events about that run since the last call, in order."""
    events = [json.loads(body) for body in received("heard")]
    return [(event["detail-type"], event["detail"]) for event in events if event["detail"]["run_id"] == run_id]


def received(queue: str) -> list[str]:
    """Take all messages out of a queue and return their bodies."""
    url = client("sqs").get_queue_url(QueueName=queue)["QueueUrl"]
    bodies = []
    while batch := client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            bodies.append(message["Body"])
    return bodies
