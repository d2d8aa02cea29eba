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

from ballast.errors import ProcessEnds

T = TypeVar("T")

#: What the executor keeps of the Lambda's time to record what came of the call.
RESERVED_S = 5.0


class TimedOut(Exception):
    """The tool took longer than it may. A write may have happened, or may happen yet."""


class _GivenUp(ProcessEnds):
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
                result = function()
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
