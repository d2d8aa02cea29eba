"""A lane: what a replay leaves as it was and what it changes; and the result of a run played in it.

::

    Lane.baseline(playbook)                       nothing changed: every event must have the recorded digest
    replace(lane, name=…, changes={"limits.turns": 8}, goes_on=True)    a candidate

A candidate is compared with the record until its first difference. What its playbook needs after that is answered
from the record where the record has it; else the run ends here, in one of the ways of ``Ending``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import InvalidInput
from ballast.money.moves import Ceilings
from ballast.playbook import Playbook
from ballast.playbook.agent import OF_THE_STACK, AgentConfig, agent_file, agent_problems
from ballast.run import Run
from localcloud.replay.declared_outcomes import Declared


class Ending(StrEnum):
    """How a replay ended.

    same            every event has the recorded digest
    different       a baseline met a difference, or a candidate ended by itself in another way: exact
    stopped_earlier a candidate ended before the record did: exact
    censored        a candidate would have gone on where the record ends; only bounds are known
    off_the_record  a candidate asked for what was never recorded
    not_replayed    the record cannot be played: it is incomplete, or has what the machine does not know
    """

    SAME = "same"
    DIFFERENT = "different"
    STOPPED_EARLIER = "stopped earlier"
    CENSORED = "censored"
    OFF_THE_RECORD = "off the record"
    NOT_REPLAYED = "not replayed"


@dataclass(frozen=True)
class Difference:
    """The first event that is not the recorded one.

    seq       its key
    field     the path of the first field that differs; "" if the whole event is missing on one side
    recorded  the field's value in the record; None if it has none
    made      the same in the replay
    why       the rule or the cause, in words
    """

    seq: str
    field: str
    recorded: Any
    made: Any
    why: str

    def __str__(self) -> str:
        where = f"{self.seq} {self.field}".strip()
        return f"{where}: {self.why}"


#: A wait for a person: what for, turn, call, round.
Wait = tuple[str, int, int, int]


@dataclass(frozen=True)
class Wanted:
    """What a call wants to move of the business's money, and the playbook's rules for it.

    whose  the account of the customer; None for nobody's
    """

    micro: int
    whose: str | None
    ceilings: Ceilings
    on_full: str
    currency: str


@dataclass(frozen=True)
class Inferred:
    """What a baseline inferred from a record, so that a candidate is played under the same circumstances.

    deaths  how often a process died before it wrote a key
    moved   what other runs are taken to have moved of the business's money, by the position of a call
    waits   the seconds that people had for each answer (``oracle.wait_of``)
    tools   what each tool declared of its outcomes
    max_grant_microusd  what reviewers might add to the run's budget
    wanted  what each call wanted to move of the business's money
    raised  the calls that only a ceiling which an operator had set can have given room
    leased_microusd  what the run asked of the stack's budget
    """

    deaths: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[tuple[int, int], int] = field(default_factory=dict)
    waits: Mapping[Wait, int] = field(default_factory=dict)
    tools: Mapping[str, Declared] = field(default_factory=dict)
    max_grant_microusd: int = 0
    wanted: Mapping[tuple[int, int], Sequence[Wanted]] = field(default_factory=dict)
    raised: Collection[tuple[int, int]] = ()
    leased_microusd: int = 0


@dataclass(frozen=True)
class Replayed:
    """What became of one run.

    events      the run as it was played
    difference  None if there is none
    checked     events that the handlers wrote and whose digest is the recorded one
    put_in      events that were put in as they are recorded: people's answers, and what came late
    unchecked   fields that could not be computed, each with the reason (``playing.SEALED``, ``NO_ATTRIBUTES``)
    notes       what was inferred from the record, in words: a process that died
    inferred    the same, for the candidate's lane
    made_otherwise  what ran then and is another one in this lane, by the names in ``made_of``
    """

    run_id: str
    events: Run
    ending: Ending
    difference: Difference | None = None
    checked: int = 0
    put_in: int = 0
    unchecked: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inferred: Inferred = field(default_factory=Inferred)
    made_otherwise: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether every event has the recorded digest."""
        return self.ending is Ending.SAME


@dataclass(frozen=True)
class Lane:
    """How runs are played.

    name      shown beside results
    playbook  the folder of the playbook
    changes   fields of agent.yaml by their path, with new values as JSON: ``{"limits.turns": 8}``; those of another
              agent begin with its name: ``{"agents.billing.limits.turns": 8}``
    region    the region of the stack, for the ids of models
    model_id  the stack's ModelId; None takes it from the record
    goes_on   whether a difference ends the replay (a baseline) or is noted (a candidate)
    cards     a file of model cards over the playbook's own, with other prices (``models.yaml``)
    asks      a model (``--model``) that is asked for real where the record has no reply; None: it is off the record
    rules     thresholds that agent.yaml does not have, as plain JSON (``localcloud.replay.rules``)
    """

    name: str
    playbook: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    region: str = "eu-west-1"
    model_id: str | None = None
    goes_on: bool = False
    cards: Path | None = None
    asks: str | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def baseline(cls, playbook: Path, *, region: str = "eu-west-1") -> Lane:
        """Return the lane in which nothing is changed."""
        return cls("baseline", playbook, region=region)

    def changed(self, playbook: Playbook) -> Playbook:
        """Return ``playbook`` as this lane has it: as if its files had been changed, and then loaded.

        A key of the whole stack reaches every agent, as in ``agent.yaml``. Raises ``InvalidInput``, which names the
        path.
        """
        paths: dict[tuple[str, str], str] = {}
        for path in self.changes:
            place = agent_and_path(path, playbook)
            _check_once(place, path, paths)
            paths[place] = path
        if not paths:
            return playbook
        made = {}
        for name, agent in playbook.agents.items():
            mine = {
                inner: (path, self.changes[path])
                for (of, inner), path in paths.items()
                if of == name or is_of_the_stack(inner)
            }
            made[name] = (
                _with_changes(agent, mine, agent_file(playbook.folder, playbook.agent, name)) if mine else agent
            )
        return replace(playbook, agent=made.pop(playbook.agent.name), others=made)


