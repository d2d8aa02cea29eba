"""What counts against the agent's limits other than money, since the last grant.

A person who hands the run back to the agent grants it all of this anew; the money only where they add some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ballast.contracts import Planner, ToolCall
from ballast.folds.persistent import PersistentDict
from ballast.folds.sameness import identity
from ballast.log.events import CallRefused, ModelFailed, ModelRequested, ModelResponded

if TYPE_CHECKING:
    from ballast.run import Run, Turn


@dataclass(frozen=True)
class Counts:
    """Counts of the agent's doing.

    turns         model turns
    tokens        in and out: as reported, and as promised by attempts that reported nothing and may have cost
    calls         proposed calls, by tool
    same          proposed calls, by what they ask: tool and arguments
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
        """Calls that asked again what an earlier one had asked."""
        return self.tool_calls - len(self.same)

    def with_calls(self, calls: Sequence[ToolCall]) -> Counts:
        """Return the counts as they would be after these calls too."""
        tools = Counter(self.calls)
        tools.update(call.tool for call in calls)
        asked = Counter(identity(call) for call in calls)
        same = self.same.with_more({key: self.same.get(key, 0) + number for key, number in asked.items()})
        return Counts(self.turns, self.tokens, tools, same, self.refused_calls)


def counts(run: Run) -> Counts:
    """Return what the agent has used of its limits."""
    granted = run.opening.granted_turn if run.is_open else 0

    def with_turn(before: Counts, turn: Turn) -> Counts:
        return before if turn.number <= granted else _with_turn(before, turn)

    return run.over_turns(("counts", granted), Counts(), with_turn)


def _with_turn(before: Counts, turn: Turn) -> Counts:
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
    """Return the tokens of a turn: as reported, else as promised."""
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
            # Any other may have used all that it was promised, even if that costs nothing.
    return total + sum(promised.values())
