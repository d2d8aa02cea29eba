"""``ballast budget``: show what a tenant, or all together, may spend on a deployed stack, and set it."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from cli.exits import Exit

if TYPE_CHECKING:
    from cli.output import Screen
    from cli.stack import DeployedCloud

TEACHING = """\
Show what the runs of a tenant, or of all tenants together, may take from an hour and from a day, what
they have taken, and how many go on at once; set it with the options.

  ballast --stack ballast-dev budget                              all tenants together
  ballast --stack ballast-dev budget acme                         one tenant
  ballast --stack ballast-dev budget acme --hour 5 --day 20 --runs 10
  ballast --stack ballast-dev budget acme --runs 0                no new runs of this tenant
  ballast --stack ballast-dev budget acme --hour default          what the stack's parameters say again

The ceilings on the business's own money, which tools move, are agent.yaml's (`moves:`) unless they are set here. They
hold for the next call on, and no approval passes them:

  ballast --stack ballast-dev budget --moves-day 20000                       all tenants together
  ballast --stack ballast-dev budget acme --moves-hour 500 --moves-day 2000  one tenant
  ballast --stack ballast-dev budget acme --customer C-1001 --moves-day 900  one customer of it
  ballast --stack ballast-dev budget acme --each-run 300 --each-customer-day 400
  ballast --stack ballast-dev budget --move RUN.0003.1 --happened no         an unknown effect that did not happen

What a run was charged can be corrected once it is settled, in its log and in the windows that it was taken from:

  ballast --stack ballast-dev budget --correct RUN --charged 0.0123 --reason "by the bill of May"

A charge above what was leased for the run takes room from other runs: it needs --above-lease, and is ten times the
lease at most.

A new limit holds from the next admission on. A local cloud forgets everything when it ends; give it other
limits when it starts: ballast up --parameter TenantHourUsd=0.50
"""

_DEFAULT = "default"
#: An option and the field of the command that it sets.
_AMOUNTS = (
    ("hour", "hour_microusd"),
    ("day", "day_microusd"),
    ("moves-hour", "moves_hour"),
    ("moves-day", "moves_day"),
    ("each-run", "moves_run"),
    ("each-customer-hour", "moves_customer_hour"),
    ("each-customer-day", "moves_customer_day"),
)
_CALL = re.compile(r"(?P<run_id>\S+)\.(?P<turn>[0-9]{4})\.(?P<index>[0-9]{1,3})")


def arguments(sub: ArgumentParser) -> None:
    """Declare what may be typed."""
    sub.add_argument("tenant", nargs="?", metavar="TENANT", help="whose (default: all tenants together)")
    sub.add_argument("--hour", metavar="USD", help="what may be taken from an hour (UTC); or `default`")
    sub.add_argument("--day", metavar="USD", help="what may be taken from a day (UTC); or `default`")
    sub.add_argument("--runs", metavar="N", help="runs at once, those that wait for a person included; or `default`")
    sub.add_argument("--customer", metavar="KEY", help="one customer of the tenant, as the tool's moves_key names them")
    for option, what in (
        ("--moves-hour", "may be moved in an hour, by all, the tenant or the customer"),
        ("--moves-day", "may be moved in a day, by all, the tenant or the customer"),
        ("--each-run", "each run may move"),
        ("--each-customer-hour", "may be moved for each customer in an hour"),
        ("--each-customer-day", "may be moved for each customer in a day"),
    ):
        sub.add_argument(option, metavar="AMOUNT", help=f"what {what}; or `default`")
    sub.add_argument("--move", metavar="RUN.TURN.CALL", help="settle the money of a call whose effect is unknown")
    sub.add_argument("--happened", choices=["yes", "no"], help="with --move: whether it happened")
    sub.add_argument("--correct", metavar="RUN", help="correct what this settled run was charged; its whole id")
    sub.add_argument("--charged", metavar="USD", help="with --correct: what it really cost, all in all")
    sub.add_argument("--reason", metavar="TEXT", help="with --correct: why, for the run's log")
    sub.add_argument("--above-lease", action="store_true", help="with --correct: more than the run leased is meant")
    sub.add_argument("--by", metavar="NAME", help="with --correct: who says so (default: your user name)")


def budget(typed: Namespace) -> int:
    """Say that it takes a deployed stack. Raises ``InvalidInput``."""
    raise InvalidInput(
        f"--stack: say which deployed stack, as in `ballast --stack ballast-dev {typed.command}`. A local cloud gets "
        "its limits when it starts: `ballast up --parameter TenantHourUsd=0.50` (or TenantRuns, AccountDayUsd …); the "
        "ceilings on what tools move are in the playbook's agent.yaml, under `moves:`."
    )


def of_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Ask the stack's function, and return 0. Raises ``InvalidInput``."""
    from localcloud.functions import FunctionError

    try:
        show(cloud.invoke("CommandFunction", command(typed)), screen)
    except FunctionError as problem:
        raise InvalidInput(f"{problem.name}: {problem.message}") from None
    return Exit.OK


