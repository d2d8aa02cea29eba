"""What becomes of a reply that may not be sent, or that says nothing: the model is asked once more. Pure.

::

    answer ─ nothing against it ─▶ sent
           └ complaints ─▶ hand-over to the agent itself (``refused_answer`` in ``model.responded``)
                             └ complaints again ─▶ hand-over with ``answer_invalid``; where writes stand, to a person
    nothing, or reasoning alone ─▶ hand-over to the agent itself, whatever the stop reason
                             └ nothing again ─▶ hand-over with ``empty_answer``, or what the stop reason says

Where no turn is left, the model is not asked once more.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner
from ballast.folds import Prompt, opening, proposals, standing
from ballast.log.event import Event
from ballast.playbook import Playbook
from ballast.playbook.answers import judged
from ballast.playbook.opening import ASK_REQUESTER
from ballast.run import Run
from ballast.validation import too_long
from functions.planner.prose import call_in_prose

#: Where ``model.responded`` says what was against its answer.
REFUSED = "refused_answer"
_NOTHING = "it said nothing"

Decided = CallTools | Answer | HandOver


def checked(
    events: Sequence[Event],
    playbook: Playbook,
    turn: int,
    decision: Decided,
    successor: Callable[[ExitReason], Planner],
    *,
    nothing: bool,
) -> tuple[Decided, dict[str, Any]]:
    """Return what stands of ``decision``, and what is recorded with it. ``nothing``: ``Completion.nothing``."""
    if isinstance(decision, HandOver) and nothing:
        if _said_nothing_before(events) or not _has_turn_left(events, turn):
            return decision, {}
        return HandOver(to=Planner.AGENT, reason=ExitReason.EMPTY_ANSWER), {REFUSED: [_NOTHING]}
    if not isinstance(decision, Answer):
        return decision, {}
    read = judged(Run.of(events), playbook, turn, decision)
    complaints = _called(events, playbook, decision) or read.complaints
    if not complaints:
        return read.answer, {}
    to = Planner.AGENT
    if _refused_before(events) or not _has_turn_left(events, turn):
        # What was done is not wrong because its words are: nothing is rolled back, a person finds the words.
        to = Planner.HUMAN if standing(events).effects else successor(ExitReason.ANSWER_INVALID)
    return HandOver(to=to, reason=ExitReason.ANSWER_INVALID), {REFUSED: list(complaints)}


def _called(events: Sequence[Event], playbook: Playbook, answer: Answer) -> tuple[str, ...]:
    """Return what is against an answer that is a call written as text; one that is too long is not searched."""
    if too_long(answer):
        return ()
    formal = playbook.agent.answer_schema(opening(events).request.intent) is not None
    found = call_in_prose(answer.text, {*playbook.tools, ASK_REQUESTER}, formal=formal)
    return (f"{found}; make the call itself if you need it",) if found else ()


def sent_back(events: Sequence[Event], prompt: Prompt) -> list[dict[str, Any]]:
    """Return what the model is told of its last answer, where that was not sent."""
    last = next((event for event in events if event.seq == prompt.after), None)
    complaints = last.body.get(REFUSED) if last is not None else None
    if last is None or not complaints:
        return []
    if complaints == [_NOTHING]:
        cut = last.body.get("stop_reason") == ExitReason.MAX_TOKENS
        why = " It was cut at its limit of tokens: think less." if cut else ""
        return [{"text": f"Your last reply said nothing.{why} Write the answer in plain words, or call a tool."}]
    text = (
        f"Your answer was not sent: {'; '.join(complaints)}. Write the whole answer again without that. "
        "Name only amounts and numbers that the request, a fact or a result names."
    )
    return [{"text": text}]


def _refused_before(events: Sequence[Event]) -> bool:
    """Say whether an answer was refused since a person last handed back to the agent."""
    granted = opening(events).granted_turn
    return any(event.name == "model.responded" and event.turn > granted and REFUSED in event.body for event in events)


def _said_nothing_before(events: Sequence[Event]) -> bool:
    """Say whether the completion before this one said nothing either, and nobody else has decided since."""
    last = next((event for event in reversed(events) if event.name == "model.responded"), None)
    if last is None or last.body.get(REFUSED) != [_NOTHING]:
        return False
    return max(proposals(events)) == last.turn


def _has_turn_left(events: Sequence[Event], turn: int) -> bool:
    """Say whether the agent may take another turn after ``turn``."""
    opened = opening(events)
    taken = {event.turn for event in events if event.name == "model.requested" and event.turn > opened.granted_turn}
    return len(taken | {turn}) < opened.limits.turns
