"""``ballast check``: each defect of a project is found, with its level, file, field and remedy, all at once."""

import json
import re
import shutil
import tomllib
from datetime import date
from pathlib import Path

import pytest

from ballast.playbook import load_playbook
from ballast.playbook.certificate import why_uncertified
from ballast.playbook.samconfig import named_templates, settings_in
from cli import main
from cli.checks import Checked, Finding, checked
from cli.checks.code import Code
from cli.commands.new import write
from localcloud.cloud import ROOT
from localcloud.project import business_templates
from tests.support.remote_desk import CREATE, FIND, KEY, declare, desk_server, pinned, tools
from tests.support.remote_mcp import notes_tools

TODAY = date(2026, 11, 29)
EXAMPLE = ROOT / "examples" / "itdesk"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project") / "sounddesk"
    write("sounddesk", project)
    return project


def with_changes(sound: Path, tmp_path: Path, *changes: tuple[str, str, str]) -> Path:
    """Copy the project and replace a text in each named file; in a file that is new, write it."""
    project = tmp_path / "sounddesk"
    shutil.copytree(sound, project, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        file = project / name
        if not old:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new)
            continue
        text = file.read_text()
        assert old in text, (name, old)
        file.write_text(text.replace(old, new))
    return project


def found_in(project: Path) -> Checked:
    return checked(project, today=TODAY)


def matching(found: Checked, level: str, file: str, field: str) -> list[Finding]:
    return [one for one in found.findings if one.level == level and file in one.file and field == one.field]


def test_agents_whose_models_take_other_files_are_told(sound: Path, tmp_path: Path) -> None:
    mistral = "model: mistral.mistral-large-2407-v1:0\ninstructions: You count.\nintents: {account_status: {}}\n"
    agent = (sound / "sounddesk" / "agent.yaml").read_text()
    second = ("sounddesk/agents/second.yaml", "", mistral)
    project = with_changes(
        sound, tmp_path, ("sounddesk/agent.yaml", agent, f"{agent}\nhand_over_to: {{second: Count.}}\n"), second
    )

    [found] = matching(found_in(project), "warning", "sounddesk/agent.yaml", "hand_over_to.second")

    assert "mistral.mistral-large-2407-v1:0 takes no images in gif, jpeg, png, webp" in found.problem


def test_a_hand_over_that_no_request_with_an_intent_can_take_is_told(sound: Path, tmp_path: Path) -> None:
    agent = (sound / "sounddesk" / "agent.yaml").read_text()
    over = ("sounddesk/agent.yaml", agent, f"{agent}\nhand_over_to: {{second: Count.}}\n")
    model = re.search(r"^model: .*$", agent, flags=re.MULTILINE)
    assert model is not None
    for intents, hints in (("", 1), ("intents: {account_status: {}}\n", 0)):
        second = ("sounddesk/agents/second.yaml", "", f"{model[0]}\ninstructions: You count.\n{intents}")
        project = with_changes(sound, tmp_path / f"with {hints}", over, second)

        found = matching(found_in(project), "hint", "sounddesk/agent.yaml", "hand_over_to.second")

        assert ["second has no intent of sounddesk" in one.problem for one in found] == [True] * hints


def test_a_new_project_has_no_error_and_no_warning(sound: Path) -> None:
    found = found_in(sound)

    assert [one for one in found.findings if one.level != "hint"] == []
    assert found.worst_cost_microusd == {"": 100_000, "account_status": 100_000, "suspend": 100_000}
    assert found.granted_microusd == 100_000


AGENT, TOOL, ACCOUNTS = "sounddesk/agent.yaml", "sounddesk/tools/suspend_account.py", "sounddesk/accounts.py"
LOOK_UP, UNDO = "sounddesk/tools/look_up_account.py", "sounddesk/tools/reinstate_account.py"

