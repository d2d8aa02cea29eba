"""Findings of loading a playbook: its files, its YAML and its models."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ballast.errors import BallastError, PlaybookInvalid
from ballast.playbook import AgentConfig, Playbook
from ballast.playbook.servers.declaration import Declaration
from cli.checks import Finding
from cli.commands.models import GUARDRAIL, problems, retirements
from localcloud.cloud import ROOT
from localcloud.editor_schemas import models_in
from localcloud.model_arns import PARAMETER
from localcloud.project import project_of
from localcloud.template import TemplateInvalid

#: "FILE, line 12: field: what is wrong. What to do."
_PLACE = re.compile(r"(?P<file>/[^:\n]*?(?:, line \d+)?): (?P<rest>.*)", re.DOTALL)
_FIELD = re.compile(r"(?P<field>[A-Za-z_][\w.]*): (?P<rest>.*)", re.DOTALL)


def load_findings(folder: Path, refused: Sequence[PlaybookInvalid]) -> Iterator[Finding]:
    """Yield what loading refused, a field of a YAML file at a time."""
    folder = folder.resolve()
    for problem in refused:
        if isinstance(problem.__cause__, ValidationError):
            yield from _fields(str(folder), str(problem), problem.__cause__)
        else:
            yield finding_of(str(folder), str(problem))


def finding_of(default: str, said: str) -> Finding:
    """Return an error's text as a finding: its file and field come first, its remedy after the first sentence."""
    place = _PLACE.match(said)
    file, rest = (place["file"], place["rest"]) if place else (default, said)
    named = _FIELD.match(rest)
    field, rest = (named["field"], named["rest"]) if named and place else ("", rest)
    problem, _, remedy = rest.partition(". ")
    return Finding("error", file, field, f"{problem.rstrip('.')}.", remedy or "Correct it, and check again.")


def _fields(default: str, said: str, error: ValidationError) -> Iterator[Finding]:
    place = _PLACE.match(said)
    file = place["file"] if place else default
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(step) for step in item["loc"])
        if item["type"] == "extra_forbidden":
            yield Finding("error", file, field, "There is no such setting.", _instead(error.title, item["loc"]))
        elif item["type"] == "missing":
            yield Finding("error", file, field, "It is missing.", "Add it.")
        else:
            yield Finding("error", file, field, f"{item['msg']}.", "Correct its value.")


def _instead(title: str, path: Sequence[int | str]) -> str:
    """Return what to write for an unknown setting: the nearest one that may stand there, or all of them."""
    here: list[type[BaseModel]] = [one for one in (AgentConfig, Declaration) if one.__name__ == title]
    for step in path[:-1]:
        fields = [one.model_fields[step] for one in here if isinstance(step, str) and step in one.model_fields]
        here = [inner for field in fields for inner in models_in(field.annotation)] or here
    known = sorted({field.alias or name for one in here for name, field in one.model_fields.items()})
    if not known:
        return "Correct its name, or remove it."
    near = get_close_matches(str(path[-1]), known, n=1)
    return f"Write `{near[0]}`, or remove it." if near else f"Remove it. What may stand there: {', '.join(known)}."


def model_findings(playbook: Playbook, today: date) -> Iterator[Finding]:
    """Yield models that retire, that have no price today, or that the agent's role may not call once it is deployed."""
    file, samconfig = str(playbook.folder / "agent.yaml"), project_of(playbook.folder) / "samconfig.toml"
    for field, model in playbook.agent.models.items():
        try:
            playbook.models.price(model, on=today)
        except BallastError as problem:
            yield finding_of(file, f"{file}: {field}: {problem}")
    try:
        if samconfig.is_file():
            told = [*problems(playbook.folder, ROOT / "template.yaml", samconfig, today=today)]
        else:
            told = [*retirements(playbook.folder, today)]
    except (BallastError, TemplateInvalid) as problem:
        yield finding_of(str(samconfig), str(problem))
        told = []
    for one in told:
        place = file if file in one and not one.startswith(str(samconfig)) else str(samconfig)
        field = next((name for name in (PARAMETER, GUARDRAIL) if name in one), one.partition(" in ")[0])
        said = one.partition(f"{place}: ")[2] or one
        found = finding_of(place, said)
        yield replace(found, level="error" if one.fails else "warning", file=place, field=field)
    if playbook.agent.second_model is None:
        yield Finding(
            "hint",
            file,
            "second_model",
            "There is no second model: while the first one is throttled or down, fallbacks and people answer.",
            "Name a model of another provider.",
        )
