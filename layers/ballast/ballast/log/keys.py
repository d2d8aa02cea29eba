"""The deterministic keys of a run's log: their parts, and the order of the work that they define."""

import re
from functools import lru_cache

from ballast.values import dataclass

#: The form of a key: turn, subject, position, step; an approval's key also has the round and the answer's number.
SEQ = re.compile(
    r"^(?P<turn>[0-9]{4})\.(?P<kind>[a-z_]+)(?:\.(?P<index>[0-9]+))?\."
    r"(?:(?P<step>[a-z_.]+)|(?P<asked>approval_[a-z]+|doubted)\.(?P<round>[0-9]+)(?:\.(?P<number>[0-9]+))?)$"
)
# The order within a turn: the attempts, their completion, the decision, the people's answers, the calls.
_PHASES = ("run", "model", "model.responded", "plan", "escalation", "call")
_STEPS = (
    *("opened", "requested", "failed", "responded", "decided", "approval", "refused", "ended"),
    *("announced", "replied", "answered", "intended", "reserved", "doubted", "settled", "corrected", "feedback"),
    "move_settled",
)
# The order within a round of approval.
_APPROVAL = ("approval_needed", "approval_requested", "approval_given", "approval_answered", "approval_void")


@dataclass(frozen=True)
class Key:
    """A key of the log in its parts. Without them in the key, ``index`` and ``round`` are 1, and ``number`` is 0.

    name    subject and step without the numbers, e.g. ``call.settled``
    place   sorts a run's events into the order of the work
    """

    seq: str
    turn: int
    name: str
    index: int
    round: int
    number: int
    place: tuple[int, int, int, int, int, int, int, str]

    @staticmethod
    @lru_cache(maxsize=16_384)
    def of(seq: str) -> "Key":
        """Return the parts of ``seq``. Raises ``ValueError`` if it is not a key."""
        match = SEQ.match(seq)
        if match is None:
            raise ValueError(f"{seq!r} is not a key of the log.")
        turn, step = int(match["turn"]), match["step"] or match["asked"]
        name = f"{match['kind']}.{step}"
        index, round_, number = int(match["index"] or 1), int(match["round"] or 1), int(match["number"] or 0)
        subject = name if name in _PHASES else match["kind"]
        phase = _PHASES.index(subject) if subject in _PHASES else len(_PHASES)
        within = 0
        if step in _APPROVAL:  # one round after the other
            step, within = "approval", _APPROVAL.index(step)
        rank = _STEPS.index(step) if step in _STEPS else len(_STEPS)
        return Key(seq, turn, name, index, round_, number, (turn, phase, index, rank, round_, within, number, seq))
