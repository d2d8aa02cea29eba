"""Declarations in ``servers/``: what loads, and what contradicts itself, with the field and the remedy."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import PlaybookInvalid
from ballast.playbook import Effect, OnRollback, Playbook, load_playbook, undeclared_arguments
from ballast.playbook.load import policy_version
from tests.support.remote_desk import KEY, VERIFY, declare, desk_server, pinned, tools
from tests.support.remote_mcp import notes_tools

AGENT = "name: tester\nmodel: amazon.nova-lite-v1:0\ninstructions: Help.\n"
Load = Callable[..., Playbook]
URL = "https://desk.example"
CALL = {"method": "POST", "path": "/tickets"}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return what loads a playbook with these declarations, (server, tools) by name."""

    def made(**servers: tuple[dict[str, Any], dict[str, Any]]) -> Playbook:
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "agent.yaml").write_text(AGENT, encoding="utf-8")
        for name, (server, declared) in servers.items():
            declare(folder, name, server, declared)
        return load_playbook(folder, check_models=False)

    return made


def changed(**create: Any) -> dict[str, Any]:
    return tools(create)


def test_a_call_that_needs_no_key_counts_as_one_that_honours_it_and_sends_none(load: Load) -> None:
    create = load(desk=(desk_server(), changed(idempotent=True))).tools["desk_create"]

    assert (create.policy.honours_key, create.policy.verify) == (True, None)
    assert not load(desk=(desk_server(), changed(idempotent=False))).tools["desk_create"].policy.honours_key


def test_declared_tools_are_ordinary_tools(load: Load) -> None:
    playbook = load(
        desk=(desk_server(), changed(**KEY, **VERIFY, undo={"tool": "desk_close"}, limits={"timeout_s": 9}))
    )

    create, find = playbook.tools["desk_create"], playbook.tools["desk_find"]
    assert (create.effect, find.effect) == (Effect.WRITE, Effect.READ)
    assert create.policy.resolvable
    assert playbook.on_rollback(create) is OnRollback.UNDO
    assert create.untrusted
    assert create.limits.timeout_s == 9
    assert find.limits.timeout_s == 2
    assert create.circuit == find.circuit
    assert create.spec["toolSpec"]["inputSchema"]["json"]["required"] == ["text"]
    assert undeclared_arguments(playbook) == ("desk_close.id", "desk_create.token", "desk_find.key")
    assert create.call(text="a").arguments == {"text": "a"}


def test_what_the_executor_sets_is_hidden_from_the_model_and_refused_from_it(load: Load) -> None:
    playbook = load(desk=(desk_server(), changed(key={"argument": "token"}, set={"amount": 5}, marks={})))

    create = playbook.tools["desk_create"]
    assert create.argument_names == ("text",)
    for sent in ({"text": "a", "token": "mine"}, {"text": "a", "amount": 7}):
        with pytest.raises(Exception, match="is set by the executor"):
            create.read(sent)


def test_an_approval_is_bound_to_the_declaration(load: Load) -> None:
    versions = []
    for seconds in (2, 3, 2):
        playbook = load(desk=(desk_server(timeout_s=seconds), tools()))
        versions.append(policy_version(playbook, playbook.tools["desk_create"]))

    assert versions[0] == versions[2] != versions[1]


def without_pin(tool: dict[str, Any], **wrong: Any) -> dict[str, Any]:
    made = copy.deepcopy(tool)
    made["pinned"] |= wrong
    return made


