"""Approvals by several people, with changed arguments, and never by a party to the call."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import EscalationClosed, InvalidInput, MayNotAnswer
from tests.functions.approvals import asks
from tests.functions.http import ask, event
from tests.functions.people.waiting import Waiting
from tests.functions.stack import LambdaDied, Stack, once

ASKING = Path(__file__).parents[1] / "playbooks" / "asking"
_NUMBERS = count(1)
ANN, LEE = "arn:aws:iam::123456789012:user/ballast-operator/ann", "arn:aws:iam::123456789012:user/ballast-operator/lee"


@pytest.fixture
def stack(stack: Stack) -> Stack:
    for function in ("admit", "executor", "answer", "people"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    return stack


def opened(stack: Stack, token: str, tool: str = "stamp_with_two", requested_by: str | None = None) -> dict[str, Any]:
    """Open a run that asks for an approval; return {"run_id", "escalation_id"}."""
    request = {"request_id": f"approving-{next(_NUMBERS)}", "agent": "tester", "text": "Stamp it."}
    who = {"requested_by": requested_by} if requested_by else {}
    run_id = stack.invoke("admit", {"request": request} | who)["run_id"]
    stack.propose(run_id, {"tool": tool, "arguments": {"note_id": "n-1", "times": 3}})
    asks(stack, run_id)
    task = {"run_id": run_id, "turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}
    made = stack.invoke("open", task | {"timeout_s": 600, "task_token": token})
    return {"run_id": run_id, "escalation_id": made["escalation_id"]}


def take(stack: Stack, to: dict[str, Any], by: str, **answer: Any) -> dict[str, Any]:
    """Answer; an approval, unless ``answer`` says otherwise."""
    return dict(stack.invoke("answer", {"escalation_id": to["escalation_id"], "by": by, "approve": True} | answer))


def shown(stack: Stack, to: dict[str, Any], who: str = LEE) -> dict[str, Any]:
    """Return the escalation as the API shows it."""
    reply = ask(stack, "people", event("GET", f"/escalations/{to['escalation_id']}", who=who))
    return dict(reply.body)


# Several people


def test_the_run_goes_on_once_as_many_different_people_have_approved(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token)

    first = take(stack, to, "ann", comment="Fine.")

    assert (first["status"], first["still_needed"]) == ("waiting", 1)
    assert waiting.waits
    assert shown(stack, to)["approvals_given"] == ["ann"]
    second = take(stack, to, "lee")
    assert (second["status"], second["still_needed"]) == ("answered", 0)
    waiting.output()
    answer = stack.body(to["run_id"], "0001.call.1.approval_answered")
    assert [one["by"] for one in answer["approvals"]] == ["ann", "lee"]
    assert stack.body(to["run_id"], "0001.call.1.approval_given.1.1")["comment"] == "Fine."
    assert stack.execute(to["run_id"]) == "ok"
    assert stack.body(to["run_id"], "0001.call.1.intended")["approval"]["by"] == ["ann", "lee"]


def test_the_same_person_counts_once(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token)
    take(stack, to, "ann")

    assert take(stack, to, "ann")["still_needed"] == 1  # a repeat
    with pytest.raises(EscalationClosed, match="ann has approved already"):
        take(stack, to, "ann", comment="And again.")

    assert waiting.waits


def test_one_rejection_rejects_whoever_approved_before(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token)
    take(stack, to, "ann")

    take(stack, to, "lee", approve=False, comment="Too many.")

    waiting.output()
    assert stack.execute(to["run_id"]) == "denied"
    assert stack.body(to["run_id"], "0001.call.1.settled")["message"] == "A person rejected it. Too many."
    answer = stack.body(to["run_id"], "0001.call.1.approval_answered")
    assert (answer["by"], answer["approve"]) == ("lee", False)


def test_who_approved_may_still_reject(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token)
    take(stack, to, "ann")

    assert take(stack, to, "ann", approve=False)["status"] == "answered"

    assert stack.body(to["run_id"], "0001.call.1.approval_answered")["approve"] is False


@pytest.mark.parametrize("when", ["on", "after"])
@pytest.mark.parametrize("operation", ["UpdateItem", "PutItem"])
def test_whenever_a_first_approval_dies_it_counts_once(
    stack: Stack, waiting: Waiting, when: str, operation: str
) -> None:
    to = opened(stack, waiting.token)
    fault = stack.on if when == "on" else stack.after
    fault("answer", "dynamodb", operation, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        take(stack, to, "ann")

    assert take(stack, to, "ann")["still_needed"] == 1

    assert take(stack, to, "lee")["status"] == "answered"
    given = [seq for seq in stack.seqs(to["run_id"]) if "approval_given" in seq]
    assert given == ["0001.call.1.approval_given.1.1"]


def test_two_people_at_the_same_moment_both_count(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token)
    lee = once(LambdaDied())

    def between(params: dict[str, Any]) -> None:
        try:
            lee(params)
        except LambdaDied:
            other = {"escalation_id": to["escalation_id"], "by": "lee", "approve": True}
            stack.invoke("answer", other, runtime=stack.cold("answer"))

    stack.on("answer", "dynamodb", "UpdateItem", between)

    assert take(stack, to, "ann")["status"] == "answered"

    answer = stack.body(to["run_id"], "0001.call.1.approval_answered")
    assert {one["by"] for one in answer["approvals"]} == {"ann", "lee"}
    waiting.output()


# Changed


def test_changed_arguments_pass_the_gate_and_the_others_approve_what_was_changed(
    stack: Stack, waiting: Waiting
) -> None:
    to = opened(stack, waiting.token)
    before = shown(stack, to)
    take(stack, to, "ann")

    changed = take(stack, to, "lee", arguments={"note_id": "n-1", "times": 2})

    assert changed["still_needed"] == 2  # ann approved something else, and lee proposes this
    assert take(stack, to, "lee", arguments={"note_id": "n-1", "times": 2})["still_needed"] == 2  # a repeat
    after = shown(stack, to)
    assert (after["changed_by"], after["approvals_given"]) == ("lee", [])
    assert after["may_not_answer"] == ["lee"]
    assert after["proposed_decision"]["calls"][0]["arguments"]["times"] == 2
    assert after["binding"] != before["binding"]
    with pytest.raises(InvalidInput, match="binding"):
        take(stack, to, "kim")
    with pytest.raises(EscalationClosed, match="changed since"):
        take(stack, to, "kim", binding=before["binding"])
    with pytest.raises(MayNotAnswer, match="changed this call's arguments"):
        take(stack, to, "lee", binding=after["binding"])
    assert take(stack, to, "ann", binding=after["binding"])["still_needed"] == 1
    assert take(stack, to, "kim", binding=after["binding"])["status"] == "answered"
    assert stack.body(to["run_id"], "0001.call.1.approval_given.1.2")["changed"] is True
    waiting.output()
    assert stack.execute(to["run_id"]) == "ok"
    assert stack.count("n-1") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"note_id": "n-1", "times": 13}, "must not be 13"),
        ({"note_id": "n-1", "times": "many"}, "times"),
        ({"note_id": "x"}, "note_id"),
        ({"note_id": "n-1", "colour": "red"}, "colour"),
    ],
)
def test_a_change_that_does_not_pass_is_named_and_the_question_stays_open(
    stack: Stack, waiting: Waiting, arguments: dict[str, Any], says: str
) -> None:
    to = opened(stack, waiting.token, "stamp")
    before = stack.seqs(to["run_id"])

    with pytest.raises(InvalidInput, match=rf"arguments: .*{says}.*stays open"):
        take(stack, to, "ann", arguments=arguments)
    reply = ask(
        stack,
        "people",
        event("POST", f"/escalations/{to['escalation_id']}", who=ANN, body={"approve": True, "arguments": arguments}),
    )

    assert (reply.status, reply.wrong) == (422, {"arguments"})
    assert stack.seqs(to["run_id"]) == before
    assert shown(stack, to)["status"] == "open"
    assert take(stack, to, "ann")["status"] == "answered"


def test_a_change_to_what_it_is_already_is_none(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token, "stamp")

    take(stack, to, "ann", arguments={"times": 3, "note_id": "n-1"})

    assert "arguments" not in stack.body(to["run_id"], "0001.call.1.approval_answered")
    waiting.output()


def test_a_rejection_changes_nothing(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token, "stamp")

    with pytest.raises(InvalidInput, match="arguments"):
        take(stack, to, "ann", approve=False, arguments={"note_id": "n-1", "times": 2})

    assert waiting.waits


# Who asked


def test_who_asked_for_the_run_does_not_approve_its_calls(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token, "stamp", requested_by="123456789012:user/ballast-operator/ann")
    path = f"/escalations/{to['escalation_id']}"

    for approve in (True, False):
        reply = ask(stack, "people", event("POST", path, who=ANN, body={"approve": approve}))
        assert reply.status == 403
    with pytest.raises(MayNotAnswer, match="another person"):
        take(stack, to, "123456789012:user/ballast-operator/ann")

    assert waiting.waits
    assert shown(stack, to)["may_not_answer"] == ["123456789012:user/ballast-operator/ann"]
    assert ask(stack, "people", event("POST", path, who=LEE, body={"approve": True})).status == 200


def test_what_people_must_know_is_shown_and_listed(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token, requested_by="123456789012:user/ballast-operator/ann")

    one = shown(stack, to)
    page = ask(stack, "people", event("GET", "/escalations", who=LEE)).body["escalations"]
    listed = next(item for item in page if item["escalation_id"] == to["escalation_id"])

    for known in (one, listed):
        assert known["why"] == ["3 stamps are more than 1"]
        assert (known["approvals_needed"], known["approvals_given"]) == (2, [])
        assert known["may_not_answer"] == ["123456789012:user/ballast-operator/ann"]
    assert one["binding"] == stack.body(to["run_id"], "0001.call.1.approval_needed")["binding"]["sha256"]


# Late


def test_an_answer_after_the_run_stopped_waiting_is_told_so(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token, "stamp")
    assert stack.execute(to["run_id"], asked=1, unanswered=True) == "denied"

    with pytest.raises(EscalationClosed, match="no longer waits"):
        take(stack, to, "ann")

    assert stack.count("n-1") == 0


def test_an_answer_at_the_last_moment_is_taken_though_its_token_is_worth_nothing(
    stack: Stack, waiting: Waiting
) -> None:
    to = opened(stack, waiting.token, "stamp")
    waiting.stop()

    assert take(stack, to, "ann")["status"] == "answered"

    assert stack.execute(to["run_id"], asked=1, unanswered=True) == "ok"
    assert stack.count("n-1") == 3


def test_each_asking_has_an_escalation_of_its_own(stack: Stack, waiting: Waiting) -> None:
    to = opened(stack, waiting.token, "stamp_patiently")
    asks(stack, to["run_id"], asked=1, unanswered=True)
    task = {"run_id": to["run_id"], "turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}
    again = stack.invoke("open", task | {"round": 2, "timeout_s": 86400, "task_token": waiting.token})

    with pytest.raises(EscalationClosed):
        take(stack, to, "ann")
    assert take(stack, to | again, "ann")["status"] == "answered"

    assert stack.execute(to["run_id"], asked=2) == "ok"
    waiting.output()