MISSING = "import no_such_thing\n"
#: name: (file, old, new, level, file of the finding, its field)
PLANTED: dict[str, tuple[str, str, str, str, str, str]] = {
    "an unknown setting": (AGENT, "limits:  #", "limitz:  #", "error", AGENT, "limitz"),
    "a wrong value": (AGENT, "turns: 8", "turns: eight", "error", AGENT, "limits.turns"),
    "an unknown model": (AGENT, "claude-haiku-4-5-20251001", "claude-hiaku-9", "error", AGENT, "model"),
    "an intent's unknown write": (AGENT, "writes: [suspend_account]", "writes: [suspend]", "error", "sounddesk", ""),
    "a looser limit": (
        *(AGENT, "description: Suspend an account", "limits: {turns: 99}\n    description: Suspend"),
        *("error", AGENT, ""),
    ),
    "a setting twice": (AGENT, "name: sounddesk", "name: other\nname: sounddesk", "error", AGENT, ""),
    "a syntax error": (TOOL, "def suspend_account(", "def suspend_account((", "error", TOOL, ""),
    "a missing package": (
        LOOK_UP,
        "from ballast.playbook",
        "import no_such_thing\nfrom ballast.playbook",
        "error",
        LOOK_UP,
        "no_such_thing",
    ),
    "an unknown undo": (TOOL, 'undo="reinstate_account"', 'undo="reinstate"', "error", "sounddesk", ""),
    "a fallback for no intent": (
        *("sounddesk/fallbacks/suspend.py", 'intent="suspend"', 'intent="stop"', "error", "sounddesk", ""),
    ),
    "an id that is not grounded": (
        *(ACCOUNTS, "Annotated[str, Grounded, Field(", "Annotated[str, Field("),
        *("warning", TOOL, "suspend_account.account_id"),
    ),
    "an amount that is not grounded": (
        *(TOOL, "Annotated[int, Grounded, Field(", "Annotated[int, Field("),
        *("warning", TOOL, "suspend_account.days"),
    ),
    "a read's argument": (
        *(ACCOUNTS, "Annotated[str, Grounded, Field(", "Annotated[str, Field("),
        *("hint", LOOK_UP, "look_up_account.account_id"),
    ),
    "an undo that cannot be resolved": (
        *(UNDO, "Write(verify=lambda args, ctx: changed_account(ctx), honours_key=True)", "Write()"),
        *("warning", UNDO, "reinstate_account: effect"),
    ),
    "a write whose undo freezes": (
        *(UNDO, "Write(verify=lambda args, ctx: changed_account(ctx), honours_key=True)", "Write()"),
        *("warning", TOOL, "suspend_account: effect.undo"),
    ),
    "a write without a timeout": (
        *(TOOL, "limits=CallLimits(timeout_s=10)", "limits=CallLimits()"),
        *("hint", TOOL, "suspend_account: limits.timeout_s"),
    ),
    "an undo made of attributes": (
        *(
            TOOL,
            'lambda args, _: {"account_id": args.account_id}',
            'lambda args, made: {"account_id": made.account_id}',
        ),
        *("error", TOOL, "suspend_account: effect.undo_arguments"),
    ),
    "an undo that is offered": (UNDO, "offered=False,", "offered=True,", "hint", UNDO, "reinstate_account: offered"),
    "an intent that may write everything": (
        *(AGENT, "writes: []  # whatever a text may say", ""),
        *("hint", AGENT, "intents.account_status.writes"),
    ),
    "a variable that nothing gives": (
        *("business.yaml", '"ACCOUNTS_TABLE"', '"ACCOUNT_TABLE"'),
        *("error", ACCOUNTS, "ACCOUNTS_TABLE"),
    ),
    "a variable that nobody reads": (
        *("business.yaml", "'{\"ACC", '\'{"OTHER": "x", "ACC', "warning", "business.yaml", "Outputs.Environment OTHER"),
    ),
    "a variable of the platform": (
        *("business.yaml", "'{\"ACC", '\'{"PLAYBOOK_DIR": "x", "ACC', "error", "business.yaml", "Outputs.Environment"),
    ),
    "an output that is no JSON": (
        *("business.yaml", '\'{"ACCOUNTS_TABLE": "${AccountsTable}"}\'', "ACCOUNTS_TABLE=x"),
        *("error", "business.yaml", "Outputs.Environment"),
    ),
    "no output": ("business.yaml", "  Environment:\n", "  Variables:\n", "error", "business.yaml", ""),
    "a parameter that nobody gives": (
        *("business.yaml", "  ExecutorRole: {Type: String}", "  ExecutorRole: {Type: String}\n  Size: {Type: String}"),
        *("error", "business.yaml", ""),
    ),
    "a right too few": (
        *("business.yaml", "[dynamodb:GetItem, dynamodb:UpdateItem]", "[dynamodb:GetItem]"),
        *("error", ACCOUNTS, "dynamodb:UpdateItem"),
    ),
    "a right too many": (
        *("business.yaml", "dynamodb:UpdateItem]", "dynamodb:UpdateItem, dynamodb:Scan]"),
        *("hint", "business.yaml", "ReadAndChangeAccounts"),
    ),
    "a right to everything": (
        *("business.yaml", "Resource: !GetAtt AccountsTable.Arn", 'Resource: "*"'),
        *("error", "business.yaml", "ReadAndChangeAccounts"),
    ),
    "a table that no statement names": (
        *("business.yaml", "Resource: !GetAtt AccountsTable.Arn", "Resource: arn:aws:dynamodb:eu-west-1:1:table/x"),
        *("warning", "business.yaml", "AccountsTable"),
    ),
    "a client without a right": (
        *(LOOK_UP, "return find_account", 'ctx.client("secretsmanager")\n    return find_account'),
        *("error", LOOK_UP, "secretsmanager:…"),
    ),
    "an index without a right": (
        *(
            LOOK_UP,
            "return find_account",
            'ctx.client("dynamodb").query(TableName="x", IndexName="by_owner")\n    return find_account',
        ),
        *("error", LOOK_UP, "index/by_owner"),
    ),
    "a prompt above its limit": (
        *(AGENT, "tokens_per_run: 200000", "tokens_per_run: 200000\n  input_tokens_per_turn: 10"),
        *("error", AGENT, "limits"),
    ),
    "a ceiling below one attempt": (AGENT, "cost_microusd: 100000", "cost_microusd: 10", "error", AGENT, "limits"),
    "too few tokens for a run": (AGENT, "tokens_per_run: 200000", "tokens_per_run: 900", "error", AGENT, "limits"),
    "more turns than tokens": (
        *(AGENT, "tokens_per_turn: 1024", "tokens_per_turn: 60000", "warning", AGENT, "limits.tokens_per_run"),
    ),
    "more calls of a tool than of all": (
        *(AGENT, "tool_calls: 12", "tool_calls: 12\n  calls_per_tool: 13", "warning", AGENT, "limits.calls_per_tool"),
    ),
    "a cost that no tool declares": (
        *(AGENT, "ground_answers: true", "ground_answers: true\napprove_over_microusd: 100"),
        *("warning", AGENT, "approve_over_microusd"),
    ),
    "a field that no value fits": (TOOL, "ge=1, le=365", "ge=366, le=365", "error", TOOL, "suspend_account: days"),
    "a complaint that is a list": (
        *(TOOL, "limits=CallLimits", "validate=lambda args, request: ['no'],\n    limits=CallLimits"),
        *("error", TOOL, "suspend_account: validate"),
    ),
    "an intent that no answer fits": (
        *(AGENT, "    writes: [suspend_account]", "    writes: [suspend_account]\n    answer_schema: {type: string}"),
        *("error", AGENT, "intents.suspend.answer_schema"),
    ),
    "a tool that may take the whole time": (
        *(AGENT, "deadline_s: 60", "deadline_s: 15"),
        *("warning", TOOL, "suspend_account: limits.timeout_s"),
    ),
    "no time for a fallback": (
        *(AGENT, "deadline_s: 60", "deadline_s: 60\n  fallback_reserve_s: 2"),
        *("hint", AGENT, "limits.fallback_reserve_s"),
    ),
    "one turn": (AGENT, "turns: 8", "turns: 1", "warning", AGENT, "limits.turns"),
    "a scenario with a wrong field": (
        *("scenarios/approved/scenario.yaml", "expect:", "expects:"),
        *("error", "scenarios/approved/scenario.yaml", "expect"),
    ),
    "a scenario's unknown intent": (
        *("scenarios/approved/scenario.yaml", "intent: suspend", "intent: stop"),
        *("error", "scenarios/approved/scenario.yaml", "request.intent"),
    ),
    "a scenario's unknown tool": (
        *("scenarios/approved/scenario.yaml", "tool: suspend_account", "tool: suspend"),
        *("error", "scenarios/approved/scenario.yaml", "expect.effects"),
    ),
    "a script with a wrong step": (
        *("scenarios/approved/script.yaml", "say:", "says:", "error", "scenarios/approved/script.yaml", "turns.2.says"),
    ),
    "a model that the role may not call": (
        *(AGENT, "claude-haiku-4-5-20251001-v1:0  #", "claude-sonnet-4-5-20250929-v1:0  #"),
        *("error", "samconfig.toml", "ModelArns"),
    ),
    "a guardrail that the role may not apply": (
        *(AGENT, "limits:  #", "guardrail: {id: abc123, version: 1}\nlimits:  #"),
        *("error", "samconfig.toml", "GuardrailId"),
    ),
    "settings that are no TOML": ("samconfig.toml", "version = 0.1", "version 0.1", "error", "samconfig.toml", ""),
    "a file of cards that is broken": ("sounddesk/models.yaml", "", "models: 5\n", "error", "models.yaml", ""),
}