CREATE = tools()["create"]
SECRET = {"ssm": "/a"}
NAMES_NONE = {"tool": "desk_find", "arguments": {"none": {"key": True}}}
#: (server's fields, the fields of the tool that writes, a part of the message)
CONTRADICTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    # The server
    ({"kind": "soap"}, {}, "server"),
    ({"url": "http://desk.example", "private": False}, {}, "server.url: must be https"),
    ({"url": "https://me:pw@desk.example"}, {}, "server.url: holds a user or a password"),
    ({"url": "https://desk.example/?a=1"}, {}, "server.url: must end before"),
    ({"url": "https://desk.example/a b"}, {}, "server.url: must be printable"),
    ({"url": "https://desk.example:999999"}, {}, "server.url: is not a URL"),
    ({"url": "ftp://desk.example"}, {}, "server.url: must be https"),
    ({"url": {"env": "lower"}}, {}, "url"),
    ({"timeout_s": 0}, {}, "timeout_s"),
    ({"timeout_s": 51}, {}, "timeout_s"),
    ({"circuit": {"failures": 0}}, {}, "circuit"),
    ({"more": 1}, {}, "more"),
    ({"headers": {"Authorization": "Bearer x"}}, {}, "belongs under credential"),
    ({"headers": {"X-A": "a\r\nX-B: b"}}, {}, "server.headers.X-A"),
    ({"credential": {"kind": "header", "secret": {}}}, {}, "secretsmanager, ssm"),
    ({"credential": {"kind": "header", "secret": {**SECRET, "secretsmanager": "b"}}}, {}, "secretsmanager, ssm"),
    ({"credential": {"kind": "header", "secret": SECRET, "header": "a b"}}, {}, "credential.header"),
    ({"credential": {"kind": "header", "secret": "s3cr3t"}}, {}, "must be {secretsmanager: NAME} or"),
    ({"credential": {"kind": "requester"}}, {}, "credential.requester.name"),
    ({"credential": {"kind": "requester", "name": "a b"}}, {}, "credential.requester.name"),
    ({"credential": {"kind": "requester", "name": "desk", "header": "a b"}}, {}, "credential.header"),
    ({"credential": {"kind": "requester", "name": "desk", "secret": SECRET}}, {}, "credential.requester.secret"),
    (
        {
            "private": False,
            "url": URL,
            "credential": {"kind": "oauth", "token_url": "http://a.example", "client_id": "a", "client_secret": SECRET},
        },
        {},
        "credential.token_url",
    ),
    # The tool
    ({}, {"effect": "maybe"}, "effect"),
    ({}, {"effect": "read", **KEY}, "key: is for a write"),
    ({}, {"effect": "read", **VERIFY}, "verify: is for a write"),
    ({}, {"effect": "read", "undo": {"tool": "desk_close"}}, "undo: is for a write"),
    ({}, {"outward": True}, "outward: is for a read"),
    ({}, {"key": {}}, "header, argument, meta"),
    ({}, {"key": {"header": "A", "meta": "b"}}, "header, argument, meta"),
    ({}, {"key": {"header": "Host"}}, "key.header"),
    ({}, {"key": {"header": "A"}, "idempotent": True}, "idempotent: says that the call needs no key, and it has one"),
    ({}, {"effect": "read", "idempotent": True, "undo": None}, "idempotent: is for a write"),
    ({}, {"key": {"meta": "key"}}, "key.meta: only an MCP server"),
    ({}, {"key": {"argument": "none"}}, "key.argument"),
    ({}, {"key": {"argument": "amount"}, "marks": {}}, "amount takes neither a key as text (run-….0001.1) nor a UUID"),
    ({}, {"key": {"argument": "token"}, "set": {"token": "x"}}, "has a fixed value"),
    ({}, {"key": {"argument": "token"}, "marks": {"/token": "sensitive"}}, "a mark on it has no effect"),
    ({}, {"set": {"amount": 501}, "marks": {}}, "set.amount"),
    ({}, {"set": {"none": 1}}, "is no argument"),
    ({}, {"marks": {"/none": "grounded"}}, "Arguments: /amount, /text, /token"),
    ({}, {"marks": {"text": "grounded"}}, "JSON pointer"),
    ({}, {"marks": {"/text": "golden"}}, "must be one or more of"),
    ({}, {"result": {"marks": {"/id": "golden"}}}, "must be one or more of"),
    ({}, {"verify": {"tool": "none", "arguments": {}}}, "verify.tool"),
    ({}, {"verify": {"tool": "desk_close", "arguments": {}}}, "verify.tool"),
    ({}, {**KEY, **VERIFY, "verify": NAMES_NONE}, "desk_find has no such argument"),
    ({}, VERIFY, "verify.arguments.key: asks by the call's key, which is never sent"),
    ({}, {"idempotent": True, **VERIFY}, "Say where it goes, key: {header: Idempotency-Key} or {argument: NAME}"),
    ({}, {**KEY, "verify": {"tool": "desk_find", "arguments": {"key": {"key": True}}}}, "verify.found: is missing"),
    ({}, {"verify": {"tool": "desk_find", "arguments": {"key": {"argument": "/text"}}}}, "or absent: [404] where"),
    ({}, {"verify": {"tool": "desk_find", "arguments": {"key": {"result": "/id"}}}}, "may not use the result"),
    ({}, {"verify": {"tool": "desk_find", "arguments": {"key": {"argument": "/none"}}}}, "is no argument of the call"),
    ({}, {"verify": {"tool": "desk_find", "arguments": {"key": {}}}}, "argument, result, key, value"),
    ({}, {"verify": {"tool": "desk_find", "arguments": {}, "found": "items"}}, "verify.found"),
    ({}, {**KEY, "verify": {**VERIFY["verify"], "found": ""}}, "verify.found: is missing, or the whole result"),
    ({}, {**KEY, "verify": {**VERIFY["verify"], "absent": 404}}, "verify.absent: must be a list of statuses: [404]"),
    *[
        ({}, {**KEY, "verify": {**VERIFY["verify"], "absent": [404, status]}}, f"verify.absent: {status} is no status")
        for status in (0, 200, 302, 401, 403, 407, 408, 421, 429, 500, 503)
    ],
    ({}, {**KEY, "verify": {**VERIFY["verify"], "absent": [409]}}, "write refusals: [409] in the declaration of"),
    (
        {},
        {"key": {"argument": "/token"}},
        "key.argument: /token is no argument of the tool. Write it without the slash",
    ),
    ({}, {"key": {"argument": "tokens"}}, "key.argument: tokens is no argument of the tool. It has: amount, text, tok"),
    ({}, {"set": {"/token": "a"}}, "set: /token is no argument of the tool. Write it without the slash: token"),
    ({}, {**KEY, "verify": {**VERIFY["verify"], "tool": "find"}}, "verify.tool: find is no tool of the playbook that"),
    ({}, {**KEY, "verify": {**VERIFY["verify"], "tool": "find"}}, "Here it is desk_find: write that name"),
    ({}, {**KEY, "verify": {**VERIFY["verify"], "tool": "close"}}, "Here it is desk_close, a write"),
    (
        {},
        {**KEY, "verify": {**VERIFY["verify"], "tool": "desk_close"}},
        "write effect: read under close in servers/desk",
    ),
    ({}, {"undo": {"tool": "close"}}, "undo.tool: close is desk_close here. Write that name"),
    ({}, {"undo": {"tool": "none"}}, "names none as its undo"),
    ({}, {"undo": {"tool": "desk_close", "arguments": {"none": {"value": 1}}}}, "desk_close has no such argument"),
    ({}, {"undo": {"tool": "desk_close", "arguments": {"id": {"key": True}}}}, "an undo has a key of its own"),
    ({}, {"on_rollback": "undo"}, "on_rollback"),
    ({}, {"approval": {"if": "sometimes"}}, "tools.create.approval.if: must be always, or {argument: /NAME"),
    ({}, {"approval": {"if": False}}, "leave approval out"),
    ({}, {"approval": {}}, "asks nobody"),
    ({}, {"approval": {"if": "always", "people": 0}}, "approval.people"),
    ({}, {"approval": {"if": {"argument": "/none", "above": 1}}}, "approval.if.argument"),
    ({}, {"refusals": ["error"]}, "refusals"),
    ({}, {"refusals": [500]}, "is no status by which a server refuses"),
    ({}, {"cost_microusd": -1}, "cost_microusd"),
    ({}, {"limits": {"timeout_s": 60}}, "timeout_s"),
    ({}, {"name": "a b"}, "name: must be 1 to 64"),
    ({}, {"name": "desk_find"}, "two tools are named desk_find"),
    ({}, {"description": "Add\u200b a ticket"}, "nobody sees"),
    ({}, {"description": "x" * 9_000}, "more than 8000 characters"),
    ({}, {"unknown": 1}, "unknown"),
    ({}, {"slashes": ["text"]}, "slashes: text is no argument of the path. It has: none"),
    # What is pinned
    *[
        (
            {},
            {"pinned": pinned("create", {}, {"method": "POST", "path": "/a", "media_type": kind})},
            "media_type: must be",
        )
        for kind in ("text/plain", "application/x-ndjson", "application/json-seq", "application/json\r\nX-A: b")
    ],
    ({}, without_pin(CREATE, description="Delete everything."), "has changed since it was pinned"),
    ({}, without_pin(CREATE, schema={"type": "object"}), "has changed since it was pinned"),
    ({}, without_pin(CREATE, call={"method": "DELETE", "path": "/tickets"}), "has changed since it was pinned"),
    ({}, {"pinned": pinned("create", {"type": "object"}, None)}, "pinned.call: is missing"),
    ({}, {"pinned": pinned("other", {"type": "object"}, {"method": "POST", "path": "/a"})}, "has changed"),
    ({}, {"pinned": pinned("create", {"type": "array"}, {"method": "POST", "path": "/a"})}, "pinned.schema"),
    ({}, {"pinned": pinned("create", {}, {"method": "POST", "path": "/a/{id}"})}, "does not agree"),
    ({}, {"pinned": pinned("create", {}, {"method": "POST", "path": "a"})}, "must begin with /"),
    (
        {},
        {"marks": {}, "pinned": pinned("create", {}, {"method": "POST", "path": "/a", "where": {"b": "query"}})},
        "is no argument",
    ),
    (
        {},
        {
            "marks": {},
            "key": {"header": "X-Request-Id"},
            "pinned": pinned(
                "create",
                {"properties": {"id": {"type": "string"}}},
                {"method": "POST", "path": "/a", "where": {"id": "header x-request-id"}},
            ),
        },
        "the header X-Request-Id is the tool's argument id. Say key: {argument: id}",
    ),
    ({}, {"pinned": pinned("create", {}, {"method": "POST", "path": "/a", "where": {"b": "cookie"}})}, "must be path"),
    (
        {},
        {"pinned": pinned("create", {}, {"method": "POST", "path": "/", "where": {"b": "header Authorization"}})},
        "no argument may set the header",
    ),
    ({}, {"effect": "read", "pinned": pinned("create", {}, {"method": "DELETE", "path": "/a"})}, "Declare a write"),
    (
        {},
        {
            "pinned": pinned(
                "create", {"properties": {"a": {"description": "x\u202ey"}}}, {"method": "POST", "path": "/"}
            )
        },
        "pinned.schema: has characters",
    ),
]


