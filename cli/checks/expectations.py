"""Findings about what a scenario expects and no run can be: its ending, its effects, its people and its script."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    PlainValidator,
    ValidationError,
    WrapValidator,
    create_model,
)

from ballast.contracts import CallTools, HandOver, parse_decision
from ballast.contracts.meaning import REASONS, REFUSALS
from ballast.contracts.person import same_person
from ballast.contracts.wire import canonical
from ballast.errors import BallastError, InvalidInput, SchemaViolation
from ballast.playbook import Playbook, Tool
from ballast.playbook.agents import HAND_OVER, unread_agents
from ballast.playbook.arguments.form import Form
from ballast.playbook.first_prompt import ASK_REQUESTER
from ballast.playbook.servers.tools import RemoteCall
from cli.checks import Finding, Level
from cli.checks.hand_overs import can_be_called
from cli.checks.sources import source_given
from localcloud.converse.script import Script
from localcloud.scenarios import Scenario
from localcloud.scenarios.people import Answer

#: Converse's names of ``usage``.
_USAGE = ("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_VALIDATORS = (AfterValidator, BeforeValidator, PlainValidator, WrapValidator)
_TYPES: dict[str, type | tuple[type, ...]] = {"string": str, "integer": (int, float), "boolean": bool, "array": list}


def never(scenario: Scenario, playbook: Playbook, file: str, *, whole: bool) -> Iterator[Finding]:
    """Yield what no run can be. Unless ``whole``, a tool or a fallback may be missing for another reason."""
    for field, problem, remedy in _endings(scenario):
        yield Finding("error", file, field, f"{problem}, so the run is never as expected.", remedy)
    for number, answer in enumerate(scenario.people):
        for level, field, problem, remedy in _people(scenario, playbook, answer, whole=whole):
            yield Finding(level, file, f"people.{number}{field}", problem, remedy)
    if whole:
        yield from _by_fallback(scenario, playbook, file)
        yield from _effects(scenario, playbook, file)


# Endings


def _endings(scenario: Scenario) -> Iterator[tuple[str, str, str]]:
    """Yield a field, what is wrong with it, and the remedy: what the fields of an ending say of each other."""
    expect = scenario.expect
    if expect.status is not None and expect.status != "answered" and expect.by is not None:
        said = f"Nobody answers a run that is {expect.status}"
        yield "expect.by", said, "Leave `by` out, or expect `status: answered`."
    if expect.status == "answered" and expect.by is not None and expect.degraded is not None:
        is_agents = expect.by == "agent"
        if expect.degraded is is_agents:
            said = f"`degraded` says whether somebody else than the agent answered, and `by` is {expect.by}"
            yield "expect.degraded", said, f"Write `degraded: {'false' if is_agents else 'true'}`."
        if is_agents and expect.reason in REASONS:
            said = "`reason` says why the agent was stopped, and `by` is agent"
            yield "expect.reason", said, "Leave `reason` out."
    if expect.status in ("unanswered", "failed") and expect.degraded is False:
        yield "expect.degraded", f"A run that is {expect.status} is degraded", "Write `degraded: true`."
    if expect.status == "refused":
        yield from _refused(scenario)


def _refused(scenario: Scenario) -> Iterator[tuple[str, str, str]]:
    expect = scenario.expect
    if expect.degraded:
        yield "expect.degraded", "A run that is refused is not degraded", "Leave `degraded` out."
    if expect.reason is not None and (expect.reason == "" or expect.reason in REASONS):
        said = "`reason` of a run that is refused is the name of the refusal"
        yield "expect.reason", said, f"Write one of {', '.join(REFUSALS)}, or null if it does not matter."
    given: Mapping[str, object] = {
        "effects": expect.effects,
        "refused": expect.refused,
        "failed": expect.failed,
        "answer": expect.answer,
        "answer_matches": expect.answer_matches,
        "answer_schema": expect.answer_schema,
        "moved": expect.moved,
    }
    for name, value in given.items():
        if value:
            yield f"expect.{name}", "A run that is refused does nothing and says nothing", f"Leave `{name}` out."
    for number, answer in enumerate(scenario.people):
        if not answer.if_asked and not answer.whenever_asked:
            yield f"people.{number}", "A run that is refused asks nobody", "Leave it out."


def _by_fallback(scenario: Scenario, playbook: Playbook, file: str) -> Iterator[Finding]:
    intent = scenario.request.intent
    if scenario.expect.by == "fallback" and intent not in playbook.fallbacks:
        said = f"The intent {intent} has no fallback" if intent else "A request without an intent has no fallback"
        yield Finding(
            "error",
            file,
            "expect.by",
            f"{said}, so the run is never as expected.",
            f"Expect another planner, or write one. Intents with one: {', '.join(playbook.fallbacks) or 'none'}.",
        )


# Effects


def _effects(scenario: Scenario, playbook: Playbook, file: str) -> Iterator[Finding]:
    expect, request = scenario.expect, scenario.request
    agent = playbook.agents.get(request.agent or playbook.agent.name)
    # A fallback and a person may write what the agent may not.
    agents_alone = expect.by == "agent" and not any(one.decision for one in scenario.people)
    if agent is None or unread_agents(playbook):
        agents_alone = False
    for effect in expect.effects or ():
        tool = playbook.tools.get(effect.tool)
        if tool is None:
            continue
        for name, value in effect.arguments.items():
            if why := why_no_value(tool, name, value):
                yield Finding(
                    "error",
                    file,
                    f"expect.effects {effect.tool}",
                    f"{name}: {value!r} is no value of that argument ({why}), so the run is never as expected.",
                    "Write it as the tool takes it: a number without quotation marks, a text with them.",
                )
            elif (form := _recorded(tool, name, value)) is not None and not form.is_of(value):
                yield Finding(
                    "error",
                    file,
                    f"expect.effects {effect.tool}",
                    f"{name}: {value!r} is recorded in another form, so the run is never as expected.",
                    f"Write {name}: {json.dumps(form.value, ensure_ascii=False)}, as the run's log has it.",
                )
        if not scenario.people and expect.status in (None, "answered") and always_asks(tool):
            said = f"{effect.tool} always asks a person, and `people` has nobody: the run is never as expected."
            yield Finding("error", file, "people", said, "Write who answers: people: [{by: NAME, approve: true}].")
        if tool.effect.value == "read":
            yield Finding(
                "error",
                file,
                "expect.effects",
                f"{effect.tool} is a read and has no effect, so the run is never as expected.",
                "Leave it out: `effects` are the writes.",
            )
        elif agents_alone and agent is not None and not _agent_may(playbook.as_agent(agent), tool, request.intent):
            yield Finding(
                "error",
                file,
                "expect.effects",
                f"{agent.name} may not write {effect.tool} for {request.intent or 'a request without an intent'}, nor "
                "may an agent that it hands over to: the run is never as expected.",
                f"List {effect.tool} under intents.{request.intent or 'NAME'}.writes and `tools` of the agent, or take "
                "it out of `effects`.",
            )


def always_asks(tool: Tool) -> bool:
    """Return whether a person must approve each call, as its declaration says or its rule in one line."""
    if isinstance(tool.function, RemoteCall):
        return tool.function.declared.approval is not None and tool.function.declared.approval.if_ == "always"
    source = source_given(tool.approval.if_)
    value: ast.AST | None = None
    match source.node if source is not None else None:
        case ast.Lambda(body=value) | ast.FunctionDef(body=[ast.Return(value=value)]):
            pass
        case ast.FunctionDef(body=[ast.Expr(value=ast.Constant()), ast.Return(value=value)]):
            pass
    return isinstance(value, ast.Constant) and (
        value.value is True or (isinstance(value.value, str) and value.value != "")
    )


def _agent_may(playbook: Playbook, tool: Tool, intent: str | None) -> bool:
    return tool.offered and playbook.agent.may_write(tool.name, intent) and can_be_called(playbook, tool.name, intent)


def why_no_value(tool: Tool, name: str, value: Any) -> str | None:
    """Return why a call of the tool never has that argument; None if it may.

    Only what a type, a choice or a bound says of it: a validator of the author's may depend on other arguments.
    """
    if isinstance(tool.function, RemoteCall):
        kind = tool.schema.get("properties", {}).get(name, {})
        wanted = kind.get("type") if isinstance(kind, dict) else None
        known = _TYPES.get(wanted) if isinstance(wanted, str) else None
        return f"it is a {wanted}" if known is not None and not isinstance(value, known) else None
    if tool.marks_arguments:
        return None  # a sealed value is another one in the log
    if any(one.info.mode != "after" for one in tool.arguments.__pydantic_decorators__.model_validators.values()):
        return None
    # Python compares 2 with 2.0, and 1 with true.
    same = [value, int(value)] if isinstance(value, bool | float) and value == value // 1 else [value]
    said = [_complaint(tool, name, one) for one in same]
    return None if None in said else said[0]


@dataclass(frozen=True)
class _Form:
    """The JSON form of one argument."""

    value: Any

    def is_of(self, value: Any) -> bool:
        """Return whether a scenario that expects ``value`` may find it. A set may be written in any order."""
        if isinstance(value, list) and isinstance(self.value, list):
            return sorted(map(canonical, value)) == sorted(map(canonical, self.value))
        return bool(self.value == value)


def _recorded(tool: Tool, name: str, value: Any) -> _Form | None:
    """Return an argument as a call's record has it; None if the author's own validators may decide that."""
    if isinstance(tool.function, RemoteCall) or tool.marks_arguments:
        return None
    form = _form_of_one(tool.arguments, name)
    try:
        return None if form is None else _Form(form.write(form.read({name: value}))[name])
    except Exception:  # it has no form by itself
        return None


@lru_cache(maxsize=256)
def _form_of_one(model: type[BaseModel], name: str) -> Form | None:
    """Return the reader and writer of a model of which only that argument must be given."""
    known = model.__pydantic_decorators__
    if known.model_validators or known.model_serializers or known.field_validators or known.validators:
        return None
    own = next((field for field, info in model.model_fields.items() if name in (info.alias or field, field)), None)
    if own is None or any(isinstance(one, _VALIDATORS) for one in model.model_fields[own].metadata):
        return None
    others: dict[str, Any] = {field: (Any, None) for field in model.model_fields if field != own}
    try:
        return Form(create_model(model.__name__, __base__=model, **others))
    except Exception:  # a model that cannot be made otherwise
        return None


def _complaint(tool: Tool, name: str, value: Any) -> str | None:
    try:
        tool.form.read({name: value})
    except ValidationError as problem:
        for item in problem.errors(include_url=False, include_input=False, include_context=False):
            own = item["type"] in ("value_error", "assertion_error", "missing", "extra_forbidden")
            if item["loc"][:1] == (name,) and not own:
                return item["msg"][:1].lower() + item["msg"][1:]
    except Exception:  # of a validator of the author's: nobody knows
        return None
    return None


# People


def _people(
    scenario: Scenario, playbook: Playbook, answer: Answer, *, whole: bool
) -> Iterator[tuple[Level, str, str, str]]:
    """Yield the level, the field, the problem and the remedy of what is wrong with an answer."""
    known = f"Write one of {', '.join(playbook.tools)}."
    never_used: Level = "warning" if answer.if_asked or answer.whenever_asked else "error"
    if whole and answer.tool is not None and answer.tool not in playbook.tools:
        near = get_close_matches(answer.tool, playbook.tools, n=1)
        remedy = f"Write `{near[0]}`." if near else known
        yield never_used, ".tool", f"There is no tool {answer.tool}: nobody is ever asked about it.", remedy
    if whole and isinstance(answer.approve, tuple):
        for name in dict.fromkeys(answer.approve):
            if name not in playbook.tools:
                yield "warning", ".approve", f"There is no tool {name}: it is approved of no call.", known
    decision = None
    if answer.decision is not None:
        try:
            decision = parse_decision(answer.decision)
        except BallastError as wrong:
            problem, _, remedy = str(wrong).partition(". ")
            yield "error", ".decision", f"{problem.rstrip('.')}.", remedy or _FORMS
            return
    if isinstance(decision, HandOver) and decision.agent is not None:
        agents = {*playbook.agents} | unread_agents(playbook)
        if decision.agent not in agents:
            said = f"There is no agent {decision.agent}: the answer is refused."
            yield never_used, ".decision.agent", said, f"Write one of {', '.join(sorted(agents))}."
    if isinstance(decision, CallTools) and whole:
        for call in decision.calls:
            if call.tool not in playbook.tools:
                yield "warning", ".decision.calls", f"There is no tool {call.tool}: the call is refused.", known
    if scenario.by is not None and same_person(scenario.by, answer.by) and never_used == "error":
        # A reply to the agent's question is a hand-over to the agent, and only that.
        may_reply = isinstance(decision, HandOver)
        if not answer.refused and not may_reply:
            yield (
                "error",
                ".by",
                f"{answer.by} sends the request (`by`) and so may not decide about it: the answer is refused.",
                "Name another person, or write `refused: true` if that is what you want to see.",
            )


_FORMS = (
    'Write {kind: answer, text: "…"}, {kind: hand_over, to: agent, reason: guidance, guidance: "…"}, or {kind: '
    "call_tools, calls: [{tool: NAME, arguments: {…}}]}."
)


# Files


def script_findings(scenario: Scenario, script: Script, playbook: Playbook, *, whole: bool) -> Iterator[Finding]:
    """Yield what a script says that nothing reads, and calls that the scenario does not expect to be refused."""
    file = str(scenario.script)
    for number, step in enumerate(script.turns):
        for name in step.usage or ():
            if name not in _USAGE:
                near = get_close_matches(name.replace("_", ""), _USAGE, n=1)
                remedy = f"Write `{near[0]}`." if near else f"Write one of {', '.join(_USAGE)}."
                said = f"Converse's usage has no {name}, so it counts nothing."
                yield Finding("warning", file, f"turns.{number}.usage", said, remedy)
        for call in step.call or ():
            own = {HAND_OVER, ASK_REQUESTER}
            if whole and scenario.expect.refused == () and call.tool not in {*playbook.tools} | own:
                near = get_close_matches(call.tool, playbook.tools, n=1)
                yield Finding(
                    "warning",
                    file,
                    f"turns.{number}.call",
                    f"There is no tool {call.tool}: the call is refused, and the scenario expects no refused call.",
                    (f"Write `{near[0]}`, or" if near else "Correct it, or") + " expect `refused: [UnknownTool]`.",
                )
            elif scenario.expect.refused == () and call.tool in playbook.tools:
                yield from _arguments_of(playbook.tools[call.tool], call.arguments, file, f"turns.{number}.call")


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


def passed_over(scenarios: Path) -> Iterator[Finding]:
    """Yield what stands in ``scenarios/`` like a scenario and is none."""
    for place in sorted(scenarios.iterdir()):
        misnamed = [place] if re.fullmatch(r"scenario\.ya?ml", place.name) else []
        if place.is_dir() and not (place / "scenario.yaml").exists() and not place.name.startswith((".", "_")):
            inside = {one.name for one in place.iterdir()}
            misnamed = [place / name for name in ("scenario.yml", "scenario.json") if name in inside]
            if not misnamed and inside & {"script.yaml", "script.yml", "script.json"}:
                said = "It has a script and no scenario.yaml, so nothing plays it."
                yield Finding("error", str(place), "", said, "Write scenario.yaml beside the script.")
            elif not misnamed and (not inside or any(map(_is_like_one, sorted(place.glob("*.y*ml"))))):
                said = "It has no scenario.yaml, so it is no scenario."
                yield Finding("hint", str(place), "", said, "Write one, or move the folder out of scenarios/.")
        for file in misnamed:
            where = "NAME/scenario.yaml" if file.parent == scenarios else "scenario.yaml"
            said = "A scenario is a file scenario.yaml in a folder of its own, so nothing plays this one."
            yield Finding(
                "error",
                str(file),
                "",
                said,
                f"Rename it: scenarios/{where}." if where != "scenario.yaml" else "Rename it: scenario.yaml.",
            )


def _is_like_one(file: Path) -> bool:
    """Return whether a file has the keys of a scenario: others, such as a server's document, may lie beside them."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return bool(re.search(r"^request:", text, re.M)) and bool(re.search(r"^expect:", text, re.M))


def script_of(scenario: Scenario) -> Script | None:
    """Return the scenario's script as it stands in its file; None if it cannot be read."""
    import yaml

    from ballast.contracts.wire import parse
    from ballast.yaml_files import load

    try:
        return parse(Script, load(scenario.script.read_text(encoding="utf-8"), yaml.SafeLoader), what="The script")
    except (OSError, ValueError, yaml.YAMLError, InvalidInput):
        return None
