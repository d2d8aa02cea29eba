"""What the agents that were stopped as they went round in circles would have burned by their limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from ballast.contracts import Event, ExitReason, HandOver, Planner
from ballast.folds.amount import amount
from ballast.folds.calls import proposals
from ballast.folds.opening import opening
from ballast.folds.usage import usage


@dataclass(frozen=True)
class StoppedLoop:
    """One hand-over for ``loop``: the turn in which it was decided, and what it saved, in micro-dollars."""

    turn: int
    saved_microusd: int


def saved(events: Sequence[Event]) -> tuple[StoppedLoop, ...]:
    """Return the loops that were stopped, in order.

    Each would have gone on for the turns that were left, at the price of its last turn, and no further than
    the money that was left. An estimate from below: prompts grow from turn to turn, and its tool calls are not in it.
    """
    return tuple(
        StoppedLoop(turn, _left([event for event in events if event.turn < turn]))
        for turn, made in sorted(proposals(events).items())
        if made.planner is Planner.AGENT and isinstance(made.decision, HandOver)
        if made.decision.reason is ExitReason.LOOP
    )


def _left(before: Sequence[Event]) -> int:
    opened, used = opening(before), usage(before)
    charges = [event for event in before if event.name in ("model.responded", "model.failed")]
    newest = max((event.turn for event in charges), default=0)
    last_turn = sum(amount(event.seq, event.body, "cost_microusd") for event in charges if event.turn == newest)
    turns = max(0, opened.limits.turns - used.turns)
    return min(turns * last_turn, max(0, opened.cost_ceiling_microusd - used.charged_microusd))
