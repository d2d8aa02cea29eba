"""What the agents that were stopped as they went round in circles would have burned by their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballast.contracts import ExitReason, HandOver, Planner
from ballast.log.events import ModelFailed, ModelResponded

if TYPE_CHECKING:
    from ballast.run import Run


@dataclass(frozen=True)
class StoppedLoop:
    """One hand-over for ``loop``: the turn in which it was decided, and what it saved, in micro-dollars."""

    turn: int
    saved_microusd: int


def saved(run: Run) -> tuple[StoppedLoop, ...]:
    """Return the loops that were stopped, in order.

    Each would have gone on for the turns that were left, at the price of its last turn, and no further than
    the money that was left. An estimate from below: prompts grow from turn to turn, and its tool calls are not in it.
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
