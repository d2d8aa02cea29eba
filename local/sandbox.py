"""One invocation of a handler in this process: its thread, its time, and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from local.stdout import Sink, printing_to

_THIS_THREAD = threading.local()


class SandboxEnded(BaseException):
    """Raised in a handler that goes on after Lambda would have ended its sandbox.

    No ``Exception``, so that no handler of errors takes it for one.
    """


class TimedOut(Exception):
    """The handler ran longer than its function's timeout."""


class Context:
    """What Lambda passes as ``context``: the part of it that handlers and Powertools use."""

    def __init__(self, name: str, arn: str, memory_mb: int, timeout_s: float, request_id: str) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.invoked_function_arn = arn
        self.memory_limit_in_mb = str(memory_mb)
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"local/{request_id}"
        self._until = monotonic() + timeout_s

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout, 0 once it has passed."""
        return max(0, int((self._until - monotonic()) * 1000))


def run(work: Callable[[], Any], timeout_s: float, sink: Sink) -> Any:
    """Return ``work()``, run in a thread of its own that prints to ``sink``, or raise what it raised.

    Raises ``TimedOut`` after ``timeout_s``. The thread cannot be ended from outside: it is left behind,
    and ends with ``SandboxEnded`` as soon as it wants anything from AWS.
    """
    outcome: list[Any] = []
    problem: list[BaseException] = []
    ended = threading.Event()

    def target() -> None:
        _THIS_THREAD.ended = ended
        printing_to(sink)
        try:
            outcome.append(work())
        except BaseException as raised:
            problem.append(raised)

    thread = threading.Thread(target=target, name="handler", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        ended.set()
        raise TimedOut
    if problem:
        raise problem[0]
    return outcome[0]


def check_sandbox() -> None:
    """Raise ``SandboxEnded`` where this thread runs a handler whose time is over."""
    ended: threading.Event | None = getattr(_THIS_THREAD, "ended", None)
    if ended is not None and ended.is_set():
        raise SandboxEnded("the function's timeout has passed")
