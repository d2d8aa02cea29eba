"""The deterministic keys of a run's log: what they say, and the order of the work that they give its events."""

import re
from dataclasses import dataclass
from functools import lru_cache

from ballast.contracts.task import LAST_TURN

#: The form of a key: turn, subject, position, step; of an approval also the round and the number of the answer.
SEQ = re.compile(
    r"^(?P<turn>[0-9]{4})\.(?P<kind>[a-z_]+)(?:\.(?P<index>[0-9]+))?\."
    r"(?:(?P<step>[a-z_.]+)|(?P<asked>approval_[a-z]+|doubted)\.(?P<round>[0-9]+)(?:\.(?P<number>[0-9]+))?)$"
)
# Within a turn: the attempts to ask, the completion that ended them, what was decided, what was done about it.
_PHASES = ("run", "model", "model.responded", "plan", "escalation", "call")
_STEPS = (
    *("opened", "requested", "failed", "responded", "decided", "approval", "refused", "ended"),
    *("announced", "replied", "answered", "intended", "reserved", "doubted", "settled", "corrected"),
)
# Within a round of asking for an approval.
_APPROVAL = ("approval_needed", "approval_requested", "approval_given", "approval_answered", "approval_void")


@dataclass(frozen=True)
class Key:
    """A key of the log in its parts. ``index`` and ``round`` are 1 and ``number`` is 0 where the key has none.

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
        """Return the parts of ``seq``. Raises ``ValueError`` if it is no key."""
        match = SEQ.match(seq)
        if match is None:
            raise ValueError(f"{seq!r} is no key of the log.")
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


def run_seq(step: str) -> str:
    """Return the key of the run's opening (``opened``, ``refused``) or its ending (``ended``).

    After the ending come what was charged (``settled``) and who was told: ``announced`` (an event), ``replied``
    (the caller's queue). An operator may correct the charge (``corrected_seq``).
    """
    return f"{LAST_TURN if step in ('ended', 'settled', 'announced', 'replied') else 0:04d}.run.{step}"


def corrected_seq(number: int) -> str:
    """Return the key of an operator's correction of what the run was settled at; ``number`` counts from 1."""
    return f"{LAST_TURN}.run.corrected" if number == 1 else f"{LAST_TURN}.run.{number}.corrected"


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


def doubt_seq(turn: int, index: int, number: int) -> str:
    """Return ``0003.call.1.doubted`` for the first attempt that ended in doubt, ``….doubted.2`` for the second."""
    seq = call_seq(turn, index, "doubted")
    return seq if number == 1 else f"{seq}.{number}"


def lease_seq(turn: int) -> str:
    """Return the key of the budget that a person's answer in that turn added, once it was taken from the windows."""
    return f"{turn:04d}.lease.extended"


def approval_seq(turn: int, index: int, step: str, round_: int = 1, number: int | None = None) -> str:
    """Return e.g. ``0003.call.1.approval_requested``; ``….approval_requested.2`` where it is asked again.

    ``step`` is needed, requested, given, answered or void; ``number`` counts the people who gave one of several.
    """
    seq = call_seq(turn, index, f"approval_{step}")
    if number is not None:
        return f"{seq}.{round_}.{number}"
    return seq if round_ == 1 else f"{seq}.{round_}"


def escalation_seq(turn: int, step: str) -> str:
    """Return e.g. ``0004.escalation.opened``."""
    return f"{turn:04d}.escalation.{step}"
