"""Orders: the records of the orders table."""

import json
import re
from datetime import date
from typing import Literal

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.playbook import RunSoFar, ToolContext, ToolFailed

from .customer import within_reach
from .table import ORDERS
from .values import Closed

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
    """Read an order, or raise ``ToolFailed`` if there is none within the request's reach."""
    item = ORDERS.get(ctx, order_id)
    if item is None or not within_reach(ctx.request, item["customer_id"]):
        raise ToolFailed(
            f"There is no order {order_id} here. Ask for the number in the confirmation e-mail, "
            "or look the customer up: their recent orders are listed there."
        )
    return OrderRecord.model_validate(item)


def only_a_note_means(order_id: str, request: RunRequest, run: RunSoFar) -> str | None:
    """Return why a person must look: a note or an article names the order, and the request does not.

    The order is known, because it is in the customer's own list, but the note chose it.
    """
    named = re.compile(rf"(?<![\w-]){re.escape(order_id[0])}[\W_]{{0,3}}{re.escape(order_id[2:])}(?![\w-])", re.I)
    if named.search(request.text) or named.search(json.dumps(request.context)):
        return None
    notes = [text for call in run.calls if call.status == "ok" for text in _notes_in(call.result)]
    return f"the request does not name {order_id}, and a note does" if any(map(named.search, notes)) else None


def _notes_in(result: object) -> list[str]:
    """Return the free texts of a result."""
    if isinstance(result, list):
        return [text for inner in result for text in _notes_in(inner)]
    if not isinstance(result, dict):
        return []
    own = [result[name] for name in ("customer_note", "notes", "excerpt") if isinstance(result.get(name), str)]
    return own + [text for inner in result.values() for text in _notes_in(inner)]


def orders_of(ctx: ToolContext, customer_id: str) -> list[OrderRecord]:
    """Read a customer's orders, newest first."""
    found = ORDERS.find(ctx, index="by_customer", attribute="customer_id", value=customer_id)
    orders = [OrderRecord.model_validate(item) for item in found]
    return sorted(orders, key=lambda order: (order.placed_on, order.order_id), reverse=True)
