"""What counts against the agent's limits other than money, since the last grant.

A person who hands the run back to the agent grants it all of this anew; the money only where they add some.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ballast.contracts import Planner, ToolCall
from ballast.folds.calls import Proposed, proposals
from ballast.folds.opening import opening
from ballast.folds.sameness import identity
from ballast.folds.usage import CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from ballast.log.event import Event

_TOKENS = (INPUT_TOKENS, OUTPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_TOKENS)


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

    def with_calls(self, calls: Sequence[ToolCall]) -> "Counts":
        """Return the counts as they would be after these calls too."""
        tools, same = Counter(self.calls), Counter(self.same)
        tools.update(call.tool for call in calls)
        same.update(identity(call) for call in calls)
        return Counts(self.turns, self.tokens, tools, same, self.refused_calls)


def counts(events: Sequence[Event]) -> Counts:
    """Fold ``events`` into what the agent has used of its limits."""
    granted = opening(events).granted_turn if any(event.name == "run.opened" for event in events) else 0
    recent = [event for event in events if event.turn > granted]
    made = {turn: one for turn, one in proposals(events).items() if turn > granted}
    return Counts(
        turns=len({event.turn for event in recent if event.name == "model.requested"}),
        tokens=_tokens(recent),
        refused_calls=sum(event.name == "call.refused" and _is_agents(made.get(event.turn)) for event in recent),
    ).with_calls([call for one in made.values() if _is_agents(one) for call in one.calls])


def _is_agents(made: Proposed | None) -> bool:
    return made is not None and made.planner is Planner.AGENT


def _tokens(events: Sequence[Event]) -> int:
    promised: dict[tuple[int, int], int] = {}
    total = 0
    for event in events:
        if event.name == "model.requested":
            body = event.body
            promise = body.get("input_tokens_bound", 0) + body.get("gen_ai.request.max_tokens", 0)
            promised[event.turn, event.index] = promise
    for event in events:
        if event.name not in ("model.responded", "model.failed"):
            continue
        attempt = (event.turn, event.body["attempt"])
        if INPUT_TOKENS in event.body:
            total += sum(event.body.get(name, 0) for name in _TOKENS)
        elif event.name == "model.responded" or event.body["cost_microusd"] > 0:
            continue  # it may have used all that it was promised, also where that costs nothing
        promised.pop(attempt, None)
    return total + sum(promised.values())
