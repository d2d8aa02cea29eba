"""``agent.yaml`` and ``agents/NAME.yaml``: an agent's instructions, model, limits, intents, tools and hand-overs.

::

    agent.yaml            the agent of a request that names none, and the rules of the whole stack
    agents/billing.yaml   another agent: its own keys; the stack's rules (``OF_THE_STACK``) are those of agent.yaml
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Never, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from ballast.contracts import Limits, LimitsPatch
from ballast.contracts.limits import MOST_CALLS, MOST_TURNS
from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import Json, Name, Text, Wire, complaints
from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.playbook.declaration import OnUnanswered
from ballast.playbook.inference import Caching, Inference
from ballast.playbook.money_rules import MovesConfig
from ballast.validation import schema_complaint
from ballast.yaml_files import NotJson, NotYaml, read_yaml


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as problem:
        raise ValueError(f"is not a regular expression: {problem}") from None
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_compiles)]
_GUARDRAIL = r"^([a-z0-9]+|arn:aws[a-z-]*:[a-z]+:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+)$"


class Intent(Wire):
    """A kind of request. Its limits may only tighten the agent's.

    writes         names of the writing tools that the agent may propose; null for all. No text in a run can add to it
    answer_schema  schema of the answer's data (``ballast.validation.schema``); the model then ends with JSON
    """

    description: str = ""
    limits: LimitsPatch | None = None
    fallback_starts_clean: bool | None = None
    answer_schema: dict[str, Json] | None = None
    writes: tuple[Name, ...] | None = None

    @field_validator("answer_schema")
    @classmethod
    def _usable(cls, schema: dict[str, Json] | None) -> dict[str, Json] | None:
        wrong = schema_complaint(schema) if schema is not None else None
        if wrong is not None:
            raise ValueError(f"is not a usable schema: {wrong}")
        return schema


class Sensitivity(Wire):
    """Sensitive values besides the fields that tools mark, and how the run's log keeps all of them.

    policy   encrypt: with the stack's key, so tools can still use them; mask: lost for good, also for the model
    context  names in a request's context whose values are sensitive
    """

    policy: Literal["encrypt", "mask"] = "encrypt"
    context: tuple[Name, ...] = ()


class Guardrail(Wire):
    """A guardrail of Bedrock's: its id or ARN, and its version, a number or DRAFT."""

    id: Annotated[str, Field(max_length=2048, pattern=_GUARDRAIL)]
    version: Annotated[int, Field(ge=1, le=99_999_999)] | Literal["DRAFT"]


class ModelFor(Wire):
    """Another model for some requests.

    intents    for requests of these intents; empty for all
    from_turn  from that turn of the run on
    """

    model: str = Field(min_length=1)
    intents: tuple[Name, ...] = ()
    from_turn: Annotated[int, Field(ge=1, le=MOST_TURNS)] = 1

    @model_validator(mode="after")
    def _not_for_all(self) -> Self:
        if not self.intents and self.from_turn == 1:
            raise ValueError("must have intents or from_turn; a model for everything is `model:`")
        return self


#: Keys of ``agent.yaml`` that hold for every agent: rules about a run, its people, its money and what it trusts. A
#: hand-over cannot change them, so no other file has them.
OF_THE_STACK = frozenset(
    {
        "out_of_budget",
        "max_grant_usd",
        "guardrail",
        "escalation_timeout_s",
        "approval_timeout_s",
        "approve_over_microusd",
        "on_unanswered",
        "park_timeout_s",
        "moves",
        "requester_timeout_s",
        "sensitive",
        "fallback_starts_clean",
        "trust_text",
        "ground_answers",
        "answer_ids",
    }
)


