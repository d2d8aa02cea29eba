"""``ballast cost``: where the money of a run went, or of all runs since a time."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ballast.errors import InvalidInput
from cli.exits import Exit

if TYPE_CHECKING:
    from ballast.run import Run
    from cli.output import Screen
    from cli.stack import DeployedCloud

TEACHING = """\
Explain where the money of a run went, or of all runs since a time: by turn, tool, planner, model
and tenant; what was reserved and what of it came back; what stopped loops would have burned.

  ballast cost run-abcd                          one run, by the beginning of its id
  ballast cost --since 6h                        the saved runs of the last six hours (m, h, d)
  ballast cost --since 2026-11-25T02:00Z         since a moment
  ballast cost run-abcd --json                   for machines: | jq '.by.tool'
  ballast --stack ballast-dev cost --since 1h --tenant acme --tenant default

Every figure is from the log. A tool's row has its own price and its share of the model attempts
that asked for it; each table adds up to the same total.
"""
#: Logs that one look at a deployed stack reads at most.
MOST_RUNS = 200
_AGO = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def arguments(sub: argparse.ArgumentParser) -> None:
    """Say what may be typed."""
    sub.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or its beginning (with --stack: the whole id)")
    sub.add_argument("--since", metavar="TIME", help="all runs opened since then: 30m, 6h, 2d, or a moment in ISO 8601")
    sub.add_argument(
        "--tenant", action="append", metavar="NAME", help="with --since: of these tenants. May be repeated"
    )
    sub.add_argument("--json", action="store_true", help="print it as JSON")


def cost(typed: Namespace) -> int:
    """Explain saved runs and return the exit code. Raises ``InvalidInput``."""
    from cli.journal import Journal, state_folder
    from cli.output import Screen

    journal = Journal(state_folder(os.environ))
    if wants_one(typed):
        return _explain([journal.find(typed.run).events], typed, Screen())
    since = moment(typed.since, _now())
    logs = [saved.events for saved in journal.recent(most=10_000)]
    wanted = [log for log in logs if opened_at(log) >= since and may_be_of(log, typed.tenant)]
    return _explain(wanted, typed, Screen())


def cost_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Explain runs of a deployed stack and return the exit code. Raises ``InvalidInput``."""
    if wants_one(typed):
        events, corrupt = cloud.read_all(typed.run)
        if corrupt:
            raise InvalidInput(f"{typed.run}: {_cannot_be_read(corrupt)}, so what it cost cannot be told.")
        if not events:
            raise InvalidInput(f"{typed.run}: the stack has no log of it. A run's whole id is needed here.")
        return _explain([events], typed, screen)
    since, tenants = moment(typed.since, _now()), typed.tenant or ["default"]
    found = [run_id for tenant in tenants for run_id in cloud.runs_since(tenant, since, MOST_RUNS)]
    if len(found) > MOST_RUNS:
        raise InvalidInput(f"--since {typed.since}: more than {MOST_RUNS} runs; name a later time, or fewer tenants.")
    logs = []
    for run_id in found:
        events, corrupt = cloud.read_all(run_id)
        if corrupt:  # one that cannot be told hides no other
            print(f"Left out: {run_id}: {_cannot_be_read(corrupt)}.", file=sys.stderr)
        elif events:
            logs.append(events)
    return _explain(logs, typed, screen)


def _cannot_be_read(corrupt: Mapping[str, str]) -> str:
    return "its log cannot be read (" + "; ".join(f"{seq}: {why.rstrip('.')}" for seq, why in corrupt.items()) + ")"


def _now() -> datetime:
    return datetime.now(UTC)


def moment(text: str, now: datetime) -> datetime:
    """Return what ``--since`` means: so long before ``now``, or a moment. Raises ``InvalidInput``."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - int(ago["number"]) * _UNITS[ago["unit"]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"--since: {text[:40]!r} is no time. Write 30m, 6h, 2d, or 2026-11-25T02:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)


def wants_one(typed: Namespace) -> bool:
    """Say whether a RUN was typed and not a time. Raises ``InvalidInput`` for neither and both."""
    if (typed.run is None) == (typed.since is None):
        raise InvalidInput("Name a RUN, or a time with --since, and not both. `ballast trace` lists the saved runs.")
    if typed.run is not None and typed.tenant:
        raise InvalidInput("--tenant goes with --since; a run has one tenant.")
    return typed.run is not None


def may_be_of(log: Run, tenants: Sequence[str] | None) -> bool:
    """Say whether the run is of one of ``tenants``; of any where none is named, or where the log does not tell."""
    from ballast.errors import LogCorrupt

    try:
        return not tenants or log.request.tenant in tenants
    except LogCorrupt:  # somebody changed it: it is looked at in any case
        return True


def opened_at(log: Run) -> datetime:
    """Return when the run was opened; as late as can be where somebody changed that: it is looked at in any case."""
    try:
        found = datetime.fromisoformat(log[0].at)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _explain(logs: Iterable[Run], typed: Namespace, screen: Screen) -> int:
    from cli.cost.explain import explained

    left_out: dict[str, str] = {}
    made = explained(logs, left_out)
    for run_id, why in left_out.items():
        print(f"Left out: {run_id}: its log has an event that cannot be read ({why}); verify it.", file=sys.stderr)
    if left_out and typed.run is not None:
        raise InvalidInput(f"{typed.run}: what it cost cannot be told.")
    if typed.json:
        print(json.dumps(made.as_data(), indent=2))
        return Exit.OK
    if not made.runs:
        screen.line(f"No run since {typed.since}.")
        return Exit.OK
    from cli.cost.render import render

    screen.show(render(made))
    return Exit.OK
