"""One fault at one call of a gold plan, and the downstream on which it happens."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.tau2.downstream import Downstream, Refused
from bench.tau2.environments import Tau2Environment
from bench.tau2.gold import GoldPlan
from bench.tau2.workflow import ProcessDied


class Fault(StrEnum):
    """What goes wrong at one call, once.

    duplicate      the executor's event is delivered a second time, when the first is done
    side_by_side   it is delivered a second time while the first is at work, before the tool acts
    crash_after    the tool acts, then the handler's process dies: nothing is recorded, and it is retried
    crash_before   the process dies when the tool is about to act: the same traces, but nothing happened
    timeout        the tool acts, but its caller sees a timeout, and it is retried
    """

    DUPLICATE = "duplicate"
    SIDE_BY_SIDE = "side_by_side"
    CRASH_AFTER = "crash_after"
    CRASH_BEFORE = "crash_before"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Case:
    """A fault at the call at ``position`` (from 1) of a task's gold plan."""

    domain: str
    task_id: str
    position: int
    fault: Fault

    @property
    def name(self) -> str:
        """By what it can be played again."""
        return f"{self.domain}/{self.task_id}/{self.position}/{self.fault}"

    @classmethod
    def named(cls, name: str) -> "Case":
        """Return the case of that name. Raises ``ValueError``."""
        domain, _, rest = name.partition("/")
        task_id, position, fault = rest.rsplit("/", 2)
        return cls(domain, task_id, int(position), Fault(fault))


def cases(plan: GoldPlan) -> Iterator[Case]:
    """Return every fault at every call of the plan."""
    for position in range(1, len(plan.calls) + 1):
        for fault in Fault:
            yield Case(plan.domain, plan.task_id, position, fault)


class ServiceError(Exception):
    """What a client raises that wraps every error of its transport: it has no cause, and nobody has heard of it."""


class BadLine(Downstream):
    """A downstream to which the line is bad once, at the next request after ``spoil``.

    ``wraps``: its client makes a ``ServiceError`` of a timeout.
    """

    def __init__(self, environment: Tau2Environment, *, wraps: bool = False) -> None:
        super().__init__(environment)
        self._wraps = wraps
        self._fault: Fault | None = None
        self._deliver_again: Callable[[], Any] = lambda: None

    def spoil(self, fault: Fault, deliver_again: Callable[[], Any]) -> None:
        """Let ``fault`` happen at the next request."""
        self._fault, self._deliver_again = fault, deliver_again

    def request(self, tool: str, arguments: Mapping[str, Any], *, key: str | None = None) -> Any:
        """Send the request, over a line that may be bad. Raises ``ProcessDied`` and the client's error besides."""
        fault, self._fault = self._fault, None
        if fault is Fault.CRASH_BEFORE:
            raise ProcessDied
        if fault is Fault.SIDE_BY_SIDE:
            self._deliver_again()
        problem: Refused | None = None
        answer = None
        try:
            answer = super().request(tool, arguments, key=key)
        except Refused as refused:
            problem = refused
        if fault is Fault.CRASH_AFTER:
            raise ProcessDied
        if fault is Fault.TIMEOUT:
            raise (ServiceError if self._wraps else TimeoutError)("The service did not answer in time.")
        if problem is not None:
            raise problem
        return answer
