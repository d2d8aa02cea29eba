"""A run's ending is announced once, whatever dies or is retried."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ballast.errors import NotAdmitted, RetryLater
from tests.functions.cloud import STACK_NAME, client
from tests.functions.heard import heard, listen, received
from tests.functions.lifecycle.test_settle import answer, settle, status_change
from tests.functions.stack import LambdaDied, Stack, client_error, once


@pytest.fixture(autouse=True)
def listening(stack: Stack) -> None:
    listen()


def queue(name: str) -> str:
    """Make a queue and return its URL."""
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    return str(client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def answered(stack: Stack, **fields: Any) -> str:
    """Return a run that the fallback has answered and nobody settled."""
    run_id = stack.open(**fields)
    answer(stack, run_id, "fallback")
    return run_id


def not_taken(stack: Stack) -> None:
    """Let EventBridge refuse the entry of one request to Settle."""
    client_of = stack._client("settle", "events")
    left = [{"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException", "ErrorMessage": "injected"}]}]
    really = client_of.put_events
    client_of.put_events = lambda **entries: left.pop() if left else really(**entries)


def test_an_answer_is_told_with_all_that_a_receiver_needs(stack: Stack) -> None:
    run_id = answered(stack, request_id="told", tenant="acme")

    settle(stack, run_id, "answer")

    [(kind, detail)] = heard(run_id)
    assert kind == "Run Answered"
    assert detail == {
        "version": "1",
        "event_id": detail["event_id"],
        "stack": STACK_NAME,
        "run_id": run_id,
        "request_id": "told",
        "tenant": "acme",
        "status": "answered",
        "by": "fallback",
        "degraded": True,
        "reason": None,
        "answer": "All is tidy.",
        "answer_in_log": False,
        "effects": "none",
        "cost_usd": "0.00",
        "corrected": None,
        "at": "2026-03-01T12:00:00+00:00",
    }
    assert stack.body(run_id, "9999.run.announced") == {"event_id": detail["event_id"], "detail_type": "Run Answered"}


@pytest.mark.parametrize("ending", ["unanswered", "failed"])
def test_a_run_without_an_answer_is_told_as_failed_with_its_reason(stack: Stack, ending: str) -> None:
    run_id = stack.open(limited={"cost_microusd": 0})
    stack.plan(run_id)

    settle(stack, run_id, ending)

    [(kind, detail)] = heard(run_id)
    assert (kind, detail["status"], detail["reason"], detail["answer"]) == ("Run Failed", ending, "cost_limit", None)


@pytest.mark.parametrize(("name", "status"), [("run-aborted", "aborted"), ("run-timed-out", "timed_out")])
def test_a_run_that_was_cut_from_outside_is_told_as_failed(stack: Stack, name: str, status: str) -> None:
    run_id = stack.open()

    stack.invoke("settle", status_change(name, run_id))

    [(kind, detail)] = heard(run_id)
    assert (kind, detail["status"]) == ("Run Failed", status)


def test_a_refusal_is_told_with_what_to_mend(stack: Stack) -> None:
    for _ in range(2):
        with pytest.raises(NotAdmitted):
            stack.open(request_id="refused-and-told", intent="world_peace")

    [(kind, detail)] = [
        (event["detail-type"], event["detail"])
        for event in map(json.loads, received("heard"))
        if event["detail"]["request_id"] == "refused-and-told"
    ]
    assert (kind, detail["status"], detail["reason"]) == ("Run Refused", "refused", "NotAdmitted")
    assert "'world_peace'" in detail["message"]


def test_settled_again_and_again_it_is_told_once(stack: Stack) -> None:
    run_id = answered(stack)

    for _ in range(3):
        settle(stack, run_id, "answer")
    stack.invoke("settle", status_change("run-aborted", run_id))

    assert [kind for kind, _ in heard(run_id)] == ["Run Answered"]


@pytest.mark.parametrize("refuse", [not_taken, lambda stack: stack.on("settle", "events", "PutEvents", throttled())])
def test_an_event_that_is_not_taken_is_sent_by_the_retry(stack: Stack, refuse: Callable[[Stack], None]) -> None:
    run_id = answered(stack)
    refuse(stack)
    with pytest.raises(RetryLater, match=r"EventBridge"):
        settle(stack, run_id, "answer")
    assert heard(run_id) == []
    assert "9999.run.announced" not in stack.seqs(run_id)

    settle(stack, run_id, "answer")

    assert len(heard(run_id)) == 1


def throttled() -> Any:
    return once(client_error("ThrottlingException"))


@pytest.mark.parametrize(
    ("when", "service", "operation", "seq"),
    [
        ("on", "dynamodb", "PutItem", "9999.run.ended"),
        ("after", "dynamodb", "PutItem", "9999.run.ended"),
        ("on", "events", "PutEvents", ""),
        ("after", "dynamodb", "PutItem", "9999.run.announced"),
    ],
)
def test_wherever_else_it_dies_it_is_told_once(stack: Stack, when: str, service: str, operation: str, seq: str) -> None:
    run_id = answered(stack)
    fault = stack.on if when == "on" else stack.after
    fault("settle", service, operation, once(LambdaDied(), seq=seq))
    with pytest.raises(LambdaDied):
        settle(stack, run_id, "answer")

    settle(stack, run_id, "answer")

    assert len(heard(run_id)) == 1


@pytest.mark.parametrize(("when", "service", "operation", "seq"), [
    ("after", "events", "PutEvents", ""), ("on", "dynamodb", "PutItem", "9999.run.announced")
])  # fmt: skip
def test_dying_between_the_event_and_its_mark_sends_the_same_event_id_again(
    stack: Stack, when: str, service: str, operation: str, seq: str
) -> None:
    run_id = answered(stack)
    fault = stack.on if when == "on" else stack.after
    fault("settle", service, operation, once(LambdaDied(), seq=seq))
    with pytest.raises(LambdaDied):
        settle(stack, run_id, "answer")

    settle(stack, run_id, "answer")

    first, second = heard(run_id)
    assert first == second


def test_an_answer_too_long_for_an_event_is_left_to_the_log(stack: Stack) -> None:
    long = stack.open()
    decision = {"kind": "answer", "text": "☂" * 11_000}  # 6 bytes each, in ASCII
    stack.log.write(long, "0001.plan.decided", {"planner": "fallback", "decision": decision})

    settle(stack, long, "answer")

    [(_, detail)] = heard(long)
    assert (detail["answer"], detail["answer_in_log"]) == (None, True)
    assert stack.body(long, "9999.run.ended")["answer"] == decision["text"]


def test_an_escalation_that_could_not_be_told_when_it_opened_is_told_with_the_ending(stack: Stack) -> None:
    run_id = stack.open()
    opened = {"escalation_id": "esc-" + "a" * 16, "kind": "escalation", "reason": "deadline", "answer_by": "later"}
    stack.log.write(run_id, "0002.escalation.opened", opened)

    for _ in range(2):
        settle(stack, run_id, "unanswered", turn=2)

    assert [kind for kind, _ in heard(run_id)] == ["Run Escalated", "Run Failed"]


@pytest.mark.parametrize("name", ["reply-default--plain", "reply-default--ordered.fifo"])
def test_the_caller_gets_the_same_detail_in_a_queue_of_its_own(stack: Stack, name: str) -> None:
    run_id = answered(stack, reply_to=queue(name))

    for _ in range(2):
        settle(stack, run_id, "answer")

    [body] = received(name)
    [(_, detail)] = heard(run_id)
    assert json.loads(body) == detail
    assert stack.body(run_id, "9999.run.replied")["error"] is None


@pytest.mark.parametrize(
    "name",
    [
        "elses",
        "reply-",
        "reply-globex",
        "reply-acme-eu",
        "reply-acmes",
        "reply-acme---x",
        "reply-globex--acme",
        "reply-ACME",
    ],
)
def test_a_queue_that_is_not_the_tenants_is_refused_and_hears_nothing(stack: Stack, name: str) -> None:
    with pytest.raises(NotAdmitted, match=r"reply_to.*'reply-acme'.*ReplyQueuePrefix"):
        stack.open(request_id="to-others", tenant="acme", reply_to=queue(name))

    assert received(name) == []


def test_a_refused_request_is_replied_to_as_well(stack: Stack) -> None:
    with pytest.raises(NotAdmitted):
        stack.open(intent="world_peace", reply_to=queue("reply-default--refused"))

    [body] = received("reply-default--refused")
    assert json.loads(body)["status"] == "refused"


@pytest.mark.parametrize("code", ["", "AccessDenied"])
def test_a_reply_queue_that_takes_nothing_does_not_stop_the_settling(stack: Stack, code: str) -> None:
    gone = "https://sqs.eu-west-1.amazonaws.com/123456789012/reply-default--gone"
    run_id = answered(stack, reply_to=queue("reply-default--denied") if code else gone)
    if code:
        stack.on("settle", "sqs", "SendMessage", once(client_error(code)))

    settled = [settle(stack, run_id, "answer") for _ in range(2)]

    assert {each["status"] for each in settled} == {"answered"}
    assert code in stack.body(run_id, "9999.run.replied")["error"]
    [line] = [line for line in stack.lines() if "RepliesNotSent" in line]
    assert (line["RepliesNotSent"], line["run_id"]) == ([1.0], run_id)


def test_a_throttled_reply_queue_means_try_again_later(stack: Stack) -> None:
    run_id = answered(stack, reply_to=queue("reply-default--later"))
    stack.on("settle", "sqs", "SendMessage", throttled())
    with pytest.raises(RetryLater, match="reply_to"):
        settle(stack, run_id, "answer")

    settle(stack, run_id, "answer")

    assert len(received("reply-default--later")) == len(heard(run_id)) == 1
