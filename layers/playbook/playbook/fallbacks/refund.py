"""Refund an order where the amount is beyond doubt."""

from decimal import Decimal

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..facts import order_meant, vouched_amount
from ..records.refund import RefundReason
from ..tools.look_up_order import Order, look_up_order
from ..tools.refund_order import Refund, refund_order


@fallback(intent="refund")
def refund(request: RunRequest) -> Script:
    """Refund what is left of a cancelled or returned order, or the amount that the caller vouches for.

    How much of a delivered order is due is a judgement; a person makes it.
    """
    order_id, vouched = order_meant(request), vouched_amount(request)
    try:
        order: Order = yield look_up_order.call(order_id=order_id)
        if not order.paid_usd:
            return f"Your order {order_id} was never paid, so there is nothing to refund."
        if not order.refundable_usd:
            return f"Your order {order_id} was refunded in full: {order.refunded_usd} USD."
        amount_usd, reason = _due(order, vouched)
        done: Refund = yield refund_order.call(order_id=order_id, amount_usd=amount_usd, reason=reason)
    except CallFailed as failed:
        raise GiveUp(f"{order_id} was not refunded: {failed.message}") from failed
    return (
        f"We have refunded {done.amount_usd} USD for your order {order_id} (refund {done.refund_id}). "
        "It goes back the way you paid; a card takes 3 to 5 working days to show it."
    )


def _due(order: Order, vouched: Decimal | None) -> tuple[Decimal, RefundReason]:
    """Return how much to refund and why, or raise ``GiveUp`` where a person must decide."""
    if vouched is not None and not 0 < vouched <= order.refundable_usd:
        raise GiveUp(
            f"{vouched} USD was vouched for, but {order.refundable_usd} USD of {order.order_id} is refundable."
        )
    if order.status == "cancelled" or order.status == "returned":
        return vouched or order.refundable_usd, order.status
    if vouched is not None:
        return vouched, "other"
    raise GiveUp(
        f"{order.order_id} is {order.status}, with {order.refundable_usd} USD refundable. "
        "How much of it is due is for a person to judge."
    )
