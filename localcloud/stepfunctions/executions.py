"""The executions of one local cloud: wait for them, stop them, deliver the events of their ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from localcloud.clock import Clock, Signal
from localcloud.event_bus import EventRules, status_change
from localcloud.functions import Functions
from localcloud.sandbox import SandboxEnded
from localcloud.sessions import LocalSession


@dataclass(frozen=True)
class Execution:
    """An execution that has ended.

    status  SUCCEEDED, FAILED, ABORTED or TIMED_OUT
    output  its result, if it succeeded
    error, cause  why it failed, if it did
    """

    run_id: str
    status: str
    output: Any = None
    error: str | None = None
    cause: str | None = None


def _output(described: Mapping[str, Any]) -> Any:
    """Return the output's JSON; moto returns a plain text as it is."""
    if "output" not in described:
        return None
    try:
        return json.loads(described["output"])
    except ValueError:
        return described["output"]


class Executions:
    """The executions of a cloud. ``ended`` is called at each execution's end, and calls ``told`` with the run's id.

    ``connect`` is called once the stack exists. Keeps nothing of an ended execution but its ARN.
    """

    def __init__(self, clock: Clock, told: Sequence[Callable[[str], None]] = ()) -> None:
        self._clock = clock
        self._told = told
        self._lock = threading.Lock()
        #: By ARN: ended executions whose event was delivered, and the signals of those that are waited for.
        self._served: set[str] = set()
        self._awaited: dict[str, Signal] = {}
        self._threads: list[threading.Thread] = []
        self._rules: EventRules | None = None
        self._closing = clock.signal()

    def connect(
        self, admin: LocalSession, state_machine: str, functions: Functions, others: Sequence[str] = ()
    ) -> None:
        """Start to deliver events and to answer; ``others`` are state machines of other stacks."""
        self._states = admin.client("stepfunctions")
        self._state_machine, self._others = state_machine, others
        self._rules = EventRules(admin, functions, lambda seconds: self._clock.pause(seconds, self._closing))

    def arn(self, run_id: str) -> str:
        """Return the ARN of the run's execution."""
        return f"{self._state_machine.replace(':stateMachine:', ':execution:')}:{run_id}"

    def ended(self, described: Mapping[str, Any]) -> None:
        """Deliver the event of an execution's end; called in the execution's thread."""
        arn = described["executionArn"]
        if self._rules is None or self._closing.is_set():
            self._serve(arn)
            return
        event = status_change(described)
        with suppress(SandboxEnded):  # the cloud was closed in the meantime
            try:
                not_taken = self._rules.deliver(event)
            finally:
                self._serve(arn)
            for target in not_taken:
                self._rules.deliver_again(event, target)

    def _serve(self, arn: str) -> None:
        """Wake whoever waits for an execution's end, after the delivery of its event was attempted."""
        with self._lock:
            self._served.add(arn)
            awaited = self._awaited.pop(arn, None)
        if awaited is not None:
            awaited.set()
        for told in self._told:
            told(arn.rpartition(":")[2])

    def invoked_by_event(self, function_arn: str, event: Mapping[str, Any]) -> None:
        """Invoke a rule's target function without waiting for it."""

        def invoke() -> None:
            if self._rules is not None and not self._closing.is_set():
                with suppress(SandboxEnded):
                    self._rules.invoke(function_arn, event)

        thread = self._clock.thread(invoke, "rules")
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]

    def _is_served_within(self, arn: str, timeout_s: float) -> bool:
        """Wait until the execution has ended and delivery of its event was attempted; return whether it was."""
        with self._lock:
            if arn in self._served:
                return True
            signal = self._awaited.setdefault(arn, self._clock.signal())
        return signal.wait(timeout_s)

    def wait(self, run_id: str, timeout_s: float) -> Execution:
        """See ``LocalCloud.wait``."""
        arn = self.arn(run_id)
        described = self._describe(arn, run_id)
        if not self._is_served_within(arn, timeout_s):
            last = [event for event in self.history(run_id) if "stateEnteredEventDetails" in event][-1:]
            where = f", in {last[0]['stateEnteredEventDetails']['name']}" if last else ""
            raise TimeoutError(f"{run_id} has not ended after {timeout_s} s; it is {described['status']}{where}.")
        described = self._describe(arn, run_id)
        return Execution(
            run_id=run_id,
            status=described["status"],
            output=_output(described),
            error=described.get("error"),
            cause=described.get("cause"),
        )

    def status(self, run_id: str) -> str:
        """See ``LocalCloud.status``."""
        arn = self.arn(run_id)
        with self._lock:
            served = arn in self._served
        status: str = self._describe(arn, run_id)["status"]
        return status if served else "RUNNING"

    def _describe(self, arn: str, run_id: str) -> Any:
        try:
            return self._states.describe_execution(executionArn=arn)
        except self._states.exceptions.ExecutionDoesNotExist:
            raise LookupError(f"There is no run {run_id} here.") from None

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """See ``LocalCloud.history``."""
        found: list[dict[str, Any]] = self._states.get_execution_history(executionArn=self.arn(run_id))["events"]
        return found

    def stop(self, run_id: str) -> None:
        """See ``LocalCloud.stop``."""
        self._states.stop_execution(executionArn=self.arn(run_id))

    def stop_all(self) -> None:
        """Abort all running executions; deliver no more events."""
        self._closing.set()
        for machine in (self._state_machine, *self._others):
            running = self._states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
            for execution in running["executions"]:
                self._states.stop_execution(executionArn=execution["executionArn"])

    def join(self, timeout_s: float) -> None:
        """Wait, ``timeout_s`` in all, for the threads to end."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


def transitions(history: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (from, to) for every state entered after another one, in order, from an execution's history.

    Within a Map, each item's first state comes from the Map itself; the state after the Map comes
    from the Map as well.
    """
    events = list(history)
    by_id = {event["id"]: event for event in events}
    found = []
    for event in events:
        if event["type"].endswith("StateEntered"):
            source = _state_before(event, by_id)
            if source is not None:
                found.append((source, event["stateEnteredEventDetails"]["name"]))
    return found


def _state_before(event: Mapping[str, Any], by_id: Mapping[int, Mapping[str, Any]]) -> str | None:
    previous = by_id.get(event.get("previousEventId", 0))
    while previous is not None:
        # An item starts from the Map, whichever item started or ended before it.
        for details in ("stateExitedEventDetails", "stateEnteredEventDetails", "mapIterationStartedEventDetails"):
            if details in previous:
                name: str = previous[details]["name"]
                return name
        previous = by_id.get(previous.get("previousEventId", 0))
    return None
