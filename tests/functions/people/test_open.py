"""People are sent all that they need to act, and nothing that lets somebody else act."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ballast.errors import InvalidInput, RetryLater, SettingInvalid
from tests.functions.cloud import QUEUE_URL, client
from tests.functions.heard import heard, listen
from tests.functions.stack import LambdaDied, Stack, client_error, once

TOKEN = "AQC8AAAAKgAAAAMAAAAA-the-secret-token"


def task(run_id: str, **more: Any) -> dict[str, Any]:
    """Return what the workflow sends for an escalation in turn 3."""
    escalation = {"turn": 3, "kind": "escalation", "reason": "turn_limit", "timeout_s": 3600, "task_token": TOKEN}
    return {"run_id": run_id} | escalation | more


def approval(run_id: str, **more: Any) -> dict[str, Any]:
    """Return what the workflow sends for the approval of the first call of turn 1."""
    return task(run_id, turn=1, index=1, kind="approval", reason="approval_required") | more


def messages(run_id: str) -> list[dict[str, Any]]:
    """Return the messages about that run, each once."""
    received = []
    while batch := client("sqs").receive_message(QueueUrl=QUEUE_URL, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            client("sqs").delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])
            assert TOKEN not in message["Body"]
            received.append(json.loads(message["Body"]))
    return [message for message in received if message["run_id"] == run_id]


def item(escalation_id: str) -> dict[str, Any]:
    """Return the escalation as the table holds it."""
    found = client("dynamodb").get_item(TableName="escalations", Key={"escalation_id": {"S": escalation_id}})
    return dict(found["Item"])


def stuck_run(stack: Stack) -> str:
    """Return a run that wrote one note, proposed another and stopped."""
    run_id = stack.open(text="Please tidy my notes.", context={"note": "n-1"}, tenant="acme")
    call = {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x"}}
    stack.propose(run_id, call)
    stack.execute(run_id)
    stack.propose(run_id, call | {"arguments": {"note_id": "n-2", "text": "y"}}, turn=2)
    return run_id


def test_the_message_has_all_that_a_person_needs_to_act(stack: Stack) -> None:
    run_id = stuck_run(stack)

    opened = stack.invoke("open", task(run_id))

    [message] = messages(run_id)
    assert message["escalation_id"] == opened["escalation_id"]
    assert (message["run_id"], message["tenant"], message["kind"]) == (run_id, "acme", "escalation")
    assert message["reason"] == "turn_limit"
    assert message["answer_by"] == "2026-03-01T13:00:00+00:00"
    assert message["version"] == "1"
    for part in ("Reason: turn_limit.", "Please tidy my notes.", '"note":"n-1"', "write_note (write)", "ok"):
        assert part in message["summary"]
    proposed = message["proposed_decision"]["calls"]
    assert [(call["tool"], call["arguments"]["note_id"]) for call in proposed] == [("write_note", "n-2")]


def test_a_request_for_approval_is_about_its_one_call(stack: Stack) -> None:
    run_id = stack.open()
    calls = [{"tool": "write_note", "arguments": {"note_id": f"n-{n}", "text": "x", "stars": 500}} for n in (1, 2)]
    stack.propose(run_id, *calls)

    stack.invoke("open", approval(run_id, index=2))

    [message] = messages(run_id)
    assert message["kind"] == "approval"
    [call] = message["proposed_decision"]["calls"]
    assert call["arguments"]["note_id"] == "n-2"
    assert "0001.call.2.approval_requested" in stack.seqs(run_id)


def test_the_token_is_in_the_table_and_nowhere_else(stack: Stack) -> None:
    run_id = stuck_run(stack)

    opened = stack.invoke("open", task(run_id, handed_over={"from": "agent", "reason": "model_timeout"}))

    assert item(opened["escalation_id"])["task_token"] == {"S": TOKEN}
    raw_log = client("dynamodb").query(
        TableName="run-log",
        KeyConditionExpression="run_id = :run",
        ExpressionAttributeValues={":run": {"S": run_id}},
    )["Items"]
    assert "0003.escalation.opened" in str(raw_log)
    assert TOKEN not in str(raw_log)
    assert TOKEN not in "".join(json.dumps(event.body) for event in stack.events(run_id))
    assert TOKEN not in json.dumps(opened)
    assert messages(run_id)  # which looks for the token, too
    assert TOKEN not in stack.stdout.getvalue()


def test_the_log_keeps_what_people_were_told_and_from_whom_it_came(stack: Stack) -> None:
    run_id = stuck_run(stack)

    opened = stack.invoke("open", task(run_id, handed_over={"from": "agent", "reason": "model_timeout"}))

    body = stack.body(run_id, "0003.escalation.opened")
    assert (body["escalation_id"], body["reason"]) == (opened["escalation_id"], "turn_limit")
    assert body["handed_over"] == {"from": "agent", "reason": "model_timeout", "error": None}


def test_opening_again_renews_the_token_under_the_same_id(stack: Stack) -> None:
    run_id = stuck_run(stack)
    first = stack.invoke("open", task(run_id))

    second = stack.invoke("open", task(run_id, task_token="another-token"))

    assert first == second
    kept = item(first["escalation_id"])
    assert (kept["task_token"], kept["status"]) == ({"S": "another-token"}, {"S": "open"})
    assert {message["escalation_id"] for message in messages(run_id)} == {first["escalation_id"]}


def test_each_escalation_of_a_run_has_an_id_of_its_own(stack: Stack) -> None:
    run_id, other = stuck_run(stack), stuck_run(stack)

    ids = [stack.invoke("open", made)["escalation_id"] for made in (
        task(run_id), task(run_id, turn=4), task(other), approval(run_id), approval(run_id, index=2)
    )]  # fmt: skip

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("service", "operation", "when"),
    [
        ("dynamodb", "UpdateItem", "on"),
        ("dynamodb", "UpdateItem", "after"),
        ("dynamodb", "PutItem", "on"),
        ("dynamodb", "PutItem", "after"),
        ("sqs", "SendMessage", "on"),
        ("sqs", "SendMessage", "after"),
    ],
)
def test_whenever_it_dies_opening_again_completes_it(stack: Stack, service: str, operation: str, when: str) -> None:
    run_id = stuck_run(stack)
    fault = stack.on if when == "on" else stack.after
    fault("open", service, operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.invoke("open", task(run_id, task_token="the-first-token"))

    opened = stack.invoke("open", task(run_id))

    assert item(opened["escalation_id"])["task_token"] == {"S": TOKEN}
    assert "0003.escalation.opened" in stack.seqs(run_id)
    assert {message["escalation_id"] for message in messages(run_id)} == {opened["escalation_id"]}


def test_a_throttled_queue_means_try_again_later(stack: Stack) -> None:
    run_id = stuck_run(stack)
    stack.on("open", "sqs", "SendMessage", once(client_error("ThrottlingException")))
    with pytest.raises(RetryLater, match="ESCALATION_QUEUE_URL"):
        stack.invoke("open", task(run_id))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ESCALATIONS_TABLE", "gone"),
        ("ESCALATION_QUEUE_URL", QUEUE_URL + "-gone"),
        ("RUN_LOG_TABLE", "gone"),
    ],
)
def test_what_is_missing_is_named(stack: Stack, variable: str, value: str) -> None:
    run_id = stuck_run(stack)
    stack.environs["open"][variable] = value

    with pytest.raises(SettingInvalid, match=variable):
        stack.invoke("open", task(run_id))


def test_an_approval_of_no_call_is_refused(stack: Stack) -> None:
    run_id = stuck_run(stack)

    with pytest.raises(InvalidInput, match="index"):
        stack.invoke("open", task(run_id, kind="approval"))


def test_a_proposed_decision_that_is_too_large_is_left_to_the_log(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x" * 70_000}})

    stack.invoke("open", task(run_id))

    [message] = messages(run_id)
    assert message["proposed_decision"] is None
    assert len(json.dumps(message)) < 10_000


def test_an_escalation_is_told_once_and_an_approval_is_not(stack: Stack) -> None:
    listen()
    run_id = stuck_run(stack)
    stack.invoke("open", approval(run_id))
    stack.invoke("open", task(run_id))
    opened = stack.invoke("open", task(run_id))

    [(kind, detail)] = heard(run_id)

    assert (kind, detail["status"], detail["reason"]) == ("Run Escalated", "waiting", "turn_limit")
    assert (detail["escalation_id"], detail["tenant"]) == (opened["escalation_id"], "acme")
    assert detail["answer_by"] == "2026-03-01T13:00:00+00:00"
    assert stack.body(run_id, "0003.escalation.announced")["event_id"] == detail["event_id"]
    assert TOKEN not in json.dumps(detail)


@pytest.mark.parametrize("code", ["InternalException", "AccessDeniedException"])
def test_people_are_asked_even_while_no_event_can_be_sent(stack: Stack, code: str) -> None:
    listen()
    run_id = stuck_run(stack)
    stack.on("open", "events", "PutEvents", once(client_error(code)))

    stack.invoke("open", task(run_id))

    assert len(messages(run_id)) == 1
    assert heard(run_id) == []
    assert "0003.escalation.announced" not in stack.seqs(run_id)


# The workflow's attempts at it: each has a token of its own


def by(retries: int, entered_at: str = "2026-03-01T12:00:00.000Z", redrives: int = 0) -> dict[str, Any]:
    """Return the workflow's attempt, and its token."""
    attempt = {"redrives": redrives, "entered_at": entered_at, "retries": retries}
    return {"attempt": attempt, "task_token": f"token {redrives} {entered_at} {retries}"}


