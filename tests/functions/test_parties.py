"""A party to a call does not approve it: requester, guide or changer, under whatever name they come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from ballast.contracts.person import how_many, same_person
from ballast.log.events import EscalationAnswered
from functions.people.rights import guides_of
from tests.functions.approvals import asks
from tests.functions.cloud import Cloud
from tests.functions.http import ask, event
from tests.functions.people.waiting import Waiting, create_workflow
from tests.functions.stack import Stack
from tests.functions.test_rights import ASKING, CLAIMS, by_token, guided

_NUMBERS = count(1)


def person(sub: str, *, operates: bool = False) -> Any:
    rights = {"groups": "[operators]"} if operates else {"scope": "ballast/review"}
    return {"jwt": {"claims": {"sub": sub, "tenant": "acme", **rights}, "scopes": None}}


@pytest.fixture(scope="module")
def workflow(cloud: Cloud) -> str:
    return create_workflow()


@pytest.fixture
def waiting(stack: Stack, workflow: str) -> Iterator[Waiting]:
    for function in ("people", "api"):
        stack.environs[function].update(CLAIMS)
    for function in ("admit", "executor", "answer", "people", "open"):
        if "PLAYBOOK_DIR" in stack.environs[function]:
            stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    stack.clock.advance(next(_NUMBERS))
    made = Waiting.begin(workflow)
    yield made
    made.stop()


class Run:
    """A run of mia's, and what people do about it over HTTP."""

    def __init__(self, stack: Stack, waiting: Waiting, requested_by: str = "mia") -> None:
        self.stack, self.token = stack, waiting.token
        request = {"request_id": f"p-{next(_NUMBERS)}", "agent": "tester", "text": "Stamp n-1.", "tenant": "acme"}
        self.id = stack.invoke("admit", {"request": request, "requested_by": requested_by})["run_id"]

    def waits(self, turn: int) -> str:
        task = {"run_id": self.id, "turn": turn, "kind": "escalation", "reason": "guidance", "timeout_s": 600}
        return str(self.stack.invoke("open", task | {"task_token": self.token})["escalation_id"])

    def proposed(self, turn: int) -> str:
        self.stack.propose(self.id, {"tool": "stamp", "arguments": {"note_id": "n-5", "times": 77}}, turn=turn)
        asks(self.stack, self.id, turn=turn)
        task = {"run_id": self.id, "turn": turn, "index": 1, "kind": "approval", "reason": "approval_required"}
        return str(self.stack.invoke("open", task | {"timeout_s": 600, "task_token": self.token})["escalation_id"])

    def send(self, escalation: str, who: Any, body: Any) -> int:
        return ask(self.stack, "people", event("POST", f"/escalations/{escalation}", who=who, body=body)).status

    def shown(self, escalation: str, who: Any) -> Any:
        return ask(self.stack, "people", event("GET", f"/escalations/{escalation}", who=who)).body


RAE, LEE, ANN = person("rae"), person("lee"), person("ann", operates=True)
SAYS = guided(guidance="Stamp n-5 with 77 stamps.")
APPROVES = {"approve": True}


@pytest.mark.parametrize("guide", [RAE, ANN], ids=["a reviewer", "an operator"])
def test_who_guided_the_agent_does_not_approve_what_it_then_proposes(
    stack: Stack, waiting: Waiting, guide: Any
) -> None:
    run = Run(stack, waiting)
    assert run.send(run.waits(1), guide, SAYS) == 200
    call = run.proposed(2)
    name = guide["jwt"]["claims"]["sub"]

    shown = run.shown(call, guide)
    assert (shown["you_may"], name in shown["may_not_answer"]) == ([], True)
    assert "guided the agent" in shown["you_may_not"]
    assert run.send(call, guide, APPROVES) == 403
    assert run.send(call, guide, {"approve": False}) == 403
    assert run.send(call, guide, APPROVES | {"arguments": {"note_id": "n-5", "times": 78}}) == 403

    assert "approve" in run.shown(call, LEE)["you_may"]
    assert run.send(call, LEE, APPROVES) == 200
    assert stack.execute(run.id, 2) == "ok"


