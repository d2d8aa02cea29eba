"""The table decides, not the message: a lost message is sent again, and people are reminded once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.people.messages import CLOSED_AFTER, MAX_SENT, MessageSchedule
from functions.people.remind import RemindIncomplete
from tests.functions.cloud import NOON, QUEUE_URL, client
from tests.functions.people.test_open import approval, item, stuck_run, task
from tests.functions.stack import LambdaContext, LambdaDied, Stack, client_error, once


def received(run_id: str) -> list[dict[str, Any]]:
    """Take the messages out of the queue, and return those about that run."""
    found = []
    while batch := client("sqs").receive_message(QueueUrl=QUEUE_URL, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            client("sqs").delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return [message for message in found if message["run_id"] == run_id]


@pytest.fixture(autouse=True)
def nothing_is_due(stack: Stack) -> None:
    """Other tests' questions are not looked after here."""
    for found in client("dynamodb").scan(TableName="escalations")["Items"]:
        client("dynamodb").delete_item(TableName="escalations", Key={"escalation_id": found["escalation_id"]})


def sweep(stack: Stack, after_s: float = 0) -> dict[str, int]:
    """Let time pass, and the schedule come."""
    stack.clock.advance(after_s)
    return dict(stack.invoke("remind", {}))


def opened(stack: Stack, **more: Any) -> tuple[str, str]:
    """Open an escalation with four hours to answer; return the run's and its own id."""
    run_id = stuck_run(stack)
    made = stack.invoke("open", task(run_id, timeout_s=4 * 3600, **more))
    return run_id, made["escalation_id"]


def test_a_question_that_was_never_sent_is_sent(stack: Stack) -> None:
    run_id = stuck_run(stack)
    stack.on("open", "sqs", "SendMessage", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.invoke("open", task(run_id))
    assert sweep(stack, 60) == {}  # the opening itself may still be tried again

    assert sweep(stack, 120) == {"send": 1}

    [message] = received(run_id)
    assert (message["sent"], message["reminder"]) == (1, False)
    assert "Please tidy my notes." in message["summary"]
    assert message["proposed_decision"]["calls"][0]["tool"] == "write_note"


def test_a_lost_message_is_sent_again_a_few_times_and_people_are_reminded_once(stack: Stack) -> None:
    run_id, escalation_id = opened(stack)

    done = [sweep(stack, 300) for _ in range(60)]

    sent = received(run_id)
    assert [(one["sent"], one["reminder"]) for one in sent] == [(1, False), (2, False), (3, False), (4, True)]
    assert {one["escalation_id"] for one in sent} == {escalation_id}
    assert sum(one.get("again", 0) for one in done) == MAX_SENT - 1
    assert sum(one.get("remind", 0) for one in done) == 1
    assert sum(one.get("close", 0) for one in done) == 1
    assert item(escalation_id)["status"] == {"S": "expired"}


def test_the_reminder_comes_at_half_of_the_time(stack: Stack) -> None:
    run_id = stuck_run(stack)
    stack.invoke("open", task(run_id, timeout_s=1200))

    assert sweep(stack, 599) == {}
    assert sweep(stack, 2) == {"remind": 1}

    assert [one["reminder"] for one in received(run_id)] == [False, True]


def test_an_answered_question_is_looked_at_no_more(stack: Stack) -> None:
    run_id, escalation_id = opened(stack)
    client("dynamodb").update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": escalation_id}},
        UpdateExpression="SET #status = :answered, resumed_at = :answered",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":answered": {"S": "answered"}},
    )
    received(run_id)

    assert sweep(stack, 1900) == {"answered": 1}
    assert sweep(stack, 7200) == {}

    assert received(run_id) == []


def test_a_question_whose_run_has_ended_is_closed(stack: Stack) -> None:
    run_id, escalation_id = opened(stack)
    stack.invoke("settle", {"run_id": run_id, "turn": 3, "ending": "unanswered"})
    received(run_id)

    assert sweep(stack, 1900) == {"close": 1}

    assert received(run_id) == []
    assert item(escalation_id)["status"] == {"S": "expired"}


def test_a_question_to_the_requester_is_closed_and_never_sent(stack: Stack) -> None:
    run_id, _ = opened(stack, kind="question", reason="question")

    done = [sweep(stack, 3600) for _ in range(6)]

    assert received(run_id) == []
    assert sum(one.get("close", 0) for one in done) == 1


