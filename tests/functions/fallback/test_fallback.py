"""The fallback: its script is replayed from the log, call by call, and always ends in a decision."""

from importlib import import_module
from typing import Any

import pytest

from tests.functions.stack import LambdaDied, Stack, once

NOTE = {"note_id": "n-1", "text": "milk", "price": "1.50", "written": "2026-01-02"}


def decide(stack: Stack, run_id: str, turn: int = 1, **more: Any) -> dict[str, Any]:
    """Ask the fallback for the decision of that turn and return it as it is recorded."""
    stack.plan(run_id, turn, by="fallback", **more)
    decision: dict[str, Any] = stack.body(run_id, f"{turn:04d}.plan.decided")["decision"]
    return decision


def after_its_call(
    stack: Stack, intent: str, status: str = "ok", **settled: Any
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Let the script's first call end that way; return the run, the next decision and the body it was recorded in."""
    run_id = stack.open(intent=intent)
    decide(stack, run_id)
    outcome = {"status": status} | (settled or {"result": NOTE})
    stack.settled(run_id, 1, outcome)
    decision = decide(stack, run_id, 2)
    return run_id, decision, stack.body(run_id, "0002.plan.decided")


def test_the_script_goes_call_by_call_to_its_answer(stack: Stack) -> None:
    run_id = stack.open(intent="tidy")
    stack.propose(run_id, {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "milk"}}, by="human")
    stack.execute(run_id)

    said = []
    for turn in (2, 3, 4):
        summary = stack.plan(run_id, turn, by="fallback")
        said.append((summary["kind"], summary["parallel"]))
        if summary["calls"]:
            assert stack.execute(run_id, turn) == "ok"

    assert said == [("call_tools", True), ("call_tools", False), ("answer", False)]
    assert stack.body(run_id, "0004.plan.decided")["decision"]["text"] == "Copied: copy of milk."
    assert stack.notes()["n-2"]["text"] == {"S": "copy of milk"}


def test_asked_again_for_a_turn_it_says_the_same(stack: Stack) -> None:
    run_id = stack.open(intent="unstable")  # another process gives another answer

    first = stack.plan(run_id, by="fallback")
    recorded = stack.body(run_id, "0001.plan.decided")
    second = stack.plan(run_id, by="fallback", runtime=stack.cold("fallback"))

    assert first == second
    assert stack.body(run_id, "0001.plan.decided") == recorded


def test_a_result_comes_back_with_its_types(stack: Stack) -> None:
    _, decision, _ = after_its_call(stack, "dated")

    assert decision["text"] == "milk: 2.50 on 02.01.2026"


@pytest.mark.parametrize(
    "text", ["<think>milk</think>", "write_note(note_id='n-1')", '{"tool": "read_note"}', "&lt;b&gt;"]
)
def test_a_script_answers_with_any_words_it_is_no_model(stack: Stack, text: str) -> None:
    _, decision, _ = after_its_call(stack, "dated", result=NOTE | {"text": text})

    assert decision["text"] == f"{text}: 2.50 on 02.01.2026"


@pytest.mark.parametrize("status", ["failed", "refused", "denied", "unknown"])
def test_a_call_that_went_wrong_is_thrown_into_the_script(stack: Stack, status: str) -> None:
    _, decision, _ = after_its_call(stack, "recovers", status, message="No such note.")

    assert decision["calls"][0]["arguments"]["text"] == f"read_note {status}: No such note."


def test_a_script_that_does_not_catch_it_gives_up_and_says_why(stack: Stack) -> None:
    _, decision, body = after_its_call(stack, "lets_it_fail", "failed", message="No such note.")

    assert (decision["to"], decision["reason"]) == ("human", "fallback_gave_up")
    assert body["note"] == "read_note failed: No such note."


@pytest.mark.parametrize(
    ("intent", "reason", "says"),
    [
        ("gives_up", "fallback_gave_up", "Only the archive knows."),
        ("nonsense", "fallback_failed", "returned int"),
        ("panics", "fallback_failed", "Panic: (its text cannot be read)"),
        ("to_itself", "fallback_failed", "hand-over to itself"),
    ],
)
def test_a_script_that_cannot_help_hands_over_to_a_person_with_a_note(
    stack: Stack, intent: str, reason: str, says: str
) -> None:
    _, decision, body = after_its_call(stack, intent)

    assert (decision["to"], decision["reason"]) == ("human", reason)
    assert says in body["note"]


