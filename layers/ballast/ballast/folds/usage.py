"""Money and counts: the usage of a run, the counts against the agent's limits, and the cost of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import field, fields, replace
from typing import TYPE_CHECKING

from ballast.contracts import ExitReason, HandOver, Planner, ToolCall
from ballast.contracts.notice import Corrected
from ballast.contracts.wire import without_surrogates
from ballast.errors import LogCorrupt
from ballast.folds.append_only import PersistentDict
from ballast.folds.calls import identity
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
    RunCorrected,
    RunEnded,
)
from ballast.money.amounts import dollars
from ballast.values import dataclass

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
    spent_microusd     cost of reported usage and of tools
    reserved_microusd  reservations of attempts without an outcome: charged in full until the outcome is recorded
    tools_microusd     the part of both that is charged for tools
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
        """The amount that counts against the ceiling."""
        return self.spent_microusd + self.reserved_microusd


@dataclass(frozen=True)
class Spent:
    """The usage of one turn; the fields are as in ``Usage``. ``asked``: whether a model was asked in it."""

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
    """Return the usage of a turn, from its own events."""
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
    """Return the usage of the run."""
    granted = run.opening.granted_turn if run.is_open else 0

    def counted(before: tuple[int, int], turn: Turn) -> tuple[int, int]:
        if turn.number <= granted:
            return before
        made = turn.proposal
        calls = len(made.calls) if made is not None and made.planner is Planner.AGENT else 0
        return before[0] + turn.spent.asked, before[1] + calls

    turns, tool_calls = run.over_turns(("turns and calls", granted), (0, 0), counted)
    return replace(run.over_turns("usage", Usage(), _usage_after), turns=turns, tool_calls=tool_calls)


_SUMMED = tuple(field.name for field in fields(Spent) if field.name != "asked")


def _usage_after(before: Usage, turn: Turn) -> Usage:
    return replace(before, **{name: getattr(before, name) + getattr(turn.spent, name) for name in _SUMMED})


def charged_at_last(run: Run, known: Set[str]) -> int:
    """Return the final charge of a settled run in micro-dollars, with the outcomes recorded since settlement.

    ``known``: the keys of the events at settlement. Later reservations do not count: an attempt looks for an ending
    after it reserves and before it asks the model, so these attempts asked nothing.
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
    """The cost of one attempt at a call; ``status`` is its outcome, None if its reservation counts."""

    reserved_microusd: int
    charged_microusd: int
    status: str | None = None


def call_charges(turn: Turn) -> Mapping[int, tuple[CallCharge, ...]]:
    """Return the cost of the attempts at the turn's calls, by the call's position.

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


@dataclass(frozen=True)
class Counts:
    """The agent's counts.

    turns         model turns
    tokens        input and output: as reported, or the upper bound for attempts without a report that may have cost
    calls         proposed calls, by tool
    same          proposed calls, by identity: tool and arguments
    refused_calls calls that the executor refused
    """

    turns: int = 0
    tokens: int = 0
    calls: Mapping[str, int] = field(default_factory=dict)
    same: PersistentDict[str, int] = field(default_factory=PersistentDict)
    refused_calls: int = 0

    @property
    def tool_calls(self) -> int:
        """All proposed calls."""
        return sum(self.calls.values())

    @property
    def repeated_calls(self) -> int:
        """Calls that repeated an earlier call."""
        return self.tool_calls - len(self.same)

    def with_calls(self, calls: Sequence[ToolCall]) -> Counts:
        """Return the counts as they would be after these calls too."""
        tools = Counter(self.calls)
        tools.update(call.tool for call in calls)
        asked = Counter(identity(call) for call in calls)
        same = self.same.with_more({key: self.same.get(key, 0) + number for key, number in asked.items()})
        return Counts(self.turns, self.tokens, tools, same, self.refused_calls)


def counts(run: Run) -> Counts:
    """Return the agent's counts against its limits."""
    granted = run.opening.granted_turn if run.is_open else 0

    def with_turn(before: Counts, turn: Turn) -> Counts:
        return before if turn.number <= granted else _counts_after(before, turn)

    return run.over_turns(("counts", granted), Counts(), with_turn)


def _counts_after(before: Counts, turn: Turn) -> Counts:
    made = turn.proposal
    agents = made is not None and made.planner is Planner.AGENT
    counted = replace(
        before,
        turns=before.turns + (ModelRequested.NAME in turn.by_name),
        tokens=before.tokens + _tokens(turn),
        refused_calls=before.refused_calls + (len(turn.by_name.get(CallRefused.NAME, ())) if agents else 0),
    )
    return counted.with_calls(made.calls) if made is not None and agents else counted


