"""Lambda: trip and reset the spend breaker by alarms and by the burn rate.

::

    EventBridge: an alarm changed its state ──▶ trip, or note that its cause is over
    EventBridge: every minute ──▶ read all alarms and the windows, and do the same

The check every minute covers events that were lost, late or out of order, and alarms that were deleted. One function
does both, because both write the same breaker by the same rule (``after``) with the same rights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ballast.aws_errors import consequences
from ballast.budget_items import AccountWindowSettings, BudgetsTableSettings, key_of, limits_of
from ballast.contracts.wire import Wire, complaints, parse, without_surrogates
from ballast.edge import guarded
from ballast.errors import InvalidInput, SettingInvalid
from ballast.metrics import metric_line
from ballast.money.breaker import Breaker, Mode, relieved, tripped
from ballast.money.burn import Ask, Burning, burning
from ballast.money.windows import ACCOUNT, LIMITS, WindowLimits, day_of, hour_of
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.table import Table
from ballast.values import dataclass
from functions.breaker.spend_breaker import SpendBreaker

#: EventBridge's ``detail-type``s.
STATE_CHANGE, SCHEDULED = "CloudWatch Alarm State Change", "Scheduled Event"
#: The cause of a trip by the windows; a trip by an alarm has the alarm's name.
BURN_RATE = "burn rate"
_REASON_CHARS = 300
_MODES: TypeAdapter[dict[str, Mode]] = TypeAdapter(dict[str, Mode])


class TripSettings(BudgetsTableSettings, AccountWindowSettings):
    """Trip's environment.

    budgets_table   windows and the spend breaker
    account_hour_usd, account_day_usd  what all tenants together may spend, in US dollars, unless an operator set it
    breaker_alarms  JSON: the mode that each alarm of the stack asks for while its state is ALARM
    """

    breaker_alarms: str


class _Read(Wire):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class AlarmState(_Read):
    """value: OK, ALARM or INSUFFICIENT_DATA."""

    value: str
    reason: str = ""


class Alarm(_Read):
    """One alarm, as EventBridge, the alarm's own action or ``DescribeAlarms`` reports it."""

    name: Annotated[str, Field(alias="alarmName", min_length=1, max_length=255)]
    state: AlarmState


def alarms_of(described: Mapping[str, Any]) -> tuple[Alarm, ...]:
    """Return the alarms in the answer to ``DescribeAlarms``."""
    found = [*described.get("MetricAlarms", ()), *described.get("CompositeAlarms", ())]
    return tuple(
        Alarm.model_validate(
            {
                "alarmName": one["AlarmName"],
                "state": {"value": one["StateValue"], "reason": one.get("StateReason") or ""},
            }
        )
        for one in found
    )


def after(breaker: Breaker, alarm: Alarm, mode: Mode, now: datetime) -> Breaker:
    """Return the breaker after ``alarm``, which asks for ``mode``, changed. INSUFFICIENT_DATA changes nothing."""
    if alarm.state.value == "ALARM":
        reason = without_surrogates(" ".join(alarm.state.reason.split()))[:_REASON_CHARS]
        return tripped(breaker, alarm.name, mode, reason=reason, now=now)
    if alarm.state.value == "OK":
        return relieved(breaker, alarm.name, now=now)
    return breaker


