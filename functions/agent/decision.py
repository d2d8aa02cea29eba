"""Decide what follows from a completion: calls within their limits, a clarification, an answer that may be sent. Pure.

::

    calls ─ over a limit ─▶ hand-over to the next planner
          ├ one question to the requester ─▶ hand-over to the requester, whose reply is the call's result
          └ else ─▶ the calls
    answer ─ no complaint ─▶ sent
           └ complaints ─▶ hand-over to the agent itself (``refused_answer`` in ``model.responded``)
                             └ complaints again ─▶ hand-over with ``answer_invalid``; to a person if effects stand
    nothing, or reasoning alone ─▶ hand-over to the agent itself, whatever the stop reason
                             └ nothing again ─▶ hand-over with ``empty_answer``, or with the stop reason's own;
                                                to a person if there is some text and effects stand

The agent is asked again only if a turn is left.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Limits, Planner, ToolCall
from ballast.contracts.limits import HistoryUsed
from ballast.contracts.wire import text_or_length
from ballast.folds.usage import Counts
from ballast.log.events import ModelRequested, ModelResponded
from ballast.playbook import Playbook
from ballast.playbook.first_prompt import ASK_REQUESTER, Question
from ballast.playbook.gate import check_answer
from ballast.run import Run
from ballast.validation import answer_too_large, fit_schema
from ballast.validation.schema import Schema
from ballast.values import dataclass
from functions.agent.calls_in_text import call_in_text
from functions.agent.reasoning_in_text import answer_of_object, visible_text
from functions.agent.reply import Completion

#: The complaint that is recorded against a reply without a call and without words. ``_said_nothing`` reads it back.
_NOTHING = "it said nothing"

Decided = CallTools | Answer | HandOver


@dataclass(frozen=True)
class Decider:
    """Decides one turn of a run; ``successor`` returns the planner to hand over to for a reason."""

    run: Run
    turn: int
    playbook: Playbook
    successor: Callable[[ExitReason], Planner]

    def decide(self, completion: Completion, history: HistoryUsed) -> tuple[Decided, tuple[str, ...]]:
        """Return the decision, and the complaints against the completion if it has to be written again."""
        decision = self._within_limits(completion, history)
        if isinstance(decision, HandOver) and completion.nothing:
            return self._after_nothing(decision, completion)
        return self._checked(decision) if isinstance(decision, Answer) else (decision, ())

    def _within_limits(self, completion: Completion, history: HistoryUsed) -> Decided:
        decision, reason = completion.decision, completion.reason
        if not isinstance(decision, CallTools):
            return decision or self._hand_over(reason)
        limit = calls_limit(self.run.opening.limits, self.run.counts, decision.calls)
        if limit is None and not history.agent_has_room(len(decision.calls)):
            limit = ExitReason.HISTORY_LIMIT
        if limit is not None:
            return self._hand_over(limit)
        question = None
        if self.playbook.agent.ask_requester:
            question = question_to_requester(decision, callable_names(self.playbook))
        return question or decision

    def _after_nothing(self, decision: HandOver, completion: Completion) -> tuple[HandOver, tuple[str, ...]]:
        if _said_nothing_before(self.run) or not self._has_turn_left():
            # The text may be an answer that only looks like reasoning: a person reads it, and no effect is undone.
            ended = decision.reason is ExitReason.EMPTY_ANSWER and completion.written
            stays = ended and self.run.standing.effects
            return (HandOver(to=Planner.PERSON, reason=decision.reason) if stays else decision), ()
        tag = (text_or_length(" ".join(completion.tag.split()), 40),) if completion.tag else ()
        return HandOver(to=Planner.AGENT, reason=ExitReason.EMPTY_ANSWER), (_NOTHING, *tag)

    def _checked(self, answer: Answer) -> tuple[Answer | HandOver, tuple[str, ...]]:
        if self._schema is None:
            answer = answer.model_copy(update={"text": answer_of_object(answer.text)})
        read = check_answer(self.run, self.playbook, self.turn, answer)
        complaints = self._calls_in(answer) or read.complaints
        if not complaints:
            return read.answer, ()
        if not _refused_before(self.run) and self._has_turn_left():
            return HandOver(to=Planner.AGENT, reason=ExitReason.ANSWER_INVALID), tuple(complaints)
        if self.run.standing.effects:
            # A refused answer does not make the effects wrong: they stay, and a person writes the answer.
            return HandOver(to=Planner.PERSON, reason=ExitReason.ANSWER_INVALID), tuple(complaints)
        return self._hand_over(ExitReason.ANSWER_INVALID), tuple(complaints)

    def _calls_in(self, answer: Answer) -> tuple[str, ...]:
        """Return the complaint against an answer that is a call written as text; one that is too long is not searched.

        An answer that fits the form of the intent is an answer, whatever its fields are called.
        """
        schema = self._schema
        if answer_too_large(answer) or (schema is not None and not fit_schema(answer, schema).complaints):
            return ()
        found = call_in_text(answer.text, callable_names(self.playbook), structured=schema is not None)
        return (f"{found}; if you need it, make the call itself, otherwise use other words",) if found else ()

    @property
    def _schema(self) -> Schema | None:
        return self.playbook.agent.answer_schema(self.run.opening.request.intent)

    def _hand_over(self, reason: ExitReason) -> HandOver:
        return HandOver(to=self.successor(reason), reason=reason)

    def _has_turn_left(self) -> bool:
        opened = self.run.opening
        taken = {asked.turn for asked in self.run.facts(ModelRequested) if asked.turn > opened.granted_turn}
        return len(taken | {self.turn}) < opened.limits.turns


def calls_limit(limits: Limits, made: Counts, proposed: Sequence[ToolCall]) -> ExitReason | None:
    """Return the limit that the ``proposed`` calls together would exceed, or None."""
    after = made.with_calls(proposed)
    if after.tool_calls > limits.tool_calls:
        return ExitReason.TOOL_CALL_LIMIT
    if max(after.calls.values(), default=0) > limits.calls_per_tool:
        return ExitReason.TOOL_LIMIT
    if after.repeated_calls > limits.repeated_calls:
        return ExitReason.REPEATED_CALL_LIMIT
    return None


def question_to_requester(decision: CallTools, tools: Collection[str] = ()) -> HandOver | None:
    """Return the hand-over to the requester if ``decision`` is one well-formed question, else None.

    A question is words only: its reasoning is removed, and one that holds a call of one of the ``tools`` is not well
    formed. The executor refuses any other call of ``ask_requester`` and tells the model why.
    """
    if len(decision.calls) != 1 or decision.calls[0].tool != ASK_REQUESTER:
        return None
    try:
        sent = Question.model_validate(decision.calls[0].arguments)
    except ValidationError:
        return None
    words = answer_of_object(visible_text(sent.question).text)
    if not words or call_in_text(words, tools if isinstance(tools, Mapping) else {*tools, ASK_REQUESTER}):
        return None
    return HandOver(to=Planner.REQUESTER, reason=ExitReason.QUESTION, guidance=words)


def callable_names(playbook: Playbook) -> Mapping[str, Collection[str]]:
    """Return the names of the tools that the playbook's agent may call, each with its parameters' names."""
    return {name: made.argument_names for name, made in playbook.tools.items()} | {ASK_REQUESTER: ("question",)}


# What the log says of earlier completions


def refused_answer_notice(run: Run) -> list[dict[str, Any]]:
    """Return the text that tells the model why its newest answer was not sent; empty if it was, or had none."""
    last = _newest(run)
    if last is None or not last.refused_answer:
        return []
    if not _said_nothing(last):
        text = (
            f"Your answer was not sent: {'; '.join(last.refused_answer)}. "
            "Correct this and write the whole answer again. Use only amounts and numbers that "
            "occur in the request, in the facts or in a tool's result."
        )
    elif last.stop_reason == ExitReason.MAX_TOKENS:
        text = (
            "Your last reply said nothing. It was cut at its limit of tokens: think less. "
            "Write the answer in plain words, or call a tool."
        )
    else:
        tag = last.refused_answer[1] if last.refused_answer[1:] else None
        why = f" {tag!r} marks reasoning, which is not sent: write an answer without it." if tag else ""
        text = f"Your last reply said nothing.{why} Write the answer in plain words, or call a tool."
    return [{"text": text}]


def _newest(run: Run) -> ModelResponded | None:
    responded = run.facts(ModelResponded)
    return responded[-1] if responded else None


def _said_nothing(completion: ModelResponded) -> bool:
    return (completion.refused_answer or ("",))[0] == _NOTHING


def _said_nothing_before(run: Run) -> bool:
    """Say whether the completion before this one said nothing either, with no other planner's decision in between."""
    last = _newest(run)
    return last is not None and _said_nothing(last) and max(run.proposals) == last.turn


def _refused_before(run: Run) -> bool:
    """Say whether an answer was refused since a person last handed back to the agent."""
    granted = run.opening.granted_turn
    return any(one.turn > granted and one.refused_answer is not None for one in run.facts(ModelResponded))
