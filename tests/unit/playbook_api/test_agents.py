"""A playbook with several agents: its files, what belongs in which, and the errors of a wrong one."""

import re
from datetime import date
from pathlib import Path

import pytest

from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from ballast.playbook.agent import OF_THE_STACK, AgentConfig
from localcloud.cloud import ROOT
from localcloud.model_arns import model_arns
from tests.unit.playbook_api.written import AGENT, TOOL, written

BILLING = "model: amazon.nova-micro-v1:0\ninstructions: Refund.\n"
HANDS_OVER = AGENT + "hand_over_to: {billing: Money.}\n"
GOOD: dict[str, str | None] = {"agent.yaml": HANDS_OVER, "agents/billing.yaml": BILLING}
WRITE = TOOL + (
    '\n@tool(effect=Write(honours_key=True))\ndef refund(args: Args, ctx: ToolContext) -> None:\n    """Refund."""\n'
)


@pytest.mark.parametrize("name", ["agent.yaml", "agents/billing.yaml"])
def test_the_page_shows_the_files_of_the_reception(name: str) -> None:
    page = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    content = (ROOT / "tests" / "functions" / "playbooks" / "reception" / name).read_text(encoding="utf-8")

    assert f"```yaml\n# {name}\n{content}```" in page


def test_the_page_lists_each_key_once_in_its_column() -> None:
    page = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith("| `name`, ")]
    _, own, stacks, _ = row.split("|")

    assert sorted(re.findall("`([a-z_]+)`", stacks)) == sorted(OF_THE_STACK)
    assert sorted(re.findall("`([a-z_]+)`", own)) == sorted(AgentConfig.model_fields.keys() - OF_THE_STACK)


def test_each_file_is_an_agent(tmp_path: Path) -> None:
    playbook = load_playbook(written(tmp_path, GOOD))

    assert list(playbook.agents) == ["support", "billing"]
    assert playbook.agent.name == "support"
    assert playbook.others["billing"].name == "billing"
    assert playbook.as_agent(playbook.others["billing"]).agents == {
        "billing": playbook.others["billing"],
        "support": playbook.agent,
    }


def test_the_stacks_rules_are_those_of_agent_yaml(tmp_path: Path) -> None:
    rules = {
        "trust_text": "false",
        "ground_answers": "true",
        "answer_ids": "['O-[0-9]+']",
        "guardrail": "{id: gr1, version: 1}",
        "moves": "{run: '1.00'}",
        "sensitive": "{context: [card]}",
        "escalation_timeout_s": "61",
        "approval_timeout_s": "62",
        "park_timeout_s": "63",
        "requester_timeout_s": "64",
        "approve_over_microusd": "65",
        "on_unanswered": "park",
        "out_of_budget": "ask",
        "max_grant_usd": "'0.66'",
        "fallback_starts_clean": "false",
    }
    assert rules.keys() == OF_THE_STACK
    said = "".join(f"{name}: {value}\n" for name, value in rules.items())

    playbook = load_playbook(written(tmp_path, GOOD | {"agent.yaml": HANDS_OVER + said}), check_models=False)

    usual = AgentConfig(name="x", model="m", instructions="i")
    for name in OF_THE_STACK:
        assert getattr(playbook.others["billing"], name) == getattr(playbook.agent, name) != getattr(usual, name), name


