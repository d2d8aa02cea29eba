"""cancel_order and reinstate_order."""

import pytest

from ballast.playbook import Playbook, ToolFailed
from tests.functions.playbook.desk import Desk


def test_a_paid_order_is_cancelled_and_its_money_is_due(desk: Desk) -> None:
    done = desk.run("cancel_order", order_id="O-1002")

    assert done == {
        "order_id": "O-1002",
        "status": "cancelled",
        "previous_status": "paid",
        "refundable_usd": "84.50",
    }
    assert desk.run("look_up_order", order_id="O-1002")["status"] == "cancelled"


def test_an_order_that_was_never_paid_owes_nothing(desk: Desk) -> None:
    assert desk.run("cancel_order", order_id="O-1008")["refundable_usd"] == "0.00"


@pytest.mark.parametrize(
    ("order_id", "message"),
    [
        ("O-1001", "was shipped on 2025-06-01 and cannot be cancelled.*refuse the parcel"),
        ("O-1003", "was delivered on 2025-05-28.*return it within 30 days"),
        ("O-1005", "is cancelled already.*refund_order"),
        ("O-1007", "came back to the warehouse"),
        ("O-9999", "no order O-9999"),
    ],
)
def test_what_cannot_be_cancelled_says_what_is_possible_instead(desk: Desk, order_id: str, message: str) -> None:
    before = desk.records()

    with pytest.raises(ToolFailed, match=message):
        desk.run("cancel_order", order_id=order_id)

    assert desk.records() == before


def test_another_customers_order_is_not_cancelled(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match="no order O-1002 here"):
        desk.with_context(customer_id="C-1005").run("cancel_order", order_id="O-1002")


@pytest.mark.parametrize(("order_id", "status"), [("O-1002", "paid"), ("O-1008", "placed")])
def test_the_undo_puts_the_order_back_as_it_was(desk: Desk, playbook: Playbook, order_id: str, status: str) -> None:
    before = desk.run("look_up_order", order_id=order_id)
    cancelled = desk.run("cancel_order", order_id=order_id)
    tool = playbook.tools["cancel_order"]
    assert tool.undo == "reinstate_order"
    assert tool.undo_arguments is not None
    undo = tool.undo_arguments(tool.arguments(order_id=order_id), cancelled)

    restored = desk.run(tool.undo, key="run-1.0002.1", **undo)

    assert restored == {"order_id": order_id, "status": status}
    assert desk.run("look_up_order", order_id=order_id) == before


def test_an_order_that_is_not_cancelled_cannot_be_reinstated(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match="O-1002 is paid, not cancelled"):
        desk.run("reinstate_order", order_id="O-1002")


def test_a_refunded_order_cannot_be_reinstated(desk: Desk) -> None:
    desk.run("refund_order", key="k1", order_id="O-1005", amount_usd="75.00", reason="cancelled")

    with pytest.raises(ToolFailed, match="Cancel the refund first"):
        desk.run("reinstate_order", key="k2", order_id="O-1005")