class AgentConfig(Wire):
    """The content of ``agent.yaml``, or of ``agents/NAME.yaml`` with the stack's rules of ``agent.yaml``.

    name          the value that a request's ``agent`` must have
    model         the Bedrock model id, inference profile or ARN; it needs a model card. ``region.MODEL`` is
                  the profile of the stack's own region, here and below
    service_tier  Bedrock's: default, priority, flex or reserved; the model needs a price for it
    model_for     other models for some intents or from some turn on; the first entry that fits a turn counts
    second_model  the model to ask while the first one is throttled, down, or hung; it needs a card too
    cheaper_model  the model to use in the spend breaker's mode ``cheaper``; it must be cheaper. Without one that mode
                   changes nothing
    out_of_budget  at the cost limit: hand_over to the rollback and the fallback, or ask a person at once,
                   who may add budget (nothing is rolled back, and the agent continues where it stopped)
    max_grant_usd  the most that reviewers may add to one run's budget in total; an operator may add more. Default:
                  ``limits.cost_microusd``
    instructions  the system prompt
    inference     how a model is asked; ``temperature`` beside it is the old name of ``inference.temperature``
    cache         how prompts are cached; off: they are not
    guardrail     the guardrail of Bedrock that reads each prompt and reply; the agent's role needs the right to it
    limits        the ceilings of a run; requests and intents may only tighten them
    intents       by name
    tools         names of the tools that it is offered; null for all
    hand_over_to  other agents that may go on in its place, each with the words that tell it when
    escalation_timeout_s  how long a run waits for a person
    approval_timeout_s    how long a call waits for an approval
    approve_over_microusd  a call with a higher declared cost needs a person's approval; null: no such rule
    on_unanswered         if nobody answers in time: refuse, fallback or park; a tool may override it
    park_timeout_s        how long a parked call waits
    moves                 ceilings on the business's own money that tools move
    ask_requester         whether the agent may ask the requester a question and wait for the reply
    requester_timeout_s   how long it waits
    sensitive             sensitive values, and how the log keeps them
    fallback_starts_clean whether the agent's effects are rolled back before a fallback starts (intents may override it)
    trust_text            whether the request's text vouches for values; false if it is, say, a forwarded mail
    ground_answers        whether an answer may only name amounts and ids that occur in the run
    answer_ids            regular expressions of the ids in an answer
    """

    name: Name
    model: str = Field(min_length=1)
    model_for: tuple[ModelFor, ...] = ()
    second_model: Annotated[str, Field(min_length=1)] | None = None
    cheaper_model: Annotated[str, Field(min_length=1)] | None = None
    out_of_budget: Literal["hand_over", "ask"] = "hand_over"
    max_grant_usd: Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6, strict=False)] | None = None
    instructions: Text
    service_tier: ServiceTier = ServiceTier.DEFAULT
    inference: Inference = Inference()
    cache: Caching | Literal[False] = Caching()
    guardrail: Guardrail | None = None
    limits: Limits = Limits()
    intents: dict[Name, Intent] = Field(default_factory=dict)
    tools: tuple[Name, ...] | None = None
    hand_over_to: dict[Name, Annotated[Text, Field(min_length=1, max_length=1_000)]] = Field(default_factory=dict)
    escalation_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 24 * 3600
    approval_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 4 * 3600
    approve_over_microusd: Annotated[int, Field(ge=0)] | None = None
    on_unanswered: OnUnanswered = OnUnanswered.REFUSE
    park_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 14 * 24 * 3600
    moves: MovesConfig = MovesConfig()
    ask_requester: bool = False
    requester_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 3600
    sensitive: Sensitivity = Sensitivity()
    fallback_starts_clean: bool = True
    trust_text: bool = True
    ground_answers: bool = False
    answer_ids: tuple[Pattern, ...] = ()

    @field_validator("cache", mode="before")
    @classmethod
    def _on(cls, cache: Any) -> Any:
        if not isinstance(cache, bool | dict | Caching):  # also 0, which equals False
            raise ValueError("must be off or on, without quotation marks, or {ttl: …}")
        return {} if cache is True else cache

    @property
    def max_grant_microusd(self) -> int:
        """The most that reviewers may add to one run's budget in total."""
        most = self.max_grant_usd
        return self.limits.cost_microusd if most is None else int(most * 1_000_000)

    def limits_for(self, intent: str | None) -> Limits:
        """Return the limits of a run with that intent."""
        known = self.intents.get(intent) if intent else None
        return self.limits.tightened(known.limits if known else None, by=f"intent {intent}")

    @property
    def models(self) -> dict[str, str]:
        """The model ids that it names, by field."""
        named = {name: getattr(self, name) for name in ("model", "second_model", "cheaper_model")}
        for number, other in enumerate(self.model_for, 1):
            named[f"model_for.{number}"] = other.model
        return {name: model for name, model in named.items() if model}

    def with_models(self, changed: Callable[[str], str]) -> Self:
        """Return a copy with each model id changed."""
        fields = ("model", "second_model", "cheaper_model")
        named = {name: changed(one) for name in fields if (one := getattr(self, name))}
        others = tuple(one.model_copy(update={"model": changed(one.model)}) for one in self.model_for)
        return self.model_copy(update={**named, "model_for": others})

    def model_at(self, intent: str | None, turn: int) -> str:
        """Return the model to ask in that turn of a run with that intent."""
        fitting = (
            one.model for one in self.model_for if turn >= one.from_turn and (not one.intents or intent in one.intents)
        )
        return next(fitting, self.model)

    def models_for(self, intent: str | None, *, from_turn: int = 1) -> tuple[str, ...]:
        """Return the models that are asked, by turn, in a run with that intent while none fails."""
        turns = {from_turn, *(one.from_turn for one in self.model_for if one.from_turn > from_turn)}
        return tuple(dict.fromkeys(self.model_at(intent, turn) for turn in sorted(turns)))

    def answer_schema(self, intent: str | None) -> dict[str, Json] | None:
        """Return the schema of an answer to that intent; None if there is none."""
        known = self.intents.get(intent) if intent else None
        return known.answer_schema if known else None

    def may_write(self, tool: str, intent: str | None) -> bool:
        """Return whether the agent may propose that writing tool for that intent."""
        known = self.intents.get(intent) if intent else None
        return known is None or known.writes is None or tool in known.writes

    def offers(self, tool: str) -> bool:
        """Return whether the agent may be offered that tool."""
        return self.tools is None or tool in self.tools

    def knows(self, intent: str | None) -> bool:
        """Return whether it takes requests of that intent; every agent takes a request without one."""
        return intent is None or intent in self.intents

    def going_on_from(self, giver: Self, intent: str | None) -> Self:
        """Return this agent as it goes on with a request of that intent in the place of ``giver``.

        Its own intent can only narrow the writes. The form of the answer and the start of the fallback are the
        request's, so they stay those of the agent that the request named.
        """
        if intent is None:
            return self
        mine, before = self.intents[intent], giver.intents.get(intent, Intent())
        both = [one.writes for one in (mine, before) if one.writes is not None]
        writes = tuple(name for name in both[0] if all(name in one for one in both)) if both else None
        kept = {"answer_schema": before.answer_schema, "fallback_starts_clean": before.fallback_starts_clean}
        changed = mine.model_copy(update={**kept, "writes": writes})
        return self.model_copy(update={"intents": {**self.intents, intent: changed}})

    def system_texts(self, intent: str | None) -> list[str]:
        """Return the texts of the system prompt: the instructions, and the schema of the answer."""
        schema = self.answer_schema(intent)
        if schema is None:
            return [self.instructions]
        form = json.dumps(schema, ensure_ascii=False, sort_keys=True)
        return [self.instructions, f"End with one JSON object and nothing else. It must fit this JSON Schema: {form}"]

    def starts_clean(self, intent: str | None) -> bool:
        """Return whether the agent's effects are rolled back before the fallback of that intent starts."""
        known = self.intents.get(intent) if intent else None
        said = known.fallback_starts_clean if known else None
        return self.fallback_starts_clean if said is None else said


