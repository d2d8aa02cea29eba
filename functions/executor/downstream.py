"""The run of a tool, within its downstream's circuit and its time limit, and the classification of its end.

**The circuit** is Powertools' utility over the idempotency table. An open circuit is in the table (``circuit#<name>``),
so every process of the executor sees it within seconds. Each process counts failures by itself, so a healthy call
writes nothing. If the table cannot be read, the circuit counts as closed. If a process cannot claim the probe of an
open circuit, the circuit stays open for its call.

**The time limit.** The function runs in a thread, and no thread can be stopped in the middle of a request. So the
thread is told to stop at its next step: a request that it has sent may still arrive, but it begins nothing more,
neither now nor when Lambda thaws this process for another call.

**The classification.** Doubt is the default. A tool has failed where it says so (``ToolFailed``). Nothing was done
where the tool says so (``RetryLater``, ``NotSent``) or was not begun (``CircuitOpen``). Any other error (an outage, a
defect, an unknown error of a client) says nothing about the effect: the request may have arrived, or may arrive yet.
"""

from __future__ import annotations

import contextvars
import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from ballast.aws_errors import consequences
from ballast.contracts.wire import canonical, sha256
from ballast.edge import note
from ballast.errors import ProcessEnds, RetryLater, SettingInvalid
from ballast.log.events import Unlike
from ballast.masking import error_text
from ballast.metrics import metric_line
from ballast.playbook import Circuit, Tool, ToolContext, ToolFailed
from ballast.playbook.context import AsIfAgain, Bill, NotSent, ToolChanged, WrongResult
from ballast.playbook.rules import ends_the_process
from ballast.runtime import Runtime
from ballast.table import Table, Update
from ballast.values import dataclass
from functions.executor.record import CallOutcome

T = TypeVar("T")

#: Seconds of the Lambda's time that are kept for recording the outcome.
RESERVED_S = 5.0
#: Types whose empty or zero value cannot be told from "nothing was found".
_MAY_BE_EMPTY = (bool, int, float, complex, Decimal, str, bytes, bytearray, list, tuple, dict, set, frozenset)
#: The beginning of a message of a result that is not as declared. Logs have it: it must not change.
_NOT_PROMISED = "The result is not what"
#: What ``looked`` says of what ``verify`` found. Logs have it: it must not change.
NOTHING, SOMETHING = "nothing", "something"
#: Cuts a text to what is recorded, without leaving a part of a sensitive value.
Cut = Callable[[str], str]


class CircuitOpen(Exception):
    """The downstream failed so often that it is not called for a while. Nothing was executed."""

    def __init__(self, message: str, *, downstream: str = "") -> None:
        super().__init__(message)
        self.downstream = downstream


class TimedOut(Exception):
    """The tool exceeded its time limit. A write may have happened, or may happen yet."""


class Broken(Exception):
    """The tool raised a ``BaseException``: ``sys.exit``, a cancelled event loop, a panic of its client."""


class _GivenUp(ProcessEnds):
    """Raised inside the tool's thread after its time limit."""


@dataclass(frozen=True)
class NothingDone:
    """A run that did nothing and may be repeated: the tool says so, or its circuit was open (``rested``).

    circuit  the downstream whose circuit was open
    barred  it would do nothing if it were repeated: what is missing comes from outside, such as a token
    """

    message: str
    rested: bool = False
    circuit: str | None = None
    barred: bool = False
    cause: BaseException | None = None
    unlike: Unlike | None = None


@dataclass(frozen=True)
class InDoubt:
    """A run that ended with an error: its effect may have happened, and may still happen.

    answered  it returned a result of another type than declared: the run is over, and a repetition returns the same
    refused   it was refused as its repetition would be: the run is over
    cause     the error of its function
    unlike    the server that answered otherwise than it was pinned
    """

    message: str
    answered: bool = False
    refused: bool = False
    cause: BaseException | None = None
    unlike: Unlike | None = None


#: The end of a run.
RunEnd = CallOutcome | NothingDone | InDoubt


