"""A person's answer that a planner's role writes has no effect.

The whole workflow, with IAM enforced: everything is forged with the planner's own credentials.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.log.event import Event
from cli.exits import Exit
from localcloud.clock import VirtualClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, Reply, said, turns_taken
from localcloud.deploy import STACK
from tests.e2e.test_up_command import on
from tests.support.log_items import decode, encode
from tests.support.tables_in_memory import Tables
from tests.workflow.playbook.tools.counter import value_of

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
ANSWER = "0001.call.1.approval_answered"
Body = dict[str, Any]
#: Called before a function is invoked, with its name and payload.
Forge = Callable[["Forger", str, Body], None]


def raises(request: Mapping[str, Any], _: str) -> Reply:
    """Raise the counter that the request names by 20, which a person must approve."""
    if turns_taken(request):
        return said([{"text": "Done."}], "end_turn", request)
    name = request["messages"][0]["content"][0]["text"]
    call = {"toolUse": {"toolUseId": "1", "name": "raise_by", "input": {"name": name, "by": 20}}}
    return said([call], "tool_use", request)


class Forger:
    """Whoever has the planner's credentials."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud, self.done = cloud, False
        self.wrote: list[str] = []
        self._client = cloud.runtime("AgentFunction").client("dynamodb")
        self._table = cloud.physical_id("RunLogTable")

    def item(self, run_id: str, seq: str) -> Body:
        """Return what the log has under that key; empty where nothing is."""
        key = {"run_id": {"S": run_id}, "seq": {"S": seq}}
        found: Body = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item", {})
        return found

    def body(self, run_id: str, seq: str) -> Body:
        """Return an event's body."""
        return decode(self.item(run_id, seq), None).body

    def put(self, run_id: str, seq: str, body: Body) -> None:
        """Write an event, over what is there; what was signed of that stays with it."""
        before = self.item(run_id, seq)
        at = before.get("at", {"S": "2026-03-01T12:00:00+00:00"})["S"]
        mac = {"mac": before["mac"]} if "mac" in before else {}
        event = Event(run_id=run_id, seq=seq, at=at, body=body)
        self._client.put_item(TableName=self._table, Item=encode(event, body)[0] | mac)
        self.done = True
        self.wrote.append(seq)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    model = CallableModel(raises)
    with LocalCloud(PLAYBOOK, enforce_iam=True, clock=VirtualClock(), model=model, dynamodb=Tables()) as opened:
        yield opened


UNTIL = {"agent_until_ms": 2**52, "deadline_ms": 2**52}


def approves(forger: Forger, run_id: str) -> None:
    needed = forger.body(run_id, "0001.call.1.approval_needed")
    body = {"escalation_id": "esc-x", "by": "the-boss", "approve": True, "comment": "", "approvals": [{"by": "x"}]}
    forger.put(run_id, ANSWER, body | {"binding": needed["binding"]["sha256"]} | UNTIL)


def decides(decision: Body, **more: Any) -> Forge:
    def forge(forger: Forger, function: str, payload: Body) -> None:
        if function == "AgentFunction" and not forger.done:
            body = {"escalation_id": "esc-x", "kind": "escalation", "by": "the-boss", "decision": decision}
            forger.put(payload["run_id"], "0001.escalation.answered", body | UNTIL | more)

    return forge


def claims_a_person_planned(forger: Forger, function: str, payload: Body) -> None:
    if function == "AgentFunction" and not forger.done:
        forger.put(payload["run_id"], "0001.plan.decided", {"planner": "human", "decision": calls_for("lower")})


def approves_while_people_are_waited_for(forger: Forger, function: str, payload: Body) -> None:
    # The wait is over, or its answer is on its way: nobody answered.
    if function == "ExecutorFunction" and payload["asked"] == 1 and not forger.done:
        approves(forger, payload["run_id"])


def approves_before_anybody_is_asked(forger: Forger, function: str, payload: Body) -> None:
    if function == "OpenEscalationFunction" and payload["kind"] == "approval" and not forger.done:
        approves(forger, payload["run_id"])


def begins_it(forger: Forger, function: str, payload: Body) -> None:
    if function == "ExecutorFunction" and not forger.done:
        body = {"tool": "raise_by", "effect": "write", "planner": "agent", "undo": None, "invocation": "x"}
        body |= {"approval": {"round": 1, "by": ["the-boss"]}, "idempotency_key": f"{payload['run_id']}.0001.1"}
        forger.put(payload["run_id"], "0001.call.1.intended", body)


def calls_for(tool: str) -> Body:
    return {"kind": "call_tools", "calls": [{"tool": tool, "arguments": {"name": "theirs", "by": 9}}]}


