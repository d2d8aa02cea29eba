"""What CloudWatch says of an alarm: by EventBridge, by the alarm's own action, or when it is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from ballast.contracts.wire import Wire, parse, without_surrogates
from ballast.money.breaker import Breaker, Mode, relieved, tripped

#: EventBridge's ``detail-type``.
STATE_CHANGE = "CloudWatch Alarm State Change"
_REASON_CHARS = 300


class _Read(Wire):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class AlarmState(_Read):
    """value: OK, ALARM or INSUFFICIENT_DATA."""

    value: str
    reason: str = ""


class Alarm(_Read):
    """One alarm, as far as it is read."""

    name: Annotated[str, Field(alias="alarmName", min_length=1, max_length=255)]
    state: AlarmState


def alarm_of(event: Mapping[str, Any]) -> Alarm | None:
    """Return the alarm that ``event`` is about: EventBridge's or the alarm's own action; None for another event.

    Raises ``InvalidInput``.
    """
    if event.get("detail-type") == STATE_CHANGE:
        return parse(Alarm, event.get("detail"), what="detail")
    if "alarmData" in event:
        return parse(Alarm, event["alarmData"], what="alarmData")
    return None


def alarms_of(described: Mapping[str, Any]) -> tuple[Alarm, ...]:
    """Return the alarms in the answer to ``DescribeAlarms``."""
    found = [*described.get("MetricAlarms", ()), *described.get("CompositeAlarms", ())]
    return tuple(Alarm.model_validate(_as_an_event_has_it(one)) for one in found)


def _as_an_event_has_it(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "alarmName": one["AlarmName"],
        "state": {"value": one["StateValue"], "reason": one.get("StateReason") or ""},
    }


def after(breaker: Breaker, alarm: Alarm, mode: Mode, now: datetime) -> Breaker:
    """Return the breaker after the news of ``alarm``, which asks for ``mode``. Too few data are no news."""
    if alarm.state.value == "ALARM":
        reason = without_surrogates(" ".join(alarm.state.reason.split()))[:_REASON_CHARS]
        return tripped(breaker, alarm.name, mode, reason=reason, now=now)
    if alarm.state.value == "OK":
        return relieved(breaker, alarm.name, now=now)
    return breaker