@pytest.mark.parametrize("name", sorted(OF_THE_STACK))
def test_a_rule_of_the_stack_stands_in_no_other_file(tmp_path: Path, name: str) -> None:
    files = GOOD | {"agents/billing.yaml": f"{BILLING}{name}: 1\n"}

    with pytest.raises(
        PlaybookInvalid, match=f"billing.yaml: {name}: holds for the whole stack. Move it to agent.yaml"
    ):
        load_playbook(written(tmp_path, files))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"agents/billing.yaml": "model: amazon.nova-micro-v1:0\n"}, "agents/billing.yaml: instructions"),
        ({"agents/billing.yaml": "- a list\n"}, "agents/billing.yaml: "),
        ({"agents/billing.yaml": BILLING + "name: bulling\n"}, "has its file's name: write billing"),
        ({"agents/billing.yaml": BILLING + "name: [billing]\n"}, "has its file's name: write billing"),
        ({"agents/support.yaml": BILLING}, "support is the name of agent.yaml's agent. Rename one of them"),
        ({"agents/two words.yaml": BILLING}, "two words.yaml: name"),
        ({"agents/other.yml": BILLING}, "other.yml: an agent's file ends with .yaml"),
        ({"agents/billing.yaml": BILLING + "colour: red\n"}, "billing.yaml: colour"),
        ({"agents/billing.yaml": BILLING + "tools: [look_down]\n"}, "billing.yaml: tools: names look_down"),
        ({"agent.yaml": HANDS_OVER + "tools: [look_down]\n"}, "tools: names look_down, which no agent can be offered"),
        ({"agents/billing.yaml": None}, "hand_over_to: there is no other agent billing. Write agents/NAME.yaml"),
        ({"agent.yaml": AGENT + "hand_over_to: {support: Me.}\n"}, "hand_over_to: there is no other agent support"),
        ({"agents/billing.yaml": BILLING + "hand_over_to: {x: y}\n"}, "billing.yaml: hand_over_to: .* agent x"),
        (
            {"agents/billing.yaml": BILLING + "intents: {refund: {writes: [look_up]}}\n"},
            "billing.yaml: intents.refund.writes: names look_up, which is not a tool that writes",
        ),
        (
            {"agents/billing.yaml": BILLING + "limits: {turns: 3, deadline_s: 5, fallback_reserve_s: 5}\n"},
            "billing.yaml: limits.fallback_reserve_s: must be less",
        ),
        (
            {"agents/billing.yaml": BILLING.replace("amazon.nova-micro-v1:0", "acme.unknown")},
            "billing.yaml: model: .*acme.unknown",
        ),
        (
            {"tools/look_up.py": WRITE.replace("def refund(", "def hand_over(")},
            "the name hand_over is Ballast's own where an agent has `hand_over_to`",
        ),
    ],
)
def test_a_wrong_agent_is_refused_with_its_file_the_field_and_the_remedy(
    tmp_path: Path, files: dict[str, str | None], said: str
) -> None:
    with pytest.raises(PlaybookInvalid, match=said):
        load_playbook(written(tmp_path, GOOD | files))


def test_a_tool_may_be_called_hand_over_where_nobody_hands_over(tmp_path: Path) -> None:
    tool = WRITE.replace("def refund(", "def hand_over(")

    assert "hand_over" in load_playbook(written(tmp_path, {"tools/look_up.py": tool})).tools


def test_a_fallback_may_serve_the_intent_of_any_agent(tmp_path: Path) -> None:
    files = GOOD | {
        "agent.yaml": HANDS_OVER.replace("  order_status: {limits: {turns: 3}}\n", "  other: {}\n"),
        "agents/billing.yaml": BILLING + "intents: {order_status: {}}\n",
    }

    assert list(load_playbook(written(tmp_path, files)).fallbacks) == ["order_status"]


def test_the_names_of_all_agents_are_never_masked(tmp_path: Path) -> None:
    files = GOOD | {"agents/billing.yaml": BILLING + "intents: {chargeback: {}}\n"}

    assert {"support", "billing", "chargeback", "amazon.nova-micro-v1:0"} <= load_playbook(
        written(tmp_path, files)
    ).names


@pytest.mark.parametrize(
    ("model_id", "models"),
    [("", ["amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0"]), ("amazon.nova-pro-v1:0", ["amazon.nova-pro-v1:0"])],
)
def test_the_role_may_call_the_models_of_all_agents(tmp_path: Path, model_id: str, models: list[str]) -> None:
    arns = model_arns(written(tmp_path, GOOD), "eu-west-2", on=date(2026, 12, 1), model_id=model_id)

    assert arns == [f"arn:aws:bedrock:eu-west-2::foundation-model/{model}" for model in models]


def test_an_agent_that_goes_on_can_only_narrow_what_the_intent_writes(tmp_path: Path) -> None:
    files = GOOD | {"tools/look_up.py": WRITE}
    files["agent.yaml"] = (
        "name: support\nmodel: amazon.nova-lite-v1:0\ninstructions: Help.\nhand_over_to: {billing: Money.}\n"
        "intents:\n  order_status: {}\n  open: {}\n"
        "  refund: {writes: [refund], answer_schema: {type: object}, fallback_starts_clean: false}\n"
    )
    files["agents/billing.yaml"] = (
        BILLING + "intents:\n  open: {writes: []}\n  refund: {answer_schema: {type: object, properties: {a: {}}}}\n"
    )
    playbook = load_playbook(written(tmp_path, files))
    billing = playbook.others["billing"]

    refund, opened = (billing.going_on_from(playbook.agent, intent) for intent in ("refund", "open"))

    assert refund.intents["refund"].writes == ("refund",)
    assert refund.answer_schema("refund") == {"type": "object"}
    assert not refund.starts_clean("refund")
    assert opened.intents["open"].writes == ()
    assert billing.going_on_from(playbook.agent, None) is billing


def test_a_word_means_the_same_in_each_agents_file(tmp_path: Path) -> None:
    files = GOOD | {"agents/billing.yaml": BILLING + "cache: off\nask_requester: yes\n"}

    billing = load_playbook(written(tmp_path, files)).others["billing"]

    assert (billing.cache, billing.ask_requester) == (False, True)