def test_everybody_who_guided_it_is_a_party_however_long_ago(stack: Stack, waiting: Waiting, workflow: str) -> None:
    run = Run(stack, waiting)
    assert run.send(run.waits(1), RAE, SAYS) == 200
    again = Waiting.begin(workflow)
    run.token = again.token
    assert run.send(run.waits(3), LEE, guided(guidance="Go on.")) == 200
    call = run.proposed(4)

    assert run.shown(call, ANN)["may_not_answer"] == ["mia", "rae", "lee"]
    assert [run.send(call, who, APPROVES) for who in (RAE, LEE, ANN)] == [403, 403, 200]
    again.stop()


def test_a_reply_in_the_requesters_place_guides_as_well(stack: Stack, waiting: Waiting) -> None:
    run = Run(stack, waiting)
    decision = {"kind": "hand_over", "to": "requester", "reason": "question", "guidance": "Which note?"}
    stack.log.write(run.id, "0001.plan.decided", {"planner": "agent", "decision": decision})
    task = {"run_id": run.id, "turn": 2, "kind": "question", "reason": "question", "timeout_s": 600}
    stack.invoke("open", task | {"task_token": run.token})
    sent = event("POST", f"/runs/{run.id}/messages", who=RAE, body={"text": "n-5, 77 times."})
    assert ask(stack, "people", sent).status == 202

    call = run.proposed(3)

    assert run.send(call, RAE, APPROVES) == 403


@pytest.mark.parametrize("decision", [guided(guidance="", add_budget_microusd=1_000), guided(guidance="  \n")])
def test_who_only_lets_it_go_on_is_no_party(stack: Stack, waiting: Waiting, decision: Any) -> None:
    run = Run(stack, waiting)
    assert run.send(run.waits(1), RAE, decision) == 200
    call = run.proposed(2)

    assert run.shown(call, RAE)["may_not_answer"] == ["mia"]
    assert run.send(call, RAE, APPROVES) == 200


def test_who_guided_the_agent_is_no_party_to_what_the_script_calls(stack: Stack, waiting: Waiting) -> None:
    run = Run(stack, waiting)
    assert run.send(run.waits(1), RAE, SAYS) == 200
    stack.propose(run.id, {"tool": "stamp", "arguments": {"note_id": "n-5", "times": 77}}, turn=2, by="fallback")

    assert guides_of(stack.events(run.id), 2, 1) == ()  # no script hears words


def test_a_guide_whose_words_were_taken_out_of_the_log_is_a_party_by_the_table(stack: Stack, waiting: Waiting) -> None:
    run = Run(stack, waiting)
    run.send(run.waits(1), RAE, SAYS)
    call = run.proposed(2)
    seq = EscalationAnswered.key(1)
    stack.cloud.tables.delete_item(TableName="run-log", Key={"run_id": {"S": run.id}, "seq": {"S": seq}})

    assert guides_of(stack.events(run.id), 2, 1) == ()
    assert run.send(call, RAE, APPROVES) == 403


def test_only_an_operator_hands_over_to_the_rollback(stack: Stack, waiting: Waiting) -> None:
    run = Run(stack, waiting)
    escalation = run.waits(1)
    undoing = {"decision": {"kind": "hand_over", "to": "rollback", "reason": "guidance"}}

    assert ["undo" in run.shown(escalation, who)["you_may"] for who in (RAE, ANN)] == [False, True]
    assert [run.send(escalation, who, undoing) for who in (by_token("member"), RAE, ANN)] == [403, 403, 200]


@pytest.mark.parametrize("to", ["agent", "fallback"])
def test_a_reviewer_hands_over_to_the_others(stack: Stack, waiting: Waiting, to: str) -> None:
    run = Run(stack, waiting)
    handing = {"decision": {"kind": "hand_over", "to": to, "reason": "guidance", "guidance": "Go on."}}

    assert run.send(run.waits(1), RAE, handing) == 200


# IamPersonPattern is turned on, or off

ROLE = "arn:aws:sts::123456789012:assumed-role/ballast-reviewer-acme"
PERSON = {"IAM_PERSON_PATTERN": ":assumed-role/ballast-reviewer-"}


