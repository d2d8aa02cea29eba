"""Read one customer of the CRM, with their recent orders."""

from datetime import date
from typing import Annotated

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.playbook import Grounded, Read, ToolContext, ToolFailed, Untrusted, tool

from ..records.customer import CUSTOMER_ID, CustomerRecord, Email, find_customer, ids_with_email
from ..records.order import OrderStatus, orders_of
from ..records.values import Amount, Closed, from_cents

#: More orders than this are not listed; the oldest are left out.
RECENT_ORDERS = 10


class LookUpCustomer(Closed):
    """Which customer: exactly one of the two."""

    customer_id: Annotated[str | None, Grounded] = Field(
        default=None, pattern=f"^{CUSTOMER_ID}$", description="The customer's number, such as C-1001."
    )
    email: Annotated[Email | None, Grounded] = Field(
        default=None, description="The e-mail address that the customer is known by."
    )


class OrderSummary(Closed):
    """One line about an order."""

    order_id: str
    status: OrderStatus
    placed_on: date
    total_usd: Amount


class Customer(CustomerRecord):
    """A customer as the desk sees them, newest orders first. Who wrote the notes, nobody knows any more."""

    notes: Annotated[str, Untrusted] = ""
    recent_orders: tuple[OrderSummary, ...]


def _one_of_two(args: LookUpCustomer, _: RunRequest) -> str | None:
    if (args.customer_id is None) == (args.email is None):
        return "Send either customer_id or email, and not both."
    return None


@tool(effect=Read(), validate=_one_of_two, taint="refuse")
def look_up_customer(args: LookUpCustomer, ctx: ToolContext) -> Customer:
    """Look up one customer by number or by e-mail: contact details, consent, notes, recent orders.

    Use it to find an order whose number the customer does not know. Names are not unique, so
    there is no search by name.
    """
    customer = find_customer(ctx, args.customer_id or _id_of(ctx, args.email or ""))
    orders = orders_of(ctx, customer.customer_id)[:RECENT_ORDERS]
    return Customer(
        **customer.model_dump(),
        recent_orders=tuple(
            OrderSummary(
                order_id=order.order_id,
                status=order.status,
                placed_on=order.placed_on,
                total_usd=from_cents(order.total_cents),
            )
            for order in orders
        ),
    )


def _id_of(ctx: ToolContext, email: str) -> str:
    ids = ids_with_email(ctx, email)
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise ToolFailed(f"{len(ids)} customers use this e-mail. Ask for the customer number.")
    raise ToolFailed("No customer uses this e-mail. Ask which address is in the order confirmation.")