#: Is told what is wrong: raises it, or keeps it and lets the reading go on.
Teller = Callable[[PlaybookInvalid], object]


def raised(problem: PlaybookInvalid) -> Never:
    """Raise the problem: a ``Teller`` that ends the reading."""
    raise problem


def read_agents(folder: Path) -> tuple[AgentConfig, dict[str, AgentConfig]]:
    """Return the agent of ``agent.yaml``, and those of ``agents/`` by name. Raises ``PlaybookInvalid``."""
    agent, others = readable_agents(folder, raised)
    assert agent is not None  # what is wrong was raised
    return agent, others


def readable_agents(folder: Path, tell: Teller) -> tuple[AgentConfig | None, dict[str, AgentConfig]]:
    """Return what ``read_agents`` does, as far as it can be read; what is wrong is told.

    An agent that cannot be read is left out; without the one of ``agent.yaml``, all are.
    """
    first = folder / "agent.yaml"
    try:
        data = _read(first)
        agent = _parsed(data, first)
    except PlaybookInvalid as problem:
        tell(problem)
        return None, {}
    for unfit in agent_problems(first, agent):
        tell(unfit)
    others, names = {}, {agent.name}
    of_stack = {name: data[name] for name in sorted(OF_THE_STACK) if name in data}
    for file in sorted((folder / "agents").glob("*")):
        if file.suffix == ".yml":
            tell(PlaybookInvalid(f"{file}: an agent's file ends with .yaml. Rename it."))
        if file.suffix != ".yaml":
            continue
        names.add(file.stem)
        try:
            others[file.stem] = _another(file, agent, of_stack)
        except PlaybookInvalid as problem:
            tell(problem)
            continue
        for unfit in agent_problems(file, others[file.stem]):
            tell(unfit)
    for one in (agent, *others.values()):
        file, known = agent_file(folder, agent, one.name), names - {one.name}
        if unknown := [name for name in one.hand_over_to if name not in known]:
            tell(
                PlaybookInvalid(
                    f"{file}: hand_over_to: there is no other agent {', '.join(unknown)}. Write agents/NAME.yaml, or "
                    f"name one of: {', '.join(sorted(known)) or '(there is none)'}."
                )
            )
    return agent, others


