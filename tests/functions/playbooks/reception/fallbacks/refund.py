"""The answer without a model."""

from ballast.contracts import RunRequest
from ballast.playbook import fallback
from ballast.playbook.fallback import Script

from ..tools.invoices import find_invoice


@fallback(intent="refund")
def refund(request: RunRequest) -> Script:
    invoice = yield find_invoice.call(order_id=request.context["order_id"])
    return f"We look into {invoice.invoice}."
