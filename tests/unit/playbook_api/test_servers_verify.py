"""A ``verify`` of a declared tool: which answers of its read say that nothing is there, and which say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.context import ToolContext
from ballast.playbook.servers.http import Reply
from ballast.playbook.servers.openapi import OpenApiTransport
from ballast.playbook.servers.values import NoValue
from tests.support.remote_desk import FIND, declare, desk_server, pinned, tools

AGENT = "name: tester\nmodel: amazon.nova-lite-v1:0\ninstructions: Help.\n"
CONTEXT = ToolContext(
    "run-1",
    1,
    1,
    "run-1.0001.1",
    RunRequest(request_id="r-1", agent="tester", text="Help."),
    datetime(2026, 1, 1, tzinfo=UTC),
    environ={"DESK_URL": "https://desk.example"},
    client=lambda *_, **__: None,
    timeout_s=5,
)
BY_TEXT = {"tool": "desk_find", "arguments": {"key": {"argument": "/text"}}}
BY_STATUS = {**BY_TEXT, "absent": [404], "matched": False}
JSON = {"content-type": "application/json"}


def playbook_with(folder: Path, verify: Mapping[str, Any], method: str) -> Playbook:
    folder = folder / "elsewhere"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "agent.yaml").write_text(AGENT, encoding="utf-8")
    read = {"method": method, "path": "/tickets", "where": {"key": "query"}}
    find = {"effect": "read", "outward": False, "pinned": pinned("find", FIND, read)}
    declare(folder, "desk", desk_server(private=False), tools({"verify": dict(verify)}, find=find))
    return load_playbook(folder, check_models=False)


def verified(playbook: Playbook, monkeypatch: pytest.MonkeyPatch, reply: Reply) -> Any:
    monkeypatch.setattr(OpenApiTransport, "_sent", lambda *_: reply)
    create = playbook.tools["desk_create"]
    verify: Any = create.policy.verify
    return verify(create.read({"text": "no power"}), CONTEXT)


@pytest.mark.parametrize("verify", [{**BY_TEXT, "found": "/items/0"}, BY_STATUS], ids=["found", "absent"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {}, b""),
        Reply(200, JSON, b""),
        Reply(200, JSON, b"null"),
        Reply(202, {}, b""),
        Reply(204, {}, b""),
        Reply(200, {"content-type": "text/html"}, b"<html>Login</html>"),
        Reply(200, JSON, b'{"error": "try later"}'),
    ],
    ids=["empty", "empty JSON", "null", "202", "204", "html", "error"],
)
def test_what_proves_nothing_is_no_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply, verify: Any
) -> None:
    playbook = playbook_with(tmp_path, {**verify, "matched": True}, "GET")

    with pytest.raises(NoValue):
        verified(playbook, monkeypatch, reply)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (206, {}, b'{"items": []}'),
        (202, {}, b'{"items": []}'),
        (200, {"link": '<https://desk.example/tickets?page=2>; rel="next"'}, b'{"items": []}'),
        (200, {}, b'{"items": [], "next": "abc"}'),
        (200, {}, b'{"items": [], "has_more": true}'),
        (200, {}, b'{"items": [], "meta": {"nextCursor": "abc"}}'),
        (200, {}, b'{"items": [], "_links": {"next": {"href": "/tickets?page=2"}}}'),
    ],
)
def test_one_page_of_several_is_no_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET")

    with pytest.raises(NoValue, match=r"one page of several|not in whole"):
        verified(playbook, monkeypatch, Reply(status, {**JSON, **headers}, body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"items": []}',
        b'{"items": null}',
        b'{"items": [], "next": null, "has_more": false, "meta": {"nextCursor": ""}, "next_run": "2026-01-01"}',
    ],
)
def test_an_empty_list_that_is_whole_is_an_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET")

    assert verified(playbook, monkeypatch, Reply(200, JSON, body)) is None


def test_a_head_says_by_its_status_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = playbook_with(tmp_path, BY_STATUS, "HEAD")

    assert verified(playbook, monkeypatch, Reply(200, {}, b"")) is True
    assert verified(playbook, monkeypatch, Reply(404, {}, b"")) is None


@pytest.mark.parametrize("verify", [{**BY_TEXT, "absent": [404]}, {**BY_STATUS, "found": "/items/0"}], ids=str)
def test_a_head_has_no_content_to_look_into(tmp_path: Path, verify: Mapping[str, Any]) -> None:
    with pytest.raises(PlaybookInvalid, match=r"desk_find is a HEAD.*matched: false"):
        playbook_with(tmp_path, verify, "HEAD")
