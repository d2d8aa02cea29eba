"""An answer that is in the table and not in the log is not lost: the escalation is open again, for anybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ballast.errors import AnswerUnsigned, RetryLater
from ballast.log.events import ApprovalAnswered, EscalationAnswered
from functions.people.escalations_table import EscalationsTable
from tests.functions.cloud import client
from tests.functions.people.test_approving import ASKING
from tests.functions.people.test_between_attempts import CALLS, KINDS, Asked, asked
from tests.functions.people.test_forged_rights import change
from tests.functions.people.test_open import item, messages
from tests.functions.stack import LambdaDied, Stack, client_error, once

__all__ = ["asked"]

#: What goes wrong between the table and the log.
FAULTS: dict[str, Callable[[], Exception]] = {
    "died": LambdaDied,
    "throttled": lambda: client_error("ThrottlingException"),
}


def taken_and_not_recorded(asked: Asked, fault: str = "died", by: str = "ann") -> None:
    """Somebody answers; the table has it, and the log never does."""
    asked.stack.on("answer", "dynamodb", "PutItem", once(FAULTS[fault]()))
    if fault == "died":
        with pytest.raises(LambdaDied):
            asked.say(by)
    else:
        assert asked.say(by) == "RetryLater"
    asked.stack.forget("answer")
    assert item(asked.escalation_id)["status"] == {"S": "answered"}
    assert asked.stack.log.read(asked.run_id).facts(EscalationAnswered) == ()


def otherwise(asked: Asked) -> dict[str, Any]:
    """What another person says."""
    if "approve" in asked.kind.says:
        return {"approve": not asked.kind.says["approve"], "comment": "I see it otherwise."}
    if asked.kind.task["kind"] == "question":
        return {"decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Try n-8."}}
    return {"decision": {"kind": "answer", "text": "I see it otherwise."}}


def say_otherwise(asked: Asked, by: str = "bob") -> str:
    """Another person answers something else; return what they are told."""
    told = asked.stack.invoke("answer", {"escalation_id": asked.escalation_id, "by": by} | otherwise(asked))
    return str(told["status"])


def later(asked: Asked, seconds: float = 121) -> dict[str, int]:
    """Time passes, and the schedule comes."""
    asked.stack.clock.advance(seconds)
    return dict(asked.stack.invoke("remind", {}))


def recorded(asked: Asked) -> EscalationAnswered | ApprovalAnswered:
    """The one answer that is on record."""
    run = asked.stack.log.read(asked.run_id)
    [answered] = (*run.facts(EscalationAnswered), *run.facts(ApprovalAnswered))
    return answered


@pytest.mark.sampled
@pytest.mark.parametrize("fault", FAULTS)
def test_the_question_is_open_again_and_another_person_answers_it(asked: Asked, fault: str) -> None:
    messages(asked.run_id)
    taken_and_not_recorded(asked, fault)

    assert later(asked) == {"reopened": 1}

    assert item(asked.escalation_id)["status"] == {"S": "open"}
    told = messages(asked.run_id)
    assert [one["escalation_id"] for one in told] == [asked.escalation_id] * (asked.kind.task["kind"] != "question")
    assert say_otherwise(asked) == "answered"
    assert recorded(asked).by == "bob"
    asked.waiting[-1].output()
    assert "due" not in item(asked.escalation_id)
    with pytest.raises(Exception, match="in another way"):
        asked.stack.invoke("answer", {"escalation_id": asked.escalation_id, "by": "ann"} | asked.kind.says)


@pytest.mark.sampled
@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_person_may_say_it_again_after_that(asked: Asked, fault: str) -> None:
    taken_and_not_recorded(asked, fault)
    later(asked)

    assert asked.say() == "answered"

    asked.goes_on()
    assert recorded(asked).by == "ann"
    assert asked.say() == "answered"


def test_as_long_as_nobody_knows_it_stays_due_and_nobody_else_is_told_that_it_is_closed(asked: Asked) -> None:
    taken_and_not_recorded(asked)

    with pytest.raises(RetryLater, match="being recorded"):
        say_otherwise(asked)

    assert later(asked, 60) == {}
    assert item(asked.escalation_id)["due"] == {"S": "open"}


def test_a_new_attempt_at_asking_has_it_opened_again_too(asked: Asked) -> None:
    taken_and_not_recorded(asked)
    asked.given_up()

    asked.tried()

    assert later(asked) == {"reopened": 1}
    assert say_otherwise(asked) == "answered"
    asked.waiting[-1].output()


def test_it_is_not_opened_again_while_somebody_may_be_at_work_on_it(asked: Asked) -> None:
    taken_and_not_recorded(asked)
    asked.stack.clock.advance(100)
    taken_and_not_recorded(asked)  # the same person, again

    assert [later(asked, 21), later(asked, 100)] == [{}, {"reopened": 1}]


def test_a_look_that_comes_sooner_waits_for_whoever_may_be_at_work(asked: Asked) -> None:
    taken_and_not_recorded(asked)
    asked.stack.clock.advance(60)
    due_now = {":now": {"S": asked.stack.clock().isoformat()}}
    client("dynamodb").update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": asked.escalation_id}},
        UpdateExpression="SET due_at = :now",
        ExpressionAttributeValues=due_now,
    )

    assert [later(asked, 1), later(asked, 60)] == [{"early": 1}, {"reopened": 1}]


def test_whoever_says_it_again_while_it_is_opened_again_is_heard(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_and_not_recorded(asked)
    reopen, said = EscalationsTable.reopen, []

    def meanwhile(self: EscalationsTable, *args: Any) -> bool:
        said.append(asked.say())
        return reopen(self, *args)

    monkeypatch.setattr(EscalationsTable, "reopen", meanwhile)

    later(asked)

    assert said == ["answered"]
    assert item(asked.escalation_id)["status"] == {"S": "answered"}
    asked.goes_on()


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["read", "change"])
def test_it_may_be_opened_again_while_somebody_says_it_again(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    taken_and_not_recorded(asked)
    found, change, left = EscalationsTable.find, EscalationsTable.change, [when]

    def opened_again() -> None:
        if left:
            left.pop()
            assert later(asked) == {"reopened": 1}

    def after_it_was_read(self: EscalationsTable, escalation_id: str) -> Any:
        question = found(self, escalation_id)
        opened_again()
        return question

    def before_it_is_changed(self: EscalationsTable, *args: Any, **more: Any) -> Any:
        opened_again()
        return change(self, *args, **more)

    if when == "read":
        monkeypatch.setattr(EscalationsTable, "find", after_it_was_read)
    else:
        monkeypatch.setattr(EscalationsTable, "change", before_it_is_changed)

    assert asked.say() == "answered"

    assert left == []
    assert item(asked.escalation_id)["status"] == {"S": "answered"}
    asked.goes_on()


def test_what_is_forged_in_the_place_of_an_answer_opens_nothing(asked: Asked) -> None:
    taken_and_not_recorded(asked)
    question = EscalationsTable.of(asked.stack.runtime("answer")).find(asked.escalation_id)
    seq = question.answer_key
    asked.stack.log.write(asked.run_id, seq, {"by": "ann", "approve": True, "decision": CALLS})
    change(asked.stack, asked.run_id, seq, by="eve")

    assert later(asked) == {"answered": 1}

    assert asked.waiting[-1].waits
    with pytest.raises(AnswerUnsigned):
        asked.say()


def test_a_question_whose_run_has_ended_is_not_opened_again(asked: Asked) -> None:
    taken_and_not_recorded(asked)
    asked.stack.log.write(asked.run_id, "9999.run.ended", {"status": "unanswered", "by": None, "degraded": True})

    assert later(asked) == {"answered": 1}


# Several people


@pytest.fixture
def two(stack: Stack, workflow: str) -> Any:
    for function in ("admit", "executor", "answer"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    made = Asked.of(stack, workflow, KINDS["approval"], tool="stamp_with_two")
    assert made.say("ann") == "waiting"
    later(made)
    yield made
    for one in made.waiting:
        one.stop()


def test_of_two_who_approve_the_one_who_is_on_record_need_not_again(two: Asked) -> None:
    taken_and_not_recorded(two, by="bob")
    assert later(two) == {"reopened": 1}

    assert two.say("ann") == "waiting"
    assert two.say("cho") == "answered"

    answered = recorded(two)
    assert isinstance(answered, ApprovalAnswered)
    assert [one.by for one in answered.approvals] == ["ann", "cho"]
    two.goes_on()
    assert two.stack.execute(two.run_id, asked=1) == "ok"


def test_who_approved_and_then_rejected_does_not_count_as_approving(two: Asked) -> None:
    rejects = Asked(two.stack, two.workflow, KINDS["rejection"], two.run_id, two.escalation_id, two.waiting)
    taken_and_not_recorded(rejects, by="ann")
    later(two)

    assert two.say("bob") == "waiting"
    assert two.say("ann") == "answered"
