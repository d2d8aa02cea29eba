"""``ballast demo``: a scenario on the screen, or all of them and a table."""

import os
from argparse import Namespace
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballast.contracts.timeline import Timeline
from ballast.errors import InvalidInput
from cli.exits import Exit, exit_of
from cli.journal import Journal, state_folder
from cli.mailbox import Mailbox
from cli.output import Screen
from cli.people import PeopleElsewhere, ScriptedPeople
from cli.stage import SMALL_STORE, shortened, stage
from cli.watch import watch
from localcloud.clock import WallClock
from localcloud.scenarios import Scenario, find, names, unmet

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


@dataclass(frozen=True)
class Played:
    """A scenario that was played: its timeline and what was not as expected."""

    scenario: Scenario
    timeline: Timeline
    wrong: list[str]


def demo(typed: Namespace) -> int:
    """Play what was typed; return 0 where every scenario ended as it should, else 1."""
    screen = Screen()
    if typed.list:
        return _list(screen)
    chosen = names() if typed.scenario == "all" else [typed.scenario]
    scenarios = [find(name) for name in chosen]
    home = state_folder(os.environ)
    journal = Journal(home)
    if typed.by_hand:
        return _by_hand(typed, screen, Mailbox(home), journal)
    played = []
    options = {"enforce_iam": False} if typed.no_iam else {}
    for scenario in scenarios:
        screen.line(f"{scenario.name}: {scenario.description}", "bold")
        ended = play(scenario, screen=screen, journal=journal, **options)
        played.append(ended)
        screen.line()
        if len(scenarios) == 1:
            screen.trace(ended.timeline, full=typed.full)
    return _verdict(played, screen)


def play(scenario: Scenario, *, screen: Screen, journal: Journal, enforce_iam: bool = True) -> Played:
    """Run one scenario in a local cloud of its own and compare how it ended with what it expects."""
    with _stage(scenario, screen, enforce_iam) as cloud:
        people = ScriptedPeople(cloud, [answer.model_dump(exclude_none=True) for answer in scenario.people])
        title = f"demo {scenario.name}"
        made = watch(cloud, scenario.request, people, screen=screen, journal=journal, title=title)
        return Played(scenario, made, unmet(scenario, made, lambda table, key: cloud.table(table).get(key)))


def _by_hand(typed: Namespace, screen: Screen, mailbox: Mailbox, journal: Journal) -> int:
    """Play one scenario whose people are at another terminal; how it ends is theirs to decide."""
    if typed.scenario == "all":
        raise InvalidInput("--by-hand goes with one scenario, such as `ballast demo escalation --by-hand`.")
    scenario = find(typed.scenario)
    with _stage(scenario, screen, not typed.no_iam) as cloud:
        people = PeopleElsewhere(cloud, mailbox, screen)
        title = f"demo {scenario.name} --by-hand"
        made = watch(cloud, scenario.request, people, screen=screen, journal=journal, title=title)
    screen.line()
    screen.trace(made, full=typed.full)
    return exit_of(made.status)


def _stage(scenario: Scenario, screen: Screen, enforce_iam: bool) -> AbstractContextManager["LocalCloud"]:
    from localcloud.converse import ScriptModel

    screen.line("Deploying template.yaml into a local cloud …", "dim")
    clock = WallClock(sleep=shortened)
    return stage(ScriptModel.read(scenario.script), size=SMALL_STORE, clock=clock, enforce_iam=enforce_iam)


def _list(screen: Screen) -> int:
    for name in names():
        screen.line(f"{name:12}  {find(name).description}")
    return Exit.OK


def _verdict(played: list[Played], screen: Screen) -> int:
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
        screen.line("Ended as this scenario should.", "green")
    return Exit.UNEXPECTED if any(one.wrong for one in played) else Exit.OK


def _end(status: str, by: str | None, reason: str) -> str:
    return " ".join(part for part in (status, f"by {by}" if by else "", f"({reason})" if reason else "") if part)
