"""What becomes of a tool's run, as an outcome in JSON or as one of three kinds of doubt. No request of its own."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import RetryLater, SettingInvalid
from ballast.log.aws_errors import consequences
from ballast.playbook import Tool, ToolFailed
from functions.executor.attempt import Outcome
from functions.executor.circuit import CircuitOpen
from functions.executor.timeout import TimedOut


class NothingDone(RetryLater):
    """The tool itself says that nothing was done and that it may be tried again."""


class Lost(Exception):
    """An outage or a timeout: the effect may have happened, and may still happen."""


class Broken(Exception):
    """A defect: how far the tool came is unknown, but it has come to an end."""


class NotAsPromised(Exception):
    """The tool returned, so its effect happened, but the result is not what it promises."""


def run_tool(tool: Tool, call: Callable[[], Any]) -> Outcome:
    """Run ``call`` and return its outcome as JSON: ok, or failed where the business says no.

    Raises ``NothingDone``, ``Lost``, ``Broken``, ``NotAsPromised``, ``CircuitOpen`` and ``SettingInvalid``.
    """
    try:
        result = _called(tool, call)
    except ToolFailed as failed:
        return {"status": "failed", "message": str(failed)}
    return _ok(tool, result)


def found(tool: Tool, verify: Callable[[], Any]) -> Outcome | None:
    """Return the outcome of the effect that ``verify`` found, or None. Raises as ``run_tool`` does."""
    try:
        result = _called(tool, verify)
    except ToolFailed as failed:
        raise Broken(f"verify of {tool.name} failed: {failed}") from failed
    if result is None:
        return None
    return _ok(tool, None if result is True and tool.returns_nothing else result)


def run_read(tool: Tool, call: Callable[[], Any]) -> Outcome:
    """Run a tool that reads. It did nothing whatever went wrong, so the planner may go on.

    A ``defect`` was no outcome of the business: its message quotes whatever went wrong, so nobody vouches for it.
    Raises ``RetryLater`` for an outage of AWS: another attempt reads again.
    """
    try:
        return run_tool(tool, call)
    except Lost as lost:
        if isinstance(lost.__cause__, RetryLater):
            raise RetryLater(str(lost)) from lost
        return {"status": "failed", "message": str(lost), "defect": True}
    except CircuitOpen as rests:
        return {"status": "failed", "message": str(rests)}
    except (Broken, NotAsPromised) as problem:
        return {"status": "failed", "message": str(problem), "defect": True}


def said_by_tool(function: Callable[[], Any]) -> Any:
    """Return ``function()``; a ``RetryLater`` of the tool's own becomes ``NothingDone``."""
    try:
        return function()
    except RetryLater as said:
        raise NothingDone(str(said)) from said


def _called(tool: Tool, call: Callable[[], Any]) -> Any:
    try:
        with consequences(f"What the tool {tool.name} uses"):
            return call()
    except (ToolFailed, SettingInvalid, NothingDone, CircuitOpen):
        raise
    except (RetryLater, TimedOut, ConnectionError, TimeoutError) as outage:
        raise Lost(f"{tool.name}: {outage}"[:500]) from outage
    except Exception as defect:
        raise Broken(f"{tool.name} broke: {type(defect).__name__}: {defect}"[:500]) from defect


def _ok(tool: Tool, result: Any) -> Outcome:
    try:
        return {"status": "ok", "result": tool.dump(result)}
    except (ValueError, RecursionError) as problem:
        why = complaints(problem) if isinstance(problem, ValidationError) else str(problem)
        raise NotAsPromised(f"The result is not what {tool.name} promises: {why}.") from problem