class Downstreams:
    """The systems that tools call, each behind the circuit that its tool names."""

    def __init__(
        self, make_store: Callable[[], Any], emit: Callable[[str], None], circuits: Table | None = None
    ) -> None:
        self._make_store, self._emit, self._circuits = make_store, emit, circuits
        self._store: Any = None

    @classmethod
    def of(cls, runtime: Runtime, table_name: str) -> Downstreams:
        """Return them with circuits in that table; ``runtime``'s client is made when a tool first names one."""

        def make_store() -> Any:
            from aws_lambda_powertools.utilities.circuit_breaker.persistence import CircuitBreakerDynamoDBPersistence

            return CircuitBreakerDynamoDBPersistence(table_name, boto3_client=runtime.client("dynamodb"))

        return cls(make_store, runtime.emit, Table.of(runtime, table_name, "circuits"))

    def ready(self, tool: Tool, args: Any, context: ToolContext) -> Callable[[], Any]:
        """Return the tool, ready to run once, with the context's time limit; the context's bill says when it begins."""
        return partial(
            self.call, _circuit(tool, context), context.timeout_s, tool.function, args, context, bill=context.bill
        )

    def call(
        self,
        circuit: Circuit | None,
        seconds: float | None,
        function: Callable[..., T],
        *given: Any,
        bill: Bill | None = None,
    ) -> T:
        """Return ``function(*given)``, or raise ``CircuitOpen`` without calling it.

        ``bill`` is marked as begun immediately before the call. Raises what the function raises, ``TimedOut`` after
        ``seconds`` (None: no limit), and ``Broken`` for what is no ``Exception``, so that the circuit counts it; only
        the end of this process passes.

        Every error of the function counts as a failure of the downstream, except a refusal by the business. The
        function's own client may have a Powertools circuit breaker: its error passes like any other.
        """
        bill = Bill() if bill is None else bill
        problems: list[Exception] = []

        def begin() -> T:
            bill.begun = True
            try:
                return within(seconds, function, *given)
            except (ToolChanged, WrongResult) as changed:
                problems.append(changed)
                self._emit(metric_line({"ToolsChanged": 1}, fields={"tool": changed.tool, "server": changed.server}))
                raise
            except (ToolFailed, RetryLater, TimedOut) as stated:
                problems.append(stated)
                raise  # stated by the tool, or the time limit
            except Exception as problem:
                problems.append(problem)
                note(problem)  # the outcome has only its text; the traceback is printed
                raise
            except BaseException as problem:
                if ends_the_process(problem):
                    raise
                broken = Broken(f"{type(problem).__name__}: {error_text(problem)}")
                problems.append(broken)
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
        self._store = self._store or self._make_store()
        name = f"circuit#{circuit.name}"

        def noted(change: Any) -> None:
            if str(change.to_state) == "OPEN" and problems:
                self._note_error(name, _apart(problems[-1]))

        guarded: Callable[[], T] = circuit_breaker(name, self._store, config=config, on_transition=noted)(begin)
        try:
            return guarded()
        except Exception as problem:
            if bill.begun:
                raise
            if not isinstance(problem, CircuitBreakerOpenError):
                note(problem)  # the write that claims the probe for this process failed
            last = self._last_error(name)
            why = f" The last error: {last}." if last else ""
            downstream = circuit.name.partition("#")[0]
            told = f"{downstream} failed too often and is not called for a while. Nothing was executed.{why}"
            raise CircuitOpen(told, downstream=downstream) from None

    def _note_error(self, name: str, error: str) -> None:
        """Keep the error that has opened a circuit, for the calls that it refuses. Powertools swallows a failure."""
        if self._circuits is not None:
            self._circuits.write(Update({"id": name}, set={"last_error": error}))

    def _last_error(self, name: str) -> str:
        """Return the error that has opened the circuit; "" where none was kept, or it cannot be read."""
        with suppress(Exception):
            found = self._circuits.get({"id": name}) if self._circuits is not None else None
            return str((found or {}).get("last_error", ""))
        return ""


def _apart(problem: Exception) -> str:
    """Return what other runs may read of an error: our own words, or its type. Its text may quote this run."""
    if isinstance(problem, TimedOut):
        return error_text(problem).rstrip(".")
    apart = getattr(problem, "apart", None)
    return apart if isinstance(apart, str) else type(problem.__cause__ or problem).__name__


def _circuit(tool: Tool, context: ToolContext) -> Circuit | None:
    """Return the circuit of a call: the tool's, or the requester's own."""
    if tool.circuit is None or not tool.circuit.per_requester:
        return tool.circuit
    whose = sha256(canonical([context.request.tenant, context.requester]))[:24]
    return replace(tool.circuit, name=f"{tool.circuit.name}#{whose}")


