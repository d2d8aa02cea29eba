"""Any item may be put into the log's table: every reader of evidence survives it and names it."""

import argparse
import json
import zlib
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballast.contracts.wire import canonical
from ballast.errors import LogCorrupt
from ballast.log.codec import MOST_LEVELS, kept_beside
from ballast.log.event import Event
from ballast.log.evidence import Verdict
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal, token_of
from ballast.playbook import load_playbook
from ballast.table import Table
from cli.commands.verify import _each, _report
from cli.cost.explain import explained
from cli.exits import Exit
from cli.screen import Screen
from localcloud.evidence import verdict_on
from tests.functions.cloud import LOG, client
from tests.functions.endpoint import Endpoint
from tests.functions.evidence.test_log_testifies import VAULT, delete, ended, item, key, put, rewrite, unfit, verdict
from tests.functions.lifecycle.test_settle import settle
from tests.functions.stack import Stack
from tests.support.log_items import encode
from tests.support.sampling import dealt

Body = dict[str, Any]
AT = "2026-03-01T12:00:00+00:00"


@pytest.fixture
def run(stack: Stack, model: Endpoint) -> str:
    """Return a run that has ended."""
    return ended(stack, model)


def odd(run_id: str, seq: str, body: Any, **more: Any) -> Body:
    """Return an item whose digest is that of its body, where it can have one."""
    found = {**key(run_id, seq), "at": {"S": AT}, "digest": {"S": "x"}, "body": {"S": json.dumps(body)}}
    with suppress(ValueError, RecursionError):
        found["digest"] = {"S": Event(run_id=run_id, seq=seq, at=AT, body=body).digest}
    return found | more


@pytest.mark.sampled(7)
@pytest.mark.parametrize(
    ("seq", "body"),
    [
        ("0002.call.1.approval_void", {"moved": 1}),
        ("0002.call.1.approval_void", {"moved": None}),
        ("0002.call.1.approval_void", {"moved": {"signature": 1}}),
        ("0001.call.7.settled", {}),
        ("0003.plan.decided", {"planner": "agent", "decision": 1}),
        ("0003.plan.decided", {"planner": ["agent"]}),
        ("0002.escalation.answered", {}),
        ("0001.lease.extended", {}),
        ("0002.model.2.requested", {}),
        ("0002.model.failed", {"attempt": [1]}),
        ("0002.model.responded", {"attempt": {}}),
        ("0001.call.1.doubted", {}),
        ("0005.model.requested", {"after": [], "covers": 1}),
        ("9999.run.2.corrected", {"evidence": 1}),
    ],
)
def test_an_added_event_with_any_body_is_named(stack: Stack, run: str, seq: str, body: Body) -> None:
    put(odd(run, seq, body))

    found = verdict(stack, run)

    assert seq in found.late or (found.first is not None and found.first.seq == seq)


