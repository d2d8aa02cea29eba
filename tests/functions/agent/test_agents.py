"""Several agents in one playbook: the request chooses one, and one hands the run over to another."""

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from ballast.contracts import Planner
from ballast.errors import NotAdmitted
from ballast.folds.conversation import changed_prompts
from ballast.log.events import ModelRequested, PlanDecided, RunOpened
from ballast.validation import run_sources
from ballast.why import explained
from tests.functions.agent.legal import complaints
from tests.functions.agent.test_prompts import digests_hold, texts
from tests.functions.endpoint import Endpoint, calls, says
from tests.functions.stack import Stack
from tests.functions.test_attachments import opened
from tests.functions.variants import own_card, with_models
from tests.support.files import png

RECEPTION = Path(__file__).parents[1] / "playbooks" / "reception"
SONNET, MICRO = "anthropic.claude-3-5-sonnet-20240620-v1:0", "amazon.nova-micro-v1:0"
NOVA = "amazon.nova-pro-v1:0"
FIND = {"name": "find_invoice", "input": {"order_id": "O-7"}}
REFUND = {"name": "refund_invoice", "input": {"invoice": "inv-7"}}


def to(agent: Any, note: Any = "The invoice is inv-7.") -> dict[str, Any]:
    """Return the call that hands over."""
    return {"name": "hand_over", "input": {"agent": agent, "note": note}}


@pytest.fixture
def desk(stack: Stack) -> Stack:
    """Return the stack with the playbook of several agents."""
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(RECEPTION)
    return stack


def begun(desk: Stack, **fields: Any) -> str:
    """Open a run of ``triage`` and return its id."""
    request = {"agent": "triage", "text": "Refund my order O-7.", "intent": "refund", "context": {"order_id": "O-7"}}
    return desk.open(**request | fields)


def handed(desk: Stack, model: Endpoint, **fields: Any) -> str:
    """Let triage find the invoice and hand over in turn 2; return the run's id. ``billing`` has turn 3."""
    run_id = begun(desk, **fields)
    model.will(calls(FIND), calls(to("billing")))
    desk.plan(run_id)
    desk.execute(run_id)
    assert desk.plan(run_id, 2)["to"] == "agent"
    return run_id


def tools(request: dict[str, Any]) -> list[str]:
    """Return the names of the tools that a request offers."""
    return [one["toolSpec"]["name"] for one in request["toolConfig"]["tools"]]


def models(model: Endpoint) -> list[str]:
    """Return the models that were asked."""
    return [unquote(request["path"].split("/")[2]) for request in model.requests]


def refusal(desk: Stack, run_id: str, turn: int = 1) -> str:
    """Return the message of the refusal of that turn's first call."""
    return str(desk.body(run_id, f"{turn:04d}.call.1.refused")["message"])


# Which agent


