"""``ballast cost``: what a run cost, or all runs since a time."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ballast.errors import InvalidInput, LogCorrupt
from ballast.run import Run
from cli.cost.explain import explained
from cli.cost.render import render
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: The most logs that one command reads of a deployed stack.
MOST_RUNS = 200
_AGO = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def cost(typed: Namespace) -> int:
    """Explain the cost of saved runs and return the exit code. Raises ``InvalidInput``."""
    saved_runs = SavedRuns(state_folder(os.environ))
    if wants_one(typed):
        return _explain([saved_runs.find(typed.run).events], typed, Screen())
    since = moment(typed.since, _now())
    logs = [saved.events for saved in saved_runs.recent(most=10_000)]
    wanted = [log for log in logs if opened_at(log) >= since and may_be_of(log, typed.tenant)]
    return _explain(wanted, typed, Screen())


def cost_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Explain the cost of a deployed stack's runs and return the exit code. Raises ``InvalidInput``."""
    if wants_one(typed):
        events, corrupt = cloud.read_all(typed.run)
        if corrupt:
            raise InvalidInput(f"{typed.run}: {_cannot_be_read(corrupt)}, so what it cost cannot be told.")
        if not events:
            raise InvalidInput(f"{typed.run}: the stack has no log of this run. Type the whole id.")
        return _explain([events], typed, screen)
    since, tenants = moment(typed.since, _now()), typed.tenant or ["default"]
    found = [run_id for tenant in tenants for run_id in cloud.runs_since(tenant, since, MOST_RUNS)]
    if len(found) > MOST_RUNS:
        raise InvalidInput(f"--since {typed.since}: more than {MOST_RUNS} runs. Name a later time, or fewer tenants.")
    logs = []
    for run_id in found:
        events, corrupt = cloud.read_all(run_id)
        if corrupt:
            print(f"Left out: {run_id}: {_cannot_be_read(corrupt)}.", file=sys.stderr)
        elif events:
            logs.append(events)
    return _explain(logs, typed, screen)


def _cannot_be_read(corrupt: Mapping[str, str]) -> str:
    return "its log cannot be read (" + "; ".join(f"{seq}: {why.rstrip('.')}" for seq, why in corrupt.items()) + ")"


def _now() -> datetime:
    return datetime.now(UTC)


def moment(text: str, now: datetime) -> datetime:
    """Return the moment that ``--since`` names: a duration before ``now``, or a time. Raises ``InvalidInput``."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - int(ago["number"]) * _UNITS[ago["unit"]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"--since: {text[:40]!r} is not a time. Write 30m, 6h, 2d, or 2026-11-25T02:00Z.") from None
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)


def wants_one(typed: Namespace) -> bool:
    """Return whether a RUN was typed rather than a time. Raises ``InvalidInput`` for neither and both."""
    if (typed.run is None) == (typed.since is None):
        raise InvalidInput("Name either a RUN or a time with --since. `ballast trace` lists the saved runs.")
    if typed.run is not None and typed.tenant:
        raise InvalidInput("--tenant goes with --since: a run has only one tenant.")
    return typed.run is not None


def may_be_of(log: Run, tenants: Sequence[str] | None) -> bool:
    """Return whether the run may be of one of ``tenants``; true if none is named or the log cannot be read."""
    try:
        return not tenants or log.request.tenant in tenants
    except LogCorrupt:  # somebody changed it: include it
        return True


def opened_at(log: Run) -> datetime:
    """Return when the run was opened; if that cannot be read, the latest possible time, so that the run is included."""
    try:
        found = datetime.fromisoformat(log[0].at)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _explain(logs: Iterable[Run], typed: Namespace, screen: Screen) -> int:
    left_out: dict[str, str] = {}
    made = explained(logs, left_out)
    for run_id, why in left_out.items():
        print(
            f"Left out: {run_id}: its log has an event that cannot be read ({why}). Run `ballast verify`.",
            file=sys.stderr,
        )
    if left_out and typed.run is not None:
        raise InvalidInput(
            f"{typed.run}: its cost is unknown: its log cannot be read. `ballast verify` names the event."
        )
    if typed.json:
        print_document(json.dumps(made.as_data(), indent=2))
        return Exit.OK
    if not made.runs:
        screen.line(f"No run since {typed.since}.")
        return Exit.OK
    screen.show(render(made))
    return Exit.OK
