"""Canary credentials of tools from elsewhere reach their servers, and no place that outlives the call.

The servers send each credential back: in results, in errors, as other writers of JSON spell it.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.contracts import RunRequest
from localcloud.clock import WallClock
from localcloud.cloud import ROOT, LocalCloud
from localcloud.converse.source import CallableModel, said
from localcloud.gateway import serve
from localcloud.gateway.identity import operator
from tests.e2e.served import ask
from tests.e2e.test_sensitive import heard, messages, payloads, tables
from tests.support.remote_desk import KEY, Desk, declare, desk_server, tools
from tests.support.remote_mcp import McpOverHttp, notes_tools

PLAYBOOK = ROOT / "tests" / "workflow" / "playbook"
#: One a transport; with characters that PHP, Go and HTML escape.
BEARER, PASSWORD, TOKEN, CLIENT = (f"c4nary/{name}&<{name}>+%+" for name in ("bearer", "pass", "token", "client"))
CANARIES = (BEARER, PASSWORD, TOKEN, CLIENT)
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("desk_find", {"key": "x"}),
    ("desk_create", {"text": "refused"}),
    ("desk_create", {"text": "no power"}),
    ("notes_find", {"ref": "x"}),
    ("notes_add", {"text": "no power"}),
    ("stock_create", {"text": "no power"}),
]


def spelled(secret: str) -> set[str]:
    """Return spellings that a reader of a sink would recognize."""
    php = secret.replace("/", "\\/")
    plain = {secret, json.dumps(secret)[1:-1], php, php.replace("&", "\\u0026").replace("<", "\\u003C")}
    return plain | {json.dumps(one)[1:-1] for one in plain} | {base64.b64encode(secret.encode()).decode()}


class EchoingDesk(Desk):
    """Sends the credential back in each answer, with slashes escaped as PHP does, in results and in errors."""

    @staticmethod
    def _answer(handler: Any, status: int, body: Any, headers: Mapping[str, str] = {}, *, half: bool = False) -> None:
        told = handler.headers.get("Authorization", "")
        echoed = body | {"said": told, "in text": json.dumps(told)} if isinstance(body, dict) else body
        text = json.dumps(echoed).replace("/", "\\/").replace("&", "\\u0026").replace("<", "\\u003C").encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


class EchoingNotes(McpOverHttp):
    """Sends the credential back in each result of a tool, as JSON in a text."""

    def take(self, handler: Any) -> None:
        self.told = handler.headers.get("Authorization", "")
        super().take(handler)

    def _call(self, params: Mapping[str, Any], key: str | None) -> dict[str, Any]:
        result = super()._call(params, key)
        text = json.dumps({"said": self.told, "pair": self.told}).replace("/", "\\/")
        return {"content": [{"type": "text", "text": text}]} | ({"isError": True} if result.get("isError") else {})


class Issuer(Desk):
    """An authorization server that hands out the token."""

    def _act(self, handler: Any, path: str, body: Any) -> dict[str, Any]:
        return {}

    def take(self, handler: Any) -> None:
        """Answer with a token."""
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.seen.append({"headers": dict(handler.headers.items())})
        self._answer(handler, 200, {"access_token": TOKEN, "expires_in": 3600})


@dataclass
class Played:
    """A run over three servers, everywhere that something of it was left, and what the servers got."""

    sinks: dict[str, str]
    got: str
    statuses: list[tuple[str, str]]


def model(request: Any, _: str) -> Any:
    """Make the calls, one a turn, then answer."""
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    if turn < len(CALLS):
        name, arguments = CALLS[turn]
        return said([{"toolUse": {"toolUseId": f"t-{turn}", "name": name, "input": arguments}}], "tool_use", request)
    return said([{"text": "Done."}], "end_turn", request)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    playbook: Path = tmp_path_factory.mktemp("layer") / "echoing"
    shutil.copytree(PLAYBOOK, playbook, ignore=shutil.ignore_patterns("__pycache__"))
    agent = yaml.safe_load((playbook / "agent.yaml").read_text(encoding="utf-8"))
    limits = agent["limits"] | {"turns": 12, "tool_calls": 12, "deadline_s": 200, "cost_microusd": 1_000_000}
    (playbook / "agent.yaml").write_text(yaml.safe_dump(agent | {"limits": limits}), encoding="utf-8")
    asked = CallableModel(model)
    with (
        EchoingDesk() as desk,
        EchoingNotes(stream=True) as notes,
        EchoingDesk() as stock,
        Issuer() as issuer,
        LocalCloud(playbook, model=asked, enforce_iam=False, clock=WallClock(sleep=lambda _: None)) as cloud,
        serve(cloud, authorizer=operator("ann")) as served,
    ):
        ssm = cloud.session.client("ssm")
        for name, value in (("bearer", BEARER), ("pass", PASSWORD), ("client", CLIENT)):
            ssm.put_parameter(Name=f"/canary/{name}", Value=value, Type="SecureString")
        free = {"taint": "allow", "repeat": "allow", "refusals": [409]}
        bearer = {"kind": "header", "prefix": "Bearer ", "secret": {"ssm": "/canary/bearer"}}
        declare(playbook, "desk", desk_server(url=desk.url, credential=bearer), tools({**KEY, **free}))
        basic = {"kind": "basic", "user": "me", "password": {"ssm": "/canary/pass"}}
        server = {"kind": "mcp", "url": notes.url, "private": True, "credential": basic, "circuit": {"failures": 99}}
        declare(playbook, "notes", server, notes_tools({"key": {"meta": "key"}, "taint": "allow"}))
        client = {
            "kind": "oauth",
            "token_url": issuer.url,
            "client_id": "me",
            "client_secret": {"ssm": "/canary/client"},
        }
        declare(playbook, "stock", desk_server(url=stock.url, credential=client), tools({**KEY, "taint": "allow"}))
        heard(cloud)
        desk.trouble.extend([409, 500])
        stock.trouble.append(503)
        run_id = cloud.start(RunRequest(request_id="canary", text="No power in the office: no power, refused, x."))
        cloud.wait(run_id, 600)
        run = cloud.events(run_id)
        sinks = {
            "prompts": json.dumps(asked.requests),
            "http run": json.dumps(ask(served, "GET", f"/runs/{run_id}")[1]),
            "http events": json.dumps(ask(served, "GET", f"/runs/{run_id}/events?limit=200")[1]),
            "http timeline": json.dumps(ask(served, "GET", f"/runs/{run_id}/timeline")[1]),
            "http escalations": json.dumps(ask(served, "GET", "/escalations")[1]),
            "execution's history": json.dumps(cloud.history(run_id), default=str),
            "events": json.dumps([event.model_dump(mode="json") for event in run]),
            "functions' output": "".join(text for _, text in cloud._functions.logs),
            **{f"queue {name}": text for name, text in messages(cloud).items()},
            **{f"table {name}": text for name, text in tables(cloud).items()},
            "bucket": payloads(cloud),
        }
        got = json.dumps([desk.seen, stock.seen, issuer.seen, [headers for _, headers, _ in notes.seen]])
        yield Played(sinks, got, [(one.call.tool, one.status) for one in run.calls])


def test_each_server_got_its_credential_and_the_calls_were_made(played: Played) -> None:
    pair = base64.b64encode(f"me:{PASSWORD}".encode()).decode()

    assert all(json.dumps(f"Bearer {one}")[1:-1] in played.got for one in (BEARER, TOKEN))
    assert pair in played.got
    assert played.statuses == [
        (name, "failed" if arguments.get("text") == "refused" else "ok") for name, arguments in CALLS
    ]


def test_no_sink_has_a_credential(played: Played) -> None:
    pair = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    wanted = {spelling for canary in (*CANARIES, pair) for spelling in spelled(canary)}

    assert {(sink, one) for sink, text in played.sinks.items() for one in wanted if one in text} == set()


def test_the_sinks_are_not_merely_empty(played: Played) -> None:
    assert {"prompts", "http events", "http timeline", "events"} <= {
        sink for sink, text in played.sinks.items() if "***" in text
    }