def test_what_no_check_expects_is_a_finding_of_the_run(stack: Stack, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def falls(*_: Any) -> Any:
        raise TypeError

    monkeypatch.setattr("ballast.log.evidence.changed_prompts", falls)

    found = verdict(stack, run)

    assert found.status == "unfit"
    assert found.first is not None
    assert "cannot be checked (TypeError)" in found.first.why


RAW: dict[str, Body] = {
    "NaN": {"body": {"S": '{"a":NaN}'}},
    "infinite": {"body": {"S": '{"a":[-Infinity]}'}},
    "deep list": {"body": {"S": "[" * 90_000}},
    "deep object": {"body": {"S": '{"a":' * 50_000 + "1" + "}" * 50_000}},
    "deep enough for a reader": {"body": {"S": '{"a":' * 400 + "1" + "}" * 400}},
    "no object": {"body": {"S": "[1]"}},
    "no JSON": {"body": {"S": "{"}},
    "long number": {"body": {"S": '{"a":' + "9" * 5_000 + "}"}},
    "surrogate": {"body": {"S": '{"a":"\\ud800"}'}},
    "body a number": {"body": {"N": "1"}},
    "body a map": {"body": {"M": {}}},
    "body bytes": {"body": {"B": b"{}"}},
    "no time": {"body": {"S": "{}"}, "at": {}},
    "digest a list": {"digest": {"L": []}},
    "packed text": {"packed": {"S": "x"}},
    "packed nothing": {"packed": {"B": b"x"}},
    "packed cut": {"packed": {"B": zlib.compress(b"{}" * 900)[:20]}},
    "packed no ASCII": {"packed": {"B": zlib.compress(b"\xff")}},
    "packed too much": {"packed": {"B": zlib.compress(b" " * 70_000_000)}},
    "payload a number": {"payload": {"N": "1"}},
    "payload nothing": {"payload": {"S": ""}},
    "payload null": {"payload": {"NULL": True}},
    "payload elsewhere": {"payload": {"S": "../x"}},
    "payload of another folder": {"payload": {"S": "secrets/x"}},
    "payload not there": {"payload": {"S": "payloads/" + "0" * 64}},
    "sealed a number": {"body": {"S": '{"$sealed":1}'}},
    "sealed numbers": {"body": {"S": '{"$sealed":{"x":1}}'}},
    "sealed texts": {"body": {"S": '{"$sealed":{"":""},"a":"b"}'}},
    "only keys": {},
}


SEQS = ("0001.call.1.settled", "0002.call.3.settled", "9999.run.ended", "9999.run.zzz", "odd")


@pytest.mark.sampled(12)
@pytest.mark.parametrize(("kind", "seq"), dealt(RAW, SEQS))
def test_an_item_of_any_kind_is_named_and_settle_reports_it(stack: Stack, run: str, seq: str, kind: str) -> None:
    raw = RAW[kind]
    stored = {} if not raw else {"at": {"S": AT}, "digest": {"S": "x"}} | raw
    stored = {name: value for name, value in stored.items() if value}
    put(key(run, seq) | stored)

    found = verdict(stack, run)

    assert found.first is not None
    assert found.first.seq == seq
    assert settled(stack, run) == "reported"


def settled(stack: Stack, run_id: str) -> str:
    """Settle and return how that ended: normally, with what is known of, or otherwise."""
    before, how = len(unfit(stack)), "settled"
    try:
        settle(stack, run_id, "answer", turn=2)
    except LogCorrupt as problem:
        how = "reported" if f"{run_id} " in str(problem) else f"names no event: {problem}"
    assert how == "settled" or len(unfit(stack)) > before
    return how


def test_since_goes_on_behind_a_run_with_an_odd_event(
    stack: Stack, model: Endpoint, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(odd(run, "0002.call.1.approval_void", {"moved": 1}))
    other = ended(stack, model)
    rewrite(other, "0001.call.1.settled", lambda body: body | {"message": "changed"})
    typed = argparse.Namespace(json=False, run=None, since="1d", stack="s", tenant=None)

    code = _report(_each([run, other], lambda run_id: verdict(stack, run_id)), typed, Screen())

    assert code == Exit.UNFIT
    printed = capsys.readouterr().out
    assert "0002.call.1.approval_void" in printed
    assert f"{other}: CHANGED" in printed


def test_since_names_a_run_that_cannot_be_read_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def verdicts(run_id: str) -> Verdict:
        if run_id == "run-a":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Query")
        if run_id == "run-b":
            raise ZeroDivisionError
        return Verdict("fits")

    typed = argparse.Namespace(json=True, run=None, since="1d", stack="s", tenant=None)

    assert _report(_each(["run-a", "run-b", "run-c"], verdicts), typed, Screen()) == Exit.UNFIT
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [row["status"] for row in rows] == ["unread", "unread", "fits"]
    assert "AccessDenied" in rows[0]["why"]


@pytest.mark.parametrize("value", [None, 1, [1], "x", {"a": {}}])
def test_cost_leaves_a_run_with_an_odd_event_out_and_names_it(stack: Stack, run: str, value: Any) -> None:
    plain = stack.open()
    for seq in stack.seqs(run):
        before = item(run, seq)
        rewrite(run, seq, lambda body: dict.fromkeys(body, value))
        left_out: dict[str, str] = {}

        made = explained([stack.log.read(run), stack.log.read(plain)], left_out)

        assert plain in made.runs
        assert {*made.runs, *left_out} == {run, plain}
        put(before)


@pytest.mark.parametrize("code", ["AccessDenied", "403", "NoSuchKey", "404"])
def test_a_payload_that_cannot_be_read_is_a_finding_whatever_s3_says(
    stack: Stack, run: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = item(run, "0001.call.1.settled")
    found.pop("body")
    put(found | {"payload": {"S": "payloads/" + "0" * 64}})
    denied = ClientError({"Error": {"Code": code, "Message": "not authorized: s3:ListBucket"}}, "GetObject")
    log = RunLog.of(stack.cloud.usual_process(LOG))
    monkeypatch.setattr(log, "_s3", _Denies(denied))

    verdict = verdict_on(log, Table(client("dynamodb"), "budgets", "Table budgets"), run, stack.clock())

    assert verdict is not None
    assert verdict.first is not None
    assert verdict.first.seq == "0001.call.1.settled"
    assert "gone, or there is no right to read it" in verdict.first.why


class _Denies:
    """S3 as it answers a role without ``s3:ListBucket``: 403 also for what is not there."""

    def __init__(self, problem: ClientError) -> None:
        self._problem = problem

    def get_object(self, **asked: Any) -> Any:
        raise self._problem


@pytest.mark.parametrize("parts", [[1], [""], ["x"], ["AAAA"], [None, "x"], ["Ag==" * 3_000], []])
def test_a_sealed_value_of_any_kind_is_corrupt_and_names_the_event(stack: Stack, parts: list[Any]) -> None:
    runtime = stack.cloud.usual_process(LOG)
    log = RunLog.of(runtime, Seal.of(runtime, load_playbook(VAULT)))
    run_id, seq = stack.open(), "0001.call.1.settled"
    shown = {"tool": "keep_card", "arguments": {"card_number": "\N{FULL BLOCK}"}, "status": "ok", "undo": None}
    body = shown | {"$sealed": {token_of(parts): parts}}
    put(odd(run_id, seq, body, digest={"S": Event(run_id=run_id, seq=seq, at=AT, body=shown).digest}))

    events, unreadable = log.read_all(run_id)

    assert [one.seq for one in unreadable] == [seq] or [event.seq for event in events][-1] == seq


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
) | st.sampled_from([1, 60, MOST_LEVELS, 600]).map(_deep)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ATTRIBUTE = st.one_of(
    st.fixed_dictionaries({"S": TEXT}),
    st.fixed_dictionaries({"N": st.integers(-(10**20), 10**20).map(str)}),
    st.fixed_dictionaries({"B": st.binary(max_size=20)}),
    st.sampled_from([{"NULL": True}, {"BOOL": False}, {"L": [{"S": "a"}]}, {"M": {"a": {"N": "1"}}}, {"SS": ["a"]}]),
)
ATTRIBUTES = ("at", "digest", "body", "packed", "payload", "mac", "tenant", "outcome", "expires_at")


@st.composite
def items(draw: st.DrawFn, run_id: str, known: dict[str, Body]) -> Body:
    """Draw an item in the place of a real one, or beside them: odd in its attributes, its JSON, or one field's type."""
    like = draw(st.sampled_from(sorted(known)))
    seq = draw(
        st.sampled_from([like, like, "0002.call.1.approval_void", "0002.model.2.requested", "0001.lease.x", "x"])
    )
    how = draw(st.sampled_from(["attributes", "json", "field", "nothing"]))
    made = dict(known[seq if seq in known else like]) | key(run_id, seq)
    if how == "attributes":
        for name in draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=3)):
            made.pop(name, None)
        made |= draw(st.dictionaries(st.sampled_from(ATTRIBUTES), ATTRIBUTE, max_size=3))
        made |= draw(st.just({}) | st.fixed_dictionaries({"body": st.fixed_dictionaries({"S": JSON.map(json.dumps)})}))
        return _whole(made)
    if how == "nothing":
        return made
    body = draw(st.dictionaries(st.text(max_size=6), JSON, max_size=3))
    if how == "field":
        stored = json.loads(made["body"]["S"]) if "body" in made else json.loads(zlib.decompress(made["packed"]["B"]))
        fields = draw(
            st.lists(st.sampled_from([*sorted(stored), "moved", "attempt", "evidence"]), min_size=1, max_size=3)
        )
        body = stored | {name: draw(JSON) for name in fields}
        if draw(st.booleans()):
            body.pop(fields[0])
    beside = {name: value for name, value in made.items() if name not in ("body", "packed", "payload")}
    return _whole({**beside, "at": made["at"], **_encoded(run_id, seq, body)})


