"""The stack's rules with a schedule: their functions are called by the clock, as EventBridge does it."""

from __future__ import annotations

import json
import logging
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from localcloud.functions import Functions
from localcloud.sessions import ACCOUNT, REGION, LocalSession

LOG = logging.getLogger(__name__)

_RATE = re.compile(r"rate\((?P<number>\d+) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class Schedule:
    """A rule whose functions are called every so many seconds."""

    rule_arn: str
    every_s: int
    functions: tuple[str, ...]


def schedules(admin: LocalSession) -> tuple[Schedule, ...]:
    """Return the enabled rules with a rate; one with a cron expression is left to AWS."""
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
    """Within the block, call each rule's functions whenever its time has come."""
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
