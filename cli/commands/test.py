"""``ballast test``: play a playbook's scenarios, and show how each ended and what was not as expected."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from ballast.errors import BallastError, InvalidInput
from ballast.money import dollars
from ballast.playbook import load_playbook
from cli.exits import Exit
from cli.function_output import FunctionOutput
from cli.junit import JunitCase, begin, document, write
from cli.junit import suite as suite_of
from cli.own_stdout import print_document
from cli.saved_runs import SavedRuns, state_folder
from cli.scenario_runs import find_all, place_and_names, play
from cli.screen import Screen
from cli.trace.text import clean, count
from localcloud.functions import FunctionError
from localcloud.scenarios import Scenario, folder_of, names
from localcloud.template import TemplateInvalid

_UNPLAYED = "not played: interrupted"


@dataclass(frozen=True)
class Result:
    """How one scenario went.

    ended     how the run ended, in words
    wrong     what was not as expected
    notes     what else its author should know
    error     why it could not be played
    run_id    of its saved run; "" if it never began
    took_s    seconds, the local cloud's start included
    """

    name: str
    ended: str
    wrong: tuple[str, ...]
    error: str
    run_id: str
    cost_microusd: int
    took_s: float
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it ended as expected."""
        return not self.wrong and not self.error


def test(typed: Namespace) -> int:
    """Play the typed scenarios; return 0 if every one ended as expected, else 1. Raises ``BallastError``.

    One that cannot be read is an error of its own; the others are played.
    """
    path, wanted = place_and_names(typed.path, typed.names)
    playbook = Path(path or ".")
    if typed.junit and not typed.list:
        begin("--junit", Path(typed.junit), str(playbook))
    load_playbook(playbook, on=datetime.now(UTC).date(), check_retired=True)
    folder = folder_of(playbook)
    chosen = wanted or names(folder)
    if not chosen:
        raise InvalidInput(f"{folder}: holds no scenario. Make a folder with scenario.yaml and script.yaml in it.")
    scenarios = find_all(list(dict.fromkeys(chosen)), folder)
    screen = Screen()
    if typed.list:
        return _list(scenarios, screen)
    results: list[Result] = []
    interrupted, unwritten, at = False, "", ""
    try:
        for number, (name, scenario) in enumerate(scenarios.items(), start=1):
            if isinstance(scenario, InvalidInput):
                result = _unplayed(name, str(scenario))
            else:
                with _named(f"{name} ({number} of {len(scenarios)})", keep=typed.verbose and not typed.json):
                    result = _played(scenario, playbook, typed, screen)
            results.append(result)
            if not typed.json:
                _show(result, screen)
    except KeyboardInterrupt:
        interrupted = True
        at = list(scenarios)[len(results)] if len(results) < len(scenarios) else ""
        results += [_unplayed(name, _UNPLAYED) for name in list(scenarios)[len(results) :]]
    if typed.junit:
        try:
            write("--junit", Path(typed.junit), junit(results, suite=str(folder)))
        except InvalidInput as problem:
            unwritten = str(problem)
            print(unwritten, file=sys.stderr)
    if typed.json:
        print_document(json.dumps([_document(result) for result in results], indent=2))
    else:
        failed = sum(not result.passed for result in results)
        if interrupted:
            left = sum(one.error == _UNPLAYED for one in results)
            screen.line(f"Interrupted{f' in {at}' if at else ''}: {count(left, 'scenario')} not played.", "yellow")
        spent = dollars(sum(result.cost_microusd for result in results))
        took_s = sum(one.took_s for one in results)
        said = f"{count(len(results), 'scenario')}, {failed} not as expected, ${spent}, {took_s:.0f} s"
        screen.line(said, "bold red" if failed else "green")
    if interrupted:
        return Exit.INTERRUPTED
    return Exit.UNEXPECTED if unwritten or any(not result.passed for result in results) else Exit.OK


