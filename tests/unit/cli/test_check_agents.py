"""``ballast check`` of a playbook with several agents: parts that did not load, and writes after hand-overs."""

import json
import re
import shutil
from datetime import date
from pathlib import Path

import pytest

import cli.checks.tools
from ballast.playbook import AgentConfig, Playbook
from cli.checks import Checked, checked
from cli.commands.new import write

TODAY = date(2026, 11, 29)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project") / "sounddesk"
    write("sounddesk", project)
    return project


#: The keys of an agent whose value is a name, a number, a list, an object or a boolean: none of them is this.
WRONG: dict[str, object] = {name: [[]] for name in AgentConfig.model_fields}


def agents(project: Path, tmp_path: Path, **changes: dict[str, object] | None) -> Path:
    """Copy the project, with the first agent's keys under its name, and another agent for each other name."""
    made = tmp_path / "sounddesk"
    shutil.copytree(project, made, ignore=shutil.ignore_patterns("__pycache__"))
    first = made / "sounddesk" / "agent.yaml"
    text = first.read_text()
    head = text[: text.index("\nintents:")].replace("\nname: sounddesk", "")
    model = next(line.partition("#")[0] for line in text.splitlines() if line.startswith("model:"))
    own = changes.pop("sounddesk", None) or {}
    lines = [f"{name}: {json.dumps(value)}" for name, value in own.items()]
    first.write_text("\n".join(["name: sounddesk", head, *lines, ""]))
    (made / "sounddesk" / "agents").mkdir()
    for agent, keys in changes.items():
        whole: dict[str, object] = {"instructions": "Work.", **(keys or {})}
        lines = [f"{name}: {json.dumps(value)}" for name, value in whole.items()]
        lines = [*([] if "model" in whole else [model]), *lines]
        (made / "sounddesk" / "agents" / f"{agent}.yaml").write_text("\n".join([*lines, ""]))
    return made


def found_in(project: Path) -> Checked:
    return checked(project, today=TODAY)


BOTH: dict[str, object] = {"account_status": {"writes": []}, "suspend": {"writes": ["suspend_account"]}}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_field_of_another_agent_is_told_beside_all_else(name: str, sound: Path, tmp_path: Path) -> None:
    first = {"intents": BOTH, "hand_over_to": {"worker": "Work."}, "second_model": "no.such-model"}
    worker = {"intents": BOTH, "hand_over_to": {"sounddesk": "The rest."}, name: WRONG[name]}
    scenario = (
        "description: x\nrequest: {agent: worker, intent: suspend, text: Go.}\nexpect: {status: answered, by: a}\n"
    )
    project = agents(sound, tmp_path, sounddesk=first, worker=worker)
    (project / "scenarios" / "worker").mkdir()
    (project / "scenarios" / "worker" / "scenario.yaml").write_text(scenario)

    errors = [(Path(one.file).name, one.field) for one in found_in(project).findings if one.level == "error"]

    assert sorted(file for file, _ in errors) == ["agent.yaml", "scenario.yaml", "worker.yaml"]
    assert ("agent.yaml", "second_model") in errors
    [field] = [field for file, field in errors if file == "worker.yaml"]
    assert field == "" or field.startswith(name)


