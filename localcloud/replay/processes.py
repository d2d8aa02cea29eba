"""Hand many recorded runs to processes, as text, some at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import chain, islice
from multiprocessing import get_context
from typing import TypeVar

from ballast.log import exported
from ballast.log.exported import ExportedRun
from localcloud.replay.recorded import RecordedRun

T = TypeVar("T")
#: Runs in the exported form, each with its source.
Texts = list[tuple[str, str]]


def spread(
    runs: Iterable[ExportedRun],
    here: Callable[[Iterator[ExportedRun]], Iterator[T]],
    there: Callable[[Texts], list[T]],
    *,
    workers: int,
    few: int,
    at_once: int,
    begin: Callable[[], None] | None = None,
) -> Iterator[T]:
    """Yield what is made of each run, as soon as it is done.

    here    makes it in this process: of up to ``few`` runs, since another process needs seconds before its first one,
            and of all with one worker
    there   makes it in another one, of ``at_once`` runs at most; it and ``begin``, which such a process calls first,
            are functions of a module, or partial ones
    """
    left = iter(runs)
    first = list(islice(left, few + 1))
    both = chain(first, left)
    if workers <= 1 or len(first) <= few:
        yield from here(both)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin) as pool:
        waiting: set[Future[list[T]]] = set()
        try:
            while True:
                while len(waiting) < 2 * workers and (some := [_as_text(one) for one in islice(both, at_once)]):
                    waiting.add(pool.submit(there, some))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def recorded_in(some: Texts) -> Iterator[RecordedRun]:
    """Yield the runs of the texts that a process got."""
    for text, source in some:
        for one in exported.read_text(text, source):
            yield RecordedRun.of(one.events, source)


def _as_text(run: ExportedRun) -> tuple[str, str]:
    return "\n".join(exported.write(run.run_id, run.events)), run.title or run.source
