"""Findings about scenarios: those that cannot be played, or that name what the playbook does not have."""

from collections.abc import Iterator
from pathlib import Path

from ballast.errors import BallastError, InvalidInput
from ballast.playbook import Playbook
from cli.checks import Finding
from cli.checks.loading import finding_of
from localcloud.converse import ScriptModel
from localcloud.project import project_of
from localcloud.scenarios import Scenario, find, folder_of, names


def plays(folder: Path, playbook: Playbook | None, *, whole: bool) -> Iterator[Finding]:
    """Yield what is wrong with the project's scenarios. ``whole``: no file of the playbook is missing."""
    try:
        scenarios = folder_of(folder)
    except InvalidInput:
        where = str(project_of(folder) / "scenarios")
        yield Finding(
            "hint", where, "", "There are no scenarios: no change of the playbook is tried as a whole.", "Write one."
        )
        return
    for name in names(scenarios):
        file = scenarios / name / "scenario.yaml"
        try:
            scenario = find(name, scenarios)
            if scenario.model is None:
                ScriptModel.read(scenario.script)
        except BallastError as problem:
            yield from _findings(str(file), str(problem).removeprefix("The script "))
            continue
        if playbook is not None:
            yield from _unknown(scenario, playbook, str(file), whole=whole)


def _findings(file: str, said: str) -> Iterator[Finding]:
    """Yield a refused file's fields, one finding each."""
    place, refused, fields = said.partition(" is not valid: ")
    for one in fields.split("; ") if refused else ():
        yield finding_of(file, f"{place}: {one}")
    if not refused:
        yield finding_of(file, said)


def _unknown(scenario: Scenario, playbook: Playbook, file: str, *, whole: bool) -> Iterator[Finding]:
    request, agent = scenario.request, playbook.agent
    if request.agent not in (None, agent.name):
        said = f"The playbook's agent is {agent.name}, so the request is refused."
        yield Finding("error", file, "request.agent", said, "Leave it out.")
    if request.intent is not None and request.intent not in agent.intents:
        said = f"agent.yaml has no intent {request.intent}, so the request is refused."
        yield Finding("error", file, "request.intent", said, f"Write one of {', '.join(agent.intents) or 'none'}.")
    for effect in (scenario.expect.effects or ()) if whole else ():
        if effect.tool not in playbook.tools:
            said = f"There is no tool {effect.tool}."
            yield Finding("error", file, "expect.effects", said, f"Write one of {', '.join(playbook.tools)}.")
