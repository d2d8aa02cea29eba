"""``ballast demo``: run one scripted scenario, or all of them and a table of how they ended."""

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from ballast.errors import InvalidInput
from cli.escalation_files import EscalationFiles
from cli.exits import Exit, exit_of
from cli.follow import run_and_follow
from cli.local_stack import deploying
from cli.responders import TerminalResponder
from cli.saved_runs import SavedRuns, state_folder
from cli.scenario_runs import Played, play, source_of, stack_of
from cli.screen import Screen
from localcloud.scenarios import find, folder_of, names


def demo(typed: Namespace) -> int:
    """Run the typed scenarios; return 0 if every one ended as expected, else 1."""
    screen = Screen()
    playbook = Path(typed.playbook) if typed.playbook else None
    folder = folder_of(playbook) if playbook else None
    if typed.list:
        return _list(screen, folder)
    first = next(iter(names(folder)), "")
    chosen = names(folder) if typed.scenario == "all" else [typed.scenario or first]
    scenarios = [find(name, folder) for name in chosen]
    home = state_folder(os.environ)
    saved_runs = SavedRuns(home)
    if typed.by_hand:
        return _by_hand(typed, screen, EscalationFiles(home), saved_runs, playbook)
    played = []
    options: dict[str, Any] = {"enforce_iam": False} if typed.no_iam else {}
    if playbook is not None:
        options["playbook"] = playbook
    for scenario in scenarios:
        screen.line(f"{scenario.name}: {scenario.description}", "bold")
        screen.line(deploying(playbook), "dim")
        ended = play(scenario, screen=screen, saved_runs=saved_runs, **options)
        played.append(ended)
        screen.line()
        if len(scenarios) == 1:
            screen.trace(ended.timeline, full=typed.full)
    return _report(played, screen)


def _by_hand(
    typed: Namespace, screen: Screen, escalation_files: EscalationFiles, saved_runs: SavedRuns, playbook: Path | None
) -> int:
    """Run one scenario whose people answer in another terminal."""
    if typed.scenario == "all":
        raise InvalidInput("--by-hand goes with one scenario, such as `ballast demo escalation --by-hand`.")
    folder = folder_of(playbook) if playbook else None
    scenario = find(typed.scenario or next(iter(names(folder)), ""), folder)
    screen.line(deploying(playbook), "dim")
    with stack_of(scenario, source_of(scenario), playbook=playbook, enforce_iam=not typed.no_iam) as cloud:
        responder = TerminalResponder(cloud, escalation_files, screen)
        title = f"demo {scenario.name} --by-hand"
        made = run_and_follow(
            cloud,
            scenario.request,
            responder,
            screen=screen,
            saved_runs=saved_runs,
            title=title,
            requested_by=scenario.by,
        )
    screen.line()
    screen.trace(made, full=typed.full)
    return exit_of(made.status)


def _list(screen: Screen, folder: Path | None) -> int:
    for name in names(folder):
        screen.line(f"{name:12}  {find(name, folder).description}")
    return Exit.OK


def _report(played: list[Played], screen: Screen) -> int:
    """Print what was wrong, and for several scenarios a table; return the exit code."""
    if len(played) > 1:
        screen.line(f"{'scenario':12}  {'expected end':36}  {'actual end':36}  ok", "bold")
        for one in played:
            wanted, found = one.scenario.expect, one.timeline
            as_wanted = _end(wanted.status or "", wanted.by, wanted.reason or "")
            ends = (as_wanted, _end(found.status, found.by, found.reason))
            verdict = ("yes", "green") if not one.wrong else ("NO", "bold red")
            screen.line(f"{one.scenario.name:12}  {ends[0]:36}  {ends[1]:36}  {verdict[0]}", verdict[1])
    for one in played:
        for sentence in one.wrong:
            screen.sentence(f"{one.scenario.name}: not as expected: {sentence}", "bold red")
        for sentence in one.notes:
            screen.sentence(f"{one.scenario.name}: note: {sentence}", "dim")
    if len(played) == 1 and not played[0].wrong:
        screen.line()
        screen.line("This scenario ended as expected.", "green")
    return Exit.UNEXPECTED if any(one.wrong for one in played) else Exit.OK


def _end(status: str, by: str | None, reason: str) -> str:
    return " ".join(part for part in (status, f"by {by}" if by else "", f"({reason})" if reason else "") if part)
