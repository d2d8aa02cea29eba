"""``ballast check`` of what tools' functions and fallbacks say in their source: the certain mistakes, and no others."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from cli.checks import checked
from cli.commands.new import write
from tests.support.remote_desk import KEY, declare, desk_server, tools

TODAY = date(2026, 11, 29)
TOOL, FALLBACK = "sounddesk/tools/suspend_account.py", "sounddesk/fallbacks/suspend.py"
UNDO = 'undo_arguments=lambda args, _: {"account_id": args.account_id},'
CALL = "yield suspend_account.call(account_id=account_id, days=days)"
STEP = f"        done: Account = {CALL}"
RULE = "approval=Approval(if_=_needs_approval)"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project") / "sounddesk"
    write("sounddesk", project)
    return project


def told(sound: Path, tmp_path: Path, file: str, old: str, new: str) -> list[tuple[str, str]]:
    """Return the name of the file and the problem of each error and warning after a change."""
    project = tmp_path / "sounddesk"
    shutil.copytree(sound, project, ignore=shutil.ignore_patterns("__pycache__"))
    text = (project / file).read_text()
    assert old in text, text
    text = text.replace("import CallFailed, GiveUp, fallback", "import CallFailed, GiveUp, ToolCall, fallback")
    (project / file).write_text(text.replace(old, new))
    found = checked(project, today=TODAY)
    return [(Path(one.file).name.partition(",")[0], one.problem) for one in found.findings if one.level != "hint"]


def undo_of(body: str) -> tuple[str, str, str]:
    return TOOL, UNDO, f"undo_arguments={body},"


def with_setting(line: str) -> tuple[str, str, str]:
    return TOOL, "limits=CallLimits(timeout_s=10)", f"limits=CallLimits(timeout_s=10),\n    {line}"


def moving(amount: str) -> tuple[str, str, str]:
    return TOOL, UNDO, f"{UNDO}\n        moves=lambda args, request: {amount},"


def written(tool: str, arguments: str) -> str:
    """Return a proposal whose tool and arguments are written out."""
    return f'yield ToolCall(tool="{tool}", arguments={arguments})'


MISTAKES: dict[str, tuple[tuple[str, str, str], str]] = {
    "a rule of one parameter": ((TOOL, RULE, "approval=Approval(if_=lambda args: True)"), "is called with (args, req"),
    "a validator of one": (with_setting("validate=lambda args: None"), "validate is called with (args, request)"),
    "a cost of three": (
        with_setting("cost_microusd=lambda a, b, c: 1"),
        "cost_microusd is called with (args, request)",
    ),
    "an undo of one": (undo_of('lambda args: {"account_id": 1}'), "undo_arguments is called with (args, result)"),
    "an amount of one": (
        (TOOL, UNDO, f"{UNDO}\n        moves=lambda args: 1,"),
        "moves is called with (args, request)",
    ),
    "a key that must be named": (
        (TOOL, UNDO, f"{UNDO}\n        moves=lambda args, request: 1, moves_key=lambda args, *, ctx: 'a',"),
        "effect.moves_key is called with (args, ctx)",
    ),
    "an unknown key": (undo_of('lambda args, _: {"account_id": args.account_id, "id": 1}'), "no argument id"),
    "a missing key": (undo_of("lambda args, _: {}"), "needs account_id, which is missing"),
    "a wrong dict": (undo_of("lambda args, _: dict(account=args.account_id)"), "no argument account, and needs"),
    "the call's own": ((TOOL, UNDO, ""), "takes no days: every call is refused"),
    "a field of no result": (undo_of('lambda args, made: {"account_id": made["id"]}'), "the result has no id"),
    "a read that undoes": ((TOOL, 'undo="reinstate_account"', 'undo="look_up_account"'), "that is a read"),
    "a float": (moving("20.5 * args.days"), "It returns a float"),
    "a text": (moving("args.account_id"), "It returns a str"),
    "a float that is cast": (moving("args.days + float(2)"), "It returns a float"),
    "a cost in dollars": (with_setting("cost_microusd=lambda args, request: args.days * 0.01"), "It returns a float"),
    "a tool of no such name": (
        (TOOL, RULE, "approval=Approval(if_=lambda args, request, run: bool(run.done('look_up')))"),
        "there is no tool look_up",
    ),
    "an unknown argument of a call": (
        (FALLBACK, CALL, CALL.replace("days", "dayz")),
        "no argument dayz, and needs days",
    ),
    "a missing argument of a call": ((FALLBACK, CALL, CALL.replace(", days=days", "")), "needs days, which is missing"),
    "an argument without a name": (
        (FALLBACK, CALL, CALL.replace("days=days", "days=days, *[1]").replace("account_id=", "", 1)),
        "takes its arguments by name only",
    ),
    "a call of no tool that is written out": (
        (FALLBACK, CALL, written("suspend_acount", '{"account_id": account_id, "days": days}')),
        "There is no tool suspend_acount",
    ),
    "other arguments that are written out": (
        (FALLBACK, CALL, written("suspend_account", '{"account_id": account_id, "dayz": days}')),
        "no argument dayz, and needs days",
    ),
    "no arguments that are written out": (
        (FALLBACK, CALL, 'yield ToolCall(tool="suspend_account")'),
        "needs account_id, days, which is missing",
    ),
    "a written call that is thrown away": (
        (FALLBACK, STEP, f"        {written('suspend_account', '{**{}}')[6:]}\n{STEP}"),
        "not `yield` it",
    ),
    "a call that is thrown away": (
        (FALLBACK, STEP, f"        {CALL[6:]}\n{STEP}"),
        "not `yield` it",
    ),
    "a call that is no result": (
        (FALLBACK, STEP, STEP.replace("yield ", "")),
        "it was not yielded",
    ),
    "a field of no model": (
        (FALLBACK, STEP, f"{STEP}\n        assert done.status"),
        "has no status",
    ),
}
HONEST: dict[str, tuple[str, str, str]] = {
    "a rule of three": (
        TOOL,
        RULE,
        "approval=Approval(if_=lambda args, request, run: bool(run.done('look_up_account')))",
    ),
    "a rule of any": (TOOL, RULE, "approval=Approval(if_=lambda *given: len(given) > 9)"),
    "a rule with a default": with_setting("validate=lambda args, request, run=None: None"),
    "a built-in": with_setting("cost_microusd=lambda args, request: int(args.days * 0.5)"),
    "a call that is spread": undo_of('lambda args, _: {**{"account_id": args.account_id}}'),
    "what looks first": undo_of('lambda args, made: {"account_id": made["id"] if "id" in made else args.account_id}'),
    "two lambdas in one line": (
        TOOL,
        UNDO,
        'undo_arguments=lambda args, _: {"account_id": args.account_id}, moves=lambda args, _: {"id": 5}["id"],',
    ),
    "an amount": moving("args.days * 20 if args.days > 1.5 else round(1.5 * args.days)"),
    "a call that is yielded later": (
        FALLBACK,
        STEP,
        f"        made = {CALL[6:]}\n        assert made.tool\n        done = yield made",
    ),
    "a call that is written out": (
        FALLBACK,
        CALL,
        written("suspend_account", '{"account_id": account_id, "days": days}'),
    ),
    "a call that is computed": (FALLBACK, CALL, written("suspend_account", "{**{}}")),
    "a field of the result": (
        FALLBACK,
        STEP,
        f"{STEP}\n        assert done.account_id, done.model_dump()",
    ),
    "what may be missing": (
        FALLBACK,
        STEP,
        f"{STEP}\n        getattr(done, 'status', None)",
    ),
}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_function_or_a_fallback_is_told(name: str, sound: Path, tmp_path: Path) -> None:
    change, says = MISTAKES[name]

    found = [one for one in told(sound, tmp_path, *change) if says in one[1]]

    assert [file for file, _ in found] == [Path(change[0]).name]


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", HONEST)
def test_what_may_be_right_is_not_blamed(name: str, sound: Path, tmp_path: Path) -> None:
    assert told(sound, tmp_path, *HONEST[name]) == []


@pytest.mark.parametrize(
    ("argument", "wanted"), [("text", []), ("txt", ["desk_create has no argument txt, and needs text"])]
)
def test_a_written_call_of_a_server_s_tool_is_held_to_its_schema(
    argument: str, wanted: list[str], sound: Path, tmp_path: Path
) -> None:
    project = tmp_path / "declared"
    shutil.copytree(sound, project, ignore=shutil.ignore_patterns("__pycache__"))
    declare(project / "sounddesk", "desk", desk_server(), tools(KEY))

    found = told(project, tmp_path, FALLBACK, CALL, written("desk_create", f'{{"{argument}": "Hi."}}'))

    assert [said.partition(", which")[0] for file, said in found if file == "suspend.py"] == wanted
