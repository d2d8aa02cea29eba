"""Watch a run until it ends: new log entries as they appear, and the people it asks."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from ballast.contracts import RunRequest
from ballast.log.event import Event
from ballast.log.events import ApprovalRequested, EscalationOpened
from ballast.run import Run
from cli.people import People

#: How often the log and the queue are looked at. A person cannot read faster.
EVERY_S = 0.04
#: After so many looks that brought nothing new, as while a person thinks, each pause is longer than the last one,
#: up to so many seconds.
_QUIET_LOOKS, _LONGER, _LONGEST_S = 50, 1.2, 0.5
#: An ended execution is settled by a rule where the workflow itself did not; that takes a moment.
SETTLED_WITHIN_S = 30.0
#: With these entries of its log a run asks a person, and waits.
ASKS = (EscalationOpened.NAME, ApprovalRequested.NAME)


class Cloud(Protocol):
    """Where a run goes on: a ``LocalCloud``, or a deployed stack."""

    @property
    def session(self) -> Any:
        """A boto3 session."""

    def physical_id(self, logical_id: str) -> str:
        """Return the name or ARN of a resource."""

    def start(self, request: RunRequest) -> str:
        """Start a run and return its id. Raises ``FunctionError``."""

    def wait(self, run_id: str, timeout_s: float) -> Any:
        """Return the run's execution once it has ended."""

    def events(self, run_id: str) -> Run:
        """Return the run's log."""


def follow(
    cloud: Cloud,
    run_id: str,
    people: People,
    saw: Callable[[Event], None],
    *,
    every_s: float = EVERY_S,
    sleep: Callable[[float], None] = time.sleep,
    wait: bool = True,
) -> Run:
    """Call ``saw`` once for each entry of the log, in order, and return all of them when the run has ended.

    Without ``wait`` also when it asks a person: the last entry is then no ending.
    """
    states = cloud.session.client("stepfunctions")
    machine = cloud.physical_id("AgentStateMachine")
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{run_id}"
    seen: set[str] = set()
    quiet, pause_s = 0, every_s
    while True:
        # First the execution, then the log: what was written before the end is then in the log for certain.
        running = states.describe_execution(executionArn=arn)["status"] == "RUNNING"
        if not running:
            cloud.wait(run_id, SETTLED_WITHIN_S)
        events = cloud.events(run_id)
        new = [event for event in events if event.seq not in seen]
        for event in new:
            seen.add(event.seq)
            saw(event)
        if not running or (not wait and any(event.name in ASKS for event in new)):
            return events
        people.attend()
        quiet = 0 if new else quiet + 1
        pause_s = every_s if quiet < _QUIET_LOOKS else max(every_s, min(pause_s * _LONGER, _LONGEST_S))
        sleep(pause_s)
