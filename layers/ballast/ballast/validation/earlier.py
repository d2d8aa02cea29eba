"""What the calls before a call returned, for a tool's own rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import Event
from ballast.folds import calls


@dataclass(frozen=True)
class EarlierCall:
    """A call that was carried out: its tool, its arguments and its result, both as JSON."""

    tool: str
    arguments: Any
    result: Any


@dataclass(frozen=True)
class Earlier:
    """The calls of this run that were carried out before, in the order of the work. Read only."""

    calls: tuple[EarlierCall, ...] = ()

    def of(self, tool: str) -> tuple[EarlierCall, ...]:
        """Return the earlier calls of that tool."""
        return tuple(call for call in self.calls if call.tool == tool)

    def last(self, tool: str) -> Any:
        """Return what that tool returned last; None where it was not called."""
        found = self.of(tool)
        return found[-1].result if found else None


def earlier(events: Sequence[Event], turn: int, index: int) -> Earlier:
    """Return what was carried out before the call at that position; of its own turn, only what stands before it."""
    done = [state for state in calls(events) if state.status == "ok" and (state.turn, state.index) < (turn, index)]
    return Earlier(tuple(EarlierCall(state.call.tool, state.call.arguments, state.result) for state in done))
