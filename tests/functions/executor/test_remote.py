"""Tools of an HTTP server: every effect happens once, or is known not to have happened, or is with a person."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import ApprovalRequired, AttemptInProgress, RetryLater
from tests.functions import remote
from tests.functions.stack import Stack
from tests.functions.writes import leases_are_over
from tests.support.remote_desk import KEY, VERIFY, Desk, desk_server, pinned, tools

CALL = {"tool": "desk_create", "arguments": {"text": "no power"}}
Declared = Callable[..., Stack]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as opened:
        yield opened


@pytest.fixture
def with_desk(stack: Stack, desk: Desk, tmp_path: Path) -> Declared:
    """Return what gives the stack a playbook with the desk's tools."""

    def make(create: Mapping[str, Any] = {}, *, honours: bool = True, named: str = "desk", **server: Any) -> Stack:
        desk.honours = honours
        declared = {named: (desk_server(**server), tools(create))}
        return remote.with_servers(stack, tmp_path, declared, DESK_URL=desk.url)

    return make


def carried_out(stack: Stack, call: Mapping[str, Any] = CALL, *, run_id: str = "") -> tuple[str, str]:
    return remote.carried_out(stack, call, run_id=run_id)


def test_a_call_reaches_the_server_once_and_its_result_comes_back(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(KEY)
    run_id = stack.open()

    assert carried_out(stack, run_id=run_id) == ("ok", "")

    [request] = desk.seen
    assert (request["method"], request["path"], request["body"]) == ("POST", "/tickets", {"text": "no power"})
    assert request["headers"]["Idempotency-Key"] == f"{run_id}.0001.1"
    settled = stack.body(run_id, "0001.call.1.settled")
    assert settled["result"]["text"] == "no power"


@pytest.mark.sampled
@pytest.mark.parametrize("how", ["crash", "lost", "slow", "half", 500, 502, 503, 429])
@pytest.mark.parametrize("first", [1, 2])
def test_with_a_key_trouble_leaves_one_effect(with_desk: Declared, desk: Desk, how: Any, first: int) -> None:
    stack = with_desk(KEY, timeout_s=1)
    desk.trouble.extend([how] * first)

    assert carried_out(stack)[0] == "ok"
    assert len(desk.tickets) == 1


@pytest.mark.parametrize("how", ["crash", "lost", "slow", "half", 500])
def test_with_a_verify_trouble_leaves_one_effect(with_desk: Declared, desk: Desk, how: Any) -> None:
    token = {"key": {"argument": "token"}}
    stack = with_desk({**VERIFY, **token}, honours=False, timeout_s=1)
    # The key is sent so that the read can find it; the server ignores it, so only verify tells.
    desk.trouble.append(how)

    status, _ = carried_out(stack)

    assert (status, len(desk.tickets)) == ("ok", 1)


@pytest.mark.parametrize(("how", "effects"), [("crash", 0), ("lost", 1), ("slow", 1), ("half", 1), (500, 0), (307, 0)])
def test_without_key_and_verify_a_lost_answer_is_unknown_and_with_a_person(
    with_desk: Declared, desk: Desk, how: Any, effects: int
) -> None:
    stack = with_desk(timeout_s=1)
    desk.trouble.append(how)

    assert carried_out(stack)[0] == "unknown"
    assert len(desk.tickets) == effects
    assert len(desk.seen) == 1  # a redirect is not followed, and nothing is tried again


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_a_failure_that_did_nothing(with_desk: Declared, desk: Desk, status: int) -> None:
    stack = with_desk()
    desk.trouble.append(status)

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert f"answered {status}" in message
    assert not desk.tickets


def test_a_server_that_is_not_there_was_sent_nothing(with_desk: Declared) -> None:
    stack = with_desk()
    stack.environs["executor"]["DESK_URL"] = "http://127.0.0.1:9"

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert "Nothing was sent" in message


def test_a_missing_variable_is_named_and_nothing_is_sent(with_desk: Declared) -> None:
    stack = with_desk()
    del stack.environs["executor"]["DESK_URL"]

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert "DESK_URL" in message


def test_an_address_inside_the_network_is_not_called_unless_it_is_declared(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(private=False, url=desk.url.replace("http:", "https:"))

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert "private: true" in message
    assert not desk.seen


def test_loopback_is_never_called_in_lambda(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk()
    stack.environs["executor"]["AWS_EXECUTION_ENV"] = "AWS_Lambda_python3.13"

    assert carried_out(stack)[0] == "failed"
    assert not desk.seen


def test_arguments_that_do_not_fit_the_schema_are_refused_before_anything_is_sent(
    with_desk: Declared, desk: Desk
) -> None:
    stack = with_desk()

    for wrong in ({"text": 1}, {}, {"text": "a", "more": 1}, {"text": "a", "amount": 501}, {"text": "a", "token": "t"}):
        call = {"tool": "desk_create", "arguments": wrong}
        fits = wrong.get("token") is not None
        assert carried_out(stack, call)[0] == ("ok" if fits else "refused")

    assert [one["body"] for one in desk.seen] == [{"text": "a", "token": "t"}]


def test_what_a_server_says_is_untrusted_so_a_value_from_it_needs_approval(with_desk: Declared, desk: Desk) -> None:
    marks = {"marks": {"/text": "grounded"}}
    stack = with_desk(marks)
    run_id = stack.open(text="Open a ticket: no power")
    desk.tickets.append({"id": 7, "key": "x", "text": "INC-4711"})
    carried_out(stack, {"tool": "desk_find", "arguments": {"key": "x"}}, run_id=run_id)
    stack.propose(run_id, {"tool": "desk_create", "arguments": {"text": "INC-4711"}}, turn=2)

    with pytest.raises(ApprovalRequired):
        stack.execute(run_id, turn=2)
    assert len(desk.tickets) == 1


def test_a_grounded_argument_from_nowhere_is_refused(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk({"marks": {"/text": "grounded"}})

    assert carried_out(stack, {"tool": "desk_create", "arguments": {"text": "INC-4711"}})[0] == "refused"
    assert not desk.seen


@pytest.mark.parametrize("said", ["always", {"argument": "/amount", "above": 100}])
def test_an_approval_is_asked_where_the_declaration_says(with_desk: Declared, desk: Desk, said: Any) -> None:
    stack = with_desk({"approval": {"if": said}})
    run_id = stack.open()
    stack.propose(run_id, {"tool": "desk_create", "arguments": {"text": "a", "amount": 100.5}})

    with pytest.raises(ApprovalRequired):
        stack.execute(run_id)
    assert not desk.seen


@pytest.mark.parametrize("answer", [{"ticket": "77"}, {"id": None}, "done", None], ids=str)
def test_an_undo_without_its_value_is_no_call(stack: Stack, desk: Desk, tmp_path: Path, answer: Any) -> None:
    # With fewer arguments, this undo would delete all tickets.
    call = {"method": "DELETE", "path": "/tickets", "where": {"id": "query"}}
    sweep = {"effect": "write", **KEY, "pinned": pinned("sweep", {"properties": {"id": {"type": "string"}}}, call)}
    create = {**KEY, "undo": {"tool": "desk_sweep", "arguments": {"id": {"result": "/id"}}}}
    declared = {"desk": (desk_server(), tools(create, sweep=sweep))}
    remote.with_servers(stack, tmp_path, declared, DESK_URL=desk.url)
    desk.answers.append(answer)
    run_id = stack.open()

    status, message = carried_out(stack, run_id=run_id)

    assert status == "ok"
    assert "Its undo desk_sweep could not be made" in message
    assert "id cannot be given: the result has no /id" in message
    assert stack.body(run_id, "0001.call.1.settled").get("undo") is None
    stack.propose(run_id, {"tool": "desk_sweep", "arguments": {}}, turn=2, by="rollback")
    assert stack.execute(run_id, turn=2) == "refused"
    assert [one["method"] for one in desk.seen] == ["POST"]


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ({"items": []}, "ok"),  # it did not happen: it is sent again
        ({"items": None}, "ok"),
        ({"items": [{"id": 9, "text": "no power"}]}, "ok"),  # it happened
        ({"items": [{"id": 9, "text": "no water"}, {"id": 8, "text": "no power"}]}, "unknown"),
        ({"message": "try later"}, "unknown"),
        ("busy", "unknown"),
    ],
    ids=str,
)
def test_a_verify_believes_only_what_holds_what_was_asked_for(
    with_desk: Declared, desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: Any, ends: str
) -> None:
    by_text = {"tool": "desk_find", "arguments": {"key": {"argument": "/text"}}, "found": "/items/0"}
    stack = with_desk({"verify": by_text}, timeout_s=1)
    desk.trouble.append("crash")
    honest, before = desk._answer, [{"items": []}]
    read = lambda handler, status, body, *more, **said: honest(  # noqa: E731
        handler, status, (before.pop() if before else answer) if handler.command == "GET" else body, *more, **said
    )
    monkeypatch.setattr(desk, "_answer", read)

    assert carried_out(stack)[0] == ends


def test_a_verify_without_its_value_is_no_answer(with_desk: Declared, desk: Desk) -> None:
    by_token = {"tool": "desk_find", "arguments": {"key": {"argument": "/token"}}, "found": "/items/0"}
    stack = with_desk({"verify": by_token}, timeout_s=1)
    desk.tickets.append({"id": 1, "key": "", "text": "somebody else's"})
    desk.trouble.append("crash")

    assert carried_out(stack)[0] == "unknown"
    assert [one["method"] for one in desk.seen] == ["POST"]


def test_an_undo_is_recorded_with_arguments_of_the_result(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk({**KEY, "undo": {"tool": "desk_close", "arguments": {"id": {"result": "/id"}}}})
    run_id = stack.open()

    assert carried_out(stack, run_id=run_id)[0] == "ok"

    undo = stack.body(run_id, "0001.call.1.settled")["undo"]
    assert (undo["tool"], undo["arguments"]) == ("desk_close", {"id": desk.tickets[0]["id"]})


def test_no_secret_is_in_any_sink(with_desk: Declared, desk: Desk) -> None:
    secret = 's3cr3t/+with%odd"signs'
    credential = {"kind": "header", "prefix": "Bearer ", "secret": {"ssm": "/desk/token"}}
    stack = with_desk({**KEY, "refusals": [409]}, credential=credential)
    stack.runtime("executor").client("ssm").put_parameter(Name="/desk/token", Value=secret, Type="SecureString")
    desk.trouble.extend([409, 500, "lost"])
    runs = [stack.open(), stack.open()]

    (refused, message), (done, _) = [carried_out(stack, run_id=one) for one in runs]

    assert (refused, done) == ("failed", "ok")
    assert "***" in message  # the server sent the header back
    assert desk.seen[0]["headers"]["Authorization"] == f"Bearer {secret}"
    everything = json.dumps([event.body for one in runs for event in stack.events(one)]) + stack.stdout.getvalue()
    for spelling in (secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()):
        assert spelling not in everything
        assert json.dumps(spelling)[1:-1] not in everything


def test_a_rotated_secret_is_read_anew_once(with_desk: Declared, desk: Desk) -> None:
    credential = {"kind": "header", "header": "X-Api-Key", "secret": {"secretsmanager": "desk", "field": "key"}}
    stack = with_desk(KEY, credential=credential)
    secrets = stack.runtime("executor").client("secretsmanager")
    secrets.create_secret(Name="desk", SecretString='{"key": "old"}')
    assert carried_out(stack)[0] == "ok"
    secrets.put_secret_value(SecretId="desk", SecretString='{"key": "new"}')
    desk.trouble.append(401)

    assert carried_out(stack)[0] == "ok"

    assert [one["headers"]["X-Api-Key"] for one in desk.seen] == ["old", "old", "new"]


def test_a_secret_that_cannot_be_read_sends_nothing_and_is_not_told(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(KEY, credential={"kind": "header", "secret": {"ssm": "/none"}})

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert message.startswith("Not configured: the secret /none cannot be read from ssm (ParameterNotFound). Make it")
    assert not desk.seen


@pytest.mark.parametrize(
    ("kept", "said"),
    [("{}", "has no field"), ("key", "has no field"), ('{"key": ""}', "is no text"), ('{"key": 1}', "is no text")],
)
def test_a_secret_without_its_field_is_named(with_desk: Declared, desk: Desk, kept: str, said: str) -> None:
    secret = {"secretsmanager": f"desk-{kept.encode().hex()}", "field": "key"}
    stack = with_desk(KEY, credential={"kind": "header", "header": "X-Api-Key", "secret": secret})
    secrets = stack.runtime("executor").client("secretsmanager")
    secrets.create_secret(Name=secret["secretsmanager"], SecretString=kept)

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert f"Not configured: the secret {secret['secretsmanager']} {said}" in message
    assert not desk.seen


def test_what_is_not_configured_says_why_each_time_and_opens_no_circuit(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(KEY, named="bare", private=False, circuit={"failures": 2, "recovery_s": 60})
    call = {"tool": "bare_create", "arguments": {"text": "no power"}}

    ended = [carried_out(stack, call) for _ in range(4)]

    assert {status for status, _ in ended} == {"failed"}
    assert all("must be https" in message and "private: true" in message for _, message in ended)
    assert all(stack.environs["executor"]["DESK_URL"] in message for _, message in ended)
    assert not desk.seen


def test_a_stand_in_on_loopback_needs_no_private_locally_and_is_refused_in_lambda(
    with_desk: Declared, desk: Desk
) -> None:
    stack = with_desk(KEY, private=False)
    stack.environs["executor"]["BALLAST_STAND_INS"] = "OTHER_URL,DESK_URL"
    assert carried_out(stack)[0] == "ok"
    stack.environs["executor"]["AWS_EXECUTION_ENV"] = "AWS_Lambda_python3.13"

    ended, message = carried_out(stack)

    assert (ended, len(desk.tickets)) == ("failed", 1)
    assert "must be https" in message


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "desk.example"])
def test_only_loopback_is_a_stand_in(with_desk: Declared, host: str) -> None:
    stack = with_desk(KEY, private=False)
    stack.environs["executor"] |= {"BALLAST_STAND_INS": "DESK_URL", "DESK_URL": f"http://{host}"}

    ended, message = carried_out(stack)

    assert ended == "failed"
    assert "must be https" in message


def test_a_credential_that_is_refused_later_says_nothing_about_the_effect_before(
    with_desk: Declared, desk: Desk
) -> None:
    stack = with_desk(KEY)
    desk.trouble.extend(["lost", *([401] * 20)])
    run_id = stack.open()
    stack.propose(run_id, CALL)

    for _ in range(6):
        with pytest.raises((RetryLater, AttemptInProgress)):
            stack.execute(run_id)
        leases_are_over()
        stack.clock.advance(300)

    assert len(desk.tickets) == 1
    state = stack.events(run_id).call(1, 1)
    assert state is not None
    assert state.status == "intended"  # and not failed: the first request was carried out


def test_a_server_that_fails_again_and_again_rests_for_all_its_tools(with_desk: Declared, desk: Desk) -> None:
    stack = with_desk(circuit={"failures": 2, "recovery_s": 60}, named="weary")
    desk.trouble.extend([500, 500])
    call = {"tool": "weary_create", "arguments": {"text": "no power"}}

    assert [carried_out(stack, call)[0] for _ in range(2)] == ["unknown", "unknown"]
    status, message = carried_out(stack, {"tool": "weary_find", "arguments": {}})

    assert (status, len(desk.seen)) == ("failed", 2)
    assert "server.weary failed too often" in message
    assert message.endswith("Nothing was executed. The last error: POST /tickets answered 500.")
