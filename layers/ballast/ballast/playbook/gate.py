"""The gate: checks of a proposed call or answer, whoever proposed or changed it. Pure."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from ballast.contracts import Answer, Planner, RunRequest, ToolCall
from ballast.contracts.wire import text_or_length
from ballast.errors import MalformedArguments, RuleViolation, SchemaViolation, TooLarge, UnknownTool
from ballast.playbook.agents import HAND_OVER, hand_over_refusal
from ballast.playbook.arguments.strict_schema import MAX_DIGITS, out_of_bounds
from ballast.playbook.declaration import Effect
from ballast.playbook.first_prompt import ASK_REQUESTER
from ballast.playbook.load import Playbook
from ballast.playbook.rules import RunSoFar, run_rule
from ballast.playbook.tool import FORM_DEPTH, FORM_TIMES, Tool
from ballast.run import Run
from ballast.validation import (
    answer_too_large,
    fit_schema,
    opening_sources,
    run_sources,
    too_large,
    unknown_values,
    why_no_object,
)
from ballast.validation.answers import CheckedAnswer
from ballast.validation.sources import rejected_sources


def admit_call(
    playbook: Playbook,
    call: ToolCall,
    request: RunRequest,
    planner: Planner,
    run: Callable[[], RunSoFar],
    *,
    by_operator: bool = False,
    changed: bool = False,
    unasked: str | None = None,
) -> tuple[Tool, BaseModel]:
    """Return the tool and its arguments, read from their one JSON form. Raises a ``CallRefused`` with the reason.

    ``playbook`` is the one of the agent in charge. Checks, in order: the tool exists (and, for the agent and for people
    except operators, is offered; for the agent, is among its ``tools``); the request's
    intent allows the write (for the agent and for people); JSON; size; schema; the size of the form, and of the undo's
    arguments; the tool's ``validate``, which may read the ``run`` so far. ``by_operator``: the proposing person is an
    operator. ``changed``: a person has changed the arguments. ``unasked``: why no model could be asked of the agent to
    which the call would hand over.
    """
    free = planner not in (Planner.AGENT, Planner.PERSON)
    known = {name: made for name, made in playbook.tools.items() if made.offered or free or by_operator}
    if planner is Planner.AGENT:
        known = {name: made for name, made in known.items() if playbook.agent.offers(name)}
    tool = known.get(call.tool)
    if call.tool == ASK_REQUESTER and playbook.agent.ask_requester:
        form = '{"question": "…"} in at most 2000 characters of plain words, without reasoning or calls in them'
        raise RuleViolation(f"{ASK_REQUESTER} must be the only call of its turn, with {form}.")
    if call.tool == HAND_OVER and planner is Planner.AGENT and playbook.agent.hand_over_to:
        raise RuleViolation(hand_over_refusal(playbook, call, request.intent, unasked))
    if tool is None:
        raise UnknownTool(f"There is no tool named {text_or_length(call.tool, 80)!r}. Tools: {', '.join(known)}.")
    undoes = by_operator and not tool.offered
    if tool.effect is Effect.WRITE and not (free or undoes) and not playbook.agent.may_write(tool.name, request.intent):
        raise RuleViolation(f"{tool.name} is not for a request about {request.intent}, whatever a text may say.")
    # Other planners pass on whole forms, with every default, so the bounds of forms apply.
    sent = planner in (Planner.AGENT, Planner.REQUESTER) and not changed
    arguments = _sent_object(tool, call.arguments, sent=sent)
    checked = run_rule(f"{tool.name}: a validator of its arguments", lambda: tool.read(arguments), tool.arguments)
    _check_form_and_undo(playbook, tool, checked)
    complaint = tool.complaint(checked, request, run)
    if complaint:
        raise RuleViolation(f"{tool.name}: {complaint}")
    return tool, checked


def _sent_object(tool: Tool, arguments: Any, *, sent: bool) -> dict[str, Any]:
    if not isinstance(arguments, dict):
        why = ""
        if isinstance(arguments, str):
            why = why_no_object(arguments) or "it is an object inside a text; send the object itself"
        raise MalformedArguments(
            f"{tool.name}: the arguments must be one JSON object, not {type(arguments).__name__}"
            f"{f' ({why})' if why else ''}. Send an object with: {', '.join(tool.argument_names)}."
        )
    if (where := out_of_bounds(arguments)) is not None:
        raise SchemaViolation(f"{tool.name}: {where}: must be a finite number of at most {MAX_DIGITS} digits.")
    most, deepest = tool.limits.argument_bytes, tool.limits.depth
    if not sent:
        most, deepest = FORM_TIMES * most, FORM_DEPTH
    problem = too_large(arguments, max_bytes=most, max_depth=deepest)
    if problem:
        raise TooLarge(f"{tool.name}: the arguments are {problem}.")
    return arguments


def _check_form_and_undo(playbook: Playbook, tool: Tool, checked: BaseModel) -> None:
    """Check the form against the tool's limits, and its undo's arguments against the undo's: no effect without its
    undo.

    Only the arguments of an undo that takes the call's own are known before the effect.
    """
    try:
        form = tool.bounded_form(checked)
    except SchemaViolation as number:
        raise SchemaViolation(f"{tool.name}: {number}.") from None
    undo = playbook.tools.get(tool.undo or "")
    if undo is None or tool.undo_arguments is not None:
        return
    try:
        undo.call(**form)
    except (SchemaViolation, TooLarge) as refused:
        why = f"the call was not made because its undo would be refused: {refused}"
        raise type(refused)(f"{tool.name}: {why}") from None


def check_answer(run: Run, playbook: Playbook, turn: int, answer: Answer) -> CheckedAnswer:
    """Return that turn's answer in the form of its intent's schema, with the complaints against it."""
    request, agent = run.opening.request, playbook.agent
    large = answer_too_large(answer)
    if large is not None:
        return CheckedAnswer(answer, (large,))
    read = fit_schema(answer, agent.answer_schema(request.intent))
    if read.complaints or not agent.ground_answers:
        return read
    unknown = made_up(run, playbook, turn, read.answer)
    return CheckedAnswer(
        read.answer, tuple(f"{what} does not occur in the request, the caller's facts or a result" for what in unknown)
    )


def made_up(run: Run, playbook: Playbook, turn: int, answer: Answer) -> tuple[str, ...]:
    """Return the amounts and ids of that turn's answer that occur neither in the run nor in the playbook's words."""
    agent = playbook.agent
    sources = (*opening_sources(run.opening.request), *run_sources(run, playbook.tools, before_turn=turn))
    sources = (*sources, *rejected_sources(run, before_turn=turn))
    own_words = [agent.instructions, *(made.summary for made in playbook.tools.values() if not made.foreign)]
    return unknown_values(answer, sources, own_words, agent.answer_ids)