@contextmanager
def _named(scenario: str, *, keep: bool) -> Iterator[None]:
    """Name the scenario that plays, on standard error: in a terminal, unless ``keep``, only while it plays."""
    passing = sys.stderr.isatty() and not keep
    with suppress(OSError, ValueError):  # nobody reads it
        print(f"{clean(scenario, lines=False)} …", end="" if passing else "\n", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if passing:
            with suppress(OSError, ValueError):
                print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def _list(scenarios: Mapping[str, Scenario | InvalidInput], screen: Screen) -> int:
    for name, scenario in scenarios.items():
        said = f"cannot be read: {scenario}" if isinstance(scenario, InvalidInput) else scenario.description
        screen.line(f"{name:24}  {said}")
    return Exit.UNEXPECTED if any(isinstance(one, InvalidInput) for one in scenarios.values()) else Exit.OK


def _unplayed(name: str, why: str) -> Result:
    return Result(name, "", (), why, "", 0, 0.0)


def _played(scenario: Scenario, playbook: Path, typed: Namespace, screen: Screen) -> Result:
    home = state_folder(os.environ)
    saved_runs, run_id = SavedRuns(home), scenario.request.run_id
    before = saved_runs.stamp(run_id)
    shown = screen if typed.verbose and not typed.json else silent()
    begun = time.monotonic()
    ended, error, cost = "", "", 0
    wrong: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    try:
        played = play(
            scenario,
            screen=shown,
            saved_runs=saved_runs,
            enforce_iam=not typed.no_iam,
            playbook=playbook,
            model=typed.model,
            title="test",
            output=FunctionOutput(home, shown, verbose=typed.verbose),
        )
    except (BallastError, TemplateInvalid) as problem:
        error = str(problem)
    except FunctionError as problem:
        error = f"An answer under `people:` was not accepted: {problem.name}: {problem.message}"
    else:
        made = played.timeline
        ended = f"{made.status} by {made.by}" if made.by else made.status
        wrong, notes, cost = tuple(played.wrong), tuple(played.notes), made.money.charged_microusd
    took_s = time.monotonic() - begun
    if saved_runs.stamp(run_id) == before:  # it never began
        run_id = ""
    elif error:
        cost = saved_runs.spent_microusd(run_id) or 0
    return Result(scenario.name, ended, wrong, error, run_id, cost, took_s, notes)


def silent() -> Screen:
    return Screen(Console(file=io.StringIO(), markup=False, highlight=False, emoji=False))


def _show(result: Result, screen: Screen) -> None:
    verdict, style = ("ok  ", "green") if result.passed else ("FAIL", "bold red")
    after = f"{result.ended}, ${dollars(result.cost_microusd)}" if result.ended else "could not be played"
    screen.line(f"{verdict}  {result.name:24}  {after}, {result.took_s:.1f} s", style)
    for sentence in result.wrong:
        screen.sentence(f"      {sentence}")
    if result.error:
        screen.sentence(f"      {result.error}")
    for sentence in result.notes:
        screen.sentence(f"      note: {sentence}", "dim")
    if not result.passed and result.run_id:
        screen.line(f"      See it: ballast trace {result.run_id}", "dim")


def _document(result: Result) -> dict[str, object]:
    return {
        "scenario": result.name,
        "passed": result.passed,
        "ended": result.ended,
        "wrong": list(result.wrong),
        "notes": list(result.notes),
        "error": result.error or None,
        "run_id": result.run_id or None,
        "cost_microusd": result.cost_microusd,
        "took_s": round(result.took_s, 1),
    }


def junit(results: Sequence[Result], *, suite: str) -> str:
    """Return the results as JUnit's XML, as CI systems read it."""
    cases = [
        JunitCase(
            one.name,
            one.took_s,
            one.wrong,
            (one.error,) if one.error else (),
            (f"See it: ballast trace {one.run_id}",) if one.run_id else (),
        )
        for one in results
    ]
    return document(suite_of(suite, "scenarios", cases))