@pytest.mark.parametrize(("server", "create", "said"), CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_and_named(
    load: Load, server: dict[str, Any], create: dict[str, Any], said: str
) -> None:
    with pytest.raises(PlaybookInvalid) as refused:
        load(desk=(desk_server(**server), tools(create)))

    assert said in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("create", "said"),
    [
        ({"moves": {"amount": "/sum"}}, "moves.amount: /sum is no argument"),
        ({"moves": {"amount": "/amount", "customer": "/who"}}, "moves.customer: /who is no argument"),
        ({"moves": {"amount": "amount"}}, "moves.amount"),
        ({"moves": {"amount": "/amount", "decimals": 7}}, "moves.decimals"),
        ({"moves": {"amount": "/amount", "undo_gives_back": True}}, "moves.undo_gives_back: needs an undo"),
        (
            {"moves": {"amount": "/amount", "currency": {"argument": "/text", "is": "EUR"}}},
            "moves.currency.is: is EUR, and moves.currency of agent.yaml is USD",
        ),
        ({"effect": "read", "moves": {"amount": "/amount"}}, "moves: is for a write"),
        ({"pinned": pinned("create", {}, CALL, output={"type": 7})}, "pinned.output: is no JSON Schema"),
        ({"pinned": pinned("create", {}, CALL, output={"$ref": "https://x.example"})}, "pinned.output: "),
        ({"pinned": pinned("create", {}, CALL, output={"title": "a\u200bb"})}, "pinned.output: has characters"),
        ({"pinned": {**pinned("create", {}, CALL), "output": {"type": "string"}}}, "pinned: has changed since"),
    ],
    ids=lambda one: ascii(one)[:60],
)
def test_what_is_wrong_with_moves_and_forms_is_named(load: Load, create: dict[str, Any], said: str) -> None:
    with pytest.raises(PlaybookInvalid) as refused:
        load(desk=(desk_server(), tools({"marks": {}, **create})))

    assert said in str(refused.value)