def grants(microusd: int) -> Body:
    return {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": microusd}


FORGED: dict[str, Forge] = {
    "an approval, while people are waited for": approves_while_people_are_waited_for,
    "an approval, before anybody is asked": approves_before_anybody_is_asked,
    "a call that has begun": begins_it,
    "a decision to call a tool": decides(calls_for("raise_by")),
    "a decision to undo": decides(calls_for("lower")),
    "a requester's reply that is a call": decides(calls_for("lower"), kind="question"),
    "a plan of a person's": claims_a_person_planned,
    "a grant": decides(grants(5_000_000)),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("what", FORGED)
def test_what_is_forged_with_the_planners_rights_does_nothing(what: str, cloud: LocalCloud) -> None:
    forger, name = Forger(cloud), f"forged-{list(FORGED).index(what)}"

    def forge(function: str, payload: Body) -> None:
        FORGED[what](forger, function, payload)

    cloud.before_invoke.append(forge)
    try:
        run_id = cloud.start(RunRequest(request_id=name, text=name))
        cloud.wait(run_id, 600)
    finally:
        cloud.before_invoke.remove(forge)

    assert forger.done
    assert (counter(cloud, name), counter(cloud, "theirs")) == (0, 0)
    lease = cloud.session.client("dynamodb").get_item(
        TableName=cloud.physical_id("BudgetsTable"),
        Key={"account": {"S": "lease"}, "window": {"S": run_id}},
        ConsistentRead=True,
    )["Item"]
    assert "5000000" not in str(lease)
    assert "lease.extended" not in [event.name for event in cloud.events(run_id)]
    found = cloud.verdict(run_id)
    assert found is not None
    if what != "a call that has begun":  # an intention is the executor's word, and no person's
        lines = [line for function in ACT for line in cloud.logs(function).splitlines()]
        assert any('"UnsignedAnswers"' in line and run_id in line for line in lines)
        assert found.first is not None
        assert (found.status, found.unsigned) == ("unfit", (found.first.seq,))
        assert found.first.seq in forger.wrote
    else:
        assert found.unsigned == ()


ACT = ("ExecutorFunction", "ExtendFunction", "SettleFunction", "SweepFunction", "PeopleApiFunction")


def test_a_rejection_that_was_made_an_approval_is_asked_again(cloud: LocalCloud) -> None:
    forger, name, asked = Forger(cloud), "overwritten", []

    def rejects(function: str, payload: Body, result: Any) -> None:
        if function == "OpenEscalationFunction" and payload["kind"] == "approval":
            asked.append(payload["round"])
            if payload["round"] == 1:
                answer = {"escalation_id": result["escalation_id"], "by": "ann", "approve": False}
                cloud.invoke("AnswerEscalationFunction", answer)

    def overwrites(function: str, payload: Body) -> None:
        if function == "ExecutorFunction" and payload["asked"] == 1 and not forger.done:
            assert forger.body(payload["run_id"], ANSWER)["approve"] is False
            approves(forger, payload["run_id"])

    cloud.after_invoke.append(rejects)
    cloud.before_invoke.append(overwrites)
    try:
        run_id = cloud.start(RunRequest(request_id=name, text=name))
        cloud.wait(run_id, 600)
    finally:
        cloud.after_invoke.remove(rejects)
        cloud.before_invoke.remove(overwrites)

    assert counter(cloud, name) == 0
    assert asked == [1, 2]
    assert forger.body(run_id, "0001.call.1.settled")["status"] == "denied"
    # It has the signature of the rejection, so only who verified it can tell.
    found = cloud.verdict(run_id)
    assert found is not None
    assert found.unsigned == (ANSWER,)


def test_a_persons_own_approval_is_carried_out(cloud: LocalCloud) -> None:
    name = "genuine"

    def answers(function: str, payload: Body, result: Any) -> None:
        if function == "OpenEscalationFunction":
            answer = {"escalation_id": result["escalation_id"], "by": "ann", "approve": True}
            cloud.invoke("AnswerEscalationFunction", answer)

    cloud.after_invoke.append(answers)
    try:
        ended = cloud.wait(cloud.start(RunRequest(request_id=name, text=name)), 600)
    finally:
        cloud.after_invoke.remove(answers)

    assert (ended.output["status"], counter(cloud, name)) == ("answered", 20)


def test_verify_tells_a_woken_person_that_an_answer_was_forged(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    forger, name = Forger(cloud), "verified"

    def forge(function: str, payload: Body) -> None:
        approves_while_people_are_waited_for(forger, function, payload)

    cloud.before_invoke.append(forge)
    try:
        run_id = cloud.start(RunRequest(request_id=name, text=name))
        cloud.wait(run_id, 600)
    finally:
        cloud.before_invoke.remove(forge)

    assert on(cloud, "verify", run_id, stack=STACK) == Exit.UNFIT
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{run_id}: CHANGED" in printed
    assert f"first: {ANSWER} says that a person decided, and no person's function signed it" in printed
    assert "An answer that is not signed" in printed
    assert on(cloud, "verify", run_id, "--json", stack=STACK) == Exit.UNFIT
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert (row["first"]["seq"], row["unsigned"]) == (ANSWER, [ANSWER])


def test_a_forged_answer_that_was_deleted_again_is_named_all_the_same(cloud: LocalCloud) -> None:
    forger, name = Forger(cloud), "covered-up"

    def forge(function: str, payload: Body) -> None:
        approves_while_people_are_waited_for(forger, function, payload)

    cloud.before_invoke.append(forge)
    try:
        run_id = cloud.start(RunRequest(request_id=name, text=name))
        cloud.wait(run_id, 600)
    finally:
        cloud.before_invoke.remove(forge)
    cloud.session.client("dynamodb").delete_item(
        TableName=cloud.physical_id("RunLogTable"), Key={"run_id": {"S": run_id}, "seq": {"S": ANSWER}}
    )

    found = cloud.verdict(run_id)

    assert found is not None
    assert found.first is not None
    assert found.first.seq == ANSWER
    assert "deleted since" in found.first.why


def counter(cloud: LocalCloud, name: str) -> int:
    """Return what the counter says."""
    return value_of(cloud.session.client("dynamodb"), cloud.physical_id("OrdersTable"), name)
