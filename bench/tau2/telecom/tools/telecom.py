"""The tools of tau2's ``telecom``, under their own names: the company's, and those of the customer's phone."""

from typing import Any

from pydantic import JsonValue

from bench.tau2.toolkit import Ask, Verify, domain_tools

#: What costs money or asks for some is sent with its key.
HONOURS_KEY = {"refuel_data", "send_payment_request", "make_payment"}


def line(name: str, value: Any) -> Verify:
    """Return what asks whether the line has ``value`` under ``name``."""

    def asked(ask: Ask, args: Any) -> JsonValue:
        found = ask("get_details_by_id", id=args.line_id)
        return {name: found[name]} if found[name] == value else None

    return asked


def mode(ask: Ask, args: Any) -> JsonValue:
    """Ask the phone which network it prefers."""
    said: str = ask("check_network_mode_preference")
    return said if said.endswith(f": {getattr(args.mode, 'value', args.mode)}") else None


def permission(ask: Ask, args: Any) -> JsonValue:
    """Ask the phone what the app may do."""
    said: str = ask("check_app_permissions", app_name=args.app_name)
    granted = said.rstrip(".").partition("permission for: ")[2].split(", ")
    return said if args.permission.lower().replace("_", " ") in granted else None


def no_vpn(ask: Ask, _: Any) -> JsonValue:
    """Ask the phone whether it has a VPN connection."""
    said: str = ask("check_vpn_status")
    return None if said.startswith("VPN is ON") else said


# A switch that was pressed looks like one that was never touched, so of the phone's other tools nothing tells.
VERIFY: dict[str, Verify] = {
    "enable_roaming": line("roaming_enabled", True),
    "disable_roaming": line("roaming_enabled", False),
    "suspend_line": line("status", "Suspended"),
    "resume_line": line("status", "Active"),
    "set_network_mode_preference": mode,
    "grant_app_permission": permission,
    "disconnect_vpn": no_vpn,
}

# A playbook's tools are what its modules hold. Who presses a switch of the phone again means it.
globals().update(
    domain_tools("telecom", honours_key=HONOURS_KEY, verify=VERIFY, repeatable=lambda requestor: requestor == "user")
)
