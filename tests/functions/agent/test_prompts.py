"""Prompts: built from the log, stored as deltas, legal for Converse in every situation."""

from typing import Any

from ballast.folds.conversation import changed_prompts, prompt_digest, rebuild
from ballast.log.event import Event
from ballast.log.events import CallSettled, ModelRequested
from ballast.run import Run
from tests.functions.agent.legal import complaints
from tests.functions.approvals import asks
from tests.functions.endpoint import Endpoint, calls, reads, says
from tests.functions.stack import LambdaDied, Stack, once

WRITE = {"name": "write_note", "input": {"note_id": "n-1", "text": "x"}}
GUIDANCE = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Use note n-7 instead."}


def texts(message: dict[str, Any]) -> str:
    """Return the texts of a message, joined."""
    return " ".join(block["text"] for block in message["content"] if "text" in block)


def results(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tool results of a message."""
    return [block["toolResult"] for block in message["content"] if "toolResult" in block]


def digests_hold(stack: Stack, run_id: str) -> bool:
    """Say whether each prompt, rebuilt from the log, has the digest that was recorded before it was sent."""
    run = stack.log.read(run_id)
    requested = run.facts(ModelRequested)
    for asked in requested:
        if prompt_digest(run, rebuild(run, asked), asked.inference) != asked.prompt_sha256:
            return False
    return bool(requested)


def test_the_first_prompt_has_the_instructions_the_tools_the_request_and_the_callers_facts(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open(text="Tidy up.", context={"note": "n-1"})
    model.will(says("Done."))

    stack.plan(run_id)

    [request] = model.requests
    assert request["system"] == [{"text": "You keep notes."}]
    assert "write_note" in [tool["toolSpec"]["name"] for tool in request["toolConfig"]["tools"]]
    assert [message["role"] for message in request["messages"]] == ["user"]
    assert "Tidy up." in texts(request["messages"][0])
    assert '{"note": "n-1"}' in texts(request["messages"][0])


def test_every_kind_of_outcome_comes_back_as_a_result(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(
        calls(
            {"name": "write_note", "input": {"note_id": "n-1", "text": "x"}},
            {"name": "read_note", "input": {"note_id": "n-404"}},
            {"name": "raed_note", "input": {"note_id": "n-1"}},
            {"name": "write_note", "input": {"note_id": "n-1", "text": "x", "stars": 500}},
            {"name": "read_note", "input": {"note_id": "n-1"}},
        )
    )
    stack.plan(run_id)
    for index in (1, 2, 3):
        stack.execute(run_id, index=index)
    asks(stack, run_id, index=4)
    stack.execute(run_id, index=4, unanswered=True)
    model.will(says("Done."))

    stack.plan(run_id, 2)

    request = model.requests[-1]
    assert complaints(request) == []
    found = results(request["messages"][-1])
    assert [result["status"] for result in found] == ["success", "error", "error", "error", "error"]
    assert found[0]["content"][0]["json"]["text"] == "x"
    said = [result["content"][0]["text"] for result in found[1:]]
    assert said[0] == "Failed. There is no such note."
    assert said[1].startswith("Refused, nothing was done. There is no tool named 'raed_note'")
    assert said[2].startswith("Denied, nothing was done.")
    assert said[3] == "Not executed: the turn ended before this call."


def test_the_model_is_told_that_a_repeat_was_not_executed_again(writes: Stack, model: Endpoint) -> None:
    run_id = writes.open()
    add = {"name": "keyed_add", "input": {"note_id": "n-1"}}
    model.will(calls(add, add), says("Done."))
    writes.plan(run_id)
    for index in (1, 2):
        writes.execute(run_id, index=index)

    writes.plan(run_id, 2)

    first, again = results(model.requests[-1]["messages"][-1])
    assert again["status"] == "success"
    assert again["content"][0] == first["content"][0] == {"json": {"note_id": "n-1"}}
    assert "Not executed again" in again["content"][1]["text"]
    assert len(first["content"]) == 1
    assert digests_hold(writes, run_id)


def test_a_turn_stores_only_what_is_new(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1"), reads("n-2"), reads("n-3"))

    for turn in (1, 2, 3):
        stack.plan(run_id, turn)
        stack.execute(run_id, turn)

    first, second, third = (stack.body(run_id, f"000{turn}.model.requested") for turn in (1, 2, 3))
    assert {"system", "tools"} <= set(first)
    assert not {"system", "tools"} & (set(second) | set(third))
    assert [len(body["messages"]) for body in (first, second, third)] == [1, 1, 1]
    assert len(str(second)) == len(str(third))
    assert len(model.requests[-1]["messages"]) == 5


def test_the_log_holds_a_result_once_and_the_model_gets_it(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(calls(WRITE), says("Done."))
    for turn in (1, 2):
        stack.plan(run_id, turn)
        stack.execute(run_id, 1, 1)

    [sent] = results(model.requests[-1]["messages"][-1])
    [logged] = results(stack.body(run_id, "0002.model.requested")["messages"][-1])
    assert sent["content"] == [{"json": stack.body(run_id, "0001.call.1.settled")["result"]}]
    assert logged["content"] == [{"result_of": "0001.call.1.settled"}]


def test_a_changed_result_changes_the_prompt_that_names_it(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(calls(WRITE), says("Done."))
    for turn in (1, 2):
        stack.plan(run_id, turn)
        stack.execute(run_id, 1, 1)
    run = stack.log.read(run_id)
    digests = {event.seq: event.digest for event in run}

    def other(event: Event) -> Event:
        is_result = event.name == CallSettled.NAME
        return event.model_copy(update={"body": event.body | {"result": {"note_id": "n-2"}}}) if is_result else event

    changed = Run(map(other, run))

    assert changed_prompts(run, digests)[0] == {}
    assert set(changed_prompts(changed, digests)[0]) == {"0002.model.requested"}


def test_a_prompt_rebuilt_from_the_log_is_the_one_that_was_sent(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1", "n-2"), says("Done."))
    for turn in (1, 2):
        stack.plan(run_id, turn)
        stack.execute(run_id, 1, 1)

    run = stack.log.read(run_id)
    rebuilt = [rebuild(run, asked) for asked in run.facts(ModelRequested)]

    assert [list(prompt.messages) for prompt in rebuilt] == [request["messages"] for request in model.requests]
    assert [prompt.system for prompt in rebuilt] == [request["system"] for request in model.requests]
    assert [prompt.tools for prompt in rebuilt] == [request["toolConfig"] for request in model.requests]
    assert digests_hold(stack, run_id)


def test_an_attempt_that_was_never_answered_is_not_part_of_the_next_prompt(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    stack.on("planner", "bedrock-runtime", "Converse", once(LambdaDied()))
    try:
        stack.plan(run_id)
    except LambdaDied:
        model.will(says("Done."))

    stack.plan(run_id)

    [request] = model.requests
    assert len(request["messages"]) == 1
    assert digests_hold(stack, run_id)


# Back from another planner


def test_handed_back_after_the_fallback_the_agent_learns_what_was_done_and_what_a_person_says(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open(intent="recovers", limits={"turns": 1})
    model.will(reads("n-1", "n-2"))
    stack.plan(run_id)
    stack.execute(run_id, index=1)  # the second call was never begun
    assert stack.plan(run_id, 2)["to"] == "fallback"
    for turn in (3, 4):
        stack.plan(run_id, turn, by="fallback")
        stack.execute(run_id, turn)
    stack.answered(run_id, 6, GUIDANCE)
    model.will(reads("n-7"))

    summary = stack.plan(run_id, 7)

    assert summary["kind"] == "call_tools"  # the hand-over renewed its turns
    request = model.requests[-1]
    assert complaints(request) == []
    assert len(results(request["messages"][-1])) == 2
    said = texts(request["messages"][-1])
    assert "fallback called read_note" in said
    assert "fallback called write_note" in said
    assert "A person says: Use note n-7 instead." in said
    assert digests_hold(stack, run_id)
    assert stack.plan(run_id, 8)["reason"] == "turn_limit"


def test_handed_back_after_a_rollback_the_agent_learns_that_it_was_undone(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limits={"turns": 1})
    model.will(calls({"name": "write_note", "input": {"note_id": "n-1", "text": "x"}}))
    stack.plan(run_id)
    stack.execute(run_id)
    assert stack.plan(run_id, 2)["to"] == "rollback"
    stack.plan(run_id, 3, by="rollback")
    stack.execute(run_id, 3)
    stack.answered(run_id, 5, GUIDANCE)
    model.will(says("Done."))

    assert stack.plan(run_id, 6)["kind"] == "answer"

    request = model.requests[-1]
    assert complaints(request) == []
    assert 'rollback called erase_note({"note_id": "n-1"}): ok.' in texts(request["messages"][-1])


def test_handed_back_before_it_ever_answered_the_agent_gets_the_request_and_the_guidance(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open()
    stack.clock.advance(90)
    assert stack.plan(run_id)["reason"] == "deadline"
    stack.answered(run_id, 2, GUIDANCE)
    model.will(says("Done."))

    assert stack.plan(run_id, 3)["kind"] == "answer"

    request = model.requests[-1]
    assert complaints(request) == []
    assert "Tidy my notes." in texts(request["messages"][0])
    assert "Use note n-7 instead." in texts(request["messages"][0])


def test_that_others_were_told_of_an_escalation_late_is_no_news_for_the_agent(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says(" "), reads("n-1"), says("Done."))
    stack.plan(run_id)
    stack.answered(run_id, 2, GUIDANCE)
    stack.plan(run_id, 3)
    stack.log.write(run_id, "0002.escalation.announced", {"event_id": "evt-x"})

    assert stack.plan(run_id, 4)["kind"] == "answer"

    assert "Use note n-7 instead." in texts(model.requests[-2]["messages"][-1])
    assert "Use note n-7 instead." not in texts(model.requests[-1]["messages"][-1])


def test_handed_back_after_an_empty_answer_the_prompt_is_legal(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says(" "))
    assert stack.plan(run_id)["reason"] == "empty_answer"
    stack.answered(run_id, 2, GUIDANCE | {"guidance": ""})
    model.will(says("Done."))

    assert stack.plan(run_id, 3)["kind"] == "answer"

    assert complaints(model.requests[-1]) == []


def test_a_person_may_add_to_the_budget(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limited={"cost_microusd": 1})
    assert stack.plan(run_id)["reason"] == "cost_limit"
    stack.answered(run_id, 2, GUIDANCE | {"add_budget_microusd": 100_000})
    model.will(says("Done."))

    assert stack.plan(run_id, 3)["kind"] == "answer"


def test_a_completion_that_came_after_its_turn_was_cut_is_paid_and_what_it_asked_for_was_not_done(
    stack: Stack, model: Endpoint
) -> None:
    run_id = stack.open()
    model.will(reads("n-1"))
    stack.plan(run_id)  # too late: the workflow had given the turn to a person
    stack.answered(run_id, 3, GUIDANCE)
    model.will(says("Done."))

    stack.plan(run_id, 4)

    request = model.requests[-1]
    assert complaints(request) == []
    [result] = results(request["messages"][-1])
    assert result["content"][0]["text"].startswith("Not executed")