@pytest.mark.parametrize("on_later", [True, False])
@pytest.mark.parametrize("part", ["requester", "guide"])
def test_a_party_stays_one_when_sessions_begin_or_cease_to_be_people(
    stack: Stack, waiting: Waiting, part: str, on_later: bool
) -> None:
    """Nobody can tell whose session a role without one was, so all of them are parties."""
    before, after = ({}, PERSON) if on_later else (PERSON, {})
    stack.environs["people"].update(before)
    short = "123456789012:assumed-role/ballast-reviewer-acme"
    run = Run(stack, waiting, (f"{short}/rae" if before else short) if part == "requester" else "mia")
    if part == "guide":
        assert run.send(run.waits(1), f"{ROLE}/rae", SAYS) == 200
    call = run.proposed(2)
    stack.environs["people"].update({"IAM_PERSON_PATTERN": ""} | after)

    assert run.send(call, f"{ROLE}/rae", APPROVES) == 403
    assert run.shown(call, f"{ROLE}/rae")["you_may"] == []
    assert run.send(call, "arn:aws:iam::123456789012:user/ballast-reviewer-acme/lee", APPROVES) == 200


SHORT = "1:assumed-role/R"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SHORT, SHORT, True),
        (SHORT, f"{SHORT}/rae", True),
        (f"{SHORT}/rae", f"{SHORT}/rae", True),
        (f"{SHORT}/rae", f"{SHORT}/lee", False),
        (f"{SHORT}/rae", f"{SHORT}/rae2", False),
        (SHORT, f"{SHORT}2/rae", False),
        (SHORT, "2:assumed-role/R/rae", False),
        ("1:federated-user", "1:federated-user/rae", True),
        ("1:user/a", "1:user/a/rae", False),  # a path of users, and another user
        ("rae", "rae/x", False),
    ],
)
def test_who_is_one_person(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same_person(other, one) is same
    assert how_many([one, other]) == (1 if same else 2)


def test_a_role_and_its_session_are_one_approver(stack: Stack, waiting: Waiting) -> None:
    assert how_many([SHORT, f"{SHORT}/rae", f"{SHORT}/lee"]) == 1
    assert how_many([f"{SHORT}/rae", f"{SHORT}/lee", "ann"]) == 3


def stamps(note_id: str = "n-5", times: int = 77) -> Any:
    """Return a person's decision to make a call themselves."""
    calls = [{"tool": "stamp", "arguments": {"note_id": note_id, "times": times}}]
    return {"decision": {"kind": "call_tools", "calls": calls}}


@pytest.mark.parametrize("by_person", [stamps(), stamps(times=1), stamps(note_id="n-1")], ids=["both", "note", "times"])
def test_who_made_a_call_that_was_rejected_does_not_approve_it_from_the_agent(
    stack: Stack, waiting: Waiting, by_person: Any
) -> None:
    run = Run(stack, waiting)
    assert run.send(run.waits(1), RAE, by_person) == 200

    escalation = run.proposed(2)

    assert "rae" in run.shown(escalation, LEE)["may_not_answer"]
    assert run.send(escalation, RAE, APPROVES) == 403
    assert run.send(escalation, LEE, APPROVES) == 200


def test_who_made_another_call_may_approve(stack: Stack, waiting: Waiting) -> None:
    run = Run(stack, waiting)
    assert run.send(run.waits(1), RAE, stamps("n-1", 1)) == 200

    assert run.send(run.proposed(2), RAE, APPROVES) == 200


@pytest.mark.parametrize(("approve", "comment", "guides"), [(True, "Also n-5!", True), (True, "Fine.", False)])
def test_who_named_a_value_when_they_approved_another_call(
    stack: Stack, waiting: Waiting, approve: bool, comment: str, guides: bool
) -> None:
    run = Run(stack, waiting)
    first = run.proposed(1)
    assert run.send(first, RAE, {"approve": approve, "comment": comment}) == 200
    stack.propose(run.id, {"tool": "stamp", "arguments": {"note_id": "n-5", "times": 78}}, turn=2)

    assert guides_of(stack.events(run.id), 2, 1) == (("rae",) if guides else ())
