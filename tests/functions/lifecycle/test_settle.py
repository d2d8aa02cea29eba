"""Every run has one recorded ending, however it ended and however often Settle is called."""

import json
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import InvalidInput, NotAdmitted, RetryLater
from tests.functions.endpoint import Endpoint, fails, reads, says
from tests.functions.stack import LambdaDied, Stack, client_error, once

EVENTS = Path(__file__).resolve().parents[2] / "events" / "eventbridge"


def settle(stack: Stack, run_id: str, ending: str, *, turn: int = 1) -> Any:
    """Settle a run as the workflow does."""
    return stack.invoke("settle", {"run_id": run_id, "turn": turn, "ending": ending})


def status_change(name: str, run_id: str) -> dict[str, Any]:
    """Return EventBridge's event of that name for the run."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    event["detail"]["name"] = run_id
    return event


def answer(stack: Stack, run_id: str, by: str, turn: int = 1) -> None:
    """Let the planner answer."""
    decision = {"kind": "answer", "text": "All is tidy."}
    stack.log.write(run_id, f"{turn:04d}.plan.decided", {"planner": by, "decision": decision})


def test_an_answer_of_the_agent_is_the_ending_and_not_degraded(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1"), says("All is tidy."))
    stack.plan(run_id)
    stack.plan(run_id, 2)

    settled = settle(stack, run_id, "answer", turn=2)

    assert settled == {"run_id": run_id, "status": "answered", "by": "agent", "degraded": False}
    ended = stack.body(run_id, "9999.run.ended")
    assert (ended["answer"], ended["spent_microusd"], ended["reserved_microusd"]) == ("All is tidy.", 900, 0)


@pytest.mark.parametrize("by", ["fallback", "human"])
def test_an_answer_of_anybody_else_is_degraded(stack: Stack, by: str) -> None:
    run_id = stack.open()
    if by == "human":
        stack.answered(run_id, 1, {"kind": "answer", "text": "All is tidy."})
    else:
        answer(stack, run_id, by)

    settled = settle(stack, run_id, "answer")

    assert (settled["by"], settled["degraded"]) == (by, True)


@pytest.mark.parametrize(
    ("undo", "ending", "effects"),
    [
        (None, "answer", "kept"),
        (None, "unanswered", "frozen"),
        ({"tool": "erase_note", "arguments": {}}, "answer", "undone"),
        ({"tool": "erase_note", "arguments": {}}, "failed", "undone"),
    ],
)
def test_what_became_of_the_effects_is_on_the_record(
    stack: Stack, undo: dict[str, Any] | None, ending: str, effects: str
) -> None:
    run_id = stack.open()
    stack.wrote(run_id, 1, undo=undo)
    if undo:
        stack.plan(run_id, 2, by="rollback")
        stack.wrote(run_id, 2, undo=None, by="rollback")
    answer(stack, run_id, "human", turn=3)

    settle(stack, run_id, ending, turn=3)

    assert stack.body(run_id, "9999.run.ended")["effects"] == effects


def test_without_effects_there_is_nothing_to_keep(stack: Stack) -> None:
    run_id = stack.open()
    answer(stack, run_id, "agent")

    settle(stack, run_id, "answer")

    assert stack.body(run_id, "9999.run.ended")["effects"] == "none"


def test_what_is_still_reserved_at_the_end_is_on_the_record(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    stack.on("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.plan(run_id)
    model.will(fails(500))
    with pytest.raises(RetryLater):
        stack.plan(run_id)

    settle(stack, run_id, "failed")

    ended = stack.body(run_id, "9999.run.ended")
    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert (ended["reserved_microusd"], ended["spent_microusd"]) == (reserved, reserved)


@pytest.mark.parametrize("ending", ["unanswered", "failed"])
def test_nobodys_answer_and_nobody_to_ask_are_endings_with_a_reason(stack: Stack, ending: str) -> None:
    run_id = stack.open(limited={"cost_microusd": 0})
    stack.plan(run_id)

    settled = settle(stack, run_id, ending)

    assert settled == {"run_id": run_id, "status": ending, "by": None, "degraded": True}
    assert stack.body(run_id, "9999.run.ended")["reason"] == "cost_limit"


def test_the_reason_of_an_unanswered_run_is_what_people_were_asked_about(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, {"tool": "read_note", "arguments": {}})  # and the executor failed
    asked = {"escalation_id": "esc-x", "kind": "approval", "reason": "executor_failed"}
    stack.log.write(run_id, "0002.escalation.opened", asked)

    settle(stack, run_id, "unanswered", turn=2)

    assert stack.body(run_id, "9999.run.ended")["reason"] == "executor_failed"


@pytest.mark.parametrize(
    ("name", "status"), [("run-aborted", "aborted"), ("run-timed-out", "timed_out"), ("run-failed", "failed")]
)
def test_an_execution_that_ended_from_outside_is_settled(stack: Stack, name: str, status: str) -> None:
    run_id = stack.open()

    settled = stack.invoke("settle", status_change(name, run_id))

    assert settled == {"run_id": run_id, "status": status, "by": None, "degraded": True}
    assert stack.body(run_id, "9999.run.ended")["status"] == status


def test_settled_twice_the_first_ending_stands(stack: Stack) -> None:
    run_id = stack.open()
    answer(stack, run_id, "fallback")
    first = settle(stack, run_id, "answer")

    again = [
        settle(stack, run_id, "answer"),
        settle(stack, run_id, "failed"),
        stack.invoke("settle", status_change("run-aborted", run_id)),
    ]

    assert again == [first] * 3
    assert stack.seqs(run_id).count("9999.run.ended") == 1


def test_a_refused_run_stays_refused(stack: Stack) -> None:
    request = {"request_id": "stays-refused", "agent": "butler", "text": "Tea."}
    run_id = RunRequest.model_validate(request).run_id
    with pytest.raises(NotAdmitted):
        stack.invoke("admit", {"request": request})

    settled = stack.invoke("settle", status_change("run-failed", run_id))

    assert settled == {"run_id": run_id, "status": "refused", "reason": "NotAdmitted"}
    assert "9999.run.ended" not in stack.seqs(run_id)


@pytest.mark.parametrize("name", ["run-bbbbbbbbbbbbbbbbbbbbbbbb", "started-by-hand"])
def test_a_run_that_nobody_knows_is_not_invented(stack: Stack, name: str) -> None:
    assert stack.invoke("settle", status_change("run-aborted", name)) is None

    assert stack.events(name) == ()


@pytest.mark.parametrize("when", ["on", "after"])
def test_whenever_it_dies_settling_again_records_one_ending(stack: Stack, when: str) -> None:
    run_id = stack.open()
    answer(stack, run_id, "fallback")
    fault = stack.on if when == "on" else stack.after
    fault("settle", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        settle(stack, run_id, "answer")

    settled = settle(stack, run_id, "answer")

    assert settled["status"] == "answered"
    assert stack.seqs(run_id).count("9999.run.ended") == 1


def test_a_throttled_log_means_try_again_later(stack: Stack) -> None:
    run_id = stack.open()
    stack.on("settle", "dynamodb", "Query", once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater, match="RUN_LOG_TABLE"):
        settle(stack, run_id, "answer")


RUN = "run-" + "d" * 24


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ({}, "run_id"),
        ({"run_id": RUN, "turn": 1}, "ending"),
        ({"run_id": RUN, "turn": 1, "ending": "call_tools"}, "ending"),
        ({"run_id": RUN, "turn": 0, "ending": "answer"}, "turn"),
        ({"run_id": "somebody", "turn": 1, "ending": "answer"}, "run_id"),
        ({"run_id": RUN, "turn": 1, "ending": "answer", "by": "me"}, "by"),
        ({"detail-type": "Step Functions Execution Status Change"}, "detail"),
        ({"detail-type": "Step Functions Execution Status Change", "detail": {"status": "ABORTED"}}, "name"),
        ({"detail-type": "Step Functions Execution Status Change", "detail": {"name": RUN}}, "status"),
        ({"detail-type": "Step Functions Execution Status Change", "detail": {"name": RUN, "status": "RUNNING"}},
         "status"),
    ],
)  # fmt: skip
def test_an_event_that_is_none_names_the_field(stack: Stack, event: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        stack.invoke("settle", event)
