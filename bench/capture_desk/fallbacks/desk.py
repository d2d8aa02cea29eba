"""Cancel the order that the caller names, and give the money back."""

from ballast.contracts import RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..tools.till import cancel, refund


@fallback(intent="desk")
def desk(request: RunRequest) -> Script:
    """Cancel the order of the context and refund it."""
    order_id = str(request.context.get("order_id", ""))
    if not order_id:
        raise GiveUp("No order is named.")
    try:
        yield cancel.call(order_id=order_id)
        yield refund.call(order_id=order_id, amount_usd="40.00")
    except CallFailed as failed:
        raise GiveUp(f"{order_id} was not cancelled: {failed.message}") from failed
    return f"Order {order_id} is cancelled, and 40.00 USD goes back."