@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found_with_its_level_file_and_field(name: str, sound: Path, tmp_path: Path) -> None:
    file, old, new, level, where, field = PLANTED[name]
    before = found_in(sound)

    found = found_in(with_changes(sound, tmp_path, (file, old, new)))

    fresh = [one for one in found.findings if not _is_in(one, before)]
    hits = [one for one in fresh if one.level == level and where in one.file and (one.field == field or not field)]
    assert hits, fresh
    assert all(one.problem and one.remedy for one in fresh)


def _is_in(finding: Finding, before: Checked) -> bool:
    return any(
        (one.level, one.field, one.problem) == (finding.level, finding.field, finding.problem)
        for one in before.findings
    )


@pytest.mark.parametrize(("today", "level"), [("2026-11-01", ""), ("2026-12-20", "warning"), ("2027-01-10", "error")])
def test_a_models_retirement_is_told_before_and_from_its_day_on(
    today: str, level: str, sound: Path, tmp_path: Path
) -> None:
    cards = """
models:
  anthropic.claude-haiku-4-5-20251001-v1:0: {retires: 2027-01-10}
"""
    project = with_changes(sound, tmp_path, ("sounddesk/models.yaml", "", cards))

    found = [one for one in checked(project, today=date.fromisoformat(today)).findings if one.field == "model"]

    assert [one.level for one in found] == ([level] if level else [])


def test_all_errors_are_told_at_once(sound: Path, tmp_path: Path) -> None:
    project = with_changes(
        *(sound, tmp_path, (AGENT, "turns: 8", "turns: eight"), (AGENT, "limits:  #", "limitz: 1\nlimits:  #")),
        (TOOL, "def suspend_account(", "def suspend_account(("),
        (LOOK_UP, "from ballast.playbook", "import no_such_thing\nfrom ballast.playbook"),
        ("business.yaml", "[dynamodb:GetItem, dynamodb:UpdateItem]", "[dynamodb:GetItem]"),
        ("scenarios/approved/scenario.yaml", "expect:", "expects:"),
    )

    errors = [one for one in found_in(project).findings if one.level == "error"]

    told = {(Path(one.file.partition(",")[0]).name, one.field) for one in errors}
    assert {("agent.yaml", "limits.turns"), ("agent.yaml", "limitz"), ("suspend_account.py", "")} <= told
    assert {
        ("look_up_account.py", "no_such_thing"),
        ("accounts.py", "dynamodb:UpdateItem"),
        ("scenario.yaml", "expects"),
    } <= told


def test_what_only_follows_from_a_file_that_cannot_be_imported_is_not_told(sound: Path, tmp_path: Path) -> None:
    project = with_changes(sound, tmp_path, (TOOL, "def suspend_account(", "def suspend_account(("))

    errors = [one for one in found_in(project).findings if one.level == "error"]

    assert {Path(one.file.partition(",")[0]).name for one in errors} == {"suspend_account.py"}


