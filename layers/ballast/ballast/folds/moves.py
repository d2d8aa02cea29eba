"""What a run moved of the business's own money, and what became of each move. Pure.

A move is held while its effect is unknown; it is kept where the effect happened, returned where it surely did not, and
undone where another call took it back and the tool said that this frees the windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ballast.contracts import Event
from ballast.contracts.event import call_seq
from ballast.folds.amount import amount
from ballast.folds.calls import calls
from ballast.folds.effects import position, standing

Became = Literal["held", "kept", "returned", "undone"]


@dataclass(frozen=True)
class Moved:
    """One call that moves money. Amounts in micro-units; ``customer`` is an account, not the customer's name."""

    turn: int
    index: int
    micro: int
    customer: str | None
    hour: str
    day: str
    became: Became

    @property
    def counts(self) -> bool:
        """Whether the windows count it."""
        return self.became in ("held", "kept")


def moves(events: Sequence[Event]) -> tuple[Moved, ...]:
    """Return the moves that were begun, in the order of the log."""
    begun = {
        (event.turn, event.index): event.body["moves"]
        for event in events
        if event.name == "call.intended" and event.body.get("moves")
    }
    if not begun:
        return ()
    states = {position(state): state for state in calls(events)}
    stand = {position(state) for state in standing(events).writes}
    found = []
    for at, move in begun.items():
        state = states.get(at)
        became: Became = "held"
        if state is not None and state.status in ("failed", "denied", "refused"):
            became = "returned"
        elif state is not None and state.status == "ok":
            became = "undone" if move["back"] and at not in stand else "kept"
        micro = amount(call_seq(*at, "intended"), move, "micro")
        found.append(Moved(*at, micro, move["customer"], move["hour"], move["day"], became))
    return tuple(found)


def unfinished(events: Sequence[Event]) -> bool:
    """Say whether a proposed call has no outcome: an attempt at it may have reserved and left no trace in the log."""
    return any(not state.ended for state in calls(events))
