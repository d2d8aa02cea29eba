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
from ballast.playbook.servers.absence import why_open
from ballast.playbook.servers.http import Reply
from ballast.playbook.servers.invoke import LambdaTransport
from ballast.playbook.servers.mcp import McpTransport
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
        (200, {}, b'{"items": [], "cursor": "abc"}'),
        (200, {}, b'{"items": [], "paging": {"cursors": {"after": "abc"}}}'),
        (200, {}, b'{"items": [], "_scroll_id": "abc"}'),
        (200, {}, b'{"items": [], "total": 40}'),
        (200, {}, b'{"items": [], "meta": {"total": {"value": "40"}}}'),
        (200, {}, b'{"items": [], "page": 1, "total_pages": 3}'),
        (200, {"x-next-page": "2"}, b'{"items": []}'),
        (200, {"x-total-count": "40"}, b'{"items": []}'),
        (200, {"content-range": "items 0-9/50"}, b'{"items": []}'),
    ],
)
def test_one_page_of_several_is_no_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET")

    with pytest.raises(NoValue, match=r"one page of several|not in whole"):
        verified(playbook, monkeypatch, Reply(status, {**JSON, **headers}, body))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"items": []}', {}),
        (b'{"items": null}', {}),
        (
            b'{"items": [], "next": null, "has_more": "false", "meta": {"nextCursor": ""}, "next_run": "2026-01-01",'
            b' "_links": {"self": {"href": "/t?q=next"}, "next": {"href": null}}, "page_info": {"end_cursor": "abc",'
            b' "has_next_page": false}, "total": 0, "page": 1, "pages": 1, "per_page": 20, "default": "fault"}',
            {"x-next-page": "", "x-total-count": "0", "content-range": "*/*", "x-cache": "Error from cloudfront"},
        ),
        (
            b'{"items": [], "took": 3, "timed_out": false, "_shards": {"total": 5, "failed": 0}, "error": null,'
            b' "errors": [], "success": true, "status": "success", "code": 200, "message": "No ticket found"}',
            {"link": '</t?a=next>; rel="prev"; title="next"'},
        ),
    ],
    ids=["empty", "null", "paged", "told"],
)
def test_an_empty_list_that_is_whole_is_an_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, headers: Mapping[str, str]
) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET")

    assert verified(playbook, monkeypatch, Reply(200, {**JSON, **headers}, body)) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"items": [], "error": "index is down"}',
        b'{"items": [], "errors": [{"message": "shard 2"}]}',
        b'{"items": [], "status": "error"}',
        b'{"items": [], "status": 503}',
        b'{"items": [], "success": false}',
        b'{"items": [], "message": "The index is unavailable."}',
        b'{"items": [], "incomplete_results": true}',
        b'{"items": [], "timed_out": true}',
        b'{"items": [], "meta": {"partial": true}}',
        b'{"items": [], "_shards": {"total": 5, "failed": 2}}',
        b'{"items": [{}]}',
        b'{"items": [{"id": 1}], "items": []}',
        b'{"items": [], "next": "abc", "next": null}',
    ],
    ids=str,
)
def test_an_empty_list_beside_trouble_is_no_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET")

    with pytest.raises(NoValue, match=r"That does not say that nothing is there\."):
        verified(playbook, monkeypatch, Reply(200, JSON, body))


@pytest.mark.parametrize(
    ("found", "result", "absent"),
    [
        ("/ticket", {"ticket": None}, True),
        ("/ticket", {"ticket": {}}, True),
        ("/exists", {"exists": False}, True),
        ("/items", {"items": []}, True),
        ("/0", [], True),
        ("/data/ticket/id", {"data": {"ticket": None}}, True),
        ("/data/items/0/id", {"data": {"items": None}}, True),
        ("/data/ticket", {"data": {}}, True),
        ("/ticket", {}, False),
        ("/ticket", {"error": "index is down"}, False),
        ("/ticket", {"ticket": None, "error": "index is down"}, False),
        ("/data/items/0", {"data": None}, False),
        ("/data/items/nodes/0", {"data": {"items": None}}, False),
        ("/items/1", {"items": [{"id": 1}]}, False),
    ],
    ids=str,
)
def test_the_place_of_what_was_looked_for_is_there_and_empty(found: str, result: Any, absent: bool) -> None:
    assert (why_open(result, found[1:].split("/")) == "") is absent


@pytest.mark.parametrize(
    ("more", "texts", "absent"),
    [
        ({}, [], True),
        ({}, ['{"items": []}'], True),
        ({}, ['{"count": 0}'], True),
        ({}, ["[]"], True),
        ({}, ["Keine Tickets."], True),
        ({}, ["No ticket with run-1.0001.1."], True),
        ({}, ["1 ticket: #7 (run-1.0001.1)"], False),
        ({}, ["Error: the database is down"], False),
        ({}, ['{"id": 7}', '{"id": 8}'], False),
        ({}, ['```json\n{"items": [{"id": 7}]}\n```'], False),
        ({}, [' {"items": [{"id": 7}]}'], False),
        ({"nextCursor": "abc"}, [], False),
        ({"_meta": {"hasMore": True}}, [], False),
        ({"_meta": {"trace": "abc"}}, [], True),
    ],
    ids=str,
)
def test_what_mcp_says_beside_an_empty_list_is_its_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], texts: list[str], absent: bool
) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET")
    blocks = [{"type": "text", "text": text} for text in texts]
    said = {"content": blocks, "structuredContent": {"items": []}, **more}
    monkeypatch.setattr(OpenApiTransport, "send", lambda _, call, *__: McpTransport._answer(call, said, CONTEXT))
    create = playbook.tools["desk_create"]
    verify: Any = create.policy.verify
    args = create.read({"text": "run-1.0001.1"})

    if absent:
        assert verify(args, CONTEXT) is None
        return
    with pytest.raises(NoValue):
        verify(args, CONTEXT)


def test_a_function_that_gives_a_name_twice_says_no_absence(tmp_path: Path) -> None:
    call: Any = playbook_with(tmp_path, {**BY_TEXT, "found": "/items/0"}, "GET").tools["desk_find"].function

    assert LambdaTransport._answer(call, b'{"items": [{"id": 1}], "items": []}', failed=False).partial
    assert not LambdaTransport._answer(call, b'{"items": []}', failed=False).partial


def test_zero_and_an_empty_text_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = playbook_with(tmp_path, {**BY_TEXT, "found": "/total", "matched": False}, "GET")

    with pytest.raises(NoValue, match="neither that it happened nor that not"):
        verified(playbook, monkeypatch, Reply(200, JSON, b'{"total": 0}'))
    assert verified(playbook, monkeypatch, Reply(200, JSON, b'{"total": 1}')) == 1


def test_a_head_says_by_its_status_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    playbook = playbook_with(tmp_path, BY_STATUS, "HEAD")

    assert verified(playbook, monkeypatch, Reply(200, {}, b"")) is True
    assert verified(playbook, monkeypatch, Reply(404, {}, b"")) is None


@pytest.mark.parametrize("verify", [{**BY_TEXT, "absent": [404]}, {**BY_STATUS, "found": "/items/0"}], ids=str)
def test_a_head_has_no_content_to_look_into(tmp_path: Path, verify: Mapping[str, Any]) -> None:
    with pytest.raises(PlaybookInvalid, match=r"desk_find is a HEAD.*matched: false"):
        playbook_with(tmp_path, verify, "HEAD")
