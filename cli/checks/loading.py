"""Findings of loading a playbook: its files, its YAML and its models."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ballast.errors import BallastError, PlaybookInvalid
from ballast.playbook import AgentConfig, Playbook
from ballast.playbook.agent import agent_file
from ballast.playbook.agents import unread_agents
from ballast.playbook.servers.declaration import Declaration
from cli.checks import Finding, by_agent, problem_and_remedy
from cli.commands.models import GUARDRAIL, problems, retirements
from localcloud.cloud import ROOT
from localcloud.editor_schemas import models_in
from localcloud.model_arns import PARAMETER
from localcloud.project import project_of
from localcloud.template import TemplateInvalid

#: "FILE, line 12: field: what is wrong. What to do."
_PLACE = re.compile(r"(?P<file>/[^:\n]*?(?:, line \d+)?): (?P<rest>.*)", re.DOTALL)
_FIELD = re.compile(r"(?P<field>[A-Za-z_][\w./-]*): (?P<rest>.*)", re.DOTALL)

_ROOTS: dict[str, type[BaseModel]] = {one.__name__: one for one in (AgentConfig, Declaration)}


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
    problem, remedy = problem_and_remedy(rest)
    return Finding("error", file, field, problem, remedy or "Correct it, and check again.")


def _fields(default: str, said: str, error: ValidationError) -> Iterator[Finding]:
    place = _PLACE.match(said)
    file = place["file"] if place else default
    found = [
        (item, *_named(_ROOTS.get(error.title), item["loc"]))
        for item in error.errors(include_url=False, include_input=False)
    ]
    paths = {path for _, path, _ in found}
    for item, path, of_choice in found:
        if of_choice and any(one[: len(path)] == path and len(one) > len(path) for one in paths):
            continue  # another choice of the setting is meant, and what is wrong inside of it is told
        field = ".".join(map(str, path))
        if item["type"] == "extra_forbidden":
            yield Finding("error", file, field, "There is no such setting.", _instead(error.title, item["loc"]))
        elif item["type"] == "missing":
            yield Finding("error", file, field, "It is missing.", "Add it.")
        elif item["type"] == "union_tag_invalid":
            kind, known = item["ctx"]["discriminator"].strip("'"), item["ctx"]["expected_tags"]
            yield Finding("error", file, f"{field}.{kind}", f"Input should be one of {known}.", "Correct its value.")
        elif not path:
            said = "It is empty, or no mapping of settings."
            yield Finding("error", file, "", said, "Write its settings, a line each, or remove the file.")
        else:
            yield Finding("error", file, field, f"{item['msg'].removeprefix('Value error, ')}.", "Correct its value.")


def _named(kind: Any, steps: Sequence[int | str]) -> tuple[tuple[int | str, ...], bool]:
    """Return an error's place as the file has it, and whether it is about one of several choices as a whole.

    pydantic names the choice of a union as a step: a model, a tag. No file has that.
    """
    path: list[int | str] = []
    kinds, of_choice = [kind], False
    for step in steps:
        kinds = [inside for one in kinds for inside in _choices(one)]
        of_choice = len(kinds) > 1 and not of_choice
        if of_choice:
            kinds = [one for one in kinds if _is_choice(one, step)] or kinds
            continue
        path.append(step)
        kinds = [inside for one in kinds for inside in _inside(one, step)]
    return tuple(path), of_choice


def _choices(kind: Any) -> list[Any]:
    """Return the types that a value may be of, None left out."""
    if get_origin(kind) is Annotated:
        return _choices(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [inside for one in get_args(kind) if one is not NoneType for inside in _choices(one)]
    return [kind]


def _is_choice(kind: Any, step: int | str) -> bool:
    """Return whether pydantic names the type so: by its class, or by the tag that one of its fields must be."""
    fields = kind.model_fields.values() if isinstance(kind, type) and issubclass(kind, BaseModel) else ()
    return getattr(kind, "__name__", "") == step or any(step in get_args(one.annotation) for one in fields)


def _inside(kind: Any, step: int | str) -> list[Any]:
    """Return the type of a value's part; none where it is not known."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {one.alias or name: one.annotation for name, one in kind.model_fields.items()}
        return [fields[str(step)]] if step in fields else []
    return [one for one in get_args(kind)[-1:] if one is not ...]