@pytest.mark.parametrize(
    "wrong", [("def suspend_account(", "def suspend_account(("), ('"reinstate_account"', '"none"')]
)
def test_a_corrected_project_is_read_anew(wrong: tuple[str, str], sound: Path, tmp_path: Path) -> None:
    project = with_changes(sound, tmp_path, (TOOL, *wrong))
    assert found_in(project).count("error") == 1

    shutil.copy(sound / TOOL, project / TOOL)

    assert found_in(project).count("error") == 0


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        (None, [], 0),
        (None, ["--strict"], 0),
        ((AGENT, "tokens_per_turn: 1024", "tokens_per_turn: 60000"), [], 0),
        ((AGENT, "tokens_per_turn: 1024", "tokens_per_turn: 60000"), ["--strict"], 2),
        ((AGENT, "turns: 8", "turns: eight"), [], 2),
    ],
)
def test_the_exit_code_says_whether_it_works(
    change: tuple[str, str, str] | None, options: list[str], code: int, sound: Path, tmp_path: Path
) -> None:
    project = with_changes(sound, tmp_path, *([change] if change else []))

    assert main(["check", str(project), *options]) == code


def test_the_json_has_every_finding(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = with_changes(sound, tmp_path, (AGENT, "turns: 8", "turns: eight"))

    main(["check", str(project), "--json"])

    document = json.loads(capsys.readouterr().out)
    [error] = [one for one in document["findings"] if one["level"] == "error"]
    assert error["file"].endswith("agent.yaml")
    assert error["field"] == "limits.turns"
    assert error.keys() == {"level", "file", "line", "field", "problem", "remedy"}


def test_the_words_name_files_from_the_project_on_and_the_worst_cost(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = with_changes(
        sound, tmp_path, (AGENT, "description: Whether", "limits: {cost_microusd: 50000}\n    description: Whether")
    )

    main(["check", str(project), "--no-hints"])

    said = capsys.readouterr().out
    assert "Worst cost of a run: $0.10 for models and tools (account_status $0.05); reviewers may add $0.10." in said
    assert "hint  " not in said


def test_a_playbook_without_a_business_yaml_is_told_to_have_one(sound: Path, tmp_path: Path) -> None:
    project = with_changes(sound, tmp_path)
    (project / "business.yaml").unlink()

    found = [one for one in found_in(project).findings if one.level != "hint"]

    assert [(one.level, one.field) for one in found] == [
        ("error", "default.build.parameters"),
        ("error", "ACCOUNTS_TABLE"),
    ]
    assert "business.yaml in the project" in found[1].remedy


@pytest.mark.parametrize("wrong", ["no-such-folder", ""])
def test_a_folder_without_a_playbook_says_what_is_missing(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / wrong)]) == 2

    said = capsys.readouterr()
    assert "no such folder" in said.err or "agent.yaml" in said.out
    assert "business.yaml" not in said.out


def test_the_bundled_playbook_has_no_error_and_no_warning() -> None:
    found = checked(Path(__file__).parents[3] / "layers" / "playbook", today=TODAY)

    assert [one for one in found.findings if one.level != "hint"] == []


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("ground_answers:", "ground_answer:", "ground_answer", "Write `ground_answers`, or remove it."),
        ("turns: 8", "turnz: 8", "limits.turnz", "Write `turns`, or remove it."),
        (
            "account_status:\n    description:",
            "account_status:\n    descripton:",
            "intents.account_status.descripton",
            "Write `description`, or remove it.",
        ),
        (
            "account_status:\n    description:",
            "account_status:\n    zzz:",
            "intents.account_status.zzz",
            "Remove it. What may stand there: answer_schema, description, fallback_starts_clean, limits, writes.",
        ),
    ],
)
def test_an_unknown_setting_is_told_what_may_stand_there(
    old: str, new: str, field: str, remedy: str, sound: Path, tmp_path: Path
) -> None:
    found = found_in(with_changes(sound, tmp_path, (AGENT, old, new)))

    (finding,) = matching(found, "error", AGENT, field)
    assert finding.remedy == remedy


def test_an_unknown_setting_of_a_server_is_told_what_may_stand_there(tmp_path: Path) -> None:
    project = tmp_path / "itdesk"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    file = project / "itdesk" / "servers" / "idp.yaml"
    file.write_text(file.read_text().replace("    on_rollback:", "    on_rolback:"))

    found = found_in(project)

    (finding,) = matching(found, "error", "servers/idp.yaml", "tools.resetPassword.on_rolback")
    assert finding.remedy == "Write `on_rollback`, or remove it."


@pytest.mark.parametrize(
    ("url", "level", "said"),
    [
        ({}, "warning", "deployed, every call of notes_add, notes_find fails"),
        ({"url": "https://notes.example/mcp"}, "hint", "Lambda calls the url"),
    ],
    ids=["stdio", "both"],
)
def test_a_server_on_stdio_is_named_with_what_to_do(
    url: dict[str, str], level: str, said: str, sound: Path, tmp_path: Path
) -> None:
    project = with_changes(sound, tmp_path)
    declare(project / "sounddesk", "notes", {"kind": "mcp", "stdio": ["notes-server"], **url}, notes_tools())

    found = found_in(project)

    (finding,) = matching(found, level, "servers/notes.yaml", "server.stdio")
    assert said in finding.problem
    assert "url" in finding.remedy


