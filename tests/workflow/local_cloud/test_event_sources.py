"""Delivery of queues' messages and rules' events to functions, as on AWS."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.cloud import LocalCloud
from localcloud.gateway.aws import AwsEndpoint
from localcloud.gateway.http_api import Request
from localcloud.moto_seams.sqs import waits
from localcloud.sessions import ACCOUNT, REGION
from tests.workflow.local_cloud.conftest import TEMPLATE, eventually


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    # With the walls up: Lambda polls with the function's own role.
    with LocalCloud(template=TEMPLATE, playbook=TEMPLATE.parent, enforce_iam=True) as opened:
        yield opened


@pytest.fixture(autouse=True)
def empty_queues(cloud: LocalCloud, bench: Any) -> None:
    bench.responses.extend([None] * 20)
    cloud.pump()
    left(cloud, "DeadRequests")
    bench.responses.clear()
    bench.batches.clear()


def send(cloud: LocalCloud, *bodies: str) -> None:
    """Send messages to the queue that feeds the function."""
    for body in bodies:
        cloud.session.client("sqs").send_message(QueueUrl=cloud.physical_id("Requests"), MessageBody=body)


def left(cloud: LocalCloud, queue: str) -> list[str]:
    """Take what can be received from the queue now."""
    sqs, url = cloud.session.client("sqs"), cloud.physical_id(queue)
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in received:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in received]


def test_what_waits_is_delivered_in_batches_of_the_templates_size(cloud: LocalCloud, bench: Any) -> None:
    send(cloud, *"abcdefg")

    assert cloud.pump() == 7

    assert [len(batch) for batch in bench.batches] == [3, 3, 1]
    assert {body for batch in bench.batches for body in batch} == set("abcdefg")
    assert left(cloud, "Requests") == []
    assert cloud.pump() == 0


def test_only_the_messages_that_failed_come_again_and_then_are_dead_letters(cloud: LocalCloud, bench: Any) -> None:
    send(cloud, "good", "bad")

    assert [cloud.pump() for _ in range(3)] == [1, 0, 0]

    assert sorted(map(sorted, bench.batches)) == [["bad"], ["bad", "good"]]
    assert left(cloud, "DeadRequests") == ["bad"]


def test_after_a_crash_the_whole_batch_comes_again(cloud: LocalCloud, bench: Any) -> None:
    send(cloud, "good", "crash")

    cloud.pump()
    cloud.pump()

    assert sorted(map(sorted, bench.batches)) == [["crash", "good"], ["crash", "good"]]


@pytest.mark.parametrize(
    ("response", "taken"),
    [
        (None, 2),
        ({}, 2),
        ({"batchItemFailures": []}, 2),
        ({"batchItemFailures": None}, 2),
        ("text", 0),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, 0),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, 0),
        ({"batchItemFailures": [{"itemIdentifier": "of another batch"}]}, 0),
        ({"batchItemFailures": [{}]}, 0),
        ({"batchItemFailures": 7}, 0),
    ],
)
def test_a_partial_response_is_read_as_lambda_reads_it(
    cloud: LocalCloud, bench: Any, response: Any, taken: int
) -> None:
    bench.responses.append(response)
    send(cloud, "a", "b")

    assert cloud.pump() == taken


def test_within_polling_messages_are_delivered_as_they_come(cloud: LocalCloud, bench: Any) -> None:
    threads = set(threading.enumerate())
    with cloud.polling():
        send(cloud, "first")
        eventually(lambda: bench.batches == [["first"]])
        send(cloud, "second")
        eventually(lambda: bench.batches == [["first"], ["second"]])

    assert not {thread for thread in threading.enumerate() if thread.name == "pollers"} - threads
    send(cloud, "third")
    assert left(cloud, "Requests") == ["third"]


def test_an_event_reaches_the_queue_and_the_function_that_its_rule_names(cloud: LocalCloud, bench: Any) -> None:
    events = cloud.session.client("events")
    detail = json.dumps({"name": f"heard-{id(bench)}"})

    sent = events.put_events(
        Entries=[
            {"Source": "stand-in", "DetailType": kind, "Detail": detail} for kind in ("Requested", "Something else")
        ]
    )

    assert sent["FailedEntryCount"] == 0
    assert cloud.pump() == 1
    [[body]] = bench.batches
    eventually(lambda: len(bench.events) == 1)
    for event in (json.loads(body), bench.events[0]):
        assert (event["source"], event["detail-type"], event["detail"]) == (
            "stand-in",
            "Requested",
            json.loads(detail),
        )
        assert event["time"].endswith("Z")


def test_moto_delivers_nothing_by_itself(cloud: LocalCloud, bench: Any) -> None:
    send(cloud, "waits")

    assert bench.batches == []
    assert left(cloud, "Requests") == ["waits"]


def test_what_waits_in_a_queue_is_seen_without_a_request_and_told_when_it_is_sent(cloud: LocalCloud) -> None:
    sqs, url = cloud.session.client("sqs"), cloud.physical_id("Requests")
    queue, told = url.rpartition("/")[2], list[tuple[str, str]]()
    cloud.message_sent.append(lambda *message: told.append(message))
    seen = [waits(ACCOUNT, REGION, queue)]

    sqs.send_message(QueueUrl=url, MessageBody="hello")
    seen.append(waits(ACCOUNT, REGION, queue))
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
    seen.append(waits(ACCOUNT, REGION, queue))
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    seen.append(waits(ACCOUNT, REGION, queue))
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=600)
    seen.append(waits(ACCOUNT, REGION, queue))

    assert seen == [False, True, False, True, False]
    assert told == [(queue, "hello"), (queue, "later")]
    sqs.purge_queue(QueueUrl=url)


def test_the_endpoint_for_others_works_with_the_walls_up_and_for_any_keys(cloud: LocalCloud) -> None:
    url = cloud.physical_id("Requests")
    body = json.dumps({"QueueUrl": url, "MessageBody": "from outside"}).encode()
    scope = "AWS4-HMAC-SHA256 Credential=ANY/20261128/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
    headers = [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("X-Amz-Target", "AmazonSQS.SendMessage"),
        ("X-Amz-Security-Token", "stale"),
        ("Host", "127.0.0.1:1"),
    ]
    endpoint = AwsEndpoint(cloud)

    sent = endpoint(Request("POST", "/", [*headers, ("Authorization", scope.format("sqs"))], body))
    unsigned = endpoint(Request("POST", "/", headers, body))
    other = endpoint(Request("POST", "/", [*headers, ("authorization", scope.format("iam"))], body))

    assert (sent.status, unsigned.status, other.status) == (200, 403, 501)
    assert "MessageId" in json.loads(sent.body)
    assert left(cloud, "Requests") == ["from outside"]
