"""The rule of fallbacks: a script follows from the request and the results of its calls, and from nothing else.

The script is played once with real tools in fresh tables. Then it is replayed over the same outcomes, as at every step
in production: at other times, with other randomness and a watched environment. A profile of its own frames tells each
clock, random number, variable and file that it reads, also where nothing follows from it yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ballast.contracts import RunRequest, ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import SchemaViolation
from ballast.playbook import CallFailed, GiveUp, Playbook, ToolContext
from ballast.playbook.fallback import MAX_CALLS, Fallback, final_decision
from cli.certify.elsewhere import ZONES, Away
from cli.certify.modules import changed_in, memory_of, own_to_its_process
from cli.certify.pure import told, watched
from cli.certify.report import Finding
from cli.certify.rig import Rig, Sample
from cli.certify.surroundings import EACH_HOUR_S, wall_clock_at
from localcloud.project import package_of

_BY_ITSELF = "Decide by the request and the results alone: sort a set, and keep nothing in a module."
#: Seconds after the first play at which it is replayed with other randomness: a moment, some years.
_LATER_S = (1.0, 180_000_000.0)
Outcome = Any


def script_finding(rig: Rig, playbook: Playbook, script: Fallback, sample: Sample) -> tuple[Finding, tuple[str, ...]]:
    """Return what the rule says of one script for one request, and the tools that it called.

    ``sample`` gives the request and a context; its own tool is not called.
    """
    request = sample.context.request
    of = f"fallback {request.intent}"
    outcomes, raw, first, calls = _played(rig, playbook, script, sample)
    remedy = "Take it from the request or from a tool's result: a fallback is replayed from its start."
    reads: list[str] = []
    package, drawn = package_of(playbook), rig.drawn
    if own := own_to_its_process(script.function, package, str(playbook.folder), drawn):
        return Finding(of, "pure", "broken", sample.scenario, f"It reads {own}.", remedy), calls
    memory = memory_of(script.function, package)
    for again in _replayed(rig, playbook, lambda: steps_as_text(script, request, outcomes), sample, reads):
        if reads:
            return Finding(of, "pure", "broken", sample.scenario, f"It reads {reads[0]}.", remedy), calls
        if again != first:
            seen = f"Replayed over the same results, it decided otherwise: {_first_other(first, again)}."
            return Finding(of, "pure", "broken", sample.scenario, seen, _BY_ITSELF), calls
    if changed := changed_in(memory, memory_of(script.function, package)):
        seen = f"Each replay changes {changed}, which it reads, in its process."
        return Finding(of, "pure", "broken", sample.scenario, seen, _BY_ITSELF), calls
    for number, zone in enumerate(ZONES if rig.away is not None else ()):
        turned = number == 1
        try:
            came = rig.play_away(sample, what="script", outcomes=raw, draw=number, turned=turned, zone=zone)
        except Away as problem:
            return Finding(of, "pure", "not tried", sample.scenario, str(problem), remedy, True), calls
        if came.hidden or came.process:
            seen = f"It {[*came.hidden, *came.process][0]}."
            return Finding(of, "pure", "broken", sample.scenario, seen, remedy), calls
        if came.answer != first:
            where = "in another process, on another machine"
            seen = f"Replayed over the same results {where}, it decided otherwise: {_first_other(first, came.answer)}."
            return Finding(of, "pure", "broken", sample.scenario, seen, _BY_ITSELF), calls
    return Finding(of, "pure", "held", sample.scenario), calls


def _replayed(
    rig: Rig, playbook: Playbook, replay: Callable[[], list[str]], sample: Sample, reads: list[str]
) -> Iterator[list[str]]:
    """Yield what a script decides, under a profile and at many times; note what it reads."""
    folder, now = str(playbook.folder), sample.context.now
    # The playbook's own modules have their real clocks here, so that a profile sees them.
    with wall_clock_at(now), watched(folder, reads):
        again = replay()
    yield again
    for number, later_s in enumerate(_LATER_S, 1):
        with rig.surroundings.of(now + timedelta(seconds=later_s), number), told(folder, reads):
            again = replay()
        yield again
    with rig.surroundings.of(now, 0) as around:
        found = []
        for later_s in EACH_HOUR_S:
            around.passes(later_s)
            found.append(replay())
    yield from found


def _first_other(first: list[str], again: list[str]) -> str:
    pairs = zip([*first, "no more"], [*again, "no more"], strict=False)
    one, other = next((one, other) for one, other in pairs if one != other)
    return f"{one[:100]}, and now {other[:100]}"


def _played(
    rig: Rig, playbook: Playbook, script: Fallback, sample: Sample
) -> tuple[list[Outcome], list[tuple[str, ...]], list[str], tuple[str, ...]]:
    """Play a script with real tools in fresh tables.

    Return outcomes, the same for another process, decisions, and the names of its tools.
    """
    outcomes: list[Outcome] = []
    raw: list[tuple[str, ...]] = []
    names: list[str] = []
    rig.fresh()
    while len(outcomes) < MAX_CALLS:
        said = _steps(script, sample.context.request, outcomes)
        last = said[-1]
        if not isinstance(last, ToolCall):
            break
        names.append(last.tool)
        raw.append(_outcome(rig, playbook, last, sample, len(outcomes) + 1))
        outcomes.append(outcome_of(playbook, raw[-1]))
    return outcomes, raw, [_as_text(one) for one in _steps(script, sample.context.request, outcomes)], tuple(names)


def _outcome(rig: Rig, playbook: Playbook, call: ToolCall, sample: Sample, number: int) -> tuple[str, ...]:
    tool = playbook.tools.get(call.tool)
    if tool is None:
        return call.tool, "refused", "There is no such tool."
    try:
        args = tool.read(call.arguments)
    except SchemaViolation as problem:
        return call.tool, "refused", str(problem)
    context: ToolContext = replace(sample.context, turn=number, idempotency_key=f"certify.{number:04d}.1")
    end = rig.attempt(Sample(sample.scenario, tool, args, context))
    if end.how != "ok":
        return call.tool, "failed" if end.how == "failed" else "unknown", end.message
    return call.tool, canonical(end.result)


def outcome_of(playbook: Playbook, raw: tuple[str, ...]) -> Outcome:
    """Return what a script gets for a call: its result, or why it failed."""
    if len(raw) == 3:
        tool, status, message = raw
        return CallFailed(tool, status, message)
    tool, result = raw
    return playbook.tools[tool].result.validate_json(result)


def steps_as_text(script: Fallback, request: RunRequest, outcomes: list[Outcome]) -> list[str]:
    """Return what a script proposes over these outcomes, each step as text."""
    return [_as_text(one) for one in _steps(script, request, outcomes)]


def _steps(script: Fallback, request: RunRequest, outcomes: list[Outcome]) -> list[Any]:
    """Return what a script proposes over these outcomes, and its end or its next call."""
    said: list[Any] = []
    running = script(request)
    try:
        said.append(next(running))
        for outcome in outcomes:
            if isinstance(outcome, CallFailed):
                said.append(running.throw(CallFailed(outcome.tool, outcome.status, outcome.message)))
            else:
                said.append(running.send(outcome))
    except StopIteration as end:
        try:
            said.append(final_decision(end.value))
        except (TypeError, ValueError) as problem:
            said.append(str(problem))
    except (GiveUp, CallFailed) as gave_up:
        said.append(f"gave up: {gave_up}")
    except Exception as problem:
        said.append(f"failed: {type(problem).__name__}: {problem}")
    finally:
        running.close()
    return said


def _as_text(said: Any) -> str:
    return said if isinstance(said, str) else canonical(said.model_dump(mode="json"))
