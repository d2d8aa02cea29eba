"""Findings about the script of a scenario: calls that are refused, and what a run as it stands there cannot become.

::

    the request's agent ─ its replies, one a turn ─▶ a hand_over that is right ─▶ the next agent's replies

Who is in charge is followed as long as that is certain. Where it is not, a call is held to its tool alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from ballast.contracts import RunRequest, ToolCall
from ballast.errors import BallastError, InvalidInput, SchemaViolation
from ballast.playbook import Effect, Playbook, Tool
from ballast.playbook.agents import HAND_OVER, hand_over_of, hand_over_refusal, handed, unread_agents, why_no_hand_over
from ballast.playbook.first_prompt import ASK_REQUESTER
from cli.checks import Finding
from cli.checks.hand_overs import names_no_tool, strangers
from localcloud.converse.script import Call, Script, Step
from localcloud.scenarios import Scenario

#: Converse's names of ``usage``.
_USAGE = ("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens")


def script_findings(scenario: Scenario, script: Script, playbook: Playbook, *, whole: bool) -> Iterator[Finding]:
    """Yield what a script says that nothing reads, and what its calls and the scenario contradict.

    Unless ``whole``, a tool may be missing for another reason.
    """
    file, refusals = str(scenario.script), scenario.expect.refused
    for number, step, made in _in_charge(scenario, script, playbook):
        yield from _usage(step, file, f"turns.{number}.usage")
        for call in step.call or () if refusals == () else ():
            field, tool = f"turns.{number}.call", playbook.tools.get(call.tool)
            if tool is None and call.tool not in (HAND_OVER, ASK_REQUESTER):
                if whole:
                    yield _no_tool(call, playbook, file, field)
            elif made is not None and (why := _refused(call, step, made, scenario.request)):
                said, error = why
                said += ": the call is refused, and the scenario expects no refused call."
                remedy = f"Correct the call or its place in the script, or expect `refused: [{error}]`."
                yield Finding("warning", file, field, said, remedy)
            elif tool is not None:
                yield from _arguments_of(tool, call.arguments, file, field)
    if whole and scenario.expect.by == "agent" and not any(one.decision for one in scenario.people):
        yield from _never_called(scenario, script, playbook)
        yield from _never_answered(scenario, script, playbook)


def _usage(step: Step, file: str, field: str) -> Iterator[Finding]:
    for name in step.usage or ():
        if name not in _USAGE:
            near = get_close_matches(name.replace("_", ""), _USAGE, n=1)
            remedy = f"Write `{near[0]}`." if near else f"Write one of {', '.join(_USAGE)}."
            yield Finding("warning", file, field, f"Converse's usage has no {name}, so it counts nothing.", remedy)


def _no_tool(call: Call, playbook: Playbook, file: str, field: str) -> Finding:
    near = get_close_matches(call.tool, playbook.tools, n=1)
    said = f"There is no tool {call.tool}: the call is refused, and the scenario expects no refused call."
    remedy = f"Write `{near[0]}`, or" if near else "Correct it, or"
    return Finding("warning", file, field, said, f"{remedy} expect `refused: [UnknownTool]`.")


# Who is in charge


def _first(scenario: Scenario, playbook: Playbook) -> Playbook | None:
    """Return the playbook as the request's agent has it; None if it is not certain."""
    agent = playbook.agents.get(scenario.request.agent or playbook.agent.name)
    known = agent is not None and agent.knows(scenario.request.intent) and not unread_agents(playbook)
    known = known and not names_no_tool(playbook)
    return playbook.as_agent(agent) if agent is not None and known else None


def _in_charge(scenario: Scenario, script: Script, playbook: Playbook) -> Iterator[tuple[int, Step, Playbook | None]]:
    """Yield each reply with its number, and the playbook as the agent that gives it has it; None if nobody knows."""
    made, intent = _first(scenario, playbook), scenario.request.intent
    pairs: set[tuple[str, str]] = set()
    if any(one.decision and one.decision.get("agent") for one in scenario.people):
        made = None  # a person may hand over to another agent at any time
    for number, step in enumerate(script.turns):
        yield number, step, made
        if step.raw is not None or step.stop is not None:
            made = None
        calls = step.call or ()
        if made is None or len(calls) != 1 or calls[0].tool != HAND_OVER:
            continue
        sent = hand_over_of(_as_call(calls[0]))
        if sent is None or why_no_hand_over(made, sent.agent, intent, pairs):
            made = None  # it is told, and who should give the next replies is not known
        else:
            pairs.add((made.agent.name, sent.agent))
            made = handed(made, sent.agent, intent)


def _as_call(call: Call) -> ToolCall:
    return ToolCall(tool=call.tool, arguments=call.arguments)