def itdesk(tmp_path: Path, *changes: tuple[str, str, str]) -> Path:
    """Copy the example and replace a text in each named file."""
    project = tmp_path / "itdesk"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name, old, new in changes:
        file = project / name
        assert old in file.read_text(), (name, old)
        file.write_text(file.read_text().replace(old, new))
    return project


SERVER = "itdesk/servers/idp.yaml"


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("    marks: {/account_id: grounded}\n", "", "tools.resetPassword.marks", "{/account_id: grounded}"),
        ("    on_rollback: keep", "    #", "tools.resetPassword.undo", "on_rollback: keep"),
    ],
)
def test_a_tool_of_a_server_is_named_by_its_file_and_in_its_words(
    tmp_path: Path, old: str, new: str, field: str, remedy: str
) -> None:
    found = found_in(itdesk(tmp_path, (SERVER, old, new)))

    (finding,) = matching(found, "warning", "servers/idp.yaml", field)
    assert remedy in finding.remedy
    assert "=" not in finding.remedy


def test_a_url_at_which_a_server_would_never_be_called_is_named(tmp_path: Path) -> None:
    project = itdesk(tmp_path, (SERVER, "  private: true", "  #"))
    business = project / "business.yaml"
    assert '"IDP_URL": "https://idp.internal.example"' in business.read_text()
    assert not [one for one in found_in(project).findings if "IDP_URL" in one.field]
    business.write_text(business.read_text().replace("https://", "http://"))

    (finding,) = matching(found_in(project), "error", "business.yaml", "Outputs.Environment IDP_URL")

    assert "servers/idp.yaml, and must be https" in finding.problem


def test_an_intent_that_names_no_write_is_an_error_of_agent_yaml(sound: Path, tmp_path: Path) -> None:
    project = with_changes(sound, tmp_path, (AGENT, "writes: [suspend_account]", "writes: [look_up_account]"))

    (finding,) = matching(found_in(project), "error", AGENT, "intents.suspend.writes")

    assert "not a tool that writes" in finding.problem
    assert "suspend_account" in finding.remedy


def test_a_field_that_a_scenario_has_not_is_told_the_nearest_one(sound: Path, tmp_path: Path) -> None:
    scenario = "scenarios/suspended/scenario.yaml"
    project = with_changes(sound, tmp_path, (scenario, "  effects:", "  effect:"))

    assert [one.field for one in found_in(project).findings if one.remedy == "Write `effects`."] == ["expect.effect"]


def test_a_server_that_acts_for_the_requester_says_what_callers_must_bring(sound: Path, tmp_path: Path) -> None:
    project = with_changes(sound, tmp_path)
    playbook = project / "sounddesk"
    declare(playbook, "desk", desk_server(credential={"kind": "requester", "name": "helpdesk"}), tools(KEY))

    (hint,) = matching(found_in(project), "hint", "servers/desk.yaml", "server.credential")

    assert "'helpdesk'" in hint.problem
    assert "X-On-Behalf-Of: helpdesk=Bearer TOKEN" in hint.remedy
    assert "--on-behalf-of-env helpdesk=" in hint.remedy


@pytest.mark.parametrize(("argument", "told"), [("/text", True), ("/amount", False)])
def test_an_approval_above_a_number_of_what_is_none_is_told(
    argument: str, told: bool, sound: Path, tmp_path: Path
) -> None:
    project = with_changes(sound, tmp_path)
    approval = {"if": {"argument": argument, "above": 50}}
    declare(project / "sounddesk", "desk", desk_server(), tools({**KEY, "approval": approval}))

    found = matching(found_in(project), "warning", "servers/desk.yaml", "tools.create.approval.if")

    assert [one.problem.partition(",")[0] for one in found] == (["/text is of the type string"] if told else [])


