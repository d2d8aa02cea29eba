"""Items that Ballast never writes, and runs that TTL has begun to remove: bounded, reported, without a false alarm."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ballast.log.event import Event
from tests.functions.cloud import client
from tests.functions.front.test_api_read import answered, everything, get, once_stopped
from tests.functions.front.test_corrupt import HAND_OVER, LAMBDA_BYTES
from tests.functions.http import ACME, ask, event
from tests.functions.stack import Stack
from tests.support.log_items import encode

pytestmark = pytest.mark.usefixtures("waiting_workflow")


def plant(stack: Stack, run_id: str, *seqs: str) -> None:
    """Put entries there that cannot be read, as whoever may append could."""
    for seq in seqs:
        odd = {"run_id": {"S": run_id}, "seq": {"S": seq}, "at": {"S": "x"}, "digest": {"S": "0"}, "body": {"S": "{}"}}
        client("dynamodb").put_item(TableName=stack.environs["api"]["RUN_LOG_TABLE"], Item=odd)


def forget(stack: Stack, run_id: str, *seqs: str) -> None:
    """Remove entries as TTL does."""
    for seq in seqs:
        key = {"run_id": {"S": run_id}, "seq": {"S": seq}}
        client("dynamodb").delete_item(TableName=stack.environs["api"]["RUN_LOG_TABLE"], Key=key)


def test_odd_entries_have_a_bound_of_bytes_and_are_counted(stack: Stack) -> None:
    run_id = answered(stack)
    plant(stack, run_id, *(f"5zz{number:05d}" + "é" * 400 for number in range(1_000)))

    run, events = get(stack, f"/runs/{run_id}"), get(stack, f"/runs/{run_id}/events")

    assert (run.status, run.body["status"], events.status) == (200, "answered", 200)
    assert len(json.dumps({"body": run.text})) < LAMBDA_BYTES / 4
    assert len(json.dumps({"body": events.text})) < LAMBDA_BYTES / 4
    *told, more = run.body["corrupt"]
    assert more["why"] == f"and {1_000 - len(told)} more entries that cannot be read"
    odd = [one for one in events.body["events"] if one["corrupt"] is not None]
    assert odd[-1]["corrupt"] == f"and {1_000 - len(odd) + 1} more entries that cannot be read"
    assert events.body["events"][0]["seq"] == "0000.run.opened"


def test_an_entry_before_every_other_key_is_told_on_the_first_page(stack: Stack) -> None:
    run_id = answered(stack)
    plant(stack, run_id, "!hidden", "zzz")

    pages = everything(stack, f"/runs/{run_id}/events", "events", "after", limit=1)

    seqs = [one["seq"] for one in pages]
    assert (seqs[0], seqs[-1], len(seqs)) == ("!hidden", "zzz", len(set(seqs)))
    assert seqs[1] == "0000.run.opened"


@pytest.mark.parametrize("gone", [["0000.run.opened"], ["0000.run.opened", "0001.plan.decided"]])
def test_a_run_that_ttl_has_begun_to_remove_is_gone_and_nobody_changed_it(stack: Stack, gone: list[str]) -> None:
    """The retention is 60 days from when each event was written, and the oldest go first."""
    tenant = f"expired-{len(gone)}"
    run_id = answered(stack, tenant=tenant)
    forget(stack, run_id, *gone)

    assert listed(stack, tenant) == {run_id: "corrupt"}, "its events cannot have expired yet: somebody deleted them"
    stack.clock.now += timedelta(days=61)

    assert listed(stack, tenant) == {}
    assert get(stack, f"/runs/{run_id}").status == get(stack, f"/runs/{run_id}/events").status == 404
    assert ask(stack, "api", event("GET", f"/runs/{run_id}", who=ACME)).status == 404


GONE = {
    "its opening and its endings": ("0000.run.", "9999."),
    "its endings": ("9999.",),
    "all but its opening": ("0001.", "9999."),
    "all but its ending": ("0000.", "0001.", "9999.run.settled"),
    "all but its settlement": ("0000.", "0001.", "9999.run.ended"),
}


@pytest.mark.parametrize("which", GONE)
def test_a_run_of_which_ttl_left_anything_is_gone_whatever_it_is(stack: Stack, which: str) -> None:
    tenant = f"left-{list(GONE).index(which)}"
    run_id = answered(stack, tenant=tenant)
    forget(stack, run_id, *(one.seq for one in stack.log.read(run_id) if one.seq.startswith(GONE[which])))
    assert stack.log.read(run_id)
    assert get(stack, f"/runs/{run_id}").body["status"] in ("running", "corrupt"), "it has not expired yet"
    assert get(stack, f"/runs/{run_id}/events").status == 200

    stack.clock.now += timedelta(days=61)

    assert get(stack, f"/runs/{run_id}").status == get(stack, f"/runs/{run_id}/events").status == 404
    assert get(stack, f"/runs/{run_id}/timeline").status == 404
    for status in (None, "running", "answered", "corrupt"):
        asked = {"tenant": tenant} | ({"status": status} if status else {})
        assert everything(stack, "/runs", "runs", "next", **asked) == [], status


def test_of_a_run_whose_middle_alone_is_left_nobody_knows_how_it_stands(stack: Stack) -> None:
    run_id = answered(stack, tenant="middle")
    forget(stack, run_id, *(one.seq for one in stack.log.read(run_id) if ".run." in one.seq))

    shown = get(stack, f"/runs/{run_id}")

    assert [one.seq for one in stack.log.read(run_id)] == ["0001.plan.decided"]
    assert (shown.status, shown.body["status"], shown.body["run_id"]) == (200, "corrupt", run_id)
    assert get(stack, f"/runs/{run_id}/events").status == 200


def ended_long_ago(stack: Stack, key: str, *, known: bool) -> tuple[str, dict[str, Any]]:
    """Return a run whose time is over, and what it was started with; ``known`` to Step Functions or no more."""
    sent = {"tenant": "acme", "agent": "tester", "text": "Tidy my notes."}
    if known:
        run_id = ask(stack, "api", event("POST", "/runs", body=sent, headers={"idempotency-key": key})).body["run_id"]
        ask(stack, "api", event("POST", f"/runs/{run_id}/cancel"))
        stack.clock.now = max(stack.clock.now, once_stopped(run_id)["stopDate"])
    run_id = answered(stack, request_id=key, **sent)
    stack.clock.now += timedelta(days=61)
    return run_id, sent


#: What TTL has removed of it.
REMOVED = {"nothing": (), "its beginning": ("0000.",), "its end": ("9999.",), "both": ("0000.", "9999."), "all": ("",)}


@pytest.mark.parametrize(
    ("removed", "known"),
    [(removed, known) for removed in REMOVED for known in (True, False) if known or removed != "all"],
)
def test_the_key_of_a_run_that_has_expired_starts_nothing_and_says_so(stack: Stack, removed: str, known: bool) -> None:
    key = f"expired-{removed.replace(' ', '-')}-{known}"
    run_id, sent = ended_long_ago(stack, key, known=known)
    if removed != "nothing":
        forget(stack, run_id, *(one.seq for one in stack.log.read(run_id) if one.seq.startswith(REMOVED[removed])))

    for prefer in ({}, {"prefer": "wait=2"}, {"prefer": "respond-async, wait=1"}):
        again = ask(stack, "api", event("POST", "/runs", body=sent, headers={"idempotency-key": key, **prefer}))

        assert (again.status, again.body.get("type")) == (409, "urn:ballast:problem:run-expired"), again.text
        assert "Send a new key" in again.body["detail"]
    assert get(stack, f"/runs/{run_id}").status == get(stack, f"/runs/{run_id}/events").status == 404
    assert ask(stack, "api", event("POST", f"/runs/{run_id}/cancel")).status == 404


@pytest.mark.parametrize(
    ("written_days_ago", "over_days_ago"),
    [(0, 1), (30, 1), (100, 1), (1_000, 900)],
)
def test_an_event_that_says_it_expired_hides_no_run_that_goes_on(
    stack: Stack, written_days_ago: int, over_days_ago: int
) -> None:
    tenant = f"planted-{written_days_ago}"
    run_id = stack.open(tenant=tenant)
    at = stack.clock.now - timedelta(days=written_days_ago)
    planted = Event(run_id=run_id, seq="0007.plan.decided", at=at.isoformat(), body={})
    item, _ = encode(planted, {})
    over = stack.clock.now - timedelta(days=over_days_ago)
    item["expires_at"] = {"N": str(int(over.timestamp()))}
    client("dynamodb").put_item(TableName=stack.environs["api"]["RUN_LOG_TABLE"], Item=item)

    assert get(stack, f"/runs/{run_id}").status == 200
    assert [one["run_id"] for one in everything(stack, "/runs", "runs", "next", tenant=tenant)] == [run_id]


def listed(stack: Stack, tenant: str) -> dict[str, Any]:
    return {
        one["run_id"]: one["status"]
        for one in everything(stack, "/runs", "runs", "next", tenant=tenant, status="answered")
    }


ODD: list[Any] = [5, "x", True, [], [1], {"a": 1}, {"kind": "call_tools", "calls": [{}]}, {"kind": "call_tools"}]


@pytest.mark.parametrize("proposed", ODD, ids=str)
def test_an_odd_proposal_is_shown_as_corrupt_and_hides_nothing_else(stack: Stack, proposed: Any) -> None:
    run_id = stack.open(tenant="acme")
    stack.log.write(run_id, "0001.plan.decided", {"planner": "agent", "decision": HAND_OVER})
    task = {"run_id": run_id, "turn": 2, "kind": "escalation", "reason": "guidance", "timeout_s": 60}
    escalation_id = stack.invoke("open", task | {"task_token": "t"})["escalation_id"]
    opened = next(one for one in stack.log.read(run_id) if one.seq == "0002.escalation.opened")
    changed = opened.model_copy(update={"body": opened.body | {"proposed_decision": proposed}})
    item, _ = encode(changed, changed.body)
    client("dynamodb").put_item(TableName=stack.environs["api"]["RUN_LOG_TABLE"], Item=item)

    shown = ask(stack, "people", event("GET", f"/escalations/{escalation_id}"))

    assert (shown.status, shown.body["proposed_decision"]) == (200, None)
    assert shown.body["corrupt"].startswith("proposed_decision: ")
    assert shown.body["summary"]
