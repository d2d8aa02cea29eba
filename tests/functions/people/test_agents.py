"""People hand a run back to an agent that they choose; a requester's reply chooses none."""

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.functions.agent.test_agents import DEAR, MICRO, NOVA, RECEPTION, SMALL, SONNET, back, begun
from tests.functions.endpoint import Endpoint, calls, says
from tests.functions.http import ask, event
from tests.functions.people.test_forged_rights import opens, waiting, who, workflow
from tests.functions.people.waiting import Waiting
from tests.functions.stack import Stack
from tests.functions.test_attachments import opened
from tests.functions.variants import own_card, with_models
from tests.support.files import png

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


def with_billing(desk: Stack, folder: Path, card: dict[str, Any], *functions: str) -> None:
    """Let these functions, or all, have a playbook whose agent ``billing`` has the model of ``card``."""
    made = shutil.copytree(RECEPTION, folder / "reception", ignore=shutil.ignore_patterns("__pycache__"))
    for file, before, named in (("agent", MICRO, NOVA), ("agents/billing", SONNET, "acme.one")):
        (made / f"{file}.yaml").write_text((made / f"{file}.yaml").read_text().replace(before, named))
    with_models(str(made), {"models": {"acme.one": card}})
    for function in functions or [name for name, one in desk.environs.items() if "PLAYBOOK_DIR" in one]:
        desk.environs[function]["PLAYBOOK_DIR"] = str(made)


def stopped(desk: Stack, model: Endpoint, waiting: Waiting, run_id: str, turn: int = 1) -> str:
    """Let a guardrail stop the agent in ``turn``, and return the escalation that opens."""
    model.will(says("No.", stop="guardrail_intervened"))
    desk.plan(run_id, turn)
    return opens(desk, waiting, run_id, turn=turn + 1, kind="escalation", reason="guardrail_intervened", index=None)


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


IMAGES = SMALL["images"]
_NUMBERS = count(1)
USUAL = own_card(images=IMAGES)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("card", "said"),
    [
        (own_card(), "acme.one takes no images: the run's attachments."),
        (own_card(**SMALL), "acme.one has a window of 2500 tokens, and the prompt may be"),
        (own_card(DEAR, images=IMAGES), "its next attempt would pass limits.cost_microusd."),
        (own_card(images=IMAGES, retires="2026-01-01"), "has been served until 2026-01-01"),
        (own_card(images=IMAGES, tools=False), "takes no tools"),
        (own_card({"version": "1", "valid_from": "2100-01-01", "input": 1, "output": 1}), "is valid on 2026-03-01"),
        (own_card(images={"formats": "png"}), "models.yaml: models.acme.one: "),
        (USUAL, None),
    ],
)
def test_a_run_is_handed_back_only_to_an_agent_that_can_be_asked_with_what_it_holds(
    desk: Stack, model: Endpoint, waiting: Waiting, tmp_path: Path, card: dict[str, Any], said: str | None
) -> None:
    with_billing(desk, tmp_path / "before", USUAL)
    with_billing(desk, tmp_path / "now", card, "people")  # the agent's function loads with no such card
    picture = ("png", png(300, 200))
    name = f"a-picture-{next(_NUMBERS)}"
    run_id = opened(desk, name, picture, agent="triage", text="Refund it.", intent="refund", tenant="acme")
    escalation = stopped(desk, model, waiting, run_id)

    reply = answered(desk, escalation, "billing")

    if said is None:
        assert reply.status == 200
        assert answered(desk, escalation, "billing").status == 200  # the same once more
        assert desk.log.read(run_id).agent_at(3) == "billing"
        return
    assert reply.status == 422
    assert "decision.agent: billing cannot go on with this request: " in str(reply.body)
    assert said in str(reply.body)
    assert answered(desk, escalation, "triage").status == 200  # it stayed open, and who was in charge goes on
    assert desk.log.read(run_id).agent_changes == ()


def test_the_model_that_replaces_all_others_is_the_one_that_is_checked(
    desk: Stack, model: Endpoint, waiting: Waiting, tmp_path: Path
) -> None:
    with_billing(desk, tmp_path, own_card(DEAR))
    escalation = stopped(desk, model, waiting, begun(desk, tenant="acme"))

    assert "limits.cost_microusd" in str(answered(desk, escalation, "billing").body)
    desk.environs["people"]["MODEL_ID"] = NOVA
    assert answered(desk, escalation, "billing").status == 200


def test_what_the_calls_returned_counts_for_the_window_of_the_agent_that_a_person_chooses(
    desk: Stack, model: Endpoint, waiting: Waiting, tmp_path: Path
) -> None:
    with_billing(desk, tmp_path, own_card(context_window=3_000, max_output=500))
    statuses = []
    for words in ("", "x" * 8_000):
        run_id = begun(desk, tenant="acme", request_id=f"calls-{len(words)}")
        model.will(calls({"name": "find_invoice", "input": {"order_id": "O-7", "note": words}}))
        desk.plan(run_id)
        desk.execute(run_id)
        statuses.append(answered(desk, stopped(desk, model, waiting, run_id, turn=2), "billing").status)

    assert statuses == [200, 422]
