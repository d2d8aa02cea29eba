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
from xml.etree import ElementTree

from rich.console import Console

from ballast.errors import BallastError, InvalidInput
from ballast.money import dollars
from ballast.playbook import load_playbook
from cli.exits import Exit
from cli.function_output import FunctionOutput
from cli.saved_runs import SavedRuns, state_folder
from cli.scenario_runs import play
from cli.screen import Screen
from cli.trace.text import clean
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
    playbook = Path(typed.path)
    load_playbook(playbook, on=datetime.now(UTC).date())
    folder = folder_of(playbook)
    chosen = typed.names or names(folder)
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
        _write(Path(typed.junit), junit(results, suite=str(folder)))
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
    top = ElementTree.Element(
        "testsuite",
        name=suite,
        tests=str(len(results)),
        failures=str(sum(bool(one.wrong) for one in results)),
        errors=str(sum(bool(one.error) for one in results)),
        time=f"{sum(one.took_s for one in results):.3f}",
    )
    for one in results:
        case = ElementTree.SubElement(top, "testcase", classname="scenarios", name=one.name, time=f"{one.took_s:.3f}")
        if one.wrong or one.error:
            text = one.error or "\n".join(one.wrong)
            kind = "error" if one.error else "failure"
            found = ElementTree.SubElement(case, kind, message=_xml(text.splitlines()[0]))
            found.text = _xml(f"{text}\nSee it: ballast trace {one.run_id}")
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Return ``text`` without characters that XML does not have."""
    return "".join(one for one in clean(text) if one in "\t\n" or (one >= " " and one not in "\ufffe\uffff"))


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise InvalidInput(f"--junit {file}: cannot be written ({problem.strerror}).") from None
