"""People hand a run back to an agent that they choose; a requester's reply chooses none."""

from typing import Any

import pytest

from tests.functions.agent.test_agents import RECEPTION, back, begun
from tests.functions.endpoint import Endpoint, calls, says
from tests.functions.http import ask, event
from tests.functions.people.test_forged_rights import opens, waiting, who, workflow
from tests.functions.people.waiting import Waiting
from tests.functions.stack import Stack

__all__ = ["waiting", "workflow"]


@pytest.fixture
def desk(stack: Stack, waiting: Waiting) -> Stack:
    """Return the stack with the playbook of several agents, and an execution that waits."""
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(RECEPTION)
    return stack


def answered(desk: Stack, escalation: str, agent: str) -> Any:
    """Answer as a reviewer, and return the response."""
    body = {"decision": back(agent)}
    return ask(desk, "people", event("POST", f"/escalations/{escalation}", who=who("rae"), body=body))


@pytest.mark.parametrize("agent", ["billing", "nobody"])
def test_an_agent_that_cannot_go_on_is_refused_and_one_that_can_is_taken(
    desk: Stack, model: Endpoint, waiting: Waiting, agent: str
) -> None:
    run_id = begun(desk, intent="look" if agent == "nobody" else "sort", tenant="acme")
    model.will(says("No.", stop="guardrail_intervened"))
    desk.plan(run_id)
    escalation = opens(desk, waiting, run_id, turn=2, kind="escalation", reason="guardrail_intervened", index=None)

    refused = answered(desk, escalation, agent)
    able = answered(desk, escalation, "triage")

    assert refused.status == 422
    assert f"decision.agent: there is no agent '{agent}' that takes a request of the intent" in str(refused.body)
    assert able.status == 200
    assert desk.log.read(run_id).agent_changes == ()  # it is the agent that was in charge


def test_the_answer_names_the_agent_that_goes_on(desk: Stack, model: Endpoint, waiting: Waiting) -> None:
    run_id = begun(desk, intent="look", tenant="acme")
    model.will(says("No.", stop="guardrail_intervened"), says("Done."))
    desk.plan(run_id)
    escalation = opens(desk, waiting, run_id, turn=2, kind="escalation", reason="guardrail_intervened", index=None)

    assert answered(desk, escalation, "archive").status == 200
    desk.plan(run_id, 3)

    assert desk.log.read(run_id).agent_at(3) == "archive"
    assert model.requests[-1]["system"] == [{"text": "You know old orders."}]


def test_a_reply_to_a_question_chooses_no_agent(desk: Stack, model: Endpoint, waiting: Waiting) -> None:
    run_id = begun(desk, intent="look", tenant="acme")
    model.will(calls({"name": "ask_requester", "input": {"question": "Which one?"}}))
    assert desk.plan(run_id)["to"] == "requester"
    escalation = opens(desk, waiting, run_id, turn=2, kind="question", reason="question", index=None)

    assert answered(desk, escalation, "archive").status == 422