def test_what_is_moved_is_known_by_the_tool(load: Load) -> None:
    moves = {"amount": "/amount", "customer": "/text", "undo_gives_back": True}
    playbook = load(desk=(desk_server(), tools({"moves": moves, "undo": {"tool": "desk_close"}})))

    found = playbook.tools["desk_create"].moves
    assert found is not None
    assert (found.back, found.key is not None) == (True, True)


@pytest.mark.parametrize(
    ("server", "add", "said"),
    [
        ({"url": None}, {}, "server.url: is missing"),
        ({"url": None, "stdio": []}, {}, "stdio"),
        ({"url": None, "stdio": ["a"], "credential": {"kind": "header", "secret": SECRET}}, {}, "needs a url"),
        ({"url": None, "stdio": ["a"]}, {"key": {"header": "A"}}, "a server on stdio has no headers"),
        ({}, {"refusals": [404]}, "refusals"),
        ({}, {"pinned": pinned("add", {}, {"method": "POST", "path": "/a"})}, "pinned.call"),
    ],
)
def test_what_contradicts_itself_of_an_mcp_server_is_named(
    load: Load, server: dict[str, Any], add: dict[str, Any], said: str
) -> None:
    whole = {"kind": "mcp", "url": URL} | server
    with pytest.raises(PlaybookInvalid) as refused:
        load(notes=({name: one for name, one in whole.items() if one is not None}, notes_tools(add)))

    assert said in str(refused.value)


