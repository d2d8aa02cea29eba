"""The cases that were typed: scenarios of a folder, and recorded runs of the saved ones or of a deployed stack."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ballast.errors import InvalidInput, LogCorrupt
from ballast.folds.feedback import verdict_of
from ballast.playbook.load import playbook_in
from cli.commands.cost import moment, opened_at
from cli.commands.trace import timeline_of
from cli.saved_runs import SavedRun, SavedRuns, state_folder
from cli.scenario_runs import find_all
from cli.trace.text import clean
from localcloud.eval.cases import Case, of_run
from localcloud.scenarios import folder_of, names
from localcloud.scenarios.scenario import FOLDER as BUNDLED

if TYPE_CHECKING:
    from cli.deployed_stack import DeployedCloud

#: The most recorded runs of one eval.
MOST_RUNS = 200
#: How the title of a run that an eval played begins: such a run is not chosen again.
_OWN = "eval "


@dataclass(frozen=True)
class Chosen:
    """The cases, and the playbook that plays them; None: the support desk."""

    cases: tuple[Case, ...]
    playbook: Path | None


def wants_runs(typed: Namespace) -> bool:
    """Return whether recorded runs were asked for."""
    return bool(typed.run or typed.feedback or typed.since)


def chosen(typed: Namespace, recorded: Iterable[Case]) -> Chosen:
    """Return what was typed; ``recorded`` are the cases of recorded runs. Raises ``InvalidInput``."""
    scenarios, playbook = _scenarios(typed)
    cases = [*scenarios, *recorded]
    if not cases:
        raise InvalidInput("There is no case: no scenario and no run fits what was typed. --list shows the cases.")
    doubled = [one.name for at, one in enumerate(cases) if one.name in {other.name for other in cases[:at]}]
    if doubled:
        raise InvalidInput(f"Two cases are named {doubled[0]}. Leave one of them out.")
    return Chosen(tuple(cases), playbook)


def _scenarios(typed: Namespace) -> tuple[list[Case], Path | None]:
    """Return the scenarios, and the playbook. Recorded runs alone need no scenarios."""
    path = None if typed.path is None else Path(typed.path)
    own = Path(typed.playbook) if typed.playbook else None
    if path is None and wants_runs(typed) and not typed.names:
        here = Path()
        return [], own or (here if (playbook_in(here) / "agent.yaml").is_file() else None)
    path = path or Path()
    is_playbook = (playbook_in(path.resolve()) / "agent.yaml").is_file()
    bundled = path.resolve() == BUNDLED
    playbook = own or (None if bundled else path if is_playbook else None)
    if playbook is None and not bundled:
        raise InvalidInput(
            f"{path}: has no playbook (agent.yaml). Name a project, or a folder of scenarios and its --playbook PATH."
        )
    if wants_runs(typed) and not typed.names:
        return [], playbook
    folder = path if any(path.glob("*/scenario.yaml")) else folder_of(path)
    wanted = typed.names or names(folder)
    found = find_all(list(dict.fromkeys(wanted)), folder)
    if unread := [str(one) for one in found.values() if isinstance(one, InvalidInput)]:
        raise InvalidInput("\n".join(unread))  # a part of the cases proves nothing, and costs money
    return [Case(one) for one in found.values() if not isinstance(one, InvalidInput)], playbook


def saved_cases(typed: Namespace) -> list[Case]:
    """Return the saved runs that were asked for, newest first. Raises ``InvalidInput``."""
    saved_runs = SavedRuns(state_folder(os.environ))
    found = [_case(saved_runs.find(word), saved_runs) for word in typed.run]
    if not (typed.feedback or typed.since):
        return found
    since = moment(typed.since, datetime.now(UTC)) if typed.since else None
    more = []
    unreadable: dict[str, str] = {}
    found_runs = saved_runs.recent(10_000, unreadable)
    for problem in unreadable.values():
        _left_out(problem)
    for one in found_runs:
        if since is not None and opened_at(one.events) < since:
            continue
        if typed.feedback and _verdict(one) != typed.feedback:
            continue
        if not one.title.startswith(_OWN) or typed.feedback:
            more.append(one)
    named = {one.name for one in found}
    return [*found, *_readable(_few([one for one in more if one.run_id not in named]), saved_runs)]


def _few(found: Sequence[SavedRun]) -> Sequence[SavedRun]:
    if len(found) > MOST_RUNS:
        raise InvalidInput(f"{len(found)} runs fit; an eval plays {MOST_RUNS} at most. Name a later --since.")
    return found


def _verdict(saved: SavedRun) -> str | None:
    try:
        return verdict_of(saved.events.feedback)
    except LogCorrupt:
        return None


def _readable(found: Iterable[SavedRun], saved_runs: SavedRuns) -> Iterator[Case]:
    """Yield the runs that can be cases; say of the others why not."""
    for one in found:
        try:
            yield _case(one, saved_runs)
        except InvalidInput as problem:
            _left_out(str(problem))


def _left_out(why: str) -> None:
    print(f"Left out: {clean(why, lines=False)}", file=sys.stderr)


def _case(saved: SavedRun, saved_runs: SavedRuns) -> Case:
    if saved.corrupt:
        raise InvalidInput(f"{saved.run_id}: {next(iter(saved.corrupt.values()))}. Only a whole log can be a case.")
    scenario = of_run(saved.events, timeline_of(saved)).model_copy(update={"name": saved.run_id})
    return Case(scenario, replies=str(saved_runs.file(saved.run_id)))


def stack_cases(typed: Namespace, cloud: DeployedCloud) -> list[Case]:
    """Return the runs of a deployed stack that were asked for. They are saved, as `ballast run --stack` saves them."""
    run_ids = list(dict.fromkeys([*typed.run, *_listed(typed, cloud)]))
    if len(run_ids) > MOST_RUNS:
        raise InvalidInput(f"More than {MOST_RUNS} runs fit. Name a later --since, or fewer tenants.")
    saved_runs, found = SavedRuns(state_folder(os.environ)), []
    for run_id in run_ids:
        events, corrupt = cloud.read_all(run_id)
        if not events and not corrupt:
            raise InvalidInput(f"{run_id}: the stack {typed.stack} has no log of this run. Type the whole id.")
        if corrupt:
            _left_out(f"{run_id}: {next(iter(corrupt.values()))}.")
            continue
        saved = SavedRun(run_id, f"run on {typed.stack}", events)
        if typed.feedback and run_id not in typed.run and _verdict(saved) != typed.feedback:
            continue  # somebody says something else by now
        saved_runs.save(run_id, saved.title, events)
        found.append(saved)
    return [*_readable(found, saved_runs)]


def _listed(typed: Namespace, cloud: DeployedCloud) -> Iterator[str]:
    if not (typed.feedback or typed.since):
        return
    since = moment(typed.since, datetime.now(UTC)) if typed.since else datetime.min.replace(year=1970, tzinfo=UTC)
    for tenant in typed.tenant or ["default"]:
        if typed.feedback:
            yield from cloud.runs_said_to_be(typed.feedback, tenant, since, MOST_RUNS)
        else:
            yield from cloud.runs_since(tenant, since, MOST_RUNS)
