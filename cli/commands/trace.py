"""``ballast trace``: show a saved run as a timeline, or list the saved runs."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput
from ballast.log import exported
from ballast.run import Run
from cli.exits import Exit
from cli.own_stdout import print_document
from cli.saved_runs import SavedRun, SavedRuns, state_folder
from cli.screen import Screen
from cli.trace.render import headline

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud


def trace(typed: Namespace) -> int:
    """Print a saved run, or the list, and return the exit code. Raises ``InvalidInput``."""
    saved_runs = SavedRuns(state_folder(os.environ))
    if typed.run is None:
        if typed.export:
            raise InvalidInput("--export goes with a RUN. `ballast trace` without an argument lists the saved runs.")
        if typed.full:
            raise InvalidInput("--full goes with a RUN. `ballast trace` without an argument lists the saved runs.")
        return _list(saved_runs.recent(), as_json=typed.json)
    saved = saved_runs.find(typed.run)
    if typed.export:
        return _export(saved.run_id, saved.events, saved.corrupt, saved.title)
    return _show(timeline_of(saved), typed, Screen())


def trace_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Print a run of a deployed stack and return the exit code. Raises ``InvalidInput``."""
    if typed.run is None:
        raise InvalidInput("RUN: type a run's id. `ballast trace` without --stack lists the runs started from here.")
    events, corrupt = cloud.read_all(typed.run)
    if not events and not corrupt:
        raise InvalidInput(f"{typed.run}: the stack {typed.stack} has no log of this run. Type the whole id.")
    if typed.export:
        return _export(typed.run, events, corrupt, typed.stack)
    return _show(events.timeline(corrupt, run_id=typed.run), typed, screen)


def _export(run_id: str, events: Run, corrupt: Mapping[str, str], title: str) -> int:
    """Print the log in the exported form. Raises ``InvalidInput`` if an entry of it cannot be read."""
    if corrupt:
        seq, why = next(iter(corrupt.items()))
        raise InvalidInput(f"{run_id}: {seq}: {why}. Only a whole log is exported; `ballast verify` says more.")
    for line in exported.write(run_id, events, title=title):
        print(line)
    return Exit.OK


def _show(made: Timeline, typed: Namespace, screen: Screen) -> int:
    if typed.json:
        print_document(made.to_json())
    else:
        screen.trace(made, full=typed.full)
    return Exit.OK


def timeline_of(saved: SavedRun) -> Timeline:
    """Return the run's timeline; a run whose process ended before it is shown as aborted."""
    made = saved.events.timeline(saved.corrupt)
    if not saved.cut_off or made.status not in ("open", "waiting"):
        return made
    ending = f"Cut off: its process ended first. {made.ending}"
    return made.model_copy(update={"status": "aborted", "ending": ending})


def _list(runs: list[SavedRun], *, as_json: bool) -> int:
    found = [(saved, timeline_of(saved)) for saved in runs]
    if as_json:
        print_document(json.dumps([_entry(saved, made) for saved, made in found], indent=2))
        return Exit.OK
    screen = Screen()
    if not found:
        screen.line("There is no saved run here. `ballast demo` makes one.")
    for saved, made in found:
        line = Text(made.opened_at[:19].replace("T", " ") + "Z  ", "dim")
        screen.row(line.append_text(headline(made)), saved.title)
    return Exit.OK


def _entry(saved: SavedRun, made: Timeline) -> dict[str, object]:
    return {
        "run_id": saved.run_id,
        "title": saved.title,
        "status": made.status,
        "by": made.by,
        "degraded": made.degraded,
        "opened_at": made.opened_at,
        "spent_microusd": made.spent_microusd,
        "corrected_microusd": made.corrected.charged_microusd if made.corrected else None,
    }
