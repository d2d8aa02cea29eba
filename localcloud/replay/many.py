"""Play many runs in several processes, each with a machine of its own.

::

    for row in replayed(lane, runs, fold=summary): …     in the order in which they are done

``fold`` makes of a played run what the caller wants to have; it runs in the process that played it, so it is a
function of a module. A run goes to a process as text, in the exported form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ballast.log.exported import ExportedRun
from localcloud.replay.lane import Difference, Ending, Lane, Replayed
from localcloud.replay.playing import NO_ATTRIBUTES, SEALED
from localcloud.replay.processes import Texts, recorded_in, spread
from localcloud.replay.recorded import RecordedRun

T = TypeVar("T")
Fold = Callable[[RecordedRun, Replayed], T]


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
        notes=(*made_note(played.made_otherwise), *played.notes),
        unvouched=NO_ATTRIBUTES in played.unchecked.values(),
    )


def made_note(names: Iterable[str]) -> tuple[str, ...]:
    """Return what to say of a run that was made otherwise; see ``Replayed``."""
    apart = ", ".join(names)
    return (f"the run was made with another version of: {apart}",) if apart else ()


def replayed(lane: Lane, runs: Iterable[ExportedRun], fold: Fold[T], *, workers: int = 2) -> Iterator[T]:
    """Yield what ``fold`` makes of each run, as soon as it is played; see ``spread``."""
    return spread(
        runs,
        partial(_here, lane, fold),
        partial(_played, fold),
        workers=workers,
        few=24,
        at_once=8,
        begin=partial(_begin, lane),
    )


def _here(lane: Lane, fold: Fold[T], runs: Iterable[ExportedRun]) -> Iterator[T]:
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


def _played(fold: Fold[T], some: Texts) -> list[T]:
    from localcloud.replay.machine import Machine

    machine = _MACHINE[0]
    assert isinstance(machine, Machine)
    return [fold(recorded, machine.play(recorded)) for recorded in recorded_in(some)]
