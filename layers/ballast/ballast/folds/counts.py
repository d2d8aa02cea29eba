"""What counts against the agent's limits other than money, since the last grant.

A person who hands the run back to the agent grants it all of this anew; the money only where they add some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ballast.contracts import Planner, ToolCall
from ballast.folds.sameness import identity
from ballast.log.events import CallRefused, ModelFailed, ModelRequested, ModelResponded

if TYPE_CHECKING:
    from ballast.folds.calls import Proposed
    from ballast.run import Run


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
    same: Mapping[str, int] = field(default_factory=dict)
    refused_calls: int = 0

    @property
    def tool_calls(self) -> int:
        """All proposed calls."""
        return sum(self.calls.values())

    @property
    def repeated_calls(self) -> int:
        """Calls that asked again what an earlier one had asked."""
        return sum(number - 1 for number in self.same.values())

    def with_calls(self, calls: Sequence[ToolCall]) -> Counts:
        """Return the counts as they would be after these calls too."""
        tools, same = Counter(self.calls), Counter(self.same)
        tools.update(call.tool for call in calls)
        same.update(identity(call) for call in calls)
        return Counts(self.turns, self.tokens, tools, same, self.refused_calls)


def counts(run: Run) -> Counts:
    """Return what the agent has used of its limits."""
    granted = run.opening.granted_turn if run.is_open else 0
    made = {turn: one for turn, one in run.proposals.items() if turn > granted}
    refused = [one for one in run.facts(CallRefused) if _is_agents(made.get(one.turn))]
    return Counts(
        turns=len({one.turn for one in run.facts(ModelRequested) if one.turn > granted}),
        tokens=_tokens(run, granted),
        refused_calls=len(refused),
    ).with_calls([call for one in made.values() if _is_agents(one) for call in one.calls])


def _is_agents(made: Proposed | None) -> bool:
    return made is not None and made.planner is Planner.AGENT


def _tokens(run: Run, granted: int) -> int:
    """Return the tokens since ``granted``: as reported, else as promised."""
    promised = {
        (asked.turn, asked.attempt): (asked.prompt_bound or 0) + asked.max_tokens
        for asked in run.facts(ModelRequested)
        if asked.turn > granted
    }
    total = 0
    for charged in (*run.facts(ModelResponded), *run.facts(ModelFailed)):
        if charged.turn <= granted:
            continue
        if charged.input_tokens is not None:
            total += charged.tokens
        elif isinstance(charged, ModelResponded) or charged.cost_microusd > 0:
            continue  # it may have used all that it was promised, even if that costs nothing
        promised.pop((charged.turn, charged.attempt), None)
    return total + sum(promised.values())
