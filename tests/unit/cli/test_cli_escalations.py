"""A stack's open escalations, with an index that lags behind and a log that somebody may have changed."""

from typing import Any

from ballast.contracts.wire import canonical, sha256
from ballast.log.event import Event
from ballast.table import Table
from cli.escalations import open_escalations

CALL = {"tool": "refund_order", "arguments": {"order_id": "O-1", "amount_usd": "40.00"}}
OTHER = {"tool": "refund_order", "arguments": {"order_id": "O-1", "amount_usd": "4000.00"}}


def item(number: int, **more: dict[str, str]) -> dict[str, dict[str, str]]:
    made = {
        "escalation_id": {"S": f"esc-{number}"},
        "run_id": {"S": f"run-{number}"},
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

    def table(self, logical_id: str) -> Table:
        return Table(self, logical_id, logical_id)

    def query(self, ExclusiveStartKey: Any = None, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        names = [*self.items, "esc-gone"]
        at = 0 if ExclusiveStartKey is None else names.index(ExclusiveStartKey["escalation_id"]["S"]) + 1
        key = {"escalation_id": {"S": names[at]}}
        return {"Items": [key]} | ({"LastEvaluatedKey": key} if at + 1 < len(names) else {})

    def get_item(self, *, Key: Any, ExpressionAttributeNames: Any, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's
        self.asked.append(set(ExpressionAttributeNames.values()))
        found = self.items.get(Key["escalation_id"]["S"])
        return {} if found is None else {"Item": found}

    def entries(self, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Event]:
        found = {}
        for run_id, seq in keys:
            body: dict[str, Any] | None = None
            if seq == "9999.run.ended" and run_id in self.ended:
                body = {"status": "aborted"}
            elif seq == "0002.call.1.approval_requested" and run_id in self.calls:
                body = {"proposed_decision": {"kind": "call_tools", "calls": [self.calls[run_id]]}}
            if body is not None:
                found[run_id, seq] = Event(run_id=run_id, seq=seq, at="2026-11-28T01:00:00+00:00", body=body)
        return found


def test_what_the_index_has_and_nobody_can_answer_any_more_is_left_out() -> None:
    stack: Any = Stack(
        item(1),
        item(2, status={"S": "answered"}),
        item(3, kind={"S": "question"}),
        item(4, tenant={}),
        item(5, answer_by={"S": "2020-01-01T00:00:00+00:00"}),
        item(6),
        calls={"run-1": CALL},
        ended=("run-6",),
    )

    (found,) = open_escalations(stack)

    assert found["escalation_id"] == "esc-1"
    assert found["proposed_decision"]["calls"] == [CALL]
    assert not any({"task_token", "token"} & names for names in stack.asked)


def test_a_call_that_was_changed_in_the_log_since_is_not_shown_and_hides_nothing_else() -> None:
    stack: Any = Stack(item(1), item(2), item(3), calls={"run-1": OTHER, "run-2": CALL})

    changed, as_asked, unknown = open_escalations(stack)

    assert "4000.00" not in str(changed)
    assert changed["summary"].startswith("NOT SHOWN")
    assert "verify run-1" in changed["summary"]
    assert as_asked["proposed_decision"]["calls"] == [CALL]
    assert "proposed_decision" not in unknown
