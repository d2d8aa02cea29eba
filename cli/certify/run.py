"""Certify a playbook: play its scenarios, take every call that a tool got as a sample, and try every rule on it."""

from __future__ import annotations

import io
import socketserver
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from ballast.contracts import Planner, ToolCall
from ballast.errors import BallastError
from ballast.folds.calls import CallState
from ballast.playbook import Effect, Playbook, Tool, ToolContext
from ballast.playbook.servers.tools import RemoteCall
from cli.certify.elsewhere import elsewhere
from cli.certify.other_process import OtherProcess
from cli.certify.remedies import OWN_CLIENT, in_its_words, tell_of_effects
from cli.certify.report import Finding
from cli.certify.rig import Rig, Sample, rig_for
from cli.certify.rules import Trial
from cli.certify.scripts import script_finding
from cli.follow import run_and_follow
from cli.responders import ScriptedResponder
from cli.saved_runs import SavedRuns
from cli.scenario_runs import longest_s, source_of, stack_of, unmet_of
from cli.screen import Screen
from localcloud.functions import FunctionError
from localcloud.moto_seams.replaced import replaced
from localcloud.project import BUSINESS_TEMPLATE, business_of, business_templates
from localcloud.scenarios import Scenario
from localcloud.sessions import Models
from localcloud.template import TemplateInvalid

#: Most samples of one tool in one scenario; more would be the same call with other values.
MOST_SAMPLES = 3
Said = Callable[[str], None]


