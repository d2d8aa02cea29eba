"""What becomes of a reply that may not be sent, or that says nothing: the model is asked once more. Pure.

::

    answer ─ nothing against it ─▶ sent
           └ complaints ─▶ hand-over to the agent itself (``refused_answer`` in ``model.responded``)
                             └ complaints again ─▶ hand-over with ``answer_invalid``; where writes stand, to a person
    nothing, or reasoning alone ─▶ hand-over to the agent itself, whatever the stop reason
                             └ nothing again ─▶ hand-over with ``empty_answer``, or what the stop reason says; where
                                                there is a text and writes stand, to a person

Where no turn is left, the model is not asked once more.
"""

from collections.abc import Callable
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner
from ballast.contracts.wire import text_or_length
from ballast.log.events import ModelRequested, ModelResponded
from ballast.playbook import Playbook
from ballast.playbook.gate import check_answer
from ballast.run import Run
from ballast.validation import answer_too_large, fit_schema
from ballast.validation.schema import Schema
from functions.agent.completion import Completion
from functions.agent.prose import call_in_prose
from functions.agent.question import callable_by
from functions.agent.spoken import answer_of_object

#: What is recorded against a reply that is no answer.
_NOTHING = "it said nothing"

Decided = CallTools | Answer | HandOver


def checked(
    run: Run,
    playbook: Playbook,
    turn: int,
    decision: Decided,
    successor: Callable[[ExitReason], Planner],
    completion: Completion,
) -> tuple[Decided, tuple[str, ...]]:
    """Return what stands of ``decision``, and the complaints against it; ``completion`` is what it was read from."""
    if isinstance(decision, HandOver) and completion.nothing:
        if _said_nothing_before(run) or not _has_turn_left(run, turn):
            # The words may be an answer that only looks like reasoning: a person reads it, nothing is rolled back.
            ended = decision.reason is ExitReason.EMPTY_ANSWER and completion.written
            stays = ended and run.standing.effects
            return (HandOver(to=Planner.HUMAN, reason=decision.reason) if stays else decision), ()
        tag = (text_or_length(" ".join(completion.tag.split()), 40),) if completion.tag else ()
        return HandOver(to=Planner.AGENT, reason=ExitReason.EMPTY_ANSWER), (_NOTHING, *tag)
    if not isinstance(decision, Answer):
        return decision, ()
    if _schema(run, playbook) is None:
        decision = decision.model_copy(update={"text": answer_of_object(decision.text)})
    read = check_answer(run, playbook, turn, decision)
    complaints = _called(run, playbook, decision) or read.complaints
    if not complaints:
        return read.answer, ()
    to = Planner.AGENT
    if _refused_before(run) or not _has_turn_left(run, turn):
        # What was done is not wrong because its words are: nothing is rolled back, a person finds the words.
        to = Planner.HUMAN if run.standing.effects else successor(ExitReason.ANSWER_INVALID)
    return HandOver(to=to, reason=ExitReason.ANSWER_INVALID), tuple(complaints)


def _called(run: Run, playbook: Playbook, answer: Answer) -> tuple[str, ...]:
    """Return what is against an answer that is a call written as text; one that is too long is not searched.

    What fits the form that the intent asks for is the answer, whatever its fields are called.
    """
    schema = _schema(run, playbook)
    if answer_too_large(answer) or (schema is not None and not fit_schema(answer, schema).complaints):
        return ()
    found = call_in_prose(answer.text, callable_by(playbook), formal=schema is not None)
    return (f"{found}; make the call itself if you need it, or write it in other words",) if found else ()


def _schema(run: Run, playbook: Playbook) -> Schema | None:
    return playbook.agent.answer_schema(run.opening.request.intent)


def sent_back(run: Run) -> list[dict[str, Any]]:
    """Return what the model is told of its last answer, where that was not sent."""
    last = _newest(run)
    if last is None or not last.refused_answer:
        return []
    if _says_nothing(last):
        cut = last.stop_reason == ExitReason.MAX_TOKENS
        why = " It was cut at its limit of tokens: think less." if cut else ""
        if not why and last.refused_answer[1:]:
            why = f" What {last.refused_answer[1]!r} marks was read as reasoning: if it is none, name no such tag."
        return [{"text": f"Your last reply said nothing.{why} Write the answer in plain words, or call a tool."}]
    text = (
        f"Your answer was not sent: {'; '.join(last.refused_answer)}. Write the whole answer again without that. "
        "Name only amounts and numbers that the request, a fact or a result names."
    )
    return [{"text": text}]


def _newest(run: Run) -> ModelResponded | None:
    """Return the newest completion, with which the prompt ends so far."""
    responded = run.facts(ModelResponded)
    return responded[-1] if responded else None


def _says_nothing(completion: ModelResponded) -> bool:
    return (completion.refused_answer or ("",))[0] == _NOTHING


def _refused_before(run: Run) -> bool:
    """Say whether an answer was refused since a person last handed back to the agent."""
    granted = run.opening.granted_turn
    return any(one.turn > granted and one.refused_answer is not None for one in run.facts(ModelResponded))


def _said_nothing_before(run: Run) -> bool:
    """Say whether the completion before this one said nothing either, and nobody else has decided since."""
    last = _newest(run)
    return last is not None and _says_nothing(last) and max(run.proposals) == last.turn


def _has_turn_left(run: Run, turn: int) -> bool:
    """Say whether the agent may take another turn after ``turn``."""
    opened = run.opening
    taken = {asked.turn for asked in run.facts(ModelRequested) if asked.turn > opened.granted_turn}
    return len(taken | {turn}) < opened.limits.turns
