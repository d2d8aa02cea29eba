"""Say where an order is."""

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..facts import order_meant
from ..tools.look_up_order import Order, look_up_order


@fallback(intent="order_status")
def order_status(request: RunRequest) -> Script:
    """Look the order up and put its status into words."""
    order_id = order_meant(request)
    try:
        order: Order = yield look_up_order.call(order_id=order_id)
    except CallFailed as failed:
        raise GiveUp(f"The status of {order_id} could not be read: {failed.message}") from failed
    return in_words(order)


def in_words(order: Order) -> str:
    """Return one or two sentences for the customer."""
    name = f"Your order {order.order_id}"
    match order.status:
        case "placed":
            return f"{name} of {order.placed_on} is waiting for your payment. It leaves as soon as the money is here."
        case "paid":
            return f"{name} is paid and being packed. It leaves on the next working day."
        case "shipped":
            return f"{name} was shipped on {order.shipped_on}. The tracking code is {order.tracking_code}."
        case "delivered":
            return f"{name} was delivered on {order.delivered_on}. The tracking code is {order.tracking_code}."
        case "returned":
            back = f"{name} came back to us on {order.returned_on}."
        case "cancelled":
            back = f"{name} is cancelled."
    if order.refunded_usd:
        return f"{back} {order.refunded_usd} of {order.paid_usd} USD was refunded."
    return back
