"""A server that wants the requester's token gets it, or gets nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import EffectUnknown, RetryLater
from ballast.on_behalf import MOST_S, RequesterTokens, Token
from tests.functions import remote
from tests.functions.approvals import answered, asks
from tests.functions.cloud import client
from tests.functions.stack import Stack
from tests.functions.writes import leases_are_over
from tests.support.remote_desk import KEY, Desk, desk_server, tools
from tests.support.remote_mcp import McpOverHttp, notes_tools

CALL = {"tool": "desk_create", "arguments": {"text": "no power"}}
FIND = {"tool": "desk_find", "arguments": {"key": "x"}}
REQUESTER = {"kind": "requester", "name": "desk"}
TOKEN = "t0k3n.of~ann/+=="
Declared = Callable[..., Stack]
_NUMBERS = count(1)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        opened.lets_in = {f"Bearer {TOKEN}"}
        yield opened


@pytest.fixture
def with_desk(stack: Stack, desk: Desk, tmp_path: Path) -> Declared:
    """Return what gives the stack a playbook with the desk, which wants the requester's token."""

    def make(create: Mapping[str, Any] = {}, *, named: str = "desk", **server: Any) -> Stack:
        declared = {named: (desk_server(**{"credential": REQUESTER} | server), tools(create))}
        return remote.with_servers(stack, tmp_path, declared, DESK_URL=desk.url)

    return make


def opened(stack: Stack, token: str | None = TOKEN, *, who: str = "ann", asks: str | None = None) -> str:
    """Admit a request of ``asks``, with ``who``'s token kept for its run; return its id."""
    request = {"request_id": f"behalf-{next(_NUMBERS)}", "agent": "tester", "text": "Tidy my notes."}
    sent = {"request": request, "requested_by": asks or who, "on_behalf": ["desk"]}
    run_id = str(stack.invoke("admit", sent)["run_id"])
    if token is not None:
        assert keeps(stack, run_id, token, who=who)
    return run_id


def keeps(stack: Stack, run_id: str, token: str, *, who: str = "ann", name: str = "desk") -> bool:
    tokens = stack.runtime("api").get(RequesterTokens.of)
    return tokens.keep(run_id, who, [Token.read(name, token, stack.clock())])


