"""Give a customer money back."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.playbook import Approval, CallLimits, Grounded, RunSoFar, ToolContext, ToolFailed, Write, tool

from ..records.order import ORDER_ID, OrderRecord, find_order, only_a_note_means
from ..records.refund import RefundReason, RefundRecord, refund_id_of
from ..records.table import ORDERS, REFUNDS, Change, exactly_once
from ..records.values import Amount, Closed, as_text, from_cents, to_cents

#: A person approves what would be above this with what the customer was refunded today, in however many parts.
APPROVAL_ABOVE_USD = Decimal("100.00")

#: After the delivery, an order can be refunded for this many days.
REFUND_WINDOW_DAYS = 30


class RefundOrder(Closed):
    """What to refund, and why."""

    order_id: Annotated[str, Grounded] = Field(
        pattern=f"^{ORDER_ID}$", description="The order's number, such as O-1001."
    )
    amount_usd: Annotated[Amount, Grounded] = Field(
        description='US dollars as text with two decimals, such as "40.00"; at most `refundable_usd` of look_up_order.'
    )
    reason: RefundReason = Field(
        default="other", description="Why. `goodwill` only where a colleague's guidance says so."
    )


class Refund(Closed):
    """A refund that was issued, and what is left of the payment."""

    refund_id: str
    order_id: str
    amount_usd: Amount
    still_refundable_usd: Amount


def _sensible(args: RefundOrder, _: RunRequest) -> str | None:
    return None if args.amount_usd > 0 else "amount_usd must be above 0.00."


def _needs_approval(args: RefundOrder, request: RunRequest, run: RunSoFar) -> str | bool:
    today = run.customer.day
    if today + args.amount_usd <= APPROVAL_ABOVE_USD:
        return only_a_note_means(args.order_id, request, run) or False
    with_today = f", with {as_text(today)} USD refunded to the customer today," if today else ""
    return f"{as_text(args.amount_usd)} USD{with_today} is above {as_text(APPROVAL_ABOVE_USD)} USD"


def _customer(args: RefundOrder, ctx: ToolContext) -> str:
    return find_order(ctx, args.order_id).customer_id


def _refundable(args: RefundOrder, ctx: ToolContext) -> dict[str, str | int]:
    """What a person who approves relies on: the order as it is, and what is left of its payment."""
    order = find_order(ctx, args.order_id)
    return {"status": order.status, "refundable_cents": order.refundable_cents}


@tool(
    effect=Write(
        undo="cancel_refund",
        undo_arguments=lambda _, result: {"refund_id": result["refund_id"]},
        undo_gives_back=True,  # cancel_refund stops it before the bank pays it out
        honours_key=True,
        repeat="once",
        on_rollback="undo",
        moves=lambda args, _: args.amount_usd,
        moves_key=_customer,
    ),
    approval=Approval(if_=_needs_approval, precondition=_refundable),
    limits=CallLimits(timeout_s=20),
    validate=_sensible,
)
def refund_order(args: RefundOrder, ctx: ToolContext) -> Refund:
    """Refund an order that is cancelled, returned, or delivered at most 30 days ago.

    The money goes back the way it came. Look the order up first; cancel it first if it has not
    shipped. Above 100.00 USD a person approves, which may take a while.
    """
    return exactly_once(ctx, REFUNDS, Refund, lambda: _refund(args, ctx))


def _refund(args: RefundOrder, ctx: ToolContext) -> Change[Refund]:
    order = find_order(ctx, args.order_id)
    _check(order, to_cents(args.amount_usd), ctx)
    refund = RefundRecord(
        refund_id=refund_id_of(ctx.idempotency_key),
        order_id=order.order_id,
        customer_id=order.customer_id,
        amount_cents=to_cents(args.amount_usd),
        reason=args.reason,
        issued_on=ctx.now.date(),
    )
    refunded_cents = order.refunded_cents + refund.amount_cents
    return Change(
        result=Refund(
            refund_id=refund.refund_id,
            order_id=order.order_id,
            amount_usd=args.amount_usd,
            still_refundable_usd=from_cents(order.paid_cents - refunded_cents),
        ),
        writes=[
            REFUNDS.add(ctx, refund.refund_id, refund.model_dump(mode="json", exclude={"refund_id"})),
            ORDERS.change(
                ctx,
                order.order_id,
                to={"refunded_cents": refunded_cents},
                only_if={"status": order.status, "refunded_cents": order.refunded_cents},
            ),
        ],
        conflict=f"Order {order.order_id} changed at the same moment; nothing was refunded. Look it up again.",
    )


def _check(order: OrderRecord, amount_cents: int, ctx: ToolContext) -> None:
    """Raise ``ToolFailed`` where the shop's terms do not allow this refund."""
    name = f"Order {order.order_id}"
    if order.paid_cents == 0:
        raise ToolFailed(f"{name} was never paid, so there is nothing to refund. If it is unwanted, cancel it.")
    if order.refundable_cents == 0:
        raise ToolFailed(f"{name} was refunded in full already.")
    if order.status == "paid":
        raise ToolFailed(f"{name} has not shipped yet. Cancel it first (cancel_order), then refund it.")
    if order.status == "shipped":
        raise ToolFailed(f"{name} is on its way. It can be refunded once it is delivered or has come back.")
    if order.status == "delivered" and order.delivered_on is not None:
        last_day = order.delivered_on + timedelta(days=REFUND_WINDOW_DAYS)
        if ctx.now.date() > last_day:
            raise ToolFailed(f"{name} could be refunded until {last_day}. A defect may be a case for the warranty.")
    if amount_cents > order.refundable_cents:
        raise ToolFailed(f"{name} has only {as_text(from_cents(order.refundable_cents))} USD left to refund.")