@pytest.mark.parametrize(
    ("service", "operation", "when"),
    [("sqs", "SendMessage", "on"), ("sqs", "SendMessage", "after"), ("dynamodb", "UpdateItem", "on")],
)
def test_whenever_it_dies_nothing_is_lost(stack: Stack, service: str, operation: str, when: str) -> None:
    run_id, _ = opened(stack)
    received(run_id)
    fault = stack.on if when == "on" else stack.after
    fault("remind", service, operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        sweep(stack, 1900)

    sweep(stack, 300)

    assert {one["escalation_id"] for one in received(run_id)} != set()


def test_one_that_cannot_be_sent_is_reported_and_does_not_hold_up_the_others(stack: Stack) -> None:
    (first, _), (second, _) = opened(stack), opened(stack)
    received(first)
    stack.on("remind", "sqs", "SendMessage", once(client_error("ThrottlingException")))

    with pytest.raises(RemindIncomplete, match="1 escalations"):
        sweep(stack, 1900)
    told = len(received(first)) + len(received(second))
    sweep(stack, 901)

    assert told <= 1
    assert any("Not looked after: RetryLater" in line.get("message", "") for line in stack.lines())


def test_what_there_is_no_time_for_is_at_the_head_of_the_next(stack: Stack) -> None:
    run_id, _ = opened(stack)
    stack.clock.advance(1900)

    assert stack.invoke("remind", {}, context=LambdaContext(remaining_ms=1_000)) == {}
    assert sweep(stack) == {"again": 1}

    assert len(received(run_id)) == 2


def test_a_reminder_of_an_approval_says_who_has_approved_and_what_was_changed(stack: Stack) -> None:
    run_id = stuck_run(stack)
    made = stack.invoke("open", approval(run_id, timeout_s=1200))
    given_by = json.dumps([{"by": "ann", "at": "x", "sha256": "y", "comment": "", "number": 1}])
    client("dynamodb").update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": made["escalation_id"]}},
        UpdateExpression="SET given = :given, arguments = :arguments",
        ExpressionAttributeValues={":given": {"S": given_by}, ":arguments": {"S": '{"note_id": "n-9"}'}},
    )
    received(run_id)

    sweep(stack, 601)

    [message] = received(run_id)
    assert message["approvals_given"] == ["ann"]
    assert message["proposed_decision"]["calls"][0]["arguments"] == {"note_id": "n-9"}


def test_once_one_of_several_has_approved_the_others_see_it_at_the_next_look(stack: Stack) -> None:
    run_id = stuck_run(stack)
    made = stack.invoke("open", approval(run_id, timeout_s=7200))
    client("dynamodb").update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": made["escalation_id"]}},
        UpdateExpression="SET approvals_needed = :two",
        ExpressionAttributeValues={":two": {"N": "2"}},
    )
    received(run_id)
    stack.clock.advance(10)
    stack.invoke("answer", {"escalation_id": made["escalation_id"], "by": "ann", "approve": True})

    assert sweep(stack, 60) == {"again": 1}
    assert sweep(stack, 60) == {}

    [message] = received(run_id)
    assert (message["approvals_given"], message["approvals_needed"]) == (["ann"], 2)


def test_no_look_reads_a_task_token(stack: Stack) -> None:
    seen: list[str] = []
    stack.on("remind", "dynamodb", "GetItem", lambda params: seen.append(params["ProjectionExpression"]))
    opened(stack)

    sweep(stack, 1900)

    assert seen
    assert "task_token" not in " ".join(seen)


minutes = st.integers(min_value=1, max_value=40_000).map(lambda number: timedelta(minutes=number))


@given(to_answer=minutes, every=st.integers(min_value=1, max_value=600).map(lambda number: timedelta(minutes=number)))
def test_however_rarely_somebody_looks_a_question_is_told_and_closed_in_few_steps(
    to_answer: timedelta, every: timedelta
) -> None:
    told = MessageSchedule(opened_at=NOON, answer_by=NOON + to_answer, remind_at=NOON + to_answer / 2)
    now, steps = NOON, []
    while "close" not in steps:
        due = told.next_look(now)
        assert due >= now
        now = max(now + every, due)
        step = told.step(now)
        if step is None:
            assert told.next_look(now) > now
            continue
        steps.append(step)
        told = told.after_message(now, reminder=step == "remind")

    assert len(steps) <= MAX_SENT + 2
    assert steps.count("remind") <= 1
    assert now >= told.answer_by + CLOSED_AFTER
