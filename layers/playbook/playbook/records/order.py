"""Orders, as they are kept."""

from datetime import date
from typing import Literal

from pydantic import Field

from ballast.playbook import ToolContext, ToolFailed

from .closed import Closed
from .reach import within_reach
from .table import ORDERS

#: How the shop writes an order's number.
ORDER_ID = r"O-[0-9]{4,6}"

#: placed: not paid yet. paid: being packed. shipped: with the carrier. returned: back in the warehouse.
OrderStatus = Literal["placed", "paid", "shipped", "delivered", "returned", "cancelled"]

#: Before the parcel leaves, an order can be cancelled.
CANCELLABLE = ("placed", "paid")


class LineRecord(Closed):
    """One product of an order, with its name and price as they were sold."""

    sku: str
    name: str
    quantity: int = Field(ge=1)
    unit_cents: int = Field(ge=0)


class OrderRecord(Closed):
    """An item of the orders table.

    total_cents     the sum of the lines
    paid_cents      0, or all of it
    refunded_cents  what was given back so far, at most ``paid_cents``
    cancelled_from  the status that a cancelled order had before
    customer_note   what the customer wrote at the checkout: untrusted
    """

    order_id: str
    customer_id: str
    status: OrderStatus
    placed_on: date
    shipped_on: date | None = None
    delivered_on: date | None = None
    returned_on: date | None = None
    cancelled_from: OrderStatus | None = None
    tracking_code: str | None = None
    total_cents: int
    paid_cents: int
    refunded_cents: int = 0
    customer_note: str | None = None
    lines: tuple[LineRecord, ...]

    @property
    def refundable_cents(self) -> int:
        """What is left of the payment."""
        return self.paid_cents - self.refunded_cents


def find_order(ctx: ToolContext, order_id: str) -> OrderRecord:
    """Read an order, or raise ``ToolFailed`` where there is none within the request's reach."""
    item = ORDERS.get(ctx, order_id)
    if item is None or not within_reach(ctx.request, item["customer_id"]):
        raise ToolFailed(
            f"There is no order {order_id} here. Ask for the number in the confirmation e-mail, "
            "or look the customer up: their recent orders are listed there."
        )
    return OrderRecord.model_validate(item)


def orders_of(ctx: ToolContext, customer_id: str) -> list[OrderRecord]:
    """Read a customer's orders, newest first."""
    found = ORDERS.find(ctx, index="by_customer", attribute="customer_id", value=customer_id)
    orders = [OrderRecord.model_validate(item) for item in found]
    return sorted(orders, key=lambda order: (order.placed_on, order.order_id), reverse=True)
