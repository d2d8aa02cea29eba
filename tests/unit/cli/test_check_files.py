"""``ballast check`` of files: what cannot be read is one finding, and what rests on it is not told."""

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cli.checks import Finding, checked
from cli.checks.files import unreadable
from cli.commands.new import write

TODAY = date(2026, 11, 29)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project") / "files"
    write("files", project)
    return project


@pytest.fixture
def project(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "files", ignore=shutil.ignore_patterns("__pycache__", ".*"))


def told(project: Path, *levels: str) -> list[Finding]:
    return [one for one in checked(project, today=TODAY).findings if one.level in (levels or ("error", "warning"))]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.symlink_to("nothing.py"), "a link to nothing"),
        (lambda file: file.mkdir(), "a folder"),
        (os.mkfifo, "no regular file"),
    ],
)
@pytest.mark.parametrize("place", ["files/tools/other.py", "files/other.py"])
def test_a_file_that_cannot_be_read_is_one_finding_and_the_checks_go_on(
    project: Path, make: Callable[[Path], None], says: str, place: str
) -> None:
    make(project / place)
    business = project / "business.yaml"
    business.write_text(business.read_text().replace("dynamodb:UpdateItem", "dynamodb:PutItem"))

    found = told(project)

    assert [one.problem for one in found if place in one.file and says in one.problem] == [found[0].problem]
    assert not [one for one in found if "cannot be imported" in one.problem or "The check `" in one.problem]
    assert [one.field for one in found[1:] if one.level == "error"] == ["dynamodb:UpdateItem"]


def test_a_file_that_may_not_be_read_is_told_by_what_is_missing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = project / "files" / "tools" / "look_up_account.py"
    monkeypatch.setattr("cli.checks.files.os.access", lambda file, _: file != closed)

    assert [(one.file, one.problem) for one in unreadable(project)] == [
        (str(closed), "It cannot be read: the permission is missing.")
    ]


def test_a_hidden_link_such_as_the_lock_of_an_editor_is_no_finding(project: Path) -> None:
    (project / "files/tools/.#look_up_account.py").symlink_to("someone@machine.4711")

    assert told(project) == []


@pytest.mark.parametrize("text", ["def open(:\n", "\0", None])
def test_nothing_is_told_that_rests_on_a_file_that_does_not_load(project: Path, text: str | None) -> None:
    business, file = project / "business.yaml", project / "files/tools/reinstate_account.py"
    business.write_text(business.read_text().replace("dynamodb:UpdateItem", "dynamodb:UpdateItem, dynamodb:Scan"))
    if text is not None:
        file.write_text(text)

    found = told(project, "error", "warning", "hint")

    broken = {file.name} if text is not None else set()
    assert {Path(one.file.partition(",")[0]).name for one in found if one.level != "hint"} == broken
    assert any("No code of the playbook needs" in one.problem for one in found) == (text is None)


TOOL = """from pydantic import BaseModel
from ballast.playbook import Read, ToolContext, tool


class Nothing(BaseModel):
    model_config = {"extra": "forbid", "frozen": True}


@tool(effect=Read())
def count(args: Nothing, ctx: ToolContext) -> int:
    '''Count.'''
    return 1
"""


@pytest.mark.parametrize(
    ("place", "text", "says"),
    [
        ("files/tools/count.py", "def count() -> int:\n    return 1\n", "decorated with @tool"),
        ("files/fallbacks/count.py", "def count(request):\n    yield\n", "decorated with @fallback"),
        ("files/counting.py", TOOL, "only files in tools/ itself"),
        ("files/tools/more/count.py", TOOL, "only files in tools/ itself"),
        ("files/servers/stock.yml", "{}", "ends with .yaml"),
    ],
)
def test_a_file_that_is_taken_for_nothing_is_a_warning(project: Path, place: str, text: str, says: str) -> None:
    (project / place).parent.mkdir(exist_ok=True)
    (project / place).write_text(text)

    [found] = told(project)

    assert (found.level, place in found.file, says in found.problem) == ("warning", True, True)


def test_a_helper_in_tools_and_a_tool_that_is_imported_there_are_no_findings(project: Path) -> None:
    tools = project / "files/tools"
    (tools / "words.py").write_text("def words() -> int:\n    return 1\n")
    (project / "files/counting.py").write_text(TOOL)
    (tools / "counts.py").write_text("from ..counting import count\nfrom .words import words\n\nALL = [count, words]\n")

    assert told(project) == []


def test_no_fallback_is_asked_for_whose_file_is_there_without_one(project: Path) -> None:
    assert [one.field for one in told(project, "hint") if "fallbacks/account_status.py" in one.remedy]
    (project / "files/fallbacks/account_status.py").write_text("")

    assert not [one for one in told(project, "hint") if "fallbacks/account_status.py" in one.remedy]


@pytest.mark.parametrize(
    ("place", "old", "new", "field"),
    [
        ("business.yaml", None, "", ""),
        ("business.yaml", None, "[a, b: c\n", ""),
        ("business.yaml", "${AccountsTable}", "${AccountTable}", "Outputs.Environment.Value.Fn::Sub"),
        ("business.yaml", "!GetAtt AccountsTable.Arn", '"*"', "ReadAndChangeAccounts"),
        ("files/tools/look_up_account.py", "from ballast", "import no_such_thing\nfrom ballast", "no_such_thing"),
    ],
)
def test_one_fault_is_told_once(project: Path, place: str, old: str | None, new: str, field: str) -> None:
    file = project / place
    file.write_text(file.read_text().replace(old, new, 1) if old else new)

    found = told(project)

    assert {(one.level, one.path_and_line[0], one.field) for one in found} == {("error", str(file), field)}
    assert len({one.problem for one in found}) == len(found) <= 2


def test_a_finding_has_its_path_and_its_line() -> None:
    found = [Finding("error", file, "", "", "") for file in ("/a, line 3/b.py, line 12", "/a/b.py", "/a, line x")]

    assert [one.path_and_line for one in found] == [("/a, line 3/b.py", 12), ("/a/b.py", None), ("/a, line x", None)]
