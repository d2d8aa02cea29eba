"""MCP servers that nobody here wrote, behind a lossy wire: each effect happens at most once, or is with a person.

Skipped without them: ``make servers`` installs them, and plays these tests.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.errors import EffectUnknown
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
    Elsewhere("fetch", "mcp-server-fetch", ("--ignore-robots-txt", "--allow-private-ips"), "fetch", {"url": "{page}"}),
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
    if isinstance(value, str) and "{page}" in value:
        return (folder / "page").read_text(encoding="utf-8")
    return value.replace("{folder}", str(folder)) if isinstance(value, str) else value


class Page(BaseHTTPRequestHandler):
    """A page to fetch."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"The office is open.")

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def page(folder: Path) -> Iterator[None]:
    """Serve a page on loopback, and write its URL into the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="page")
    thread.start()
    (folder / "page").write_text(f"http://127.0.0.1:{server.server_address[1]}/", encoding="utf-8")
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def elsewhere(
    request: pytest.FixtureRequest, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Stack, Elsewhere, Path, Path]]:
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
    slow = request.node.callspec.params.get("how") == "slow"
    made = {"timeout_s": 6 if slow else 20, "circuit": {"failures": 1_000}}
    declare(playbook, server.name, declared["server"] | made, declared["tools"])
    stack.alone("executor")
    with page(folder) if server.name == "fetch" else nullcontext():
        yield stack, server, folder, plan


Played = Callable[[str], tuple[str, int]]


@pytest.fixture
def played(
    elsewhere: tuple[Stack, Elsewhere, Path, Path], record_property: Callable[[str, object], None]
) -> tuple[Elsewhere, Played]:
    """Return what carries the call out with a trouble and delivers it once more: its status, and its effects."""
    stack, server, folder, plan = elsewhere

    def play(how: str) -> tuple[str, int]:
        plan.write_text(how)
        run_id = stack.open()
        call = {"tool": f"{server.name}_{server.tool}", "arguments": filled(server.arguments, folder)}
        status, _ = carried_out(stack, call, run_id=run_id)
        try:
            assert stack.execute(run_id) == status
        except EffectUnknown:
            assert status == "unknown"
        effects = 0 if server.count is None else server.count(folder)
        record_property("play", f"{server.name} {how} {status} {'-' if server.count is None else effects}")
        return status, effects

    return server, play


@pytest.mark.parametrize("how", ["well", "crash", "lost", "half", "slow"])
@pytest.mark.parametrize("elsewhere", SERVERS, indirect=True, ids=ids)
def test_a_call_of_a_real_server_happens_at_most_once_and_is_known_or_with_a_person(
    played: tuple[Elsewhere, Played], how: str
) -> None:
    server, play = played

    status, effects = play(how)

    writes = server.count is not None
    # A read that takes too long has changed nothing: the planner is told, and goes on.
    usual = "unknown" if writes else "failed" if how == "slow" else "ok"
    assert status == ("ok" if how == "well" else usual)
    assert effects == int(writes and how != "crash")


@pytest.mark.parametrize("elsewhere", SERVERS, indirect=True, ids=ids)
def test_a_call_that_its_schema_forbids_never_reaches_a_real_server(
    elsewhere: tuple[Stack, Elsewhere, Path, Path],
) -> None:
    stack, server, folder, _ = elsewhere
    wrong = {**filled(server.arguments, folder), "not_declared": 1}

    assert carried_out(stack, {"tool": f"{server.name}_{server.tool}", "arguments": wrong})[0] == "refused"
    assert server.count is None or server.count(folder) == 0
