"""Whoever may write the log may put any item there: what reads the evidence names it and never falls over."""

import json
import zlib
from typing import Any

import pytest

from ballast.contracts import Event
from ballast.errors import LogCorrupt
from ballast.log.codec import encode
from tests.functions.budget.test_settle import settle
from tests.functions.cloud import client
from tests.functions.endpoint import Endpoint, says
from tests.functions.evidence.test_log_testifies import ended, first, item, put, rewrite, unfit, verdict
from tests.functions.stack import Stack, client_error

Body = dict[str, Any]
PACKED = zlib.compress(b'{"a": 1}')
#: What stands in the place of an event's content.
RAW: dict[str, Body] = {
    "not a number": {"body": {"S": '{"a": NaN}'}},
    "endless": {"body": {"S": '{"a": 1e999}'}},
    "deep": {"body": {"S": "[" * 90_000}},
    "deeper": {"body": {"S": '{"a":' * 50_000 + "1" + "}" * 50_000}},
    "no text": {"body": {"N": "1"}},
    "no body": {},
    "no object": {"body": {"S": "[1]"}},
    "a list of bodies": {"body": {"L": [{"S": "{}"}]}},
    "half a surrogate": {"body": {"S": '{"a": "\\ud800"}'}},
    "a bomb": {"packed": {"B": zlib.compress(b'{"a":"' + b"x" * 70_000_000 + b'"}')}},
    "half packed": {"packed": {"B": PACKED[:-5]}},
    "packed as text": {"packed": {"S": "x"}},
    "a payload that is a number": {"payload": {"N": "1"}},
    "a payload elsewhere": {"payload": {"S": "../x"}},
    "a payload without a name": {"payload": {"S": ""}},
    "a payload that is a map": {"payload": {"M": {"S": {"S": "x"}}}},
    "a payload that is not there": {"payload": {"S": "payloads/" + "0" * 64}},
    "sealed by a number": {"body": {"S": json.dumps({"$sealed": 1})}},
    "sealed by nothing": {"body": {"S": json.dumps({"$sealed": {"": ""}, "a": "b"})}},
    "sealed by itself": {"body": {"S": json.dumps({"$sealed": {"x": [{"y": 1}]}})}},
}


@pytest.mark.parametrize("what", RAW)
def test_an_item_in_the_place_of_an_event_is_named(stack: Stack, model: Endpoint, what: str) -> None:
    run_id = ended(stack, model)
    seq = "0001.call.1.settled"
    there = {name: item(run_id, seq)[name] for name in ("run_id", "seq", "at", "digest")}
    put(there | RAW[what])

    assert first(stack, run_id) == seq


@pytest.mark.parametrize("what", RAW)
def test_an_item_that_was_added_is_named_and_settle_says_so(stack: Stack, what: str) -> None:
    run_id = stack.open()
    there = {name: item(run_id, "0000.run.opened")[name] for name in ("run_id", "at", "digest")}
    put(there | {"seq": {"S": "0001.call.1.settled"}} | RAW[what])

    with pytest.raises(LogCorrupt):
        settle(stack, run_id, "failed")

    assert len(unfit(stack)) == 1
    assert first(stack, run_id) == "0001.call.1.settled"


ODD: dict[str, Any] = {
    "nothing": lambda _: {},
    "null": dict.fromkeys,
    "numbers": lambda body: dict.fromkeys(body, 1),
    "lists": lambda body: {name: [1] for name in body},
    "texts": lambda body: dict.fromkeys(body, "x"),
    "objects": lambda body: {name: {"a": {}} for name in body},
}


@pytest.mark.parametrize("what", ODD)
def test_a_body_of_another_shape_is_named_wherever_it_is(stack: Stack, model: Endpoint, what: str) -> None:
    run_id = ended(stack, model)
    for event in stack.events(run_id):
        before = item(run_id, event.seq)
        rewrite(run_id, event.seq, ODD[what])

        found = verdict(stack, run_id)

        assert found.status == "unfit", event.seq
        put(before)


@pytest.mark.parametrize(
    ("seq", "body"),
    [
        ("0002.call.1.approval_void", {"moved": 1}),
        ("0002.call.1.approval_void", {"moved": {"signature": 1}}),
        ("0003.plan.decided", {"planner": "agent"}),
        ("0003.plan.decided", {"planner": "agent", "decision": 1}),
        ("0003.plan.decided", {"planner": ["human"], "decision": {"kind": "answer", "text": 1}}),
        ("0002.escalation.answered", {}),
        ("0002.escalation.answered", {"decision": [], "by": 1}),
        ("0002.model.requested", {}),
        ("0002.model.requested", {"reserved_microusd": "many", "messages": 7}),
        ("0002.model.responded", {"decision": {"kind": "x"}, "cost_microusd": None}),
        ("0001.call.7.settled", {"status": {}}),
        ("0001.call.1.intended", {"tool": None, "moves": [1], "undo": 3}),
        ("9998.run.corrected", {"charged_microusd": "x"}),
    ],
)
def test_an_event_of_another_shape_that_was_added_ends_no_check_and_no_settlement_in_silence(
    stack: Stack, model: Endpoint, seq: str, body: Body
) -> None:
    run_id = stack.open()
    model.will(says("All is tidy."))
    stack.plan(run_id)
    event = Event(run_id=run_id, seq=seq, at="2026-03-01T12:00:00+00:00", body=body)
    put(encode(event, body)[0])

    verdict(stack, run_id)
    try:
        settle(stack, run_id, "failed")
    except LogCorrupt:
        assert unfit(stack), "it was not reported"
    else:
        assert verdict(stack, run_id).status in ("fits", "unfit")


def test_content_that_may_not_be_read_is_taken_for_gone(stack: Stack, model: Endpoint) -> None:
    # What S3 says of an object that is not there, where who asks may not list the bucket.
    run_id = ended(stack, model)
    found = item(run_id, "0001.call.1.settled")
    client("s3").put_object(Bucket="payloads", Key="payloads/" + "1" * 64, Body=PACKED)
    there = {name: found[name] for name in ("run_id", "seq", "at", "digest")}
    put(there | {"payload": {"S": "payloads/" + "1" * 64}})

    def refuse(**_: Any) -> None:
        raise client_error("AccessDenied")

    reads = stack.log._s3.meta.events
    reads.register("before-parameter-build.s3.GetObject", refuse)
    try:
        finding = verdict(stack, run_id).first
    finally:
        reads.unregister("before-parameter-build.s3.GetObject", refuse)

    assert finding is not None
    assert finding.seq == "0001.call.1.settled"
    assert "may not be read" in finding.why
