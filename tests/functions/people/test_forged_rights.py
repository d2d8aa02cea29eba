"""Requester, tenant and approvers come from the execution and the playbook, whatever the log says."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from ballast.errors import ApprovalRequired
from ballast.log.event import Event
from tests.functions.approvals import asks
from tests.functions.cloud import Cloud
from tests.functions.http import ask, event
from tests.functions.people.waiting import Waiting, create_workflow
from tests.functions.stack import Stack
from tests.functions.test_rights import ASKING, CLAIMS
from tests.support.log_items import decode, encode

NEEDED, ANSWER = "0001.call.1.approval_needed", "0001.call.1.approval_answered"
_NUMBERS = count(1)
Body = dict[str, Any]


@pytest.fixture(scope="module")
def workflow(cloud: Cloud) -> str:
    return create_workflow()


@pytest.fixture
def waiting(stack: Stack, workflow: str) -> Iterator[Waiting]:
    stack.environs["people"].update(CLAIMS)
    for function in ("admit", "executor", "answer", "people"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    made = Waiting.begin(workflow)
    yield made
    made.stop()


def who(name: str, *groups: str, tenant: str = "acme") -> Body:
    """Return a reviewer's token."""
    return {"jwt": {"claims": {"sub": name, "tenant": tenant, "scope": "ballast/review", "groups": list(groups)}}}


def change(stack: Stack, run_id: str, seq: str, **changes: Any) -> None:
    """Change an event as whoever may append to the log can; what was signed of it stays with it."""
    key = {"run_id": {"S": run_id}, "seq": {"S": seq}}
    item = stack.cloud.tables.get_item(TableName="run-log", Key=key, ConsistentRead=True)["Item"]
    before = decode(item, None)
    body = before.body | changes
    made = Event(run_id=run_id, seq=seq, at=before.at, body=body)
    kept = {name: value for name, value in item.items() if name not in ("body", "packed")}
    stack.cloud.tables.put_item(TableName="run-log", Item=kept | encode(made, body)[0])


def asked(stack: Stack, tool: str) -> str:
    """Open a run of acme's that mia asked for and whose call a person must approve."""
    request = {"request_id": f"forged-{next(_NUMBERS)}", "agent": "tester", "text": "Stamp n-1.", "tenant": "acme"}
    run_id: str = stack.invoke("admit", {"request": request, "requested_by": "mia"})["run_id"]
    stack.propose(run_id, {"tool": tool, "arguments": {"note_id": "n-1", "times": 3}})
    asks(stack, run_id)
    return run_id


def opens(stack: Stack, waiting: Waiting, run_id: str, *, known: bool = True, **more: Any) -> str:
    """Ask people, as the workflow does with what the execution was started with."""
    task = {"run_id": run_id, "turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}
    task |= {"timeout_s": 600, "task_token": waiting.token}
    task |= {"requested_by": "mia", "tenant": "acme"} if known else {}
    return str(stack.invoke("open", task | more)["escalation_id"])


def approve(stack: Stack, escalation: str, by: Body) -> int:
    return ask(stack, "people", event("POST", f"/escalations/{escalation}", who=by, body={"approve": True})).status


def test_a_group_that_was_taken_from_the_log_is_asked_for_all_the_same(stack: Stack, waiting: Waiting) -> None:
    run_id = asked(stack, "stamp_for_finance")
    change(stack, run_id, NEEDED, approvers=None)
    escalation = opens(stack, waiting, run_id)

    assert approve(stack, escalation, who("rae")) == 403
    assert approve(stack, escalation, who("rae", "sales")) == 403
    assert approve(stack, escalation, who("fay", "finance")) == 200
    stack.alone("executor")
    assert stack.execute(run_id, asked=1) == "ok"
    assert stack.body(run_id, ANSWER)["approvals"][0]["group"] == "finance"


def test_an_approval_of_no_member_does_not_count_where_the_call_is_done(stack: Stack, waiting: Waiting) -> None:
    run_id = asked(stack, "stamp_for_finance")
    change(stack, run_id, NEEDED, approvers=None)
    escalation = opens(stack, waiting, run_id)
    # As if the playbook of the people's functions were another one.
    stack.cloud.tables.update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": escalation}},
        UpdateExpression="SET approvers = :none",
        ExpressionAttributeValues={":none": {"S": ""}},
    )
    answer = {"escalation_id": escalation, "by": "ann", "approve": True, "groups": ["finance"]}
    stack.invoke("answer", answer)
    body = stack.body(run_id, ANSWER)
    signed = {one: value for one, value in body.items() if one != "approvals"}
    signed["approvals"] = [{name: value for name, value in body["approvals"][0].items() if name != "group"}]
    key = {"run_id": {"S": run_id}, "seq": {"S": ANSWER}}
    stack.cloud.tables.delete_item(TableName="run-log", Key=key)
    stack.log.write(run_id, ANSWER, signed)  # signed, and by a member of no group

    stack.alone("executor")
    with pytest.raises(ApprovalRequired):
        stack.execute(run_id, asked=1)
    assert stack.body(run_id, "0001.call.1.approval_void")["moved"] == ["approvals"]