def command(typed: Namespace) -> dict[str, Any]:
    """Return what was typed as the function takes it. Raises ``InvalidInput``."""
    from ballast.money.amounts import micro_dollars

    made: dict[str, Any] = {"command": "budget"}
    made |= {name: getattr(typed, name) for name in ("tenant", "customer") if getattr(typed, name)}
    forget = []
    for option, name in (*_AMOUNTS, ("runs", "runs")):
        text = getattr(typed, option.replace("-", "_"))
        if text == _DEFAULT:
            forget.append(name)
        elif text is not None:
            made[name] = _count(text) if name == "runs" else micro_dollars(text, what=f"--{option}")
    if (typed.move is None) != (typed.happened is None):
        raise InvalidInput("--move and --happened go together: --move RUN.0003.1 --happened yes")
    if typed.move is not None:
        made["move"] = _call(typed.move) | {"happened": typed.happened == "yes"}
    if typed.correct is not None or typed.charged is not None:
        made["correct"] = _correction(typed)
    elif typed.reason is not None or typed.by is not None or typed.above_lease:
        raise InvalidInput(
            "--reason, --by and --above-lease go with --correct: --correct RUN --charged 0.0123 --reason WHY"
        )
    return made | ({"forget": forget} if forget else {})


def _correction(typed: Namespace) -> dict[str, Any]:
    from ballast.money.amounts import micro_dollars
    from cli.commands.answer import user

    if typed.correct is None or typed.charged is None:
        raise InvalidInput("--correct and --charged go together: --correct RUN --charged 0.0123 --reason WHY")
    charged = micro_dollars(typed.charged, what="--charged")
    return {
        "run_id": typed.correct,
        "charged_microusd": charged,
        "by": typed.by or user(),
        "reason": typed.reason or "",
        **({"above_lease": True} if typed.above_lease else {}),
    }


def _call(text: str) -> dict[str, Any]:
    call = _CALL.fullmatch(text)
    if call is None:
        raise InvalidInput(f"--move: {text[:80]!r} names no call; write RUN.TURN.CALL, such as run-1a2b.0003.1.")
    return {"run_id": call["run_id"], "turn": int(call["turn"]), "index": int(call["index"])}


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
    if "corrected" in shown:
        one = shown["corrected"]
        was, now = dollars(one["was_microusd"]), dollars(one["charged_microusd"])
        screen.line(f"  {one['run_id']} is charged ${now} (it was ${was})", "bold")
    if "moves" in shown:
        _show_moves(shown["moves"], screen)


def _show_moves(moves: Mapping[str, Any], screen: Screen) -> None:
    from ballast.money.amounts import dollars

    currency, each = moves["currency"], moves["each_customer"]
    screen.line("  moved by tools", "bold")
    for window in moves["windows"]:
        kind, _, name = window["window"].partition("#")
        screen.line(
            f"  {kind:5} {name:14} {dollars(window['moved'])} of {dollars(window['limit'])} {currency}"
            f"{_source(moves, f'moves_{kind}')}",
            "bold red" if window["moved"] >= window["limit"] else None,
        )
    screen.line(f"  each run             at most {dollars(moves['run'])} {currency}{_source(moves, 'moves_run')}")
    screen.line(
        f"  each customer        at most {dollars(each['hour'])} an hour, {dollars(each['day'])} a day, {currency}"
    )


def _source(shown: Mapping[str, Any], name: str) -> str:
    return "  (set here)" if name in shown["set"] else ""
