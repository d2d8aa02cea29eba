"""Findings about scenarios: those that cannot be played, or that name what the playbook does not have."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from ballast.contracts.meaning import REASONS
from ballast.errors import BallastError, CallRefused, InvalidInput, ModelRefused, SchemaViolation, SettingInvalid
from ballast.money.amounts import micro_dollars
from ballast.money.windows import WindowLimits
from ballast.playbook import Playbook, Tool
from ballast.playbook.admission import Admissible
from ballast.playbook.agents import unread_agents
from ballast.playbook.certificate import why_uncertified
from ballast.playbook.servers.tools import RemoteCall
from cli.checks import Finding, Level, problem_and_remedy
from cli.checks.expectations import never, passed_over
from cli.checks.loading import finding_of
from cli.checks.scripts import script_findings, script_of
from localcloud.cloud import ROOT
from localcloud.converse import ScriptModel
from localcloud.parameters import broken, complaints
from localcloud.project import business_of, project_of
from localcloud.scenarios import Scenario, find, folder_of, names
from localcloud.sessions import REGION
from localcloud.template import TemplateInvalid, load_template

#: The part of a request that a refusal begins with.
_FIELD = re.compile(r"(?:request: )?(limits\.\w+|agent|intent|attachments|reply_to)\b")
#: What the error of a scenario says of a field that is nearly another one's name.
_NEAR = re.compile(r" Write `([^`]+)` for `([^`]+)`\.")


def plays(folder: Path, playbook: Playbook | None, today: date, *, whole: bool) -> Iterator[Finding]:
    """Yield what is wrong with the project's scenarios. ``whole``: no file of the playbook is missing."""
    try:
        scenarios = folder_of(folder)
    except InvalidInput:
        where = str(project_of(folder) / "scenarios")
        yield Finding(
            "hint", where, "", "There are no scenarios: no change of the playbook is tried as a whole.", "Write one."
        )
        return
    tables = _tables(folder)
    yield from passed_over(scenarios)
    for name in names(scenarios):
        file = scenarios / name / "scenario.yaml"
        try:
            scenario = find(name, scenarios)
            if scenario.model is None:
                ScriptModel.read(scenario.script)
        except BallastError as problem:
            yield from _findings(str(file), str(problem).removeprefix("The script "))
            continue
        if playbook is not None:
            if scenario.request.agent not in unread_agents(playbook):
                yield from _refused(scenario, playbook, str(file), today)
            yield from never(scenario, playbook, str(file), whole=whole)
            script = script_of(scenario) if scenario.model is None else None
            if script is not None:
                yield from script_findings(scenario, script, playbook, whole=whole)
            yield from _unknown(scenario, playbook, str(file), whole=whole)
            yield from _never_so(scenario, playbook, str(file), tables, whole=whole)


def _findings(file: str, said: str) -> Iterator[Finding]:
    """Yield a refused file's fields, one finding each."""
    place, refused, fields = said.partition(" is not valid: ")
    near = {field: name for name, field in _NEAR.findall(fields)}
    for one in _NEAR.sub("", fields).rstrip(".").split("; ") if refused else ():
        instead = near.get(one.partition(":")[0])
        yield finding_of(file, f"{place}: {one}." + (f" Write `{instead}`." if instead else ""))
    if not refused:
        yield finding_of(file, said)


def _refused(scenario: Scenario, playbook: Playbook, file: str, today: date) -> Iterator[Finding]:
    """Yield why Admit refuses the scenario's request in a new local cloud, unless that is what it expects."""
    if _is_broken(playbook, scenario):
        return  # loading has told it
    template, given = _template(), scenario.parameters
    if wrong := [*complaints(template["Parameters"], given), *broken(template, given)]:
        for said in wrong:
            yield Finding("error", file, "parameters", said, "Correct it: the local cloud takes no such parameter.")
        return
    values = {name: one["Default"] for name, one in template["Parameters"].items() if "Default" in one} | given
    try:
        admissible = Admissible(
            playbook.in_region(REGION),
            playbook.models.in_region(_model_id(scenario, values), REGION),
            values["ReplyQueuePrefix"],
            why_uncertified(playbook) if values["RequireCertificate"] == "true" else None,
        )
        limits = _windows(values, "Account"), _windows(values, "Tenant")
        admissible.check(scenario.request, *limits, at=datetime.combine(today, time(12), UTC))
    except (ModelRefused, SettingInvalid):
        return  # the model, or the file of its card, is wrong, and that is told
    except BallastError as refusal:
        expected = scenario.expect.status
        if expected == "refused":
            return
        found = _FIELD.match(str(refusal))
        problem, remedy = problem_and_remedy(str(refusal))
        yield Finding(
            "error" if expected else "warning",
            file,
            f"request.{found[1]}" if found else "request",
            f"The request is refused: {problem}",
            remedy or "Correct it, or expect `status: refused` with its `reason`, such as NotAdmitted.",
        )


def _is_broken(playbook: Playbook, scenario: Scenario) -> bool:
    """Return whether the limits of the request's agent contradict each other."""
    agent = playbook.agents.get(scenario.request.agent or playbook.agent.name)
    try:
        if agent is not None:
            agent.limits_for(scenario.request.intent)
    except BallastError:
        return True
    return False


