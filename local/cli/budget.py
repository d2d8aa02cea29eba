"""``ballast budget``: show what a tenant, or all together, may spend on a deployed stack, and set it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from local.cli.exits import Exit

if TYPE_CHECKING:
    from local.cli.output import Screen
    from local.cli.stack import DeployedCloud

TEACHING = """\
Show what the runs of a tenant, or of all tenants together, may take from an hour and from a day, what
they have taken, and how many go on at once; set it with the options.

  ballast --stack ballast-dev budget                              all tenants together
  ballast --stack ballast-dev budget acme                         one tenant
  ballast --stack ballast-dev budget acme --hour 5 --day 20 --runs 10
  ballast --stack ballast-dev budget acme --runs 0                no new runs of this tenant
  ballast --stack ballast-dev budget acme --hour default          what the stack's parameters say again

A new limit holds from the next admission on. A local cloud forgets everything when it ends; give it other
limits when it starts: ballast up --parameter TenantHourUsd=0.50
"""

_DEFAULT = "default"


def arguments(sub: ArgumentParser) -> None:
    """Declare what may be typed."""
    sub.add_argument("tenant", nargs="?", metavar="TENANT", help="whose (default: all tenants together)")
    sub.add_argument("--hour", metavar="USD", help="what may be taken from an hour (UTC); or `default`")
    sub.add_argument("--day", metavar="USD", help="what may be taken from a day (UTC); or `default`")
    sub.add_argument("--runs", metavar="N", help="runs at once, those that wait for a person included; or `default`")


def budget(typed: Namespace) -> int:
    """Say that it takes a deployed stack. Raises ``InvalidInput``."""
    raise InvalidInput(
        f"--stack: say which deployed stack, as in `ballast --stack ballast-dev {typed.command}`. A local cloud gets "
        "its limits when it starts: `ballast up --parameter TenantHourUsd=0.50` (or TenantRuns, AccountDayUsd …)."
    )


def of_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Ask the stack's function, and return 0. Raises ``InvalidInput``."""
    from local.functions import FunctionError

    try:
        show(cloud.invoke("AdmitFunction", {"budget": order(typed)}), screen)
    except FunctionError as problem:
        raise InvalidInput(f"{problem.name}: {problem.message}") from None
    return Exit.OK


def order(typed: Namespace) -> dict[str, Any]:
    """Return what was typed as the function takes it. Raises ``InvalidInput``."""
    from ballast.money.amounts import micro_dollars

    made: dict[str, Any] = {"tenant": typed.tenant} if typed.tenant is not None else {}
    forget = []
    for option, name in (("hour", "hour_microusd"), ("day", "day_microusd"), ("runs", "runs")):
        text = getattr(typed, option)
        if text == _DEFAULT:
            forget.append(name)
        elif text is not None:
            made[name] = _count(text) if name == "runs" else micro_dollars(text, what=f"--{option}")
    return made | ({"forget": forget} if forget else {})


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidInput(f"--runs: {text[:40]!r} is no number of runs; write 0 or more, or `{_DEFAULT}`.")
    return int(text)


def show(shown: Mapping[str, Any], screen: Screen) -> None:
    """Print how it stands."""
    from ballast.money.amounts import dollars

    screen.line("all tenants together" if shown["tenant"] is None else f"tenant {shown['tenant']}", "bold")
    for window in shown["windows"]:
        kind, _, name = window["window"].partition("#")
        taken, settled = window["taken_microusd"], window["settled_microusd"]
        full = taken >= window["limit_microusd"]
        screen.line(
            f"  {kind:5} {name:14} ${dollars(taken)} of ${dollars(window['limit_microusd'])} taken: "
            f"${dollars(settled)} spent, ${dollars(taken - settled)} held by runs{_source(shown, f'{kind}_microusd')}",
            "bold red" if full else None,
        )
    now, limit = shown["runs"]["now"], shown["runs"]["limit"]
    screen.line(
        f"  runs at once         {now} of {limit}{_source(shown, 'runs')}", "bold red" if now >= limit else None
    )


def _source(shown: Mapping[str, Any], name: str) -> str:
    return "  (set here)" if name in shown["set"] else ""
