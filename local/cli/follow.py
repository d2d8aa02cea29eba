"""Watch a run until it ends: new log entries as they appear, and the people it asks."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ballast.contracts import Event
from local.cli.people import People

if TYPE_CHECKING:
    from local.cloud import LocalCloud

#: How often the log and the queue are looked at. A person cannot read faster.
EVERY_S = 0.04
#: An ended execution is settled by a rule where the workflow itself did not; that takes a moment.
SETTLED_WITHIN_S = 30.0


def follow(
    cloud: "LocalCloud",
    run_id: str,
    people: People,
    saw: Callable[[Event], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Event, ...]:
    """Call ``saw`` once for each entry of the log, in order, and return all of them when the run has ended."""
    states = cloud.session.client("stepfunctions")
    machine = cloud.physical_id("AgentStateMachine")
    arn = f"{machine.replace(':stateMachine:', ':execution:')}:{run_id}"
    seen: set[str] = set()
    while True:
        # First the execution, then the log: what was written before the end is then in the log for certain.
        running = states.describe_execution(executionArn=arn)["status"] == "RUNNING"
        if not running:
            cloud.wait(run_id, SETTLED_WITHIN_S)
        events = cloud.events(run_id)
        for event in events:
            if event.seq not in seen:
                seen.add(event.seq)
                saw(event)
        if not running:
            return events
        people.attend()
        sleep(EVERY_S)
