"""Cancel an order that has not left yet."""

from typing import Annotated

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.playbook import Approval, CallLimits, Grounded, RunSoFar, ToolContext, ToolFailed, Write, tool

from ..records.order import CANCELLABLE, ORDER_ID, OrderRecord, OrderStatus, find_order, only_a_note_means
from ..records.table import ORDERS, Change, exactly_once
from ..records.values import Amount, Closed, from_cents


class CancelOrder(Closed):
    """Which order."""

    order_id: Annotated[str, Grounded] = Field(
        pattern=f"^{ORDER_ID}$", description="The order's number, such as O-1001."
    )


class Cancellation(Closed):
    """A cancelled order; ``refundable_usd`` is what was paid and has not been given back yet."""

    order_id: str
    status: OrderStatus
    previous_status: OrderStatus
    refundable_usd: Amount


def _needs_approval(args: CancelOrder, request: RunRequest, run: RunSoFar) -> str | bool:
    return only_a_note_means(args.order_id, request, run) or False


@tool(
    effect=Write(
        undo="reinstate_order",
        undo_arguments=lambda args, _: {"order_id": args.order_id},
        honours_key=True,
        repeat="once",
        on_rollback="undo",
    ),
    approval=Approval(if_=_needs_approval),
    limits=CallLimits(timeout_s=20),
)
def cancel_order(args: CancelOrder, ctx: ToolContext) -> Cancellation:
    """Cancel an order that is placed or paid and not shipped yet.

    Only when the customer asks for it. It moves no money: if `refundable_usd` is above 0.00
    afterwards, refund it with refund_order.
    """
    return exactly_once(ctx, ORDERS, Cancellation, lambda: _cancel(args, ctx))


def _cancel(args: CancelOrder, ctx: ToolContext) -> Change[Cancellation]:
    order = find_order(ctx, args.order_id)
    if order.status not in CANCELLABLE:
        raise ToolFailed(_why_not(order))
    return Change(
        result=Cancellation(
            order_id=order.order_id,
            status="cancelled",
            previous_status=order.status,
            refundable_usd=from_cents(order.refundable_cents),
        ),
        writes=[
            ORDERS.change(
                ctx,
                order.order_id,
                to={"status": "cancelled", "cancelled_from": order.status},
                only_if={"status": order.status, "refunded_cents": order.refunded_cents},
            )
        ],
        conflict=f"Order {order.order_id} changed at the same moment; it was not cancelled. Look it up again.",
    )


def _why_not(order: OrderRecord) -> str:
    match order.status:
        case "cancelled":
            return f"Order {order.order_id} is cancelled already. What is still refundable, refund_order can refund."
        case "shipped":
            return (
                f"Order {order.order_id} was shipped on {order.shipped_on} and cannot be cancelled any more. "
                "The customer can refuse the parcel, or return it within 30 days of delivery."
            )
        case "delivered":
            return (
                f"Order {order.order_id} was delivered on {order.delivered_on} and cannot be cancelled any more. "
                "The customer can return it within 30 days of delivery."
            )
        case _:
            return (
                f"Order {order.order_id} came back to the warehouse. What is still refundable, refund_order can refund."
            )