def test_a_check_that_fails_is_a_finding_beside_the_others(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(playbook: Playbook) -> None:
        raise KeyError("workshop")

    monkeypatch.setattr(cli.checks.tools, "_unmarked", failing)
    project = agents(sound, tmp_path, sounddesk={"second_model": "no.such-model"})
    broken = project / "scenarios" / "approved" / "scenario.yaml"
    broken.write_text(broken.read_text().replace("expect:", "expects:"))

    found = found_in(project)

    errors = [one for one in found.findings if one.level == "error"]
    [failed] = [one for one in errors if "`tools` failed" in one.problem]
    assert "KeyError: 'workshop' (test_check_agents.py, line " in failed.problem
    assert {Path(one.file).name for one in errors} >= {"agent.yaml", "scenario.yaml"}


READ, WRITE = "look_up_account", "suspend_account"


def writes(*names: str) -> dict[str, object]:
    return {"account_status": {"writes": []}, "suspend": {"writes": list(names)}}


CHAINS: dict[str, tuple[dict[str, dict[str, object]], list[tuple[str, str]]]] = {
    "the next agent books": (
        {
            "sounddesk": {"tools": [READ], "intents": writes(WRITE), "hand_over_to": {"b": "x"}},
            "b": {"tools": [WRITE], "intents": writes(WRITE), "hand_over_to": {"sounddesk": "x"}},
        },
        [],
    ),
    "the one after it books": (
        {
            "sounddesk": {"tools": [READ], "intents": writes(WRITE), "hand_over_to": {"b": "x"}},
            "b": {"tools": [READ], "intents": writes(WRITE), "hand_over_to": {"c": "x"}},
            "c": {"intents": writes(WRITE)},
        },
        [],
    ),
    "one between shuts it out": (
        {
            "sounddesk": {"tools": [READ], "intents": writes(WRITE), "hand_over_to": {"b": "x"}},
            "b": {"tools": [READ], "intents": writes(), "hand_over_to": {"c": "x"}},
            "c": {"intents": writes(WRITE)},
        },
        [("agent.yaml", "is not offered suspend_account"), ("b.yaml", "which c names for suspend")],
    ),
    "nobody that takes the intent is offered it": (
        {
            "sounddesk": {"tools": [READ], "intents": writes(WRITE), "hand_over_to": {"b": "x"}},
            "b": {"intents": {"account_status": {}}},
        },
        [("agent.yaml", "is not offered suspend_account")],
    ),
    "the first one shuts it out": (
        {
            "sounddesk": {"tools": [READ], "intents": writes(), "hand_over_to": {"b": "x"}},
            "b": {"intents": writes(WRITE)},
        },
        [("agent.yaml", "which b names for suspend")],
    ),
    "a narrower agent hands back": (
        {
            "sounddesk": {"intents": writes(WRITE), "hand_over_to": {"b": "x"}},
            "b": {"tools": [READ], "intents": writes(), "hand_over_to": {"sounddesk": "x"}},
        },
        [],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_write_is_callable_if_a_hand_over_leads_to_an_agent_that_is_offered_it(
    name: str, sound: Path, tmp_path: Path
) -> None:
    of_agents, wanted = CHAINS[name]
    project = agents(sound, tmp_path, **of_agents)
    shutil.rmtree(project / "scenarios")  # they may expect what the agents cannot do

    warnings = [one for one in found_in(project).findings if one.level != "hint"]

    told = [(Path(one.file).name, one.problem) for one in warnings if one.field == "intents.suspend.writes"]
    assert len(told) == len(warnings) == len(wanted), warnings
    for file, part in wanted:
        assert [where for where, problem in told if part in problem] == [file]


#: Keys of the first agent, and the levels and fields of what is told beside what the sound project says.
LIMITS: dict[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "no call for a hand-over": (
        {"limits": {"tool_calls": 0}, "hand_over_to": {"b": "x"}},
        [("warning", "limits.tool_calls")],
    ),
    "no call": ({"limits": {"tool_calls": 0}}, [("hint", "limits.tool_calls")]),
    "no tool and no call": ({"limits": {"tool_calls": 0}, "tools": []}, []),
    "no turn after a hand-over": (
        {"limits": {"turns": 1}, "tools": [], "hand_over_to": {"b": "x"}},
        [("warning", "limits.turns")],
    ),
    "a model for a turn that never comes": (
        {"limits": {"turns": 3}, "model_for": [{"model": "amazon.nova-pro-v1:0", "from_turn": 4}]},
        [("warning", "model_for.1.from_turn")],
    ),
    "a model for the last turn": (
        {"limits": {"turns": 3}, "model_for": [{"model": "amazon.nova-pro-v1:0", "from_turn": 3}]},
        [],
    ),
    "the same second model": ({"second_model": "SAME"}, [("warning", "second_model")]),
    "ids that nobody compares": ({"ground_answers": False}, [("hint", "answer_ids")]),
    "ids that are compared": ({"ground_answers": True}, []),
    "an hour above its day": (
        {"moves": {"customer": {"hour": "300", "day": "200"}}},
        [("warning", "moves.customer.hour")],
    ),
    "a run above the tenant's day": ({"moves": {"run": "6000"}}, [("warning", "moves.run")]),
    "a tenant above all": ({"moves": {"tenant": {"day": "20000"}}}, [("warning", "moves.tenant.day")]),
    "windows that fit": ({"moves": {"run": "900", "tenant": {"hour": "900"}, "customer": {"day": "900"}}}, []),
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", LIMITS)
def test_limits_that_leave_no_room_or_say_nothing_are_told(name: str, sound: Path, tmp_path: Path) -> None:
    keys, wanted = LIMITS[name]
    project = agents(sound, tmp_path, b={})
    first = project / "sounddesk" / "agent.yaml"
    lines = first.read_text().splitlines()
    model = next(line for line in lines if line.startswith("model:")).split()[1]
    own = {key: model if value == "SAME" else value for key, value in keys.items()}
    text = first.read_text()
    for name in own:
        text = re.sub(rf"(?m)^{name}:.*\n((  .*)?\n)*", "", text)
    first.write_text("\n".join([text, *(f"{name}: {json.dumps(value)}" for name, value in own.items()), ""]))
    tool = project / "sounddesk" / "tools" / "suspend_account.py"
    undo = 'undo="reinstate_account",'
    moving = "moves=lambda args, request: args.days, moves_key=lambda args, ctx: args.account_id,"
    tool.write_text(tool.read_text().replace(undo, f"{undo} {moving}"))

    found = found_in(project)

    of_settings = ("limits.t", "model_for", "second_model", "answer_ids", "moves")
    mine = [one for one in found.findings if one.file == str(first) and one.field.startswith(of_settings)]
    usual = {"second_model": "hint"}
    told = [(one.level, one.field) for one in mine if usual.get(one.field) != one.level]
    assert told == wanted
