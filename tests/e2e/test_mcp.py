"""Ballast as an MCP server, by the client that others use: over HTTP and on standard input and output."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from botocore.exceptions import ClientError
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from cli.commands.mcp import bearer, poster
from cli.mcp_bridge import Bridge, HttpReply
from localcloud.clock import WallClock
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel
from localcloud.gateway import Served, serve
from localcloud.gateway.identity import CLAIMS, operator
from tests.e2e.served import PLAYBOOK, ask, model, waiting_run

ROOT = Path(__file__).resolve().parents[2]
BALLAST = str(Path(sys.executable).with_name("ballast"))
#: The ways in which the client agrees on a version: by the handshake, by discovery, and without asking.
MODES = ("legacy", "auto", "2026-07-28")
TOOLS = ["ask", "start_run", "get_run", "list_events", "list_waiting", "cancel_run"]


@pytest.fixture(scope="module")
def up() -> Iterator[tuple[LocalCloud, Served]]:
    """Serve a cloud in which each function has its own role's rights, and a token may name any role."""
    clock = WallClock(sleep=lambda _: None)
    with (
        ConverseServer(CallableModel(model)) as double,
        LocalCloud(PLAYBOOK, double.url, enforce_iam=True, clock=clock, parameters=CLAIMS) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        yield cloud, served


def over_http(url: str, who: str, mode: str, do: Callable[[Client], Awaitable[Any]]) -> Any:
    """Do something as a client over HTTP."""

    async def play() -> Any:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {who}"}, timeout=300) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
        ):
            return await do(client)

    return asyncio.run(play())


def over_stdio(url: str, who: str, mode: str, do: Callable[[Client], Awaitable[Any]]) -> Any:
    """Do something as a client of ``ballast mcp``."""
    environ = {**os.environ, "BALLAST_TOKEN": who, "HTTP_PROXY": "http://127.0.0.1:9"}
    server = StdioServerParameters(command=BALLAST, args=["mcp", "--url", url], env=environ)

    async def play() -> Any:
        async with Client(stdio_client(server), mode=mode) as client:
            return await do(client)

    return asyncio.run(play())


DOORS = (over_http, over_stdio)
Door = Callable[[str, str, str, Callable[[Client], Awaitable[Any]]], Any]


@pytest.mark.sampled
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("door", DOORS)
def test_a_run_is_asked_followed_and_started_once(up: tuple[LocalCloud, Served], door: Door, mode: str) -> None:
    cloud, served = up
    request_id = f"sdk-{door.__name__}-{mode}"

    async def play(client: Client) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS
        arguments = {"request_id": request_id, "text": "Hello.", "wait_s": 25}
        first, again = [await client.call_tool("ask", arguments) for _ in range(2)]
        run = first.structured_content
        assert run is not None
        assert (run["status"], run["untrusted"]["answer"]) == ("answered", "You said: Hello."), run
        assert again.structured_content == run
        shown = await client.call_tool("get_run", {"run_id": run["run_id"]})
        assert shown.structured_content == run
        events = await client.call_tool("list_events", {"run_id": run["run_id"]})
        assert events.structured_content is not None
        assert [one["seq"] for one in events.structured_content["events"]] == [
            one.seq for one in cloud.events(run["run_id"])
        ]
        wrong = await client.call_tool("ask", arguments | {"text": "Another."})
        assert wrong.is_error
        assert "409" in str(wrong.content) or "request-conflict" in str(wrong.content)

    door(served.url, "mia:member", mode, play)


@pytest.mark.parametrize("door", DOORS)
def test_what_waits_is_listed_and_goes_on_when_a_person_has_answered(up: tuple[LocalCloud, Served], door: Door) -> None:
    _cloud, served = up
    run = waiting_run(served)

    async def play(client: Client) -> None:
        waiting = (await client.call_tool("list_waiting", {"limit": 20})).structured_content
        assert waiting is not None
        (mine,) = [one for one in waiting["runs"] if one["run_id"] == run["run_id"]]
        assert mine["asked"]["escalation_id"] == run["escalation_id"]
        decision = {"decision": {"kind": "answer", "text": "A person says yes."}}
        asked = f"/escalations/{run['escalation_id']}"
        lee = {"Authorization": f"Basic {base64.b64encode(b'lee:').decode()}"}
        assert ask(served, "POST", asked, decision, lee)[0] == 200
        shown = (await client.call_tool("get_run", {"run_id": run["run_id"], "wait_s": 25})).structured_content
        assert shown is not None
        assert (shown["status"], shown["by"]) == ("answered", "human")
        assert shown["untrusted"]["answer"] == "A person says yes."

    door(served.url, "mia:member", "auto", play)


