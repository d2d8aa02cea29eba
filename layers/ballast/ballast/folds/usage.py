"""What a run has used: turns, calls, tokens and money."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from ballast.contracts import Planner
from ballast.log.event import Event
from ballast.log.events import (
    CallIntended,
    CallRefused,
    CallReserved,
    CallSettled,
    Charged,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    Reserves,
)

if TYPE_CHECKING:
    from ballast.run import Run, Turn


@dataclass(frozen=True)
class Usage:
    """Counts since the last grant (``turns``, ``tool_calls``) and since the opening (the rest).

    turns              model turns of the agent
    tool_calls         calls that the agent proposed
    model_calls        attempts
    refused_calls      calls that the executor refused
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens  as reported
    spent_microusd     settled by reported usage, and what tools cost
    reserved_microusd  reservations of attempts without an outcome: charged in full until it comes
    tools_microusd     of both, what is charged for tools
    """

    turns: int = 0
    tool_calls: int = 0
    model_calls: int = 0
    refused_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    spent_microusd: int = 0
    reserved_microusd: int = 0
    tools_microusd: int = 0

    @property
    def charged_microusd(self) -> int:
        """What counts against the ceiling."""
        return self.spent_microusd + self.reserved_microusd


@dataclass(frozen=True)
class Spent:
    """What one turn used; the fields are as in ``Usage``. ``asked``: whether a model was asked in it."""

    asked: bool
    model_calls: int
    refused_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    spent_microusd: int
    reserved_microusd: int
    tools_microusd: int


def spent(turn: Turn) -> Spent:
    """Return what a turn used, of its own events alone."""
    asked = turn.facts(ModelRequested)
    charged: list[Charged] = [*turn.facts(ModelResponded), *turn.facts(ModelFailed)]
    outcomes = {one.attempt for one in charged}
    tools = [one for attempts in turn.call_charges.values() for one in attempts]
    tools_spent = sum(one.charged_microusd for one in tools if one.status is not None)
    tools_reserved = sum(one.charged_microusd for one in tools if one.status is None)
    return Spent(
        asked=bool(asked),
        model_calls=len(asked),
        refused_calls=len(turn.facts(CallRefused)),
        input_tokens=sum(one.input_tokens or 0 for one in charged),
        output_tokens=sum(one.output_tokens or 0 for one in charged),
        cache_read_tokens=sum(one.cache_read_tokens or 0 for one in charged),
        cache_write_tokens=sum(one.cache_write_tokens or 0 for one in charged),
        spent_microusd=sum(one.cost_microusd for one in charged) + tools_spent,
        reserved_microusd=sum(one.reserved_microusd for one in asked if one.attempt not in outcomes) + tools_reserved,
        tools_microusd=tools_spent + tools_reserved,
    )


def usage(run: Run) -> Usage:
    """Return what the run has used."""
    granted = run.opening.granted_turn if run.is_open else 0

    def counted(before: tuple[int, int], turn: Turn) -> tuple[int, int]:
        if turn.number <= granted:
            return before
        made = turn.proposal
        calls = len(made.calls) if made is not None and made.planner is Planner.AGENT else 0
        return before[0] + turn.spent.asked, before[1] + calls

    turns, tool_calls = run.over_turns(("turns and calls", granted), (0, 0), counted)
    return replace(run.over_turns("usage", Usage(), _with_turn), turns=turns, tool_calls=tool_calls)


_SUMMED = tuple(field.name for field in fields(Spent) if field.name != "asked")


def _with_turn(before: Usage, turn: Turn) -> Usage:
    return replace(before, **{name: getattr(before, name) + getattr(turn.spent, name) for name in _SUMMED})


def charged_at_last(run: Run, known: Set[str]) -> int:
    """Return what was reserved when the run was settled comes to, in micro-dollars, by the outcomes that came since.

    ``known``: the keys of the events that were there then. What was reserved later was never asked for: who reserves
    looks for an ending before it asks.
    """

    def counts(event: Event) -> bool:
        if event.seq in known:
            return True
        if event.name not in (ModelResponded.NAME, ModelFailed.NAME, CallSettled.NAME):
            return False
        match event.fact:
            case ModelResponded() | ModelFailed() as outcome:
                return ModelRequested.key(outcome.turn, outcome.attempt) in known
            case CallSettled() as settled:
                return CallIntended.key(*settled.at) in known
        return False

    return run.only(counts).usage.charged_microusd


@dataclass(frozen=True)
class CallCharge:
    """The money of one attempt at a call; ``status`` is its outcome, None where its reservation counts."""

    reserved_microusd: int
    charged_microusd: int
    status: str | None = None


def call_charges(turn: Turn) -> Mapping[int, tuple[CallCharge, ...]]:
    """Return what the attempts at the turn's calls cost, by the call's position.

    The outcome is the last attempt's; an attempt before it stays charged.
    """
    found: dict[int, list[CallCharge]] = {}
    setting_aside: list[Reserves] = [*turn.facts(CallIntended), *turn.facts(CallReserved)]
    for one in setting_aside:
        found.setdefault(one.index, []).append(CallCharge(one.reserved_microusd, one.reserved_microusd))
    for settled in turn.facts(CallSettled):
        attempts = found.setdefault(settled.index, [])
        promised = attempts.pop().reserved_microusd if attempts else 0
        cost = promised if settled.cost_microusd is None else settled.cost_microusd
        attempts.append(CallCharge(promised, cost, settled.status))
    return {index: tuple(attempts) for index, attempts in found.items()}


# Attribute names of the OpenTelemetry semantic conventions for generative AI.
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
