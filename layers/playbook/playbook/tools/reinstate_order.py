"""Undo a cancellation."""

from typing import Annotated

from pydantic import Field

from ballast.playbook import CallLimits, Grounded, ToolContext, ToolFailed, Write, tool

from ..records.order import ORDER_ID, OrderStatus, find_order
from ..records.table import ORDERS, Change, exactly_once
from ..records.values import Closed


class ReinstateOrder(Closed):
    """Which order."""

    order_id: Annotated[str, Grounded] = Field(
        pattern=f"^{ORDER_ID}$", description="The cancelled order's number, such as O-1001."
    )


class Reinstatement(Closed):
    """An order that is in force again."""

    order_id: str
    status: OrderStatus


@tool(effect=Write(honours_key=True, on_rollback="keep"), limits=CallLimits(timeout_s=20), offered=False)
def reinstate_order(args: ReinstateOrder, ctx: ToolContext) -> Reinstatement:
    """Undo a cancel_order: put a cancelled order back to the status it had, if nothing was refunded."""
    return exactly_once(ctx, ORDERS, Reinstatement, lambda: _reinstate(args, ctx))


def _reinstate(args: ReinstateOrder, ctx: ToolContext) -> Change[Reinstatement]:
    order = find_order(ctx, args.order_id)
    if order.status != "cancelled" or order.cancelled_from is None:
        raise ToolFailed(f"Order {order.order_id} is {order.status}, not cancelled; there is nothing to reinstate.")
    if order.refunded_cents:
        raise ToolFailed(
            f"Order {order.order_id} was refunded, so it cannot be reinstated. "
            "Cancel the refund first (cancel_refund), or ask the customer to order again."
        )
    return Change(
        result=Reinstatement(order_id=order.order_id, status=order.cancelled_from),
        writes=[
            ORDERS.change(
                ctx,
                order.order_id,
                to={"status": order.cancelled_from},
                only_if={"status": "cancelled", "refunded_cents": 0},
            )
        ],
        conflict=f"Order {order.order_id} changed at the same moment; it was not reinstated. Look it up again.",
    )