def test_two_that_were_made_one_in_the_log_are_two(stack: Stack, waiting: Waiting) -> None:
    run_id = asked(stack, "stamp_with_two")
    change(stack, run_id, NEEDED, approvals=1)
    escalation = opens(stack, waiting, run_id)

    assert approve(stack, escalation, who("rae")) == 200
    assert ANSWER not in stack.seqs(run_id)
    assert approve(stack, escalation, who("lee")) == 200
    assert len(stack.body(run_id, ANSWER)["approvals"]) == 2


@pytest.mark.parametrize("when", ["before people are asked", "after"])
@pytest.mark.parametrize("to", [None, "somebody-else"])
def test_who_asked_approves_nothing_whatever_the_opening_says(
    stack: Stack, waiting: Waiting, when: str, to: str | None
) -> None:
    run_id = asked(stack, "stamp")
    if when != "after":
        change(stack, run_id, "0000.run.opened", requested_by=to)
    escalation = opens(stack, waiting, run_id)
    if when == "after":
        change(stack, run_id, "0000.run.opened", requested_by=to)

    assert approve(stack, escalation, who("mia")) == 403
    assert approve(stack, escalation, who("rae")) == 200


def test_a_run_is_not_made_another_tenants(stack: Stack, waiting: Waiting) -> None:
    run_id = asked(stack, "stamp")
    request = stack.body(run_id, "0000.run.opened")["request"] | {"tenant": "globex"}
    change(stack, run_id, "0000.run.opened", request=request)
    escalation = opens(stack, waiting, run_id)

    assert approve(stack, escalation, who("gil", tenant="globex")) == 404
    assert approve(stack, escalation, who("rae")) == 200


def test_an_execution_of_an_older_version_has_it_from_the_log(stack: Stack, waiting: Waiting) -> None:
    escalation = opens(stack, waiting, asked(stack, "stamp"), known=False)

    assert approve(stack, escalation, who("mia")) == 403


def test_the_question_of_a_run_is_answered_by_who_asked_for_it(stack: Stack, waiting: Waiting) -> None:
    request = {"request_id": f"forged-{next(_NUMBERS)}", "agent": "tester", "text": "Stamp.", "tenant": "acme"}
    run_id = stack.invoke("admit", {"request": request, "requested_by": "mia"})["run_id"]
    decision = {"kind": "hand_over", "to": "requester", "reason": "question", "guidance": "Which?"}
    stack.log.write(run_id, "0001.plan.decided", {"planner": "agent", "decision": decision})
    change(stack, run_id, "0000.run.opened", requested_by="eve")
    opens(stack, waiting, run_id, turn=2, index=None, kind="question", reason="question")

    def reply(name: str) -> int:
        member = {"jwt": {"claims": {"sub": name, "tenant": "acme"}}}
        return ask(stack, "people", event("POST", f"/runs/{run_id}/messages", who=member, body={"text": "n-1"})).status

    assert (reply("eve"), reply("mia")) == (403, 202)
