"""The bridge of ``ballast mcp``: lines in, POSTs out; where credentials go, and what a client is told of trouble."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from ballast.errors import InvalidInput
from cli import help_texts, main
from cli.commands.mcp import bearer, signer
from cli.mcp_bridge import MAX_LINE_BYTES, Bridge, HttpReply, address_of, lines_of
from cli.parser import parser

ROOT = Path(__file__).parents[3]
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def result(message: Any) -> HttpReply:
    """Return a response to a request, that nothing came of."""
    said = {"jsonrpc": "2.0", "id": message["id"], "result": {}}
    return HttpReply(200, json.dumps(said).encode())


class Api:
    """An API that answers with ``reply``, and what it was sent: (message, headers)."""

    def __init__(self, reply: Callable[[Any], HttpReply] = result) -> None:
        self.reply, self.sent, self.said, self.slept = reply, list[Any](), list[Any](), list[float]()

    def post(self, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        message = json.loads(body)
        self.sent.append((message, {name.lower(): value for name, value in headers.items()}))
        return self.reply(message)

    def serve(self, *messages: Any) -> list[Any]:
        """Answer the messages, and return what was printed."""
        lines = [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in messages]
        Bridge(self.post, self._print, self.slept.append).serve(lines)
        return self.said

    def _print(self, line: str) -> None:
        assert line.count("\n") == 1
        self.said.append(json.loads(line))


def request(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def test_the_version_that_was_agreed_on_goes_with_what_follows() -> None:
    def reply(message: Any) -> HttpReply:
        if message["method"] != "initialize":
            return result(message)
        said = {"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-06-18"}}
        return HttpReply(200, json.dumps(said).encode())

    api = Api(reply)

    api.serve(request("initialize", 0, protocolVersion="2025-11-25", _meta=META), request("tools/list"))

    assert [headers.get("mcp-protocol-version") for _, headers in api.sent] == [None, "2025-06-18"]
    assert not any("mcp-method" in headers for _, headers in api.sent)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("get_run", "get_run"),
        ("é", "=?base64?w6k=?="),
        ("a\r\nX-Evil: 1", "=?base64?YQ0KWC1FdmlsOiAx?="),
        (" a", "=?base64?IGE=?="),
        ("", "=?base64??="),
        ("=?base64?x?=", "=?base64?PT9iYXNlNjQ/eD89?="),
        ("\ud800", "=?base64?7aCA?="),
    ],
)
def test_a_stateless_request_gets_the_headers_that_repeat_it(name: str, header: str) -> None:
    api = Api()

    api.serve(request("tools/call", name=name, arguments={}, _meta=META))

    [(_, headers)] = api.sent
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert (headers["mcp-method"], headers["mcp-name"]) == ("tools/call", header)


def test_what_is_no_message_is_answered_here_and_the_next_is_served() -> None:
    api = Api()
    huge = json.dumps(request("ping", text="x" * MAX_LINE_BYTES)).encode() + b"\n"

    said = api.serve(b"{\n", b"\n", huge, b"[" * 100_000 + b"\n", request("ping", 7))

    assert [(one["id"], one.get("error", {}).get("code")) for one in said] == [
        (None, -32700),
        (None, -32600),
        (None, -32700),
        (7, None),
    ]
    assert len(api.sent) == 1


def test_a_line_without_an_end_is_read_in_bounds() -> None:
    stream = io.BytesIO(b"x" * (3 * MAX_LINE_BYTES) + b"\n{}\n")

    first, second = lines_of(stream)

    assert MAX_LINE_BYTES < len(first) <= MAX_LINE_BYTES + 2
    assert second == b"{}\n"


@pytest.mark.parametrize("status", [429, 502, 503, 504, None])
def test_trouble_on_the_way_is_tried_again_three_times(status: int | None) -> None:
    def fails(_: Any) -> HttpReply:
        if status is None:
            raise ConnectionResetError
        return HttpReply(status, b'{"message": "Service Unavailable"}')

    api = Api(fails)

    [said] = api.serve(request("tools/call", name="get_run"))

    assert (len(api.sent), api.slept) == (3, [0.5, 2.0])
    assert said["error"]["code"] == -32603
    assert str(status or "ConnectionResetError") in said["error"]["message"]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b'{"message": "Unauthorized"}', "BALLAST_TOKEN"),
        (403, b'{"detail": "This identity belongs to no tenant."}', "belongs to no tenant"),
        (302, b"", "302"),
        (202, b"", "202"),
        (413, b"<html>", "413"),
        (200, b"[1", "200"),
        (200, b'{"evil": true}', "200"),
    ],
)
def test_a_reply_that_is_no_message_is_told_as_an_error(status: int, body: bytes, told: str) -> None:
    api = Api(lambda _: HttpReply(status, body))

    said = api.serve(request("tools/list", 5), {"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert [(one["id"], one["error"]["code"]) for one in said] == [(5, -32603)]
    assert told in said[0]["error"]["message"]
    assert len(api.sent) == 2


def test_a_call_that_was_cancelled_is_not_answered_and_others_are() -> None:
    go_on = threading.Event()

    def reply(message: Any) -> HttpReply:
        if message["id"] == 1:
            go_on.wait(30)
        else:
            go_on.set()
        return result(message)

    api = Api(reply)
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}

    said = api.serve(request("tools/call", 1), cancel, request("tools/call", 2))

    assert [one["id"] for one in said] == [2]
    assert [message["id"] for message, _ in api.sent] == [1, 2]


def test_a_defect_of_the_bridge_is_an_answer_too(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: Any) -> HttpReply:
        raise RuntimeError("a defect")

    [said] = Api(broken).serve(request("tools/call", 3))

    assert (said["id"], said["error"]["code"]) == (3, -32603)
    assert "a defect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://abc.execute-api.eu-west-1.amazonaws.com", "https://abc.execute-api.eu-west-1.amazonaws.com/mcp"),
        ("https://api.example/stage/", "https://api.example/stage/mcp"),
        ("https://api.example/mcp", "https://api.example/mcp"),
        ("http://localhost:8787/", "http://localhost:8787/mcp"),
        ("http://[::1]:8787", "http://[::1]:8787/mcp"),
    ],
)
def test_an_address_is_completed(url: str, address: str) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "https://user:secret@api.example",
        "https://api.example/?token=x",
        "ftp://api.example",
        "file:///etc/passwd",
        "api.example",
        "",
    ],
)
def test_an_address_that_credentials_must_not_go_to_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="--url"):
        address_of(url)


@pytest.mark.parametrize("token", ["a b", "a\r\nX-Evil: 1", "é", "Bearer x"])
def test_a_token_that_is_no_header_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="BALLAST_TOKEN"):
        bearer(token)


def test_a_request_is_signed_for_the_apis_region_and_its_body() -> None:
    address = "https://abc123.execute-api.eu-central-1.amazonaws.com/mcp"
    sign = signer(boto3.Session("AKIDEXAMPLE", "secret", "session", region_name="us-east-1"), address)

    first, second = (sign(address, body, {"Content-Type": "application/json"}) for body in (b"{}", b"[]"))

    assert "/eu-central-1/execute-api/aws4_request" in first["Authorization"]
    assert first["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert first["X-Amz-Security-Token"] == "session"
    assert first["Authorization"].rpartition("=")[2] != second["Authorization"].rpartition("=")[2]


def test_without_credentials_or_a_region_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://api.example/mcp"
    session = boto3.Session(region_name="eu-west-1")
    monkeypatch.setattr(session, "get_credentials", lambda: None)

    with pytest.raises(InvalidInput, match="aws sso login"):
        signer(session, address)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(InvalidInput, match="--region"):
        signer(boto3.Session("AKIDEXAMPLE", "secret"), address)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mcp", "--stack", "a", "--url", "https://api.example"], "--stack and --url"),
        (["--stack", "a", "mcp", "--playbook", "."], "--stack and --playbook"),
        (["mcp", "--model", "x.yaml"], "--playbook"),
        (["mcp", "--url", "http://api.example"], "https"),
    ],
)
def test_what_contradicts_itself_is_refused_and_nothing_is_printed(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2

    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("text", [help_texts.MCP, (ROOT / "docs" / "mcp-server.md").read_text(encoding="utf-8")])
def test_the_configuration_to_paste_starts_the_command(text: str) -> None:
    found = re.search(r'\{"mcpServers": .*?\n *\}\}\}', text, re.DOTALL)
    assert found is not None
    server = json.loads(found[0])["mcpServers"]["ballast"]

    typed = parser().parse_args(server["args"])

    assert (Path(server["command"]).name, typed.command, typed.stack) == ("ballast", "mcp", "ballast-dev")
    commands = re.findall(r"^ *(ballast mcp(?: --.*?)?)(?: {2,}.*| *#.*)?$", text, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert parser().parse_args(command.split()[1:]).command == "mcp"
