"""moto's EventBridge: pattern matching, and functions as targets of rules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from localcloud.moto_seams.replaced import replaced


def matches(pattern: str, event: Mapping[str, Any]) -> bool:
    """Return whether ``event`` matches the JSON of a rule's ``pattern``.

    Relies on ``moto.events.models.EventPattern``; moto's TestEventPattern is not implemented.
    """
    from moto.events.models import EventPattern

    return bool(EventPattern.load(pattern).matches_event(dict(event)))  # type: ignore[arg-type]


@contextmanager
def functions_are_targets(invoke: Callable[[str, Mapping[str, Any]], None]) -> Iterator[None]:
    """Let PutEvents reach functions: ``invoke`` gets the ARN and the event. moto supports queues and a few others.

    Relies on ``moto.events.models.Rule.send_to_targets(event, transform_input)``, which raises for a
    function, on ``Rule.targets`` and ``Rule.event_pattern``, which matches every event where a rule has a
    schedule and no pattern, and on the event's time being in seconds.
    """
    from moto.events.models import Rule

    def send_to_targets(self: Any, event: Any, transform_input: bool = True) -> None:
        if self.event_pattern.dump() is None or not self.event_pattern.matches_event(event):
            return
        for target in self.targets:
            if ":lambda:" in target["Arn"]:
                at = datetime.fromtimestamp(float(event["time"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                invoke(target["Arn"], {**event, "time": at})
        others = copy.copy(self)
        others.targets = [target for target in self.targets if ":lambda:" not in target["Arn"]]
        before(others, event, transform_input)

    with replaced(Rule, "send_to_targets", send_to_targets) as before:
        yield
