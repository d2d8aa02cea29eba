"""Step Functions in this process: executions, each in its own thread, with task tokens, stop and history.

moto serves the API (names, listings, rights); ``moto_seams/interpreter.py`` passes executions on to an ``Engine``.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError

from localcloud.clock import Clock, Signal
from localcloud.sandbox import GaveUp, SandboxEnded
from localcloud.stepfunctions.states import NO_TIMEOUT_S, Execution, History, Interpreter, StateFailed, Stopped, check

LOG = logging.getLogger(__name__)


class Invoke(Protocol):
    """Runs a function in this process, as Lambda's Invoke does."""

    def __call__(
        self,
        function: str,
        payload: bytes,
        role_arn: str | None = None,
        within_s: float | None = None,
        waiting: Callable[[Signal], AbstractContextManager[None]] | None = None,
    ) -> tuple[bytes, str | None]:
        """Return the response's payload and its ``FunctionError``; raise ``ClientError`` if Lambda refuses.

        function  a name or an ARN
        role_arn  the role of the state machine that asks
        within_s  raise ``GaveUp`` after this time; the function continues until its own timeout
        waiting   entered with the signal that ends the wait, so that a stop can set it
        """


class TokenRefused(Exception):
    """An answer for a task that does not wait; ``over``: it did once."""

    def __init__(self, *, over: bool) -> None:
        super().__init__("the task is over" if over else "no such task")
        self.over = over


@dataclass
class _Task:
    """A task that waits for its token's answer."""

    machine_arn: str
    signal: Signal
    answer: Callable[[], Any] | None = None
    over: bool = False


@dataclass
class Run:
    """An execution and the engine's state for it: its waiting tasks, and the signals that stop it.

    until   the clock's ``monotonic`` time at which the state machine's timeout ends it
    record  moto's record of it
    """

    execution: Execution
    machine_arn: str
    role_arn: str
    stopped: Signal
    until: float
    record: Any
    ended_at: datetime | None = None
    waiting: set[Signal] = field(default_factory=set)
    tokens: list[str] = field(default_factory=list)


class Engine:
    """Runs executions and answers for them.

    invoke  runs a function
    ended   called in the execution's thread once it has ended, in any way
    kept    the number of ended executions whose history is kept; of older ones only moto's record stays
    """

    def __init__(self, invoke: Invoke, clock: Clock, ended: Callable[[Run], None], kept: int = 200) -> None:
        self._invoke, self._clock, self._ended, self._kept = invoke, clock, ended, kept
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, _Task] = {}
        self._past: deque[Run] = deque()
        #: Tokens of forgotten executions: a late answer is refused as too late.
        self._spent: set[str] = set()
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._threads: list[threading.Thread] = []

    def now(self) -> datetime:
        """Return the time."""
        return self._clock()

    def accept(self, definition: str) -> Mapping[str, Any]:
        """Return the parsed definition. Raises ``NotImplementedError`` if it is not supported here."""
        if definition not in self._definitions:
            read = json.loads(definition)
            check(read)
            self._definitions[definition] = read
        return self._definitions[definition]

    def begin(
        self, execution: Execution, definition: str, machine_arn: str, role_arn: str, record: object = None
    ) -> Run:
        """Start ``execution`` in its own thread."""
        machine = self.accept(definition)
        until = self._clock.monotonic() + float(machine.get("TimeoutSeconds", NO_TIMEOUT_S))
        run = Run(execution, machine_arn, role_arn, self._clock.signal(), until, record)
        execution.history = History(self._clock)
        world = _World(self, run)
        with self._lock:
            self._runs[execution.arn] = run

        def work() -> None:
            with suppress(SandboxEnded):  # the cloud was closed in the meantime
                try:
                    Interpreter(machine, world).run(execution)
                except Exception as problem:
                    LOG.exception("The interpreter failed.")
                    execution.status, execution.error, execution.cause = "FAILED", "States.Runtime", repr(problem)
                self._end(run)

        thread = self._clock.thread(work, f"execution {execution.name}")
        with self._lock:
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        return run

    def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> Run | None:
        """Stop an execution at once, whatever it waits for, and return it; None if it is forgotten."""
        run = self._runs.get(arn)
        if run is None:
            return None
        with self._lock:
            if run.execution.status != "RUNNING":
                return run
            run.execution.status, run.execution.error, run.execution.cause = "ABORTED", error, cause
        self._wake(run)
        return run

    def answer(self, token: str, answer: Callable[[], Any]) -> None:
        """Give a waiting task its answer: ``answer()`` returns its result or raises ``StateFailed``.

        Raises ``TokenRefused``: a token takes one answer, and none after its task or its execution ended.
        """
        with self._lock:
            task = self._tasks.get(token)
            if task is None:
                raise TokenRefused(over=token in self._spent)
            if task.over or task.answer is not None:
                raise TokenRefused(over=True)
            task.answer = answer
        task.signal.set()

    def waits(self, token: str) -> str | None:
        """Return the ARN of the state machine in which a task waits with ``token``."""
        task = self._tasks.get(token)
        return None if task is None or task.over else task.machine_arn

    def knows(self, token: str) -> bool:
        """Return whether there ever was such a task."""
        return token in self._tasks or token in self._spent

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Return an execution's events so far; none if it is forgotten."""
        run = self._runs.get(arn)
        return [] if run is None or run.execution.history is None else list(run.execution.history.events)

    def join(self, timeout_s: float) -> None:
        """Wait, ``timeout_s`` for each, for the threads of the executions."""
        for thread in self._threads:
            thread.join(timeout_s)

    def _end(self, run: Run) -> None:
        run.ended_at = self._clock()
        with self._lock:
            self._past.append(run)
            while len(self._past) > self._kept:
                self._forget(self._past.popleft())
        self._ended(run)

    def _forget(self, run: Run) -> None:
        """Forget what an ended execution did; called with the lock held."""
        run.execution.history = None
        self._runs.pop(run.execution.arn, None)
        for token in run.tokens:
            self._tasks.pop(token, None)
        self._spent.update(run.tokens)

    def _wake(self, run: Run) -> None:
        run.stopped.set()
        with self._lock:
            waiting = list(run.waiting)
        for signal in waiting:
            signal.set()


