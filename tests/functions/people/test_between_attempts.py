"""An answer between two attempts to ask: the newest task token gets it, and the person is told so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ballast.errors import EscalationClosed, RetryLater
from functions.people.resume import Resumption
from tests.functions.approvals import asks
from tests.functions.cloud import client
from tests.functions.http import ask, event
from tests.functions.people.test_approving import ASKING
from tests.functions.people.test_open import item, messages
from tests.functions.people.waiting import Waiting
from tests.functions.stack import LambdaDied, Stack, client_error, once
from tests.support.sampling import sampled

ANSWER = {"kind": "answer", "text": "All is tidy."}
GUIDANCE = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Try n-7."}
CALLS = {"kind": "call_tools", "calls": [{"tool": "read_note", "arguments": {"note_id": "n-1"}}]}


@dataclass(frozen=True)
class Kind:
    """A kind of question, and what people say to it."""

    task: dict[str, Any]
    says: dict[str, Any]


ESCALATION = {"turn": 2, "kind": "escalation", "reason": "turn_limit"}
APPROVAL = {"turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}
KINDS = {
    "answer": Kind(ESCALATION, {"decision": ANSWER}),
    "guidance": Kind(ESCALATION, {"decision": GUIDANCE}),
    "calls": Kind(ESCALATION, {"decision": CALLS}),
    "reply": Kind({"turn": 2, "kind": "question", "reason": "question"}, {"decision": GUIDANCE}),
    "approval": Kind(APPROVAL, {"approve": True}),
    "rejection": Kind(APPROVAL, {"approve": False, "comment": "No."}),
}
#: A decision, a clarification and an approval; the others are told the same way.
PLAYED = sampled(list(KINDS), ["guidance", "reply", "approval"])
DECISIONS = [name for name in PLAYED if "decision" in KINDS[name].says]


@dataclass
class Asked:
    """A question, whose run's attempts at asking it are ``waiting``, newest last."""

    stack: Stack
    workflow: str
    kind: Kind
    run_id: str
    escalation_id: str
    waiting: list[Waiting]

    @classmethod
    def of(cls, stack: Stack, workflow: str, kind: Kind, tool: str = "write_note") -> Asked:
        run_id = stack.open()
        more = {"text": "x", "stars": 500} if tool == "write_note" else {"times": 3}
        stack.propose(run_id, {"tool": tool, "arguments": {"note_id": "n-1"} | more})
        if kind.task["kind"] == "approval":
            asks(stack, run_id)
        made = cls(stack, workflow, kind, run_id, "", [])
        made.tried()
        return made

    def tried(self) -> Waiting:
        """The workflow tries (again) to ask, with a token of its own."""
        self.waiting.append(Waiting.begin(self.workflow))
        self.again(len(self.waiting) - 1)
        return self.waiting[-1]

    def again(self, number: int) -> None:
        """The attempt of that number invokes the function."""
        attempt = {"redrives": 0, "entered_at": "2026-03-01T12:00:00.000Z", "retries": number}
        task = {"run_id": self.run_id, "timeout_s": 600, "attempt": attempt} | self.kind.task
        opened = self.stack.invoke("open", task | {"task_token": self.waiting[number].token})
        self.escalation_id = opened["escalation_id"]

    def given_up(self) -> None:
        """The workflow gives the newest attempt up."""
        self.waiting[-1].stop()

    def say(self, by: str = "ann") -> str:
        """Answer; return what the person is told: a status, or the name of an error."""
        try:
            told = self.stack.invoke("answer", {"escalation_id": self.escalation_id, "by": by} | self.kind.says)
        except (EscalationClosed, RetryLater) as refused:
            return type(refused).__name__
        return str(told["status"])

    def goes_on(self) -> None:
        """The newest attempt has the answer, and it is the recorded one."""
        output = self.waiting[-1].output()
        says = self.kind.says.get("decision")
        assert output.get("decision", {}).get("kind") == (says["kind"] if says else None)
        assert "resumed_at" in item(self.escalation_id)
        assert "due" not in item(self.escalation_id)


@pytest.fixture(params=PLAYED)
def asked(request: pytest.FixtureRequest, stack: Stack, workflow: str) -> Any:
    for found in client("dynamodb").scan(TableName="escalations")["Items"]:
        client("dynamodb").delete_item(TableName="escalations", Key={"escalation_id": found["escalation_id"]})
    made = Asked.of(stack, workflow, KINDS[request.param])
    yield made
    for one in made.waiting:
        one.stop()


