"""The gate: what a proposed call must pass before anything happens, whoever proposes or changes it. Pure."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from ballast.contracts import Planner, RunRequest, ToolCall
from ballast.contracts.wire import whole
from ballast.errors import MalformedArguments, RuleViolation, SchemaViolation, TooLarge, UnknownTool
from ballast.playbook.defect import ask
from ballast.playbook.form import MAX_DIGITS, out_of_bounds
from ballast.playbook.load import Playbook
from ballast.playbook.opening import ASK_REQUESTER
from ballast.playbook.run import RunSoFar
from ballast.playbook.tool import Effect, Tool
from ballast.validation import too_large, why_no_object


def admit_call(
    playbook: Playbook,
    call: ToolCall,
    request: RunRequest,
    planner: Planner,
    run: Callable[[], RunSoFar],
    *,
    by_operator: bool = False,
) -> tuple[Tool, BaseModel]:
    """Return the tool and its arguments, as their one JSON form says them, or raise a ``CallRefused`` that says why.

    In order: unknown tool (for the agent and for people: also one that is not offered, which only an operator
    may call), a write that is not for the request's intent (for the same), malformed JSON, size, schema, the tool's
    own rule, which may ask for the ``run`` so far. ``by_operator``: the person who proposes it is an operator.
    """
    free = planner not in (Planner.AGENT, Planner.HUMAN)
    known = {name: made for name, made in playbook.tools.items() if made.offered or free or by_operator}
    tool = known.get(call.tool)
    if call.tool == ASK_REQUESTER and playbook.agent.ask_requester:
        form = '{"question": "…"} in at most 2000 characters of plain words, without reasoning or calls in them'
        raise RuleViolation(f"{ASK_REQUESTER} must be the only call of its turn, with {form}.")
    if tool is None:
        raise UnknownTool(f"There is no tool named {whole(call.tool, 80)!r}. Tools: {', '.join(known)}.")
    undoes = by_operator and not tool.offered
    if tool.effect is Effect.WRITE and not (free or undoes) and not playbook.agent.may_write(tool.name, request.intent):
        raise RuleViolation(f"{tool.name} is not for a request about {request.intent}, whatever a text may say.")
    arguments = _object(tool, call.arguments)
    checked = ask(f"{tool.name}: a validator of its arguments", lambda: tool.read(arguments), tool.arguments)
    complaint = tool.complaint(checked, request, run)
    if complaint:
        raise RuleViolation(f"{tool.name}: {complaint}")
    return tool, checked


def _object(tool: Tool, arguments: Any) -> dict[str, Any]:
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
    problem = too_large(arguments, max_bytes=tool.argument_bytes, max_depth=tool.depth)
    if problem:
        raise TooLarge(f"{tool.name}: the arguments are {problem}.")
    return arguments