def _tokens(turn: Turn) -> int:
    """Return the tokens of a turn: as reported, else the upper bound."""
    promised: dict[int, int] = {}
    total = 0
    for event in turn.events:
        match event.fact if event.name.startswith("model.") else None:
            case ModelRequested() as asked:
                promised[asked.attempt] = (asked.prompt_bound or 0) + asked.max_tokens
            case ModelResponded() | ModelFailed() as charged if charged.input_tokens is not None:
                total += charged.tokens
                promised.pop(charged.attempt, None)
            case ModelFailed(cost_microusd=0) as failed:
                promised.pop(failed.attempt, None)
            # Any other attempt may have used its upper bound, even at no cost.
    return total + sum(promised.values())


#: The largest valid correction in micro-dollars, and the most characters of its operator and its reason.
_MOST_MICROUSD, _BY_CHARS, _REASON_CHARS = 10**15, 256, 500


@dataclass(frozen=True)
class Correction:
    """A correction in ``run.corrected``: new cost and earlier charge in micro-dollars, operator and reason.

    Other functions can write the log too, so a correction is shown in addition to the log's cost, never instead of it.
    """

    charged_microusd: int
    was_microusd: int
    by: str
    reason: str
    at: str

    @property
    def told(self) -> Corrected:
        """The correction as a part of an outgoing event."""
        cost = dollars(self.charged_microusd)
        return Corrected(
            cost_usd=cost,
            by=without_surrogates(self.by),
            reason=without_surrogates(self.reason),
            at=without_surrogates(self.at),
        )


@dataclass(frozen=True)
class Cost:
    """The cost of a run in micro-dollars, by its log (reservations without an outcome in full) and as corrected.

    For an ended run it is the amount in the ending; late outcomes are only in the lease, or in a correction.
    """

    counted_microusd: int
    corrected: Correction | None = None


def cost(run: Run) -> Cost:
    """Return the cost of the run so far. Raises ``LogCorrupt`` if an amount in the log is not an integer."""
    ended = run.fact(RunEnded)
    if ended is None:
        return Cost(run.usage.charged_microusd, corrected(run))
    return Cost(ended.spent_microusd + ended.reserved_microusd, corrected(run))


def corrected(run: Run) -> Correction | None:
    """Return the newest correction in the form of an operator's command; None if there is none."""
    found = [event for event in run if event.name == RunCorrected.NAME]
    newest = (correction_of(event) for event in sorted(found, key=lambda event: event.index, reverse=True))
    return next((one for one in newest if one is not None), None)


def correction_of(event: Event) -> Correction | None:
    """Return the correction in ``run.corrected``; None if it is not in the form of an operator's command."""
    try:
        said = event.fact
    except LogCorrupt:
        return None
    if (
        not isinstance(said, RunCorrected)
        or "reason" not in said.model_fields_set
        or said.charged_microusd > _MOST_MICROUSD
    ):
        return None
    if not 0 < len(said.by) <= _BY_CHARS or len(said.reason) > _REASON_CHARS:
        return None
    return Correction(said.charged_microusd, said.was_microusd, said.by, said.reason, event.at)


@dataclass(frozen=True)
class StoppedLoop:
    """One hand-over for ``loop``: its turn, and the estimated saving in micro-dollars."""

    turn: int
    saved_microusd: int


def stopped_loops(run: Run) -> tuple[StoppedLoop, ...]:
    """Return the loops that were stopped, in order.

    The saving is the price of the loop's last turn times the remaining turns, limited by the remaining money. It is a
    low estimate: prompts grow from turn to turn, and tool calls are not included.
    """
    return tuple(
        StoppedLoop(turn, _left(run.before(turn)))
        for turn, made in sorted(run.proposals.items())
        if made.planner is Planner.AGENT and isinstance(made.decision, HandOver)
        if made.decision.reason is ExitReason.LOOP
    )


def _left(before: Run) -> int:
    opened, used = before.opening, before.usage
    charges = (*before.facts(ModelResponded), *before.facts(ModelFailed))
    newest = max((one.turn for one in charges), default=0)
    last_turn = sum(one.cost_microusd for one in charges if one.turn == newest)
    turns = max(0, opened.limits.turns - used.turns)
    return min(turns * last_turn, max(0, opened.cost_ceiling_microusd - used.charged_microusd))