only_decisions = pytest.mark.parametrize("asked", DECISIONS, indirect=True)


def test_the_next_attempt_goes_on_with_it_at_once(asked: Asked) -> None:
    asked.given_up()
    first = asked.say()
    messages(asked.run_id)

    asked.tried()

    asked.goes_on()
    assert first in ("answered", "NotYetResumed")
    assert asked.say() == "answered"
    assert messages(asked.run_id) == []
    assert len([seq for seq in asked.stack.seqs(asked.run_id) if seq.endswith("answered")]) == 1


@only_decisions
def test_the_person_is_told_that_nobody_knows_yet_and_later_what_came_of_it(asked: Asked) -> None:
    asked.given_up()
    assert [asked.say(), asked.say()] == ["NotYetResumed"] * 2
    assert "resumed_at" not in item(asked.escalation_id)

    asked.stack.log.write(asked.run_id, "9999.run.ended", {"status": "unanswered", "by": None, "degraded": True})

    assert asked.say() == "EscalationClosed"


@pytest.mark.sampled
@pytest.mark.parametrize("attempts", [2, 4])
def test_it_does_not_matter_between_which_attempts_they_answer(asked: Asked, attempts: int) -> None:
    for _ in range(attempts - 1):
        asked.given_up()
        asked.tried()
    asked.given_up()
    asked.say()

    asked.tried()

    asked.goes_on()


def test_an_attempt_after_the_one_that_was_told_has_the_answer_too(asked: Asked) -> None:
    asked.given_up()
    asked.say()
    asked.tried()
    asked.goes_on()

    asked.tried()  # the workflow has put the execution back to work

    asked.goes_on()


def in_between(monkeypatch: pytest.MonkeyPatch, method: str, do: Callable[[], object]) -> None:
    """Do it once, right before that step of telling the run."""
    original, left = getattr(Resumption, method), [do]

    def step(self: Resumption, *args: Any, **more: Any) -> Any:
        if left:
            left.pop()()
        return original(self, *args, **more)

    monkeypatch.setattr(Resumption, method, step)


