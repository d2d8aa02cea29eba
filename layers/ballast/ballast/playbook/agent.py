"""``agent.yaml``: the agent's instructions, model, limits and intents."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ballast.contracts import Limits, LimitsPatch
from ballast.contracts.service_tier import ServiceTier
from ballast.contracts.wire import Name, Text, Wire, complaints
from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.playbook.approval import OnUnanswered


class Intent(Wire):
    """What a request may be about; its limits may only tighten the agent's."""

    description: str = ""
    limits: LimitsPatch | None = None
    fallback_starts_clean: bool | None = None


class AgentConfig(Wire):
    """The content of ``agent.yaml``.

    name          what a request's ``agent`` must say
    model         the Bedrock model id or inference profile; its price must be in the price table
    service_tier  Bedrock's: default, priority, flex or reserved; the model needs a price for it
    second_model  the model to ask while the first one is throttled, down, or hung; it needs a price too
    cheaper_model  the model to use while the spend breaker says so; without one that mode changes nothing
    out_of_budget  at the cost limit: hand_over to the planners that need no model, or ask a person at once,
                   who may add budget (nothing is rolled back, and the agent goes on where it stopped)
    instructions  the system prompt
    temperature   0..1
    limits        the ceilings of a run; requests and intents may only tighten them
    intents       by name
    escalation_timeout_s  how long a run waits for a person
    approval_timeout_s    how long a call waits for an approval
    approve_over_microusd  a call whose declared cost is more needs a person's approval; null for no such rule
    on_unanswered         what follows where nobody answers in time: refuse, fallback or park; a tool may choose its own
    park_timeout_s        how long a parked call waits
    ask_requester         whether the agent may ask the requester a question, and wait for the reply
    requester_timeout_s   how long it waits
    fallback_starts_clean whether what the agent did is rolled back before a fallback goes on (an intent may differ)
    trust_text            whether the requester's own words vouch for values; false where they are, say, a mail
    """

    name: Name
    model: str = Field(min_length=1)
    second_model: Annotated[str, Field(min_length=1)] | None = None
    cheaper_model: Annotated[str, Field(min_length=1)] | None = None
    out_of_budget: Literal["hand_over", "ask"] = "hand_over"
    instructions: Text
    service_tier: ServiceTier = ServiceTier.DEFAULT
    temperature: Annotated[Decimal, Field(ge=0, le=1, strict=False)] = Decimal(0)
    limits: Limits = Limits()
    intents: dict[Name, Intent] = Field(default_factory=dict)
    escalation_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 24 * 3600
    approval_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 4 * 3600
    approve_over_microusd: Annotated[int, Field(ge=0)] | None = None
    on_unanswered: OnUnanswered = OnUnanswered.REFUSE
    park_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 14 * 24 * 3600
    ask_requester: bool = False
    requester_timeout_s: Annotated[int, Field(ge=1, le=30 * 24 * 3600)] = 3600
    fallback_starts_clean: bool = True
    trust_text: bool = True

    def limits_for(self, intent: str | None) -> Limits:
        """Return the limits of a run with that intent."""
        known = self.intents.get(intent) if intent else None
        return self.limits.tightened(known.limits if known else None, by=f"intent {intent}")

    def starts_clean(self, intent: str | None) -> bool:
        """Say whether the fallback of that intent must find nothing that the agent did."""
        known = self.intents.get(intent) if intent else None
        said = known.fallback_starts_clean if known else None
        return self.fallback_starts_clean if said is None else said


def read_agent(file: Path) -> AgentConfig:
    """Read and check ``agent.yaml``. Raises ``PlaybookInvalid`` naming the file and the field."""
    import json

    import yaml

    try:
        text = file.read_text(encoding="utf-8")
    except OSError as problem:
        raise PlaybookInvalid(
            f"{file}: cannot be read ({problem.strerror}). A playbook's folder holds agent.yaml, tools/ and fallbacks/."
        ) from None
    except UnicodeDecodeError:
        raise PlaybookInvalid(f"{file}: is not UTF-8 text.") from None
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise PlaybookInvalid(f"{file}: is not YAML{where}: {getattr(problem, 'problem', problem)}.") from None
    except (ValueError, RecursionError) as problem:  # a date such as 2026-02-30, or brackets without end
        raise PlaybookInvalid(f"{file}: is not YAML: {problem}.") from None
    try:
        config = AgentConfig.model_validate_json(json.dumps(data, default=str))
    except ValidationError as problem:
        raise PlaybookInvalid(f"{file}: {complaints(problem)}.") from None
    except (TypeError, ValueError, RecursionError) as problem:  # a date as a key, or an anchor inside itself
        raise PlaybookInvalid(f"{file}: holds what JSON cannot: {problem}.") from None
    for name in config.intents:
        try:
            config.limits_for(name)
        except InvalidInput as looser:
            raise PlaybookInvalid(f"{file}: {looser}") from None
    if config.limits.fallback_reserve_s >= config.limits.deadline_s:
        raise PlaybookInvalid(f"{file}: limits.fallback_reserve_s must be less than limits.deadline_s.")
    return config