def test_a_value_that_a_pinned_result_does_not_name_is_told(sound: Path, tmp_path: Path) -> None:
    item = {"type": "object", "properties": {"id": {"type": "integer"}, "closed": {"type": "boolean"}}}
    output = {"type": "object", "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}
    output |= {"$defs": {"t": item}}
    call = {"method": "GET", "path": "/tickets", "where": {"key": "query"}}
    find = {"effect": "read", "pinned": pinned("find", FIND, call, output=output)}
    verify = {"tool": "desk_find", "arguments": {"key": {"key": True}}}
    undo = {"tool": "desk_close", "arguments": {"id": {"result": "/number"}}}
    created = {"type": "object", "properties": {"id": {"type": "integer"}}}
    create = pinned("create", CREATE, {"method": "POST", "path": "/tickets"}, output=created)

    def fields(found: str, undone: dict[str, object]) -> list[str]:
        project = with_changes(sound, tmp_path / found.replace("/", "_"))
        write = {**KEY, "verify": {**verify, "found": found}, "undo": undone, "pinned": create}
        declare(project / "sounddesk", "desk", desk_server(), tools(write, find=find))
        return [one.field for one in found_in(project).findings if "pinned result" in one.problem]

    assert fields("/items/0/gone", undo) == ["tools.create.verify.found", "tools.create.undo.arguments.id"]
    assert fields("/items/0/closed", {**undo, "arguments": {"id": {"result": "/id"}}}) == []
    assert fields("/items/0", {**undo, "arguments": {"id": {"result": "/id"}}}) == []
    assert fields("/tickets", {**undo, "arguments": {"id": {"value": 1}}}) == ["tools.create.verify.found"]


def test_what_a_file_of_servers_leaves_open_is_told_in_its_own_words(sound: Path, tmp_path: Path) -> None:
    project = with_changes(sound, tmp_path / "words")
    call = {
        "method": "DELETE",
        "path": "/tickets",
        "key": {"header": "Idempotency-Key", "schema": {}, "required": True},
    }
    remove = {"effect": "write", "pinned": pinned("remove", {}, call)}
    declared = tools({"undo": {"tool": "desk_remove", "arguments": {}}}, remove=remove)
    declare(project / "sounddesk", "desk", desk_server(), declared)

    found = [one for one in found_in(project).findings if one.file.endswith("desk.yaml")]

    told = " ".join(f"{one.field} {one.problem} {one.remedy}" for one in found)
    assert "Its undo desk_remove has neither verify, key nor idempotent" in told
    assert "It has neither verify, key nor idempotent" in told
    assert "or write offered: false" in told
    assert "Write offered: false. If the agent" in told
    assert "The operation requires the header Idempotency-Key, and no call sends it" in told
    assert not re.search(r"honours_key|offered=|on_rollback=|False|True", told)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("server", "right"),
    [
        ({"kind": "lambda", "function": "stock"}, "lambda:InvokeFunction"),
        ({"kind": "lambda", "function": {"env": "STOCK"}}, "lambda:InvokeFunction"),
        ({"credential": {"kind": "header", "secret": {"ssm": "/key"}}}, "ssm:GetParameter"),
        (
            {"credential": {"kind": "basic", "user": "me", "password": {"secretsmanager": "key"}}},
            "secretsmanager:GetSecretValue",
        ),
        ({"credential": {"kind": "sigv4", "service": "execute-api"}}, "execute-api:…"),
    ],
    ids=str,
)
def test_the_right_that_a_declared_server_needs_is_missed(
    sound: Path, tmp_path: Path, server: dict[str, object], right: str
) -> None:
    declared = server if "kind" in server else {"kind": "mcp", "url": "https://desk.example/mcp"} | server

    def missed(name: str, *others: str) -> list[str]:
        project = with_changes(sound, tmp_path / name)
        declare(project / "sounddesk", "notes", declared, notes_tools({}))
        business = project / "business.yaml"
        text = business.read_text(encoding="utf-8")
        for other in others:
            text = text.replace("dynamodb:UpdateItem]", f"dynamodb:UpdateItem, {other}]")
        business.write_text(text, encoding="utf-8")
        of_server = ("lambda", "ssm", "secretsmanager", "execute-api")
        found = [one for one in found_in(project).findings if one.field.startswith(of_server)]
        assert all(one.file.endswith("notes.yaml") for one in found)
        return [f"{one.level} {one.field}" for one in found]

    wanted = right.replace("…", "Invoke")
    assert missed("none") == [f"error {right}"]
    assert missed("given", wanted) == []
    if "…" not in right:
        assert missed("another", f"{wanted}Url") == [f"error {right}"]


def test_a_verify_that_may_find_what_is_older_is_told(sound: Path, tmp_path: Path) -> None:
    def told(name: str, **verify: object) -> list[str]:
        project = with_changes(sound, tmp_path / name)
        declared = {**KEY, "verify": {"tool": "desk_find", "found": "/items/0", **verify}}
        declare(project / "sounddesk", "desk", desk_server(), tools(declared))
        found = found_in(project).findings
        return [one.problem.partition(":")[0] for one in found if one.field == "tools.create.verify"]

    by_key = {"key": {"key": True}}
    assert told("key", arguments=by_key) == []
    assert told("text", arguments={"key": {"argument": "/text"}}) == ["It does not ask by the call's key"]
    assert told("any", arguments=by_key, matched=False) == ["It does not compare the key with what it finds"]


def test_the_example_has_no_error_no_warning_and_a_certificate_that_fits() -> None:
    found = found_in(EXAMPLE)

    assert [one for one in found.findings if one.level != "hint"] == []
    # Each commit of the platform makes it stale; nobody requires it here. Else: ballast certify examples/itdesk
    assert why_uncertified(load_playbook(EXAMPLE), on_this_platform=False) is None


UNFOLLOWED = """
import os


def read(ctx, name):
    known = ctx.environ["ACCOUNTS_TABLE"], ctx.environ.get("AWS_REGION"), "HOME" in os.environ, ctx.client("dynamodb")
    {line}
    return known
"""


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("e = ctx.environ", "environ"),
        ('ctx.environ[f"{name}_TABLE"]', "environ"),
        ("ctx.environ.get(name)", "environ"),
        ("name in ctx.environ", "environ"),
        ("print(os.environ)", "environ"),
        ("os.getenv(name)", "getenv"),
        ("make = ctx.client", "client"),
        ("ctx.client(name)", "client"),
        ('getattr(ctx, "client")("s3")', "environ or client"),
        ("print(ctx.environ)", "environ"),
        ("accounts_table(ctx.environ)", None),
        ('ctx.environ["AWS_REGION"]', None),
        ('os.getenv("HOME")', None),
    ],
)
def test_a_name_that_cannot_be_followed_is_told_with_its_place(
    line: str, what: str | None, sound: Path, tmp_path: Path
) -> None:
    source = UNFOLLOWED.replace("{line}", line)
    project = with_changes(sound, tmp_path, ("sounddesk/reading.py", "", source))

    found = [one for one in found_in(project).findings if "cannot be known here" in one.problem]

    assert [(one.level, one.field) for one in found] == ([("hint", what)] if what else [])
    assert all(one.file.endswith("reading.py, line 7") for one in found)