@pytest.mark.sampled
@pytest.mark.parametrize("step", ["resume", "_use_token", "_note_resumed"])
def test_a_token_that_is_renewed_while_the_run_is_told_is_told(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def renewed() -> None:
        asked.given_up()
        asked.tried()

    in_between(monkeypatch, step, renewed)

    assert asked.say() == "answered"

    asked.goes_on()


def test_only_the_token_that_was_told_is_noted_as_told(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def renewed_and_not_told() -> None:
        asked.stack.on("open", "stepfunctions", "SendTaskSuccess", once(client_error("ThrottlingException")))
        with pytest.raises(RetryLater):
            asked.tried()

    in_between(monkeypatch, "_note_resumed", renewed_and_not_told)

    assert asked.say() == "answered"

    asked.goes_on()


def test_a_token_that_is_renewed_before_the_answer_is_on_record_is_told(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renewed(_: Any) -> None:
        if len(asked.waiting) == 1:
            asked.given_up()
            asked.tried()

    asked.stack.on("answer", "dynamodb", "PutItem", renewed)

    assert asked.say() == "answered"

    asked.goes_on()


def test_a_dead_token_does_not_mark_the_newer_one_as_told(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.given_up()
    asked.say()
    asked.stack.on("open", "stepfunctions", "SendTaskSuccess", once(client_error("ThrottlingException")))
    with pytest.raises(RetryLater):
        asked.tried()
    assert "resumed_at" not in item(asked.escalation_id)

    asked.again(0)  # the attempt that was given up comes late, and changes nothing
    assert asked.waiting[-1].waits
    asked.tried()

    asked.goes_on()


# Died in between, and nobody sends it again


@pytest.mark.parametrize("when", ["on", "after"])
def test_the_schedule_tells_the_run_what_was_recorded_and_not_told(asked: Asked, when: str) -> None:
    fault = asked.stack.on if when == "on" else asked.stack.after
    step = ("stepfunctions", "SendTaskSuccess") if when == "on" else ("dynamodb", "PutItem")
    fault("answer", *step, once(LambdaDied()))
    with pytest.raises(LambdaDied):
        asked.say()

    early = asked.stack.invoke("remind", {})
    asked.stack.clock.advance(121)
    done = [asked.stack.invoke("remind", {}) for _ in range(2)]

    assert (early, done) == ({}, [{"resumed": 1}, {}])
    asked.goes_on()
    assert asked.say() == "answered"


def test_the_schedule_says_nothing_that_is_not_on_record(asked: Asked) -> None:
    asked.stack.on("answer", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        asked.say()

    asked.stack.clock.advance(121)

    assert asked.stack.invoke("remind", {}) == {"reopened": 1}
    assert asked.waiting[-1].waits
    assert asked.say() == "answered"
    asked.goes_on()


def test_an_answer_that_was_repeated_late_is_looked_after_again(asked: Asked) -> None:
    for died in (("dynamodb", "PutItem"), ("stepfunctions", "SendTaskSuccess")):
        asked.stack.forget("answer")
        asked.stack.on("answer", *died, once(LambdaDied()))
        with pytest.raises(LambdaDied):
            asked.say()
        asked.stack.clock.advance(121)
        asked.stack.invoke("remind", {})

    asked.goes_on()


# Only what people have signed


@pytest.mark.sampled
@pytest.mark.parametrize("which", ["open", "remind"])
def test_an_answer_that_nobody_signed_resumes_nothing(asked: Asked, which: str) -> None:
    asked.given_up()
    asked.say()
    key = {"run_id": {"S": asked.run_id}}
    found = client("dynamodb").query(
        TableName="run-log",
        KeyConditionExpression="run_id = :run_id",
        ExpressionAttributeValues={":run_id": key["run_id"]},
    )["Items"]
    [answered] = [one for one in found if one["seq"]["S"].endswith("answered")]
    client("dynamodb").put_item(TableName="run-log", Item={**answered, "mac": {"B": b"0" * 32}})

    asked.tried()
    if which == "remind":
        asked.stack.clock.advance(121)
        asked.stack.invoke("remind", {})

    assert asked.waiting[-1].waits


# Several people, and the requester


def test_of_two_who_must_approve_each_may_answer_between_two_attempts(stack: Stack, workflow: str) -> None:
    for function in ("admit", "executor", "answer"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    asked = Asked.of(stack, workflow, KINDS["approval"], tool="stamp_with_two")
    asked.given_up()
    assert asked.say("ann") == "waiting"
    assert asked.tried().waits
    asked.given_up()
    assert asked.say("bob") == "answered"

    asked.tried()

    asked.goes_on()
    assert asked.stack.execute(asked.run_id, asked=1) == "ok"


def question(stack: Stack, workflow: str) -> Asked:
    return Asked.of(stack, workflow, KINDS["reply"])


def reply(asked: Asked, text: str = "Try n-7.") -> int:
    path = f"/runs/{asked.run_id}/messages"
    return int(ask(asked.stack, "people", event("POST", path, body={"text": text})).status)


def test_a_requester_may_send_their_reply_again_until_the_run_has_it(stack: Stack, workflow: str) -> None:
    asked = question(stack, workflow)
    asked.given_up()
    assert [reply(asked), reply(asked), reply(asked, "Another.")] == [503, 503, 409]

    asked.tried()

    asked.goes_on()
    assert [reply(asked), reply(asked, "Another.")] == [202, 409]


@pytest.mark.parametrize(
    ("seq", "body", "told"),
    [
        ("0003.model.requested", {}, "answered"),
        ("0003.plan.decided", {"planner": "agent", "decision": ANSWER}, "answered"),
        (
            "0003.plan.decided",
            {"planner": "rollback", "decision": ANSWER, "handed_over": {"from": "agent", "reason": "planner_failed"}},
            "answered",
        ),
        (
            "0003.plan.decided",
            {"planner": "rollback", "decision": ANSWER, "handed_over": {"from": "agent", "reason": "requester_silent"}},
            "NotYetResumed",
        ),
        ("0003.plan.decided", {"planner": "rollback", "decision": ANSWER}, "NotYetResumed"),
    ],
)
def test_a_run_that_went_on_without_the_reply_does_not_have_it(
    stack: Stack, workflow: str, seq: str, body: dict[str, Any], told: str
) -> None:
    asked = question(stack, workflow)
    asked.given_up()
    assert asked.say() == "NotYetResumed"

    stack.log.write(asked.run_id, seq, body)

    assert asked.say() == told
