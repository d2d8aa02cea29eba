"""What a rule of a tool may look at besides the call itself: the run so far."""

from collections.abc import Sequence
from dataclasses import dataclass

from ballast.contracts import Event
from ballast.folds import CallState, Usage, calls, usage


@dataclass(frozen=True)
class RunSoFar:
    """The run before this call.

    calls  every call proposed before it, in order, with what became of it
    usage  turns, calls, tokens and money so far
    """

    calls: tuple[CallState, ...]
    usage: Usage

    @classmethod
    def before(cls, events: Sequence[Event], turn: int, index: int) -> "RunSoFar":
        """Return what the log says of the run before the call at that position."""
        earlier = tuple(state for state in calls(events) if (state.turn, state.index) < (turn, index))
        return cls(earlier, usage(events))

    def done(self, tool: str) -> tuple[CallState, ...]:
        """Return the calls of that tool that happened."""
        return tuple(state for state in self.calls if state.call.tool == tool and state.status == "ok")
