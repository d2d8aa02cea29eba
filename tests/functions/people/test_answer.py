"""A person's answer: taken once, recorded first, and then the waiting run goes on with it."""

from collections.abc import Callable
from typing import Any

import pytest

from ballast.errors import EscalationClosed, InvalidInput, NotYetResumed, RetryLater
from tests.functions.approvals import asks
from tests.functions.people.waiting import Waiting
from tests.functions.stack import LambdaDied, Stack, client_error, once

ANSWER = {"kind": "answer", "text": "All is tidy."}
GUIDANCE = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Try n-7."}


def opened(stack: Stack, waiting: Waiting, **more: Any) -> dict[str, Any]:
    """Open an escalation that the run waits for; return its answer's beginning, and the run id under ``run_id``."""
    run_id = stack.open()
    stack.propose(run_id, {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x", "stars": 500}})
    event = {"run_id": run_id, "turn": 2, "kind": "escalation", "reason": "turn_limit", "timeout_s": 600} | more
    if event["kind"] == "approval":
        asks(stack, run_id)
    made = stack.invoke("open", event | {"task_token": waiting.token})
    return {"run_id": run_id, "escalation_id": made["escalation_id"]}


def take(stack: Stack, to: dict[str, Any], **answer: Any) -> dict[str, Any]:
    """Answer an escalation as Ann."""
    event = {"escalation_id": to["escalation_id"], "by": "ann"} | answer
    return dict(stack.invoke("answer", event))


APPROVAL = {"turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}


@pytest.mark.parametrize(
    "text", ["<think>milk</think>", "write_note(note_id='n-1')", '{"tool": "read_note"}', "&lt;b&gt;"]
)
def test_a_person_answers_with_any_words(stack: Stack, waiting: Waiting, text: str) -> None:
    to = opened(stack, waiting)

    take(stack, to, decision={"kind": "answer", "text": text})

    assert stack.body(to["run_id"], "0002.escalation.answered")["decision"]["text"] == text


def test_an_answer_is_recorded_and_the_run_goes_on_with_it(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)

    taken = take(stack, to, decision=ANSWER)

    names = {"escalation_id": to["escalation_id"], "run_id": to["run_id"]}
    assert taken == names | {"status": "answered", "still_needed": 0}
    body = stack.body(to["run_id"], "0002.escalation.answered")
    assert (body["by"], body["decision"]["text"]) == ("ann", "All is tidy.")
    assert waiting.output()["decision"]["kind"] == "answer"


@pytest.mark.parametrize(
    ("decision", "summary"),
    [
        (GUIDANCE, {"kind": "hand_over", "to": "agent", "reason": "guidance"}),
        (GUIDANCE | {"to": "fallback"}, {"kind": "hand_over", "to": "fallback", "reason": "guidance"}),
        (
            {"kind": "call_tools", "calls": [{"tool": "read_note", "arguments": {}}, {"tool": "x", "arguments": {}}]},
            {"kind": "call_tools", "calls": [1, 2], "parallel": False},
        ),
    ],
)
def test_the_workflow_learns_only_the_decisions_kind_and_positions(
    stack: Stack, waiting: Waiting, decision: dict[str, Any], summary: dict[str, Any]
) -> None:
    to = opened(stack, waiting)

    take(stack, to, decision=decision)

    got = waiting.output()["decision"]
    assert {name: value for name, value in got.items() if value not in (None, [], False) or name in summary} == summary


def test_what_follows_an_answer_has_a_time_of_its_own(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)
    stack.clock.advance(7200)
    now_ms = int(stack.clock().timestamp() * 1000)

    take(stack, to, decision=GUIDANCE)

    output = waiting.output()
    assert (output["agent_until_ms"] - now_ms, output["deadline_ms"] - now_ms) == (90_000, 100_000)


@pytest.mark.parametrize("approve", [True, False])
def test_an_approval_is_recorded_with_its_call(stack: Stack, waiting: Waiting, approve: bool) -> None:
    to = opened(stack, waiting, **APPROVAL)

    take(stack, to, approve=approve, comment="Looked at it.")

    body = stack.body(to["run_id"], "0001.call.1.approval_answered")
    assert (body["approve"], body["comment"], body["by"]) == (approve, "Looked at it.", "ann")
    assert waiting.output() == {}
    assert stack.execute(to["run_id"]) == ("ok" if approve else "denied")


# Once


def test_the_same_answer_again_is_harmless(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)

    first, second = take(stack, to, decision=ANSWER), take(stack, to, decision=ANSWER)
    waiting.output()
    third = take(stack, to, decision=ANSWER)

    assert first == second == third


@pytest.mark.parametrize(
    "other", [{"decision": ANSWER | {"text": "Not tidy."}}, {"decision": GUIDANCE}, {"decision": ANSWER, "by": "bob"}]
)
def test_another_answer_comes_too_late(stack: Stack, waiting: Waiting, other: dict[str, Any]) -> None:
    to = opened(stack, waiting)
    take(stack, to, decision=ANSWER)

    with pytest.raises(EscalationClosed, match="answered already"):
        take(stack, to, **other)

    assert stack.body(to["run_id"], "0002.escalation.answered")["decision"]["text"] == "All is tidy."


def test_a_rejection_after_an_approval_comes_too_late(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting, **APPROVAL)
    take(stack, to, approve=True)

    with pytest.raises(EscalationClosed):
        take(stack, to, approve=False)

    assert stack.execute(to["run_id"]) == "ok"


def test_an_answer_to_a_run_that_waits_no_longer_is_refused(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)
    waiting.stop()
    with pytest.raises(NotYetResumed):  # whether its opening is tried again, nobody knows yet
        take(stack, to, decision=ANSWER)
    stack.invoke("settle", {"run_id": to["run_id"], "turn": 1, "ending": "unanswered"})

    with pytest.raises(EscalationClosed, match="no longer waits"):
        take(stack, to, decision=ANSWER)


def test_an_answer_to_a_run_that_was_settled_is_not_even_recorded(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)
    stack.invoke("settle", {"run_id": to["run_id"], "turn": 2, "ending": "unanswered"})
    before = stack.seqs(to["run_id"])

    with pytest.raises(EscalationClosed, match=to["run_id"]):
        take(stack, to, decision=ANSWER)

    assert stack.seqs(to["run_id"]) == before
    assert waiting.waits


# Wrong answers


@pytest.mark.parametrize(
    ("more", "answer", "names"),
    [
        ({}, {"approve": True}, "decision"),
        ({}, {}, "decision"),
        ({}, {"decision": ANSWER, "approve": True}, "decision"),
        (APPROVAL, {"decision": ANSWER}, "approve"),
        (APPROVAL, {}, "approve"),
        (APPROVAL, {"decision": ANSWER, "approve": True}, "approve"),
        ({}, {"decision": GUIDANCE | {"to": "human"}}, "decision.to"),
        ({}, {"decision": {"kind": "answer"}}, "answer.text"),
        ({}, {"decision": {"kind": "answer", "text": "x" * 70_000}}, "decision.text: it has .* at most 65536"),
        ({}, {"decision": {"kind": "shrug"}}, "Decision"),
        ({}, {"decision": ANSWER, "by": ""}, "by"),
        ({}, {"decision": ANSWER, "task_token": "x"}, "task_token"),
        ({}, {"decision": ANSWER, "escalation_id": "esc-1"}, "escalation_id"),
        ({}, {"decision": ANSWER, "escalation_id": "esc-aaaaaaaaaaaaaaaa"}, "escalation_id"),
    ],
)
def test_an_answer_that_does_not_fit_the_question_names_the_field_and_leaves_it_open(
    stack: Stack, waiting: Waiting, more: dict[str, Any], answer: dict[str, Any], names: str
) -> None:
    to = opened(stack, waiting, **more)

    with pytest.raises(InvalidInput, match=names):
        take(stack, to, **answer)

    assert waiting.waits
    right = {"approve": True} if more else {"decision": ANSWER}
    assert take(stack, to, **right)["status"] == "answered"


# Dying half way

MOMENTS = {
    "before it was consumed": ("on", "dynamodb", "UpdateItem"),
    "after it was consumed": ("after", "dynamodb", "UpdateItem"),
    "before it was recorded": ("on", "dynamodb", "PutItem"),
    "after it was recorded": ("after", "dynamodb", "PutItem"),
    "before the run was told": ("on", "stepfunctions", "SendTaskSuccess"),
}


@pytest.mark.sampled
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", ["escalation", "approval"])
def test_whenever_it_dies_the_same_answer_again_completes_it(
    stack: Stack, waiting: Waiting, moment: str, kind: str
) -> None:
    to = opened(stack, waiting, **(APPROVAL if kind == "approval" else {}))
    answer: dict[str, Any] = {"approve": True} if kind == "approval" else {"decision": ANSWER}
    when, service, operation = MOMENTS[moment]
    fault = stack.on if when == "on" else stack.after
    fault("answer", service, operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        take(stack, to, **answer)
    assert waiting.waits

    assert take(stack, to, **answer)["status"] == "answered"

    waiting.output()
    answered = [seq for seq in stack.seqs(to["run_id"]) if seq.endswith("answered")]
    assert len(answered) == 1


def test_between_dying_and_the_repeat_nobody_else_may_answer(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)
    stack.on("answer", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        take(stack, to, decision=ANSWER)

    with pytest.raises(RetryLater, match="being recorded"):
        take(stack, to, decision=GUIDANCE)

    assert take(stack, to, decision=ANSWER)["status"] == "answered"
    assert waiting.output()["decision"]["kind"] == "answer"


# Told, and nobody noted it


def told_but_not_noted(stack: Stack, to: dict[str, Any], waiting: Waiting, **answer: Any) -> None:
    """Answer, and die after the run was told and before anything says so."""
    stack.after("answer", "stepfunctions", "SendTaskSuccess", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        take(stack, to, **answer)
    waiting.output()


@pytest.mark.parametrize(
    ("decision", "then"),
    [
        (ANSWER, lambda stack, run_id: stack.invoke("settle", {"run_id": run_id, "turn": 2, "ending": "answer"})),
        (GUIDANCE, lambda stack, run_id: stack.propose(run_id, {"tool": "read_note", "arguments": {}}, turn=3)),
        (
            {"kind": "call_tools", "calls": [{"tool": "read_note", "arguments": {"note_id": "n-1"}}]},
            lambda stack, run_id: stack.execute(run_id, 2),
        ),
    ],
)
def test_an_answer_that_the_run_went_on_with_is_told_so_whoever_failed_to_note_it(
    stack: Stack, waiting: Waiting, decision: dict[str, Any], then: Callable[[Stack, str], Any]
) -> None:
    to = opened(stack, waiting)
    told_but_not_noted(stack, to, waiting, decision=decision)
    then(stack, to["run_id"])
    before = stack.seqs(to["run_id"])

    again = [take(stack, to, decision=decision)["status"] for _ in range(2)]

    assert again == ["answered", "answered"]
    assert stack.seqs(to["run_id"]) == before
    with pytest.raises(EscalationClosed):
        take(stack, to, decision=ANSWER | {"text": "Another."})


def test_while_nobody_can_say_whether_the_run_has_it_the_person_is_asked_to_try_again(
    stack: Stack, waiting: Waiting
) -> None:
    to = opened(stack, waiting)
    told_but_not_noted(stack, to, waiting, decision=ANSWER)

    with pytest.raises(NotYetResumed):
        take(stack, to, decision=ANSWER)


def test_an_answer_to_a_run_that_ended_without_it_is_not_called_taken(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting)
    stack.on("answer", "stepfunctions", "SendTaskSuccess", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        take(stack, to, decision=ANSWER)
    waiting.stop()
    stack.log.write(to["run_id"], "9999.run.ended", {"status": "unanswered", "by": None, "degraded": True})

    with pytest.raises(EscalationClosed, match="no longer waits"):
        take(stack, to, decision=ANSWER)


def test_an_approval_that_the_run_got_but_nobody_noted_is_taken(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting, **APPROVAL)
    told_but_not_noted(stack, to, waiting, approve=True)

    assert take(stack, to, approve=True)["status"] == "answered"
    assert stack.execute(to["run_id"]) == "ok"
    assert take(stack, to, approve=True)["status"] == "answered"


@pytest.mark.parametrize(
    ("service", "operation"),
    [("dynamodb", "GetItem"), ("dynamodb", "UpdateItem"), ("stepfunctions", "SendTaskSuccess")],
)
def test_a_throttle_means_try_again_later_and_the_repeat_completes_it(
    stack: Stack, waiting: Waiting, service: str, operation: str
) -> None:
    to = opened(stack, waiting)
    stack.on("answer", service, operation, once(client_error("ThrottlingException")))

    with pytest.raises(RetryLater):
        take(stack, to, decision=ANSWER)

    assert take(stack, to, decision=ANSWER)["status"] == "answered"
    assert waiting.output()["decision"]["kind"] == "answer"


def opened_again(stack: Stack, to: dict[str, Any], workflow: str) -> Waiting:
    """Let the workflow try again to open the escalation, with a new token, which is returned."""
    retried = Waiting.begin(workflow)
    event = {"run_id": to["run_id"], "turn": 2, "kind": "escalation", "reason": "turn_limit", "timeout_s": 600}
    stack.invoke("open", event | {"task_token": retried.token})
    return retried


def test_an_escalation_that_was_opened_again_is_answered_with_its_newest_token(
    stack: Stack, waiting: Waiting, workflow: str
) -> None:
    to = opened(stack, waiting)
    retried = opened_again(stack, to, workflow)

    take(stack, to, decision=ANSWER)

    assert retried.output()["decision"]["kind"] == "answer"
    assert waiting.waits


def test_opening_again_does_not_invite_another_answer(stack: Stack, waiting: Waiting, workflow: str) -> None:
    to = opened(stack, waiting)
    take(stack, to, decision=ANSWER)
    retried = opened_again(stack, to, workflow)

    with pytest.raises(EscalationClosed):
        take(stack, to, decision=GUIDANCE)

    assert retried.output()["decision"]["kind"] == "answer"


def test_an_answer_that_came_before_the_retry_of_its_opening_can_be_sent_again(
    stack: Stack, waiting: Waiting, workflow: str
) -> None:
    to = opened(stack, waiting)
    take(stack, to, decision=ANSWER)
    retried = opened_again(stack, to, workflow)

    take(stack, to, decision=ANSWER)

    assert retried.output()["decision"]["kind"] == "answer"
