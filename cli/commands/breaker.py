"""``ballast breaker``: show the spend breaker and set it, of a running ``ballast up`` or of a deployed stack."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from cli.exits import Exit

if TYPE_CHECKING:
    from cli.output import Screen
    from cli.stack import DeployedCloud

#: The modes (``ballast.money.breaker.Mode``), from everything to nothing.
MODES = {
    "normal": "everything runs as the playbook says",
    "cheaper": "the agent uses the playbook's cheaper model",
    "fallback_only": "no model is called; fallbacks and people answer",
    "stopped": "no run starts, and those there are wait for a person",
}

TEACHING = """\
Show the spend breaker, or set it: of `ballast up` in another terminal, or of a deployed stack.

  ballast breaker                                       what holds, since when, and why
  ballast --stack ballast-dev breaker --mode cheaper --for 60 --reason "a sale"
  ballast --stack ballast-dev breaker --mode stopped --tenant acme
  ballast --stack ballast-dev breaker --mode normal     take it back; what is still the case trips it again
  ballast --stack ballast-dev breaker --mode normal --for 60    keep it closed for an hour, whatever trips

The modes, from everything to nothing:
""" + "".join(f"  {mode:14} {words}\n" for mode, words in MODES.items())

#: Where `ballast up` listens unless it is told otherwise.
PORT = 8787


def arguments(sub: ArgumentParser) -> None:
    """Declare what may be typed."""
    sub.add_argument("--mode", choices=list(MODES), help="the mode to set; without it, only show")
    sub.add_argument("--tenant", metavar="NAME", help="of this tenant (default: everyone)")
    sub.add_argument(
        "--for", dest="minutes", type=int, metavar="MINUTES", help="with --mode: end by itself after these"
    )
    sub.add_argument("--reason", metavar="TEXT", help="with --mode: for whoever finds it")
    sub.add_argument("--by", metavar="NAME", help="with --stack: who sets it (default: your user name)")
    sub.add_argument("--port", type=int, default=PORT, metavar="N", help=f"of `ballast up` (default: {PORT})")


def breaker(typed: Namespace) -> int:
    """Ask the ``ballast up`` on this machine, and return 0. Raises ``InvalidInput``."""
    from urllib.parse import quote

    from cli.output import Screen

    new = _new(typed)
    query = "" if new or typed.tenant is None else f"?tenant={quote(typed.tenant)}"
    url, screen = f"http://127.0.0.1:{typed.port}", Screen()
    shown = _asked(f"{url}/breaker{query}", new)
    screen.line(f"Of the `ballast up` at {url}:", "dim")  # it may be another folder's
    show(shown, screen)
    return Exit.OK


def of_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Ask the stack's function, and return 0. Raises ``InvalidInput``."""
    from cli.commands.answer import user
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
                raise InvalidInput(f"{option} goes with --mode: say which mode to set.")
        return None
    new = {"mode": typed.mode, "tenant": typed.tenant, "for_minutes": typed.minutes, "reason": typed.reason}
    return {name: value for name, value in new.items() if value is not None}


def _asked(url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    data = None if body is None else json.dumps(body).encode()
    try:
        # The address is this machine's, always.
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
            f"Nobody answers at {url}. Is `ballast up` running, and on this port (--port)? "
            "For a deployed stack: ballast --stack NAME breaker."
        ) from None


def show(shown: Mapping[str, Any], screen: Screen) -> None:
    """Print what holds."""
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
        end = "until it is taken back"
        if one.get("until"):
            end = f"{'one run in twenty passes since' if half_open else 'until'} {_at(one['until'])}"
        screen.line(f"  since {_at(one['since'])}, {end}")
    if one.get("by"):
        screen.line(f"  by {one['by']}{': ' + one['reason'] if one.get('reason') else ''}")


def _at(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC"
