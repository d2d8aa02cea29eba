"""``ballast check`` of slips that no model shows: each told once, at its place, and nothing else because of it."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from cli.checks import Finding, checked
from cli.commands.new import write
from localcloud.cloud import ROOT
from tests.support.remote_desk import CREATE, declare, desk_server, pinned
from tests.support.remote_mcp import notes_tools

TODAY = date(2026, 11, 29)
TOOL, FALLBACK = "slips/tools/suspend_account.py", "slips/fallbacks/suspend.py"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project") / "slips"
    write("slips", project)
    return project


def changed(project: Path, to: Path, *changes: tuple[str, str, str]) -> Path:
    """Copy a project and replace a text in each named file; where the text is "", write the file."""
    shutil.copytree(project, to, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name, old, new in changes:
        file = to / name
        text = file.read_text() if file.exists() else ""
        assert old in text, (name, old)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(old, new) if old else new)
    return to


def told(project: Path, *levels: str) -> list[Finding]:
    return [one for one in checked(project, today=TODAY).findings if one.level in (levels or ("error", "warning"))]


def places(found: list[Finding]) -> list[str]:
    return sorted(Path(one.file.partition(",")[0]).name for one in found)


def test_a_tool_of_a_server_that_did_not_load_is_told_once(sound: Path, tmp_path: Path) -> None:
    marks = ("itdesk/servers/idp.yaml", "{/account_id: grounded}", "{/acount_id: grounded}")
    desk = changed(ROOT / "examples" / "itdesk", tmp_path / "itdesk", marks)
    stock = changed(sound, tmp_path / "slips")
    declare(stock / "slips", "notes", {"kind": "lambda", "function": {"env": "STOCK"}}, notes_tools({}))
    file, business = stock / "slips/servers/notes.yaml", stock / "business.yaml"
    file.write_text(file.read_text().replace("kind: lambda", "kind: lambdas"))
    function = "arn:aws:lambda:eu-west-1:111122223333:function:stock"
    invoke = f"- {{Effect: Allow, Action: lambda:InvokeFunction, Resource: '{function}'}}"
    business.write_text(business.read_text().replace("Statement:\n", f"Statement:\n          {invoke}\n"))

    assert {*places(told(desk))} == {"idp.yaml", "certificate.json"}
    assert "notes.yaml" in places(told(stock))
    assert not [one for one in told(stock) if "may call another" in one.problem]


def test_a_misspelt_undo_is_told_at_the_tool_that_names_it(sound: Path, tmp_path: Path) -> None:
    project = changed(sound, tmp_path / "slips", (TOOL, 'undo="reinstate_account"', 'undo="reinstate_acount"'))

    assert places(told(project)) == ["suspend_account.py"]


def test_a_field_that_a_fallback_asks_for_first_is_its_own_matter(sound: Path, tmp_path: Path) -> None:
    step = "        done: Account = yield suspend_account.call(account_id=account_id, days=days)"
    asks = 'if hasattr(done, "owner"):\n            done.owner'
    other = "found = yield look_up_account.call(account_id=account_id)\n        found.desk if has_desk(found) else None"
    project = changed(
        sound, tmp_path / "slips", (FALLBACK, step, f"{step}\n        {asks}\n        {other}\n        done.desk")
    )

    (finding,) = told(project)

    assert "has no desk" in finding.problem


def test_what_a_rule_reads_and_returns_is_told_at_the_rule(sound: Path, tmp_path: Path) -> None:
    rules = """
RATE = 9.5


def _amount(args: SuspendAccount, request: RunRequest):
    return args.days * RATE


def _whose(args: SuspendAccount, request: RunRequest):
    return request.tenant


def _seen(args, request, run):
    if hasattr(request, "now") and request.now and args.daze:
        return None
    if any(call.result["colour"] for call in run.done("look_up_account")):
        return True
    return _late(request)


def _late(ctx):
    return ctx.now.hour, _of_either(ctx), _at_once(ctx)


def _of_either(source, is_ctx=False):
    request = source.request if is_ctx else source
    return is_ctx and source.tenant_of_it or request


def _at_once(source, is_ctx=False):
    if not is_ctx:
        return source
    return source.request