@contextmanager
def _errors_become_values(tool: Tool, cut: Cut) -> Iterator[list[RunEnd]]:
    """Catch the error of the block, and append to the list what it says about the effect."""
    run_ends: list[RunEnd] = []
    try:
        with consequences(f"What the tool {tool.name} uses"):
            try:
                yield run_ends
            except RetryLater as nothing:  # the tool's own; those of ``consequences`` are raised outside
                run_ends.append(NothingDone(cut(error_text(nothing)), cause=nothing))
    except NotSent as unsent:
        changed = _unlike(unsent) if isinstance(unsent, ToolChanged) else None
        run_ends.append(NothingDone(cut(error_text(unsent)), barred=True, cause=unsent, unlike=changed))
    except AsIfAgain as gone:
        run_ends.append(InDoubt(cut(error_text(gone)), refused=True))
    except ToolFailed as failed:
        run_ends.append(CallOutcome("failed", message=cut(error_text(failed))))
    except WrongResult as wrong:
        told = cut(f"{_NOT_PROMISED} {tool.name} promises: {error_text(wrong)}")
        run_ends.append(InDoubt(told, answered=True, unlike=_unlike(wrong)))
    except CircuitOpen as rested:
        run_ends.append(NothingDone(str(rested), rested=True, circuit=rested.downstream or None, cause=rested))
    except Exception as problem:
        ours = isinstance(problem, RetryLater | SettingInvalid | TimedOut | Broken)
        what = error_text(problem) if ours else f"{type(problem).__name__}: {error_text(problem)}"
        run_ends.append(InDoubt(cut(f"{tool.name} broke: {what}"), cause=problem))


def _unlike(changed: ToolChanged | WrongResult) -> Unlike:
    return Unlike(server=changed.server, kind=changed.kind, tool=changed.tool)


def run_tool(tool: Tool, call: Callable[[], Any], cut: Cut) -> RunEnd:
    """Run ``call`` and return its end: ok, failed where the business says no, or why there is no outcome.

    ``cut`` bounds the texts of errors.
    """
    with _errors_become_values(tool, cut) as run_ends:
        result = call()
    return run_ends[0] if run_ends else _ok(tool, result, cut)


def found(
    tool: Tool, verify: Callable[[], Any], cut: Cut, *, unproven: Callable[[], str] = lambda: ""
) -> RunEnd | None:
    """Return the effect that ``verify`` finds, or why it cannot tell; None where it finds nothing.

    ``verify`` says "nothing" by None, or by False if that cannot be a result. Any other empty value is no answer.
    ``unproven`` says why what is found may be another effect, "" if it is this one.
    """
    run_end = _found(tool, verify, cut)
    if isinstance(run_end, CallOutcome) and (why := unproven()):
        return InDoubt(f"verify of {tool.name} found something that may be older: {why}.", answered=True)
    return run_end


def looked(tool: Tool, verify: Callable[[], Any], cut: Cut) -> str:
    """Return what ``verify`` finds before anything was done: ``NOTHING``, something, or no answer."""
    run_end = _found(tool, verify, cut)
    if run_end is None:
        return NOTHING
    return SOMETHING if isinstance(run_end, CallOutcome) else "no answer"


def _found(tool: Tool, verify: Callable[[], Any], cut: Cut) -> RunEnd | None:
    with _errors_become_values(tool, cut) as run_ends:
        result = verify()
    if run_ends:
        (error,) = run_ends
        failed = isinstance(error, CallOutcome)
        return InDoubt(cut(f"verify of {tool.name} failed: {error.message}")) if failed else error
    if result is None or (result is False and not _may_return_false(tool)):
        return None
    if isinstance(result, _MAY_BE_EMPTY) and not result:
        told = repr(result) if isinstance(result, bool | int | float) else f"an empty {type(result).__name__}"
        no_answer = f"verify of {tool.name} returned {told}, which is no answer: None says that nothing happened."
        return InDoubt(no_answer, answered=True)
    return _ok(tool, None if result is True and tool.returns_nothing else result, cut)


def _may_return_false(tool: Tool) -> bool:
    """Say whether False may be the result of the effect, and so no answer of ``verify``."""
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
    except BaseException as problem:  # a validator or a serializer of the result's type may raise anything
        if ends_the_process(problem):
            raise
        return InDoubt(cut(f"{_NOT_PROMISED} {tool.name} promises: {error_text(problem)}."), answered=True)


# Time


def seconds_for(timeout_s: float | None, lambda_context: Any) -> float | None:
    """Return a tool's time limit in seconds, within the Lambda's remaining time; None for a tool without a limit."""
    if timeout_s is None:
        return None
    left_s: float = lambda_context.get_remaining_time_in_millis() / 1000 - RESERVED_S
    # With nothing left, Lambda ends the process, and the next attempt resolves a dead one.
    return min(timeout_s, left_s) if left_s > 0 else timeout_s


def within(seconds: float | None, function: Callable[..., T], *given: Any) -> T:
    """Return ``function(*given)`` or raise what it raises; ``TimedOut`` where it takes longer than ``seconds``."""
    if seconds is None:
        return function(*given)
    results: list[T] = []
    problems: list[BaseException] = []
    # Interrupting the thread before or after its work would raise in Python's own code; after its end, it would hit the
    # thread that got its id. So it is interrupted only while it works, and then its result does not count.
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
