"""``ballast budget``: show or set what a tenant, or all tenants together, may spend on a deployed stack."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from ballast.money.amounts import dollars, micro_dollars
from cli.escalations import user
from cli.exits import Exit
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

_DEFAULT = "default"
#: Each option and the field of the command that it sets.
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


def budget(typed: Namespace) -> int:
    """Raise ``InvalidInput``: a local cloud's limits are parameters of ``ballast up``."""
    raise InvalidInput(
        f"--stack: name the deployed stack, as in `ballast --stack ballast-dev {typed.command}`. A local cloud gets "
        "its limits when it starts: `ballast up --parameter TenantHourUsd=0.50` (or TenantRuns, AccountDayUsd …); the "
        "ceilings on the money that tools move are in the playbook's agent.yaml, under `moves:`."
    )


def budget_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Show or set the stack's limits; return 0. Raises ``InvalidInput``."""
    from localcloud.functions import FunctionError

    try:
        show(cloud.invoke("CommandFunction", command(typed)), screen)
    except FunctionError as problem:
        raise InvalidInput(f"{problem.name}: {problem.message}") from None
    return Exit.OK


def command(typed: Namespace) -> dict[str, Any]:
    """Return the typed command as CommandFunction takes it. Raises ``InvalidInput``."""
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
        made["move"] = _call(typed.move) | {"happened": typed.happened == "yes", "by": typed.by or user()}
    if typed.correct is not None or typed.charged is not None:
        made["correct"] = _correction(typed)
    elif typed.reason is not None or typed.above_lease or (typed.by is not None and typed.move is None):
        raise InvalidInput(
            "--reason, --by and --above-lease go with --correct: --correct RUN --charged 0.0123 --reason WHY"
        )
    return made | ({"forget": forget} if forget else {})


def _correction(typed: Namespace) -> dict[str, Any]:
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
        raise InvalidInput(f"--move: {text[:80]!r} names no call. Write RUN.TURN.CALL, such as run-1a2b.0003.1.")
    return {"run_id": call["run_id"], "turn": int(call["turn"]), "index": int(call["index"])}


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise InvalidInput(f"--runs: {text[:40]!r} is not a number of runs. Write 0 or more, or `{_DEFAULT}`.")
    return int(text)


def show(shown: Mapping[str, Any], screen: Screen) -> None:
    """Print the limits and what is taken of them."""
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
