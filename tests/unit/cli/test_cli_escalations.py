"""A stack's open escalations, with an index that lags behind and a log that somebody may have changed."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ballast.contracts.wire import canonical, sha256
from ballast.escalations import ShownEscalations
from ballast.log.event import Event
from ballast.log.events import ApprovalRequested, RunEnded
from ballast.table import Table
from cli.escalations import commands_to_type, details, open_escalations

CALL = {"tool": "refund_order", "arguments": {"order_id": "O-1", "amount_usd": "40.00"}}
OTHER = {"tool": "refund_order", "arguments": {"order_id": "O-1", "amount_usd": "4000.00"}}


IDS = [f"esc-{'a' * 15}{letter}" for letter in "abcdefg"]
RUNS = [f"run-{'a' * 23}{letter}" for letter in "abcdefg"]


def item(number: int, **more: dict[str, str]) -> dict[str, dict[str, str]]:
    made = {
        "escalation_id": {"S": IDS[number]},
        "run_id": {"S": RUNS[number]},
        "tenant": {"S": "acme"},
        "kind": {"S": "approval"},
        "status": {"S": "open"},
        "reason": {"S": "approval_required"},
        "summary": {"S": "Look."},
        "opened_at": {"S": "2026-11-28T01:00:00+00:00"},
        "answer_by": {"S": "2999-01-01T00:00:00+00:00"},
        "turn": {"N": "2"},
        "call_index": {"N": "1"},
        "call_sha256": {"S": sha256(canonical(CALL))},
    }
    return {name: value for name, value in (made | more).items() if value}


class Stack:
    """A stack whose index names all of ``items``, and whose log has ``calls`` by run, and ``ended`` runs."""

    def __init__(self, *items: dict[str, Any], calls: dict[str, Any], ended: tuple[str, ...] = ()) -> None:
        self.items = {one["escalation_id"]["S"]: one for one in items}
        self.calls, self.ended = calls, ended
        self.asked: list[set[str]] = []

    def escalations(self) -> ShownEscalations:
        log: Any = self
        return ShownEscalations(log, Table(self, "escalations", "Table escalations"), lambda: datetime.now(UTC))

    def query(self, ExclusiveStartKey: Any = None, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        names = [*self.items, IDS[0]]
        at = 0 if ExclusiveStartKey is None else names.index(ExclusiveStartKey["escalation_id"]["S"]) + 1
        key = {"escalation_id": {"S": names[at]}, "opened_at": {"S": "2026-11-28T01:00:00+00:00"}}
        return {"Items": [key]} | ({"LastEvaluatedKey": key} if at + 1 < len(names) else {})

    def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        [(table, asked)] = RequestItems.items()
        self.asked.append(set(asked["ExpressionAttributeNames"].values()))
        keys = [key["escalation_id"]["S"] for key in asked["Keys"]]
        return {"Responses": {table: [self.items[key] for key in keys if key in self.items]}}

    def read_keys(self, keys: list[tuple[str, str]], _unreadable: Any) -> dict[tuple[str, str], Event]:
        found = {}
        for run_id, seq in keys:
            body: dict[str, Any] | None = None
            if seq == RunEnded.key() and run_id in self.ended:
                body = {"status": "aborted"}
            elif seq == ApprovalRequested.key(2, 1, 1) and run_id in self.calls:
                body = {"proposed_decision": {"kind": "call_tools", "calls": [self.calls[run_id]]}}
            if body is not None:
                found[run_id, seq] = Event(run_id=run_id, seq=seq, at="2026-11-28T01:00:00+00:00", body=body)
        return found


def test_what_the_index_has_and_nobody_can_answer_any_more_is_left_out() -> None:
    stack: Any = Stack(
        item(1),
        item(2, status={"S": "answered"}),
        item(4, tenant={}),
        item(5, answer_by={"S": "2020-01-01T00:00:00+00:00"}),
        item(6),
        calls={RUNS[1]: CALL},
        ended=(RUNS[6],),
    )

    (found,) = open_escalations(stack)

    assert found["escalation_id"] == IDS[1]
    assert found["proposed_decision"]["calls"] == [CALL]
    assert stack.asked
    assert not any({"task_token", "token"} & names for names in stack.asked)


def test_a_call_that_was_changed_in_the_log_since_is_not_shown_and_hides_nothing_else() -> None:
    stack: Any = Stack(item(1), item(2), item(3), calls={RUNS[1]: OTHER, RUNS[2]: CALL})

    changed, as_asked, unknown = open_escalations(stack)

    assert "4000.00" not in str(changed)
    printed = "\n".join(details(changed))
    assert "NOT SHOWN: " in printed
    assert f"was changed in the log after people were asked. Run `ballast --stack NAME verify {RUNS[1]}`." in printed
    assert [line.split()[3] for line in commands_to_type(IDS[1], changed)] == ["--reject"]
    assert as_asked["proposed_decision"]["calls"] == [CALL]
    assert unknown["proposed_decision"] is None


def test_who_asked_for_the_run_is_told_that_somebody_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "mia")
    asked = {"kind": "approval", "may_not_answer": ["mia"]}

    for message in (asked, {**asked, "kind": "escalation"}):
        assert all(one.startswith("ballast answer esc-1 --by NAME --") for one in commands_to_type("esc-1", message))
    by_others = commands_to_type("esc-1", {**asked, "may_not_answer": ["rae"]})
    assert not any("--by" in one for one in by_others)
