"""One entry of the log, and the deterministic keys that give entries their order."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field

from ballast.contracts.planner import Planner
from ballast.contracts.wire import Wire, canonical, sha256

#: The last turn number that a key can carry; the run's ending uses it, so it sorts last.
LAST_TURN = 9999

_SEQ = re.compile(
    r"^(?P<turn>[0-9]{4})\.(?P<kind>[a-z_]+)(?:\.(?P<index>[0-9]+))?\."
    r"(?:(?P<step>[a-z_.]+)|(?P<asked>approval_[a-z]+|doubted)\.(?P<round>[0-9]+)(?:\.(?P<number>[0-9]+))?)$"
)
# Within a turn: the attempts to ask, the completion that ended them, what was decided, what was done about it.
_PHASES = ("run", "model", "model.responded", "plan", "escalation", "call")
_STEPS = (
    "opened",
    "requested",
    "failed",
    "responded",
    "decided",
    "approval",
    "refused",
    "ended",
    "announced",
    "replied",
    "answered",
    "intended",
    "reserved",
    "doubted",
    "settled",
    "corrected",
)
#: What reading an event raises that is not as Ballast writes it. Whoever may write the log may put any item there.
GARBLED = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
#: What the executor writes where nobody answered: it says nothing, and lets nothing happen.
_NOBODYS = {"escalation_id", "approve", "by", "comment", "agent_until_ms", "deadline_ms"}
# Within a round of asking for an approval.
_APPROVAL = (
    "approval_needed",
    "approval_requested",
    "approval_given",
    "approval_answered",
    "approval_void",
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
    _shown: dict[str, Any] | None = None
    _stored: tuple[tuple[str, str], ...] = ()

    def with_shown(self, shown: dict[str, Any]) -> "Event":
        """Return the same event, of which everybody may see ``shown``, and whose ``body`` few may."""
        made = self.model_copy()
        made._shown = shown
        return made

    @property
    def stored(self) -> tuple[tuple[str, str], ...]:
        """What the log keeps beside ``body``, by name: the attributes of indexes, the expiry, a hash of ciphertexts."""
        return self._stored

    def with_stored(self, stored: Mapping[str, str]) -> "Event":
        """Return the same event, which knows what the log keeps beside its body."""
        made = self.model_copy()
        made._stored = tuple(sorted(stored.items()))
        return made

    @property
    def shown(self) -> dict[str, Any]:
        """The body as everybody may see it: sensitive values masked."""
        return self.body if self._shown is None else self._shown

    @property
    def turn(self) -> int:
        """The turn that it belongs to; 0 is the opening, ``LAST_TURN`` the ending."""
        return int(self.seq[:4])

    @property
    def name(self) -> str:
        """Subject and step without the numbers, e.g. ``call.settled``."""
        match = _parts(self.seq)
        return f"{match['kind']}.{match['step'] or match['asked']}"

    @property
    def index(self) -> int:
        """The position within the turn (of a call, or a model attempt); 1 where the key has none."""
        return int(_parts(self.seq)["index"] or 1)

    @property
    def round(self) -> int:
        """Which asking for an approval, or which attempt in doubt, it belongs to, from 1."""
        return int(_parts(self.seq)["round"] or 1)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the key and the body as it is shown: one for everybody, and no help in guessing a secret."""
        return sha256(f"{self.run_id}\0{self.seq}\0{canonical(self.shown)}")


@lru_cache(maxsize=8_192)
def _parts(seq: str) -> re.Match[str]:
    match = _SEQ.match(seq)
    if match is None:
        raise ValueError(f"{seq!r} is no key of the log.")  # the pattern of ``seq`` lets none through
    return match


def is_a_persons(name: str, body: Mapping[str, Any]) -> bool:
    """Say whether only a person may make an event of that name with that body: it counts only with a signature.

    Answers to escalations and questions, approvals and rejections; and whatever claims a person as its planner.
    """
    if name in ("escalation.answered", "call.approval_given"):
        return True
    if name == "call.approval_answered":
        nobodys = body.get("approve", "") is None and body.get("by") is None and not body.get("comment")
        return not nobodys or not set(body) <= _NOBODYS
    return name == "plan.decided" and body.get("planner") not in (Planner.AGENT, Planner.FALLBACK, Planner.ROLLBACK)


def order(event: Event) -> tuple[int, int, int, int, int, int, int, str]:
    """Return the sort key that puts a run's events into the order of the work."""
    match = _parts(event.seq)
    subject = event.name if event.name in _PHASES else match["kind"]
    phase = _PHASES.index(subject) if subject in _PHASES else len(_PHASES)
    step, within = match["step"] or match["asked"], 0
    if step in _APPROVAL:  # one round after the other
        step, within = "approval", _APPROVAL.index(step)
    rank = _STEPS.index(step) if step in _STEPS else len(_STEPS)
    return event.turn, phase, event.index, rank, event.round, within, int(match["number"] or 0), event.seq


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
