"""Scheduled rules invoke their functions on time, also after one of them failed."""

import json
import threading
from typing import Any

from localcloud.cloud import LocalCloud
from localcloud.event_bus import Schedule, schedules, ticking
from tests.workflow.local_cloud.conftest import eventually


class Functions:
    """Notes what is invoked. Every second invocation fails."""

    logical_id = "F"

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def invoke(self, function: str, payload: bytes) -> tuple[bytes, str | None]:
        self.events.append(json.loads(payload))
        return b"{}", "Unhandled" if len(self.events) % 2 else None

    def find(self, function: str) -> Any:
        return self


def test_rules_with_a_rate_are_found(cloud: LocalCloud) -> None:
    events, function = cloud.session.client("events"), "arn:aws:lambda:eu-west-1:123456789012:function:f"
    for name, schedule in (("every-5", "rate(5 minutes)"), ("hourly", "rate(1 hour)"), ("noon", "cron(0 12 * * ? *)")):
        events.put_rule(Name=name, ScheduleExpression=schedule)
        events.put_targets(Rule=name, Targets=[{"Id": "f", "Arn": function}])
    events.put_rule(Name="off", ScheduleExpression="rate(1 day)", State="DISABLED")

    found = {one.rule_arn.rsplit("/", 1)[-1]: (one.every_s, one.functions) for one in schedules(cloud.session)}

    assert found == {"every-5": (300, (function,)), "hourly": (3_600, (function,))}


def test_its_functions_are_called_until_the_block_ends() -> None:
    functions: Any = Functions()

    with ticking((Schedule("arn:rule", 0, ("arn:f",)),), functions):
        eventually(lambda: len(functions.events) >= 3)

    assert not [thread for thread in threading.enumerate() if thread.name == "schedules"]
    event = functions.events[0]
    assert (event["detail-type"], event["source"], event["resources"]) == (
        "Scheduled Event",
        "aws.events",
        ["arn:rule"],
    )
