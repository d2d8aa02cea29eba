"""What becomes of a tool's run, as an outcome or in doubt. No request of its own.

Doubt is the default. A tool has failed where it says so (``ToolFailed``), and nothing was done where it says so
(``RetryLater``) or where it was never begun (``CircuitOpen``). Whatever else it raises, an outage, a defect or an error
of a client that nobody here has heard of, says nothing about its effect: the request may have arrived, or arrive yet.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts.said import said
from ballast.errors import RetryLater, SettingInvalid
from ballast.playbook import Tool, ToolFailed
from ballast.playbook.defect import ends_the_process
from functions.executor.call_outcome import CallOutcome
from functions.executor.circuit import CircuitOpen
from functions.executor.timeout import TimedOut

#: Makes a text short enough to be recorded, without parting a sensitive value.
Cut = Callable[[str], str]
#: What nobody can tell from "nothing was found" where it is empty, or 0.
_MAY_BE_EMPTY = (bool, int, float, complex, Decimal, str, bytes, bytearray, list, tuple, dict, set, frozenset)


class NothingDone(RetryLater):
    """The tool itself says that nothing was done and that it may be tried again."""


class InDoubt(Exception):
    """The tool, or what it asked, ended with an error: its effect may have happened, and may still happen."""


class _Ended(Exception):
    """The tool raised what is no ``Exception``: ``sys.exit``, a cancelled event loop, a panic of its client."""


class NotAsPromised(Exception):
    """The tool returned, so its effect happened, but the result is not what it promises."""


def run_tool(tool: Tool, call: Callable[[], Any], cut: Cut) -> CallOutcome:
    """Run ``call`` and return its outcome: ok, or failed where the business says no. ``cut`` bounds errors.

    Raises ``NothingDone``, ``InDoubt``, ``NotAsPromised`` and ``CircuitOpen``.
    """
    try:
        result = _called(tool, call, cut)
    except ToolFailed as failed:
        return CallOutcome("failed", message=cut(said(failed)))
    return _ok(tool, result, cut)


def found(tool: Tool, verify: Callable[[], Any], cut: Cut) -> CallOutcome | None:
    """Return the outcome of the effect that ``verify`` found, or None. Raises as ``run_tool`` does.

    None says that nothing was found, and False where it can be no result. Any other empty value is ``NotAsPromised``.
    """
    try:
        result = _called(tool, verify, cut)
    except ToolFailed as failed:
        raise InDoubt(cut(f"verify of {tool.name} failed: {said(failed)}")) from failed
    if result is None or (result is False and not _may_return_false(tool)):
        return None
    if isinstance(result, _MAY_BE_EMPTY) and not result:
        told = repr(result) if isinstance(result, bool | int | float) else f"an empty {type(result).__name__}"
        raise NotAsPromised(f"verify of {tool.name} returned {told}, which says nothing: None where it did not happen.")
    return _ok(tool, None if result is True and tool.returns_nothing else result, cut)


def _may_return_false(tool: Tool) -> bool:
    """Say whether False may be the result of the effect, so that it does not tell whether that happened."""
    if tool.returns_nothing:
        return False
    try:
        tool.dump(False)
    except Exception:
        return False
    return True


def run_read(tool: Tool, call: Callable[[], Any], cut: Cut) -> CallOutcome:
    """Run a tool that reads. It did nothing whatever went wrong, so the planner may go on.

    A ``defect`` was no outcome of the business: its message quotes whatever went wrong, so nobody vouches for it.
    Raises ``RetryLater`` for an outage of AWS: another attempt reads again. Raises ``SettingInvalid``.
    """
    try:
        return run_tool(tool, call, cut)
    except NothingDone as nothing:  # by the name that the workflow tries again for
        raise RetryLater(cut(str(nothing))) from nothing
    except InDoubt as doubt:
        if isinstance(doubt.__cause__, SettingInvalid):
            raise doubt.__cause__ from None
        if isinstance(doubt.__cause__, RetryLater):
            raise RetryLater(str(doubt)) from doubt
        return CallOutcome("failed", message=str(doubt), defect=True)
    except CircuitOpen as rests:
        return CallOutcome("failed", message=str(rests))
    except NotAsPromised as problem:
        return CallOutcome("failed", message=str(problem), defect=True)


def said_by_tool(function: Callable[[], Any]) -> Any:
    """Return ``function()``; a ``RetryLater`` of the tool's own becomes ``NothingDone``.

    What is no ``Exception`` becomes an error like any other, so that it leaves the tool in doubt and its breaker counts
    it; only the end of this very process passes.
    """
    try:
        return function()
    except RetryLater as nothing:
        raise NothingDone(said(nothing)) from nothing
    except Exception:
        raise
    except BaseException as problem:
        if ends_the_process(problem):
            raise
        raise _Ended(f"{type(problem).__name__}: {said(problem)}") from problem


def _called(tool: Tool, call: Callable[[], Any], cut: Cut) -> Any:
    try:
        with consequences(f"What the tool {tool.name} uses"):
            return call()
    except (ToolFailed, NothingDone, CircuitOpen):
        raise
    except Exception as problem:
        ours = isinstance(problem, RetryLater | SettingInvalid | TimedOut | _Ended)
        what = said(problem) if ours else f"{type(problem).__name__}: {said(problem)}"
        raise InDoubt(cut(f"{tool.name} broke: {what}")) from problem


def _ok(tool: Tool, result: Any, cut: Cut) -> CallOutcome:
    try:
        return CallOutcome("ok", result=tool.dump(result))
    except BaseException as problem:  # a validator or a serializer of the result's type may raise whatever it likes
        if ends_the_process(problem):
            raise
        raise NotAsPromised(cut(f"The result is not what {tool.name} promises: {said(problem)}.")) from problem
