"""A result of another form than it was pinned confirms no effect, and money that a server moves is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ballast.why import explained
from tests.functions import remote
from tests.functions.moves import status, window
from tests.functions.remote import carried_out
from tests.functions.stack import Stack
from tests.support.remote_desk import CREATE, FIND, KEY, VERIFY, Desk, desk_server, pinned, tools

CALL = {"tool": "desk_create", "arguments": {"text": "no power"}}
POST = {"method": "POST", "path": "/tickets"}
TICKET = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "text": {"type": "string"}, "total": {"type": "number"}},
    "required": ["id", "text"],
}
FORMED = {"pinned": pinned("create", CREATE, POST, output=TICKET)}
Declared = Callable[..., Stack]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened


@pytest.fixture
def with_desk(stack: Stack, desk: Desk, tmp_path: Path) -> Declared:
    def make(create: Mapping[str, Any] = FORMED, **others: Mapping[str, Any]) -> Stack:
        declared = {"desk": (desk_server(), tools(create, **others))}
        return remote.with_servers(stack, tmp_path, declared, DESK_URL=desk.url)

    return make


@pytest.mark.parametrize(
    "answer",
    [
        {"id": 7, "text": "a"},
        {"id": 7, "text": "a", "more": [1]},
        {"id": 7, "text": "a", "total": 12345678901234567.89},
    ],
    ids=str,
)
def test_a_result_of_the_pinned_form_is_the_effects(with_desk: Declared, desk: Desk, answer: Any) -> None:
    stack = with_desk()
    desk.answers.append(answer)

    assert carried_out(stack, CALL) == ("ok", "")


WRONG = [
    {"id": "7", "text": "a"},
    {"text": "a"},
    {"error": "no"},
    [],
    "done",
    None,
    {"id": 7, "text": "a", "total": "1"},
]


@pytest.mark.sampled
@pytest.mark.parametrize("answer", WRONG, ids=str)
@pytest.mark.parametrize("key", [{}, KEY], ids=["bare", "key"])
def test_a_result_of_another_form_leaves_a_write_unknown_and_is_counted(
    with_desk: Declared, desk: Desk, answer: Any, key: Any
) -> None:
    stack = with_desk({**FORMED, **key})
    desk.answers.append(answer)

    ended, message = carried_out(stack, CALL)

    assert ended == "unknown"
    assert message.startswith("The result is not what desk_create promises: ")
    assert len([one for one in desk.seen if one["method"] == "POST"]) == 1
    [line] = [line for line in stack.lines() if "ToolsChanged" in line]
    assert (line["server"], line["tool"]) == ("desk", "create")


@pytest.mark.parametrize("verified", [True, False])
def test_a_server_that_has_changed_is_told_whatever_became_of_the_call(
    with_desk: Declared, desk: Desk, verified: bool
) -> None:
    stack = with_desk({**FORMED, **KEY, **(VERIFY if verified else {})})
    desk.answers.append({"error": "no"})
    run_id = stack.open()

    assert carried_out(stack, CALL, run_id=run_id)[0] == ("ok" if verified else "unknown")

    assert stack.body(run_id, "0001.call.1.settled")["unlike"] == {
        "server": "desk",
        "kind": "openapi",
        "tool": "create",
    }
    run = stack.log.read(run_id)
    why = explained(run, run.timeline())
    assert "pin the tools of the server desk anew: it answers otherwise than they were pinned" in why.act
    cause = next(one for one in why.causes if one.name == "server_changed")
    assert "in servers/desk.yaml" in cause.words
    command = 'ballast import openapi "<document or address>" --playbook . --name desk --check'
    assert command in [one.command for one in why.to_type]


def test_a_verify_tells_what_became_of_it(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk({**FORMED, **KEY, **VERIFY})
    desk.answers.append({"error": "no"})

    assert carried_out(stack, CALL) == ("ok", "")
    assert len(desk.tickets) == 1


def test_a_verify_in_another_form_confirms_nothing(with_desk: Declared, desk: Desk) -> None:
    form = {"type": "object", "properties": {"items": {"type": "array", "items": TICKET}, "next": {}}}
    find = {"method": "GET", "path": "/tickets", "where": {"key": "query"}}
    read = {
        "effect": "read",
        "outward": False,
        "pinned": pinned("find", FIND, find, output=form | {"required": ["next"]}),
    }
    stack = with_desk({**FORMED, **KEY, **VERIFY}, find=read)
    desk.trouble.extend(["lost"] * 6)

    assert carried_out(stack, CALL)[0] == "unknown"


def test_a_read_in_another_form_has_failed_and_its_result_is_not_shown(with_desk: Declared, desk: Desk) -> None:
    find = {"method": "GET", "path": "/tickets", "where": {"key": "query"}}
    read = {"effect": "read", "pinned": pinned("find", FIND, find, output={"required": ["next"]})}
    stack = with_desk(find=read)
    desk.tickets.append({"id": 1, "key": "x", "text": "evil words"})
    run_id = stack.open()

    ended, message = carried_out(stack, {"tool": "desk_find", "arguments": {"key": "x"}}, run_id=run_id)

    assert (ended, message) == ("failed", "The result is not what desk_find promises: next: is missing.")
    assert "evil" not in str(stack.body(run_id, "0001.call.1.settled"))


def test_a_person_may_say_that_the_form_is_not_checked(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk({**FORMED, "result": {"checked": False}})
    desk.answers.append({"error": "no"})

    assert carried_out(stack, CALL)[0] == "ok"


# Money

PAY = {
    "type": "object",
    "properties": {
        "amount": {"type": ["integer", "number", "string"]},
        "currency": {"type": "string"},
        "account": {"type": ["string", "integer"]},
    },
}
MOVES = {"amount": "/amount", "decimals": 2, "currency": {"argument": "/currency", "is": "EUR"}, "customer": "/account"}


@pytest.fixture
def paying(with_desk: Declared, desk: Desk) -> Stack:
    pay = {
        "effect": "write",
        "taint": "allow",
        "moves": MOVES,
        "key": {"header": "Idempotency-Key"},
        "pinned": pinned("pay", PAY, POST),
    }
    stack = with_desk(pay=pay)
    playbook = Path(stack.environs["executor"]["PLAYBOOK_DIR"])
    agent = yaml.safe_load((playbook / "agent.yaml").read_text(encoding="utf-8"))
    ceilings = {"currency": "EUR", "run": "400.00", "customer": {"hour": 300, "day": 300}}
    (playbook / "agent.yaml").write_text(yaml.safe_dump(agent | {"moves": ceilings}), encoding="utf-8")
    return stack


def pays(stack: Stack, run_id: str, **arguments: Any) -> tuple[str, str]:
    call = {"tool": "desk_pay", "arguments": {"currency": "EUR", "account": "C-1"} | arguments}
    return carried_out(stack, call, run_id=run_id)


@pytest.mark.parametrize(
    ("amount", "units"), [(12_350, "123.50"), ("12350", "123.50"), (1, "0.01"), (10.5, "0.105"), ("0", "0")]
)
def test_a_call_of_a_server_counts_the_money_that_it_moves(paying: Stack, amount: Any, units: str) -> None:
    run_id = paying.open()

    assert pays(paying, run_id, amount=amount)[0] == "ok"

    assert window("C-1") == Decimal(units)
    assert window(run_id) == Decimal(units)


def test_a_call_beyond_a_window_reaches_no_server(paying: Stack, desk: Desk) -> None:
    assert pays(paying, paying.open(), amount=30_000)[0] == "ok"
    run_id = paying.open()

    ended, _ = pays(paying, run_id, amount=1)

    assert (ended, len(desk.tickets)) == ("refused", 1)
    assert status(run_id) is None or status(run_id) != "kept"


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": -5},
        {"amount": "1e3"},
        {"amount": "NaN"},
        {"amount": "１２"},
        {"amount": 1e300},
        {},
        {"amount": 5, "currency": "JPY"},
        {"amount": 5, "currency": "eur"},
        {"amount": 5, "account": ""},
        {"amount": 1.23456},
    ],
    ids=ascii,
)
def test_an_amount_that_cannot_be_counted_reaches_no_server(paying: Stack, desk: Desk, wrong: Any) -> None:
    assert pays(paying, paying.open(), **wrong)[0] == "refused"
    assert not desk.seen
