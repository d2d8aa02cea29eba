"""The tools of tau2's ``telecom``, under their own names: the company's, and those of the customer's phone."""

from collections.abc import Callable
from typing import Any

from pydantic import JsonValue

from bench.tau2.toolkit import Ask, Verify, domain_tools

SUSPENDED = "Line suspended successfully. $5/month holding fee will apply."
#: What costs money or asks for some is sent with its key.
HONOURS_KEY = {"refuel_data", "send_payment_request", "make_payment"}


def line(name: str, value: Any, told: Callable[[Any], JsonValue]) -> Verify:
    """Return what asks whether the line has ``value`` under ``name``; ``told``: what the tool says of such a line."""

    def asked(ask: Ask, args: Any) -> JsonValue:
        found = ask("get_details_by_id", id=args.line_id)
        return told(found) if found[name] == value else None

    return asked


def _bar(ask: Ask, said: str) -> JsonValue:
    """Return what a tool of the phone says: its words, and what is on the screen."""
    return f"{said}\n{ask('check_status_bar')}"


def mode(ask: Ask, args: Any) -> JsonValue:
    """Ask the phone which network it prefers."""
    said: str = ask("check_network_mode_preference")
    wanted = getattr(args.mode, "value", args.mode)
    return _bar(ask, f"Preferred Network Mode set to: {wanted}") if said.endswith(f": {wanted}") else None


def permission(ask: Ask, args: Any) -> JsonValue:
    """Ask the phone what the app may do."""
    said: str = ask("check_app_permissions", app_name=args.app_name)
    granted, wanted = said.rstrip(".").partition("permission for: ")[2].split(", "), args.permission.lower()
    if wanted.replace("_", " ") not in granted:
        return None
    return _bar(ask, f"Success. Permission '{wanted}' granted to app '{args.app_name}'.")


def no_vpn(ask: Ask, _: Any) -> JsonValue:
    """Ask the phone whether it has a VPN connection."""
    said: str = ask("check_vpn_status")
    return None if said.startswith("VPN is ON") else _bar(ask, "VPN disconnected successfully.")


# A switch that was pressed looks like one that was never touched, so of the phone's other tools nothing tells.
VERIFY: dict[str, Verify] = {
    "enable_roaming": line("roaming_enabled", True, lambda _: "Roaming enabled successfully"),
    "disable_roaming": line("roaming_enabled", False, lambda _: "Roaming disabled successfully"),
    "suspend_line": line("status", "Suspended", lambda found: {"message": SUSPENDED, "line": found}),
    "resume_line": line("status", "Active", lambda found: {"message": "Line resumed successfully", "line": found}),
    "set_network_mode_preference": mode,
    "grant_app_permission": permission,
    "disconnect_vpn": no_vpn,
}

# A playbook's tools are what its modules hold. Who presses a switch of the phone again means it.
globals().update(
    domain_tools("telecom", honours_key=HONOURS_KEY, verify=VERIFY, repeatable=lambda requestor: requestor == "user")
)