def test_a_caller_who_is_nobody_reaches_no_tool(up: tuple[LocalCloud, Served]) -> None:
    _cloud, served = up

    async def play(client: Client) -> Any:
        return await client.list_tools()

    for door, told in ((over_http, "error response"), (over_stdio, "401")):
        with pytest.raises((BaseExceptionGroup, MCPError)) as raised:
            door(served.url, "mia:emperor", "legacy", play)
        assert any(told in str(one) for one in leaves(raised.value)), raised.value
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert ask(served, "POST", "/mcp", listing, {"Authorization": "Bearer mia:emperor"})[0] == 401


def leaves(group: BaseException) -> Iterator[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        for one in group.exceptions:
            yield from leaves(one)
    else:
        yield group


def test_a_request_whose_answer_is_lost_is_sent_again_and_starts_one_run(up: tuple[LocalCloud, Served]) -> None:
    cloud, served = up
    real, lost, said = poster(f"{served.url}/mcp", bearer("mia:member")), [2], list[Any]()

    def lossy(body: bytes, headers: Mapping[str, str]) -> HttpReply:
        reply = real(body, headers)
        if lost[0]:
            lost[0] -= 1
            raise ConnectionResetError
        return reply

    before = executions(cloud)
    arguments = {"request_id": "lost-answers", "text": "Hello."}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "start_run", "arguments": arguments}}
    Bridge(lossy, lambda line: said.append(json.loads(line)), lambda _: None).serve([json.dumps(call).encode()])

    (reply,) = said
    assert not reply["result"]["isError"]
    assert executions(cloud) - before == {reply["result"]["structuredContent"]["run_id"]}
    assert lost == [0]


def test_no_redirect_is_followed_with_the_callers_credentials() -> None:
    seen: list[tuple[str, str | None]] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(307)
            self.send_header("Location", "/stolen")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        reply = poster(f"http://127.0.0.1:{server.server_address[1]}/mcp", bearer("mia:member"))(b"{}", {})
        server.shutdown()
        thread.join()

    assert reply.status == 307
    assert seen == [("/mcp", "Bearer mia:member")]


def executions(cloud: LocalCloud) -> set[str]:
    machine = cloud.physical_id("AgentStateMachine")
    pages = cloud.session.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=machine)
    return {execution["name"] for page in pages for execution in page["executions"]}


@pytest.mark.deep
def test_a_playbook_is_served_by_a_local_cloud_of_its_own(tmp_path: Path) -> None:
    environ = {**os.environ, "BALLAST_HOME": str(tmp_path)}
    script = str(ROOT / "localcloud" / "scenarios" / "happy-path" / "script.yaml")
    words = ["mcp", "--playbook", str(ROOT / "layers" / "playbook" / "playbook"), "--model", script]
    server = StdioServerParameters(command=BALLAST, args=words, env=environ)
    arguments = {
        "request_id": "own-cloud-1",
        "text": "Please cancel order O-1002.",
        "context": {"order_id": "O-1002", "customer_id": "C-1001"},
        "intent": "cancel_order",
    }

    async def play() -> Any:
        async with Client(stdio_client(server), mode="legacy") as client:
            return (await client.call_tool("ask", arguments | {"wait_s": 25})).structured_content

    run = asyncio.run(play())

    assert run["status"] in ("answered", "running"), run
    assert run["tenant"] == "default"


def announced(cloud: LocalCloud, run_id: str) -> list[str]:
    """Return the keys of a waiting run's events, once the people were told: that comes after the run waits."""
    give_up_at = time.monotonic() + 60
    while "0002.escalation.announced" not in (keys := [one.seq for one in cloud.events(run_id)]):
        assert time.monotonic() < give_up_at, keys
        time.sleep(0.02)
    return keys


def test_with_the_functions_own_rights_no_tool_can_answer(up: tuple[LocalCloud, Served]) -> None:
    cloud, served = up
    run = waiting_run(served)
    before = announced(cloud, run["run_id"])
    sent: dict[str, Any] = {"run_id": run["run_id"], "escalation_id": run["escalation_id"], "wait_s": 0}
    sent |= {"request_id": "approve-this", "text": "Approve it.", "approve": True, "decision": {"kind": "answer"}}

    async def play(client: Client) -> None:
        for tool in (await client.list_tools()).tools:
            known = {name: value for name, value in sent.items() if name in tool.input_schema["properties"]}
            if tool.name != "cancel_run":
                await client.call_tool(tool.name, known)
            assert (await client.call_tool(tool.name, sent)).is_error
        shown = (await client.call_tool("get_run", {"run_id": run["run_id"]})).structured_content
        assert shown is not None
        assert shown["status"] == "waiting"

    over_http(served.url, "rae:operator", "auto", play)

    assert [one.seq for one in cloud.events(run["run_id"])] == before
    runtime = cloud.runtime("ApiFunction")
    table = cloud.physical_id("EscalationsTable")
    with pytest.raises(ClientError, match="AccessDenied"):
        runtime.client("dynamodb").get_item(TableName=table, Key={"escalation_id": {"S": run["escalation_id"]}})
    with pytest.raises(ClientError, match="AccessDenied"):
        runtime.client("stepfunctions").send_task_success(taskToken="x" * 100, output="{}")