def _refused(call: Call, step: Step, made: Playbook, request: RunRequest) -> tuple[str, str] | None:
    """Return why the gate refuses a call of the agent in charge, and the refusal's name; None if it may be made."""
    agent, tool = made.agent, made.tools.get(call.tool)
    if call.tool == HAND_OVER and agent.hand_over_to:
        sent = hand_over_of(_as_call(call))
        if sent is None or len(step.call or ()) > 1 or why_no_hand_over(made, sent.agent, request.intent, frozenset()):
            said = f"{agent.name} is in charge here. {hand_over_refusal(made, _as_call(call), request.intent)}"
            for one in strangers(made, agent, request.intent):
                if sent is not None and sent.agent == one.name:
                    said = f"{one.name} has no intent {request.intent}, so it takes no such request over"
            return said.rstrip("."), "RuleViolation"
        return None
    if call.tool == ASK_REQUESTER and agent.ask_requester:
        return None
    if tool is None or not tool.offered or not agent.offers(tool.name):
        offered = ", ".join(one.name for one in made.offered(request.intent)) or "none"
        return f"{agent.name} is in charge here and is not offered {call.tool} (offered: {offered})", "UnknownTool"
    if tool.effect is Effect.WRITE and not agent.may_write(tool.name, request.intent):
        return f"{agent.name} may not write {tool.name} for {request.intent}", "RuleViolation"
    return None


def _arguments_of(tool: Tool, arguments: Any, file: str, field: str) -> Iterator[Finding]:
    """Yield why a scripted call is refused by the form of its arguments, and names that its schema does not have."""
    said = ""
    try:
        tool.form.read(arguments)
    except ValidationError as problem:
        items = problem.errors(include_url=False, include_input=False, include_context=False)
        own = ("value_error", "assertion_error")
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in items if one["type"] not in own)
    except SchemaViolation as problem:
        said = str(problem)
    except Exception:  # of a validator of the author's: nobody knows
        return
    known = tool.schema.get("properties", {})
    if said:
        problem_ = (
            f"{tool.name} does not take these arguments ({said}): the call is refused, and the scenario expects no"
        )
        remedy = f"Write what it takes: {', '.join(known) or 'nothing'}. Or expect the refusal in `refused`."
        yield Finding("warning", file, field, f"{problem_} refused call.", remedy)


# What the scenario expects of it


def _never_called(scenario: Scenario, script: Script, playbook: Playbook) -> Iterator[Finding]:
    """Yield the first expected effect that the script does not call at its place in the order."""
    if any(one.raw is not None for one in script.turns):
        return
    called = [call.tool for step in script.turns for call in step.call or ()]
    if scenario.expect.refused == () and not {*called} <= {*playbook.tools, HAND_OVER, ASK_REQUESTER}:
        return  # the name that is wrong is told
    left = iter(called)
    for effect in scenario.expect.effects or ():
        tool = playbook.tools.get(effect.tool)
        if tool is None or tool.effect is Effect.READ:
            return  # that is told
        if effect.tool not in left:
            order = " in this order" if effect.tool in called else ""
            yield Finding(
                "error",
                str(scenario.script.with_name("scenario.yaml")),
                "expect.effects",
                f"The script does not call {effect.tool}{order} (it calls {', '.join(called) or 'nothing'}), so the "
                "run is never as expected.",
                "Add the call to script.yaml, or correct `effects`.",
            )
            return


def _never_answered(scenario: Scenario, script: Script, playbook: Playbook) -> Iterator[Finding]:
    """Yield a limit of turns below the reply with which the agent answers first."""
    first = _first(scenario, playbook)
    needed = 0
    for step in script.turns:
        if step.raw is not None or step.stop is not None:
            return
        needed += not step.fails
        if not step.fails and not step.call:
            break
    else:
        return
    try:
        own = first.agent.limits_for(scenario.request.intent).turns if first is not None else needed
    except BallastError:
        return  # loading has told it
    patch = scenario.request.limits
    asked = patch.turns if patch is not None and patch.turns is not None else own
    if min(own, asked) < needed:
        yield Finding(
            "error",
            str(scenario.script.with_name("scenario.yaml")),
            "request.limits.turns" if asked < own else "expect.by",
            f"The script answers with its reply {needed}, and the run may have {min(own, asked)} turns, so the agent "
            "never answers it.",
            "Allow more turns, shorten the script, or expect who takes over.",
        )


# Files


def script_of(scenario: Scenario) -> Script | None:
    """Return the scenario's script as it stands in its file; None if it cannot be read."""
    import yaml

    from ballast.contracts.wire import parse
    from ballast.yaml_files import load

    try:
        return parse(Script, load(scenario.script.read_text(encoding="utf-8"), yaml.SafeLoader), what="The script")
    except (OSError, ValueError, yaml.YAMLError, InvalidInput):
        return None
