"""The snippets of the reference run in a new project, and the example with an HTTP API passes what it promises."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.errors import PlaybookInvalid
from ballast.playbook import load_playbook
from cli import main
from cli.parser import parser
from localcloud.cloud import ROOT, LocalCloud
from localcloud.stand_ins import FILE, standing_in

PAGE = (ROOT / "docs" / "playbook.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "itdesk"
#: What a shell's line on the page may begin with, besides `ballast`; none of it is run here.
OTHERS = ("cd", "pytest", "sam", "aws", "git", "make", "source")


def snippets(language: str) -> list[tuple[str, str]]:
    """Return the file that a snippet names in its first line, and its text."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [(text.partition("\n")[0].removeprefix("# "), text.partition("\n")[2]) for text in found]


def new(name: str, into: Path) -> Path:
    assert main(["new", name, "--into", str(into)]) == 0
    return into / name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project with everything of the page in it."""
    made = new("refdesk", tmp_path_factory.mktemp("page"))
    package = made / "refdesk"
    agent = yaml.safe_load((package / "agent.yaml").read_text())
    for file, text in snippets("yaml"):
        if file == "agent.yaml":
            agent |= yaml.safe_load(text)
    (package / "agent.yaml").write_text(yaml.safe_dump(agent))
    for file, text in snippets("python"):
        target = made / file if file.startswith("scenarios/") else package / file
        assert target.parent.is_dir()
        target.write_text(text)
    business = made / "business.yaml"
    secret = next(text for file, text in snippets("yaml") if file == "business.yaml")
    text = business.read_text().replace("\nResources:\n", f"\n{secret}", 1)
    text = text.replace(
        '"${AccountsTable}"}',
        '"${AccountsTable}", "IDP_URL": "https://idp.example", "IDP_SECRET_ARN": "${IdpSecret}"}',
    )
    statement = "- {Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Ref IdpSecret}"
    assert statement[2:] in " ".join(PAGE.split())
    business.write_text(text.replace("\nOutputs:", f"          {statement}\n\nOutputs:"))
    return made


def run(*command: str, within: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environ.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=within, env=environ, capture_output=True, text=True, check=False
    )


def test_every_snippet_says_what_it_is() -> None:
    assert [file for file, _ in snippets("python")] == [
        *("tools/export_account.py", "store/__init__.py", "scenarios/stand_ins.py")
    ]
    kinds = {file.partition(":")[0] for file, _ in snippets("yaml")}
    assert kinds == {"yaml-language-server", "agent.yaml", "business.yaml"}


def test_the_page_loads_and_its_tool_acts(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tests" / "test_page.py").write_text(
        "def test_the_export_gives_a_file_and_reports_its_cost(gate, tool_context, playbook, local_cloud):\n"
        '    made = gate.call("export_account", {"account_id": "A-1001"}, after=[], context={"account_id": "A-1001"})\n'
        '    assert made.status == "ok", made.message\n'
        '    export = playbook.tools["export_account"]\n'
        '    export(export.read({"account_id": "A-1001"}), tool_context)\n'
        '    assert [one[:2] for one in tool_context.files] == [("account.csv", "csv")]\n'
        "    assert tool_context.bill.reported == 200\n"
        '    assert tool_context.environ["IDP_URL"].startswith("http://127.0.0.1:")\n'
    )

    ended = run("pytest", "-q", "-p", "no:cacheprovider", "tests/test_page.py", within=project)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    agent = load_playbook(project).agent
    assert (agent.out_of_budget, agent.moves.currency, agent.trust_text) == ("ask", "EUR", False)


def test_each_ballast_command_of_the_page_can_be_typed() -> None:
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE))
    typed = [part.partition("  #")[0].strip() for line in text.splitlines() for part in line.split("&&")]
    inline = [one for one in re.findall(r"`(ballast [a-z-][^`]*)`", PAGE) if one != "ballast erase"]

    assert len(typed) > 12
    for line in [one for one in [*typed, *inline] if one]:
        words = re.findall(r'"[^"]*"|\S+', line)
        if words[0] == "ballast" and line in inline and len(words) == 2:  # the name of a command
            with pytest.raises(SystemExit, match=r"^0$"):
                parser().parse_args([words[1], "--help"])
        elif words[0] == "ballast":
            parser().parse_args([word.strip('"') for word in words[1:]])
        else:
            assert words[0] in OTHERS


def test_the_example_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", str(EXAMPLE), "--json"])

    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [one for one in said["findings"] if one["level"] != "hint"] == []


@pytest.mark.deep
def test_the_examples_scenarios_end_as_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BALLAST_HOME", str(tmp_path))
    before = set(threading.enumerate())

    code = main(["test", str(EXAMPLE), "--json"])

    results = json.loads(capsys.readouterr().out)
    assert [one["wrong"] or one["error"] for one in results if not one["passed"]] == []
    assert code == 0
    assert len(results) == 4
    assert [one for one in set(threading.enumerate()) - before if "serve_forever" in one.name] == []


@pytest.mark.deep
def test_the_examples_tests_pass() -> None:
    ended = run("pytest", "-q", "-p", "no:cacheprovider", within=EXAMPLE)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "12 passed" in ended.stdout


def test_the_examples_declaration_is_what_its_document_says(capsys: pytest.CaptureFixture[str]) -> None:
    document = str(EXAMPLE / "idp.openapi.yaml")
    typed = ["import", "openapi", document, "--playbook", str(EXAMPLE), "--name", "idp", "--private", "--check"]

    assert main(typed) == 0, capsys.readouterr().out
    assert "as it was pinned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "old", "found"),
    [
        ("business.yaml", '"IDP_URL": "https://idp.internal.example", ', ("error", "IDP_URL")),
        ("business.yaml", "secretsmanager:GetSecretValue", ("error", "secretsmanager:GetSecretValue")),
        ("itdesk/servers/idp.yaml", "url: {env: IDP_URL}", ("warning", "Outputs.Environment IDP_URL")),
    ],
)
def test_what_a_declaration_of_a_server_needs_is_checked(
    file: str, old: str, found: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "itdesk"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    text = (project / file).read_text()
    assert old in text
    new_text = {"url: {env: IDP_URL}": "url: https://idp.example", "secretsmanager:GetSecretValue": "ssm:GetParameter"}
    (project / file).write_text(text.replace(old, new_text.get(old, "")))

    main(["check", str(project), "--json"])

    findings = json.loads(capsys.readouterr().out)["findings"]
    assert found in [(one["level"], one["field"]) for one in findings]


STANDS = "from contextlib import contextmanager\n@contextmanager\ndef stand_ins():\n    {}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError"),
        ("STAND_INS = {}", "has no function stand_ins"),
        (STANDS.format("raise OSError('no port')"), r"stand_ins\(\) failed: OSError: no port"),
        (STANDS.format("yield 'http://127.0.0.1'"), "must yield names and texts"),
        (STANDS.format("yield {'IDP_URL': 8080}"), "must yield names and texts"),
        (STANDS.format("yield {'OTHER_URL': 'http://127.0.0.1'}"), "stands in for OTHER_URL, which business.yaml"),
    ],
)
def test_a_wrong_stand_in_is_named(text: str, said: str, tmp_path: Path) -> None:
    project = tmp_path / "itdesk"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (project / FILE).write_text(text)

    with pytest.raises(PlaybookInvalid, match=said), LocalCloud(project):
        pass


def test_a_stand_in_ends_with_its_cloud_and_also_when_the_cloud_does_not_open(tmp_path: Path) -> None:
    project = tmp_path / "itdesk"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    ended: list[Any] = []
    body = "try:\n        yield {'OTHER': 'x'}\n    finally:\n        import ended\n        ended.ended.append(1)"
    (project / FILE).write_text(STANDS.format(body))
    sys.modules["ended"] = type(sys)("ended")
    sys.modules["ended"].ended = ended  # type: ignore[attr-defined]
    try:
        with pytest.raises(PlaybookInvalid), LocalCloud(project):
            pass
    finally:
        del sys.modules["ended"]

    assert ended == [1]
    with standing_in(ROOT / "layers" / "playbook" / "playbook") as (module, variables):
        assert (module, variables) == (None, {})