@contextmanager
def cut_answers_are_silent() -> Iterator[None]:
    """Let no server of a project print a traceback because certify cut its answer: that is no defect of it."""

    def handle_error(self: socketserver.BaseServer, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            before(self, request, client_address)

    with replaced(socketserver.BaseServer, "handle_error", handle_error) as before:
        yield


@dataclass
class _Heard:
    """The calls that reached their tools, in order, once each, and those that were refused before.

    ``own_clients`` are tools that made a client of AWS themselves, which has no rights here.
    """

    calls: list[tuple[Tool, Any, ToolContext]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    own_clients: list[str] = field(default_factory=list)

    def add(self, tool: Tool, args: Any, context: ToolContext) -> None:
        """Note a call at its first attempt."""
        if context.idempotency_key not in self.keys:
            self.keys.add(context.idempotency_key)
            self.calls.append((tool, args, context))

    def ended(self, tool: Tool, context: ToolContext, returned: Any) -> Any:
        """Note what a call has returned, and return it."""
        with suppress(Exception):  # a result that does not fit is told by its rule
            self.results[context.idempotency_key] = tool.dump(returned)
        return returned


@dataclass
class Certified:
    """What was found. ``attempts``: the runs of tools and of their rules that it took."""

    findings: list[Finding]
    attempts: int = 0


def certify(
    playbook: Playbook,
    scenarios: list[Scenario],
    *,
    folder: Path | None,
    say: Said,
    enforce_iam: bool = True,
) -> Certified:
    """Return the findings of every rule, for every tool and fallback. ``folder``: None for the support desk.

    ``say`` is told what is tried, one line each.
    """
    findings: list[Finding] = []
    made = Certified(findings)
    sampled: set[str] = set()
    refused: dict[str, str] = {}
    played: set[str] = set()
    tried_with: dict[str, set[str]] = {}
    with elsewhere(playbook) as away, cut_answers_are_silent():
        for scenario in _with_each_template(scenarios, folder):
            say(f"{scenario.name}: playing it")
            heard = _Heard()
            tried = tried_with.setdefault(scenario.parameters.get(BUSINESS_TEMPLATE, ""), set())
            try:
                source = source_of(scenario)
                with (
                    stack_of(scenario, source, playbook=folder, enforce_iam=enforce_iam) as cloud,
                    rig_for(cloud, playbook, scenario.seed, away) as rig,
                ):
                    findings += _hear(heard, cloud, playbook, scenario, folder, longest_s(scenario, source, folder))
                    refused |= heard.refused
                    samples = _samples(scenario, heard)
                    writes = [one for one in samples if one.tool.effect is Effect.WRITE]
                    for sample in _chosen(samples, tried):
                        findings += _tried(rig, playbook, sample, writes, sampled, say)
                    intent = scenario.request.intent
                    if intent is not None and intent in playbook.fallbacks and intent not in played and samples:
                        played.add(intent)
                        say(f"{scenario.name}: fallback {intent}")
                        first = samples[0]
                        finding, _ = script_finding(rig, playbook, playbook.fallbacks[intent], first)
                        findings.append(finding)
                    made.attempts += rig.attempts
            except (BallastError, TemplateInvalid, FunctionError) as problem:
                said = str(getattr(problem, "message", problem))
                remedy = "Play it: ballast test shows why."
                if heard.own_clients:
                    remedy = f"{heard.own_clients[0]} asks AWS itself. {OWN_CLIENT}"
                findings.append(
                    Finding(f"scenario {scenario.name}", "sampled", "not tried", scenario.name, said, remedy, True)
                )
    findings += _at_import(away.at_import)
    findings += _without_sample(playbook, sampled, refused, played)
    findings += _always_refused(playbook, findings)
    return made


def _with_each_template(scenarios: Sequence[Scenario], folder: Path | None) -> Iterator[Scenario]:
    """Yield each scenario with each template of the business that is deployed: their rights may differ."""
    templates = business_templates(folder) if folder is not None else []
    if folder is None or not templates or templates == [business_of(folder)]:
        yield from scenarios
        return
    for template in templates:
        for one in scenarios:
            own = {"parameters": {**one.parameters, BUSINESS_TEMPLATE: str(template)}}
            yield one.model_copy(update=own)


def _hear(
    heard: _Heard, cloud: Any, playbook: Playbook, scenario: Scenario, folder: Path | None, within_s: float
) -> Iterator[Finding]:
    """Play a scenario and note the calls that reach their tools. Yield why its ending is not as it expects.

    Its run is not kept: it has the id of `ballast test`'s, and is played without the scenario's doubles of tools.
    """
    with _listening(playbook, heard), TemporaryDirectory() as nowhere:
        silent = Screen(Console(file=io.StringIO(), markup=False, highlight=False, emoji=False))
        responder = ScriptedResponder(cloud, scenario.answers)
        made = run_and_follow(
            cloud,
            scenario.request,
            responder,
            screen=silent,
            saved_runs=SavedRuns(Path(nowhere)),
            title=f"certify {scenario.name}",
            requested_by=scenario.by,
            within_s=within_s,
        )
    for turn in made.turns:
        for call in turn.calls:
            if call.outcome == "refused":
                heard.refused.setdefault(call.tool, f"{call.error}: {call.message}")
    wrong = [] if scenario.tools else unmet_of(scenario, made, cloud, folder, responder.people)
    if wrong:
        said = f"It did not end as it expects: {' '.join(' '.join(wrong).split())}"
        remedy = f"Correct it, or the playbook: ballast test {scenario.name}."
        yield Finding(f"scenario {scenario.name}", "sampled", "not tried", scenario.name, said, remedy, True)


@contextmanager
def _listening(playbook: Playbook, heard: _Heard) -> Iterator[None]:
    """Within the block, note each call that reaches a tool. The local cloud's functions have the same tools."""

    def listened(tool: Tool, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(args: Any, context: ToolContext) -> Any:
            heard.add(tool, args, context)
            try:
                return heard.ended(tool, context, function(args, context))
            except (BotoCoreError, ClientError) as problem:
                if _is_of_its_own_client(problem):
                    heard.own_clients.append(tool.name)
                raise

        return noted

    pairs = [(tool, tool.function) for tool in playbook.tools.values()]
    own = [(tool, function) for tool, function in pairs if not isinstance(function, RemoteCall)]
    with ExitStack() as stack:
        stack.enter_context(_listening_to_servers(playbook, heard))
        for tool, function in own:
            object.__setattr__(tool, "function", listened(tool, function))
            stack.callback(object.__setattr__, tool, "function", function)
        yield


def _is_of_its_own_client(problem: Exception) -> bool:
    """Whether an error is that of a client, or of making one, that the local cloud has not made."""
    frames = (frame for frame, _ in traceback.walk_tb(problem.__traceback__))
    client = next((one.f_locals.get("self") for one in frames if one.f_code.co_name == "_make_api_call"), None)
    return not isinstance(getattr(client, "_loader", None), Models)


@contextmanager
def _listening_to_servers(playbook: Playbook, heard: _Heard) -> Iterator[None]:
    """Within the block, note each call of a tool of ``servers/``: each load of the playbook makes them anew."""
    calls = ((tool, tool.function) for tool in playbook.tools.values())
    remote = {(call.server.name, call.remote_name): tool for tool, call in calls if isinstance(call, RemoteCall)}

    def called(self: RemoteCall, args: Any, context: ToolContext) -> Any:
        tool = remote.get((self.server.name, self.remote_name))
        if tool is None:
            return before(self, args, context)
        heard.add(tool, tool.form.from_python(self.form.write(args)), context)
        return heard.ended(tool, context, before(self, args, context))

    with replaced(RemoteCall, "__call__", called) as before:
        yield


def _samples(scenario: Scenario, heard: _Heard) -> list[Sample]:
    made: list[Sample] = []
    before: list[Sample] = []
    calls: list[CallState] = []
    for tool, args, context in heard.calls:
        sample = Sample(scenario.name, tool, args, context, tuple(before), tuple(calls))
        made.append(sample)
        if (key := context.idempotency_key) in heard.results:
            call = ToolCall(tool=tool.name, arguments=tool.form.write(args))
            state = CallState(context.turn, context.index, Planner.AGENT, call, "ok", tool.effect, heard.results[key])
            calls.append(state)
        if tool.effect is Effect.WRITE:
            before.append(Sample(scenario.name, tool, args, context))
    return made


def _chosen(samples: list[Sample], tried: set[str]) -> list[Sample]:
    """Return the samples to try: none that was ``tried`` after the same writes, and few of one tool."""
    counts: dict[str, int] = {}
    chosen = []
    for sample in samples:
        name = sample.tool.name
        same = repr([(one.tool.name, one.args) for one in (*sample.before, sample)])
        if same not in tried and counts.get(name, 0) < MOST_SAMPLES:
            tried.add(same)
            counts[name] = counts.get(name, 0) + 1
            chosen.append(sample)
    return chosen


def _tried(
    rig: Rig, playbook: Playbook, sample: Sample, writes: Sequence[Sample], sampled: set[str], say: Said
) -> list[Finding]:
    """Try the rules on one call, on the call that undoes it, and on the read by which its effect is verified.

    ``writes``: those of its scenario.
    """
    findings: list[Finding] = []
    to_try = [sample]
    while to_try:
        one = to_try.pop(0)
        say(f"{one.scenario}: {one.tool.name}")
        sampled.add(one.tool.name)
        trial = Trial(rig, playbook, one, writes)
        found = [Finding(one.tool.name, "sampled", "held", one.scenario), *trial.findings()]
        found += _in_every_play(rig, one, found)
        # What is broken here would be broken there as well, and say less about the reason.
        if trial.honest is not None and not any(finding.state == "broken" for finding in found):
            found += OtherProcess(rig, one, trial.honest).findings()
        if not any(finding.state == "broken" or finding.needed for finding in found):
            found += trial.over_calls()
        found += _in_every_play(rig, one, found)
        found = _of_a_steady_store(rig, one, found)
        findings += [in_its_words(finding, one.tool) for finding in found]
        if one is sample:
            to_try += trial.more_samples
    return findings


def _of_a_steady_store(rig: Rig, sample: Sample, found: list[Finding]) -> list[Finding]:
    """Return what was found, without what an earlier call is to blame for: one that leaves something else each time."""
    earlier = rig.unsteady_before(sample)
    if not earlier or not any(one.state == "broken" for one in found):
        return found
    seen = f"Before it, the scenario calls another tool, which does not leave the same each time. {earlier}."
    remedy = "Let seen_outside() leave out what follows from the order of arrival, or call it in a scenario of its own."
    unsteady = Finding(sample.tool.name, "repeatable", "not tried", sample.scenario, seen, remedy, True)
    return [*(one for one in found if one.state != "broken" and one.rule != "repeatable"), unsteady]


def _in_every_play(rig: Rig, sample: Sample, found: Sequence[Finding]) -> list[Finding]:
    """Return what is wrong in any play so far, where nothing else is: a play after a breach says little."""
    if any(one.state == "broken" for one in found):
        return []
    states = {one.rule: "needed" if one.needed else one.state for one in found}
    tell = tell_of_effects(stand_ins=rig.cloud.stand_ins is not None)
    return list(rig.plays.findings(sample.tool, sample.scenario, states, tell))


def _at_import(reads: Sequence[str]) -> Iterator[Finding]:
    """Yield a hint for each module that reads what differs between processes as it is imported."""
    remedy = "Read it in the call: ctx.now, ctx.environ. What is drawn or read at import is each process's own."
    for what in reads:
        module = what.rpartition("(")[2].partition(",")[0]
        yield Finding(f"module {module}", "import", "not tried", "", f"As it is imported, it reads {what}.", remedy)


def _always_refused(playbook: Playbook, findings: list[Finding]) -> list[Finding]:
    """Return a finding for each write whose every call was refused by the tool itself: its effect was never tried."""
    tried = {one.of for one in findings if one.rule in ("key", "verify", "interrupted") or one.state == "broken"}
    sampled = {one.of for one in findings if one.rule == "result"}
    remedy = "Add a scenario in which a call of it succeeds."
    return [
        Finding(name, "sampled", "broken", "", "Its function refused every call of it.", remedy)
        for name, tool in playbook.tools.items()
        if tool.effect is Effect.WRITE and name in sampled - tried
    ]


def _without_sample(
    playbook: Playbook, sampled: set[str], refused: Mapping[str, str], played: set[str]
) -> Iterator[Finding]:
    for name in playbook.tools:
        if name not in sampled:
            why = f"Its call was refused: {refused[name]}" if name in refused else "No scenario calls it."
            remedy = "Add a scenario in which a call of it succeeds."
            yield Finding(name, "sampled", "not tried", "", why, remedy, True)
    for intent in playbook.fallbacks:
        if intent not in played:
            remedy = "Add a scenario with this intent in which a tool is called."
            yield Finding(f"fallback {intent}", "pure", "not tried", "", "No scenario has its intent.", remedy, True)