def _encoded(run_id: str, seq: str, body: Body) -> Body:
    try:
        event = Event(run_id=run_id, seq=seq, at=AT, body=body)
        found = encode(event, body)[0]
        found.pop("at")
        return found
    except (ValueError, RecursionError):
        return {"body": {"S": json.dumps(body)}, "digest": {"S": "x"}}


def _whole(made: Body) -> Body:
    # An index takes a text only, and no empty one.
    return {name: value for name, value in made.items() if name not in ("at", "tenant", "outcome") or value.get("S")}


def _same(one: Body, other: Body) -> bool:
    def plain(some: Body) -> str:
        assert len({"body", "packed", "payload"} & some.keys()) == 1
        body = some["body"]["S"] if "body" in some else zlib.decompress(some["packed"]["B"]).decode()
        beside = {name: value for name, value in some.items() if name not in ("body", "packed")}
        return canonical([kept_beside(beside, {}), some["at"], some["digest"], body])

    try:
        return plain(one) == plain(other)
    except (AssertionError, KeyError, TypeError, zlib.error):
        return False


@pytest.fixture
def real(stack: Stack, model: Endpoint) -> tuple[str, dict[str, Body]]:
    """Return a run that has ended, and its items by key."""
    run_id = ended(stack, model)
    return run_id, {seq: item(run_id, seq) for seq in stack.seqs(run_id)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_item_in_the_log_of_an_ended_run_is_named(
    stack: Stack, real: tuple[str, dict[str, Body]], data: st.DataObject
) -> None:
    run_id, known = real
    made = data.draw(items(run_id, known))
    seq = made["seq"]["S"]
    put(made)
    try:
        found = verdict(stack, run_id)
        identical = seq in known and _same(made, known[seq])
        assert (found.status == "fits") is (identical or seq in found.late)
        assert found.status in ("fits", "unfit", "not_covered")
        assert identical or seq in found.late or found.first is not None
        assert found.first is None or found.first.seq
        assert settled(stack, run_id) in ("settled", "reported")
    finally:
        _put_back(run_id, known)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_settle_ends_whatever_was_put_into_the_log_before(
    stack: Stack, real: tuple[str, dict[str, Body]], data: st.DataObject
) -> None:
    run_id, known = real
    mine = {seq: one for seq, one in known.items() if not seq.startswith("9999")}
    made = data.draw(items(run_id, mine))
    delete(run_id, *(seq for seq in known if seq not in mine))
    _hold_again(run_id)
    put(made)
    try:
        how = settled(stack, run_id)
        assert how == "reported" or verdict(stack, run_id).status in ("fits", "unfit")
        lease = client("dynamodb").get_item(TableName="budgets", Key=_lease(run_id))["Item"]
        assert (lease["status"]["S"] == "settled") is (how == "settled")
    finally:
        _put_back(run_id, known)


def _keys_of(run_id: str) -> list[str]:
    """Return the keys that are there, whatever is under them."""
    asked = {"KeyConditionExpression": "run_id = :r", "ExpressionAttributeValues": {":r": {"S": run_id}}}
    return [one["seq"]["S"] for one in client("dynamodb").query(TableName="run-log", **asked)["Items"]]


def _lease(run_id: str) -> Body:
    return {"account": {"S": "lease"}, "window": {"S": run_id}}


def _hold_again(run_id: str) -> None:
    """Make the run's lease as it was while the run went on."""
    lease = client("dynamodb").get_item(TableName="budgets", Key=_lease(run_id))["Item"]
    client("dynamodb").put_item(TableName="budgets", Item=lease | {"status": {"S": "held"}, "held": {"S": "0"}})


def _put_back(run_id: str, known: dict[str, Body]) -> None:
    delete(run_id, *(one for one in _keys_of(run_id) if one not in known))
    for one in known.values():
        put(one)
