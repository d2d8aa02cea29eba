"""After a server's answer was lost: proofs that nothing happened, and proofs that it did."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ballast.playbook.servers.openapi import OpenApiTransport
from ballast.playbook.servers.values import holds, is_a_thing
from tests.functions import remote
from tests.functions.stack import LambdaDied, Stack
from tests.support.remote_desk import KEY, VERIFY, Desk, desk_server, pinned, tools

CALL = {"tool": "desk_create", "arguments": {"text": "no power"}}
IDEMPOTENT = {"idempotent": True}
TOKEN = {"key": {"argument": "token"}}
BY_TEXT = {"verify": {"tool": "desk_find", "arguments": {"key": {"argument": "/text"}}, "found": "/items/0"}}
REFUSALS = [400, 401, 402, 403, 404, 405, 406, 409, 410, 412, 413, 415, 421, 422, 424, 428, 431, 451]
Declared = Callable[..., Stack]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened


@pytest.fixture
def with_desk(stack: Stack, desk: Desk, tmp_path: Path) -> Declared:
    def make(create: Mapping[str, Any] = {}, *, honours: bool = True) -> Stack:
        desk.honours = honours
        declared = {"desk": (desk_server(timeout_s=1), tools(create))}
        return remote.with_servers(stack, tmp_path, declared, DESK_URL=desk.url)

    return make


def carried_out(stack: Stack, *, run_id: str = "", call: Mapping[str, Any] = CALL) -> tuple[str, str]:
    """See ``remote.until_given_up``."""
    return remote.until_given_up(stack, call, run_id=run_id)


# Nothing happened


@pytest.mark.sampled(2)
@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("first", ["lost", "crash"])
def test_what_may_only_be_sent_again_is_unknown_after_a_doubt_and_a_refusal(
    with_desk: Declared, desk: Desk, first: str, status: int
) -> None:
    stack = with_desk({**IDEMPOTENT, "refusals": [409]})
    desk.trouble.extend([first, *([status] * 20)])

    ended, message = carried_out(stack)

    assert (ended, len(desk.tickets)) == ("unknown", first == "lost")
    assert status in (401, 403) or f"answered {status}" in message


@pytest.mark.parametrize(("first", "ends"), [("lost", "ok"), ("crash", "failed")])
def test_a_verify_tells_what_a_refusal_after_a_doubt_does_not(
    with_desk: Declared, desk: Desk, first: str, ends: str
) -> None:
    stack = with_desk({**IDEMPOTENT, "verify": {**BY_TEXT["verify"], "matched": False}}, honours=False)
    desk.tickets.append({"id": 1, "key": "another", "text": "no water"})
    desk.trouble.extend([first, *([404] * 20)])
    seen = desk._answer
    desk._answer = lambda handler, status, body, *more, **said: seen(  # type: ignore[method-assign]
        handler,
        status,
        {"items": [one for one in desk.tickets if one["text"] == "no power"]} if handler.command == "GET" else body,
        *more,
        **said,
    )

    assert carried_out(stack)[0] == ends


def test_a_refusal_after_attempts_that_did_nothing_is_one(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(IDEMPOTENT)
    desk.trouble.extend([429, 429, 405])

    assert carried_out(stack)[0] == "failed"


@pytest.mark.parametrize("before", [[], [429]], ids=["first", "later"])
@pytest.mark.parametrize(
    ("create", "status", "ends"),
    [
        (IDEMPOTENT, 404, "unknown"),
        (IDEMPOTENT, 410, "unknown"),
        (IDEMPOTENT, 405, "failed"),
        ({**IDEMPOTENT, "refusals": [404]}, 404, "failed"),
        ({}, 404, "failed"),
        (KEY, 404, "failed"),
    ],
    ids=str,
)
def test_what_a_repetition_gets_is_no_proof_even_of_a_first_attempt(
    with_desk: Declared, desk: Desk, create: Any, status: int, ends: str, before: list[int]
) -> None:
    stack = with_desk(create)
    desk.trouble.extend([*before, *([status] * 20)] if create else [status])

    ended, message = carried_out(stack)

    assert (ended, len(desk.seen)) == (ends, 1 + len(before if create else []))
    assert ends == "failed" or "what stands between and sent it twice, may have done it" in message


@pytest.mark.parametrize(
    ("there", "after", "ends"),
    [(False, False, "failed"), (True, False, "unknown"), (True, True, "unknown"), (False, True, "ok")],
    ids=["never was", "was taken away", "is still there", "has come"],
)
def test_a_verify_tells_what_a_first_404_means(
    with_desk: Declared, desk: Desk, there: bool, after: bool, ends: str
) -> None:
    stack = with_desk({**IDEMPOTENT, "verify": {**BY_TEXT["verify"], "matched": False}})
    desk.trouble.extend([404] * 20)
    asked, honest = [there, after, after, after], desk._answer
    desk._answer = lambda handler, status, body, *more, **said: honest(  # type: ignore[method-assign]
        handler,
        status,
        {"items": [{"text": "no power"}] if asked.pop(0) else []} if handler.command == "GET" else body,
        *more,
        **said,
    )

    assert carried_out(stack)[0] == ends
    assert [one["method"] for one in desk.seen].count("POST") == 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("create", [KEY, {**KEY, "refusals": [404, 409, 412]}], ids=["key", "refusals"])
def test_with_a_key_only_an_answer_to_the_call_itself_counts_for_the_attempt_before(
    with_desk: Declared, desk: Desk, create: Any, status: int
) -> None:
    stack = with_desk(create)
    desk.trouble.extend(["crash", *([status] * 20)])

    ended, _ = carried_out(stack)

    # A server that answers a key always alike says 422 again; 404 may be a router's, 409 the first attempt's doing.
    proof = status in (400, 402, 422, 424)
    assert (ended, len(desk.tickets)) == ("failed" if proof else "unknown", 0)


# It happened


UUID = {"type": "string", "format": "uuid"}
CREATE_BY_UUID = {"type": "object", "properties": {"text": {"type": "string"}, "token": UUID}, "required": ["text"]}


@pytest.mark.parametrize("key", [{"type": "string"}, UUID], ids=["text", "uuid"])
@pytest.mark.parametrize("how", ["lost", "crash"])
@pytest.mark.parametrize("place", ["argument", "header"])
def test_a_key_is_asked_for_as_it_was_sent(
    stack: Stack, desk: Desk, tmp_path: Path, how: str, key: Mapping[str, Any], place: str
) -> None:
    desk.honours, desk.trouble = False, deque([how])
    create = {**(TOKEN if place == "argument" else KEY), **VERIFY, "marks": {"/text": "free_text"}}
    call: dict[str, Any] = {"method": "POST", "path": "/tickets"}
    if place == "header":
        call |= {"key": {"header": "idempotency-key", "schema": UUID}}
    create |= {"pinned": pinned("create", CREATE_BY_UUID, call)}
    find = {"method": "GET", "path": "/tickets", "where": {"key": "query"}}
    reads = {"effect": "read", "outward": False, "pinned": pinned("find", {"properties": {"key": key}}, find)}
    declared = {"desk": (desk_server(timeout_s=1), tools(create, find=reads))}
    remote.with_servers(stack, tmp_path, declared, DESK_URL=desk.url)

    assert carried_out(stack)[0] == "ok"

    [ticket] = desk.tickets
    asked = next(one["query"] for one in desk.seen if one["method"] == "GET")
    assert (len(ticket["key"]), asked) == (36, f"key={ticket['key']}")


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (lambda key: f"No ticket with key {key}", "unknown"),
        (lambda key: {"key": key, "items": [], "total": 0, "more": False}, "unknown"),
        (lambda key: {"key": key, "message": "not found"}, "unknown"),
        (lambda key: {"key": key, "id": 7}, "ok"),
    ],
    ids=["text", "echo", "word", "ticket"],
)
def test_an_echo_is_not_found(with_desk: Declared, desk: Desk, said: Any, ends: str) -> None:
    verify = {"tool": "desk_find", "arguments": {"key": {"key": True}}, "absent": [404]}
    stack, honest = with_desk({**KEY, "verify": verify}), desk._answer
    desk.trouble.extend(["crash"] * 20)

    def answer(handler: Any, status: int, body: Any, *more: Any, **how: Any) -> None:
        reads = handler.command == "GET"
        honest(handler, status, said(desk.seen[-1]["query"].removeprefix("key=")) if reads else body, *more, **how)

    desk._answer = answer  # type: ignore[method-assign]

    assert carried_out(stack)[0] == ends
    assert not desk.tickets


def test_without_a_key_what_stood_there_before_is_not_the_effect_and_no_rollback_takes_it(
    with_desk: Declared, desk: Desk
) -> None:
    stack = with_desk(
        {"verify": BY_TEXT["verify"], "undo": {"tool": "desk_close", "arguments": {"id": {"result": "/id"}}}}
    )
    desk.tickets.append({"id": 7, "key": "no%20power", "text": "no power"})
    desk.trouble.append("crash")
    run_id = stack.open()

    ended, message = carried_out(stack, run_id=run_id)

    assert (ended, len(desk.tickets)) == ("unknown", 1)
    assert "found something that may be older: before the first attempt it found something." in message
    assert stack.body(run_id, "0001.call.1.intended")["looked"] == "something"
    assert stack.body(run_id, "0001.call.1.settled")["undo"] is None
    assert [one["method"] for one in desk.seen] == ["GET", "POST", "GET"]


@pytest.mark.parametrize(("how", "effects"), [("lost", 1), ("slow", 1), ("crash", 1), ("well", 1)])
def test_without_a_key_what_is_new_is_the_effect(with_desk: Declared, desk: Desk, how: str, effects: int) -> None:
    stack = with_desk(BY_TEXT)
    desk.trouble.append(how)
    run_id = stack.open()
    act = desk._act
    desk._act = lambda handler, path, body: act(handler, path, body) | _named(desk)  # type: ignore[method-assign]

    assert carried_out(stack, run_id=run_id)[0] == "ok"

    assert len(desk.tickets) == effects
    assert stack.body(run_id, "0001.call.1.intended")["looked"] == "nothing"


@pytest.mark.parametrize("how", ["lost", "slow"])
def test_without_a_key_what_is_gone_may_be_the_effect_and_nothing_is_sent_again(
    with_desk: Declared, desk: Desk, how: str
) -> None:
    stack = with_desk(BY_TEXT)
    desk.tickets.append({"id": 7, "key": "no%20power", "text": "no power"})
    desk.trouble.append(how)
    desk._act = lambda *_: desk.tickets.clear() or {}  # type: ignore[func-returns-value,method-assign]

    ended, message = carried_out(stack)

    assert ended == "unknown"
    assert "found something before the first attempt, and nothing now" in message
    assert [one["method"] for one in desk.seen].count("POST") == 1


def _named(desk: Desk) -> dict[str, Any]:
    desk.tickets[-1]["key"] = "no%20power"  # as the query has it: the desk finds it by its text
    return desk.tickets[-1]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_death_after_the_look_forgets_nothing_of_it(
    with_desk: Declared, desk: Desk, monkeypatch: pytest.MonkeyPatch, dies: str, older: bool
) -> None:
    stack = with_desk(BY_TEXT)
    if older:
        desk.tickets.append({"id": 7, "key": "no%20power", "text": "no power"})
    send, left = OpenApiTransport.send, [dies]

    def died(transport: Any, call: Any, *given: Any) -> Any:
        how = left.pop() if left and call.remote_name == "create" else None
        if how == "before":
            raise LambdaDied
        result = send(transport, call, *given)
        if call.remote_name == "create":
            _named(desk)
        if how == "after":
            raise LambdaDied
        return result

    monkeypatch.setattr(OpenApiTransport, "send", died)

    ended, _ = carried_out(stack)

    assert ended == ("unknown" if older else "ok")
    assert len(desk.tickets) == (1 if not older else 1 + (dies == "after"))


def test_a_look_without_an_answer_stops_nothing_and_proves_nothing(
    with_desk: Declared, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = with_desk({"verify": {**BY_TEXT["verify"], "matched": False}})
    honest, left = desk._answer, [500]

    def answer(handler: Any, status: int, body: Any, *more: Any, **said: Any) -> None:
        reads = handler.command == "GET"
        honest(handler, left.pop() if reads and left else status, {"items": desk.tickets} if reads else body, *more)

    monkeypatch.setattr(desk, "_answer", answer)
    desk.trouble.append("lost")

    ended, message = carried_out(stack)

    assert (ended, len(desk.tickets)) == ("unknown", 1)
    assert message.endswith("may be older: before the first attempt it found no answer.")


def test_what_is_looked_for_by_its_key_is_not_looked_for_before(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk({**TOKEN, **VERIFY})
    run_id = stack.open()

    assert carried_out(stack, run_id=run_id)[0] == "ok"

    assert [one["method"] for one in desk.seen] == ["POST"]
    assert "looked" not in stack.body(run_id, "0001.call.1.intended")


@pytest.mark.parametrize(
    ("more", "thing"),
    [
        ({"id": 7}, True),
        ({"key": "", "data": {"number": "INC1", "attributes": {"key": "run-1a2b3c.0001.1"}}}, True),
        ({"items": [{"uuid": "a-b", "key": "run-1a2b3c.0001.1"}], "total": 1}, True),
        ({"items": [{"uuid": "a-b", "key": "run-1a2b3c.0001.10"}], "total": 1}, False),
        ({"text": "no power", "ticket_no": 7}, True),
        ({"amount": 50}, True),
        ({"message": "not found"}, False),
        ({"error": "not found"}, False),
        ({"exists": "no"}, False),
        ({"took": 12, "hits": []}, False),
        ({"items": [], "total": 5}, False),
        ({"request_id": "f3c1", "data": None}, False),
        ({"_links": {"self": {"href": "/tickets"}}, "urgent": True, "at": "2026-01-01"}, False),
        ({"id": None}, False),
        ({"id": "run-1a2b3c.0001.1"}, False),
    ],
    ids=str,
)
def test_an_echo_beside_a_word_is_no_thing(more: Any, thing: bool) -> None:
    key, arguments = "run-1a2b3c.0001.1", {"text": "no power", "amount": 50, "urgent": True, "token": ""}

    assert is_a_thing({"key": key, **more}, [("key", key, ("key",))], arguments, matched=True) is thing


@pytest.mark.parametrize(
    ("found", "wanted", "names", "held"),
    [
        ({"id": "zzz", "version": 1}, "1", ["name"], False),
        ({"id": "1", "name": "a", "owner": {"name": "1"}}, "1", ["name"], False),
        ({"id": "z", "Customer-Id": 7.0}, 7, ["customer_id"], True),
        ({"done": True}, True, ["done"], True),
        ({"done": True, "open": False}, False, ["done"], False),
        ([{"name": "a"}, {"name": "b"}], "b", ["name"], True),
        ({"tags": ["x", "y"]}, ["y", "x"], ["tags"], True),
        ({"tags": ["x"]}, ["y", "x"], ["tags"], False),
        ({"to": {"city": "Bonn"}, "city": "Rom"}, {"city": "Bonn"}, ["to"], False),
        ({"to": {"city": "Bonn"}}, {"city": "Bonn"}, ["to"], True),
        ({"note": "ref run-0001#0002#1 of us"}, "run-0001#0002#1", ["ref"], True),
        ({"note": "open"}, "open", ["status"], False),
        ({"key": "run-1a2b3c.0001.10"}, "run-1a2b3c.0001.1", ["key"], False),
        ({"key": "xrun-1a2b3c.0001.1"}, "run-1a2b3c.0001.1", ["key"], False),
        ({"note": "as run-1a2b3c.0001.1.2 says"}, "run-1a2b3c.0001.1", ["key"], False),
        ({"url": "https://desk/t?key=run-1a2b3c.0001.10&a=1"}, "run-1a2b3c.0001.1", ["key"], False),
        ({"url": "https://desk/t?key=%22run-1a2b3c.0001.1%22"}, "run-1a2b3c.0001.1", ["key"], True),
        ({"note": "It is run-1a2b3c.0001.1."}, "run-1a2b3c.0001.1", ["key"], True),
        ({"note": "(run-1a2b3c.0001.1), new"}, "run-1a2b3c.0001.1", ["key"], True),
        ({"text": "Hall: no power in the hall. Soon."}, "no power in the hall", ["text"], True),
    ],
    ids=str,
)
def test_a_short_value_counts_only_under_its_own_name(found: Any, wanted: Any, names: list[str], held: bool) -> None:
    assert holds(found, wanted, names) is held