@pytest.mark.parametrize("key", [{"header": "A"}, {"argument": "token"}], ids=str)
def test_a_verify_must_take_the_key_as_it_is_sent(load: Load, key: dict[str, str]) -> None:
    by_uuid = {"properties": {"key": {"type": "string", "format": "uuid"}}}
    find = {"effect": "read", "pinned": pinned("find", by_uuid, {**CALL, "method": "GET", "where": {"key": "query"}})}
    with pytest.raises(PlaybookInvalid) as refused:
        load(desk=(desk_server(), tools({"key": key, **VERIFY}, find=find)))

    assert "verify.arguments.key: desk_find does not take the key as it is sent, the text" in str(refused.value)


def header_of_a_key(**schema: Any) -> dict[str, Any]:
    call = CALL | {"key": {"header": "Idempotency-Key", "schema": schema, "required": True}}
    return {"pinned": pinned("create", CREATE["pinned"]["schema"], call)}


@pytest.mark.parametrize(
    ("place", "schema"),
    [
        (place, schema)
        for place in ("header", "argument")
        for schema in ({"minLength": 40}, {"maxLength": 35}, {"format": "date"}, {"pattern": "^[a-z]+$"})
    ],
    ids=str,
)
def test_a_place_that_takes_no_key_as_it_is_made_is_refused(load: Load, place: str, schema: dict[str, Any]) -> None:
    texts = {"type": "string", **schema}
    by_argument = {"properties": {"text": {"type": "string"}, "token": texts}}
    create = {"key": {place: "Idempotency-Key" if place == "header" else "token"}, "marks": {}}
    create |= header_of_a_key(**texts) if place == "header" else {"pinned": pinned("create", by_argument, CALL)}
    with pytest.raises(PlaybookInvalid) as refused:
        load(desk=(desk_server(), changed(**create)))

    assert f"tools.create.key.{place}: " in str(refused.value)
    assert "takes neither a key as text (run-….0001.1) nor a UUID: it must" in str(refused.value)
    assert "or leave key out and declare verify" in str(refused.value)


