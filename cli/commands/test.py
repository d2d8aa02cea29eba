"""``ballast test``: play a playbook's scenarios, and show how each ended and what was not as expected."""

from __future__ import annotations

import io
import json
import os
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from ballast.errors import BallastError, InvalidInput
from ballast.money import dollars
from ballast.playbook import load_playbook
from cli.exits import Exit
from cli.function_output import FunctionOutput
from cli.junit import JunitCase, document, write
from cli.junit import suite as suite_of
from cli.saved_runs import SavedRuns, state_folder
from cli.scenario_runs import place_and_names, play
from cli.screen import Screen
from localcloud.functions import FunctionError
from localcloud.scenarios import Scenario, find, folder_of, names
from localcloud.template import TemplateInvalid


@dataclass(frozen=True)
class Result:
    """How one scenario went.

    ended     how the run ended, in words
    wrong     what was not as expected
    error     why it could not be played
    run_id    of its saved run
    took_s    seconds, the local cloud's start included
    """

    name: str
    ended: str
    wrong: tuple[str, ...]
    error: str
    run_id: str
    cost_microusd: int
    took_s: float

    @property
    def passed(self) -> bool:
        """Whether it ended as expected."""
        return not self.wrong and not self.error


def test(typed: Namespace) -> int:
    """Play the typed scenarios; return 0 if every one ended as expected, else 1. Raises ``BallastError``."""
    path, wanted = place_and_names(typed.path, typed.names)
    playbook = Path(path or ".")
    load_playbook(playbook, on=datetime.now(UTC).date(), check_retired=True)
    folder = folder_of(playbook)
    chosen = wanted or names(folder)
    if not chosen:
        raise InvalidInput(f"{folder}: holds no scenario. Make a folder with scenario.yaml and script.yaml in it.")
    scenarios = [find(name, folder) for name in dict.fromkeys(chosen)]
    screen = Screen()
    if typed.list:
        for scenario in scenarios:
            screen.line(f"{scenario.name:24}  {scenario.description}")
        return Exit.OK
    results = []
    for scenario in scenarios:
        result = _played(scenario, playbook, typed, screen)
        results.append(result)
        if not typed.json:
            _show(result, screen)
    if typed.junit:
        write("--junit", Path(typed.junit), junit(results, suite=str(folder)))
    if typed.json:
        print(json.dumps([_document(result) for result in results], indent=2))
    else:
        failed = sum(not result.passed for result in results)
        spent = dollars(sum(result.cost_microusd for result in results))
        took_s = sum(one.took_s for one in results)
        said = f"{len(results)} scenarios, {failed} not as expected, ${spent}, {took_s:.0f} s"
        screen.line(said, "bold red" if failed else "green")
    return Exit.UNEXPECTED if any(not result.passed for result in results) else Exit.OK


def _played(scenario: Scenario, playbook: Path, typed: Namespace, screen: Screen) -> Result:
    home = state_folder(os.environ)
    shown = screen if typed.verbose and not typed.json else silent()
    begun = time.monotonic()
    ended, error, cost = "", "", 0
    wrong: tuple[str, ...] = ()
    try:
        played = play(
            scenario,
            screen=shown,
            saved_runs=SavedRuns(home),
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
        wrong, cost = tuple(played.wrong), made.money.charged_microusd
    took_s = time.monotonic() - begun
    return Result(scenario.name, ended, wrong, error, scenario.request.run_id, cost, took_s)


def silent() -> Screen:
    return Screen(Console(file=io.StringIO(), markup=False, highlight=False, emoji=False))


def _show(result: Result, screen: Screen) -> None:
    verdict, style = ("ok  ", "green") if result.passed else ("FAIL", "bold red")
    after = f"{result.ended}, ${dollars(result.cost_microusd)}" if result.ended else "could not be played"
    screen.line(f"{verdict}  {result.name:24}  {after}, {result.took_s:.1f} s", style)
    for sentence in result.wrong:
        screen.line(f"      {sentence}")
    if result.error:
        screen.line(f"      {result.error}")
    if not result.passed:
        screen.line(f"      See it: ballast trace {result.run_id}", "dim")


def _document(result: Result) -> dict[str, object]:
    return {
        "scenario": result.name,
        "passed": result.passed,
        "ended": result.ended,
        "wrong": list(result.wrong),
        "error": result.error or None,
        "run_id": result.run_id,
        "cost_microusd": result.cost_microusd,
        "took_s": round(result.took_s, 1),
    }


def junit(results: Sequence[Result], *, suite: str) -> str:
    """Return the results as JUnit's XML, as CI systems read it."""
    cases = [
        JunitCase(one.name, one.took_s, "\n".join(one.wrong), one.error, f"See it: ballast trace {one.run_id}")
        for one in results
    ]
    return document(suite_of(suite, "scenarios", cases))
