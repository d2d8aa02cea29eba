"""A reason names what happened: to the people, in ``GET /runs/{id}`` and in the ending."""

from typing import Any

import pytest

from functions.front.runs import run_of
from tests.functions.endpoint import Endpoint, fails
from tests.functions.stack import Stack

HUNG = {"from": "agent", "reason": "model_timeout", "error": "States.Timeout"}


def decision(stack: Stack, run_id: str, turn: int, **more: Any) -> dict[str, Any]:
    stack.plan(run_id, turn, by="rollback", **more)
    return dict(stack.body(run_id, f"{turn:04d}.plan.decided"))


def wrote(stack: Stack, run_id: str) -> None:
    stack.propose(run_id, {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x"}})
    assert stack.execute(run_id) == "ok"


@pytest.mark.parametrize(("intent", "to"), [(None, "human"), ("tidy", "fallback")])
@pytest.mark.parametrize("reason", ["model_timeout", "planner_failed"])
def test_where_nothing_was_undone_the_reason_is_what_stopped_the_agent(
    stack: Stack, intent: str | None, to: str, reason: str
) -> None:
    run_id = stack.open(intent=intent)

    over = decision(stack, run_id, 2, handed_over=HUNG | {"reason": reason})["decision"]

    assert (over["to"], over["reason"]) == (to, reason)


def test_where_something_was_undone_a_person_is_told_both(stack: Stack) -> None:
    run_id = stack.open()
    wrote(stack, run_id)
    assert decision(stack, run_id, 2, handed_over=HUNG)["decision"]["kind"] == "call_tools"
    assert stack.execute(run_id, 2) == "ok"

    over = decision(stack, run_id, 3)

    assert (over["decision"]["to"], over["decision"]["reason"]) == ("human", "model_timeout")
    assert over["note"] == "Undone: 1 effect."


def test_the_people_and_the_api_say_what_stopped_it_what_was_done_and_what_became_of_it(stack: Stack) -> None:
    run_id = stack.open()
    wrote(stack, run_id)
    decision(stack, run_id, 2, handed_over=HUNG)
    stack.execute(run_id, 2)
    decision(stack, run_id, 3)
    stack.invoke(
        "open",
        {
            "run_id": run_id,
            "turn": 4,
            "kind": "escalation",
            "reason": "model_timeout",
            "timeout_s": 60,
            "task_token": "t",
        },
    )

    summary = stack.body(run_id, "0004.escalation.opened")["summary"]
    assert "Reason: model_timeout." in summary
    assert "Effects: what was written is undone." in summary
    waits = run_of(stack.events(run_id), (), run_id)
    assert (waits.reason, waits.effects) == ("model_timeout", None)
    assert [(one.tool, one.by, one.status, one.undone) for one in waits.done] == [
        ("write_note", "agent", "ok", True),
        ("erase_note", "rollback", "ok", True),
    ]

    stack.invoke("settle", {"run_id": run_id, "turn": 4, "ending": "unanswered"})

    ended = run_of(stack.events(run_id), (), run_id)
    assert (ended.status, ended.reason, ended.effects) == ("unanswered", "model_timeout", "undone")


@pytest.mark.parametrize("by", ["fallback", "human"])
def test_a_degraded_answer_says_what_stopped_the_agent(stack: Stack, by: str) -> None:
    run_id = stack.open(intent="tidy")
    wrote(stack, run_id)
    over = {"kind": "hand_over", "to": "fallback", "reason": "model_unavailable"}
    stack.log.write(run_id, "0002.plan.decided", {"planner": "agent", "decision": over})
    answer = {"kind": "answer", "text": "It is done."}
    if by == "human":
        stack.answered(run_id, 3, answer)
    else:
        stack.log.write(run_id, "0003.plan.decided", {"planner": by, "decision": answer})

    stack.invoke("settle", {"run_id": run_id, "turn": 3, "ending": "answer"})

    run = run_of(stack.events(run_id), (), run_id)
    assert (run.status, run.degraded, run.reason, run.effects) == ("answered", True, "model_unavailable", "kept")
    assert [(one.tool, one.undone) for one in run.done] == [("write_note", False)]


def test_the_agents_own_answer_has_no_reason(stack: Stack) -> None:
    run_id = stack.open()
    stack.log.write(
        run_id, "0001.plan.decided", {"planner": "agent", "decision": {"kind": "answer", "text": "It is done."}}
    )

    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})

    run = run_of(stack.events(run_id), (), run_id)
    assert (run.reason, run.effects, run.done) == (None, "none", ())


@pytest.mark.sampled
@pytest.mark.parametrize(
    "message",
    [
        "Input is too long for requested model.",
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000",
        "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens.",
        "The model returned the following errors: Input is too long.",
        "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
        "context_length_exceeded",
        "The request exceeds the available context size (4096 tokens)",
        "The conversation is too long",
    ],
)
@pytest.mark.parametrize("status", [400, 413])
def test_a_prompt_that_is_too_long_is_named_so(stack: Stack, model: Endpoint, message: str, status: int) -> None:
    run_id = stack.open()
    model.will(fails(status, "ValidationException", message=message))

    assert stack.plan(run_id)["reason"] == "model_context_window_exceeded"


@pytest.mark.parametrize(
    "message",
    [
        "The provided model identifier is invalid.",
        "Malformed input request: #: extraneous key [top_k] is not permitted, please reformat your input.",
        "temperature: range: 0..1",
        "The tool name is too long",
        "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens",
        "",
    ],
)
def test_any_other_refusal_stays_one(stack: Stack, model: Endpoint, message: str) -> None:
    run_id = stack.open()
    model.will(fails(400, "ValidationException", message=message))

    assert stack.plan(run_id)["reason"] == "model_refused"
