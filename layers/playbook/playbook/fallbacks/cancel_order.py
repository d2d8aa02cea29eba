"""Cancel an order if it has not left yet, and refund it."""

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..facts import order_meant
from ..tools.cancel_order import Cancellation, cancel_order
from ..tools.look_up_order import Order, look_up_order
from ..tools.refund_order import Refund, refund_order
from .order_status import in_words


@fallback(intent="cancel_order")
def cancel(request: RunRequest) -> Script:
    """Cancel where it is possible and give the money back; otherwise say why not."""
    order_id = order_meant(request)
    try:
        order: Order = yield look_up_order.call(order_id=order_id)
        if order.status == "cancelled":
            return f"{in_words(order)} There was nothing left to cancel."
        if not order.can_be_cancelled:
            return f"{in_words(order)} It can no longer be cancelled. You can return it within 30 days of delivery."
        done: Cancellation = yield cancel_order.call(order_id=order_id)
    except CallFailed as failed:
        raise GiveUp(f"{order_id} was not cancelled: {failed.message}") from failed
    if not done.refundable_usd:
        return f"Your order {order_id} is cancelled. Nothing was paid, so nothing is owed."
    try:
        refund: Refund = yield refund_order.call(order_id=order_id, amount_usd=done.refundable_usd, reason="cancelled")
    except CallFailed as failed:
        raise GiveUp(
            f"{order_id} is cancelled, but its {done.refundable_usd} USD was not refunded: {failed.message}"
        ) from failed
    return f"Your order {order_id} is cancelled, and {refund.amount_usd} USD goes back the way you paid."
