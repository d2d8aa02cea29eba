"""Budget that reviewers have added to a run stays counted, whatever the run's log says."""

from typing import Any

import pytest

from tests.functions.cloud import client
from tests.functions.http import ask, event
from tests.functions.people.test_forged_rights import Body, change, opens, waiting, who, workflow
from tests.functions.people.waiting import Waiting
from tests.functions.stack import LambdaDied, Stack, once

__all__ = ["waiting", "workflow"]
#: As much as reviewers may add to one of these runs.
MOST = 1_000_000
FIRST = "0001.escalation.answered"


@pytest.fixture
def run(stack: Stack) -> str:
    """Return a run of acme's that mia asked for."""
    request = {"request_id": f"grants-{stack.open()}", "agent": "tester", "text": "Stamp n-1.", "tenant": "acme"}
    return str(stack.invoke("admit", {"request": request, "requested_by": "mia"})["run_id"])


def escalated(stack: Stack, waiting: Waiting, run_id: str, turn: int) -> str:
    return opens(stack, waiting, run_id, turn=turn, kind="escalation", reason="guidance", index=None)


def grant(stack: Stack, waiting: Waiting, run_id: str, turn: int, microusd: Any) -> int:
    """Have a reviewer add to the run's budget, and return the status of the answer."""
    return adds(stack, escalated(stack, waiting, run_id, turn), microusd)


def adds(stack: Stack, escalation: str, microusd: int) -> int:
    """Answer with so much more budget."""
    decision = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Go on."}
    body = {"decision": decision | {"add_budget_microusd": microusd}}
    return ask(stack, "people", event("POST", f"/escalations/{escalation}", who=who("rae"), body=body)).status


def left(stack: Stack, escalation: str) -> str:
    """Return what the API shows a reviewer of what they may add."""
    found = ask(stack, "people", event("GET", f"/escalations/{escalation}", who=who("rae")))
    return str(found.body["you_may_grant_usd"])


def removed(stack: Stack, run_id: str) -> None:
    client("dynamodb").delete_item(TableName="run-log", Key={"run_id": {"S": run_id}, "seq": {"S": FIRST}})


def without_its_signature(stack: Stack, run_id: str) -> None:
    change(stack, run_id, FIRST, by="x")


def nothing_any_more(stack: Stack, run_id: str) -> None:
    change(stack, run_id, FIRST, decision={"kind": "hand_over", "to": "agent", "reason": "guidance"})


def garbled(stack: Stack, run_id: str) -> None:
    change(stack, run_id, FIRST, decision=[1])


@pytest.mark.parametrize("spoil", [removed, without_its_signature, nothing_any_more, garbled])
def test_a_grant_counts_whatever_becomes_of_it_in_the_log(stack: Stack, waiting: Waiting, run: str, spoil: Any) -> None:
    assert grant(stack, waiting, run, 1, MOST) == 200
    asked = escalated(stack, waiting, run, 2)
    assert adds(stack, asked, 1) == 403

    spoil(stack, run)

    assert left(stack, asked) == "0.00"
    assert adds(stack, asked, 1) == 403


@pytest.mark.parametrize(
    "spoilt", [{"by": "x"}, {"decision": "no amount"}, {"decision": {"add_budget_microusd": "1"}}, {"decision": None}]
)
def test_a_grant_of_an_older_version_counts_without_its_signature(
    stack: Stack, waiting: Waiting, run: str, spoilt: Body
) -> None:
    assert grant(stack, waiting, run, 1, MOST) == 200
    asked = escalated(stack, waiting, run, 2)
    # As if no table had kept it.
    client("dynamodb").delete_item(TableName="escalations", Key={"escalation_id": {"S": f"grants-{run}"}})

    change(stack, run, FIRST, **spoilt)

    assert adds(stack, asked, 1) == 403


def test_grants_within_the_bound_add_up_to_it(stack: Stack, waiting: Waiting, run: str) -> None:
    assert grant(stack, waiting, run, 1, MOST // 2) == 200
    asked = escalated(stack, waiting, run, 2)
    assert left(stack, asked) == "0.50"
    assert adds(stack, asked, MOST // 2) != 403  # the run went on long ago; it is not the bound that refuses
    assert grant(stack, waiting, run, 3, 1) == 403


def test_what_never_came_on_record_has_granted_nothing(stack: Stack, waiting: Waiting, run: str) -> None:
    asked = escalated(stack, waiting, run, 1)
    stack.on("people", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        adds(stack, asked, MOST)
    stack.forget("people")
    stack.clock.advance(121)
    stack.invoke("remind", {})

    assert left(stack, asked) == "1.00"
    assert adds(stack, asked, 1) == 200
    assert left(stack, escalated(stack, waiting, run, 2)) == "0.999999"


def test_an_answer_that_grants_nothing_is_in_the_place_of_one_that_was_forgotten(
    stack: Stack, waiting: Waiting, run: str
) -> None:
    asked = escalated(stack, waiting, run, 1)
    stack.on("people", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        adds(stack, asked, MOST)
    stack.forget("people")
    stack.clock.advance(121)
    stack.invoke("remind", {})

    assert adds(stack, asked, 0) == 200

    assert left(stack, escalated(stack, waiting, run, 2)) == "1.00"
