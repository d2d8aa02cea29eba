"""Handlers' output, separated from the output of this process.

Lambda sends a function's standard output and standard error to its log group, including metrics in embedded metric
format. Here each thread that runs a handler has its own sink, which the threads that it starts inherit;
all other threads print as before.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from localcloud.moto_seams.replaced import replaced

_ONE_AT_A_TIME = threading.Lock()
_STREAMS = ("stdout", "stderr")
#: The attribute of a thread with a sink.
_SINK = "_ballast_sink"

Sink = Callable[[str], None]


class _Bytes(io.RawIOBase):
    """The binary side of a stream, as Lambda's streams have one; it writes text to the same sink."""

    def __init__(self, text: Any) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        given = bytes(data)
        self._text.write(given.decode("utf-8", "backslashreplace"))
        return len(given)


class _ByThread(io.TextIOBase):
    def __init__(self, name: str, before: TextIO) -> None:
        self.stream, self.before = name, before
        self.name = f"<{name}>"
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_how: Any) -> None:
        """Change nothing: a handler's output is always UTF-8 text."""

    def write(self, text: str) -> int:
        sink = _sink()
        if sink is not None:
            sink(text)
            return len(text)
        return self._elsewhere().write(text)

    def flush(self) -> None:
        elsewhere = self._elsewhere()
        if _sink() is None and not elsewhere.closed:  # Python flushes this object at its end, which may be later
            elsewhere.flush()

    def isatty(self) -> bool:
        return self._elsewhere().isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._elsewhere().encoding

    def fileno(self) -> int:
        return self._elsewhere().fileno()

    def _elsewhere(self) -> TextIO:
        # A handler's logger keeps this object beyond the block.
        now: Any = getattr(sys, self.stream)
        elsewhere: TextIO = self.before if isinstance(now, _ByThread) else now
        return elsewhere


def _sink() -> Sink | None:
    return getattr(threading.current_thread(), _SINK, None)


def not_of_a_handler(thread: threading.Thread) -> threading.Thread:
    """Mark a thread of the cloud itself, so that it inherits no sink; return it."""
    setattr(thread, _SINK, None)
    return thread


def printing_to(sink: Sink) -> None:
    """Let this thread, and those that it starts, print to ``sink`` for the rest of their lives."""
    setattr(threading.current_thread(), _SINK, sink)
    with _ONE_AT_A_TIME:
        # Each time: others replace ``sys.stdout`` as well, e.g. pytest for a test.
        for name in _STREAMS:
            now = getattr(sys, name)
            if not isinstance(now, _ByThread):
                setattr(sys, name, _ByThread(name, now))


@contextmanager
def stdout_restored() -> Iterator[None]:
    """Within the block new threads inherit sinks; after it ``sys.stdout`` and ``sys.stderr`` are restored."""

    def start(self: Any) -> None:
        sink = _sink()
        if sink is not None and not hasattr(self, _SINK):
            setattr(self, _SINK, sink)
        before(self)

    try:
        with replaced(threading.Thread, "start", start) as before:
            yield
    finally:
        with _ONE_AT_A_TIME:
            for name in _STREAMS:
                now = getattr(sys, name)
                if isinstance(now, _ByThread):
                    setattr(sys, name, now.before)
