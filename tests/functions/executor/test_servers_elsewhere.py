"""MCP servers that nobody here wrote, behind a lossy wire: each effect happens at most once, or is with a person.

Skipped without them: ``make servers`` installs them, and plays these tests.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import main
from tests.functions import remote
from tests.functions.remote import carried_out
from tests.functions.stack import Stack
from tests.support.remote_desk import declare

FOLDERS = os.environ.get("MCP_SERVERS", "")
ROOT = Path(__file__).parents[3]


def rows(folder: Path) -> int:
    with sqlite3.connect(folder / "db") as opened:
        found = int(opened.execute("SELECT count(*) FROM notes").fetchone()[0])
    opened.close()
    return found


def table(folder: Path) -> None:
    with sqlite3.connect(folder / "db") as opened:
        opened.execute("CREATE TABLE notes (text TEXT)")
    opened.close()


def repository(folder: Path) -> None:
    git("init", "-q", str(folder / "repo"), at=folder)
    git("commit", "-q", "--allow-empty", "-m", "first", at=folder / "repo")
    (folder / "repo" / "a.txt").write_text("a")
    git("add", "a.txt", at=folder / "repo")


def git(*words: str, at: Path) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=at, capture_output=True, text=True, check=True)
    return done.stdout


def commits(folder: Path) -> int:
    return len(git("log", "--format=%s", at=folder / "repo").split()) - 1


def entities(folder: Path) -> int:
    file = folder / "memory.jsonl"
    return file.read_text().count('"entity"') if file.exists() else 0


@dataclass(frozen=True)
class Elsewhere:
    """A server: its command, the call of a tool that writes (or reads), and how to count its effects."""

    name: str
    command: str
    words: tuple[str, ...]
    tool: str
    arguments: Mapping[str, Any]
    count: Callable[[Path], int] | None = None
    ready: Callable[[Path], None] | None = None


SERVERS = [
    Elsewhere("clock", "mcp-server-time", (), "get_current_time", {"timezone": "Europe/Berlin"}),
    Elsewhere(
        "sqlite",
        "mcp-server-sqlite",
        ("--db-path", "{folder}/db"),
        "write_query",
        {"query": "INSERT INTO notes VALUES ('a')"},
        rows,
        table,
    ),
    Elsewhere(
        "git",
        "mcp-server-git",
        ("--repository", "{folder}/repo"),
        "git_commit",
        {"repo_path": "{folder}/repo", "message": "second"},
        commits,
        repository,
    ),
    Elsewhere(
        "memory",
        "mcp-server-memory",
        (),
        "create_entities",
        {"entities": [{"name": "Ann", "entityType": "person", "observations": ["is on call"]}]},
        entities,
    ),
    Elsewhere(
        "files",
        "mcp-server-filesystem",
        ("{folder}",),
        "write_file",
        {"path": "{folder}/note.txt", "content": "hello"},
        lambda folder: int((folder / "note.txt").exists()),
    ),
]
ids = [one.name for one in SERVERS]


def filled(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {name: filled(one, folder) for name, one in value.items()}
    return value.replace("{folder}", str(folder)) if isinstance(value, str) else value


@pytest.fixture
def elsewhere(
    request: pytest.FixtureRequest, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Stack, Elsewhere, Path, Path]:
    """Import the server, declare its tool by hand, and put a lossy wire before it."""
    server: Elsewhere = request.param
    found = next(filter(None, (shutil.which(server.command, path=one) for one in FOLDERS.split(":") if one)), None)
    if found is None:
        pytest.skip(f"{server.command} is not in MCP_SERVERS; `make servers` installs it")
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "data"
    folder.mkdir()
    # The reference server of knowledge graphs reads where its file is from a variable; ours pass none but HOME.
    command = [found, *(filled(word, folder) for word in server.words)]
    if server.name == "memory":
        command = ["env", f"MEMORY_FILE_PATH={folder / 'memory.jsonl'}", *command]
    if server.ready is not None:
        server.ready(folder)
    plan = tmp_path / "plan"
    wire = [sys.executable, "-m", "tests.support.lossy_stdio", str(plan), *command]
    remote.with_servers(stack, tmp_path, {})
    playbook = Path(stack.environs["executor"]["PLAYBOOK_DIR"])
    words = ["import", "mcp", "--playbook", str(playbook), "--name", server.name, "--only", server.tool]
    assert main([*words, "--stdio", *wire]) == 0
    file = playbook / "servers" / f"{server.name}.yaml"
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))
    tool = declared["tools"][server.tool]
    tool |= {"effect": "write" if server.count else "read"}
    tool.pop("approval")
    made = {"timeout_s": 20, "circuit": {"failures": 1_000}}
    declare(playbook, server.name, declared["server"] | made, declared["tools"])
    stack.alone("executor")
    return stack, server, folder, plan


@pytest.mark.parametrize("elsewhere", SERVERS, indirect=True, ids=ids)
def test_a_call_of_a_real_server_comes_back(elsewhere: tuple[Stack, Elsewhere, Path, Path]) -> None:
    stack, server, folder, _ = elsewhere
    call = {"tool": f"{server.name}_{server.tool}", "arguments": filled(server.arguments, folder)}

    assert carried_out(stack, call)[0] == "ok"
    assert server.count is None or server.count(folder) == 1


@pytest.mark.parametrize("how", ["crash", "lost", "half"])
@pytest.mark.parametrize("elsewhere", [one for one in SERVERS if one.count], indirect=True, ids=lambda one: one.name)
def test_a_write_whose_answer_is_lost_is_with_a_person_and_happened_at_most_once(
    elsewhere: tuple[Stack, Elsewhere, Path, Path], how: str
) -> None:
    stack, server, folder, plan = elsewhere
    plan.write_text(how)
    call = {"tool": f"{server.name}_{server.tool}", "arguments": filled(server.arguments, folder)}

    assert carried_out(stack, call)[0] == "unknown"
    assert server.count is not None
    assert server.count(folder) == int(how != "crash")


@pytest.mark.parametrize("how", ["crash", "lost", "half"])
@pytest.mark.parametrize(
    "elsewhere", [one for one in SERVERS if not one.count], indirect=True, ids=lambda one: one.name
)
def test_a_read_whose_answer_is_lost_is_tried_again(elsewhere: tuple[Stack, Elsewhere, Path, Path], how: str) -> None:
    stack, server, folder, plan = elsewhere
    plan.write_text(how)
    call = {"tool": f"{server.name}_{server.tool}", "arguments": filled(server.arguments, folder)}

    assert carried_out(stack, call)[0] == "ok"


@pytest.mark.parametrize("elsewhere", SERVERS, indirect=True, ids=ids)
def test_a_call_that_its_schema_forbids_never_reaches_a_real_server(
    elsewhere: tuple[Stack, Elsewhere, Path, Path],
) -> None:
    stack, server, folder, _ = elsewhere
    wrong = {**filled(server.arguments, folder), "not_declared": 1}

    assert carried_out(stack, {"tool": f"{server.name}_{server.tool}", "arguments": wrong})[0] == "refused"
    assert server.count is None or server.count(folder) == 0
