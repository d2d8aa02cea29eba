"""All that can be known of a project without a model: each finding with its file, its field and the remedy.

::

    files     files that cannot be read, and those that look like a tool or a server and are none
    loading   what load_playbook refuses, of all files; duplicate names in YAML; models that retire
    tools     unmarked arguments, doubt, undo, timeouts
    functions  what the source of undo_arguments and of fallbacks gets wrong: keys, fields, calls
    schemas   arguments that no call can have, and answers that nobody can give
    rules     what the source of tools and their rules gets wrong: parameters, amounts, names of tools
    hand_overs  writes of intents, after hand-overs
    limits    limits that no run can keep, and the worst cost of a run
    packages  imports of what the playbook's layer will not have
    standing  a store or stand-ins that cannot be imported
    template  variables and rights of business.yaml against what the code names
    plays     scenarios that cannot be played, or that expect what no run can be; scripts, by the agent in charge
    certificate  stale, or missing where it is required

A part that did not load is told by ``loading``; the other checks look at what is there. A check that fails is a finding
beside those of the others.
"""

import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from ballast.errors import PlaybookInvalid
from ballast.playbook import Playbook
from ballast.playbook.agent import agent_file
from ballast.playbook.load import playbook_in, playbook_problems
from ballast.playbook.servers.tools import RemoteCall

Level = Literal["error", "warning", "hint"]
LEVELS: tuple[Level, ...] = ("error", "warning", "hint")
_NOT_THERE = "cannot be imported: ModuleNotFoundError"


