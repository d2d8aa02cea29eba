"""What a run moved of the business's own money, and what became of each move. Pure.

A move is held while its effect is unknown; it is kept where the effect happened, returned where it surely did not, and
undone where another call took it back and the tool said that this frees the windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ballast.log.events import CallIntended

if TYPE_CHECKING:
    from ballast.run import Run

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


def moves(run: Run) -> tuple[Moved, ...]:
    """Return the moves that were begun, in the order of the log."""
    begun = {intended.at: intended.moves for intended in run.facts(CallIntended) if intended.moves is not None}
    if not begun:
        return ()
    stand = {state.position for state in run.standing.writes}
    found = []
    for at, move in begun.items():
        state = run.call(*at)
        became: Became = "held"
        if state is not None and state.status in ("failed", "denied", "refused"):
            became = "returned"
        elif state is not None and state.status == "ok":
            became = "undone" if move.back and at not in stand else "kept"
        found.append(Moved(*at, move.micro, move.customer, move.hour, move.day, became))
    return tuple(found)