@tool("""
    settings = "moves=_amount,\n        moves_key=_whose,\n"
    project = changed(
        sound,
        tmp_path / "slips",
        (TOOL, "\n@tool(", rules),
        (TOOL, "limits=CallLimits", "validate=_seen,\n    limits=CallLimits"),
        (TOOL, '        undo="reinstate_account",\n', f'        undo="reinstate_account",\n        {settings}'),
    )

    found = [one.problem for one in told(project, "error")]

    said = ["It returns a float", "request is annotated as RunRequest", "args.daze is read here", 'result["colour"]']
    said += ["It returns True, which is neither", "ctx.now is read here, and ctx is the run's request"]
    assert [text for text in said if not any(text in one for one in found)] == []
    assert len(found) == len(said)


def test_what_business_yaml_gives_is_compared_with_what_the_code_does(sound: Path, tmp_path: Path) -> None:
    services = """
from dataclasses import dataclass
from functools import cached_property
import os

import boto3
from ballast.playbook import ToolContext


@dataclass
class Services:
    ctx: ToolContext

    @cached_property
    def queue(self):
        return self.ctx.client("sqs")

    @cached_property
    def topic(self):
        return {"topic": self.ctx.client("sns")}

    def table(self):
        if os.getenv("ACCOUNTS_TABLE") and os.environ.get("HOME"):
            print(list(os.environ))
        return boto3.client("sns"), os.environ["ACCOUNTS_TABLE"]


TABLE = Services.table
"""
    statement = "          - {Sid: Send, Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt AccountsTable.Arn}\n"
    project = changed(
        sound,
        tmp_path / "slips",
        ("slips/services.py", "", services),
        ("business.yaml", "Statement:\n", f"Statement:\n{statement}"),
    )

    found = told(project, "error", "warning", "hint")

    fields = {(one.level, one.field) for one in found}
    assert {("error", "Send"), ("error", "sns:…"), ("hint", "sqs"), ("hint", "sns")} <= fields
    of_process = {("hint", "ACCOUNTS_TABLE"), ("error", "ACCOUNTS_TABLE"), ("hint", "os.environ")}
    assert {*of_process, ("hint", "boto3 sns")} <= fields
    assert ("error", "sqs:…") not in fields
    assert not [one for one in fields if "HOME" in one]
    assert ("hint", "dynamodb") not in fields


def test_the_right_to_a_server_is_for_the_very_function_and_secret(sound: Path, tmp_path: Path) -> None:
    def missed(name: str, of_function: str, of_secret: str) -> list[str]:
        project = changed(sound, tmp_path / name)
        declare(project / "slips", "notes", {"kind": "lambda", "function": {"env": "NOTES"}}, notes_tools({}))
        secret = {"credential": {"kind": "header", "secret": {"ssm": "/desk/key"}}}
        declare(project / "slips", "desk", {"kind": "mcp", "url": "https://desk.example/mcp"} | secret, notes_tools({}))
        business = project / "business.yaml"
        text = business.read_text().replace("ExecutorRole: {Type: String}", PARAMETER, 1)
        rights = f"          - {{Effect: Allow, Action: lambda:InvokeFunction, Resource: {of_function}}}\n"
        rights += f"          - {{Effect: Allow, Action: 'ssm:Get*', Resource: {of_secret}}}\n"
        text = text.replace("Statement:\n", f"Statement:\n{rights}")
        business.write_text(text.replace('{"ACCOUNTS_TABLE"', '{"NOTES": "${Notes}:live", "ACCOUNTS_TABLE"'))
        return sorted(one.field for one in told(project) if one.field.startswith(("lambda:", "ssm:")))

    arn, parameter = "'arn:aws:lambda:eu-west-1:111122223333:function:{}'", "!Sub 'arn:aws:ssm:*:*:parameter/desk/{}'"

    both = ["lambda:InvokeFunction", "ssm:GetParameter"]
    assert missed("others", arn.format("note"), parameter.format("keys")) == both
    assert missed("these", "!Sub '${Notes}:*'", parameter.format("*")) == []


PARAMETER = """ExecutorRole: {Type: String}
  Notes: {Type: String, Default: "arn:aws:lambda:eu-west-1:111122223333:function:notes"}"""


def test_a_key_an_undo_and_a_scenario_that_fail_later_are_told_now(sound: Path, tmp_path: Path) -> None:
    call = {"method": "POST", "path": "/tickets", "key": {"header": "Idempotency-Key", "schema": {}, "required": False}}
    add = {"effect": "write", "key": {"header": "Idempotence-Key"}, "undo": {"tool": "desk_remove", "arguments": {}}}
    add |= {"approval": {"if": "always"}, "marks": {"/text": "free_text"}, "pinned": pinned("add", CREATE, call)}
    by_id = {"method": "DELETE", "path": "/tickets"}
    remove = {"effect": "write", "idempotent": True, "pinned": pinned("remove", {"type": "object"}, by_id)}
    effects = "{status: answered, by: agent, effects: [{tool: desk_add, arguments: {titel: A}}]}"
    scenario = f"description: Add one.\nrequest: {{text: Hello., intent: desk}}\nexpect: {effects}\n"
    script = "turns:\n  - call: [{tool: desk_add, arguments: {titel: A}}]\n  - say: Done.\n"
    project = changed(
        sound,
        tmp_path / "slips",
        ("slips/agent.yaml", "intents:\n", "intents:\n  desk: {writes: [desk_add, desk_remove]}\n"),
        ("scenarios/desk/scenario.yaml", "", scenario),
        ("scenarios/desk/script.yaml", "", script),
        ("scenarios/docs/desk.yaml", "", "openapi: 3.1.0\n"),
    )
    declare(project / "slips", "desk", desk_server(), {"add": add, "remove": remove})

    found = {(one.level, Path(one.file).name, one.field) for one in told(project, "error", "warning", "hint")}

    assert ("warning", "desk.yaml", "tools.add.key") in found
    assert ("warning", "desk.yaml", "tools.remove.undo") in found
    assert {("error", "scenario.yaml", "expect.effects desk_add"), ("error", "scenario.yaml", "people")} <= found
    assert ("warning", "script.yaml", "turns.0.call") in found
    assert not [one for one in found if one[1] == "docs"]


def test_a_script_s_call_of_a_tool_whose_file_holds_a_null_byte_is_not_blamed(sound: Path, tmp_path: Path) -> None:
    project = changed(sound, tmp_path / "slips", ("slips/tools/look_up_account.py", "\n", "\n\0"))

    assert [one.problem for one in told(project) if "There is no tool" in one.problem] == []
