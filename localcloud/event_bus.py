"""EventBridge: rules that match events and rules with a schedule, with functions as targets, which moto lacks."""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from localcloud.functions import Functions
from localcloud.moto_seams.events import matches
from localcloud.sandbox import SandboxEnded
from localcloud.sessions import ACCOUNT, REGION, LocalSession

LOG = logging.getLogger(__name__)

#: Seconds before Lambda's second and third attempt at an asynchronous invocation.
_RETRY_AFTER_S = (60, 120)


def status_change(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of an execution's end, ``described`` as by DescribeExecution."""
    detail = {
        "executionArn": described["executionArn"],
        "stateMachineArn": described["stateMachineArn"],
        "name": described["name"],
        "status": str(getattr(described["status"], "value", described["status"])),
        "startDate": _millis(described["startDate"]),
        "stopDate": _millis(described.get("stopDate")),
        "input": described.get("input"),
        "output": described.get("output"),
        "inputDetails": {"included": True},
        "outputDetails": {"included": True} if "output" in described else None,
        "error": described.get("error"),
        "cause": described.get("cause"),
    }
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": ACCOUNT,
        "time": (described.get("stopDate") or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [described["executionArn"]],
        "detail": detail,
    }


def _millis(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1000)


class EventRules:
    """The stack's enabled rules on the default bus that have functions or queues as targets."""

    def __init__(self, admin: LocalSession, functions: Functions, pause: Callable[[float], None]) -> None:
        events = admin.client("events")
        self._sqs = admin.client("sqs")
        self._functions = functions
        self._pause = pause
        self._rules = []
        for rule in events.list_rules()["Rules"]:
            if rule.get("State") == "ENABLED" and rule.get("EventPattern"):
                targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
                self._rules.append((rule["EventPattern"], [target["Arn"] for target in targets]))

    def deliver(self, event: Mapping[str, Any]) -> list[str]:
        """Send ``event`` to the targets of matching rules; return the ARNs of the functions that failed."""
        payload = json.dumps(event).encode()
        targets = [arn for pattern, arns in self._rules if matches(pattern, event) for arn in arns]
        for arn in targets:
            if ":sqs:" in arn:
                self._sqs.send_message(QueueUrl=self._queue_url(arn), MessageBody=payload.decode())
        return [arn for arn in targets if ":lambda:" in arn and self._refusal(arn, payload) is not None]

    def invoke(self, arn: str, event: Mapping[str, Any]) -> None:
        """Invoke a function with Lambda's retries; after the last one the event becomes a dead letter."""
        if self._refusal(arn, json.dumps(event).encode()) is not None:
            self.deliver_again(event, arn)

    def deliver_again(self, event: Mapping[str, Any], arn: str) -> None:
        """Retry an invocation as Lambda does; after the last attempt the event becomes a dead letter."""
        payload = json.dumps(event).encode()
        refusal: str | None = None
        for wait_s in _RETRY_AFTER_S:
            self._pause(wait_s)
            refusal = self._refusal(arn, payload)
            if refusal is None:
                return
        self._bury(arn, payload, refusal or "")

    def _refusal(self, arn: str, payload: bytes) -> str | None:
        """Invoke the function; return why it failed, or ``None``.

        Raises ``SandboxEnded`` if the cloud was closed in the meantime.
        """
        try:
            body, error = self._functions.invoke(arn, payload)
        except ClientError as problem:
            return str(problem)
        if error is None:
            return None
        why = str(json.loads(body)["errorMessage"])
        if f"{SandboxEnded.__name__}: " in why:
            raise SandboxEnded(why)
        return why

    def _bury(self, arn: str, payload: bytes, why: str) -> None:
        """Send a failed event to the function's dead-letter queue, as Lambda does."""
        function = self._functions.find(arn)
        LOG.warning("%s did not take an event: %s", function.logical_id, why)
        if function.dead_letters_arn is None:
            return
        queue = self._queue_url(function.dead_letters_arn)
        attributes = {"ErrorMessage": {"DataType": "String", "StringValue": why}}
        self._sqs.send_message(QueueUrl=queue, MessageBody=payload.decode(), MessageAttributes=attributes)

    def _queue_url(self, arn: str) -> str:
        url: str = self._sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[-1])["QueueUrl"]
        return url


_RATE = re.compile(r"rate\((?P<number>\d+) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class Schedule:
    """A rule that invokes its functions every ``every_s`` seconds."""

    rule_arn: str
    every_s: int
    functions: tuple[str, ...]


def schedules(admin: LocalSession) -> tuple[Schedule, ...]:
    """Return the enabled rules with a rate; cron expressions are not supported here."""
    events = admin.client("events")
    found = []
    for rule in events.list_rules()["Rules"]:
        rate = _RATE.fullmatch(rule.get("ScheduleExpression") or "")
        if rate is not None and rule.get("State") == "ENABLED":
            arns = [target["Arn"] for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]]
            every_s = int(rate["number"]) * _SECONDS[rate["unit"]]
            found.append(Schedule(rule["Arn"], every_s, tuple(arn for arn in arns if ":lambda:" in arn)))
    return tuple(found)


@contextmanager
def ticking(of: tuple[Schedule, ...], functions: Functions) -> Iterator[None]:
    """Within the block, invoke each rule's functions when they are due."""
    stop = threading.Event()
    clocks = [threading.Thread(target=_tick, args=(one, functions, stop), name="schedules", daemon=True) for one in of]
    for clock in clocks:
        clock.start()
    try:
        yield
    finally:
        stop.set()
        for clock in clocks:
            clock.join(timeout=5)


def _tick(schedule: Schedule, functions: Functions, stop: threading.Event) -> None:
    while not stop.wait(schedule.every_s):
        payload = json.dumps(scheduled_event(schedule.rule_arn, datetime.now(UTC))).encode()
        for arn in schedule.functions:
            try:
                _body, error = functions.invoke(arn, payload)
            except ClientError as problem:
                error = str(problem)
            if error is not None:
                LOG.warning("%s failed by its schedule: %s", functions.find(arn).logical_id, error)


def scheduled_event(rule_arn: str, at: datetime) -> dict[str, Any]:
    """Return the event that a schedule sends."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [rule_arn],
        "detail": {},
    }
