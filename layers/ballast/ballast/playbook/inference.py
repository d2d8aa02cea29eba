"""``inference`` of ``agent.yaml``: how the playbook wants a model to be asked, and what of it a model's card takes.

::

    Inference ── taken_by(card) ─▶ Taken: settings in the card's form, room for thinking, and what was refused and why
"""

import json
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ballast.contracts.wire import Wire
from ballast.money import LEAST_USEFUL_TOKENS
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.models.card import Asked, Dialect, ModelCard, Thinking

Share = Annotated[Decimal, Field(ge=0, le=1, strict=False)]
Setting = Literal["temperature", "top_p", "effort", "thinking", "strict_tools", "structured_answers"]


class Inference(Wire):
    """Settings of a model call. Each is sent only to a model that takes it, in the form that its card states.

    temperature         0 to 1; null: none is sent
    top_p               0 to 1; null: none is sent
    effort              a level of effort, as the model's card names them (low, medium, high)
    thinking            tokens that the model may think; adaptive: it decides itself; false or 0: it must not; null:
                        nothing is asked
    thinking_room       tokens that an attempt may have besides those of the answer if the model thinks without a budget
    strict_tools        the provider holds calls to their tools' schemas
    structured_answers  the provider holds an answer to the intent's ``answer_schema``
    required            settings without which the agent must not run: a model that does not take them is refused
    """

    temperature: Share | None = Decimal(0)
    top_p: Share | None = None
    effort: Annotated[str, Field(min_length=1, max_length=16)] | None = None
    thinking: Annotated[int, Field(ge=1, le=1_000_000)] | Literal["adaptive", False] | None = None
    thinking_room: Annotated[int, Field(ge=0, le=1_000_000)] = 4_096
    strict_tools: bool = False
    structured_answers: bool = False
    required: tuple[Setting, ...] = ()

    @model_validator(mode="after")
    def _required_is_set(self) -> Self:
        values = {name: getattr(self, name) for name in self.required}
        unset = [name for name, one in values.items() if one is None or (one is False and name != "thinking")]
        if unset:
            raise ValueError(f"required: {', '.join(unset)} must have a value, or be left out of the list")
        return self

    def without_thinking(self) -> Self:
        """Return the settings without a request to think."""
        return self.model_copy(update={"thinking": None})

    def taken_by(self, card: "ModelCard") -> "Taken":
        """Return what is sent to the model of ``card``."""
        thinking = self._thinking(card.thinking, card.max_output)
        refused = dict(thinking.refused)
        settings: dict[str, str] = {}
        first, second = ("top_p", "temperature") if self._prefers_top_p else ("temperature", "top_p")
        for name in (first, second):
            if (value := getattr(self, name)) is None:
                continue
            if not getattr(card, name):
                refused[name] = f"takes no {name}"
            elif name in thinking.forbids:
                refused[name] = f"takes no {name} while it thinks"
            elif settings and not card.temperature_with_top_p:
                refused[name] = f"takes temperature or top_p, not both; {first} is sent"
            else:
                settings[name] = str(value)
        if self.strict_tools and not card.strict_tools:
            refused["strict_tools"] = "takes no strict tools"
        if self.structured_answers and not card.structured_output:
            refused["structured_answers"] = "takes no form of an answer"
        fields: dict[str, Any] = {}
        config: dict[str, Any] = {}
        for part in thinking.asked:
            _merge(fields, part.additional_fields)
            _merge(config, part.output_config)
        return Taken(
            **settings,
            additional_fields=fields,
            output_config=config,
            budget=thinking.budget,
            thinking_tokens=thinking.budget or (self.thinking_room if thinking.thinks else 0),
            strict_tools=self.strict_tools and card.strict_tools,
            answers_in=card.tool_schema if self.structured_answers and card.structured_output else None,
            refused=refused,
        )

    @property
    def _prefers_top_p(self) -> bool:
        return self.top_p is not None and "temperature" not in self.model_fields_set

    def _thinking(self, form: "Thinking | None", max_output: int) -> "_Thinking":
        made = _Thinking()
        if form is None:
            made.refuse("thinking", "does not think", if_=bool(self.thinking))
            made.refuse("effort", "takes no effort", if_=self.effort is not None)
            return made
        made.thinks = form.default != "no"
        by_effort = form.budget is None and form.adaptive is None
        off = form.off if self.thinking is False else None
        if self.thinking is False:
            made.refuse("thinking", "always thinks", if_=made.thinks and off is None)
            if off is not None:
                made.refuse("thinking", "thinks less, and does not stop thinking", if_=off.still_thinks)
                made.ask(off.given(), thinks=off.still_thinks)
        elif isinstance(self.thinking, int) and form.budget is not None:
            budget = max(self.thinking, form.budget.least)
            if budget + LEAST_USEFUL_TOKENS > max_output:
                made.refuse("thinking", f"has at most {max_output} tokens for thinking and answer together")
            else:
                made.ask(form.budget.given(budget=budget), thinks=True, budget=budget)
        elif self.thinking is not None and form.adaptive is not None:
            made.refuse("thinking", "takes no number of tokens, only adaptive", if_=self.thinking != "adaptive")
            made.ask(form.adaptive.given(), thinks=True)
        elif self.thinking is not None:
            ways = "effort" if by_effort else "a number of tokens"
            made.refuse("thinking", f"thinks by {ways}, not by {self.thinking}")
        level = self._level(form, made)
        if by_effort and level is not None and self.thinking is False and not made.thinks:
            made.refuse("effort", "thinks by effort, and takes none while it must not think")
        elif level is None:
            if form.effort is not None and form.effort.default is not None and made.thinks:
                made.forbid(form.effort.levels[form.effort.default])
        elif form.effort is None or level not in form.effort.levels:
            levels = ", ".join(form.effort.levels) if form.effort is not None else ""
            made.refuse("effort", f"takes the levels {levels}" if levels else "takes no effort")
        elif "max_tokens" in form.effort.levels[level]:
            made.refuse("effort", f"takes no limit of tokens with {level}, so an attempt would have no bound")
        else:
            made.ask(form.effort.given(effort=level), thinks=made.thinks or by_effort)
            made.forbid(form.effort.levels[level])
        if made.thinks:
            made.forbid(form.forbids)
        return made

    def _level(self, form: "Thinking", made: "_Thinking") -> str | None:
        """Return the level of effort to ask for; beside ``off`` the highest one that is taken there."""
        if self.thinking is not False or form.off is None or form.effort is None:
            return self.effort
        level, levels = self.effort or form.effort.default, list(form.effort.levels)
        if level not in form.off.not_with:
            return self.effort
        made.refuse("effort", f"takes no effort {level} while it must not think", if_=self.effort is not None)
        below = [one for one in levels[: levels.index(level)] if one not in form.off.not_with]
        return below[-1] if below else None


