"""Give a tool up when its time is over.

The tool runs in a thread of its own, which nobody can stop in the middle of a request. So it is told to
stop at its next step: what is in flight may still arrive, but it begins nothing more, neither now nor
when Lambda thaws this process for another call.
"""

import contextvars
import ctypes
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: What the executor keeps of the Lambda's time to record what came of the call.
RESERVED_S = 5.0


class TimedOut(Exception):
    """The tool took longer than it may. A write may have happened, or may happen yet."""


class _GivenUp(BaseException):
    """Raised inside the tool's thread: nobody waits for it any more."""


def seconds_for(timeout_s: float | None, lambda_context: Any) -> float | None:
    """Return how long a tool may run now: its own time, and never past the Lambda's. None: no limit of its own."""
    if timeout_s is None:
        return None
    left_s: float = lambda_context.get_remaining_time_in_millis() / 1000 - RESERVED_S
    # With nothing left Lambda cuts the attempt itself, which is resolved as a dead one.
    return min(timeout_s, left_s) if left_s > 0 else timeout_s


def within(seconds: float | None, function: Callable[[], T]) -> T:
    """Return ``function()`` or raise what it raises; ``TimedOut`` where it takes longer than ``seconds``."""
    if seconds is None:
        return function()
    results: list[T] = []
    problems: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="tool", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        # The only way that CPython has; where the thread has just ended it finds nobody and does nothing.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_GivenUp))
        if not results:
            raise TimedOut(f"It took longer than {seconds:g} s.")
    if problems:
        raise problems[0]
    return results[0]