def test_a_variable_that_the_code_does_without_is_a_warning_where_nothing_gives_it(sound: Path, tmp_path: Path) -> None:
    source = """
import os
from os import environ, getenv


def read(ctx):
    told = ctx.environ.get("ACCOUNTS_TABEL"), environ.get("TWO", ""), getenv("THREE"), os.getenv(key="FOUR")
    told += "FIVE" in ctx.environ, ctx.query(TableName=ctx.environ.get("SIX_TABLE"))
    return told, ctx.environ.get("ACCOUNTS_TABLE"), os.environ.get("AWS_REGION"), getenv("HOME"), getenv("HOMEPAGE")


READS = [read]
"""
    project = with_changes(sound, tmp_path, ("sounddesk/helpers.py", "", source))

    found = [
        one for one in found_in(project).findings if one.file.startswith(str(project / "sounddesk" / "helpers.py"))
    ]

    told = {(one.level, one.field) for one in found if one.level != "hint"}
    wanted = ("ACCOUNTS_TABEL", "TWO", "THREE", "FOUR", "FIVE", "HOMEPAGE")
    assert told == {("error", "SIX_TABLE"), *(("warning", name) for name in wanted)}
    assert {one.file.rpartition(" ")[2] for one in found} == {"7", "8", "9"}


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("batch_write_item(RequestItems={})", {"BatchWriteItem"}),
        ("batch_get_item(RequestItems={})", {"BatchGetItem"}),
        ('transact_get_items(TransactItems=[{"Get": {"TableName": "x"}}])', {"GetItem"}),
        ('get_paginator("scan").paginate(TableName="x")', {"Scan"}),
        ('get_paginator(operation_name="query")', {"Query"}),
        ('describe_table(TableName="x")', {"DescribeTable"}),
        ("query(owner=1)", set()),
        ("execute_statement(Statement=f'select * from \"{t}\" where id = ?')", {"PartiQLSelect"}),
        (
            "execute_transaction(TransactStatements=[{'Statement': 'UPDATE a'}, {'Statement': 'delete from b'}])",
            {"PartiQLUpdate", "PartiQLDelete"},
        ),
        (
            "batch_execute_statement(Statements=made)",
            {"PartiQLSelect", "PartiQLInsert", "PartiQLUpdate", "PartiQLDelete"},
        ),
        ("execute_statement('my own')", set()),
    ],
)
def test_every_operation_of_a_tool_is_seen(line: str, needed: set[str], tmp_path: Path) -> None:
    (tmp_path / "reading.py").write_text(f"def read(ctx):\n    ctx.client('dynamodb').{line}\n\n\nREADS = [read]\n")

    assert Code(tmp_path).dynamodb.keys() == needed


def test_every_agent_is_checked_as_the_first_one_is(sound: Path, tmp_path: Path) -> None:
    agent = (sound / AGENT).read_text()
    model = next(line for line in agent.splitlines() if line.startswith("model:"))
    worker = f"{model}\ninstructions: Work.\ntools: [look_up_account]\n"
    worker += "limits: {turns: 90, tokens_per_turn: 5000, tokens_per_run: 9000, cost_microusd: 250000}\n"
    worker += "intents: {suspend: {writes: [suspend_account]}, other: {limits: {cost_microusd: 70000}}}\n"
    project = with_changes(sound, tmp_path, ("sounddesk/agents/worker.yaml", "", worker))

    found = found_in(project)

    file = "sounddesk/agents/worker.yaml"
    [unseen] = matching(found, "warning", file, "intents.suspend.writes")
    assert "worker is not offered suspend_account" in unseen.problem
    assert matching(found, "warning", file, "limits.tokens_per_run")
    assert matching(found, "hint", file, "second_model")
    assert found.worst_cost_microusd["worker"] == 250_000
    assert found.worst_cost_microusd["worker.other"] == 70_000
    assert found.worst_cost_microusd[""] == 100_000


def test_limits_of_another_agent_are_told_once(sound: Path, tmp_path: Path) -> None:
    agent = (sound / AGENT).read_text()
    model = next(line for line in agent.splitlines() if line.startswith("model:"))
    worker = f"{model}\ninstructions: Work.\nlimits: {{turns: 5, tool_calls: 5, tokens_per_turn: 100}}\n"
    worker += "intents: {suspend: {limits: {turns: 99}}}\n"
    scenario = "description: x\nrequest: {agent: worker, intent: suspend, text: Suspend it.}\n"
    scenario += "expect: {status: answered, by: agent}\n"
    project = with_changes(
        sound,
        tmp_path,
        ("sounddesk/agents/worker.yaml", "", worker),
        ("scenarios/worker/scenario.yaml", "", scenario),
        ("scenarios/worker/script.yaml", "", "turns: [{say: Done.}]\n"),
    )

    assert sum("limits.turns is 99" in one.problem for one in found_in(project).findings) == 1


