"""One Ballast as a tool of another: imported as any MCP server, called over a wire that loses answers."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import main
from tests.functions import remote
from tests.functions.cloud import client
from tests.functions.http import ACME, event
from tests.functions.remote import carried_out
from tests.functions.stack import HANDLERS, LambdaContext, Stack
from tests.support.remote_desk import declare

pytestmark = pytest.mark.usefixtures("waiting_workflow")
CALL = {"tool": "front_start_run", "arguments": {"text": "Tidy my notes.", "agent": "tester"}}


class Front:
    """The API of a stack over HTTP, as acme. ``trouble``: of the next tool calls, lost | crash."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.trouble, self.calls = stack, deque[str](), list[Any]()

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        message = json.loads(body)
        how = ""
        if message["method"] == "tools/call":
            self.calls.append(message["params"])
            how = self.trouble.popleft() if self.trouble else ""
        if how == "crash":
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        sent = event("POST", "/mcp", who=ACME, body=body, headers=headers)
        reply = HANDLERS["api"](sent, LambdaContext(), runtime=self.stack.runtime("api"))
        if how == "lost":
            return
        handler.send_response(reply["statusCode"])
        handler.send_header("Content-Type", reply["headers"].get("Content-Type", "application/json"))
        handler.send_header("Content-Length", str(len(reply["body"].encode())))
        handler.end_headers()
        handler.wfile.write(reply["body"].encode())


@pytest.fixture
def front(stack: Stack) -> Iterator[tuple[Front, str]]:
    opened = Front(stack)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            opened.take(self)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield opened, f"http://127.0.0.1:{server.server_address[1]}/mcp"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def imported(stack: Stack, front: tuple[Front, str], tmp_path: Path) -> Stack:
    """Import the server, and declare by hand what a person knows: a repeated request_id has no second effect."""
    remote.with_servers(stack, tmp_path, {})
    playbook = Path(stack.environs["executor"]["PLAYBOOK_DIR"])
    words = ["import", "mcp", front[1], "--playbook", str(playbook), "--name", "front"]
    assert main([*words, "--private", "--only", "start_run", "--only", "get_run"]) == 0
    file = playbook / "servers" / "front.yaml"
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))
    declared["tools"]["start_run"] |= {"effect": "write", "key": {"argument": "request_id"}}
    declared["tools"]["start_run"].pop("approval", None)
    declared["tools"]["get_run"] |= {"effect": "read"}
    declared["tools"]["get_run"].pop("approval", None)
    more = {"timeout_s": 20, "circuit": {"failures": 1_000}}
    declare(playbook, "front", declared["server"] | more, declared["tools"])
    stack.alone("executor")
    return stack


def executions() -> int:
    arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:agent"
    return len(client("stepfunctions").list_executions(stateMachineArn=arn)["executions"])


@pytest.mark.parametrize("trouble", [[], ["lost"], ["crash"], ["lost", "lost", "crash"]], ids=str)
def test_a_run_that_another_stack_starts_is_one_run(
    imported: Stack, front: tuple[Front, str], trouble: list[str]
) -> None:
    front[0].trouble.extend(trouble)
    before, run_id = executions(), imported.open()

    assert carried_out(imported, CALL, run_id=run_id) == ("ok", "")

    assert executions() == before + 1
    assert len(front[0].calls) == len(trouble) + 1
    assert {one["arguments"]["request_id"] for one in front[0].calls} == {f"{run_id}.0001.1"}
    result = imported.body(run_id, "0001.call.1.settled")["result"]
    assert (result["status"], result["tenant"]) == ("running", "acme")


def test_what_the_other_stack_says_is_read_and_its_refusal_reaches_the_model(
    imported: Stack, front: tuple[Front, str]
) -> None:
    there = imported.open(tenant="acme", text="Of acme.")
    elsewhere = imported.open(tenant="globex", text="Of globex.")
    seen, unseen = imported.open(), imported.open()

    assert carried_out(imported, {"tool": "front_get_run", "arguments": {"run_id": there}}, run_id=seen)[0] == "ok"
    status, why = carried_out(imported, {"tool": "front_get_run", "arguments": {"run_id": elsewhere}}, run_id=unseen)

    assert imported.body(seen, "0001.call.1.settled")["result"]["untrusted"]["text"] == "Of acme."
    assert status != "ok"
    assert "There is no run of that id here." in why
    assert "Of globex." not in str([one.body for one in imported.events(unseen)])
