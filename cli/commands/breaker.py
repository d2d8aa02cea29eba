"""``ballast breaker``: show or set the spend breaker of a running ``ballast up`` or of a deployed stack."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from ballast.errors import InvalidInput
from cli.escalations import user
from cli.exits import Exit
from cli.help_texts import MODES
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud


def breaker(typed: Namespace) -> int:
    """Show or set the breaker of the ``ballast up`` on this machine; return 0. Raises ``InvalidInput``."""
    new = _new(typed)
    query = "" if new or typed.tenant is None else f"?tenant={quote(typed.tenant)}"
    url, screen = f"http://127.0.0.1:{typed.port}", Screen()
    shown = _request(f"{url}/breaker{query}", new)
    screen.line(f"Of the `ballast up` at {url}:", "dim")  # it may be another folder's
    show(shown, screen)
    return Exit.OK


def breaker_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Show or set the breaker of a deployed stack; return 0. Raises ``InvalidInput``."""
    from localcloud.functions import FunctionError

    new = _new(typed)
    command = {"new": new, "by": typed.by or user()} if new else {"tenant": typed.tenant}
    try:
        show(cloud.invoke("CommandFunction", {"command": "breaker"} | command), screen)
    except FunctionError as problem:
        raise InvalidInput(f"{problem.name}: {problem.message}") from None
    return Exit.OK


def _new(typed: Namespace) -> dict[str, Any] | None:
    if typed.mode is None:
        for option, value in (("--for", typed.minutes), ("--reason", typed.reason)):
            if value is not None:
                raise InvalidInput(f"{option} goes with --mode. Name the mode to set.")
        return None
    new = {"mode": typed.mode, "tenant": typed.tenant, "for_minutes": typed.minutes, "reason": typed.reason}
    return {name: value for name, value in new.items() if value is not None}


def _request(url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        # The address is always on this machine.
        with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=30) as reply:  # noqa: S310
            shown: dict[str, Any] = json.load(reply)
            return shown
    except HTTPError as problem:
        try:
            detail = json.load(problem).get("detail")
        except ValueError:
            detail = None
        raise InvalidInput(f"{detail or problem}") from None
    except (URLError, OSError):
        raise InvalidInput(
            f"No answer from {url}. Is `ballast up` running, on this port (--port)? "
            "For a deployed stack, type: ballast --stack NAME breaker"
        ) from None


def show(shown: Mapping[str, Any], screen: Screen) -> None:
    """Print the modes."""
    _line("breaker", shown, screen)
    for one in shown.get("tenants", ()):
        if one != {name: value for name, value in shown.items() if name != "tenants"}:
            _line(f"tenant {one['tenant']}", one, screen)


def _line(whose: str, one: Mapping[str, Any], screen: Screen) -> None:
    mode, half_open = one["mode"], one["state"] == "half_open"
    heading = f"{whose}: {mode}{' (half-open)' if half_open else ''}: {MODES[mode]}"
    screen.line(heading, "bold" if mode == "normal" else "bold red")
    if one.get("tenant") and whose == "breaker":
        screen.line(f"  of the tenant {one['tenant']}")
    if one.get("since"):
        end = "until somebody changes it"
        if one.get("until"):
            end = f"{'one run in twenty passes since' if half_open else 'until'} {_at(one['until'])}"
        screen.line(f"  since {_at(one['since'])}, {end}")
    if one.get("by"):
        screen.line(f"  by {one['by']}{': ' + one['reason'] if one.get('reason') else ''}")


def _at(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC"
