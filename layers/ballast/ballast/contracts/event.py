"""One entry of the log, and the deterministic keys that give entries their order."""

import re
from typing import Any

from pydantic import Field

from ballast.contracts.wire import Wire, canonical, sha256

#: The last turn number that a key can carry; the run's ending uses it, so it sorts last.
LAST_TURN = 9999

_SEQ = re.compile(r"^(?P<turn>\d{4})\.(?P<kind>[a-z_]+)(?:\.(?P<index>\d+))?\.(?P<step>[a-z_.]+)$")
# Within a turn: who took over, what was asked, what was decided, what was done about it.
_PHASES = ("run", "model", "plan", "escalation", "call")
_STEPS = (
    "opened",
    "refused",
    "requested",
    "responded",
    "failed",
    "decided",
    "answered",
    "intended",
    "approval_requested",
    "approval_answered",
    "settled",
    "ended",
)


class Event(Wire):
    """A recorded fact.

    run_id  the run
    seq     its deterministic key, e.g. ``0003.call.1.settled`` (turn, subject, position, step)
    at      ISO 8601 UTC time at which it was written; never used for ordering
    body    its content, JSON
    """

    run_id: str
    seq: str = Field(pattern=_SEQ.pattern)
    at: str
    body: dict[str, Any]

    @property
    def turn(self) -> int:
        """The turn that it belongs to; 0 is the opening, ``LAST_TURN`` the ending."""
        return int(self.seq[:4])

    @property
    def name(self) -> str:
        """Subject and step without the numbers, e.g. ``call.settled``."""
        match = _SEQ.match(self.seq)
        assert match is not None  # the pattern of ``seq``
        return f"{match['kind']}.{match['step']}"

    @property
    def index(self) -> int:
        """The position within the turn (of a call, or a model attempt); 1 where the key has none."""
        match = _SEQ.match(self.seq)
        assert match is not None
        return int(match["index"] or 1)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the key and the body."""
        return sha256(f"{self.run_id}\0{self.seq}\0{canonical(self.body)}")


def order(event: Event) -> tuple[int, int, int, int, str]:
    """Return the sort key that puts a run's events into the order of the work."""
    match = _SEQ.match(event.seq)
    assert match is not None
    phase = _PHASES.index(match["kind"]) if match["kind"] in _PHASES else len(_PHASES)
    step = _STEPS.index(match["step"]) if match["step"] in _STEPS else len(_STEPS)
    return event.turn, phase, event.index, step, event.seq


def run_seq(step: str) -> str:
    """Return the key of the run's opening (``opened``, ``refused``) or its ending (``ended``)."""
    return f"{LAST_TURN if step == 'ended' else 0:04d}.run.{step}"


def model_seq(turn: int, attempt: int, step: str) -> str:
    """Return ``0003.model.requested`` for the first attempt, ``0003.model.2.requested`` for the second.

    ``responded`` has no attempt in its key, so that a turn has exactly one completion, whichever
    attempt brought it first; its body says which.
    """
    if attempt == 1 or step == "responded":
        return f"{turn:04d}.model.{step}"
    return f"{turn:04d}.model.{attempt}.{step}"


def plan_seq(turn: int) -> str:
    """Return the key of a decision that no completion and no person made."""
    return f"{turn:04d}.plan.decided"


def call_seq(turn: int, index: int, step: str) -> str:
    """Return e.g. ``0003.call.1.settled``; ``index`` counts from 1."""
    return f"{turn:04d}.call.{index}.{step}"


def escalation_seq(turn: int, step: str) -> str:
    """Return e.g. ``0004.escalation.opened``."""
    return f"{turn:04d}.escalation.{step}"
