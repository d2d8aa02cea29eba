"""What people were asked about a call, round by round, and what they said.

A round is one asking. An approval that no longer holds is void, and a new round asks again::

    needed (by the executor: why, and to what it is bound) ─▶ requested (people are told)
      ─▶ given … (one of several) ─▶ answered: approved │ rejected │ nobody answered in time
      ─▶ void (what it was bound to has moved) ─▶ needed, round 2
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ballast.log.event import Event


@dataclass(frozen=True)
class ApprovalRound:
    """One asking about one call.

    needed     why a person is asked and what the approval is bound to; None where an older version asked
    requested  what people were told
    given      the approvals so far, where several people must approve
    answer     None while nobody answered; its ``approve`` is None where nobody did in time
    void       what had moved when the approved call was about to act
    """

    number: int
    needed: Mapping[str, Any] | None = None
    requested: Mapping[str, Any] | None = None
    given: tuple[Mapping[str, Any], ...] = ()
    answer: Mapping[str, Any] | None = None
    void: Mapping[str, Any] | None = None

    @property
    def unanswered(self) -> bool:
        """Whether it was waited for in vain. That is no rejection."""
        return self.answer is not None and self.answer.get("approve") is None

    @property
    def parked(self) -> bool:
        """Whether people were given the long time, after nobody had answered in the short one."""
        return bool((self.needed or {}).get("parked"))


def approval_rounds(events: Sequence[Event], turn: int, index: int) -> tuple[ApprovalRound, ...]:
    """Return the rounds of asking about the call at that position, oldest first; none where nobody was asked."""
    rounds: dict[int, ApprovalRound] = {}
    for event in events:
        if event.turn != turn or event.index != index or not event.name.startswith("call.approval_"):
            continue
        known = rounds.get(event.round, ApprovalRound(event.round))
        rounds[event.round] = _after(known, event)
    return tuple(rounds[number] for number in sorted(rounds))


def _after(known: ApprovalRound, event: Event) -> ApprovalRound:
    match event.name:
        case "call.approval_needed":
            return replace(known, needed=event.body)
        case "call.approval_requested":
            return replace(known, requested=event.body)
        case "call.approval_given":
            return replace(known, given=(*known.given, event.body))
        case "call.approval_answered":
            return replace(known, answer=event.body)
        case "call.approval_void":
            return replace(known, void=event.body)
    return known


def approval_given_up(events: Sequence[Event], turn: int) -> bool:
    """Say whether in that turn a call waited for an approval in vain, and its tool wants another planner then."""
    return any(
        event.turn == turn and event.name == "call.settled" and event.body.get("unanswered") == "fallback"
        for event in events
    )


def decided_by_operator(events: Sequence[Event], turn: int) -> bool:
    """Say whether an operator proposed the calls of that turn."""
    answers = (event for event in events if event.turn == turn and event.name == "escalation.answered")
    return any(event.body.get("role") == "operator" for event in answers)