@cache
def _template() -> Mapping[str, Any]:
    return load_template(ROOT / "template.yaml")


def _model_id(scenario: Scenario, values: Mapping[str, str]) -> str:
    """Return the model that replaces the playbook's in the scenario's local cloud, "" for none."""
    kind, _, model = (scenario.model or "").partition(":")
    return model if kind == "bedrock" else values["ModelId"]


def _windows(values: Mapping[str, str], whose: str) -> WindowLimits:
    hour, day = (micro_dollars(values[f"{whose}{name}Usd"], what=f"{whose}{name}Usd") for name in ("Hour", "Day"))
    return WindowLimits(hour, day, int(values[f"{whose}Runs"]))


def _unknown(scenario: Scenario, playbook: Playbook, file: str, *, whole: bool) -> Iterator[Finding]:
    """Yield the tools that the playbook does not have. Unless ``whole``, one may be missing for another reason."""
    expect, known = scenario.expect, f"Write one of {', '.join(playbook.tools)}."
    named = {
        "expect.effects": [one.tool for one in expect.effects or ()],
        "expect.failed": list(expect.failed or ()),
        "tools": [one.tool for one in scenario.tools],
    }
    if expect.status == "answered" and expect.by is None:
        said = "A run that was answered was answered by somebody, so the run is never as expected."
        yield Finding("error", file, "expect.by", said, "Write one of agent, fallback, human.")
    for field, tools in named.items() if whole else ():
        for tool in tools:
            if tool not in playbook.tools:
                level: Level = "warning" if field == "tools" else "error"
                yield Finding(level, file, field, f"There is no tool {tool}.", known)


def _tables(folder: Path) -> Mapping[str, tuple[str, ...]] | None:
    """Return the key attributes of each table of business.yaml; None if it is not there or cannot be read.

    Others tell that.
    """
    own = business_of(folder)
    if own is None:
        return None
    try:
        resources = load_template(own)["Resources"]
        found = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::DynamoDB::Table"}
        return {name: tuple(key["AttributeName"] for key in one["KeySchema"]) for name, one in found.items()}
    except (TemplateInvalid, KeyError, TypeError):
        return None


def _never_so(
    scenario: Scenario, playbook: Playbook, file: str, tables: Mapping[str, tuple[str, ...]] | None, *, whole: bool
) -> Iterator[Finding]:
    """Yield what a scenario expects and no run can be: a name that nothing has."""
    expect = scenario.expect

    def no(field: str, what: str, name: str, known: Iterable[str]) -> Finding:
        near = get_close_matches(name, [*known], n=1)
        remedy = f"Write `{near[0]}`." if near else f"Write one of {', '.join(sorted(known)) or 'none'}."
        return Finding("error", file, field, f"There is no {what} {name}, so the run is never as expected.", remedy)

    if expect.reason and expect.reason not in REASONS and expect.status != "refused":
        yield no("expect.reason", "reason", expect.reason, REASONS)
    errors = _refusals()
    for refused in expect.refused or ():
        if refused not in errors:
            yield no("expect.refused", "refusal", refused, errors)
    for item in expect.store:
        if tables is None:
            break
        if item.table not in tables:
            yield no("expect.store", "table of business.yaml", item.table, tables)
        elif {*item.key} != {*tables[item.table]}:
            keys = " and ".join(tables[item.table])
            said = f"The key of {item.table} is {keys}, and not {' and '.join(item.key) or 'nothing'}."
            yield Finding("error", file, "expect.store", said, f"Write {keys} under `key`.")
    effects = [*(expect.effects or ()), *((expect.unlike and expect.unlike.effects) or ())]
    for effect in effects if whole else ():
        tool = playbook.tools.get(effect.tool)
        known = _arguments(tool.spec) if tool is not None else None
        for name, value in effect.arguments.items():
            if known is not None and name not in known:
                yield no(f"expect.effects {effect.tool}", "argument", name, known)
            elif tool is not None and known is None and _is_no_argument(tool, name, value):
                yield no(f"expect.effects {effect.tool}", "argument", name, tool.schema.get("properties", {}))


def _is_no_argument(tool: Tool, name: str, value: Any) -> bool:
    """Return whether a tool of servers/ refuses the argument's name, though its schema does not say that it does."""
    if not isinstance(tool.function, RemoteCall):
        return False
    try:
        tool.form.read({name: value})
    except SchemaViolation as refused:
        return f"{name}: is not an argument" in str(refused)
    return False


def _refusals() -> frozenset[str]:
    """Return the names of the errors with which calls are refused."""
    found: set[str] = set()
    left: list[type[CallRefused]] = [CallRefused]
    while left:
        one = left.pop()
        found.add(one.__name__)
        left += one.__subclasses__()
    return frozenset(found)


def _arguments(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a tool's arguments by name; None if it takes any."""
    schema: Mapping[str, Any] = spec["toolSpec"]["inputSchema"]["json"]
    return schema.get("properties", {}) if schema.get("additionalProperties") is False else None