def test_a_verify_by_the_uuid_that_the_documents_header_wants_loads(load: Load) -> None:
    uuid = {"type": "string", "format": "uuid"}
    by_uuid = {"properties": {"key": uuid}}
    find = {"effect": "read", "pinned": pinned("find", by_uuid, {**CALL, "method": "GET", "where": {"key": "query"}})}
    create = {**KEY, **VERIFY, **header_of_a_key(**uuid)}
    assert load(desk=(desk_server(), tools(create, find=find))).tools["desk_create"].policy.honours_key

    with pytest.raises(PlaybookInvalid, match="a header that the document describes so"):
        load(desk=(desk_server(), tools(create | {"pinned": CREATE["pinned"]}, find=find)))


@pytest.mark.parametrize(
    ("server", "places"),
    [
        ({"kind": "mcp", "url": URL}, "key: {meta: NAME} or {argument: NAME} or {header: Idempotency-Key}"),
        ({"kind": "mcp", "stdio": ["a"]}, "key: {meta: NAME} or {argument: NAME}, or ask by an argument"),
        ({"kind": "lambda", "function": "f"}, "key: {argument: NAME}, or ask by an argument"),
    ],
)
def test_a_verify_asks_by_no_key_that_is_never_sent(load: Load, server: dict[str, Any], places: str) -> None:
    verify = {"tool": "notes_find", "arguments": {"ref": {"key": True}}, "found": "/0"}
    with pytest.raises(PlaybookInvalid) as refused:
        load(notes=(server, notes_tools({"verify": verify})))
    assert places in str(refused.value)

    whole = {"tool": "notes_find", "arguments": {"ref": {"argument": "/text"}}}
    with pytest.raises(PlaybookInvalid, match=r"such as /items/0\."):
        load(notes=(server, notes_tools({"verify": whole})))
    with pytest.raises(PlaybookInvalid, match=r"notes_find is no operation of openapi.* name in found"):
        load(notes=(server, notes_tools({"verify": whole | {"absent": [404]}})))


def test_a_lambda_function_has_no_headers(load: Load) -> None:
    with pytest.raises(PlaybookInvalid, match=r"key\.header: a Lambda function has no headers"):
        load(notes=({"kind": "lambda", "function": "f"}, notes_tools({"key": {"header": "A"}})))


def test_a_lambda_function_is_named_as_invoke_takes_it(load: Load) -> None:
    def named(function: str) -> Any:
        return load(jobs=({"kind": "lambda", "function": function}, notes_tools({}))).tools

    arn = "arn:aws:lambda:eu-central-1:123456789012:function:stock"
    for name in (
        "stock",
        "stock:live",
        "stock:$LATEST",
        "function:stock",
        "123456789012:function:stock",
        arn,
        f"{arn}:7",
    ):
        assert named(name)
    for name in ("", "st ock", f"{arn};x", arn.replace("123456789012", "1"), f"{arn}:a:b", "https://stock", "stöck"):
        with pytest.raises(PlaybookInvalid, match=r"server\.function: must be the name"):
            named(name)


