"""An approval holds for what people saw: if that has changed, they are asked again. Silence is not a rejection."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import ApprovalParked, ApprovalRequired, AttemptInProgress, RetryLater
from ballast.log.events import ApprovalAnswered, ApprovalGiven, ApprovalRequested
from tests.functions.approvals import answered, asks
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, calls, says
from tests.functions.stack import LambdaDied, Stack, once

ASKING = Path(__file__).parents[1] / "playbooks" / "asking"
FUNCTIONS = ("admit", "executor", "planner", "answer")


@pytest.fixture
def stack(stack: Stack) -> Stack:
    for function in FUNCTIONS:
        stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    return stack


def proposed(stack: Stack, tool: str = "stamp", **arguments: Any) -> str:
    """Open a run that proposes one call which a person must approve."""
    run_id = stack.open()
    stack.propose(run_id, {"tool": tool, "arguments": {"note_id": "n-1", "times": 3} | arguments})
    return run_id


def write_on(note_id: str, text: str) -> None:
    """Change what a note says."""
    client("dynamodb").update_item(
        TableName="notes",
        Key={"note_id": {"S": note_id}},
        UpdateExpression="SET #text = :text",
        ExpressionAttributeNames={"#text": "text"},
        ExpressionAttributeValues={":text": {"S": text}},
    )


# What is asked


def test_people_are_told_why_and_their_answer_is_bound_to_all_that_they_saw(stack: Stack) -> None:
    run_id = proposed(stack)

    needed = asks(stack, run_id)

    assert needed["why"] == ["3 stamps are more than 1"]
    assert (needed["tool"], needed["arguments"], needed["approvals"]) == ("stamp", {"note_id": "n-1", "times": 3}, 1)
    binding = needed["binding"]
    assert binding.keys() == {
        *("sha256", "tool", "arguments_sha256", "policy", "cost_microusd", "precondition_sha256", "precondition")
    }
    assert binding["precondition"] == {"text": ""}


def test_a_rule_may_look_at_the_run_so_far(stack: Stack) -> None:
    run_id = stack.open()
    call = {"tool": "stamp_often", "arguments": {"note_id": "n-1"}}
    stack.propose(run_id, call, call)

    assert stack.execute(run_id, index=1) == "ok"
    with pytest.raises(ApprovalRequired):
        stack.execute(run_id, index=2)


def test_a_precondition_that_cannot_be_met_fails_before_anybody_is_asked(stack: Stack) -> None:
    run_id = proposed(stack)
    client("dynamodb").put_item(TableName="notes", Item={"note_id": {"S": "n-1"}, "burnt": {"BOOL": True}})

    assert stack.execute(run_id) == "failed"

    assert stack.seqs(run_id)[2:] == ["0001.call.1.settled"]


def test_an_approval_is_consumed_with_the_intention(stack: Stack) -> None:
    run_id = proposed(stack)
    needed = asks(stack, run_id)
    answered(stack, run_id, approve=True)

    assert stack.execute(run_id) == "ok"

    consumed = stack.body(run_id, "0001.call.1.intended")["approval"]
    assert consumed == {"round": 1, "binding": needed["binding"]["sha256"], "by": ["ann"]}


# What moved


def a_changed_rule(folder: Path) -> str:
    """Return the playbook with another constant in the module of the rule."""
    copy = folder / "asking"
    shutil.copytree(ASKING, copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = copy / "tools" / "stamps.py"
    module.write_text(module.read_text(encoding="utf-8").replace("FREE = 1", "FREE = 2"), encoding="utf-8")
    return str(copy)


def test_where_what_the_approval_relied_on_has_changed_it_is_void_and_asked_again(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    write_on("n-1", "Do not stamp.")

    again = asks(stack, run_id, asked=1)

    assert stack.body(run_id, "0001.call.1.approval_void")["moved"] == ["precondition"]
    assert (again["round"], again["binding"]["precondition"]) == (2, {"text": "Do not stamp."})
    assert stack.count("n-1") == 0
    answered(stack, run_id, approve=True)
    assert stack.execute(run_id, asked=2) == "ok"
    assert stack.count("n-1") == 3


def test_where_the_rules_have_changed_it_is_void(stack: Stack, tmp_path: Path) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    stack.environs["executor"]["PLAYBOOK_DIR"] = a_changed_rule(tmp_path)
    stack.forget("executor")

    assert asks(stack, run_id, asked=1)["why"] == ["3 stamps are more than 2"]

    assert stack.body(run_id, "0001.call.1.approval_void")["moved"] == ["policy"]
    assert stack.count("n-1") == 0


def test_an_answer_to_another_question_is_no_approval(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True, binding="0" * 64)

    asks(stack, run_id, asked=1)

    assert stack.body(run_id, "0001.call.1.approval_void")["moved"] == ["binding"]


def test_an_approval_of_a_version_that_bound_it_to_nothing_is_asked_again(stack: Stack) -> None:
    run_id = proposed(stack)
    stack.log.record(run_id, ApprovalRequested(turn=1, index=1, escalation_id="esc-x", reason="r"))
    stack.log.record(run_id, ApprovalAnswered(turn=1, index=1, by="ann", approve=True, comment=""))

    assert asks(stack, run_id, asked=1)["round"] == 2


def test_a_world_that_moves_faster_than_people_answer_ends_in_a_denial(stack: Stack) -> None:
    run_id = proposed(stack)
    for number in range(3):
        asks(stack, run_id, asked=number)
        answered(stack, run_id, approve=True)
        write_on("n-1", f"version {number}")

    assert stack.execute(run_id, asked=3) == "denied"

    message = stack.body(run_id, "0001.call.1.settled")["message"]
    assert "approved 3 times" in message
    assert "Nothing was done" in message
    assert stack.count("n-1") == 0


def test_once_it_acts_nothing_can_make_an_approval_void(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    stack.after("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.intended"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id)
    write_on("n-1", "Do not stamp.")
    stack.forget("executor")

    with pytest.raises(AttemptInProgress):
        stack.execute(run_id)

    assert "0001.call.1.approval_void" not in stack.seqs(run_id)


@pytest.mark.parametrize("seq", ["0001.call.1.approval_void", "0001.call.1.approval_needed.2"])
@pytest.mark.parametrize("when", ["on", "after"])
def test_whenever_it_dies_it_is_asked_again_once(stack: Stack, seq: str, when: str) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    write_on("n-1", "Do not stamp.")
    fault = stack.on if when == "on" else stack.after
    fault("executor", "dynamodb", "PutItem", once(LambdaDied(), seq=seq))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, asked=1)
    stack.forget("executor")

    asks(stack, run_id, asked=1)

    seqs = stack.seqs(run_id)
    assert [one for one in seqs if "approval_needed" in one] == [
        "0001.call.1.approval_needed",
        "0001.call.1.approval_needed.2",
    ]
    assert stack.count("n-1") == 0


# Changed by a person


def test_changed_arguments_are_what_is_done_undone_and_told(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(calls({"name": "stamp", "input": {"note_id": "n-1", "times": 3}}), says("Stamped."))
    stack.plan(run_id)
    asks(stack, run_id)
    answered(stack, run_id, approve=True, arguments={"note_id": "n-1", "times": 2})

    assert stack.execute(run_id) == "ok"

    assert stack.count("n-1") == 2
    assert stack.body(run_id, "0001.call.1.intended")["arguments"]["times"] == 2
    assert stack.body(run_id, "0001.call.1.settled")["undo"]["arguments"] == {"note_id": "n-1", "times": 2}
    state = stack.events(run_id).call(1, 1)
    assert state is not None
    assert (state.call.arguments, state.proposed and state.proposed.arguments) == (
        {"note_id": "n-1", "times": 2},
        {"note_id": "n-1", "times": 3},
    )
    stack.plan(run_id, 2)
    told = json.dumps(model.requests[-1]["messages"][-1]["content"])
    assert "A person changed the arguments of this call to" in told
    assert '\\"times\\": 2' in told


def test_changed_arguments_pass_the_gate_when_they_act(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True, arguments={"note_id": "n-1", "times": 13})

    assert stack.execute(run_id) == "refused"

    assert "must not be 13" in stack.body(run_id, "0001.call.1.refused")["message"]
    assert stack.count("n-1") == 0


def test_changed_arguments_do_not_make_an_approval_void_but_a_changed_world_does(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True, arguments={"note_id": "n-1", "times": 2})
    write_on("n-1", "Do not stamp.")

    again = asks(stack, run_id, asked=1)

    assert stack.body(run_id, "0001.call.1.approval_void")["moved"] == ["precondition"]
    assert again["arguments"] == {"note_id": "n-1", "times": 2}


# Nobody answers


def test_a_call_that_nobody_answers_for_is_denied_and_the_run_has_time_again(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    stack.clock.advance(7200)

    assert stack.execute(run_id, asked=1, unanswered=True) == "denied"

    settled = stack.body(run_id, "0001.call.1.settled")
    assert "nobody answered in time" in settled["message"]
    assert "rejected" not in settled["message"]
    assert stack.events(run_id).opening.agent_until_ms > stack.clock().timestamp() * 1000


def test_a_late_retry_of_waiting_in_vain_is_about_its_own_asking(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    write_on("n-1", "Do not stamp.")
    asks(stack, run_id, asked=1)

    with pytest.raises(ApprovalRequired):
        stack.execute(run_id, asked=1, unanswered=True)


def test_an_answer_between_two_looks_counts_and_is_not_overwritten(stack: Stack) -> None:
    run_id = proposed(stack)
    asks(stack, run_id)

    def answers(params: dict[str, Any]) -> None:
        if params["Item"].get("seq", {}).get("S", "").endswith("approval_answered"):
            answered(stack, run_id, approve=True, arguments={"note_id": "n-1", "times": 2})

    stack.on("executor", "dynamodb", "PutItem", answers)

    with pytest.raises(RetryLater):
        stack.execute(run_id, asked=1, unanswered=True)
    assert stack.execute(run_id, asked=1, unanswered=True) == "ok"
    assert stack.count("n-1") == 2


def test_where_the_tool_says_so_another_planner_goes_on(stack: Stack, model: Endpoint) -> None:
    run_id = proposed(stack, "stamp_or_give_up")
    asks(stack, run_id)

    assert stack.execute(run_id, asked=1, unanswered=True) == "denied"
    decision = stack.plan(run_id, 2)

    assert stack.events(run_id).approval_given_up(1)
    assert (decision["kind"], decision["to"], decision["reason"]) == ("hand_over", "human", "approval_unanswered")
    assert model.requests == []


def test_a_parked_call_is_asked_about_anew_and_waits_on(stack: Stack) -> None:
    run_id = proposed(stack, "stamp_patiently")
    asks(stack, run_id)

    with pytest.raises(ApprovalParked):
        stack.execute(run_id, asked=1, unanswered=True)
    with pytest.raises(ApprovalParked):
        stack.execute(run_id, asked=1, unanswered=True)  # a retry

    assert stack.body(run_id, "0001.call.1.approval_needed.2")["parked"] is True
    answered(stack, run_id, approve=True)
    assert stack.execute(run_id, asked=2) == "ok"


def test_a_parked_call_that_nobody_answers_for_is_denied_in_the_end(stack: Stack) -> None:
    run_id = proposed(stack, "stamp_patiently")
    asks(stack, run_id)
    asks(stack, run_id, asked=1, unanswered=True)

    assert stack.execute(run_id, asked=2, unanswered=True) == "denied"


def test_a_parked_call_is_the_proposed_one_and_says_so_where_a_change_of_it_was_not_approved_in_time(
    stack: Stack,
) -> None:
    run_id = proposed(stack, "stamp_patiently")
    asks(stack, run_id)
    changed = {"note_id": "n-1", "times": 2}
    given = {"by": "fay", "given": 0, "needed": 1, "changed": True, "arguments": changed}
    stack.log.write(run_id, ApprovalGiven.key(1, 1, 1, 1), given)

    again = asks(stack, run_id, asked=1, unanswered=True)

    assert (again["round"], again["arguments"]) == (2, {"note_id": "n-1", "times": 3})
    assert again["why"][1:] == [
        "this is the call as it was proposed: fay had changed it, and not enough people approved that in time"
    ]
    answered(stack, run_id, approve=True)
    assert stack.execute(run_id, asked=2) == "ok"
    assert stack.count("n-1") == 3
