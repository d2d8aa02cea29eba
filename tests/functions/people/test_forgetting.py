"""Escalations expire with the log of their run: every write of the table sets the time."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.functions.cloud import client
from tests.functions.people.test_open import approval, item, stuck_run, task
from tests.functions.people.waiting import Waiting
from tests.functions.stack import Stack

_DAYS = 60


def reply(stack: Stack, waiting: Waiting) -> str:
    made = stack.invoke("open", task(stuck_run(stack), task_token=waiting.token))
    stack.clock.advance(3_600)
    decision = {"kind": "answer", "text": "No."}
    stack.invoke("answer", {"escalation_id": made["escalation_id"], "by": "ann", "decision": decision})
    return str(made["escalation_id"])


def approve_one_of_two(stack: Stack, waiting: Waiting) -> str:
    made = stack.invoke("open", approval(stuck_run(stack), timeout_s=7_200, task_token=waiting.token))
    client("dynamodb").update_item(
        TableName="escalations",
        Key={"escalation_id": {"S": made["escalation_id"]}},
        UpdateExpression="SET approvals_needed = :two",
        ExpressionAttributeValues={":two": {"N": "2"}},
    )
    stack.clock.advance(3_600)
    stack.invoke("answer", {"escalation_id": made["escalation_id"], "by": "ann", "approve": True})
    return str(made["escalation_id"])


def remind(after_s: float) -> Callable[[Stack, Waiting], str]:
    def reminded(stack: Stack, _: Waiting) -> str:
        made = stack.invoke("open", task(stuck_run(stack), timeout_s=4 * 3_600))
        stack.clock.advance(after_s)
        stack.invoke("remind", {})
        return str(made["escalation_id"])

    return reminded


@pytest.mark.parametrize(
    "write",
    [reply, approve_one_of_two, remind(0), remind(31 * 60), remind(2 * 3_600), remind(6 * 3_600)],
    ids=["answer", "approval", "open", "sent again", "reminder", "closed"],
)
def test_whoever_wrote_last_the_item_expires_after_the_logs_retention(
    stack: Stack, waiting: Waiting, write: Callable[[Stack, Waiting], str]
) -> None:
    for found in client("dynamodb").scan(TableName="escalations")["Items"]:
        client("dynamodb").delete_item(TableName="escalations", Key={"escalation_id": found["escalation_id"]})

    found = item(write(stack, waiting))

    assert found["expires_at"] == {"N": str(int(stack.clock().timestamp()) + _DAYS * 86_400)}


def test_without_a_retention_nothing_is_forgotten(stack: Stack) -> None:
    stack.environs["open"]["RETENTION_DAYS"] = "0"

    made: dict[str, Any] = stack.invoke("open", task(stuck_run(stack)))

    assert "expires_at" not in item(made["escalation_id"])
