"""The tools of tau2's ``retail``, under their own names."""

from typing import Any

from pydantic import JsonValue

from bench.tau2.toolkit import Ask, Verify, domain_tools

#: The shop's own records are written with a key.
HONOURS_KEY = {"modify_user_address", "modify_pending_order_address"}


def order(status: str) -> Verify:
    """Return what asks whether the order has come to ``status``, which it had not before."""

    def asked(ask: Ask, args: Any) -> JsonValue:
        found: JsonValue = ask("get_order_details", order_id=args.order_id)
        return found if isinstance(found, dict) and found["status"] == status else None

    return asked


# Of a change of a pending order's items or payment nothing is asked here: a person looks.
VERIFY: dict[str, Verify] = {
    "cancel_pending_order": order("cancelled"),
    "exchange_delivered_order_items": order("exchange requested"),
    "return_delivered_order_items": order("return requested"),
}

# A playbook's tools are what its modules hold.
globals().update(domain_tools("retail", honours_key=HONOURS_KEY, verify=VERIFY))
