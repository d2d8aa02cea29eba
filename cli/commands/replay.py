"""``ballast replay``: play recorded runs again through the deployed handlers, and compare every event."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ballast.errors import InvalidInput
from ballast.log.exported import ExportedRun
from cli.commands.cost import moment
from cli.exits import Exit
from cli.given_runs import Given
from cli.own_stdout import print_document
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from cli.trace.text import clean, cut_short
from localcloud.replay.lane import Ending, Lane
from localcloud.replay.many import Row, replayed, summary

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: Runs between two lines of progress, and the differences that are shown in full.
_EVERY, _SHOWN = 50, 10
#: A region in which a model's profile is the one that a record names.
_REGIONS = {"us": "us-east-1", "apac": "ap-southeast-1", "jp": "ap-northeast-1", "au": "ap-southeast-2"}
_REGION = "eu-west-1"


def replay(typed: Namespace) -> int:
    """Replay saved runs and exported files, and return the exit code. Raises ``InvalidInput``."""
    saved_runs = SavedRuns(state_folder(os.environ))
    if bool(typed.runs) == (typed.since is not None):
        raise InvalidInput("Name runs, files or folders, or all runs since a time with --since. Not both.")
    given = Given()
    runs = given.since(saved_runs, typed) if typed.since is not None else given.of_words(saved_runs, typed.runs)
    return _replayed(given, runs, typed, Screen(), typed.region)


def replay_on_stack(typed: Namespace, cloud: DeployedCloud, screen: Screen) -> int:
    """Replay runs of a deployed stack, and return the exit code. Raises ``InvalidInput``."""
    if bool(typed.runs) == (typed.since is not None):
        raise InvalidInput("Name runs by their whole ids, or all runs since a time with --since. Not both.")
    run_ids: Iterable[str] = typed.runs
    if typed.since is not None:
        run_ids = cloud.executions_since(moment(typed.since, datetime.now(UTC)))
    given = Given()
    return _replayed(given, given.of_stack(cloud, run_ids, typed), typed, screen, cloud.session.region_name)


def _replayed(given: Given, runs: Iterator[ExportedRun], typed: Namespace, screen: Screen, region: str | None) -> int:
    from localcloud.cloud import PLAYBOOK

    check_workers(typed.workers)
    first = given.first(runs, "replay")
    folder = Path(typed.playbook) if typed.playbook else PLAYBOOK
    lane = Lane.baseline(folder, region=region or region_of(first))
    rows: list[Row] = []
    started = perf_counter()
    interrupted = False
    try:
        for row in replayed(lane, _and(first, runs), summary, workers=typed.workers):
            rows.append(row)
            _say(row, rows, typed, screen)
        for one in given.unread:
            rows.append(Row(one.name, one.source, Ending.NOT_REPLAYED, None, 0, 0, 0, 0, (one.why,)))
            _say(rows[-1], rows, typed, screen)
    except KeyboardInterrupt:
        interrupted = True
    if typed.json:
        print_document(json.dumps(_as_json(rows, perf_counter() - started, interrupted), indent=2))
    else:
        _sum_up(rows, perf_counter() - started, interrupted, screen)
    return Exit.INTERRUPTED if interrupted else exit_of(rows)


def check_workers(workers: int) -> None:
    """Raise ``InvalidInput`` for a number of processes that is none."""
    if workers < 1:
        raise InvalidInput(f"--workers {workers}: must be 1 or more.")


def _and(first: ExportedRun, rest: Iterator[ExportedRun]) -> Iterator[ExportedRun]:
    yield first
    yield from rest


def region_of(run: ExportedRun) -> str:
    """Return a region in which a playbook names the model that the run asked first."""
    opened = next((event for event in run.events if event.name == "run.opened"), None)
    model = str(opened.body.get("model", "")) if opened is not None else ""
    return _REGIONS.get(model.partition(".")[0], _REGION)


def exit_of(rows: Iterable[Row]) -> int:
    """Return the exit code: whether all are the same, one is not, or one could not be replayed."""
    endings = {row.ending for row in rows}
    if Ending.DIFFERENT in endings:
        return Exit.UNFIT
    return Exit.NOT_COVERED if Ending.NOT_REPLAYED in endings else Exit.OK


def _say(row: Row, rows: list[Row], typed: Namespace, screen: Screen) -> None:
    if len(rows) % _EVERY == 0:
        same = sum(one.ending is Ending.SAME for one in rows)
        print(f"{len(rows)} runs replayed, {same} the same …", file=sys.stderr)
    if typed.json:
        return
    unlike = [one for one in rows if one.ending is not Ending.SAME]
    if row.ending is Ending.SAME:
        if typed.verbose or len(typed.runs) == 1:
            told = f", {row.put_in} put in" if row.put_in else ""
            hidden = f", {row.unchecked} fields not checked: sealed" if row.unchecked else ""
            hidden += ", its evidence not checked: only an export has what it covers" if row.unvouched else ""
            screen.line(f"{clean(row.run_id, lines=False)}: the same, {row.checked} events{told}{hidden}", "green")
            for note in row.notes:
                screen.line(f"  {clean(note, lines=False)}")
    elif len(unlike) <= _SHOWN or typed.verbose:
        _show(row, screen)


def _show(row: Row, screen: Screen) -> None:
    if row.difference is None:
        screen.line(f"{clean(row.run_id, lines=False)}: {row.ending}", "yellow")
    else:
        different = row.difference
        where = f"{row.run_id}: DIFFERENT at {different.seq} {different.field}".rstrip()
        screen.line(clean(where, lines=False), "red")
        screen.line(f"  {clean(different.why, lines=False)}")
        if (different.recorded, different.made) != (None, None):
            screen.line(f"  recorded  {_short(different.recorded)}")
            screen.line(f"  replayed  {_short(different.made)}")
    for note in row.notes:
        screen.line(f"  {clean(note, lines=False)}")


def _short(value: Any) -> str:
    return cut_short(clean(json.dumps(value, ensure_ascii=False), lines=False), 100)


def _sum_up(rows: list[Row], seconds: float, interrupted: bool, screen: Screen) -> None:
    counts = Counter(row.ending for row in rows)
    parts = [f"{counts[ending]} {ending}" for ending in Ending if counts[ending]]
    unchecked = sum(row.unchecked for row in rows)
    hidden = f" {unchecked} fields of sealed values were not checked." if unchecked else ""
    if unvouched := sum(row.unvouched for row in rows):
        hidden += f" The evidence of {unvouched} runs was not checked: pages of the API lack attributes that it covers."
    stopped = " Interrupted: the rest was not replayed." if interrupted else ""
    events = sum(row.checked + row.put_in for row in rows)
    screen.line(f"{len(rows)} runs, {events} events in {seconds:.0f} s: {', '.join(parts) or 'none'}.{hidden}{stopped}")


def _as_json(rows: list[Row], seconds: float, interrupted: bool) -> dict[str, Any]:
    counts = Counter(str(row.ending) for row in rows)
    return {"runs": [_row(row) for row in rows], "counts": dict(counts), "seconds": round(seconds, 3)} | (
        {"interrupted": True} if interrupted else {}
    )


def _row(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {
        "run_id": row.run_id,
        "source": row.source,
        "ending": str(row.ending),
        "events": row.events,
        "checked": row.checked,
        "put_in": row.put_in,
        "unchecked": row.unchecked,
        "evidence_checked": not row.unvouched,
        "notes": list(row.notes),
    }
    if row.difference is not None:
        told["difference"] = vars(row.difference)
    return told