_END = re.compile(r"(?<=\S)\. ")


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    level    error: it does not work; warning: it works until something fails; hint: it could be better
    file     where, with the line if it is known
    field    the setting, the tool's argument, the variable; "" for a whole file
    problem  what is wrong, and what follows from it
    remedy   what to do
    """

    level: Level
    file: str
    field: str
    problem: str
    remedy: str

    @property
    def path_and_line(self) -> tuple[str, int | None]:
        """The path of the file, and the line where it is known."""
        path, _, line = self.file.rpartition(", line ")
        return (path, int(line)) if path and line.isdecimal() else (self.file, None)


@dataclass(frozen=True)
class Checked:
    """A project's findings, most serious first, and the worst cost of a run by intent, in micro-dollars.

    The cost is the ceiling of models and tools together; "" is a request without an intent, ``NAME`` and
    ``NAME.intent`` one to another agent than the one of ``agent.yaml``. ``granted_microusd`` is the most that reviewers
    may add to it.
    """

    findings: tuple[Finding, ...]
    worst_cost_microusd: dict[str, int]
    granted_microusd: int

    def count(self, level: Level) -> int:
        """Return the number of findings of a level."""
        return sum(one.level == level for one in self.findings)


def checked(folder: Path, *, today: date) -> Checked:
    """Check the project, or the playbook, in ``folder``."""
    from cli.checks.certificate import certificate
    from cli.checks.files import idle, never_ends, unreadable
    from cli.checks.limits import worst_costs
    from cli.checks.loading import load_findings
    from cli.checks.packages import packages
    from cli.checks.plays import plays
    from cli.checks.standing import standing
    from cli.checks.template import template

    playbook: Playbook | None = None
    problems: tuple[PlaybookInvalid, ...] = ()
    costs: dict[str, int] = {}
    granted, whole, has_code = 0, True, False

    def load() -> Iterator[Finding]:
        nonlocal playbook, problems, whole, has_code
        has_code = _has_code(folder)
        playbook, problems = playbook_problems(folder, on=today)
        whole = not any(_leaves_tools_out(problem) for problem in problems)
        told = [one.file for one in blocked]
        yield from (one for one in load_findings(folder, problems) if one.file not in told)

    def price() -> Iterator[Finding]:
        nonlocal costs, granted
        if playbook is not None:
            costs, granted = worst_costs(playbook), max(one.max_grant_microusd for one in playbook.agents.values())
        yield from ()

    blocked = unreadable(folder)
    stops = any(never_ends(Path(one.file)) for one in blocked)  # loading would read it
    found = [*blocked]
    if stops:
        has_code = _has_code(folder)
    else:
        found += [*_beside_others("loading", folder, load), *_beside_others("limits", folder, price)]
    if playbook is not None:
        of_nothing = [] if blocked or problems else [*_beside_others("files", folder, idle, playbook)]
        found, whole = [*found, *of_nothing], whole and not of_nothing
        found += of_playbook(playbook, today, whole=whole)
        found += [] if blocked else _beside_others("certificate", folder, certificate, playbook)
    if has_code:
        found = _joined(found, [*_beside_others("packages", folder, packages, folder)])
        found += _beside_others("standing", folder, standing, folder, None if problems else playbook)
        found += _beside_others("template", folder, template, folder)
    if has_code and not stops:
        found += _beside_others("plays", folder, lambda: plays(folder, playbook, today, whole=whole))
    found = list(dict.fromkeys(found))
    return Checked(tuple(sorted(found, key=lambda one: LEVELS.index(one.level))), costs, granted)


def _joined(loading: list[Finding], of_packages: list[Finding]) -> list[Finding]:
    """Return both; an import that failed is told once, by what says which package it is of."""
    failed = {one.file for one in loading if _NOT_THERE in one.problem}
    missing = {one.file for one in of_packages if one.file in failed}
    rest = [one for one in loading if one.file not in missing or _NOT_THERE not in one.problem]
    return rest + [replace(one, level="error") if one.file in missing else one for one in of_packages]


def _leaves_tools_out(problem: PlaybookInvalid) -> bool:
    """Return whether tools may be missing for that reason: of a file that was not imported, or one of ``servers/``."""
    file = str(problem).partition(": ")[0]
    of_code = ".py, line " in str(problem) or ": cannot be imported: " in str(problem)
    return of_code or "/servers/" in file or file.endswith("/servers")


def _beside_others(
    name: str, folder: Path, check: Callable[..., Iterator[Finding]], *given: object
) -> Iterator[Finding]:
    """Yield what a check tells; where it fails, what it told before, and its failure as a finding."""
    try:
        yield from check(*given)
    except Exception as defect:
        place = traceback.extract_tb(defect.__traceback__)[-1]
        yield Finding(
            "error",
            str(folder.resolve()),
            "",
            f"The check `{name}` failed, so what it would tell is missing: {type(defect).__name__}: {defect} "
            f"({Path(place.filename).name}, line {place.lineno}).",
            "Correct the other errors, and check again. If it still fails, that is a defect of ballast: report it.",
        )


def of_playbook(playbook: Playbook, today: date, *, whole: bool = True) -> Iterator[Finding]:
    """Yield the findings about a loaded playbook, which may be another one than its files say.

    Unless ``whole``, a tool may be missing because its file could not be imported or read.
    """
    from cli.checks.functions import functions
    from cli.checks.limits import limits
    from cli.checks.loading import model_findings
    from cli.checks.rules import rules
    from cli.checks.schemas import schemas
    from cli.checks.tools import tools

    folder = Path(playbook.folder)
    yield from _beside_others("models", folder, model_findings, playbook, today)
    yield from _beside_others("tools", folder, lambda: tools(playbook, whole=whole))
    yield from _beside_others("schemas", folder, schemas, playbook)
    yield from _beside_others("functions", folder, lambda: functions(playbook, whole=whole))
    yield from _beside_others("rules", folder, lambda: rules(playbook, whole=whole))
    yield from _beside_others("limits", folder, lambda: limits(playbook, today, whole=whole))


def of_the_deployment(playbook: Playbook, folder: Path) -> Iterator[Finding]:
    """Yield the findings about what a playbook's files are deployed with: its certificate, and its template."""
    from cli.checks.certificate import certificate
    from cli.checks.template import template

    yield from certificate(playbook)
    if _has_code(folder):
        yield from template(folder)


def _has_code(folder: Path) -> bool:
    try:
        return (playbook_in(folder.resolve()) / "agent.yaml").is_file()
    except PlaybookInvalid:
        return False


def problem_and_remedy(said: str) -> tuple[str, str]:
    """Return the first sentence of an error's text, and what follows: a point after a space ends no sentence."""
    problem, *rest = _END.split(said, maxsplit=1)
    return f"{problem.rstrip('.')}.", "".join(rest)


def by_agent(playbook: Playbook) -> Iterator[tuple[str, Playbook]]:
    """Yield each agent's file, and the playbook as that agent has it; the one of ``agent.yaml`` first."""
    for agent in playbook.agents.values():
        yield str(agent_file(playbook.folder, playbook.agent, agent.name)), playbook.as_agent(agent)


def at(playbook: Playbook, tool: str) -> str:
    """Return the file of a tool of the playbook."""
    function = playbook.tools[tool].function
    if isinstance(function, RemoteCall):
        return str(Path(playbook.folder) / "servers" / f"{function.server.name}.yaml")
    return str(getattr(getattr(function, "__code__", None), "co_filename", playbook.folder / "tools"))