def is_of_the_stack(path: str) -> bool:
    """Whether that path of ``agent.yaml`` holds for every agent."""
    return path.partition(".")[0] in OF_THE_STACK


def agent_and_path(path: str, playbook: Playbook) -> tuple[str, str]:
    """Return whose field ``path`` is, and its path in that agent's file. Raises ``InvalidInput``."""
    name, inner = playbook.agent.name, path
    if path.startswith("agents."):
        _, name, inner = [*path.split(".", 2), "", ""][:3]
        if name not in playbook.agents or not inner:
            raise InvalidInput(
                f"{path}: write agents.NAME.FIELD with one of the playbook's agents: {', '.join(playbook.agents)}."
            )
    if name != playbook.agent.name and is_of_the_stack(inner):
        raise InvalidInput(f"{path}: holds for the whole stack, so every agent has it. Write {inner} instead.")
    if inner.partition(".")[0] == "name":
        raise InvalidInput(f"{path}: is no change of a run: the runs name their agent by it. Change another field.")
    return name, inner


def _check_once(place: tuple[str, str], path: str, known: Mapping[tuple[str, str], str]) -> None:
    """Raise ``InvalidInput`` if another change sets the same field, or one beneath or above it."""
    for (agent, inner), before in known.items():
        one, other = f"{inner}.", f"{place[1]}."
        if agent == place[0] and (one.startswith(other) or other.startswith(one)):
            same = "is set twice" if one == other else f"and {before} set the same field"
            raise InvalidInput(f"{path}: {same}. Keep one of them.")


def _with_changes(agent: AgentConfig, changes: Mapping[str, tuple[str, Any]], file: Path) -> AgentConfig:
    """Return the agent with those changes: each path in its file, with the path as it was typed and the new value."""
    told = agent.model_dump(mode="json", exclude_unset=True)
    # The agent's own limits first: an intent's that is set as well is checked against them, and not lowered.
    for path, (typed, value) in sorted(changes.items(), key=lambda one: one[0].partition(".")[0] != "limits"):
        *outer, last = path.split(".")
        known, at = type(agent), told
        for number, name in enumerate(outer):
            _check(known, name, typed)
            known = _model_of(known, name)
            if at is told.get("intents") and name not in at:
                raise InvalidInput(f"{typed}: the agent has no intent {name!r}. It has: {', '.join(at) or 'none'}.")
            at = at[name] if at.get(name) is not None else _begun(at, name)
            if not isinstance(at, dict):
                above = ".".join(outer[: number + 1])
                raise InvalidInput(
                    f"{typed}: there is no such field: {above} is {json.dumps(at)[:80]} in {file.name}, and has no "
                    f"fields. Set {above} itself."
                )
        _check(known, last, typed)
        at[last] = value
        if outer == ["limits"]:
            _lower(told, last, value)
        elif path == "limits" and isinstance(value, dict):
            for name, one in value.items():
                _lower(told, name, one)
    as_typed = {path: one for path, (one, _) in changes.items()}
    try:
        made = type(agent).model_validate_json(json.dumps(told))
    except ValidationError as problem:
        raise InvalidInput(_complaint(problem, as_typed)) from None
    for unfit in agent_problems(file, made):
        raise InvalidInput(f"{', '.join(as_typed.values())}: {unfit}")
    return made


def _begun(at: dict[str, Any], name: str) -> dict[str, Any]:
    at[name] = {}
    made: dict[str, Any] = at[name]
    return made


def _complaint(problem: ValidationError, typed: Mapping[str, str]) -> str:
    """Return what is wrong, each field by the path that was typed, where it was."""
    said = []
    for part in complaints(problem).split("; "):
        where, _, what = part.partition(": ")
        path = next((path for path in typed if f"{where}.".startswith(f"{path}.")), None)
        what = what.removeprefix("Value error, ")
        if path is None:
            said.append(f"{', '.join(typed.values())}: {where}: {what}" if what else part)
        else:
            said.append(f"{typed[path]}{where.removeprefix(path)}: {what}")
    return "; ".join(said)


def _lower(told: dict[str, Any], name: str, value: Any) -> None:
    """Lower that limit of the intents too, which may only tighten the agent's."""
    intents = told.get("intents")
    for intent in intents.values() if isinstance(intents, dict) else ():
        limits = intent.get("limits") if isinstance(intent, dict) else None
        if isinstance(limits, dict) and isinstance(value, int) and isinstance(limits.get(name), int):
            limits[name] = min(limits[name], value)


def _check(known: Any, name: str, path: str) -> None:
    fields = getattr(known, "model_fields", None)
    if fields is not None and name not in fields:
        raise InvalidInput(f"{path}: agent.yaml has no field {name!r} there. It has: {', '.join(fields)}.")


def _model_of(known: Any, name: str) -> Any:
    fields = getattr(known, "model_fields", None)
    return fields[name].annotation if fields is not None else None
