"""What a run has used: turns, calls, tokens and money."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from ballast.contracts import Event
from ballast.contracts.event import call_seq, model_seq
from ballast.folds.amount import amount
from ballast.folds.calls import proposals
from ballast.folds.opening import opening


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


def usage(events: Sequence[Event]) -> Usage:
    """Fold ``events`` into what was used. Raises ``LogCorrupt`` where an amount of money is none."""
    granted = opening(events).granted_turn if any(event.name == "run.opened" for event in events) else 0
    turns: set[int] = set()
    reserved: dict[tuple[int, int], int] = {}
    tokens = dict.fromkeys(_TOKENS, 0)
    spent = refused = 0
    for event in events:
        if event.name == "model.requested":
            reserved[event.turn, event.index] = amount(event.seq, event.body, "reserved_microusd")
            if event.turn > granted:
                turns.add(event.turn)
        elif event.name in ("model.responded", "model.failed"):
            spent += amount(event.seq, event.body, "cost_microusd")
            for attribute in _TOKENS:
                tokens[attribute] += event.body.get(attribute, 0)
        elif event.name == "call.refused":
            refused += 1
    settled = {
        (event.turn, event.body["attempt"]) for event in events if event.name in ("model.responded", "model.failed")
    }
    tools_spent, tools_reserved = _tools(events)
    return Usage(
        turns=len(turns),
        tool_calls=sum(
            len(made.calls) for turn, made in proposals(events).items() if turn > granted and made.planner == "agent"
        ),
        model_calls=len(reserved),
        refused_calls=refused,
        input_tokens=tokens[INPUT_TOKENS],
        output_tokens=tokens[OUTPUT_TOKENS],
        cache_read_tokens=tokens[CACHE_READ_TOKENS],
        cache_write_tokens=tokens[CACHE_WRITE_TOKENS],
        spent_microusd=spent + tools_spent,
        reserved_microusd=sum(amount for attempt, amount in reserved.items() if attempt not in settled)
        + tools_reserved,
        tools_microusd=tools_spent + tools_reserved,
    )


def charged_at_last(events: Sequence[Event], known: Set[str]) -> int:
    """Return what was reserved when the run was settled comes to, in micro-dollars, by the outcomes that came since.

    ``known``: the keys of the events that were there then. What was reserved later was never asked for: who reserves
    looks for an ending before it asks.
    """

    def counts(event: Event) -> bool:
        if event.seq in known:
            return True
        if event.name in ("model.responded", "model.failed"):
            return model_seq(event.turn, event.body["attempt"], "requested") in known
        return event.name == "call.settled" and call_seq(event.turn, event.index, "intended") in known

    return usage([event for event in events if counts(event)]).charged_microusd


def _tools(events: Sequence[Event]) -> tuple[int, int]:
    """Return what calls of tools cost, and what is reserved for those without an outcome.

    The outcome is the last attempt's; an attempt before it stays charged.
    """
    reserved: dict[tuple[int, int], list[int]] = {}
    settled: dict[tuple[int, int], int | None] = {}
    for event in events:
        call = event.turn, event.index
        if event.name in ("call.intended", "call.reserved"):
            promised = amount(event.seq, event.body, "reserved_microusd") if "reserved_microusd" in event.body else 0
            reserved.setdefault(call, []).append(promised)
        elif event.name == "call.settled":
            cost = event.body.get("cost_microusd")
            settled[call] = None if cost is None else amount(event.seq, event.body, "cost_microusd")
    spent = 0
    for call, cost in settled.items():
        promised = reserved[call].pop() if reserved.get(call) else 0
        spent += promised if cost is None else cost
    return spent, sum(sum(left) for left in reserved.values())


# Attribute names of the OpenTelemetry semantic conventions for generative AI.
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
# Of those, the ones that are kept for an hour and cost more; there is no convention for them.
CACHE_WRITE_1H_TOKENS = "ballast.usage.cache_creation_1h.input_tokens"
_TOKENS = (INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS)
