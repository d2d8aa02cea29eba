"""A run by messages only: requested by an event, asked about in a queue, told of by events and a reply.

The walls are up (each function has its own role's rights), and every message is held to its published schema.
"""

import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ballast.contracts import RunRequest
from localcloud import schemas
from localcloud.clock import WallClock
from localcloud.cloud import FunctionError, LocalCloud
from localcloud.deploy import STACK

ROOT = Path(__file__).parents[2]
PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"


def load_example() -> Any:
    """Return docs/examples/escalation_consumer.py as a module."""
    file = ROOT / "docs" / "examples" / "escalation_consumer.py"
    spec = importlib.util.spec_from_file_location("escalation_consumer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load_example()


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(
        playbook=PLAYBOOK,
        model_endpoint_url="http://127.0.0.1:9",
        enforce_iam=True,
        clock=WallClock(sleep=lambda _: None),
    ) as opened:
        events, sqs = opened.session.client("events"), opened.session.client("sqs")
        sqs.create_queue(QueueName="heard")
        sqs.create_queue(QueueName="ballast-reply-default--tests")
        events.put_rule(Name="hear", EventPattern=json.dumps({"source": ["ballast"]}))
        target = {"Id": "heard", "Arn": "arn:aws:sqs:eu-west-1:123456789012:heard"}
        events.put_targets(Rule="hear", Targets=[target])
        yield opened


def valid(body: str, schema: str) -> dict[str, Any]:
    """Return the message, held to the published schema."""
    text = (schemas.FOLDER / f"{schema}.schema.json").read_text(encoding="utf-8")
    message: dict[str, Any] = json.loads(body)
    jsonschema.validate(message, json.loads(text), cls=jsonschema.Draft202012Validator)
    return message


def take(cloud: LocalCloud, queue: str) -> list[str]:
    """Take all messages of the queue and return their bodies."""
    sqs = cloud.session.client("sqs")
    url = queue if queue.startswith("https:") else sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    bodies = []
    while received := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in received:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            bodies.append(message["Body"])
    return bodies


def heard(cloud: LocalCloud, run_id: str) -> list[dict[str, Any]]:
    """Return the events about the run, each held to its schema."""
    events = [event for event in map(json.loads, take(cloud, "heard")) if event["detail"].get("run_id") == run_id]
    for event in events:
        valid(json.dumps(event["detail"]), event["detail-type"].lower().replace(" ", "-"))
    return events


def answering(cloud: LocalCloud) -> Any:
    """Return how the example answers here: the deployed function, through the local cloud."""

    def answer(payload: dict[str, Any]) -> None:
        try:
            cloud.invoke("AnswerEscalationFunction", payload)
        except FunctionError as refusal:
            raise example.NotAccepted(refusal.name, refusal.message) from None

    return answer


def consume(cloud: LocalCloud, decide: Any, within_s: float = 400) -> None:
    """Let the example work until it has answered one question."""
    sqs, until = cloud.session.client("sqs"), time.monotonic() + within_s
    while not example.consume(
        sqs, cloud.outputs["EscalationQueueUrl"], answering(cloud), decide=decide, by="ann", wait_s=0
    ):
        assert time.monotonic() < until, "nobody was asked"
        time.sleep(0.02)


def test_a_run_by_messages_from_the_event_that_asks_to_the_event_that_answers(cloud: LocalCloud) -> None:
    sqs, asked = cloud.session.client("sqs"), []
    reply_to = sqs.get_queue_url(QueueName="ballast-reply-default--tests")["QueueUrl"]
    fields = {"request_id": "by-event", "text": "Count.", "reply_to": reply_to}
    request = RunRequest.model_validate_json(json.dumps(fields))
    detail = json.dumps({"stack": STACK} | fields)
    valid(detail, "run-requested")

    def decide(message: dict[str, Any]) -> dict[str, Any]:
        asked.append(valid(json.dumps(message), "escalation-message"))
        return {"decision": {"kind": "answer", "text": "It is seven."}}

    entry = {"Source": "ballast", "DetailType": "Run Requested", "Detail": detail}
    cloud.session.client("events").put_events(Entries=[entry, entry])
    assert cloud.pump() == 2
    consume(cloud, decide)
    ended = cloud.wait(request.run_id, 600)

    assert ended.output == {"run_id": request.run_id, "status": "answered", "by": "human", "degraded": True}
    escalated, answered = heard(cloud, request.run_id)
    assert [event["detail-type"] for event in (escalated, answered)] == ["Run Escalated", "Run Answered"]
    assert [escalated["detail"]["escalation_id"]] == [message["escalation_id"] for message in asked]
    assert answered["detail"]["answer"] == "It is seven."
    assert [json.loads(body) for body in take(cloud, reply_to)] == [answered["detail"]]
    assert take(cloud, cloud.outputs["EscalationQueueUrl"]) == []


def test_a_consumer_that_crashes_before_its_message_is_deleted_loses_nothing_and_starts_once(cloud: LocalCloud) -> None:
    request = RunRequest(request_id="crash", text="Count.", intent="world_peace")
    crashes = ["just before the message is deleted"]

    def crash(function: str, payload: dict[str, Any], result: Any) -> None:
        if function == "ConsumeFunction" and crashes:
            raise SystemExit(crashes.pop())

    cloud.after_invoke.append(crash)
    url = cloud.outputs["RunRequestQueueUrl"]
    cloud.session.client("sqs").send_message(QueueUrl=url, MessageBody=request.model_dump_json())

    assert [cloud.pump(), cloud.pump(), cloud.pump()] == [0, 1, 0]

    cloud.after_invoke.remove(crash)
    cloud.wait(request.run_id, 600)
    assert [event["detail-type"] for event in heard(cloud, request.run_id)] == ["Run Refused"]
    assert take(cloud, cloud.outputs["RunRequestDeadLetterQueueUrl"]) == []


def test_a_refused_and_a_failed_run_are_told_of_as_such(cloud: LocalCloud) -> None:
    refused = RunRequest(request_id="refused", text="Count.", intent="world_peace")
    failed = RunRequest.model_validate_json(json.dumps({"request_id": "failed", "text": "Count."}))
    sqs = cloud.session.client("sqs")
    for request in (refused, failed):
        sqs.send_message(QueueUrl=cloud.outputs["RunRequestQueueUrl"], MessageBody=request.model_dump_json())
    cloud.pump()
    cloud.wait(refused.run_id, 600)
    [told] = heard(cloud, refused.run_id)
    until = time.monotonic() + 400
    while not any(event.name == "escalation.announced" for event in cloud.events(failed.run_id)):
        assert time.monotonic() < until
        time.sleep(0.02)
    cloud.stop(failed.run_id)
    cloud.wait(failed.run_id, 600)

    assert told["detail-type"] == "Run Refused"
    kinds = [(event["detail-type"], event["detail"]["status"]) for event in heard(cloud, failed.run_id)]
    assert kinds[-1] == ("Run Failed", "aborted")


def test_the_published_schemas_are_what_the_contracts_say() -> None:
    assert schemas.main(["--check"]) == 0


def test_a_schema_that_differs_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setattr(schemas, "FOLDER", tmp_path)
    assert schemas.main([]) == 0
    (tmp_path / "run-answered.schema.json").write_text("{}")
    (tmp_path / "run-forgotten.schema.json").write_text("{}")

    assert schemas.main(["--check"]) == 1
    assert capsys.readouterr().err.count("python -m localcloud.schemas") == 2
    assert schemas.main([]) == schemas.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("calls", "answer"),
    [
        ([{"tool": "refund_order", "arguments": {"amount_usd": "50.00"}}], True),
        ([{"tool": "refund_order", "arguments": {"amount_usd": "50.01"}}], False),
        ([{"tool": "cancel_order", "arguments": {}}], None),
    ],
)
def test_the_example_decides_by_its_rule_and_leaves_the_rest_to_people(calls: Any, answer: bool | None) -> None:
    message = {"kind": "approval", "proposed_decision": {"kind": "call_tools", "calls": calls}}

    decided = example.decide(message)

    assert (decided and decided["approve"]) is answer
    assert example.decide({**message, "proposed_decision": None}) is None
    assert example.decide({**message, "kind": "escalation"}) is None


def test_the_example_leaves_what_it_does_not_know_and_deletes_what_nobody_waits_for(cloud: LocalCloud) -> None:
    sqs = cloud.session.client("sqs")
    url = sqs.create_queue(QueueName="questions")["QueueUrl"]
    escalation_id, said = "esc-" + "a" * 16, []
    for version in ("1", "2"):
        body = {"version": version, "kind": "escalation", "escalation_id": escalation_id}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    def closed(payload: dict[str, Any]) -> None:
        said.append(payload)
        raise example.NotAccepted("EscalationClosed", "too late")

    answered = example.consume(sqs, url, closed, decide=lambda message: {"decision": {}}, wait_s=0)

    assert answered == 0
    assert said == [{"escalation_id": escalation_id, "by": "escalation-consumer", "decision": {}}]
    count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
    assert count["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"  # the one of another version