@pytest.mark.parametrize(
    ("intent", "reason", "says"),
    [
        ("breaks", "fallback_failed", "KeyError: 'absent'"),
        ("yields_nonsense", "fallback_failed", "yielded dict"),
        ("no_script", "no_fallback", "'no_script'"),
        (None, "no_fallback", "None"),
    ],
)
def test_a_script_that_fails_at_once_or_is_not_there_hands_over_with_a_note(
    stack: Stack, intent: str | None, reason: str, says: str
) -> None:
    run_id = stack.open(intent=intent)

    decision = decide(stack, run_id)

    assert (decision["to"], decision["reason"]) == ("human", reason)
    assert says in stack.body(run_id, "0001.plan.decided")["note"]


def test_a_script_that_never_yields_answers_at_once(stack: Stack) -> None:
    run_id = stack.open(intent="silent")

    assert decide(stack, run_id)["text"] == "Nothing to do."


def test_a_scripts_own_hand_over_is_taken(stack: Stack) -> None:
    _, decision, body = after_its_call(stack, "to_a_person")

    assert (decision["to"], decision["reason"]) == ("human", "fallback_gave_up")
    assert "note" not in body


def test_a_script_that_is_no_function_of_the_log_is_stopped(stack: Stack) -> None:
    _, decision, body = after_its_call(stack, "unstable")

    assert (decision["to"], decision["reason"]) == ("human", "fallback_failed")
    assert "Diverged" in body["note"]


def test_a_script_that_goes_round_in_circles_is_stopped(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("ballast.playbook.fallback"), "MAX_CALLS", 3)
    run_id = stack.open(intent="endless")

    kinds = []
    for turn in (1, 2, 3, 4):
        kinds.append(decide(stack, run_id, turn)["kind"])
        stack.settled(run_id, turn, {"status": "failed", "message": "No."})

    assert kinds == ["call_tools", "call_tools", "call_tools", "hand_over"]
    assert "more than 3 calls" in stack.body(run_id, "0004.plan.decided")["note"]


def test_what_the_workflow_says_of_the_planner_before_is_kept(stack: Stack) -> None:
    run_id = stack.open(intent="silent")

    decide(stack, run_id, handed_over={"from": "agent", "reason": "model_timeout"})

    kept = stack.body(run_id, "0001.plan.decided")["handed_over"]
    assert (kept["from"], kept["reason"]) == ("agent", "model_timeout")


# A crash half way


@pytest.mark.parametrize("when", ["on", "after"])
def test_dying_at_its_record_it_decides_the_same_again(stack: Stack, when: str) -> None:
    run_id = stack.open(intent="tidy")
    fault = stack.on if when == "on" else stack.after
    fault("fallback", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.plan(run_id, by="fallback")

    summary = stack.plan(run_id, by="fallback", runtime=stack.cold("fallback"))

    assert summary["kind"] == "call_tools"
    assert stack.seqs(run_id) == ["0000.run.opened", "0001.plan.decided"]


def test_a_call_that_was_decided_and_never_begun_is_proposed_once_more_and_then_done(stack: Stack) -> None:
    run_id = stack.open(intent="tidy")
    decide(stack, run_id, 1)  # then the executor failed, and a person handed back

    again = decide(stack, run_id, 3)
    stack.settled(run_id, 3, {"status": "ok", "result": NOTE})
    after = decide(stack, run_id, 4)

    assert again["calls"][0]["tool"] == "read_note"
    assert after["calls"][0]["tool"] == "write_note"


def test_a_call_that_was_begun_without_an_outcome_is_not_proposed_again(stack: Stack) -> None:
    run_id = stack.open(intent="recovers")
    decide(stack, run_id)
    intended = {"tool": "read_note", "effect": "write", "planner": "fallback", "undo": None}
    stack.log.write(run_id, "0001.call.1.intended", intended)

    decision = decide(stack, run_id, 3)

    assert decision["calls"][0]["tool"] == "write_note"
    assert decision["calls"][0]["arguments"]["text"].startswith("read_note unknown: ")