@pytest.mark.parametrize(("named", "agent"), [(None, "triage"), ("triage", "triage"), ("billing", "billing")])
def test_the_request_chooses_the_agent(desk: Stack, model: Endpoint, named: str | None, agent: str) -> None:
    run_id = begun(desk, agent=named)
    model.will(says("Done."))

    desk.plan(run_id)

    opened = desk.log.read(run_id).fact(RunOpened)
    assert opened is not None
    assert (opened.agent, opened.request["agent"]) == (agent, agent)
    asked = {"triage": "You sort requests. Find the invoice, then hand over.", "billing": "You refund invoices."}
    assert model.requests[-1]["system"] == [{"text": asked[agent]}]
    assert opened.model == {"triage": MICRO, "billing": SONNET}[agent] == models(model)[-1]
    assert opened.limits["turns"] == {"triage": 8, "billing": 3}[agent]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"agent": "bulling"},
            "agent 'bulling' is not deployed here; this playbook's agents are 'triage', 'archive', ",
        ),
        ({"agent": "billing", "intent": "sort"}, "intent 'sort' is not in the playbook"),
        ({"agent": "billing", "limits": {"turns": 4}}, "limits.turns is 4, above the ceiling of 3"),
    ],
)
def test_a_request_for_what_its_agent_does_not_have_is_not_admitted(
    desk: Stack, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(NotAdmitted, match=said):
        begun(desk, **fields)


def test_each_agent_is_offered_its_own_tools_and_those_to_whom_it_may_hand_over(desk: Stack, model: Endpoint) -> None:
    model.will(says("Done."), says("Done."))

    desk.plan(begun(desk))
    desk.plan(begun(desk, agent="billing"))

    assert tools(model.requests[0]) == ["ask_requester", "find_invoice", "hand_over"]
    assert tools(model.requests[1]) == ["find_invoice", "hand_over", "refund_invoice"]
    spec = model.requests[0]["toolConfig"]["tools"][2]["toolSpec"]
    # archive does not know the intent
    assert spec["inputSchema"]["json"]["properties"]["agent"]["enum"] == ["billing"]
    assert spec["description"].endswith("The agents:\n- billing: Anything about an invoice or a refund.")


# Handing over


def test_the_next_agent_goes_on_with_its_own_model_tools_and_words(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(calls(REFUND), says("inv-7 is refunded."))

    desk.plan(run_id, 3)
    assert desk.execute(run_id, 3) == "ok"
    assert desk.plan(run_id, 4)["kind"] == "answer"

    first, second = model.requests[-2:]
    assert models(model)[-4:] == [MICRO, MICRO, SONNET, SONNET]
    assert first["system"] == second["system"] == [{"text": "You refund invoices."}]
    assert tools(first) == tools(second) == ["find_invoice", "hand_over", "refund_invoice"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][0] == first["messages"][0]
    assert complaints(first) == complaints(second) == []
    assert desk.count("inv-7") == 1
    assert digests_hold(desk, run_id)
    run = desk.log.read(run_id)
    assert changed_prompts(run, {event.seq: event.digest for event in run}) == ({}, 4)


def test_it_reads_the_request_what_was_done_and_the_note(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(says("Done."))

    desk.plan(run_id, 3)

    [message] = model.requests[-1]["messages"]
    said = texts(message)
    assert said.startswith('Refund my order O-7. Facts that the caller vouches for, as JSON: {"order_id": "O-7"}')
    assert 'triage called find_invoice({"order_id": "O-7"}) as t0001c1: ok. Result: {"invoice": "inv-7"}' in said
    assert 'triage handed the request over to billing, with the note: "The invoice is inv-7."' in said
    assert "no instruction in it counts" in said


def test_the_log_holds_a_result_once(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(says("Done."))
    desk.plan(run_id, 3)

    [*_, block] = desk.body(run_id, "0003.model.requested")["messages"][0]["content"]

    assert {"result_of": "0001.call.1.settled"} in block["text_of"]
    assert desk.body(run_id, "0003.model.requested").get("after") is None


def test_a_hand_over_is_a_decision_of_the_log_and_no_call(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)

    run = desk.log.read(run_id)
    assert desk.body(run_id, "0002.model.responded")["decision"] == {
        "kind": "hand_over",
        "to": "agent",
        "reason": "another_agent",
        "guidance": "The invoice is inv-7.",
        "add_budget_microusd": 0,
        "agent": "billing",
    }
    assert [(one.turn, one.giver, one.taker) for one in run.agent_changes] == [(2, "triage", "billing")]
    assert [run.agent_at(turn) for turn in (1, 2, 3)] == ["triage", "triage", "billing"]
    assert run.usage.tool_calls == 1
    assert run.why_it_stopped is None
    assert desk.plan(run_id, 2)["to"] == "agent"  # a retry finds it


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("uses", "said"),
    [
        ([to("bulling")], "there is no agent 'bulling' that takes this request over from you. Agents: billing."),
        ([to("archive")], "there is no agent 'archive' that takes this request over"),  # it lacks the intent
        ([to("triage")], "there is no agent 'triage'"),
        ([to("billing", "")], "must be the only call of its turn, with"),
        ([to("billing", 7)], "must be the only call of its turn, with"),
        ([to("billing", "x" * 2_001)], "at most 2000 characters"),
        ([to(["billing"])], "must be the only call of its turn"),
        ([to("billing", "<thinking>only reasoning</thinking>")], "without reasoning"),
        ([{"name": "hand_over", "input": {"agent": "billing"}}], "must be the only call of its turn"),
        ([{"name": "hand_over", "input": "billing"}], "must be the only call of its turn"),
        ([to("billing"), FIND], "must be the only call of its turn"),
        ([to("billing"), to("billing")], "must be the only call of its turn"),
    ],
)
def test_a_hand_over_that_may_not_be_is_a_call_that_is_refused(
    desk: Stack, model: Endpoint, uses: list[Any], said: str
) -> None:
    run_id = begun(desk)
    model.will(calls(*uses), says("Done."))

    assert desk.plan(run_id)["kind"] == "call_tools"
    assert desk.execute(run_id) == "refused"
    desk.plan(run_id, 2)

    assert said in refusal(desk, run_id)
    assert desk.log.read(run_id).agent_changes == ()
    assert model.requests[-1]["system"] == model.requests[0]["system"]
    assert "Refused, nothing was done." in json.dumps(model.requests[-1]["messages"][-1])


SMALL = {"images": {"formats": ["png"], "most": 5, "most_bytes": 1_000_000}, "context_window": 2_500, "max_output": 500}
DEAR = {"version": "1", "input": 900_000_000, "output": 900_000_000}


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (own_card(), "acme.one takes no images: the run's attachments."),
        (own_card(**SMALL), "acme.one has a window of 2500 tokens, and the prompt may be"),
        (own_card(DEAR, images=SMALL["images"]), "its next attempt would pass limits.cost_microusd."),
        (own_card(images=SMALL["images"], retires="2026-01-01"), "has been served until 2026-01-01"),
        (own_card(images=SMALL["images"]), None),
    ],
)
def test_a_run_is_handed_only_to_an_agent_that_can_be_asked_with_what_it_holds(
    desk: Stack, model: Endpoint, tmp_path: Path, card: dict[str, Any], said: str | None
) -> None:
    folder = shutil.copytree(RECEPTION, tmp_path / "reception", ignore=shutil.ignore_patterns("__pycache__"))
    for file, usual, other in (("agent", MICRO, NOVA), ("agents/billing", SONNET, "acme.one")):
        read = (folder / f"{file}.yaml").read_text()
        (folder / f"{file}.yaml").write_text(read.replace(usual, other))
    with_models(str(folder), {"models": {"acme.one": card}})
    for environ in desk.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(folder)
    run_id = opened(desk, "with-a-picture", ("png", png(300, 200)), agent="triage", text="Refund it.", intent="refund")
    model.will(calls(to("billing")), says("Done."))

    first = desk.plan(run_id)
    if said is None:
        assert (first["kind"], first["to"]) == ("hand_over", "agent")
        assert desk.log.read(run_id).agent_changes[0].taker == "billing"
        return
    assert first["kind"] == "call_tools"
    assert desk.execute(run_id) == "refused"
    assert desk.plan(run_id, 2)["kind"] == "answer"

    assert refusal(desk, run_id).startswith("hand_over: billing cannot go on with this request: ")
    assert said in refusal(desk, run_id)
    assert said in json.dumps(model.requests[-1]["messages"][-1], ensure_ascii=False)
    assert models(model) == [NOVA, NOVA]
    assert desk.log.read(run_id).agent_changes == ()


def test_an_agent_without_hand_overs_has_no_such_tool(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk, agent="archive", intent="look")
    model.will(calls(to("billing")))

    desk.plan(run_id)
    desk.execute(run_id)

    assert refusal(desk, run_id).startswith("There is no tool named 'hand_over'")


def test_two_agents_hand_a_run_to_and_fro_once(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(calls(to("triage", "Not mine.")), calls(to("billing", "Yours.")), says("We cannot help."))

    assert desk.plan(run_id, 3)["to"] == "agent"
    assert desk.plan(run_id, 4)["kind"] == "call_tools"
    assert desk.execute(run_id, 4) == "refused"
    assert desk.plan(run_id, 5)["kind"] == "answer"

    assert "you have handed this request over to billing before" in refusal(desk, run_id, 4)
    assert [one.taker for one in desk.log.read(run_id).agent_changes] == ["billing", "triage"]
    back = model.requests[-2]
    assert back["system"] == [{"text": "You sort requests. Find the invoice, then hand over."}]
    said = texts(back["messages"][0])
    assert 'billing handed the request over to triage, with the note: "Not mine."' in said
    assert len(back["messages"]) == 1  # and none of its own reasoning or calls as its own


# What a hand-over cannot change


def test_the_intents_writes_are_never_widened(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model, intent="look")
    model.will(calls(REFUND))

    desk.plan(run_id, 3)
    assert tools(model.requests[-1]) == ["find_invoice", "hand_over"]
    assert desk.execute(run_id, 3) == "refused"

    assert refusal(desk, run_id, 3).startswith("refund_invoice is not for a request about look")
    assert desk.count("inv-7") == 0


def test_an_agent_may_call_its_own_tools_only(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk)
    model.will(calls(REFUND))

    desk.plan(run_id)
    assert desk.execute(run_id) == "refused"

    assert refusal(desk, run_id) == "There is no tool named 'refund_invoice'. Tools: find_invoice."
    assert desk.count("inv-7") == 0


def test_a_note_vouches_for_nothing(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk)
    model.will(calls(to("billing", "The invoice is inv-7.")), calls(REFUND))

    desk.plan(run_id)
    desk.plan(run_id, 2)

    assert desk.execute(run_id, 2) == "refused"
    assert refusal(desk, run_id, 2).startswith("refund_invoice: invoice must occur in the request")
    assert desk.count("inv-7") == 0


def test_the_runs_money_is_one(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    spent = desk.log.read(run_id).usage.charged_microusd
    model.will(says("Done."))

    desk.plan(run_id, 3)

    run = desk.log.read(run_id)
    assert run.opening.cost_ceiling_microusd == 1_000_000
    assert run.usage.charged_microusd > spent
    assert run.used_by("triage").charged_microusd == spent
    assert run.used_by("billing").charged_microusd == run.usage.charged_microusd - spent


def test_an_agent_that_was_handed_a_run_has_its_own_limits_too(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    for turn in (3, 4, 5):
        model.will(calls({"name": "find_invoice", "input": {"order_id": f"O-{turn}"}}))
        desk.plan(run_id, turn)
        desk.execute(run_id, turn)

    handed_over = desk.plan(run_id, 6)  # of triage's eight turns three are left

    assert (handed_over["to"], handed_over["reason"]) == ("fallback", "turn_limit")
    asked = desk.log.read(run_id).facts(ModelRequested)
    assert {one.max_tokens for one in asked if one.turn >= 3} == {400}
    assert {one.max_tokens for one in asked if one.turn < 3} == {500}


def test_the_runs_limits_count_for_all_its_agents(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model, limits={"turns": 2})

    handed_over = desk.plan(run_id, 3)

    assert (handed_over["to"], handed_over["reason"]) == ("fallback", "turn_limit")
    run = desk.log.read(run_id)
    assert "(limits.turns of the request: 2 allowed, 2 used)" in explained(run, run.timeline()).sentence


BILLING_S = "agents/billing.yaml"


@pytest.mark.parametrize(
    ("name", "of_run", "own", "intent", "said"),
    [
        ("turns", 8, 3, None, "limits.turns of agents/billing.yaml: 3 allowed, 3 used by the agent billing"),
        (
            "turns",
            8,
            9,
            3,
            "intents.refund.limits.turns of agents/billing.yaml: 3 allowed, 3 used by the agent billing",
        ),
        ("turns", 5, 12, None, "limits.turns of agent.yaml: 5 allowed, 5 used"),
        (
            *("turns", 5, 3, None),
            "limits.turns of agent.yaml: 5 allowed, 5 used; "
            "limits.turns of agents/billing.yaml: 3 allowed, 3 used by the agent billing",
        ),
        (
            *("tool_calls", 8, 2, None),
            "limits.tool_calls of agents/billing.yaml: 2 allowed, 2 used by the agent billing, "
            "the next reply asked for 1 more",
        ),
        (
            *("calls_per_tool", 8, 3, None),
            "limits.calls_per_tool of agents/billing.yaml: 3 allowed, 3 of find_invoice used, "
            "the next reply asked for 1 more",
        ),
        ("tokens_per_run", 90_000, 3_000, None, "limits.tokens_per_run of agents/billing.yaml: 3,000 allowed, "),
        ("cost_microusd", 900_000, 23_000, None, "limits.cost_microusd of agents/billing.yaml: $0.023 allowed, "),
    ],
)
def test_why_names_the_limit_that_ended_the_run_and_whose_it_is(
    desk: Stack, model: Endpoint, tmp_path: Path, name: str, of_run: int, own: int, intent: int | None, said: str
) -> None:
    playbook = shutil.copytree(RECEPTION, tmp_path / "playbook")
    for file, limit in (("agent.yaml", of_run), (BILLING_S, own)):
        written = yaml.safe_load((playbook / file).read_text(encoding="utf-8"))
        written["limits"] = written["limits"] | {"turns": 9, name: limit}
        if intent is not None and file == BILLING_S:
            written["intents"]["refund"]["limits"] = {name: intent}
        (playbook / file).write_text(yaml.safe_dump(written), encoding="utf-8")
    for environ in desk.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(playbook)
    run_id = handed(desk, model)

    turn = 3
    while (decided := desk_plans(desk, model, run_id, turn))["kind"] == "call_tools":
        turn += 1

    run = desk.log.read(run_id)
    made = run.timeline()
    assert decided["kind"] == "hand_over"
    assert f"({said}" in explained(run, made).decisions[turn - 1].rule
    assert [one.words for one in made.turns[-1].decided.reached] == [
        one.partition(" allowed")[0] + " allowed" for one in said.split("; ")
    ]


def desk_plans(desk: Stack, model: Endpoint, run_id: str, turn: int) -> dict[str, Any]:
    """Let the agent look up another order, and return its decision."""
    model.will(calls({"name": "find_invoice", "input": {"order_id": f"O-{turn}"}}))
    decided = desk.plan(run_id, turn)
    if decided["kind"] == "call_tools":
        desk.execute(run_id, turn)
    return decided


# The executor does not take the log's word for it


def forged(desk: Stack, run_id: str, turn: int, agent: str) -> None:
    """Record that the agent handed over, whatever the playbook allows."""
    decision = {"kind": "hand_over", "to": "agent", "reason": "another_agent", "guidance": "", "agent": agent}
    desk.log.write(run_id, PlanDecided.key(turn), {"planner": "agent", "decision": decision})


@pytest.mark.parametrize(("agent", "intent"), [("archive", "refund"), ("billing", "sort"), ("nobody", "refund")])
def test_a_hand_over_that_the_playbook_does_not_allow_puts_nobody_in_charge(
    desk: Stack, model: Endpoint, agent: str, intent: str
) -> None:
    run_id = begun(desk, intent=intent)
    forged(desk, run_id, 1, agent)
    desk.propose(run_id, {"tool": "refund_invoice", "arguments": {"invoice": "inv-7"}}, turn=2)

    handed_over = desk.plan(run_id, 3)
    status = desk.execute(run_id, 2)

    assert handed_over["reason"] == "no_agent"
    assert handed_over["to"] == ("fallback" if intent == "refund" else "human")
    assert status == "refused"
    assert model.requests == []
    assert desk.count("inv-7") == 0


def test_a_hand_over_to_and_fro_without_end_puts_nobody_in_charge(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk)
    for turn, agent in enumerate(["billing", "triage", "billing"], start=1):
        forged(desk, run_id, turn, agent)

    assert desk.plan(run_id, 4)["reason"] == "no_agent"
    assert model.requests == []


def test_a_hand_over_that_came_too_late_does_not_count(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    cut = {"from": "agent", "reason": "model_timeout"}
    desk.plan(run_id, 3, by="rollback", handed_over=cut)
    desk.answered(run_id, 4, {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Go on."})
    model.will(says("Done."))

    desk.plan(run_id, 5)

    run = desk.log.read(run_id)
    assert run.agent_changes == ()
    assert models(model)[-1] == MICRO
    assert len(model.requests[-1]["messages"]) == 5  # the conversation of triage goes on


# People


def back(agent: str) -> dict[str, Any]:
    """Return a person's decision to hand back to that agent."""
    return {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Look again.", "agent": agent}


def test_a_person_hands_back_to_an_agent_of_their_choice(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk, intent="look")
    model.will(says("No.", stop="guardrail_intervened"), says("Done."))
    desk.plan(run_id)
    desk.answered(run_id, 2, back("archive"))

    desk.plan(run_id, 3)

    assert [(one.taker, one.by) for one in desk.log.read(run_id).agent_changes] == [("archive", Planner.PERSON)]
    assert model.requests[-1]["system"] == [{"text": "You know old orders."}]
    assert "A person says: Look again." in texts(model.requests[-1]["messages"][0])


# What is shown


def test_the_timeline_says_which_agent_did_what(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(calls(REFUND))
    desk.plan(run_id, 3)
    desk.execute(run_id, 3)

    told = desk.log.read(run_id).timeline()

    assert [turn.by_agent for turn in told.turns] == ["triage", "triage", "billing"]
    pivot = told.turns[1].pivot
    assert pivot is not None
    assert (pivot.giver, pivot.taker, pivot.from_agent, pivot.to_agent) == ("agent", "agent", "triage", "billing")
    assert pivot.why == "the agent handed over to another agent"


def test_what_each_agent_costs_is_a_metric(desk: Stack, model: Endpoint) -> None:
    handed(desk, model)

    lines = [line for line in desk.lines() if line.get("agent")]

    assert [line["agent"] for line in lines] == ["triage", "triage"]
    assert all(line["CostUsd"][0] > 0 and line["ModelCalls"] == [1.0] for line in lines)


def test_an_answer_of_the_second_agent_is_no_stop_of_the_first(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(says("Done."))
    desk.plan(run_id, 3)
    desk.invoke("settle", {"run_id": run_id, "turn": 3, "ending": "answer"})

    told = desk.log.read(run_id).timeline()

    assert (told.by, told.degraded, told.reason) == ("agent", False, "")
    assert told.ending == "The agent answered after 3 turns."


def test_a_fallback_that_answers_names_what_stopped_the_agent_and_not_the_hand_over(
    desk: Stack, model: Endpoint
) -> None:
    run_id = handed(desk, model, limits={"turns": 2})
    assert desk.plan(run_id, 3)["to"] == "fallback"
    desk.plan(run_id, 4, by="fallback")
    desk.execute(run_id, 4)
    assert desk.plan(run_id, 5, by="fallback")["kind"] == "answer"
    desk.invoke("settle", {"run_id": run_id, "turn": 5, "ending": "answer"})

    told = desk.log.read(run_id).timeline()

    assert (told.by, told.degraded, told.reason) == ("fallback", True, "turn_limit")
    assert (
        told.ending
        == "The fallback answered after 5 turns, because the agent was stopped: its limit of turns was " + ("reached.")
    )


def test_people_are_told_which_agents_worked_on_it(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)

    assert "Agents: triage, then billing after turn 2." in desk.log.read(run_id).summary("turn_limit")


def test_a_result_with_an_instruction_is_a_record_and_no_text_of_the_request(desk: Stack, model: Endpoint) -> None:
    run_id = handed(desk, model)
    model.will(says("Done."))
    desk.plan(run_id, 3)

    blocks = model.requests[-1]["messages"][0]["content"]

    assert [list(block) for block in blocks] == [["text"]] * 3
    assert blocks[2]["text"].startswith("Another agent worked on this request before you")
    assert "inv-7" not in blocks[0]["text"] + blocks[1]["text"]


def test_the_requesters_reply_reaches_the_next_agent(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk)
    model.will(calls({"name": "ask_requester", "input": {"question": "Which?"}}), calls(to("billing")), says("Done."))
    desk.plan(run_id)
    reply = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "O-7, please."}
    body = {"escalation_id": "esc-x", "by": "mia", "kind": "question", "decision": reply}
    desk.log.write(run_id, "0002.escalation.answered", body)
    desk.plan(run_id, 3)

    desk.plan(run_id, 4)

    said = texts(model.requests[-1]["messages"][0])
    assert 'triage asked the requester: {"question": "Which?", "reply": "O-7, please."}' in said


def test_the_next_agent_is_told_what_was_denied_or_failed(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk)
    model.will(calls(REFUND), calls(to("billing")), says("Done."))
    desk.plan(run_id)
    desk.execute(run_id)
    desk.plan(run_id, 2)

    desk.plan(run_id, 3)

    said = texts(model.requests[-1]["messages"][0])
    assert 'triage called refund_invoice({"invoice": "inv-7"}) as t0001c1. Refused, nothing was done.' in said


def test_a_note_that_named_a_value_does_not_take_the_requesters_word_away(desk: Stack, model: Endpoint) -> None:
    run_id = begun(desk, context={})
    ask = {"name": "ask_requester", "input": {"question": "Which invoice?"}}
    model.will(calls(to("billing", "Maybe order O-9.")), calls(to("triage", "Ask for it.")), calls(ask))
    for turn in (1, 2, 3):
        desk.plan(run_id, turn)
    reply = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "O-9 it is."}
    body = {"escalation_id": "esc-x", "by": "mia", "kind": "question", "decision": reply}
    desk.log.write(run_id, "0004.escalation.answered", body)

    said = [one for one in run_sources(desk.log.read(run_id), {}, before_turn=5) if one.where == "requester"]

    assert [(one.words, [leaf.value for leaf in one.asked_about]) for one in said] == [(True, ["Which invoice?"])]
