"""A lane: what a replay leaves as it was and what it changes; and the result of a run played in it.

::

    Lane.baseline(playbook)                       nothing changed: every event must have the recorded digest
    replace(lane, name=…, changes={"limits.turns": 8}, goes_on=True)    a candidate

A candidate is compared with the record until its first difference. What its playbook needs after that is answered
from the record where the record has it; else the run ends here, in one of the ways of ``Ending``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import InvalidInput
from ballast.playbook import Playbook
from ballast.run import Run


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


@dataclass(frozen=True)
class Inferred:
    """What a baseline inferred from a record, so that a candidate is played under the same circumstances.

    deaths  how often a process died before it wrote a key
    moved   what other runs are taken to have moved of the business's money, by the position of a call
    """

    deaths: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[tuple[int, int], int] = field(default_factory=dict)


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
        """Return ``playbook`` as this lane has it. Raises ``InvalidInput`` for a field that agent.yaml lacks."""
        by_agent: dict[str, dict[str, Any]] = {}
        for path, value in self.changes.items():
            name, inner = agent_and_path(path, playbook)
            by_agent.setdefault(name, {})[inner] = value
        made = {name: _with_changes(playbook.agents[name], changes) for name, changes in by_agent.items()}
        others = {name: made.get(name, one) for name, one in playbook.others.items()}
        agent = made.get(playbook.agent.name, playbook.agent)
        return replace(playbook, agent=agent, others=others) if made else playbook


def agent_and_path(path: str, playbook: Playbook) -> tuple[str, str]:
    """Return whose field ``path`` is, and its path in that agent's file. Raises ``InvalidInput``."""
    if not path.startswith("agents."):
        return playbook.agent.name, path
    _, name, inner = [*path.split(".", 2), "", ""][:3]
    if name not in playbook.agents or not inner:
        raise InvalidInput(
            f"{path}: write agents.NAME.FIELD with one of the playbook's agents: {', '.join(playbook.agents)}."
        )
    return name, inner


def _with_changes(model: Any, changes: Mapping[str, Any]) -> Any:
    told = model.model_dump(mode="json", exclude_unset=True)
    for path, value in changes.items():
        *outer, last = path.split(".")
        known, at = type(model), told
        for name in outer:
            _check(known, name, path)
            known = _model_of(known, name)
            if at is told.get("intents") and name not in at:
                raise InvalidInput(f"{path}: the agent has no intent {name!r}. It has: {', '.join(at) or 'none'}.")
            at = at.setdefault(name, {})
        _check(known, last, path)
        at[last] = value
        if outer == ["limits"]:
            _lower(told, last, value)
    try:
        return type(model).model_validate_json(json.dumps(told))
    except ValueError as problem:
        said = complaints(problem) if isinstance(problem, ValidationError) else str(problem)
        raise InvalidInput(f"{', '.join(changes)}: {said}") from None


def _lower(told: dict[str, Any], name: str, value: Any) -> None:
    """Lower that limit of the intents too, which may only tighten the agent's."""
    for intent in told.get("intents", {}).values():
        limits = intent.get("limits") or {}
        if isinstance(value, int) and isinstance(limits.get(name), int) and limits[name] > value:
            limits[name] = value


def _check(known: Any, name: str, path: str) -> None:
    fields = getattr(known, "model_fields", None)
    if fields is not None and name not in fields:
        raise InvalidInput(f"{path}: agent.yaml has no field {name!r} there. It has: {', '.join(fields)}.")


def _model_of(known: Any, name: str) -> Any:
    fields = getattr(known, "model_fields", None)
    return fields[name].annotation if fields is not None else None
