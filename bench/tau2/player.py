"""Play the cases of gold plans, in this process or in several."""

import gc
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from ballast.playbook import Tool, load_playbook
from bench.tau2.cases import Case, cases
from bench.tau2.gold import GoldPlan, gold_plans
from bench.tau2.judge import Gold, Protocol, Verdict, naively
from bench.tau2.memory import Clock, Functions, virtual_time

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Played:
    """What came of one case: with the protocol, and of the same deliveries without it, where those were played."""

    protocol: Verdict
    naive: Verdict | None


@cache
def plans_of(domain: str) -> Mapping[str, GoldPlan]:
    """Return the domain's gold plans by task."""
    return {plan.task_id: plan for plan in gold_plans(domain)}


def all_cases(domain: str) -> list[Case]:
    """Return every fault at every call of every plan of a domain."""
    return [case for plan in plans_of(domain).values() for case in cases(plan)]


class Player:
    """Plays cases one after the other; to be used within ``virtual_time(clock)``. ``wraps``: see ``BadLine``."""

    def __init__(self, clock: Clock, *, wraps: bool = False) -> None:
        self._clock, self._wraps = clock, wraps
        self._desks: dict[str, tuple[Functions, Mapping[str, Tool]]] = {}

    def play(self, task: Sequence[Case]) -> list[Played]:
        """Play cases of one task."""
        functions, tools = self._desk(task[0].domain)
        gold = Gold.of(plans_of(task[0].domain)[task[0].task_id], tools)
        return [
            Played(Protocol(functions, gold, case, wraps=self._wraps).verdict(), naively(gold, case, wraps=self._wraps))
            for case in task
        ]

    def replay(self, case: Case) -> tuple[Played, list[str]]:
        """Play one case and return besides what happened, line by line."""
        functions, tools = self._desk(case.domain)
        gold = Gold.of(plans_of(case.domain)[case.task_id], tools)
        played = Protocol(functions, gold, case, wraps=self._wraps)
        return Played(played.verdict(), naively(gold, case, wraps=self._wraps)), played.heard

    def _desk(self, domain: str) -> tuple[Functions, Mapping[str, Tool]]:
        if domain not in self._desks:
            folder = FOLDER / domain
            self._desks[domain] = Functions(folder, self._clock), load_playbook(folder).tools
        return self._desks[domain]


_HERE: list[Player] = []
_FOR_GOOD = ExitStack()


def _begin(wraps: bool) -> None:
    """Get a process ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever shares out the work
    clock = Clock()
    _FOR_GOOD.enter_context(virtual_time(clock))
    _HERE.append(Player(clock, wraps=wraps))


def _play(task: Sequence[Case]) -> list[Played]:
    played = _HERE[0].play(task)
    # What stands now stays: no collection need walk it again.
    gc.freeze()
    return played


@contextmanager
def players(wanted: Sequence[Case], workers: int, *, wraps: bool = False) -> Iterator[Iterator[list[Played]]]:
    """Yield what comes of the cases, task by task as they end. Leaving the block ends what is still at work."""
    by_task: dict[tuple[str, str], list[Case]] = {}
    for case in wanted:
        by_task.setdefault((case.domain, case.task_id), []).append(case)
    # Spawned, not forked: this process may have threads.
    with get_context("spawn").Pool(workers, _begin, (wraps,)) as pool:
        yield pool.imap_unordered(_play, list(by_task.values()))
