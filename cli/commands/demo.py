"""``ballast demo``: run one scripted scenario, or all of them and a table of how they ended."""

import os
from argparse import Namespace
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput
from cli.escalation_files import EscalationFiles
from cli.exits import Exit, exit_of
from cli.follow import run_and_follow
from cli.local_stack import SMALL_STORE, local_stack, shortened
from cli.responders import ScriptedResponder, TerminalResponder
from cli.saved_runs import SavedRuns, state_folder
from cli.screen import Screen
from localcloud.clock import WallClock
from localcloud.converse import ScriptModel
from localcloud.scenarios import Scenario, find, names, unmet

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


@dataclass(frozen=True)
class Played:
    """A scenario that has run: its timeline, and what was not as expected."""

    scenario: Scenario
    timeline: Timeline
    wrong: list[str]


def demo(typed: Namespace) -> int:
    """Run the typed scenarios; return 0 if every one ended as expected, else 1."""
    screen = Screen()
    if typed.list:
        return _list(screen)
    chosen = names() if typed.scenario == "all" else [typed.scenario]
    scenarios = [find(name) for name in chosen]
    home = state_folder(os.environ)
    saved_runs = SavedRuns(home)
    if typed.by_hand:
        return _by_hand(typed, screen, EscalationFiles(home), saved_runs)
    played = []
    options = {"enforce_iam": False} if typed.no_iam else {}
    for scenario in scenarios:
        screen.line(f"{scenario.name}: {scenario.description}", "bold")
        ended = play(scenario, screen=screen, saved_runs=saved_runs, **options)
        played.append(ended)
        screen.line()
        if len(scenarios) == 1:
            screen.trace(ended.timeline, full=typed.full)
    return _report(played, screen)


def play(scenario: Scenario, *, screen: Screen, saved_runs: SavedRuns, enforce_iam: bool = True) -> Played:
    """Run one scenario in its own local cloud and compare its ending with what it expects."""
    with _local_stack(scenario, screen, enforce_iam) as cloud:
        responder = ScriptedResponder(cloud, [answer.model_dump(exclude_none=True) for answer in scenario.people])
        title = f"demo {scenario.name}"
        made = run_and_follow(cloud, scenario.request, responder, screen=screen, saved_runs=saved_runs, title=title)
        return Played(scenario, made, unmet(scenario, made, lambda table, key: cloud.table(table).get(key)))


def _by_hand(typed: Namespace, screen: Screen, escalation_files: EscalationFiles, saved_runs: SavedRuns) -> int:
    """Run one scenario whose people answer in another terminal."""
    if typed.scenario == "all":
        raise InvalidInput("--by-hand goes with one scenario, such as `ballast demo escalation --by-hand`.")
    scenario = find(typed.scenario)
    with _local_stack(scenario, screen, not typed.no_iam) as cloud:
        responder = TerminalResponder(cloud, escalation_files, screen)
        title = f"demo {scenario.name} --by-hand"
        made = run_and_follow(cloud, scenario.request, responder, screen=screen, saved_runs=saved_runs, title=title)
    screen.line()
    screen.trace(made, full=typed.full)
    return exit_of(made.status)


def _local_stack(scenario: Scenario, screen: Screen, enforce_iam: bool) -> AbstractContextManager["LocalCloud"]:
    screen.line("Deploying template.yaml into a local cloud …", "dim")
    clock = WallClock(sleep=shortened)
    return local_stack(ScriptModel.read(scenario.script), size=SMALL_STORE, clock=clock, enforce_iam=enforce_iam)


def _list(screen: Screen) -> int:
    for name in names():
        screen.line(f"{name:12}  {find(name).description}")
    return Exit.OK


def _report(played: list[Played], screen: Screen) -> int:
    """Print what was wrong, and for several scenarios a table; return the exit code."""
    if len(played) > 1:
        screen.line(f"{'scenario':12}  {'expected end':36}  {'actual end':36}  ok", "bold")
        for one in played:
            wanted, found = one.scenario.expect, one.timeline
            ends = (_end(wanted.status, wanted.by, wanted.reason), _end(found.status, found.by, found.reason))
            verdict = ("yes", "green") if not one.wrong else ("NO", "bold red")
            screen.line(f"{one.scenario.name:12}  {ends[0]:36}  {ends[1]:36}  {verdict[0]}", verdict[1])
    for one in played:
        for sentence in one.wrong:
            screen.line(f"{one.scenario.name}: not as expected: {sentence}", "bold red")
    if len(played) == 1 and not played[0].wrong:
        screen.line()
        screen.line("This scenario ended as expected.", "green")
    return Exit.UNEXPECTED if any(one.wrong for one in played) else Exit.OK


def _end(status: str, by: str | None, reason: str) -> str:
    return " ".join(part for part in (status, f"by {by}" if by else "", f"({reason})" if reason else "") if part)
