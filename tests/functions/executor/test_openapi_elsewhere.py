"""HTTP servers and OpenAPI documents that nobody here wrote, behind a lossy wire: effects are counted at the server.

Skipped without them: ``make servers`` installs them, and plays these tests.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.errors import EffectUnknown
from cli import main
from tests.functions import remote
from tests.functions.remote import carried_out
from tests.functions.stack import Stack
from tests.support.lossy_http import LossyHttp
from tests.support.remote_desk import declare

FOLDER = Path(os.environ.get("OPENAPI_SERVERS", "/nowhere"))
PREFECT = str(FOLDER / "prefect/bin/prefect")
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_UI_ENABLED": "false", "DO_NOT_TRACK": "1"}


def asked(port: int, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text)
    finally:
        connection.close()


@dataclass(frozen=True)
class Served:
    """A server: its command, where its document and its calls are, the call that writes, and how to count effects."""

    name: str
    command: tuple[str, ...]
    prefix: str
    tool: str
    path: str
    arguments: Callable[[int], Mapping[str, Any]]
    count: Callable[[int], int]
    key: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


def flow_run(port: int) -> Mapping[str, Any]:
    flow = asked(port, "POST", "/api/flows/", {"name": "nightly"})
    return {"flow_id": flow["id"], "state": {"type": "SCHEDULED"}}


SERVERS = [
    Served(
        "todo",
        ("node", str(FOLDER / "node_modules/@loopback/example-todo/dist/index.js")),
        "",
        "TodoController_create",
        "/todos",
        lambda port: {"body": {"title": "Call Ann"}},
        lambda port: int(asked(port, "GET", "/todos/count")["count"]),
    ),
    Served(
        "prefect",
        (PREFECT, "server", "start", "--no-services", "--host", "127.0.0.1", "--port", "{port}"),
        "/api",
        "create_flow_run_flow_runs__post",
        "/api/flow_runs/",
        flow_run,
        lambda port: int(asked(port, "POST", "/api/flow_runs/count", {})),
        "idempotency_key",
        QUIET,
    ),
]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda one: one.name)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int]]:
    """Start the server and return its port."""
    server: Served = request.param
    program = shutil.which(server.command[0])
    if program is None or not Path(server.command[1] if server.command[0] == "node" else program).exists():
        pytest.skip(f"{server.command[0]} is not in OPENAPI_SERVERS; `make servers` installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    home = tmp_path_factory.mktemp(server.name)
    (home / "data").mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "HOST": "127.0.0.1", "PORT": str(port)}
    words = [word.replace("{port}", str(port)) for word in server.command]
    with (home / "out").open("w") as out:
        process = subprocess.Popen(
            words, cwd=home, env=environ | {"PREFECT_HOME": str(home)} | dict(server.environ), stdout=out, stderr=out
        )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                asked(port, "GET", "/openapi.json")
                break
            except (OSError, http.client.HTTPException):
                assert process.poll() is None, (home / "out").read_text()
                assert time.monotonic() < until, (home / "out").read_text()
                time.sleep(0.2)
        yield server, port
    finally:
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class Elsewhere:
    """The tool of a running server behind a wire, declared in a playbook."""

    stack: Stack
    server: Served
    port: int
    wire: LossyHttp

    @property
    def call(self) -> dict[str, Any]:
        """A call of the tool that writes."""
        name = f"{self.server.name}_{self.server.tool}"
        return {"tool": name, "arguments": dict(self.server.arguments(self.port))}

    def played(self, how: str) -> tuple[str, int]:
        """Carry the call out with a trouble, deliver it once more, and return its status and its effects."""
        self.wire.trouble.append(how)
        call, before = self.call, self.server.count(self.port)
        run_id = self.stack.open()
        status, _ = carried_out(self.stack, call, run_id=run_id)
        try:
            assert self.stack.execute(run_id) == status
        except EffectUnknown:
            assert status == "unknown"
        return status, self.server.count(self.port) - before


@pytest.fixture
def elsewhere(running: tuple[Served, int], stack: Stack, tmp_path: Path) -> Iterator[Callable[..., Elsewhere]]:
    """Return what imports the document, and declares its tool with more fields."""
    server, port = running
    with LossyHttp(port, lambda method, path: (method, path) == ("POST", server.path)) as wire:

        def make(**more: Any) -> Elsewhere:
            document = tmp_path / "openapi.json"
            document.write_text(json.dumps(asked(port, "GET", "/openapi.json")), encoding="utf-8")
            remote.with_servers(stack, tmp_path, {})
            playbook = Path(stack.environs["executor"]["PLAYBOOK_DIR"])
            words = ["import", "openapi", str(document), "--playbook", str(playbook), "--name", server.name]
            assert main([*words, "--only", server.tool, "--url", f"{wire.url}{server.prefix}", "--private"]) == 0
            file = playbook / "servers" / f"{server.name}.yaml"
            declared = yaml.safe_load(file.read_text(encoding="utf-8"))
            declared["tools"][server.tool].pop("approval")
            declared["tools"][server.tool] |= more
            made = {"timeout_s": 3, "circuit": {"failures": 1_000}}
            declare(playbook, server.name, declared["server"] | made, declared["tools"])
            stack.alone("executor")
            return Elsewhere(stack, server, port, wire)

        yield make


@pytest.fixture
def tally(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Return what notes a play for the table (``tests.support.servers_table``)."""

    def note(server: str, how: str, status: str, effects: int) -> None:
        record_property("play", f"{server} {how} {status} {effects}")

    return note


@pytest.mark.parametrize("how", ["well", "crash", "lost", "half", "slow"])
def test_a_call_of_a_real_http_server_happens_at_most_once(
    elsewhere: Callable[..., Elsewhere], tally: Callable[..., None], how: str
) -> None:
    desk = elsewhere()

    status, effects = desk.played(how)

    tally(desk.server.name, how, status, effects)
    assert (status, effects) == ("ok" if how == "well" else "unknown", int(how != "crash"))


@pytest.mark.parametrize("how", ["well", "crash", "lost", "half", "slow", "twice"])
def test_with_its_own_key_each_call_happens_once_and_is_known(
    elsewhere: Callable[..., Elsewhere], tally: Callable[..., None], running: tuple[Served, int], how: str
) -> None:
    if not running[0].key:
        pytest.skip("this server knows no idempotency key")
    desk = elsewhere(key={"argument": running[0].key})

    status, effects = desk.played(how)

    tally(f"{desk.server.name}+key", how, status, effects)
    assert (status, effects) == ("ok", 1)


def test_a_call_that_its_schema_forbids_never_reaches_the_server(elsewhere: Callable[..., Elsewhere]) -> None:
    desk = elsewhere()
    wrong = {**desk.call, "arguments": {**desk.call["arguments"], "not_declared": 1}}

    assert carried_out(desk.stack, wrong)[0] == "refused"
    assert desk.wire.calls == 0
