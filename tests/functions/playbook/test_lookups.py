"""look_up_order and look_up_customer."""

import pytest
from pydantic import ValidationError

from ballast.contracts import RunRequest
from ballast.playbook import Playbook, ToolFailed
from playbook.store import seed_store
from tests.functions.playbook.desk import ENVIRON, TODAY, Desk


def test_an_order_is_shown_with_its_money_as_text(desk: Desk) -> None:
    order = desk.run("look_up_order", order_id="O-1007")

    assert order == {
        "order_id": "O-1007",
        "customer_id": "C-1005",
        "status": "returned",
        "placed_on": "2025-05-03",
        "shipped_on": "2025-05-04",
        "delivered_on": "2025-05-08",
        "returned_on": "2025-05-27",
        "tracking_code": "PW10075550",
        "lines": [
            {"sku": "BAGS-01", "name": "Dogwatch sleeping bag, 5 °C", "quantity": 1, "unit_usd": "120.00"},
        ],
        "total_usd": "120.00",
        "paid_usd": "120.00",
        "refunded_usd": "30.00",
        "refundable_usd": "90.00",
        "can_be_cancelled": False,
        "customer_note": None,
    }


def test_an_order_that_does_not_exist_is_a_business_outcome(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match=r"no order O-9999 here.*confirmation e-mail"):
        desk.run("look_up_order", order_id="O-9999")


@pytest.mark.parametrize("order_id", ["1001", "O-1", "o-1001", "marker#run-1.0001.1", "O-1001\n", "O-1001; O-1002"])
def test_what_is_no_order_number_never_reaches_the_table(order_id: str) -> None:
    with pytest.raises(ValidationError):
        Desk(client=None).run("look_up_order", order_id=order_id)


def test_another_customers_order_looks_as_if_it_did_not_exist(desk: Desk) -> None:
    marias = desk.with_context(customer_id="C-1001")

    assert marias.run("look_up_order", order_id="O-1003")["customer_id"] == "C-1001"
    with pytest.raises(ToolFailed, match="no order O-1004 here"):
        marias.run("look_up_order", order_id="O-1004")


def test_a_customer_is_found_by_number_and_by_email_in_any_case(desk: Desk) -> None:
    by_number = desk.run("look_up_customer", customer_id="C-1003")
    by_email = desk.run("look_up_customer", email="  ZOE@Example.com ")

    assert by_number == by_email
    assert by_number["name"] == "Zoë Ångström-Nuñez"
    assert by_number["version"] == 1


def test_a_customers_orders_are_listed_newest_first(desk: Desk) -> None:
    orders = desk.run("look_up_customer", email="maria.silva@example.com")["recent_orders"]

    assert [order["order_id"] for order in orders] == ["O-1002", "O-1001", "O-1003"]
    assert orders[0] == {"order_id": "O-1002", "status": "paid", "placed_on": "2025-06-01", "total_usd": "84.50"}


def test_of_many_orders_the_ten_newest_are_listed(empty_desk: Desk) -> None:
    store = seed_store(empty_desk.client, ENVIRON, today=TODAY, customers=6, orders=30)
    newest = sorted((order.placed_on.isoformat() for order in store.orders[10:]), reverse=True)[:10]

    orders = empty_desk.run("look_up_customer", customer_id="C-1006")["recent_orders"]

    assert [order["placed_on"] for order in orders] == newest


def test_an_unknown_email_is_a_business_outcome(desk: Desk) -> None:
    with pytest.raises(ToolFailed, match="No customer uses this e-mail"):
        desk.run("look_up_customer", email="nobody@example.com")


def test_an_email_of_two_customers_asks_for_the_number(desk: Desk) -> None:
    desk.client.update_item(
        TableName="customers",
        Key={"customer_id": {"S": "C-1002"}},
        UpdateExpression="SET email = :e",
        ExpressionAttributeValues={":e": {"S": "maria.silva@example.com"}},
    )

    with pytest.raises(ToolFailed, match="2 customers use this e-mail"):
        desk.run("look_up_customer", email="maria.silva@example.com")


def test_another_customer_is_out_of_reach_and_their_number_is_not_told(desk: Desk) -> None:
    marias = desk.with_context(customer_id="C-1001")

    with pytest.raises(ToolFailed) as by_email:
        marias.run("look_up_customer", email="sam.oneill@example.com")
    with pytest.raises(ToolFailed, match="no such customer"):
        marias.run("look_up_customer", customer_id="C-1005")

    assert "C-1005" not in str(by_email.value)


@pytest.mark.parametrize("arguments", [{}, {"customer_id": "C-1001", "email": "a@example.com"}])
def test_exactly_one_of_number_and_email_is_asked_for(playbook: Playbook, arguments: dict[str, str]) -> None:
    tool = playbook.tools["look_up_customer"]
    assert tool.validate is not None

    complaint = tool.validate(tool.arguments.model_validate(arguments), RunRequest(request_id="r", text="x"))

    assert complaint == "Send either customer_id or email, and not both."
