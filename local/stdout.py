"""What handlers print, kept apart from what this process prints.

Lambda sends a function's standard output to its log group, metrics in embedded metric format
among it. Here each thread that runs a handler has a sink of its own; all others print as before.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_THIS_THREAD = threading.local()
_ONE_AT_A_TIME = threading.Lock()

Sink = Callable[[str], None]


class _ByThread(io.TextIOBase):
    def __init__(self, before: TextIO) -> None:
        self.before = before

    def write(self, text: str) -> int:
        sink: Sink | None = getattr(_THIS_THREAD, "sink", None)
        if sink is not None:
            sink(text)
            return len(text)
        return self._elsewhere().write(text)

    def flush(self) -> None:
        if getattr(_THIS_THREAD, "sink", None) is None:
            self._elsewhere().flush()

    def isatty(self) -> bool:
        return self._elsewhere().isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._elsewhere().encoding

    def fileno(self) -> int:
        return self._elsewhere().fileno()

    def _elsewhere(self) -> TextIO:
        # A logger that a handler made keeps this object beyond the block.
        return sys.stdout if not isinstance(sys.stdout, _ByThread) else self.before


def printing_to(sink: Sink) -> None:
    """Let this thread print to ``sink``, for the rest of its life."""
    _THIS_THREAD.sink = sink
    with _ONE_AT_A_TIME:
        # Anew each time: others exchange ``sys.stdout`` as well, e.g. pytest for a test.
        if not isinstance(sys.stdout, _ByThread):
            sys.stdout = _ByThread(sys.stdout)


@contextmanager
def stdout_restored() -> Iterator[None]:
    """After the block, ``sys.stdout`` is what it was without ``printing_to``."""
    try:
        yield
    finally:
        with _ONE_AT_A_TIME:
            if isinstance(sys.stdout, _ByThread):
                sys.stdout = sys.stdout.before
