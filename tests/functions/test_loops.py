"""An agent that repeats itself, through the real agent and executor: notice, ban, hand-over."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ballast.contracts import CallTools, ToolCall
from functions.agent.handler import build
from functions.agent.loops import loop_signals
from tests.functions.endpoint import Endpoint, calls, reads, says
from tests.functions.roomy import opened
from tests.functions.stack import Stack


def goes_round(stack: Stack, model: Endpoint, run_id: str, turns: int, *, note: str = "n-1") -> list[str]:
    """Let the agent ask for the same note in each of ``turns`` turns; return what became of it."""
    statuses = []
    for turn in range(1, turns + 1):
        model.will(reads(note))
        stack.plan(run_id, turn)
        statuses.append(stack.execute(run_id, turn))
    return statuses


def told(request: dict[str, Any]) -> str:
    """Return the words in the last tool result that a model was sent."""
    (block, *_) = request["messages"][-1]["content"]
    return " ".join(part.get("text", "") for part in block["toolResult"]["content"])


def written(stack: Stack, model: Endpoint, run_id: str, turn: int, note: str = "n-1") -> None:
    model.will(calls({"name": "write_note", "input": {"note_id": note, "text": f"At turn {turn}."}}))
    stack.plan(run_id, turn)
    assert stack.execute(run_id, turn) == "ok"


def test_a_read_that_is_made_again_is_answered_from_the_log_with_a_notice(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    written(stack, model, run_id, 1)
    model.will(reads("n-1"), reads("n-1"))
    stack.plan(run_id, 2)
    stack.execute(run_id, 2)
    stack.plan(run_id, 3)
    ran: list[Any] = []
    stack.on("executor", "dynamodb", "GetItem", ran.append)

    status = stack.execute(run_id, 3)

    first, again = stack.body(run_id, "0002.call.1.settled"), stack.body(run_id, "0003.call.1.settled")
    assert (status, again["result"], again["repeat_of"]) == ("ok", first["result"], [2, 1])
    assert ran == []
    assert (first["effect"], "effect" in again) == ("read", False)
    model.will(says("Done."))
    stack.plan(run_id, 4)
    assert "the same call of read_note as call 1 of turn 2, for the 2nd time" in told(model.requests[-1])
    assert "the answer that was recorded then" in told(model.requests[-1])


def test_then_the_tool_is_forbidden_and_then_the_agent_hands_over(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    written(stack, model, run_id, 1)
    for turn in (2, 3, 4, 5):
        model.will(reads("n-1"))
        assert stack.plan(run_id, turn)["kind"] == "call_tools"
        stack.execute(run_id, turn)
    asked = len(model.requests)

    summary = stack.plan(run_id, 6)

    refused = stack.body(run_id, "0004.call.1.refused")
    assert (refused["error"], "read_note is forbidden" in refused["message"]) == ("ToolForbidden", True)
    assert "0005.call.1.refused" in stack.seqs(run_id)
    assert (summary["kind"], summary["reason"], summary["to"]) == ("hand_over", "loop", "rollback")
    assert len(model.requests) == asked, "no model was asked again"


def test_a_note_that_is_not_there_is_looked_for_twice_for_real(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)

    assert goes_round(stack, model, run_id, 3, note="n-404") == ["failed", "failed", "refused"]
    assert stack.body(run_id, "0002.call.1.settled")["effect"] == "read"


def test_the_verdict_stands_with_the_decision(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    goes_round(stack, model, run_id, 3)

    found = [stack.body(run_id, f"{turn:04d}.model.responded").get("despair") for turn in (1, 2, 3)]

    sign = {"index": 1, "kind": "same_call", "same_as": found[1][0]["same_as"]}
    assert found[0] is None
    assert sign.items() <= found[1][0].items()
    assert (found[1][0]["step"], found[2][0]["step"]) == ("notice", "forbid")


@pytest.mark.parametrize(("step", "status"), [("forbid", "refused"), ("notice", "ok")])
def test_the_executor_obeys_what_is_recorded_whatever_the_fold_would_say_now(
    stack: Stack, model: Endpoint, step: str, status: str
) -> None:
    run_id = opened(stack)
    written(stack, model, run_id, 1)
    call = {"tool": "read_note", "arguments": {"note_id": "n-1"}}
    sign = {"index": 1, "step": step, "kind": "cycle", "count": 3, "same_as": [1, 1], "answer": False}
    body = {"attempt": 1, "cost_microusd": 0, "decision": {"kind": "call_tools", "calls": [call]}, "despair": [sign]}
    stack.log.write(run_id, "0002.model.responded", body)

    assert stack.execute(run_id, 2) == status


def test_what_was_written_in_the_same_reply_is_read_again(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    written(stack, model, run_id, 1)
    model.will(reads("n-1"))
    stack.plan(run_id, 2)
    stack.execute(run_id, 2)
    both = [
        {"name": "write_note", "input": {"note_id": "n-1", "text": "New."}},
        {"name": "read_note", "input": {"note_id": "n-1"}},
    ]
    model.will(calls(*both))

    stack.plan(run_id, 3)
    statuses = [stack.execute(run_id, 3, index) for index in (1, 2)]

    assert statuses == ["ok", "ok"]
    assert stack.body(run_id, "0003.call.2.settled")["result"]["text"] == "New."


def test_a_write_in_between_lets_the_agent_look_again(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    for turn in (1, 3, 5):
        written(stack, model, run_id, turn)
        model.will(reads("n-1"))
        stack.plan(run_id, turn + 1)
        assert stack.execute(run_id, turn + 1) == "ok"
        assert stack.body(run_id, f"{turn + 1:04d}.call.1.settled")["result"]["text"] == f"At turn {turn}."

    assert not any("repeat_of" in event.body or "despair" in event.body for event in stack.events(run_id))


def test_after_a_person_handed_back_the_agent_begins_anew(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    goes_round(stack, model, run_id, 4)
    assert stack.plan(run_id, 5)["reason"] == "loop"

    stack.answered(run_id, 6, {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Look once."})
    model.will(reads("n-1"))

    assert stack.plan(run_id, 7)["kind"] == "call_tools"
    assert stack.execute(run_id, 7) == "failed", "it ran: there is no such note"


def test_a_stopped_loop_is_reported_with_what_it_saved(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    goes_round(stack, model, run_id, 4)

    for _ in range(2):
        stack.plan(run_id, 5)

    (stopped,) = stack.log.read(run_id).stopped_loops
    last = stack.body(run_id, "0004.model.responded")["cost_microusd"]
    lines = [line for line in stack.lines() if "LoopsStopped" in line]
    assert stopped.saved_microusd == 8 * last
    assert [line["LoopsStopped"] for line in lines] == [[1]]
    assert [line["SavedUsd"] for line in lines] == [[float(Decimal(8 * last) / 1_000_000)]]


def test_an_error_in_a_row_is_noticed_where_the_model_reads_of_it(stack: Stack, model: Endpoint) -> None:
    run_id = opened(stack)
    for turn in (1, 2, 3):
        model.will(reads(f"n-{turn}"))
        stack.plan(run_id, turn)
        assert stack.execute(run_id, turn) == "failed"
    model.will(says("Done."))

    stack.plan(run_id, 4)

    assert "read_note has failed in the same way 3 times in a row, since call 1 of turn 1" in told(model.requests[-1])
    assert stack.body(run_id, "0004.model.requested")["despair"][0]["kind"] == "same_error"


@pytest.mark.parametrize("turns", [1, 12])
def test_a_run_that_gets_on_is_told_nothing(stack: Stack, model: Endpoint, turns: int) -> None:
    run_id = opened(stack)
    for turn in range(1, turns):
        written(stack, model, run_id, turn, f"n-{turn}")
    model.will(says("Done."))

    stack.plan(run_id, turns)

    assert not any("despair" in event.body for event in stack.events(run_id))


def test_a_read_that_says_it_may_be_repeated_is_polled(stack: Stack, model: Endpoint) -> None:
    agent = stack.runtime("planner").get(build)
    polled = replace(agent.playbook.tools["read_note"].policy, polled=True)
    tools = {**agent.playbook.tools, "read_note": replace(agent.playbook.tools["read_note"], policy=polled)}
    playbook = replace(agent.playbook, tools=tools)
    run_id = opened(stack)
    goes_round(stack, model, run_id, 2)
    run = stack.log.read(run_id)

    again = CallTools(calls=(ToolCall(tool="read_note", arguments={"note_id": "n-1"}),))

    assert loop_signals(run, 3, again, agent.playbook)
    assert loop_signals(run, 3, again, playbook) == ()
