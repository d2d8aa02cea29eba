"""``ballast redrive`` against a deployed stack: moto stands in for AWS, with made-up credentials."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ballast.contracts import RunRequest
from cli import main
from cli.commands import redrive as redrive_command
from cli.exits import Exit

REQUEST = {"request_id": "r-1", "text": "Where is my order?"}
RUN_ID = RunRequest.model_validate(REQUEST).run_id
QUEUES = ("RunRequestQueue", "RunRequestDeadLetterQueue")
TEMPLATE = {
    "Resources": {name: {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}} for name in QUEUES},
    "Outputs": {f"{name}Url": {"Value": {"Ref": name}} for name in QUEUES},
}


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(redrive_command, "WAIT_S", 0)
    with mock_aws():
        boto3.client("cloudformation").create_stack(StackName="deployed", TemplateBody=json.dumps(TEMPLATE))
        yield boto3.client("sqs")


def bury(sqs: Any, body: Any, **why: str) -> str:
    """Put a dead letter into its queue and return its id."""
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in why.items()}
    text = body if isinstance(body, str) else json.dumps(body)
    sent = sqs.send_message(QueueUrl=url(sqs, QUEUES[1]), MessageBody=text, MessageAttributes=attributes)
    return str(sent["MessageId"])


def url(sqs: Any, queue: str) -> str:
    return str(sqs.get_queue_url(QueueName=queue)["QueueUrl"])


def bodies(sqs: Any, queue: str) -> list[str]:
    """Return what can be received from the queue at once."""
    received = sqs.receive_message(QueueUrl=url(sqs, queue), MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in received.get("Messages", [])]


def redrive(*typed: str) -> int:
    return main(["redrive", "--stack", "deployed", *typed])


def test_the_dead_letters_are_listed_with_their_reasons_and_stay(sqs: Any, capsys: Any) -> None:
    first = bury(sqs, "no json\x1b[2J", reason="InvalidInput", message="body: is not JSON.")
    second = bury(sqs, REQUEST)

    assert redrive() == Exit.OK

    shown = capsys.readouterr().out
    for part in (first, "InvalidInput", "body: is not JSON.", second, "failed too often", "Where is my order?"):
        assert part in shown
    assert "\x1b[2J" not in shown
    assert len(bodies(sqs, QUEUES[1])) == 2


def test_where_there_are_none_it_says_so(sqs: Any, capsys: Any) -> None:
    assert redrive() == Exit.OK
    assert "no dead letters" in capsys.readouterr().out


def test_a_mended_letter_goes_back_into_the_queue(sqs: Any, capsys: Any, tmp_path: Path) -> None:
    letter, other = bury(sqs, {"request_id": "r-1"}, reason="InvalidInput"), bury(sqs, "other")
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(REQUEST))

    assert redrive("--message", letter[:8], "--body", str(mended)) == Exit.OK

    assert RUN_ID in capsys.readouterr().out
    assert [json.loads(body) for body in bodies(sqs, QUEUES[0])] == [REQUEST]
    assert bodies(sqs, QUEUES[1]) == ["other"], other


@pytest.mark.parametrize("text", ["no json", '{"request_id": "r-1"}'])
def test_a_letter_that_is_not_mended_is_not_put_back(sqs: Any, capsys: Any, tmp_path: Path, text: str) -> None:
    letter = bury(sqs, "no json")
    (tmp_path / "body").write_text(text)

    assert redrive("--message", letter, "--body", str(tmp_path / "body")) == Exit.USAGE

    assert "ballast redrive: " in capsys.readouterr().err
    assert (bodies(sqs, QUEUES[0]), bodies(sqs, QUEUES[1])) == ([], ["no json"])


def test_all_puts_back_what_is_a_request_and_keeps_the_rest(sqs: Any, capsys: Any) -> None:
    event = {"source": "ballast", "detail-type": "Run Requested", "detail": REQUEST | {"stack": "deployed"}}
    for body in (*[{**REQUEST, "request_id": f"r-{n}"} for n in range(12)], event, "no json"):
        bury(sqs, body)

    assert redrive("--all") == Exit.USAGE

    shown = capsys.readouterr().out
    assert (shown.count("Put back: "), shown.count("Stays: ")) == (13, 1)
    assert bodies(sqs, QUEUES[1]) == ["no json"]
    count = sqs.get_queue_attributes(QueueUrl=url(sqs, QUEUES[0]), AttributeNames=["ApproximateNumberOfMessages"])
    assert count["Attributes"]["ApproximateNumberOfMessages"] == "13"


def test_dying_before_the_letter_is_deleted_loses_nothing(sqs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bury(sqs, REQUEST)
    desk = redrive_command.DeadLetterQueue(sqs, url(sqs, QUEUES[0]), url(sqs, QUEUES[1]))
    [letter] = desk.take()
    monkeypatch.setattr(sqs, "delete_message", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        desk.put_back(letter)

    assert [json.loads(body) for body in bodies(sqs, QUEUES[0])] == [REQUEST]
    desk.release([letter])
    assert [json.loads(body) for body in bodies(sqs, QUEUES[1])] == [REQUEST]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--message", "unknown"], "matches 0 dead letters"),
        (["--message", "x", "--body", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--body", "x"], "--message ID"),
        (["--stack", "missing"], "--stack missing"),
    ],
)
def test_what_cannot_be_done_is_said(sqs: Any, capsys: Any, typed: list[str], words: str) -> None:
    assert redrive(*typed) == Exit.USAGE
    assert words in capsys.readouterr().err


def test_a_stack_of_something_else_is_said_to_be_one(sqs: Any, capsys: Any) -> None:
    boto3.client("cloudformation").create_stack(
        StackName="other", TemplateBody=json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}})
    )

    assert main(["redrive", "--stack", "other"]) == Exit.USAGE
    assert "no output RunRequestQueueUrl" in capsys.readouterr().err
