"""The threads of an attempt: its own, those that it starts, and those of a pool while they work for it.

What it has left at work when it returns is waited for, and its timers do not wait for their time: what they do is an
effect as well. A request or a clock belongs to an attempt if one of its threads asks. Threads of a stand-in's server do
not, also where the attempt has started it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import thread as pools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from socketserver import BaseServer
from threading import Event, Thread, Timer, current_thread, get_ident
from typing import Any

from localcloud.moto_seams.replaced import replaced

_WORKING: set[int] = set()
#: Seconds for which threads that an attempt has left at work may go on; and what is known to work for ever.
_MOST_S = 2.0
_ENDLESS: set[Any] = set()
#: What a pool's threads run, for whomever they work.
_OF_A_POOL: Any = pools._worker


def of_attempt() -> bool:
    """Whether the present thread works for an attempt."""
    return get_ident() in _WORKING


def serves(thread: Thread) -> bool:
    """Whether a thread is one of a server's of the standard library, as a stand-in's are."""
    return isinstance(getattr(getattr(thread, "_target", None), "__self__", None), BaseServer)


@dataclass
class AtWork:
    """What an attempt has given work to."""

    threads: list[Thread] = field(default_factory=list)
    futures: list[Future[Any]] = field(default_factory=list)
    over: Event = field(default_factory=Event)

    def add(self, thread: Thread) -> None:
        """Know a thread that is about to start."""
        if isinstance(thread, Timer) and type(thread).run is Timer.run and not self.over.is_set():
            thread.run = lambda: self._timed(thread)  # type: ignore[method-assign]
        thread.run = _working(thread.run)  # type: ignore[method-assign]
        if not self.over.is_set():
            self.threads.append(thread)

    def ends(self) -> None:
        """Let timers act at once, and wait for what is at work."""
        self.over.set()
        until = time.monotonic() + _MOST_S
        for thread in self.threads:
            kind = getattr(thread, "_target", None) or type(thread)
            if thread is not current_thread() and thread.is_alive() and kind not in _ENDLESS:
                thread.join(max(0.0, until - time.monotonic()))
                if thread.is_alive():
                    _ENDLESS.add(kind)
        wait(self.futures, max(0.0, until - time.monotonic()))

    def dies(self) -> None:
        """Let no timer act: its process is gone."""
        for thread in self.threads:
            if isinstance(thread, Timer):
                thread.cancel()

    def _timed(self, timer: Timer) -> None:
        until = time.monotonic() + timer.interval
        while not (timer.finished.is_set() or self.over.is_set()) and time.monotonic() < until:
            timer.finished.wait(min(_STEP_S, timer.interval))
        if not timer.finished.is_set():
            timer.function(*timer.args, **timer.kwargs)
        timer.finished.set()


#: Seconds after which a timer looks whether its attempt is over.
_STEP_S = 0.005


@contextmanager
def threads_of_attempt() -> Iterator[AtWork]:
    """Within the block, the present thread works for an attempt, and so do those to which it gives work."""
    at_work = AtWork()

    def start(thread: Thread) -> None:
        if of_attempt() and not serves(thread) and getattr(thread, "_target", None) is not _OF_A_POOL:
            at_work.add(thread)
        started(thread)

    def submit(pool: ThreadPoolExecutor, work: Callable[..., Any], /, *given: Any, **options: Any) -> Any:
        if not of_attempt():
            return submitted(pool, work, *given, **options)
        future = submitted(pool, _working(work), *given, **options)
        at_work.futures.append(future)
        return future

    with ExitStack() as stack:
        started = stack.enter_context(replaced(Thread, "start", start))
        submitted = stack.enter_context(replaced(ThreadPoolExecutor, "submit", submit))
        stack.enter_context(_at_work())
        yield at_work


@contextmanager
def _at_work() -> Iterator[None]:
    mine = get_ident()
    if mine in _WORKING:
        yield
        return
    _WORKING.add(mine)
    try:
        yield
    finally:
        _WORKING.discard(mine)


def _working(work: Callable[..., Any]) -> Callable[..., Any]:
    def worked(*given: Any, **options: Any) -> Any:
        with _at_work():
            return work(*given, **options)

    return worked