@pytest.mark.parametrize("value", ["nope.yaml", "stage/poor.yaml", "business.yaml"])
def test_the_template_that_samconfig_names_is_the_one_that_is_checked(value: str, sound: Path, tmp_path: Path) -> None:
    poor = (sound / "business.yaml").read_text().replace("dynamodb:UpdateItem", "dynamodb:Query")
    prod = ("[prod.sync.parameters]", "parameter_overrides = {PlaybookFolder = '../d', BusinessTemplate = '../d/%s'}")
    settings = (sound / "samconfig.toml").read_text() + "\n".join(["", *prod, ""]) % value
    project = with_changes(sound, tmp_path, ("stage/poor.yaml", "", poor), ("samconfig.toml", "", settings))

    found = [one for one in found_in(project).findings if one.level == "error"]

    assert [(Path(one.file).name, one.field) for one in found] == {
        "nope.yaml": [("samconfig.toml", "prod.sync.parameters")],
        "stage/poor.yaml": [("accounts.py, line 65", "dynamodb:UpdateItem")],
        "business.yaml": [],
    }[value]
    if value == "nope.yaml":
        assert "is no file" in found[0].problem
        return
    assert all(str(project / value) in one.problem for one in found)
    assert business_templates(project) == list(dict.fromkeys([project / "business.yaml", project / value]))


@pytest.mark.parametrize(
    "written",
    [
        '"RequireCertificate=true"',
        "\"Stage=prod RequireCertificate='true'\"",
        '["Stage=prod", "RequireCertificate=\\"true\\""]',
        '"ParameterKey=Stage,ParameterValue=prod ParameterKey=RequireCertificate,ParameterValue=true"',
        '["ParameterKey=RequireCertificate,ParameterValue=\\"true\\""]',
        '{RequireCertificate = "true"}',
        "{RequireCertificate = true}",
    ],
)
def test_a_certificate_that_is_required_in_any_form_and_is_missing_is_an_error(
    written: str, sound: Path, tmp_path: Path
) -> None:
    settings = (sound / "samconfig.toml").read_text() + f"\n[prod.global.parameters]\nparameter_overrides = {written}\n"
    project = with_changes(sound, tmp_path, ("samconfig.toml", "", settings))

    [found] = [one for one in found_in(project).findings if "every run would be refused" in one.problem]

    assert (found.level, Path(found.file).name) == ("error", "certificate.json")


def test_requirements_that_no_certificate_could_cover_are_an_error(sound: Path, tmp_path: Path) -> None:
    lines = "idna==3.10\n-r tests/more.txt\n--constraint=../all.txt\n-c https://example.com/c.txt\n"
    more = ("tests/more.txt", "", "-r ../gone.txt  # a comment\n")
    project = with_changes(sound, tmp_path, ("requirements.txt", "", lines), more)

    found = [one for one in found_in(project).findings if "requirements.txt" in one.file]

    assert [one.level for one in found] == ["error"] * 3
    told = " ".join(one.problem for one in found)
    for line in ("--constraint=../all.txt", "-c https://example.com/c.txt", "-r ../gone.txt"):
        assert line in told


@pytest.mark.parametrize(
    ("name", "old", "new", "field", "remedy"),
    [
        ("suspended", "table: AccountsTable", "table: AccountTable", "expect.store", "Write `AccountsTable`."),
        ("suspended", "key: {account_id:", "key: {id:", "expect.store", "Write account_id under `key`."),
        ("suspended", "days: 7}}]", "dayz: 7}}]", "expect.effects suspend_account", "Write `days`."),
        ("suspended", "expect:", "expect:\n  refused: [Ungroundd]", "expect.refused", "Write `Ungrounded`."),
        ("suspended", "expect:", "expect:\n  reason: model_refusd", "expect.reason", "Write `model_refused`."),
    ],
)
def test_what_no_run_can_be_is_told_of_a_scenario(
    name: str, old: str, new: str, field: str, remedy: str, sound: Path, tmp_path: Path
) -> None:
    project = with_changes(sound, tmp_path, (f"scenarios/{name}/scenario.yaml", old, new))

    [found] = [one for one in found_in(project).findings if one.level == "error"]

    assert (Path(found.file).name, found.field, found.remedy) == ("scenario.yaml", field, remedy)


def test_the_scaffolds_settings_for_production_are_right_as_they_stand(sound: Path, tmp_path: Path) -> None:
    before, _, production = (sound / "samconfig.toml").read_text().partition("# [prod.global")
    settings = before + re.sub(r"^# ?", "", f"# [prod.global{production}", flags=re.MULTILINE)
    project = with_changes(sound, tmp_path, ("samconfig.toml", "", settings))

    found = [one for one in found_in(project).findings if one.level != "hint"]

    assert [(one.level, Path(one.file).name) for one in found] == [("error", "certificate.json")]
    of_prod = {one.command: one for one in settings_in(project / "samconfig.toml") if one.environment == "prod"}
    assert of_prod["deploy"].parameters["Stage"] == "prod"
    assert len(named_templates(project)) == 1
    sam = tomllib.loads(settings)
    assert sam["prod"]["deploy"]["parameters"].keys() == sam["default"]["deploy"]["parameters"].keys()
    assert sam["prod"]["build"] == sam["default"]["build"]


def test_all_wrong_fields_of_a_scenario_are_told_each_with_its_own_remedy(sound: Path, tmp_path: Path) -> None:
    wrong = "\n".join(f"field_{number}: 1" for number in range(12))
    text = (sound / "scenarios" / "suspended" / "scenario.yaml").read_text().replace("expect:", "expekt:")
    project = with_changes(sound, tmp_path, ("scenarios/suspended/scenario.yaml", "", f"{wrong}\n{text}"))

    found = [one for one in found_in(project).findings if one.level == "error"]

    assert {f"field_{number}" for number in range(12)} | {"expekt", "expect"} == {one.field for one in found}
    remedies = {one.field: one.remedy for one in found}
    assert remedies["expekt"] == "Write `expect`."
    assert remedies["field_3"] == "Correct it, and check again."