class _World:
    """One execution's ``Tasks``."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine, self._run = engine, run

    def now(self) -> datetime:
        return self._engine._clock()

    def entered(self, state: str) -> None:
        """Do nothing."""

    def pause(self, seconds: float) -> None:
        self._engine._clock.pause(min(seconds, self._left()), self._run.stopped)
        self._go_on()

    def invoke(self, function_arn: str, payload: Any, state: str, timeout_s: float) -> Any:
        body, within_s = json.dumps(payload).encode(), min(timeout_s, self._left())
        try:
            result, error = self._engine._invoke(function_arn, body, self._run.role_arn, within_s, self._waiting)
        except GaveUp:
            self._go_on()
            raise StateFailed("States.Timeout") from None
        except ClientError as problem:
            raise StateFailed(*_refusal(problem)) from None
        self._go_on()
        if error is not None:
            raise StateFailed(str(json.loads(result)["errorType"]), result.decode())
        return json.loads(result)

    def token(self, execution: Execution) -> str:
        token = f"{uuid.uuid4()}"
        with self._engine._lock:
            self._engine._tasks[token] = _Task(self._run.machine_arn, self._engine._clock.signal())
            self._run.tokens.append(token)
        return token

    def wait(self, token: str, timeout_s: float) -> Any:
        task = self._engine._tasks[token]
        with self._waiting(task.signal):
            task.signal.wait(min(timeout_s, self._left()))
        answer = self._answer(task)
        self._go_on()
        if answer is None:
            raise StateFailed("States.Timeout")
        return answer()

    def answered(self, token: str) -> Any:
        answer = self._answer(self._engine._tasks[token])
        return None if answer is None else answer()

    def side_by_side(self, work: Sequence[Callable[[], Any]], at_once: int) -> list[Any]:
        if at_once == 1 or len(work) < 2:
            return [one() for one in work]
        return _SideBySide(self._engine._clock, work, at_once or len(work)).results()

    @contextmanager
    def _waiting(self, signal: Signal) -> Iterator[None]:
        """Within the block, a stop of the execution sets ``signal``."""
        with self._engine._lock:
            self._run.waiting.add(signal)
        if self._run.stopped.is_set():
            signal.set()
        try:
            yield
        finally:
            with self._engine._lock:
                self._run.waiting.discard(signal)

    def _answer(self, task: _Task) -> Callable[[], Any] | None:
        with self._engine._lock:
            task.over = True
            return task.answer

    def _left(self) -> float:
        return max(0.0, self._run.until - self._engine._clock.monotonic())

    def _go_on(self) -> None:
        execution = self._run.execution
        if execution.status == "RUNNING" and self._left() <= 0:
            execution.status = "TIMED_OUT"
            self._engine._wake(self._run)
        if execution.status != "RUNNING":
            raise Stopped


class _SideBySide:
    """Run several pieces of work in threads of the clock, at most ``at_once`` at a time."""

    def __init__(self, clock: Clock, work: Sequence[Callable[[], Any]], at_once: int) -> None:
        self._left = list(enumerate(work))[::-1]
        self._outcomes: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._done = clock.signal()
        self._threads = min(at_once, len(work))
        self._failures: list[BaseException] = []
        self._clock, self._count = clock, len(work)

    def results(self) -> list[Any]:
        for _ in range(self._threads):
            self._clock.thread(self._work, "map")
        self._done.wait()
        failed = [problem for problem in self._failures if isinstance(problem, StateFailed)]
        for problem in failed or self._failures:
            raise problem
        return [self._outcomes[index] for index in range(self._count)]

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._left or self._failures:
                    self._threads -= 1
                    if self._threads == 0:
                        self._done.set()
                    return
                index, work = self._left.pop()
            try:
                self._outcomes[index] = work()
            except BaseException as problem:
                with self._lock:
                    self._failures.append(problem)


def _refusal(problem: ClientError) -> tuple[str, str]:
    """Return Step Functions' error and cause for an invocation that Lambda refused."""
    error, about = problem.response["Error"], problem.response["ResponseMetadata"]
    details = "; ".join(
        (
            "Service: AWSLambda",
            f"Status Code: {about['HTTPStatusCode']}",
            f"Error Code: {error['Code']}",
            f"Request ID: {about['RequestId']}",
            "Proxy: null",
        )
    )
    return f"Lambda.{error['Code']}", f"{error['Message']} ({details})"
