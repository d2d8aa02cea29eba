"""Run a tool within its downstream's circuit and its own time, and say what came of it.

**The circuit** is Powertools' utility over the idempotency table. An open one is in the table (``circuit#<name>``), so
every process of the executor sees it within seconds. The failures that open it are counted in each process by itself: a
healthy call writes nothing. Where the table cannot be read a circuit counts as closed: it must not be an outage itself.

**The time.** The function runs in a thread of its own, which nobody can stop in the middle of a request. So it is told
to stop at its next step: what is in flight may still arrive, but it begins nothing more, neither now nor when Lambda
thaws this process for another call.

**What came of it.** Doubt is the default. A tool has failed where it says so (``ToolFailed``), and nothing was done
where it says so (``RetryLater``) or where it was never begun (``CircuitOpen``). Whatever else it raises, an outage, a
defect or an error of a client that nobody here has heard of, says nothing about its effect: the request may have
arrived, or arrive yet.
"""

from __future__ import annotations

import contextvars
import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from ballast.aws_errors import consequences
from ballast.contracts.error_text import error_text
from ballast.edge import note
from ballast.errors import ProcessEnds, RetryLater, SettingInvalid
from ballast.playbook import Circuit, Tool, ToolContext, ToolFailed
from ballast.playbook.rules import ends_the_process
from ballast.runtime import Runtime
from functions.executor.record import CallOutcome

T = TypeVar("T")

#: What the executor keeps of the Lambda's time to record what came of the call.
RESERVED_S = 5.0
#: What nobody can tell from "nothing was found" where it is empty, or 0.
_MAY_BE_EMPTY = (bool, int, float, complex, Decimal, str, bytes, bytearray, list, tuple, dict, set, frozenset)
#: Makes a text short enough to be recorded, without parting a sensitive value.
Cut = Callable[[str], str]


class CircuitOpen(Exception):
    """The downstream failed so often that it is left alone for a while. Nothing was executed."""


class TimedOut(Exception):
    """The tool took longer than it may. A write may have happened, or may happen yet."""


class Broken(Exception):
    """The tool raised what is no ``Exception``: ``sys.exit``, a cancelled event loop, a panic of its client."""


class _GivenUp(ProcessEnds):
    """Raised inside the tool's thread: nobody waits for it any more."""


@dataclass(frozen=True)
class NothingDone:
    """A run that did nothing, and may be made again: the tool itself says so, or its circuit was open (``rested``)."""

    message: str
    rested: bool = False
    cause: BaseException | None = None


@dataclass(frozen=True)
class InDoubt:
    """A run that ended with an error: its effect may have happened, and may still happen.

    answered  it returned, and not what it promises: it is over, and no other answer will come
    cause     what its function raised
    """

    message: str
    answered: bool = False
    cause: BaseException | None = None


#: What came of a run.
Came = CallOutcome | NothingDone | InDoubt


class Downstreams:
    """What the playbook's tools call, each behind the circuit that its tool names."""

    def __init__(self, make_store: Callable[[], Any]) -> None:
        self._make_store = make_store
        self._made: Any = None

    @classmethod
    def of(cls, runtime: Runtime, table_name: str) -> Downstreams:
        """Return them over that table, with ``runtime``'s client, once a tool names a circuit."""

        def make_store() -> Any:
            from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

            return CircuitBreakerDynamoDBPersistence(table_name, boto3_client=runtime.client("dynamodb"))

        return cls(make_store)

    def ready(self, tool: Tool, args: Any, context: ToolContext) -> Callable[[], Any]:
        """Return the tool, ready to be run once; its time is the context's."""
        return partial(self.call, tool.circuit, context.timeout_s, tool.function, args, context)

    def call(self, circuit: Circuit | None, seconds: float | None, function: Callable[..., T], *given: Any) -> T:
        """Return ``function(*given)``, or raise ``CircuitOpen`` without calling it.

        Raises what the function raises, ``TimedOut`` after so many ``seconds`` (None: no limit), and ``Broken`` for
        what is no ``Exception``, so that its circuit counts it; only the end of this very process passes.

        Whatever it raises counts as a failure of the downstream, except what the business said no to. A client may have
        a breaker by Powertools of its own: what that raises comes from ``function``, and passes as any other error.
        """
        begun = False

        def begin() -> T:
            nonlocal begun
            begun = True
            try:
                return within(seconds, function, *given)
            except (ToolFailed, RetryLater, TimedOut):
                raise  # the tool's own word, or its time
            except Exception as problem:
                note(problem)  # it becomes an outcome, which has its text alone
                raise
            except BaseException as problem:
                if ends_the_process(problem):
                    raise
                broken = Broken(f"{type(problem).__name__}: {error_text(problem)}")
                note(broken)
                raise broken from problem

        if circuit is None:
            return begin()
        from aws_lambda_powertools.utilities.circuit_breaker import (
            CircuitBreakerConfig,
            CircuitBreakerOpenError,
            circuit_breaker,
        )

        config = CircuitBreakerConfig(
            failure_threshold=circuit.failures,
            recovery_timeout=circuit.recovery_s,
            success_threshold=1,  # one probe: the next calls may come to other processes
            ignored_exceptions=(ToolFailed, SettingInvalid),
        )
        self._made = self._made or self._make_store()
        guarded: Callable[[], T] = circuit_breaker(f"circuit#{circuit.name}", self._made, config=config)(begin)
        try:
            return guarded()
        except CircuitBreakerOpenError:
            if begun:
                raise
            raise CircuitOpen(
                f"{circuit.name} failed too often and is left alone for a while. Nothing was executed."
            ) from None


