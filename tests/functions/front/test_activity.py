"""GET /activity: the last day of a tenant's runs by hour, counted from the indexes."""

from typing import Any

import pytest

from ballast.log.codec import encode
from ballast.log.events import RunEnded
from ballast.table import wire
from functions.front import listing
from tests.functions.http import ACME, OPERATOR, Reply, ask, event
from tests.functions.stack import Stack

pytestmark = pytest.mark.usefixtures("waiting_workflow")

EMPTY = {"runs": 0, "answered": 0, "looked_at": 0, "by_others": 0}


def get(stack: Stack, tenant: str, who: Any = OPERATOR) -> Reply:
    return ask(stack, "api", event("GET", "/activity", who=who, query={"tenant": tenant}))


def hours(stack: Stack, tenant: str) -> dict[str, dict[str, int]]:
    """Return what each hour holds that is not empty, by the hour's name."""
    shown = {hour.pop("since")[:13]: hour for hour in get(stack, tenant).body["hours"]}
    return {since: hour for since, hour in shown.items() if hour != EMPTY}


def answered(stack: Stack, tenant: str, *, by: str = "fallback") -> str:
    run_id = stack.open(tenant=tenant)
    decision = {"kind": "answer", "text": "Done."}
    stack.log.write(run_id, "0001.plan.decided", {"planner": by, "decision": decision})
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})
    return run_id


def test_runs_and_answers_are_counted_in_their_hours(stack: Stack) -> None:
    stack.open(tenant="counted")
    answered(stack, "counted", by="agent")
    answered(stack, "counted")
    stack.clock.advance(3600)
    stack.open(tenant="counted")
    stack.open(tenant="another")

    assert hours(stack, "counted") == {
        "2026-03-01T12": {"runs": 3, "answered": 2, "looked_at": 2, "by_others": 1},
        "2026-03-01T13": EMPTY | {"runs": 1},
    }


def test_there_are_24_hours_and_what_is_older_is_in_none(stack: Stack) -> None:
    stack.open(tenant="older")
    stack.clock.advance(23 * 3600)
    assert list(hours(stack, "older")) == ["2026-03-01T12"]

    stack.clock.advance(3600)

    shown = get(stack, "older").body["hours"]
    assert (len(shown), shown[0]["since"], shown[-1]["since"]) == (
        24,
        "2026-03-01T13:00:00+00:00",
        "2026-03-02T12:00:00+00:00",
    )
    assert hours(stack, "older") == {}


def test_of_many_answers_the_newest_ten_are_looked_at(stack: Stack) -> None:
    for _ in range(3):
        answered(stack, "many", by="agent")
    for _ in range(10):
        stack.clock.advance(1)
        answered(stack, "many")

    assert hours(stack, "many")["2026-03-01T12"] == {"runs": 13, "answered": 13, "looked_at": 10, "by_others": 10}


def test_where_there_are_too_many_runs_only_whole_hours_are_shown(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_A_LOOK", 1)
    monkeypatch.setattr(listing, "_COUNTED", 4)
    for _ in range(3):
        stack.open(tenant="crowd")
        stack.open(tenant="crowd")
        stack.clock.advance(3600)

    shown = get(stack, "crowd").body["hours"]

    assert [(hour["since"][:13], hour["runs"]) for hour in shown] == [("2026-03-01T14", 2), ("2026-03-01T15", 0)]


@pytest.mark.parametrize("garbled", ["no JSON", "no such ending"])
def test_an_ending_that_cannot_be_read_is_not_looked_at_and_hides_no_other(stack: Stack, garbled: str) -> None:
    tenant = garbled.replace(" ", "-")
    answered(stack, tenant)
    bad = answered(stack, tenant)
    table = stack.cloud.tables
    found = table.get_item(TableName="run-log", Key={"run_id": {"S": bad}, "seq": {"S": "9999.run.ended"}})["Item"]
    kept = {name: value for name, value in found.items() if name not in ("body", "packed")}
    [ending] = [one for one in stack.events(bad) if one.name == RunEnded.NAME]
    body = ending.body | {"degraded": "perhaps"}
    made = (
        wire(encode(ending.model_copy(update={"body": body}), body)[0])
        if garbled != "no JSON"
        else {"body": {"S": "{"}}
    )
    table.put_item(TableName="run-log", Item=kept | made)

    assert hours(stack, tenant)["2026-03-01T12"] == {"runs": 2, "answered": 2, "looked_at": 1, "by_others": 1}


def test_a_time_that_is_none_is_in_no_hour(stack: Stack) -> None:
    stack.cloud.tables.put_item(
        TableName="run-log",
        Item={
            "run_id": {"S": f"run-{'o' * 24}"},
            "seq": {"S": "0000.run.opened"},
            "at": {"S": "9"},
            "tenant": {"S": "odd-times"},
            "body": {"S": "{}"},
        },
    )

    assert get(stack, "odd-times").status == 200
    assert hours(stack, "odd-times") == {}


def test_a_tenant_counts_its_own_runs_only(stack: Stack) -> None:
    assert get(stack, "acme", ACME).body["tenant"] == "acme"
    assert get(stack, "globex", ACME).status == 403
