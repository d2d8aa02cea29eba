"""refund_order and cancel_refund."""

import pytest
from pydantic import ValidationError

from ballast.contracts import RunRequest
from ballast.playbook import Playbook, ToolFailed
from tests.functions.playbook.desk import Desk


def test_a_refund_is_recorded_and_taken_off_what_is_refundable(desk: Desk) -> None:
    refund = desk.run("refund_order", order_id="O-1003", amount_usd="15.50", reason="damaged")

    assert refund["order_id"] == "O-1003"
    assert refund["amount_usd"] == "15.50"
    assert refund["still_refundable_usd"] == "24.50"
    assert desk.run("look_up_order", order_id="O-1003")["refunded_usd"] == "15.50"
    kept = desk.items("refunds")[refund["refund_id"]]
    assert kept["amount_cents"] == {"N": "1550"}
    assert kept["status"] == {"S": "issued"}
    assert kept["issued_on"] == {"S": "2025-06-02"}
    assert kept["reason"] == {"S": "damaged"}


def test_refunds_add_up_to_what_was_paid_and_no_further(desk: Desk) -> None:
    desk.run("refund_order", key="k1", order_id="O-1003", amount_usd="25.00")
    with pytest.raises(ToolFailed, match=r"only 15\.00 USD left"):
        desk.run("refund_order", key="k2", order_id="O-1003", amount_usd="15.01")
    desk.run("refund_order", key="k3", order_id="O-1003", amount_usd="15.00")
    with pytest.raises(ToolFailed, match="refunded in full already"):
        desk.run("refund_order", key="k4", order_id="O-1003", amount_usd="0.01")

    assert desk.run("look_up_order", order_id="O-1003")["refundable_usd"] == "0.00"


@pytest.mark.parametrize(
    ("order_id", "message"),
    [
        ("O-1001", "is on its way. It can be refunded once it is delivered"),
        ("O-1002", r"Cancel it first \(cancel_order\)"),
        ("O-1008", "was never paid.*cancel it"),
        ("O-1009", r"could be refunded until 2024-12-14\..*warranty"),
        ("O-1010", "refunded in full already"),
        ("O-9999", "no order O-9999"),
    ],
)
def test_what_cannot_be_refunded_says_what_is_possible_instead(desk: Desk, order_id: str, message: str) -> None:
    before = desk.records()

    with pytest.raises(ToolFailed, match=message):
        desk.run("refund_order", order_id=order_id, amount_usd="1.00")

    assert desk.records() == before


@pytest.mark.parametrize("order_id", ["O-1004", "O-1005", "O-1007"])
def test_delivered_cancelled_and_returned_orders_can_be_refunded(desk: Desk, order_id: str) -> None:
    due = desk.run("look_up_order", order_id=order_id)["refundable_usd"]

    refund = desk.run("refund_order", order_id=order_id, amount_usd=due)

    assert refund["still_refundable_usd"] == "0.00"


@pytest.mark.parametrize(("delivered_on", "refundable"), [("2025-05-03", True), ("2025-05-02", False)])
def test_the_thirtieth_day_after_the_delivery_is_the_last(desk: Desk, delivered_on: str, refundable: bool) -> None:
    desk.client.update_item(
        TableName="orders",
        Key={"order_id": {"S": "O-1003"}},
        UpdateExpression="SET delivered_on = :d",
        ExpressionAttributeValues={":d": {"S": delivered_on}},
    )

    if refundable:
        assert desk.run("refund_order", order_id="O-1003", amount_usd="1.00")["amount_usd"] == "1.00"
    else:
        with pytest.raises(ToolFailed, match="could be refunded until 2025-06-01"):
            desk.run("refund_order", order_id="O-1003", amount_usd="1.00")


@pytest.mark.parametrize("amount", [40, 40.0, "40", "40.000", "-40.00", "4e1", "NaN", "40,00", " 40.00", "٤٠.00", None])
def test_an_amount_is_text_with_two_decimals_and_nothing_else(amount: object) -> None:
    with pytest.raises(ValidationError, match="amount_usd"):
        Desk(client=None).run("refund_order", order_id="O-1003", amount_usd=amount)


def test_nothing_is_no_refund(playbook: Playbook) -> None:
    tool = playbook.tools["refund_order"]
    assert tool.validate is not None
    request = RunRequest(request_id="r", text="x")

    args = {
        amount: tool.arguments.model_validate({"order_id": "O-1003", "amount_usd": amount})
        for amount in ("0.00", "0.01")
    }

    assert tool.validate(args["0.00"], request) == "amount_usd must be above 0.00."
    assert tool.validate(args["0.01"], request) is None


def test_the_undo_cancels_the_refund_and_frees_the_money(desk: Desk, playbook: Playbook) -> None:
    tool = playbook.tools["refund_order"]
    assert tool.undo_arguments is not None
    refund = desk.run("refund_order", order_id="O-1007", amount_usd="50.00")
    args = tool.arguments.model_validate({"order_id": "O-1007", "amount_usd": "50.00"})

    undone = desk.run("cancel_refund", key="k2", **tool.undo_arguments(args, refund))

    assert undone == {"refund_id": refund["refund_id"], "order_id": "O-1007", "amount_usd": "50.00"}
    assert desk.run("look_up_order", order_id="O-1007")["refunded_usd"] == "30.00"
    assert desk.items("refunds")[refund["refund_id"]]["status"] == {"S": "cancelled"}


def test_a_refund_is_cancelled_once_only(desk: Desk) -> None:
    refund = desk.run("refund_order", key="k1", order_id="O-1003", amount_usd="40.00")
    desk.run("cancel_refund", key="k2", refund_id=refund["refund_id"])

    with pytest.raises(ToolFailed, match="is cancelled already"):
        desk.run("cancel_refund", key="k3", refund_id=refund["refund_id"])

    assert desk.run("look_up_order", order_id="O-1003")["refunded_usd"] == "0.00"


def test_an_unknown_refund_and_another_customers_are_out_of_reach(desk: Desk) -> None:
    refund = desk.run("refund_order", key="k1", order_id="O-1003", amount_usd="40.00")

    with pytest.raises(ToolFailed, match="no refund R-ABC here"):
        desk.run("cancel_refund", key="k2", refund_id="R-ABC")
    with pytest.raises(ToolFailed, match="no refund R-"):
        desk.with_context(customer_id="C-1005").run("cancel_refund", key="k3", refund_id=refund["refund_id"])