def agent_file(folder: Path, first: AgentConfig, name: str) -> Path:
    """Return the file of an agent; ``first`` is the one of ``agent.yaml``."""
    return folder / "agent.yaml" if name == first.name else folder / "agents" / f"{name}.yaml"


def _another(file: Path, first: AgentConfig, of_stack: Mapping[str, Any]) -> AgentConfig:
    data = _read(file)
    if not isinstance(data, dict):
        return _parsed(data, file)
    for name in data:
        if name in OF_THE_STACK:
            raise PlaybookInvalid(f"{file}: {name}: holds for the whole stack. Move it to agent.yaml.")
    if data.get("name", file.stem) != file.stem:
        raise PlaybookInvalid(
            f"{file}: name: is {data['name']!r:.80}; an agent has its file's name: write {file.stem}."
        )
    if file.stem == first.name:
        raise PlaybookInvalid(f"{file}: name: {first.name} is the name of agent.yaml's agent. Rename one of them.")
    return _parsed({**of_stack, **data, "name": file.stem}, file)


def read_agent(file: Path) -> AgentConfig:
    """Read and check ``agent.yaml``. Raises ``PlaybookInvalid`` naming the file and the field."""
    config = _parsed(_read(file), file)
    for problem in agent_problems(file, config):
        raise problem
    return config


def _read(file: Path) -> Any:
    """Return the content of a file, with old keys under their new names. Raises ``PlaybookInvalid``."""
    try:
        data = read_yaml(file)
    except OSError as problem:
        raise PlaybookInvalid(
            f"{file}: cannot be read ({problem.strerror}). A playbook's folder holds agent.yaml, tools/ and fallbacks/."
        ) from None
    except UnicodeDecodeError:
        raise PlaybookInvalid(f"{file}: is not UTF-8 text. Save it as UTF-8.") from None
    except (NotYaml, NotJson) as problem:
        raise PlaybookInvalid(f"{file}: {problem}.") from None
    return _renamed(data, file)


def _parsed(data: Any, file: Path) -> AgentConfig:
    """Return the data as an agent. Raises ``PlaybookInvalid``, whose cause is pydantic's error."""
    try:
        return AgentConfig.model_validate_json(json.dumps(data))
    except ValidationError as problem:
        raise PlaybookInvalid(f"{file}: {complaints(problem)}.") from problem


def agent_problems(file: Path, config: AgentConfig) -> Iterator[PlaybookInvalid]:
    """Yield what does not fit together in an agent."""
    for other in config.model_for:
        if unknown := [name for name in other.intents if name not in config.intents]:
            yield PlaybookInvalid(f"{file}: model_for: there is no intent {', '.join(unknown)} under `intents:`.")
    for name in config.intents:
        try:
            config.limits_for(name)
        except InvalidInput as looser:
            yield PlaybookInvalid(f"{file}: {looser}")
    for name, most in (("turns", MOST_TURNS), ("tool_calls", MOST_CALLS)):
        if (wanted := getattr(config.limits, name)) > most:
            yield PlaybookInvalid(
                f"{file}: limits.{name} is {wanted}; a run can have at most {most}: Step Functions ends an "
                f"execution at 25,000 events, and a run ends before that (history_limit). Write {most} or less."
            )
    if config.limits.fallback_reserve_s >= config.limits.deadline_s:
        yield PlaybookInvalid(
            f"{file}: limits.fallback_reserve_s: must be less than limits.deadline_s. "
            "Reserve less, or give the run more time."
        )


def _renamed(data: Any, file: Path) -> Any:
    """Return ``data`` with the old ``temperature`` under ``inference``. Raises ``PlaybookInvalid`` if it has both."""
    if not isinstance(data, dict) or "temperature" not in data:
        return data
    inference = data.get("inference", {})
    if not isinstance(inference, dict) or "temperature" in inference:
        raise PlaybookInvalid(f"{file}: temperature: is set twice. Keep the one under `inference:`.")
    rest = {name: value for name, value in data.items() if name != "temperature"}
    return {**rest, "inference": {**inference, "temperature": data["temperature"]}}
