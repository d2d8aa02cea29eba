"""The rule of fallbacks: a script follows from the request and the results of its calls, and from nothing else.

The script is played once with real tools in fresh tables. Then it is replayed over the same outcomes, as at every step
in production: at other times, with other randomness and a watched environment. A profile of its own frames tells each
clock, random number, variable and file that it reads, also where nothing follows from it yet.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import FrameType
from typing import Any

from ballast.contracts import RunRequest, ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import SchemaViolation
from ballast.playbook import CallFailed, GiveUp, Playbook, ToolContext
from ballast.playbook.fallback import MAX_CALLS, Fallback, final_decision
from cli.certify.report import Finding
from cli.certify.rig import Rig, Sample

#: Seconds after the first play at which a script is replayed: a moment, half a day, some weeks, more than a year.
_LATER_S = (0.0, 1.0, 47_000.0, 4_000_000.0, 40_000_000.0)
#: What a script may not read, by the name of a C function, and in words.
_CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "now", "utcnow", "today"}
_CLOCKS |= {"localtime", "gmtime", "sleep", "ctime"}
_RANDOM = {"urandom", "getrandbits", "random", "getrandom"}
_IO = {"open", "connect", "connect_ex", "sendto", "system", "fork", "posix_spawn", "listdir", "stat", "scandir"}
#: What a call of the standard library may read for itself: the import system, and lines of the log.
_EXCUSED = ("importlib", "/logging/", "/warnings.py", "/linecache.py", "/traceback.py")

#: os.environ is written in Python.
_OF_ENVIRON = [getattr(type(os.environ), name).__code__ for name in ("__getitem__", "__iter__", "__len__")]

Outcome = Any


def script_finding(rig: Rig, playbook: Playbook, script: Fallback, sample: Sample) -> tuple[Finding, tuple[str, ...]]:
    """Return what the rule says of one script for one request, and the tools that it called.

    ``sample`` gives the request and a context; its own tool is not called.
    """
    request = sample.context.request
    of = f"fallback {request.intent}"
    outcomes, first, calls = _played(rig, playbook, script, sample)
    for number, later_s in enumerate(_LATER_S):
        reads: list[str] = []
        now = sample.context.now + timedelta(seconds=later_s)
        # Its surroundings are set in every play but the first, so that a profile sees the real clock there.
        if number == 0:
            with _watched(str(playbook.folder), reads):
                again = _replayed(script, request, outcomes)
        else:
            with rig.surroundings.of(now, number):
                again = _replayed(script, request, outcomes)
        if reads:
            seen = f"It reads {reads[0]}."
            remedy = "Take it from the request or from a tool's result: a fallback is replayed from its start."
            return Finding(of, "pure", "broken", sample.scenario, seen, remedy), calls
        if again != first:
            one, other = next((a, b) for a, b in zip([*first, "no more"], [*again, "no more"], strict=False) if a != b)
            seen = f"Replayed over the same results, it decided otherwise: {one[:100]}, and now {other[:100]}."
            remedy = "Decide by the request and the results alone, and keep nothing in a module."
            return Finding(of, "pure", "broken", sample.scenario, seen, remedy), calls
    return Finding(of, "pure", "held", sample.scenario), calls


def _played(
    rig: Rig, playbook: Playbook, script: Fallback, sample: Sample
) -> tuple[list[Outcome], list[str], tuple[str, ...]]:
    """Play a script with real tools in fresh tables; return outcomes, decisions, and the names of its tools."""
    outcomes: list[Outcome] = []
    names: list[str] = []
    rig.fresh()
    while len(outcomes) < MAX_CALLS:
        said = _steps(script, sample.context.request, outcomes)
        last = said[-1]
        if not isinstance(last, ToolCall):
            break
        names.append(last.tool)
        outcomes.append(_outcome(rig, playbook, last, sample, len(outcomes) + 1))
    return outcomes, [_as_text(one) for one in _steps(script, sample.context.request, outcomes)], tuple(names)


def _outcome(rig: Rig, playbook: Playbook, call: ToolCall, sample: Sample, number: int) -> Outcome:
    tool = playbook.tools.get(call.tool)
    if tool is None:
        return CallFailed(call.tool, "refused", "There is no such tool.")
    try:
        args = tool.read(call.arguments)
    except SchemaViolation as problem:
        return CallFailed(call.tool, "refused", str(problem))
    context: ToolContext = replace(sample.context, turn=number, idempotency_key=f"certify.{number:04d}.1")
    end = rig.attempt(Sample(sample.scenario, tool, args, context))
    if end.how != "ok":
        return CallFailed(call.tool, "failed" if end.how == "failed" else "unknown", end.message)
    return tool.result.validate_json(canonical(end.result))


def _replayed(script: Fallback, request: RunRequest, outcomes: list[Outcome]) -> list[str]:
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


@contextmanager
def _watched(folder: str, reads: list[str]) -> Iterator[None]:
    """Within the block, note what code of ``folder`` reads that is neither its request nor a result."""

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            name, of = getattr(function, "__name__", ""), getattr(function, "__self__", None)
            what = _forbidden(name, of)
        elif event == "call":
            what = "the environment" if frame.f_code in _OF_ENVIRON else None
        else:
            return
        if what is not None and (where := _place(frame, folder)) is not None:
            reads.append(f"{what} ({where})")

    before: Callable[..., Any] | None = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)


def _forbidden(name: str, of: Any) -> str | None:
    module = getattr(of, "__name__", "") if isinstance(of, type(sys)) else ""
    if name in _CLOCKS and (module == "time" or (isinstance(of, type) and of.__module__ == "datetime")):
        return f"the clock, {name}()"
    if name in _RANDOM and (module in ("posix", "nt") or isinstance(of, random.Random)):
        return f"randomness, {name}()"
    if name in _IO and (module in ("posix", "nt", "_io", "io") or type(of).__module__ in ("socket", "_socket")):
        return f"the outside, {name}()"
    return None


def _place(frame: FrameType, folder: str) -> str | None:
    """Return the file and line of the playbook's code that is at work; None where there is none, or it is excused."""
    at: FrameType | None = frame
    while at is not None:
        file = at.f_code.co_filename
        if any(word in file for word in _EXCUSED):
            return None
        if file.startswith(folder):
            return f"{file.removeprefix(folder).lstrip('/')}, line {at.f_lineno}"
        at = at.f_back
    return None
