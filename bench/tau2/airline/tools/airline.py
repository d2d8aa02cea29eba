"""The tools of tau2's ``airline``, under their own names."""

from typing import Any

from pydantic import JsonValue

from bench.tau2.toolkit import Ask, Verify, domain_tools

#: What takes or gives money of its own is sent with its key. tau2 cancels a cancelled reservation again, and refunds it
#: again, so its status would not tell whose cancellation it is: `ballast certify` found that.
HONOURS_KEY = {"book_reservation", "cancel_reservation", "send_certificate"}


def as_asked_for(*names: str) -> Verify:
    """Return what asks whether the reservation has what the call wants it to have under those names."""

    def asked(ask: Ask, args: Any) -> JsonValue:
        wanted = args.model_dump(mode="json")
        found: JsonValue = ask("get_reservation_details", reservation_id=args.reservation_id)
        return found if isinstance(found, dict) and all(found[name] == wanted[name] for name in names) else None

    return asked


# Of ``update_reservation_flights`` nothing tells: the new flights may be the old ones at another price.
VERIFY: dict[str, Verify] = {
    "update_reservation_baggages": as_asked_for("total_baggages", "nonfree_baggages"),
    "update_reservation_passengers": as_asked_for("passengers"),
}

# A playbook's tools are what its modules hold.
globals().update(domain_tools("airline", honours_key=HONOURS_KEY, verify=VERIFY))
