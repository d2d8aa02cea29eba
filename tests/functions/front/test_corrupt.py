"""One corrupt event or run is shown as corrupt, and hides nothing else; a page is full by its bytes, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ballast.http.paging import PAGE_BYTES, sent_bytes
from tests.functions.cloud import client
from tests.functions.front.test_api_read import answered, everything, get, waits
from tests.functions.http import ACME, GLOBEX, ask, event
from tests.functions.stack import Stack
from tests.support.sampling import sampled

pytestmark = pytest.mark.usefixtures("waiting_workflow")

#: Lambda's limit of a response.
LAMBDA_BYTES = 6 * 1024 * 1024


def garbled(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"digest": {"S": "0" * 64}}


def cut(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("body", "packed", "payload")}


def gone(item: dict[str, Any]) -> dict[str, Any]:
    return cut(item) | {"payload": {"S": "payloads/nothing"}}


def no_number(item: dict[str, Any]) -> dict[str, Any]:
    return cut(item) | {"body": {"S": '{"a": NaN}'}}


def too_deep(item: dict[str, Any]) -> dict[str, Any]:
    return cut(item) | {"body": {"S": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"}}


WAYS = [garbled, cut, gone, no_number, too_deep]


def corrupt(stack: Stack, run_id: str, seq: str, how: Callable[[dict[str, Any]], dict[str, Any]] = garbled) -> None:
    key = {"run_id": {"S": run_id}, "seq": {"S": seq}}
    table = stack.environs["api"]["RUN_LOG_TABLE"]
    item = client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    client("dynamodb").put_item(TableName=table, Item=how(item))


@pytest.mark.sampled
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("seq", ["0000.run.opened", "9999.run.ended"])
def test_a_corrupt_run_is_in_the_list_with_all_others(stack: Stack, how: Any, seq: str) -> None:
    tenant = f"corrupt-{how.__name__}-{seq[5:]}".replace("_", "-").replace(".", "-")
    runs = [answered(stack, tenant=tenant), answered(stack, tenant=tenant), waits(stack, tenant=tenant)]
    corrupt(stack, runs[1], seq, how)

    listed = everything(stack, "/runs", "runs", "next", tenant=tenant, limit=1)

    assert {one["run_id"]: one["status"] for one in listed} == {
        runs[0]: "answered",
        runs[1]: "corrupt",
        runs[2]: "waiting",
    }
    by_status = everything(stack, "/runs", "runs", "next", tenant=tenant, status="corrupt")
    assert [one["run_id"] for one in by_status] == [runs[1]]
    assert {one["run_id"] for one in everything(stack, "/runs", "runs", "next", tenant=tenant, status="answered")} == {
        runs[0],
        runs[1],
    }


@pytest.mark.parametrize("how", WAYS)
def test_a_run_is_told_by_what_of_it_can_be_read(stack: Stack, how: Any) -> None:
    run_id = answered(stack, "Tidied.", intent="tidy", tenant="acme")
    corrupt(stack, run_id, "0001.plan.decided", how)

    run = get(stack, f"/runs/{run_id}").body
    events = everything(stack, f"/runs/{run_id}/events", "events", "after", limit=1)

    assert (run["status"], run["answer"], run["intent"]) == ("answered", "Tidied.", "tidy")
    assert [one["seq"] for one in run["corrupt"]] == ["0001.plan.decided"]
    seqs = [one["seq"] for one in events]
    assert seqs.index("0000.run.opened") < seqs.index("0001.plan.decided") < seqs.index("9999.run.ended")
    told = {one["seq"]: (one["corrupt"] is not None, bool(one["body"])) for one in events}
    assert told.pop("0001.plan.decided") == (True, False)
    assert set(told.values()) == {(False, True)}


@pytest.mark.parametrize("how", WAYS)
def test_a_run_whose_opening_is_corrupt_is_still_its_tenants_and_nobody_elses(stack: Stack, how: Any) -> None:
    run_id = answered(stack, tenant="acme")
    corrupt(stack, run_id, "0000.run.opened", how)

    run = ask(stack, "api", event("GET", f"/runs/{run_id}", who=ACME))
    events = ask(stack, "api", event("GET", f"/runs/{run_id}/events", who=ACME))

    assert (run.status, run.body["status"], run.body["request_id"]) == (200, "corrupt", None)
    assert [one["seq"] for one in run.body["corrupt"]] == ["0000.run.opened"]
    assert events.status == 200
    assert len(events.body["events"]) > 1
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/events", f"/runs/{run_id}/timeline"):
        assert ask(stack, "api", event("GET", path, who=GLOBEX)).status == 404


def test_a_body_that_was_written_anew_with_its_digest_hides_nothing_either(stack: Stack) -> None:
    """The digest is right, and what it covers is no event of ours: the folds cannot read it."""
    tenant = "anew"
    whole, odd = waits(stack, tenant=tenant), stack.open(tenant=tenant)
    stack.log.write(odd, "0001.model.responded", {"decision": "none", "cost_microusd": "many"})

    assert {one["run_id"] for one in everything(stack, "/runs", "runs", "next", tenant=tenant)} == {whole, odd}
    shown = get(stack, f"/runs/{odd}").body
    assert (shown["status"], len(shown["corrupt"])) == ("corrupt", 1)


def test_one_corrupt_ending_does_not_hide_what_waits_for_people(stack: Stack) -> None:
    questions = []
    for _ in range(2):
        run_id = stack.open(tenant="acme")
        stack.log.write(run_id, "0001.plan.decided", {"planner": "agent", "decision": HAND_OVER})
        task = {"run_id": run_id, "turn": 2, "kind": "escalation", "reason": "guidance", "timeout_s": 60}
        questions.append((run_id, stack.invoke("open", task | {"task_token": "t"})["escalation_id"]))
    stack.invoke("settle", {"run_id": questions[0][0], "turn": 2, "ending": "failed"})
    corrupt(stack, questions[0][0], "9999.run.ended")
    corrupt(stack, questions[1][0], "0002.escalation.opened")

    listed = everything_people(stack)
    shown = ask(stack, "people", event("GET", f"/escalations/{questions[1][1]}"))

    assert questions[1][1] in {one["escalation_id"] for one in listed}
    assert (shown.status, shown.body["proposed_decision"]) == (200, None)
    assert "digest" in shown.body["corrupt"]


HAND_OVER = {"kind": "hand_over", "to": "human", "reason": "guidance"}


def everything_people(stack: Stack, **query: Any) -> list[Any]:
    found: list[Any] = []
    for _ in range(50):
        reply = ask(stack, "people", event("GET", "/escalations", query={k: str(v) for k, v in query.items()}))
        assert reply.status == 200
        assert sent_bytes(reply.body) < LAMBDA_BYTES
        found += reply.body["escalations"]
        if reply.body["next"] is None:
            return found
        query["next"] = reply.body["next"]
    raise AssertionError("the pages have no end")


#: In JSON a character takes one byte, two, six or twelve.
LETTERS = ["x", "ж", "漢", "😀", '"', "\\", "\n"]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("letter", sampled(LETTERS, ["x", "😀", "\n"]))
def test_a_page_of_runs_is_full_by_its_bytes(stack: Stack, letter: str) -> None:
    tenant = f"bytes-{ord(letter)}"
    runs = {stack.open(tenant=tenant, text="a" + letter * 10_000) for _ in range(50)}

    query: dict[str, Any] = {"tenant": tenant, "limit": 50}
    found: list[str] = []
    for _ in range(50):
        reply = ask(stack, "api", event("GET", "/runs", query={name: str(value) for name, value in query.items()}))
        assert reply.status == 200
        assert len(json.dumps({"body": reply.text})) < LAMBDA_BYTES
        found += [one["run_id"] for one in reply.body["runs"]]
        if reply.body["next"] is None:
            break
        query["next"] = reply.body["next"]

    assert len(found) == 50
    assert set(found) == runs


@pytest.mark.sampled(1)
@pytest.mark.parametrize("letter", sampled(LETTERS, ["x", "漢", "\\"]))
def test_a_page_of_events_is_full_by_its_bytes(stack: Stack, letter: str) -> None:
    run_id = stack.open()
    for turn in range(1, 30):
        stack.log.write(run_id, f"{turn:04d}.plan.decided", {"planner": "fallback", "text": letter * 60_000})
    stack.log.write(run_id, "0030.plan.decided", {"planner": "fallback", "text": letter * PAGE_BYTES})

    found: list[Any] = []
    query: dict[str, str] = {"limit": "200"}
    for _ in range(100):
        reply = ask(stack, "api", event("GET", f"/runs/{run_id}/events", query=query))
        assert len(json.dumps({"body": reply.text})) < LAMBDA_BYTES
        found += reply.body["events"]
        if reply.body["next"] is None:
            break
        query["after"] = reply.body["next"]

    assert [one["seq"][:4] for one in found] == [f"{turn:04d}" for turn in range(31)]
    assert [one["left_out"] is not None for one in found] == [False] * 30 + [True]