@contextmanager
def _errors_become_values(tool: Tool, cut: Cut) -> Iterator[list[Came]]:
    """Leave the block where something is raised in it, and put what that says of the effect into the list."""
    came: list[Came] = []
    try:
        with consequences(f"What the tool {tool.name} uses"):
            try:
                yield came
            except RetryLater as nothing:  # the tool's own word: ``consequences`` has said nothing yet
                came.append(NothingDone(cut(error_text(nothing)), cause=nothing))
    except ToolFailed as failed:
        came.append(CallOutcome("failed", message=cut(error_text(failed))))
    except CircuitOpen as rested:
        came.append(NothingDone(str(rested), rested=True, cause=rested))
    except Exception as problem:
        ours = isinstance(problem, RetryLater | SettingInvalid | TimedOut | Broken)
        what = error_text(problem) if ours else f"{type(problem).__name__}: {error_text(problem)}"
        came.append(InDoubt(cut(f"{tool.name} broke: {what}"), cause=problem))


def run_tool(tool: Tool, call: Callable[[], Any], cut: Cut) -> Came:
    """Run ``call`` and return what came of it: ok, failed where the business says no, or why there is no outcome.

    ``cut`` bounds what errors say.
    """
    with _errors_become_values(tool, cut) as came:
        result = call()
    return came[0] if came else _ok(tool, result, cut)


def found(tool: Tool, verify: Callable[[], Any], cut: Cut) -> Came | None:
    """Return what ``verify`` finds of the effect, or why it cannot tell; None where it finds nothing.

    None says that nothing was found, and False where it can be no result. Any other empty value is no answer.
    """
    with _errors_become_values(tool, cut) as came:
        result = verify()
    if came:
        no_answer = came[0]
        if isinstance(no_answer, CallOutcome):
            return InDoubt(cut(f"verify of {tool.name} failed: {no_answer.message}"))
        return no_answer
    if result is None or (result is False and not _may_return_false(tool)):
        return None
    if isinstance(result, _MAY_BE_EMPTY) and not result:
        told = repr(result) if isinstance(result, bool | int | float) else f"an empty {type(result).__name__}"
        says_nothing = f"verify of {tool.name} returned {told}, which says nothing: None where it did not happen."
        return InDoubt(says_nothing, answered=True)
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


def _ok(tool: Tool, result: Any, cut: Cut) -> CallOutcome | InDoubt:
    try:
        return CallOutcome("ok", result=tool.dump(result))
    except BaseException as problem:  # a validator or a serializer of the result's type may raise whatever it likes
        if ends_the_process(problem):
            raise
        return InDoubt(cut(f"The result is not what {tool.name} promises: {error_text(problem)}."), answered=True)


# Time


def seconds_for(timeout_s: float | None, lambda_context: Any) -> float | None:
    """Return how long a tool may run now: its own time, and never past the Lambda's. None: no limit of its own."""
    if timeout_s is None:
        return None
    left_s: float = lambda_context.get_remaining_time_in_millis() / 1000 - RESERVED_S
    # With nothing left Lambda cuts the attempt itself, which is resolved as a dead one.
    return min(timeout_s, left_s) if left_s > 0 else timeout_s


def within(seconds: float | None, function: Callable[..., T], *given: Any) -> T:
    """Return ``function(*given)`` or raise what it raises; ``TimedOut`` where it takes longer than ``seconds``."""
    if seconds is None:
        return function(*given)
    results: list[T] = []
    problems: list[BaseException] = []
    # Told to stop before its work or after it, a thread would stop in Python's own code; and if it has ended, another
    # would that was given its number. So it is told while it works, and its result counts only where it was not told.
    telling = threading.Lock()
    begun = given_up = False

    def run() -> None:
        nonlocal begun
        try:
            with telling:
                if given_up:
                    return
                begun = True
            try:
                result = function(*given)
            except BaseException as problem:
                with telling:
                    problems.append(problem)
            else:
                with telling:
                    results.append(result)
        except _GivenUp:
            """Between the work and its result."""

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="tool", daemon=True)
    thread.start()
    thread.join(seconds)
    with telling:
        if not results and not problems:
            given_up = True
            if begun:  # the only way that CPython has
                number = ctypes.c_ulong(thread.ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(_GivenUp))
            raise TimedOut(f"It took longer than {seconds:g} s.")
    if problems:
        raise problems[0]
    return results[0]
