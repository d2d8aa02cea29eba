"""``ballast check`` of scripts: each call is held to the agent in charge, which a hand-over changes."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts.wire import parse
from ballast.playbook import Playbook
from ballast.playbook.load import playbook_problems
from cli.checks.expectations import never
from cli.checks.scripts import script_findings
from cli.commands.new import write
from localcloud.converse.script import Script
from localcloud.scenarios import Scenario

WORKER = """model: region.anthropic.claude-haiku-4-5-20251001-v1:0
instructions: You suspend.
tools: [suspend_account]
intents: {suspend: {}, account_status: {}}
"""
LOOK = {"tool": "look_up_account", "arguments": {"account_id": "A-1001"}}
SUSPEND = {"tool": "suspend_account", "arguments": {"account_id": "A-1001", "days": 7}}


def over(agent: str, **more: Any) -> dict[str, Any]:
    return {"tool": "hand_over", "arguments": {"agent": agent, "note": "Go on."} | more}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk that looks accounts up and hands over to a worker, which suspends them."""
    folder = tmp_path_factory.mktemp("project") / "twodesk"
    write("twodesk", folder)
    first = folder / "twodesk" / "agent.yaml"
    first.write_text(first.read_text() + "\ntools: [look_up_account]\nhand_over_to: {worker: Work.}\n")
    (folder / "twodesk" / "agents").mkdir()
    return folder


def loaded(desk: Path, worker: str) -> Playbook:
    """Return the playbook with that worker, whatever is wrong with it."""
    (desk / "twodesk" / "agents" / "worker.yaml").write_text(worker)
    playbook, _ = playbook_problems(desk, on=date(2026, 11, 29))
    assert playbook is not None
    return playbook


@pytest.fixture(scope="module")
def two(desk: Path) -> Playbook:
    return loaded(desk, WORKER)


def played(*calls: Any, expect: dict[str, Any], intent: str = "suspend") -> tuple[Scenario, Script]:
    """Return a scenario whose script has these calls, one or several a turn."""
    turns = [{"call": one if isinstance(one, list) else [one]} for one in calls]
    given = {
        "name": "one",
        "description": "x",
        "request": {"request_id": "r", "text": "Please.", "intent": intent},
        "expect": {"status": "answered", "by": "agent", **expect},
    }
    scenario = parse(Scenario, given, what="scenario").within(Path("/nowhere"))
    return scenario, parse(Script, {"turns": [*turns, {"say": "Done."}]}, what="script")


def told(playbook: Playbook, *calls: Any, intent: str = "suspend", **expect: Any) -> list[tuple[str, str, str]]:
    """Return the level, field and problem of what is found of a script with these calls."""
    scenario, script = played(*calls, expect=expect, intent=intent)
    return [(one.level, one.field, one.problem) for one in script_findings(scenario, script, playbook, whole=True)]


@pytest.mark.parametrize(
    ("calls", "field", "says"),
    [
        ([LOOK, SUSPEND], "turns.1.call", "twodesk is in charge here and is not offered suspend_account"),
        ([over("worker"), LOOK], "turns.1.call", "worker is in charge here and is not offered look_up_account"),
        ([over("wroker"), SUSPEND], "turns.0.call", "there is no agent 'wroker'"),
        ([[LOOK, over("worker")]], "turns.0.call", "must be the only call of its turn"),
        ([over("worker", note="")], "turns.0.call", "must be the only call of its turn, with"),
        ([over("worker"), over("twodesk")], "turns.1.call", "worker is in charge here and is not offered hand_over"),
        ([{"tool": "ask_requester", "arguments": {"question": "?"}}], "turns.0.call", "is not offered ask_requester"),
    ],
)
def test_a_call_that_the_agent_in_charge_cannot_make_is_told_once(
    calls: list[Any], field: str, says: str, two: Playbook
) -> None:
    [found] = told(two, *calls)

    assert (found[:2], says in found[2]) == (("warning", field), True), found


def test_a_write_that_an_agent_before_may_not_propose_is_refused_after_a_hand_over(two: Playbook) -> None:
    [(_, _, problem)] = told(two, over("worker"), SUSPEND, intent="account_status")

    assert problem.startswith("worker may not write suspend_account for account_status")


@pytest.mark.parametrize(
    ("calls", "expect"),
    [
        ([LOOK, over("worker"), SUSPEND], {"effects": ["suspend_account"]}),
        ([LOOK, SUSPEND], {"refused": ["UnknownTool"]}),
        ([LOOK, SUSPEND], {"refused": None}),
    ],
)
def test_a_script_that_is_right_or_is_refused_as_expected_is_not_blamed(
    calls: list[Any], expect: dict[str, Any], two: Playbook
) -> None:
    assert told(two, *calls, **expect) == []


def test_effects_in_another_order_than_the_script_calls_them_are_told(two: Playbook) -> None:
    calls = [over("worker"), SUSPEND, SUSPEND]

    assert told(two, *calls, effects=["suspend_account"] * 2) == []
    [(level, field, problem)] = told(two, *calls, effects=["suspend_account"] * 3)
    assert (level, field) == ("error", "expect.effects")
    assert problem.startswith("The script does not call suspend_account in this order")


def test_an_agent_that_does_not_know_the_intent_is_named_as_what_to_correct(desk: Path) -> None:
    playbook = loaded(desk, WORKER.replace("suspend: {}", "suspnd: {}"))

    [(_, _, problem)] = told(playbook, over("worker"), SUSPEND)
    assert problem.startswith("worker has no intent suspend, so it takes no such request over")
    scenario, _ = played(over("worker"), SUSPEND, expect={"effects": ["suspend_account"]})
    [found] = [one for one in never(scenario, playbook, "scenario.yaml", whole=True) if one.field == "expect.effects"]
    assert found.remedy.startswith("worker takes over no such request: list suspend there")


def test_a_tool_that_an_agent_names_wrongly_makes_no_call_and_no_effect_wrong(desk: Path) -> None:
    playbook = loaded(desk, WORKER.replace("[suspend_account]", "[suspend_acount]"))

    scenario, _ = played(over("worker"), SUSPEND, expect={"effects": ["suspend_account"]})
    assert told(playbook, over("worker"), SUSPEND, effects=["suspend_account"]) == []
    assert [*never(scenario, playbook, "scenario.yaml", whole=True)] == []


def test_a_call_of_no_tool_is_told_once(two: Playbook) -> None:
    [(level, field, _)] = told(two, over("worker"), SUSPEND | {"tool": "suspend_acount"}, effects=["suspend_account"])

    assert (level, field) == ("warning", "turns.1.call")
