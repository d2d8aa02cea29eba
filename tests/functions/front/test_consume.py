"""The consumer of the queue: each request is one run, an invalid one is put aside with its reason, nothing is lost."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from ballast.contracts import RunRequest
from tests.functions.cloud import DEAD_LETTERS_URL, ENVIRONS, Cloud, client
from tests.functions.stack import LambdaDied, Stack, client_error, once

ARN = ENVIRONS["consume"]["STATE_MACHINE_ARN"]
_IDS = count(1)


@pytest.fixture(scope="module", autouse=True)
def workflow(cloud: Cloud) -> None:
    """A workflow that ends at once."""
    definition = {"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}}
    client("stepfunctions").create_state_machine(
        name="agent", roleArn="arn:aws:iam::123456789012:role/workflow", definition=json.dumps(definition)
    )


@pytest.fixture(autouse=True)
def no_dead_letters(cloud: Cloud) -> None:
    dead_letters()


def request(name: str, **fields: Any) -> dict[str, Any]:
    """Return a request of that name; each test uses names of its own."""
    return {"request_id": name, "text": "Tidy my notes."} | fields


def record(body: Any) -> dict[str, Any]:
    """Return the record of a message as Lambda hands it over."""
    return {
        "messageId": f"m-{next(_IDS)}",
        "receiptHandle": "r",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:requests",
        "awsRegion": "eu-west-1",
    }


def consume(stack: Stack, *records: dict[str, Any], **more: Any) -> list[str]:
    """Let the consumer take a batch; return the ids of the messages that come again."""
    response = stack.invoke("consume", {"Records": list(records)}, **more)
    return [item["itemIdentifier"] for item in response["batchItemFailures"]]


def dead_letters() -> list[tuple[str, str, str]]:
    """Take the dead letters and return (reason, message, body) of each."""
    found = []
    while (
        batch := client("sqs")
        .receive_message(QueueUrl=DEAD_LETTERS_URL, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        .get("Messages")
    ):
        for message in batch:
            client("sqs").delete_message(QueueUrl=DEAD_LETTERS_URL, ReceiptHandle=message["ReceiptHandle"])
            why = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
            found.append((why["reason"], why["message"], message["Body"]))
    return found


def started(*names: str) -> list[bool]:
    """Say of each request whether its run was started."""
    found = client("stepfunctions").list_executions(stateMachineArn=ARN, maxResults=1000)["executions"]
    runs = [execution["name"] for execution in found]
    return [runs.count(RunRequest.model_validate(request(name)).run_id) == 1 for name in names]


def envelope(detail: Any, **fields: Any) -> dict[str, Any]:
    """Return EventBridge's event of a request."""
    return {"version": "0", "source": "ballast", "detail-type": "Run Requested", "detail": detail} | fields


def test_a_message_is_a_request_or_an_event_with_one(stack: Stack) -> None:
    again = consume(stack, record(request("direct")), record(envelope(request("by-event"))))

    assert again == []
    assert started("direct", "by-event") == [True, True]
    assert dead_letters() == []


@pytest.mark.parametrize(
    ("body", "reason", "names"),
    [
        ("no json", "InvalidInput", "body: is not JSON"),
        ("[" * 100_000, "InvalidInput", "body: is not JSON"),
        ("9" * 5_000, "InvalidInput", "body: is not JSON"),
        ("null", "InvalidInput", "RunRequest must be a JSON object"),
        ("[]", "InvalidInput", "RunRequest must be a JSON object"),
        ('{"request_id": "bad", "text": NaN}', "InvalidInput", "RunRequest is not JSON: text"),
        ({"request_id": "bad"}, "InvalidInput", "text"),
        (request("bad", text="x" * 20_001), "InvalidInput", "text"),
        (request("bad", context={"much": "x" * 40_000}), "InvalidInput", "context"),
        (request("bad", text="x" * 900_000), "InvalidInput", "text"),
        (request("bad", colour="red"), "InvalidInput", "colour"),
        (request("bad", reply_to="http://example.com/"), "InvalidInput", "reply_to"),
        (request("bad \u2602"), "InvalidInput", "request_id"),
        (envelope(None), "InvalidInput", "detail must be a JSON object"),
        (envelope({}), "InvalidInput", "request_id"),
        (envelope(request("bad"), source="somebody"), "InvalidInput", "source: must be 'ballast'"),
        (envelope(request("bad"), **{"detail-type": "Run Answered"}), "InvalidInput", "detail-type: must be"),
    ],
)  # fmt: skip
def test_a_bad_message_is_put_aside_with_its_reason_and_its_neighbours_run(
    stack: Stack, body: Any, reason: str, names: str
) -> None:
    neighbours = [f"neighbour-{next(_IDS)}" for _ in range(2)]
    bad = record(body)

    again = consume(stack, record(request(neighbours[0])), bad, record(request(neighbours[1])))

    assert again == []
    assert started(*neighbours) == [True, True]
    [(found, message, kept)] = dead_letters()
    assert (found, kept) == (reason, bad["body"])
    assert names in message


