"""One invocation of a handler in this process: its thread, its timeout and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ballast.errors import ProcessEnds
from localcloud.clock import Clock, Signal
from localcloud.stdout import Sink, printing_to

_THIS_THREAD = threading.local()


class SandboxEnded(ProcessEnds):
    """Raised in a handler that continues after Lambda would have ended its sandbox.

    Not an ``Exception``, so that no error handler catches it.
    """


class TimedOut(Exception):
    """The handler ran longer than its function's timeout."""


class Died(Exception):
    """The handler's thread ended without a result or an error."""


class GaveUp(Exception):
    """The caller no longer waits for the handler."""


class Context:
    """Lambda's ``context``: the part that handlers and Powertools use."""

    def __init__(
        self, name: str, arn: str, memory_mb: int, timeout_s: float, request_id: str, monotonic: Callable[[], float]
    ) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.invoked_function_arn = arn
        self.memory_limit_in_mb = str(memory_mb)
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"local/{request_id}"
        self._monotonic = monotonic
        self._until = monotonic() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        """Return milliseconds until the function's timeout, 0 once it has passed."""
        return max(0, int((self._until - self._monotonic()) * 1000))


class _Sandbox:
    """A handler's deadline on the cloud's clock."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock, self._until = clock, clock.monotonic() + timeout_s

    @property
    def over(self) -> bool:
        return self._clock.monotonic() >= self._until


def run(
    work: Callable[[], Any],
    timeout_s: float,
    sink: Sink,
    clock: Clock,
    *,
    within_s: float | None = None,
    waiting: Callable[[Signal], AbstractContextManager[None]] | None = None,
) -> Any:
    """Run ``work`` in its own thread that prints to ``sink``; return its result or raise its exception.

    within_s  the most seconds that the caller waits
    waiting   entered with the signal that ends the caller's wait

    Raises ``TimedOut`` after ``timeout_s``, ``GaveUp`` if the caller no longer waits, ``Died`` if no result can
    come any more. The thread cannot be
    ended from outside: it is left behind, and gets ``SandboxEnded`` at its next AWS request after its timeout.
    """
    outcome: list[Any] = []
    problem: list[BaseException] = []
    done, sandbox = clock.signal(), _Sandbox(clock, timeout_s)

    def target() -> None:
        try:
            _THIS_THREAD.sandbox = sandbox
            printing_to(sink)
            outcome.append(work())
        except BaseException as raised:
            problem.append(raised)
        done.set()

    with nullcontext() if waiting is None else waiting(done):
        thread = clock.thread(target, "handler")
        done.wait_for(thread, timeout_s if within_s is None else min(timeout_s, within_s))
    # Checked first: a dead thread adds nothing to them afterwards.
    dead = not thread.is_alive()
    if problem:
        raise problem[0]
    if not outcome:
        if dead:
            raise Died("Runtime exited without providing a reason")
        raise TimedOut if sandbox.over else GaveUp
    return outcome[0]


def check_sandbox() -> None:
    """Raise ``SandboxEnded`` if this thread runs a handler whose timeout has passed."""
    sandbox: _Sandbox | None = getattr(_THIS_THREAD, "sandbox", None)
    if sandbox is not None and sandbox.over:
        raise SandboxEnded("the function's timeout has passed")