LATER = "2026-03-01T12:00:09.000Z"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (by(0), by(1)),
        (by(1), by(2)),
        (by(9), by(10)),
        (by(5), by(0, LATER)),
        (by(5, LATER), by(0, redrives=1)),
        ({"task_token": "of an older version"}, by(0)),
    ],
)
@pytest.mark.parametrize("make", [task, approval])
def test_an_attempt_that_was_given_up_does_not_take_the_token_of_its_own_retry(
    stack: Stack, make: Callable[..., dict[str, Any]], older: dict[str, Any], newer: dict[str, Any]
) -> None:
    run_id = stuck_run(stack)
    opened = stack.invoke("open", make(run_id, **newer))
    before = item(opened["escalation_id"])
    messages(run_id)
    stack.clock.advance(3)

    late = stack.invoke("open", make(run_id, **older))

    assert late == opened
    assert item(opened["escalation_id"]) == before
    assert messages(run_id) == []


@pytest.mark.parametrize(("older", "newer"), [(by(0), by(1)), (by(3), by(3)), (by(5), by(0, LATER))])
def test_a_newer_attempt_renews_the_token(stack: Stack, older: dict[str, Any], newer: dict[str, Any]) -> None:
    run_id = stuck_run(stack)
    stack.invoke("open", task(run_id, **older))

    opened = stack.invoke("open", task(run_id, **newer))

    assert item(opened["escalation_id"])["task_token"] == {"S": newer["task_token"]}


def test_what_was_answered_is_not_opened_again_by_an_attempt_that_was_given_up(stack: Stack) -> None:
    run_id = stuck_run(stack)
    opened = stack.invoke("open", task(run_id, **by(1)))
    client("dynamodb").update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": opened["escalation_id"]}},
        UpdateExpression="SET #status = :answered, resumed_at = :now",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":answered": {"S": "answered"}, ":now": {"S": "2026-03-01T12:00:05+00:00"}},
    )

    stack.invoke("open", task(run_id, **by(0)))

    assert item(opened["escalation_id"])["resumed_at"] == {"S": "2026-03-01T12:00:05+00:00"}