def test_the_same_name_for_another_request_is_put_aside(stack: Stack) -> None:
    again = consume(stack, record(request("taken")), record(request("taken", text="Burn my notes.")))

    assert again == []
    assert started("taken") == [True]
    [(reason, message, _)] = dead_letters()
    assert reason == "RequestConflict"
    assert "'taken'" in message


def test_a_message_that_comes_twice_is_one_run(stack: Stack) -> None:
    same = record(request("twice"))

    again = consume(stack, same, same) + consume(stack, same)

    assert again == []
    assert started("twice") == [True]
    assert dead_letters() == []


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ExecutionLimitExceeded", "AccessDenied"])
def test_after_an_outage_only_the_message_that_met_it_comes_again(stack: Stack, code: str) -> None:
    names = [f"{code}-{n}" for n in range(3)]
    records = [record(request(name)) for name in names]
    stack.on("consume", "stepfunctions", "StartExecution", once(client_error(code)))

    again = consume(stack, *records)

    assert again == [records[0]["messageId"]]
    assert started(*names) == [False, True, True]
    [line] = stack.lines()
    assert code in line["message"]
    assert consume(stack, records[0]) == []
    assert started(*names) == [True] * 3


def test_where_every_message_meets_an_outage_all_come_again(stack: Stack) -> None:
    stack.environs["consume"]["STATE_MACHINE_ARN"] = ARN + "-gone"
    records = [record(request(f"no-workflow-{n}")) for n in range(2)]

    assert consume(stack, *records) == [each["messageId"] for each in records]
    assert "STATE_MACHINE_ARN" in stack.lines()[0]["message"]


@pytest.mark.parametrize("code", ["ThrottlingException", "InvalidParameterValue"])
def test_a_bad_message_that_cannot_be_put_aside_stays(stack: Stack, code: str) -> None:
    bad, good = record("no json"), record(request(f"beside-{code}"))
    stack.on("consume", "sqs", "SendMessage", once(client_error(code)))

    assert consume(stack, bad, good) == [bad["messageId"]]
    assert started(f"beside-{code}") == [True]


@pytest.mark.parametrize(("service", "operation"), [("stepfunctions", "StartExecution"), ("sqs", "SendMessage")])
@pytest.mark.parametrize("when", ["on", "after"])
def test_whenever_the_consumer_dies_the_batch_comes_again_and_each_run_starts_once(
    stack: Stack, when: str, service: str, operation: str
) -> None:
    names = [f"dies-{when}-{service}-{n}" for n in range(2)]
    batch = [record(request(names[0])), record("no json"), record(request(names[1]))]
    fault = stack.on if when == "on" else stack.after
    fault("consume", service, operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        consume(stack, *batch)

    assert consume(stack, *batch) == []

    assert started(*names) == [True, True]
    assert {body for _, _, body in dead_letters()} == {"no json"}


def test_two_hundred_messages_of_fifty_requests_at_once_start_fifty_runs(stack: Stack) -> None:
    names = [f"crowd-{n}" for n in range(50)]
    records = [record(request(name)) for name in names * 4]
    batches = [records[at : at + 10] for at in range(0, 200, 10)]
    together, runtime = threading.Barrier(8), stack.runtime("consume")

    def take(batch: list[dict[str, Any]]) -> list[str]:
        if batch in batches[:8]:
            together.wait()
        return consume(stack, *batch, runtime=runtime)

    with ThreadPoolExecutor(8) as consumers:
        again = [message for failed in consumers.map(take, batches) for message in failed]

    assert again == []
    assert started(*names) == [True] * 50
    assert dead_letters() == []