@pytest.mark.parametrize("text", ["", "- a", "server: [", "server: {}\ntools: {}", "server: 1\ntools: {}", "a: .nan"])
def test_a_file_that_is_no_declaration_is_named(load: Load, tmp_path: Path, text: str) -> None:
    load(desk=(desk_server(), tools()))
    (tmp_path / "elsewhere" / "servers" / "other.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(PlaybookInvalid, match=r"other\.yaml: "):
        load()


def test_a_servers_name_becomes_a_part_of_names_so_it_is_simple(load: Load) -> None:
    with pytest.raises(PlaybookInvalid, match="small letters"):
        load(**{"Desk-1": (desk_server(), tools())})


def test_two_servers_may_not_have_a_tool_of_the_same_name(load: Load) -> None:
    named = {name: tool | {"name": f"same_{name}"} for name, tool in tools().items()}

    with pytest.raises(PlaybookInvalid, match="two tools are named same_"):
        load(a=(desk_server(), named), b=(desk_server(), named))


def test_the_names_of_tools_fit_what_a_model_may_call(load: Load) -> None:
    odd = {"get/ticket by id": tools()["find"]}
    odd["get/ticket by id"]["pinned"] = pinned("get/ticket by id", {}, {"method": "GET", "path": "/"})

    assert list(load(desk=(desk_server(), odd)).tools) == ["desk_get_ticket_by_id"]


def test_a_key_that_stands_twice_is_refused(load: Load, tmp_path: Path) -> None:
    load(desk=(desk_server(), tools()))
    file = tmp_path / "elsewhere" / "servers" / "desk.yaml"
    file.write_text(file.read_text() + "\nserver: {kind: openapi, url: https://evil.example}\n", encoding="utf-8")
    with pytest.raises(PlaybookInvalid, match="the key 'server' stands twice"):
        load_playbook(file.parents[1], check_models=False)

    file.unlink()
    (file.parents[1] / "agent.yaml").write_text(f"{AGENT}name: other\n", encoding="utf-8")
    with pytest.raises(PlaybookInvalid, match="the key 'name' stands twice"):
        load_playbook(file.parents[1], check_models=False)


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\u202e", "\n", "\x85"], ids=ascii)
def test_a_name_with_characters_that_nobody_sees_is_refused(load: Load, char: str) -> None:
    for name, schema in ((f"a{char}b", {"type": "object"}), ("a", {"properties": {f"a{char}b": {}}})):
        declared = {name: {"effect": "write", "pinned": pinned(name, schema, {"method": "POST", "path": "/a"})}}
        with pytest.raises(PlaybookInvalid, match="characters that nobody sees"):
            load(desk=(desk_server(), declared))


def test_an_error_proves_nothing_where_the_server_checks_its_results(load: Load) -> None:
    server = {"kind": "mcp", "url": "https://notes.example/mcp"}
    promised = notes_tools({"refusals": ["error"]}, output={"type": "object"})
    with pytest.raises(PlaybookInvalid, match=r"refusals: error proves nothing .* Remove it"):
        load(notes=(server, promised))
    assert load(notes=(server, notes_tools({"refusals": ["error"]}))).tools


def placed(**where: str) -> dict[str, Any]:
    """Return a tool whose arguments stand at these places."""
    schema = {"properties": {name.replace("_", "-"): {"type": "string"} for name in where}}
    call = {"method": "POST", "path": "/a", "where": {name.replace("_", "-"): one for name, one in where.items()}}
    return {"effect": "write", "pinned": pinned("a", schema, call)}


KEYED = {"key": {"header": "Idempotency-Key"}}
HEADER_OF = {"credential": {"kind": "header", "secret": {"ssm": "/a"}, "header": "X-Api-Key"}}
QUERY_OF = {"credential": {"kind": "query", "secret": {"ssm": "/a"}, "name": "api-key"}}


@pytest.mark.parametrize(
    ("server", "where", "more", "said"),
    [
        ({"headers": {"X-Tenant": "acme"}}, {"x_tenant": "header x-tenant"}, {}, "as server.headers does"),
        ({"headers": {"X-Tenant": "acme"}}, {"t": "header X-TENANT"}, {"set": {"t": "a"}}, "as server.headers does"),
        ({}, {"k": "header idempotency-key"}, KEYED, "is the tool's argument k. Say key: {argument: k}"),
        (HEADER_OF, {"k": "header x-api-key"}, {}, "as server.credential does"),
        (QUERY_OF, {"API_KEY": "query"}, {}, "as server.credential does"),
        ({}, {"a": "header X-A", "b": "header x-a"}, {}, "as another argument does"),
        ({"headers": {"idempotency-key": "a"}}, {}, KEYED, "key.header: Idempotency-Key is set by server.headers"),
        *(
            ({}, {"a": f"header {name}"}, {}, "no argument may set the header")
            for name in ("X-HTTP-Method-Override", "x-forwarded-for", "X-Forwarded-Host", "Forwarded", "X-Real-Ip")
        ),
    ],
)
def test_no_argument_stands_where_the_executor_writes(
    load: Load, server: dict[str, Any], where: dict[str, str], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(PlaybookInvalid, match=said):
        load(desk=(desk_server(**server), {"a": placed(**where) | more}))
