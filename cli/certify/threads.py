"""The threads of an attempt: its own, those that it starts, and those of a pool while they work for it.

A request or a clock belongs to an attempt if one of its threads asks. Threads of a stand-in's server do not, also where
the attempt has started it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as pools
from contextlib import ExitStack, contextmanager
from socketserver import BaseServer
from threading import Thread, get_ident
from typing import Any

from localcloud.moto_seams.replaced import replaced

_WORKING: set[int] = set()
#: What a pool's threads run, for whomever they work.
_OF_A_POOL: Any = pools._worker


def of_attempt() -> bool:
    """Whether the present thread works for an attempt."""
    return get_ident() in _WORKING


def serves(thread: Thread) -> bool:
    """Whether a thread is one of a server's of the standard library, as a stand-in's are."""
    return isinstance(getattr(getattr(thread, "_target", None), "__self__", None), BaseServer)


@contextmanager
def threads_of_attempt() -> Iterator[None]:
    """Within the block, the present thread works for an attempt, and so do those to which it gives work."""

    def start(thread: Thread) -> None:
        if of_attempt() and not serves(thread) and getattr(thread, "_target", None) is not _OF_A_POOL:
            thread.run = _working(thread.run)  # type: ignore[method-assign]
        started(thread)

    def submit(pool: ThreadPoolExecutor, work: Callable[..., Any], /, *given: Any, **options: Any) -> Any:
        return submitted(pool, _working(work) if of_attempt() else work, *given, **options)

    with ExitStack() as stack:
        started = stack.enter_context(replaced(Thread, "start", start))
        submitted = stack.enter_context(replaced(ThreadPoolExecutor, "submit", submit))
        stack.enter_context(_at_work())
        yield


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