@dataclass(frozen=True)
class BurnRate:
    """Reads from the money windows how fast all tenants together spend."""

    table: Table
    limits: WindowLimits
    runtime: Runtime

    def asks(self) -> Ask | None:
        """Return the mode that the burn rate asks for now; None if it asks for none. Raises ``RetryLater``.

        Also reports how full the windows are, including leases.
        """
        now = self.runtime.clock()
        hour, day = hour_of(now), day_of(now)
        keys = [key_of(ACCOUNT, window) for window in (hour, day, LIMITS)]
        found = {item["window"]: item for item in self.table.batch_get(keys, consistent=False)}
        limits = limits_of(found.get(LIMITS, {}), self.limits)

        def counted(window: str, what: str) -> int:
            return int(found.get(window, {}).get(what, 0))

        for window, limit in ((hour, limits.hour_microusd), (day, limits.day_microusd)):
            used = Decimal(100 * counted(window, "taken_microusd")) / limit if limit else Decimal(100)
            name = {"window": window.partition("#")[0]}
            self.runtime.emit(metric_line({"WindowUsedPercent": round(used, 1)}, dimensions=name))

        return burning(
            Burning(hour, counted(hour, "settled_microusd"), limits.hour_microusd),
            Burning(day, counted(day, "settled_microusd"), limits.day_microusd),
            now,
        )


@dataclass(frozen=True)
class Tripping:
    """Trips the breaker. ``modes``: the mode that each alarm asks for."""

    breaker: SpendBreaker
    burn_rate: BurnRate
    cloudwatch: Any
    modes: dict[str, Mode]
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Tripping:
        """Raises ``SettingInvalid``, and ``InvalidInput`` for a limit that is not an amount."""
        settings = TripSettings.of(runtime)
        try:
            modes = _MODES.validate_json(settings.breaker_alarms)
        except ValidationError as problem:
            raise SettingInvalid(
                f"BREAKER_ALARMS: {complaints(problem)}. It is the JSON of alarms' names and modes; see template.yaml."
            ) from None
        burn_rate = BurnRate(settings.table(runtime), settings.account_limits(), runtime)
        return cls(runtime.get(SpendBreaker.of), burn_rate, runtime.client("cloudwatch"), modes, runtime)

    def apply_alarm(self, alarm: Alarm) -> None:
        """Apply one alarm's change; an alarm without a mode changes nothing and is reported."""
        mode = self.modes.get(alarm.name)
        if mode is None:
            line = {"level": "WARNING", "message": "BREAKER_ALARMS has no mode for this alarm.", "alarm": alarm.name}
            self.runtime.emit(json.dumps(line))
            return
        now = self.runtime.clock()
        self.breaker.change(None, lambda breaker: after(breaker, alarm, mode, now))

    def check_all(self) -> None:
        """Check all alarms and the windows: trip, or note that a cause is over."""
        with consequences("CloudWatch"):
            described = self.cloudwatch.describe_alarms(
                AlarmNames=sorted(self.modes), AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
            )
        alarms, ask, now = alarms_of(described), self.burn_rate.asks(), self.runtime.clock()
        self.breaker.change(None, lambda breaker: self._seen(breaker, alarms, ask, now))

    def _seen(self, breaker: Breaker, alarms: Sequence[Alarm], ask: Ask | None, now: datetime) -> Breaker:
        known = {alarm.name for alarm in alarms} | ({BURN_RATE} if ask else set())
        for gone in set(breaker.trips) - known:
            breaker = relieved(breaker, gone, now=now)
        if ask is not None:
            breaker = tripped(breaker, BURN_RATE, ask.mode, reason=ask.reason, now=now)
        for alarm in alarms:
            breaker = after(breaker, alarm, self.modes[alarm.name], now)
        return breaker


@made_at_init(Tripping.of, "dynamodb")
@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Apply an alarm's change (from EventBridge or the alarm's own action); on the schedule, check everything."""
    tripping = (runtime or lambda_runtime()).get(Tripping.of)
    kind = event.get("detail-type") if isinstance(event, dict) else None
    if kind == SCHEDULED:
        tripping.check_all()
    elif kind == STATE_CHANGE:
        tripping.apply_alarm(parse(Alarm, event.get("detail"), what="detail"))
    elif isinstance(event, dict) and "alarmData" in event:
        tripping.apply_alarm(parse(Alarm, event["alarmData"], what="alarmData"))
    else:
        raise InvalidInput(
            "An event must be a JSON object: an alarm's, or the schedule's. To set the breaker invoke CommandFunction."
        )
    return {}
