"""``ballast check`` of scenarios that can never be as expected, and of files that nothing plays."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from ballast.playbook import load_playbook
from cli.checks import Finding, checked
from cli.checks.expectations import never
from cli.checks.scripts import script_findings, script_of
from cli.commands.new import write
from localcloud.cloud import ROOT
from localcloud.scenarios import find, names

TODAY = date(2026, 11, 29)
SUSPENDED, APPROVED = "scenarios/suspended/scenario.yaml", "scenarios/approved/scenario.yaml"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project") / "sounddesk"
    write("sounddesk", project)
    return project


def told(sound: Path, tmp_path: Path, **files: str) -> list[Finding]:
    """Return the errors and warnings with these files beside the project's own."""
    project = tmp_path / "sounddesk"
    shutil.copytree(sound, project, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in files.items():
        file = project / "scenarios" / name.replace("__", "/").replace("_y", ".y")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return [one for one in checked(project, today=TODAY).findings if one.level != "hint"]


REQUEST = "request: {text: Suspend A-1001 for 7 days., intent: %s}\nby: mia\n"
SCRIPT = "turns: [{raw: {}}, {say: Done.}]\n"  # what a whole response of Converse calls is not judged


def scenario(rest: str, intent: str = "suspend") -> dict[str, str]:
    return {"one__scenario_yaml": f"description: x\n{REQUEST % intent}{rest}\n", "one__script_yaml": SCRIPT}


def of_people(answer: str, expect: str = "status: answered, by: agent") -> dict[str, str]:
    return scenario(f"people: [{answer}]\nexpect: {{{expect}}}")


def expecting(expect: str, intent: str = "suspend") -> dict[str, str]:
    return scenario(f"expect: {{{expect}}}", intent)


NEVER: dict[str, tuple[dict[str, str], list[tuple[str, str]]]] = {
    "refused and answered by somebody": (
        expecting("status: refused, by: agent, reason: NotAdmitted", "none"),
        [("error", "expect.by")],
    ),
    "refused without its reason": (expecting("status: refused", "none"), [("error", "expect.reason")]),
    "refused with effects": (
        expecting("status: refused, reason: null, effects: [suspend_account]", "none"),
        [("error", "expect.effects")],
    ),
    "failed and answered": (
        expecting("status: failed, degraded: true, reason: null, by: fallback"),
        [("error", "expect.by")],
    ),
    "unanswered as planned": (expecting("status: unanswered, reason: null"), [("error", "expect.degraded")]),
    "the agent's and degraded": (
        expecting("status: answered, by: agent, degraded: true, reason: loop"),
        [("error", "expect.degraded"), ("error", "expect.reason")],
    ),
    "a person's and not degraded": (
        expecting("status: answered, by: human, reason: loop"),
        [("error", "expect.degraded")],
    ),
    "a fallback that is not there": (
        expecting("status: answered, by: fallback, degraded: true, reason: loop", "account_status"),
        [("error", "expect.by")],
    ),
    "an effect that the intent shuts out": (
        expecting("status: answered, by: agent, effects: [suspend_account]", "account_status"),
        [("error", "expect.effects")],
    ),
    "an effect of a tool that the agent never sees": (
        expecting("status: answered, by: agent, effects: [reinstate_account]"),
        [("error", "expect.effects")],
    ),
    "an effect of a read": (
        expecting("status: answered, by: agent, effects: [look_up_account]"),
        [("error", "expect.effects")],
    ),
    "a text for a number": (
        expecting("status: answered, by: agent, effects: [{tool: suspend_account, arguments: {days: '7'}}]"),
        [("error", "expect.effects suspend_account")],
    ),
    "a number out of bounds": (
        expecting("status: answered, by: agent, effects: [{tool: suspend_account, arguments: {days: 900}}]"),
        [("error", "expect.effects suspend_account")],
    ),
    "a decision of no kind": (
        of_people("{by: rae, decision: {kind: anwser, text: x}}"),
        [("error", "people.0.decision")],
    ),
    "a decision for no agent": (
        of_people("{by: rae, decision: {kind: hand_over, to: agent, agent: nobody, reason: guidance, guidance: x}}"),
        [("error", "people.0.decision.agent")],
    ),
    "an answer about no tool": (of_people("{by: rae, approve: true, tool: suspend}"), [("error", "people.0.tool")]),
    "the requester approves": (of_people("{by: mia, approve: true}"), [("error", "people.0.by")]),
    "the requester decides": (of_people("{by: mia, decision: {kind: answer, text: x}}"), [("error", "people.0.by")]),
    "money where no tool moves any": (
        expecting("status: answered, by: agent, moved: '5.00'"),
        [("error", "expect.moved")],
    ),
    "a text that is forbidden as well": (
        expecting("status: answered, by: agent, answer: [A-1001 is done], forbidden: [A-1001]"),
        [("error", "expect.forbidden")],
    ),
    "an answer of no form": (
        expecting("status: answered, by: agent, answer_schema: {required: [n], additionalProperties: false}"),
        [("error", "expect.answer_schema")],
    ),
    "an effect that nothing undoes": (
        of_people(
            "{by: rae, decision: {kind: call_tools, calls: [{tool: reinstate_account, arguments: {}}]}}",
            "status: failed, degraded: true, reason: null, effects: [{tool: reinstate_account, undone: true}]",
        ),
        [("error", "expect.effects reinstate_account")],
    ),
    "an effect that the script does not call": (
        {
            **expecting("status: answered, by: agent, effects: [suspend_account]"),
            "one__script_yaml": "turns: [{say: Done.}]",
        },
        [("error", "expect.effects")],
    ),
    "fewer turns than replies": (
        {
            "one__scenario_yaml": "description: x\n"
            + REQUEST.replace("}", ", limits: {turns: 1}}") % "suspend"
            + "expect: {status: answered, by: agent}\n",
            "one__script_yaml": "turns: [{call: [{tool: look_up_account, arguments: {account_id: A-1001}}]}, {say: x}]",
        },
        [("error", "request.limits.turns")],
    ),
    "a call of no tool": (
        {
            **expecting("status: answered, by: agent"),
            "one__script_yaml": "turns: [{call: [{tool: suspend}]}, {say: x}]",
        },
        [("warning", "turns.0.call")],
    ),
    "usage in other names": (
        {
            **expecting("status: answered, by: agent"),
            "one__script_yaml": "turns: [{say: x, usage: {input_tokens: 5}}]",
        },
        [("warning", "turns.0.usage")],
    ),
    "another ending": ({"x__scenario_yml": "description: x"}, [("error", "")]),
    "a script alone": ({"x__script_yaml": SCRIPT}, [("error", "")]),
    "a scenario without a folder": ({"scenario_yaml": "description: x"}, [("error", "")]),
    # Honest ones
    "refused": (expecting("status: refused, reason: NotAdmitted", "none"), []),
    "nobody knows who answers": (
        expecting("status: answered, by: fallback, degraded: true, reason: loop, effects: [suspend_account]"),
        [],
    ),
    "a person writes what the agent may not": (
        of_people(
            "{by: rae, decision: {kind: call_tools, calls: [{tool: reinstate_account, arguments: {}}]}}",
            "status: answered, by: agent, effects: [reinstate_account]",
        ),
        [],
    ),
    "the requester is refused": (
        of_people(
            "{by: mia, approve: true, refused: true}, {by: rae, approve: true, decision: {kind: answer, text: x}}"
        ),
        [],
    ),
    "the requester replies": (
        of_people("{by: mia, decision: {kind: hand_over, to: agent, reason: guidance, guidance: x}}"),
        [],
    ),
    "a call that is refused as expected": (
        {
            **expecting("status: answered, by: agent, refused: [UnknownTool]"),
            "one__script_yaml": "turns: [{call: [{tool: suspend}]}, {say: x, usage: {inputTokens: 5}}]",
        },
        [],
    ),
    "a number as Python compares it": (
        {
            **expecting("status: answered, by: agent, effects: [{tool: suspend_account, arguments: {days: 7.0}}]"),
            "one__script_yaml": "turns: [{call: [{tool: suspend_account, arguments: {account_id: A-1001, days: 7}}]}, "
            "{say: x}]",
        },
        [],
    ),
    "no money where no tool moves any": (expecting("status: answered, by: agent, moved: 0"), []),
    "a folder of other files": ({"data__notes_txt": "x", "_own__x_txt": "x"}, []),
}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", NEVER)
def test_what_no_run_can_be_is_told_and_nothing_else(name: str, sound: Path, tmp_path: Path) -> None:
    files, wanted = NEVER[name]

    assert [(one.level, one.field) for one in told(sound, tmp_path, **files)] == wanted


@pytest.mark.parametrize("empty", ["scenario_yaml", "script_yaml"])
def test_an_empty_file_of_a_scenario_is_named_by_itself(empty: str, sound: Path, tmp_path: Path) -> None:
    files = expecting("status: answered, by: agent") | {f"one__{empty}": "# later\n"}

    [found] = told(sound, tmp_path, **files)

    assert (Path(found.file).name, found.problem) == (empty.replace("_", "."), "is empty, or no mapping.")


def test_no_scenario_that_is_played_elsewhere_is_blamed() -> None:
    bundled = load_playbook(ROOT / "layers" / "playbook", check_models=False)

    found = [one for name in names() for one in never(find(name), bundled, name, whole=True)]
    for scenario in map(find, names()):
        script = script_of(scenario)
        assert script is not None
        found += script_findings(scenario, script, bundled, whole=True)

    assert found == []


@pytest.mark.parametrize("amount", ["160 EUR", "{EUR: '160'}", "0.5", "true"])
def test_an_amount_in_another_form_is_told_the_form(amount: str, sound: Path, tmp_path: Path) -> None:
    [found] = told(sound, tmp_path, **expecting(f"status: answered, by: agent, moved: {amount}"))

    assert (found.field, 'such as "0.05"' in found.problem) == ("expect.moved", True)