def _instead(title: str, path: Sequence[int | str]) -> str:
    """Return what to write for an unknown setting: the nearest one that may stand there, or all of them."""
    here: list[type[BaseModel]] = [_ROOTS[title]] if title in _ROOTS else []
    for step in path[:-1]:
        fields = [one.model_fields[step] for one in here if isinstance(step, str) and step in one.model_fields]
        here = [inner for field in fields for inner in models_in(field.annotation)] or here
    known = sorted({field.alias or name for one in here for name, field in one.model_fields.items()})
    if not known:
        return "Correct its name, or remove it."
    near = get_close_matches(str(path[-1]), known, n=1)
    return f"Write `{near[0]}`, or remove it." if near else f"Remove it. What may stand there: {', '.join(known)}."


def model_findings(playbook: Playbook, today: date) -> Iterator[Finding]:
    """Yield models that retire, or that the agent's role may not call once it is deployed."""
    file, samconfig = str(playbook.folder / "agent.yaml"), project_of(playbook.folder) / "samconfig.toml"
    of_loading = _refused_models(playbook, today)
    try:
        if samconfig.is_file():
            told = [*problems(playbook.folder, ROOT / "template.yaml", samconfig, today=today)]
        else:
            told = [*retirements(playbook.folder, today)]
    except (BallastError, TemplateInvalid) as problem:
        told = []
        if not unread_agents(playbook) and not _is_told(str(problem), of_loading):
            yield finding_of(str(samconfig), str(problem))
    for one in told:
        if _is_told(str(one), of_loading):
            continue
        place = file if file in one and not one.startswith(str(samconfig)) else str(samconfig)
        field = next((name for name in (PARAMETER, GUARDRAIL) if name in one), one.partition(" in ")[0])
        said = one.partition(f"{place}: ")[2] or one
        found = finding_of(place, said)
        yield replace(found, level="error" if one.fails else "warning", file=place, field=field)
    yield from _hand_overs(playbook)
    for place, of_agent in by_agent(playbook):
        if of_agent.agent.second_model is None:
            yield Finding(
                "hint",
                place,
                "second_model",
                "There is no second model: while the first one is throttled or down, fallbacks and people answer.",
                "Name a model of another provider.",
            )


def _is_told(said: str, of_loading: Collection[str]) -> bool:
    """Return whether a text repeats what loading says of a model."""
    return any(one in said for one in of_loading)


def _refused_models(playbook: Playbook, today: date) -> list[str]:
    """Return what loading says of the agents' models."""
    found = []
    for agent in playbook.agents.values():
        for model in agent.models.values():
            try:
                playbook.as_agent(agent).check_model(model, on=today)
            except BallastError as refused:
                found.append(str(refused))
    return found


def _hand_overs(playbook: Playbook) -> Iterator[Finding]:
    """Yield what the models of an agent take and those of an agent to which it hands over do not."""
    for giver in playbook.agents.values():
        file = str(agent_file(playbook.folder, playbook.agent, giver.name))
        for name in giver.hand_over_to:
            taker = playbook.agents.get(name)  # None: it did not load, and loading has told it
            if taker is not None and giver.intents and not any(taker.knows(one) for one in giver.intents):
                yield Finding(
                    "hint",
                    file,
                    f"hand_over_to.{name}",
                    f"{name} has no intent of {giver.name}: a request that has an intent is never handed over to it.",
                    f"List the intents that it takes over under `intents` of {name}: {', '.join(giver.intents)}.",
                )
        for name, taker in playbook.agents.items():
            intents = [one for one in (None, *giver.intents) if name in giver.hand_over_to and taker.knows(one)]
            found = (
                _takes_less(playbook, giver, intent, one) for intent in intents for one in taker.models_for(intent)
            )
            for why in dict.fromkeys(filter(None, found)):
                yield Finding(
                    "warning",
                    file,
                    f"hand_over_to.{name}",
                    f"{why} A run that needs it is not handed over to {name}: {giver.name} goes on.",
                    f"Name models for {giver.name} and {name} that take the same.",
                )


def _takes_less(playbook: Playbook, giver: AgentConfig, intent: str | None, model: str) -> str | None:
    """Return what a run of ``giver`` may hold and ``model`` does not take; None if it takes all."""
    try:
        mine = [playbook.models.card(one) for one in giver.models_for(intent)]
        other, room = playbook.models.card(model), giver.limits_for(intent).input_tokens_per_turn
    except BallastError:
        return None  # loading has told it
    for kind in ("images", "documents"):
        formats = [set(getattr(one, kind).formats) if getattr(one, kind) else set() for one in (*mine, other)]
        if missing := sorted(set.intersection(*formats[:-1]) - formats[-1]):
            return f"{model} takes no {kind} in {', '.join(missing)}, which {giver.name}'s model takes."
    if other.context_window < (most := min(room, *(one.context_window for one in mine))):
        return f"{model} has a window of {other.context_window} tokens, and a prompt of {giver.name} may have {most}."
    return None
