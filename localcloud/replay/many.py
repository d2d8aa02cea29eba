"""Play many runs in several processes, each with a machine of its own.

::

    for row in replayed(lane, runs, fold=summary): …     in the order in which they are done

``fold`` makes of a played run what the caller wants to have; it runs in the process that played it, so it is a
function of a module. A run goes to a process as text, in the exported form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from ballast.log import exported
from ballast.log.exported import ExportedRun
from localcloud.replay.lane import Difference, Ending, Lane, Replayed
from localcloud.replay.playing import NO_ATTRIBUTES, SEALED
from localcloud.replay.recorded import RecordedRun

T = TypeVar("T")
Fold = Callable[[RecordedRun, Replayed], T]

#: Fewer runs are played here: another process needs a few seconds before it plays its first one.
FEW = 24
#: Runs that a process gets at once.
_AT_ONCE = 8


@dataclass(frozen=True)
class Row:
    """What is shown of one run; see ``Replayed``.

    unchecked  fields of sealed values that could not be computed
    unvouched  whether the digests of the evidence could not be, because the record lacks the events' other attributes
    """

    run_id: str
    source: str
    ending: Ending
    difference: Difference | None
    events: int
    checked: int
    put_in: int
    unchecked: int
    notes: tuple[str, ...]
    unvouched: bool = False


def summary(recorded: RecordedRun, played: Replayed) -> Row:
    """Return the row of a run."""
    return Row(
        run_id=played.run_id,
        source=recorded.source,
        ending=played.ending,
        difference=played.difference,
        events=len(recorded.events),
        checked=played.checked,
        put_in=played.put_in,
        unchecked=sum(why == SEALED for why in played.unchecked.values()),
        notes=played.notes,
        unvouched=NO_ATTRIBUTES in played.unchecked.values(),
    )


def replayed(lane: Lane, runs: Iterable[ExportedRun], fold: Fold[T], *, workers: int = 2) -> Iterator[T]:
    """Yield what ``fold`` makes of each run, as soon as it is played.

    Up to ``FEW`` runs, and everything with one worker, are played in this process.
    """
    left = iter(runs)
    first = list(islice(left, FEW + 1))
    if workers <= 1 or len(first) <= FEW:
        yield from _here(lane, [*first, *left] if len(first) > FEW else first, fold)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin, initargs=(lane,)) as pool:
        waiting: set[Future[list[T]]] = set()
        both = _chained(first, left)
        try:
            while True:
                while len(waiting) < 2 * workers and (some := [_as_text(one) for one in islice(both, _AT_ONCE)]):
                    waiting.add(pool.submit(_played, some, fold))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _chained(first: Iterable[ExportedRun], left: Iterable[ExportedRun]) -> Iterator[ExportedRun]:
    yield from first
    yield from left


def _here(lane: Lane, runs: Iterable[ExportedRun], fold: Fold[T]) -> Iterator[T]:
    from localcloud.replay.machine import Machine

    with Machine(lane) as machine:
        for one in runs:
            recorded = RecordedRun.of(one.events, one.title or one.source)
            yield fold(recorded, machine.play(recorded))


_STACK = ExitStack()
_MACHINE: list[object] = []


def _begin(lane: Lane) -> None:
    """Open this process's machine, for as long as the process lives."""
    from localcloud.replay.machine import Machine

    _MACHINE.append(_STACK.enter_context(Machine(lane)))


def _as_text(run: ExportedRun) -> tuple[str, str]:
    return "\n".join(exported.write(run.run_id, run.events)), run.title or run.source


def _played(some: list[tuple[str, str]], fold: Fold[T]) -> list[T]:
    from localcloud.replay.machine import Machine

    machine = _MACHINE[0]
    assert isinstance(machine, Machine)
    found = []
    for text, source in some:
        for one in exported.read_text(text, source):
            recorded = RecordedRun.of(one.events, source)
            found.append(fold(recorded, machine.play(recorded)))
    return found
