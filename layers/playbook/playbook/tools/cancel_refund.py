"""Undo a refund."""

from typing import Annotated

from pydantic import Field

from ballast.playbook import CallLimits, Grounded, ToolContext, ToolFailed, Write, tool

from ..records.order import find_order
from ..records.refund import find_refund
from ..records.table import ORDERS, REFUNDS, Change, exactly_once
from ..records.values import Amount, Closed, from_cents


class CancelRefund(Closed):
    """Which refund."""

    refund_id: Annotated[str, Grounded] = Field(
        pattern=r"^R-[A-Z0-9]{1,32}$", description="The refund's id, as refund_order returned it."
    )


class CancelledRefund(Closed):
    """A refund that will not be paid out; ``amount_usd`` is refundable again."""

    refund_id: str
    order_id: str
    amount_usd: Amount


@tool(effect=Write(honours_key=True, on_rollback="keep"), limits=CallLimits(timeout_s=20), offered=False)
def cancel_refund(args: CancelRefund, ctx: ToolContext) -> CancelledRefund:
    """Undo a refund_order: stop a refund that was issued by mistake, before the bank pays it out."""
    return exactly_once(ctx, REFUNDS, CancelledRefund, lambda: _cancel(args, ctx))


def _cancel(args: CancelRefund, ctx: ToolContext) -> Change[CancelledRefund]:
    refund = find_refund(ctx, args.refund_id)
    if refund.status == "cancelled":
        raise ToolFailed(f"Refund {refund.refund_id} is cancelled already.")
    order = find_order(ctx, refund.order_id)
    return Change(
        result=CancelledRefund(
            refund_id=refund.refund_id,
            order_id=refund.order_id,
            amount_usd=from_cents(refund.amount_cents),
        ),
        writes=[
            REFUNDS.change(ctx, refund.refund_id, to={"status": "cancelled"}, only_if={"status": "issued"}),
            ORDERS.change(
                ctx,
                order.order_id,
                to={"refunded_cents": order.refunded_cents - refund.amount_cents},
                only_if={"refunded_cents": order.refunded_cents},
            ),
        ],
        conflict=f"Refund {refund.refund_id} or its order changed at the same moment; it still stands.",
    )