def jwt(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".c2ln"


def carried_out(stack: Stack, run_id: str, call: Mapping[str, Any] = CALL) -> tuple[str, str]:
    return remote.carried_out(stack, call, run_id=run_id)


def test_the_requesters_token_reaches_the_server_in_the_declared_header(with_desk: Declared, desk: Desk) -> None:
    desk.lets_in = None
    stack = with_desk(KEY, credential=REQUESTER | {"header": "X-User", "prefix": "Token "})

    assert carried_out(stack, opened(stack)) == ("ok", "")

    assert desk.seen[0]["headers"]["X-User"] == f"Token {TOKEN}"


@pytest.mark.parametrize("call", [CALL, FIND], ids=["write", "read"])
def test_without_a_token_nothing_is_sent_and_the_call_has_failed_with_a_remedy(
    with_desk: Declared, desk: Desk, call: Mapping[str, Any]
) -> None:
    stack = with_desk()

    status, message = carried_out(stack, opened(stack, None), call)

    assert status == "failed"
    assert "Nothing was sent" in message
    assert "X-On-Behalf-Of" in message
    assert not desk.seen


@pytest.mark.parametrize(("token", "after_s"), [(jwt(exp=0), 0), (TOKEN, MOST_S)])
def test_an_expired_token_is_not_sent(with_desk: Declared, desk: Desk, token: str, after_s: int) -> None:
    stack = with_desk()
    run_id = opened(stack, token)
    stack.clock.now += timedelta(seconds=after_s)

    status, message = carried_out(stack, run_id)

    assert (status, desk.seen) == ("failed", [])
    assert "has expired" in message
    assert "Idempotency-Key" in message


def test_a_token_that_the_server_refuses_is_sent_once_and_the_call_has_failed(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(KEY)
    desk.lets_in = {"Bearer another"}

    status, message = carried_out(stack, opened(stack))

    assert (status, len(desk.seen)) == ("failed", 1)
    assert "(401)" in message
    assert "Idempotency-Key" in message
    assert TOKEN not in message


def test_a_token_of_anybody_else_is_not_used(with_desk: Declared, desk: Desk) -> None:
    """Somebody brought it for a run that another caller had started, or the opening was forged."""
    stack = with_desk()

    status, message = carried_out(stack, opened(stack, who="lee", asks="ann"))

    assert (status, desk.seen) == ("failed", [])
    assert "not its requester's" in message


@pytest.mark.parametrize("field", ["run_id", "requester", "name"])
def test_a_sealed_token_opens_for_its_own_run_requester_and_name_alone(
    with_desk: Declared, desk: Desk, field: str
) -> None:
    """Whoever writes the table puts it somewhere else."""
    stack = with_desk(KEY)
    moved = opened(stack, None)
    keeps(stack, moved, TOKEN, name="crm" if field == "name" else "desk")
    run_id = opened(stack, None, who="lee") if field == "requester" else moved
    run_id = opened(stack, None) if field == "run_id" else run_id
    table = stack.cloud.tables
    item = table.get_item(TableName="requester-tokens", Key={"run_id": {"S": moved}})["Item"]
    item["run_id"] = {"S": run_id}
    if field == "requester":
        item["requester"] = {"S": "lee"}
    if field == "name":
        item["tokens"]["M"]["desk"] = item["tokens"]["M"].pop("crm")
    table.put_item(TableName="requester-tokens", Item=item)

    status, message = carried_out(stack, run_id)

    assert (status, desk.seen) == ("failed", [])
    assert "not sealed as that" in message


def test_the_log_of_the_run_and_the_kept_item_have_no_token(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk({**KEY, "refusals": [409]})
    desk.trouble.append(409)  # its answer quotes the header
    run_id = opened(stack)

    status, message = carried_out(stack, run_id)

    item = stack.cloud.tables.get_item(TableName="requester-tokens", Key={"run_id": {"S": run_id}})["Item"]
    everything = repr([one.body for one in stack.events(run_id)]) + stack.stdout.getvalue() + repr(item)
    assert status == "failed"
    assert "***" in message
    assert TOKEN not in everything
    assert base64.b64encode(TOKEN.encode()).decode() not in everything


def test_a_token_that_expires_after_a_lost_answer_leaves_the_effect_unknown(with_desk: Declared, desk: Desk) -> None:
    """That nothing is sent now says nothing about what was sent before."""
    stack = with_desk(KEY)
    desk.trouble.append("lost")
    soon = int(stack.clock().timestamp()) + 10
    token = jwt(exp=soon)
    desk.lets_in = {f"Bearer {token}"}
    run_id = opened(stack, token)
    stack.propose(run_id, CALL)
    with pytest.raises(Exception, match="was lost"):
        stack.execute(run_id)
    stack.clock.now += timedelta(minutes=10)  # nothing that was sent can still arrive

    assert (_tried_to_the_end(stack, run_id), len(desk.tickets), len(desk.seen)) == ("unknown", 1, 1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_lets_nobody_in_after_a_lost_answer_leaves_the_effect_unknown(
    with_desk: Declared, desk: Desk, status: int
) -> None:
    """With any credential: the server has not looked at the key."""
    stack = with_desk(KEY, credential=None)
    desk.lets_in = None
    desk.trouble.extend(["lost", *[status] * 20])
    run_id = stack.open()
    stack.propose(run_id, CALL)
    with pytest.raises(Exception, match="was lost"):
        stack.execute(run_id)
    stack.clock.now += timedelta(minutes=10)

    assert (_tried_to_the_end(stack, run_id), len(desk.tickets)) == ("unknown", 1)


@pytest.mark.parametrize("how", [429, "crash"])
def test_what_did_nothing_before_is_known_when_the_token_expires(with_desk: Declared, desk: Desk, how: Any) -> None:
    stack = with_desk(KEY)
    token = jwt(exp=int(stack.clock().timestamp()) + 10)
    desk.lets_in = {f"Bearer {token}"}
    desk.trouble.append(how)
    run_id = opened(stack, token)
    stack.propose(run_id, CALL)
    with pytest.raises(Exception, match=r"did nothing now|was lost"):
        stack.execute(run_id)
    stack.clock.now += timedelta(seconds=10)

    assert _tried_to_the_end(stack, run_id) == ("failed" if how == 429 else "unknown")


def _tried_to_the_end(stack: Stack, run_id: str) -> str:
    """Execute the call as the workflow does, until it gives up; return how it ended."""
    for given_up in (*[None] * 7, "RetryLater"):
        try:
            more = {"given_up": given_up} if given_up else {}
            return stack.execute(run_id, **more)
        except RetryLater:
            leases_are_over()
        except EffectUnknown:
            return "unknown"
    raise AssertionError(run_id)


def test_a_call_that_was_approved_when_the_token_had_expired_is_known_not_to_be_done(
    with_desk: Declared, desk: Desk
) -> None:
    stack = with_desk({**KEY, "approval": {"if": "always"}})
    token = jwt(exp=int(stack.clock().timestamp()) + 3600, sub="ann")
    run_id = opened(stack, token)
    stack.propose(run_id, CALL)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    stack.clock.now += timedelta(hours=2)

    assert stack.execute(run_id) == "failed"
    assert not desk.seen


def test_each_run_has_a_session_of_its_own_with_its_requesters_token(stack: Stack, tmp_path: Path) -> None:
    with McpOverHttp(stream=False) as server:
        declared = {"kind": "mcp", "url": server.url, "private": True, "timeout_s": 2, "credential": REQUESTER}
        remote.with_servers(stack, tmp_path, {"notes": (declared, notes_tools())})
        runs = [opened(stack, f"of-{who}", who=who) for who in ("ann", "lee", "ann")]
        for run_id in runs:
            assert carried_out(stack, run_id, {"tool": "notes_add", "arguments": {"text": "x"}})[0] == "ok"

        said = [(method, headers["authorization"]) for method, headers, _ in server.seen]
    asked = ["initialize", "notifications/initialized", "tools/list", "tools/list", "tools/call"]
    assert said == [(method, f"Bearer of-{who}") for who in ("ann", "lee", "ann") for method in asked]


def test_a_server_that_fails_for_one_requester_rests_for_that_one_alone(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(circuit={"failures": 2, "recovery_s": 60}, named="weary")
    desk.lets_in = None
    desk.trouble.extend([500, 500])
    call = {"tool": "weary_create", "arguments": {"text": "no power"}}
    ended = [carried_out(stack, opened(stack, who=who), call)[0] for who in ("ann", "ann", "ann", "lee")]

    assert ended == ["unknown", "unknown", "failed", "ok"]
    assert len(desk.seen) == 3


def test_a_redirect_does_not_carry_the_token_anywhere(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk()
    desk.trouble.append(307)

    assert carried_out(stack, opened(stack))[0] == "unknown"
    assert len(desk.seen) == 1


def test_the_runs_end_deletes_its_token_and_another_runs_stays(with_desk: Declared) -> None:
    stack = with_desk()
    gone, stays = opened(stack), opened(stack)

    stack.invoke("settle", {"run_id": gone, "turn": 1, "ending": "failed"})

    items = client("dynamodb").scan(TableName="requester-tokens")["Items"]
    kept = {item["run_id"]["S"] for item in items}
    assert (gone in kept, stays in kept) == (False, True)
