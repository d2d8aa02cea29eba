"""What becomes of an answer that may not be sent: the model mends it once, then others go on. Pure.

::

    answer ─ nothing against it ─▶ sent
           └ complaints ─▶ hand-over to the agent itself (``refused_answer`` in ``model.responded``)
                             └ complaints again ─▶ hand-over with ``answer_invalid``; where writes stand, to a person
"""

from collections.abc import Callable, Sequence
from typing import Any

from ballast.contracts import Answer, CallTools, Event, ExitReason, HandOver, Planner
from ballast.folds import Prompt, opening, standing
from ballast.playbook import Playbook
from ballast.playbook.answers import judged

#: Where ``model.responded`` says what was against its answer.
REFUSED = "refused_answer"

Decided = CallTools | Answer | HandOver


def checked(
    events: Sequence[Event],
    playbook: Playbook,
    turn: int,
    decision: Decided,
    successor: Callable[[ExitReason], Planner],
) -> tuple[Decided, dict[str, Any]]:
    """Return what stands of ``decision``, and what is recorded with it."""
    if not isinstance(decision, Answer):
        return decision, {}
    read = judged(events, playbook, turn, decision)
    if not read.complaints:
        return read.answer, {}
    to = Planner.AGENT
    if _refused_before(events):
        # What was done is not wrong because its words are: nothing is rolled back, a person finds the words.
        to = Planner.HUMAN if standing(events).effects else successor(ExitReason.ANSWER_INVALID)
    return HandOver(to=to, reason=ExitReason.ANSWER_INVALID), {REFUSED: list(read.complaints)}


def sent_back(events: Sequence[Event], prompt: Prompt) -> list[dict[str, Any]]:
    """Return what the model is told of its last answer, where that was not sent."""
    last = next((event for event in events if event.seq == prompt.after), None)
    complaints = last.body.get(REFUSED) if last is not None else None
    if not complaints:
        return []
    text = (
        f"Your answer was not sent: {'; '.join(complaints)}. Write the whole answer again without that. "
        "Name only amounts and numbers that the request, a fact or a result names."
    )
    return [{"text": text}]


def _refused_before(events: Sequence[Event]) -> bool:
    """Say whether an answer was refused since a person last handed back to the agent."""
    granted = opening(events).granted_turn
    return any(event.name == "model.responded" and event.turn > granted and REFUSED in event.body for event in events)