@dataclass(frozen=True)
class Taken:
    """What is sent to a model.

    temperature, top_p               as text; None: not sent
    additional_fields, output_config  parts of the request
    budget                           tokens that it was told it may think; 0 if it was told no number
    thinking_tokens                  tokens that an attempt has for thinking, besides those of the answer
    answers_in                       the dialect of an answer's schema; None: the provider is told no form of an answer
    refused                          what the model does not take, by setting: how its refusal reads after its name
    """

    temperature: str | None = None
    top_p: str | None = None
    additional_fields: Mapping[str, Any] = field(default_factory=dict)
    output_config: Mapping[str, Any] = field(default_factory=dict)
    budget: int = 0
    thinking_tokens: int = 0
    strict_tools: bool = False
    answers_in: "Dialect | None" = None
    refused: Mapping[str, str] = field(default_factory=dict)

    def output_config_for(self, answer_schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return ``outputConfig`` for a request whose answer has that schema; the model reads it, so it has tokens.

        An answer whose schema the provider cannot enforce is told in words alone.
        """
        if answer_schema is None or self.answers_in is None:
            return dict(self.output_config)
        from ballast.models.tool_schema import NotInlinable, NotStrict, TooLarge, in_dialect, strict_form

        try:
            held = strict_form(in_dialect(answer_schema, self.answers_in), self.answers_in)
        except (NotInlinable, NotStrict, TooLarge):  # the check of the answer stays
            return dict(self.output_config)
        schema = {"name": "answer", "schema": json.dumps(held, ensure_ascii=False, sort_keys=True)}
        form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
        return {**self.output_config, "textFormat": form}


class Caching(Wire):
    """How prompts are cached. ``ttl``: lifetime of a cache point, where the model takes it; null: the model's own."""

    ttl: Literal["5m", "1h"] | None = None

    def taken_by(self, card: "ModelCard") -> str | None:
        """Return the lifetime of cache points in prompts for the model of ``card``; None if it takes no points."""
        lives = card.cache.ttls if card.cache is not None else ()
        return self.ttl if self.ttl in lives else next(iter(lives), None)


@dataclass
class _Thinking:
    """What is asked of a model's thinking, while it is found out."""

    thinks: bool = False
    budget: int = 0
    asked: list["Asked"] = field(default_factory=list)
    forbids: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def ask(self, parts: "Asked", *, thinks: bool, budget: int = 0) -> None:
        self.asked.append(parts)
        self.thinks, self.budget = thinks, budget or self.budget

    def refuse(self, setting: str, why: str, *, if_: bool = True) -> None:
        if if_:
            self.refused[setting] = why

    def forbid(self, names: tuple[str, ...]) -> None:
        self.forbids |= {*names}


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
