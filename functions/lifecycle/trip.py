"""Lambda: trip the spend breaker, by alarm and by burn rate, and set it for a person at a terminal.

::

    EventBridge: an alarm changed its state ──▶ trip, or note that its cause is over
    EventBridge: every minute ──▶ look at all alarms and at the windows, and do the same
    `ballast breaker` ──▶ set it, or show it

The look every minute makes up for events that were lost, late or out of order, and for alarms that
were deleted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from ballast.aws_errors import consequences
from ballast.contracts.wire import Name, Wire, complaints, parse
from ballast.edge import guarded
from ballast.errors import InvalidInput, SettingInvalid
from ballast.money.breaker import Breaker, Mode, relieved, tripped
from ballast.money.burn import Ask
from ballast.runtime import Runtime, Settings, lambda_runtime
from functions.lifecycle.alarm import Alarm, after, alarm_of, alarms_of
from functions.lifecycle.burn import BurnRate
from functions.lifecycle.keeper import Keeper
from functions.lifecycle.orders import NewMode, report

_SCHEDULED = "Scheduled Event"
#: What a trip by the windows is called, where one by an alarm has the alarm's name.
BURN_RATE = "burn rate"


class TripSettings(Settings):
    """breaker_alarms: JSON, the mode that each alarm of the stack asks for while it rings."""

    breaker_alarms: str


_MODES: TypeAdapter[dict[str, Mode]] = TypeAdapter(dict[str, Mode])


class Order(Wire):
    """What the ``ballast`` command sends: ``new`` is set in the name of ``by``; without it the breaker is only shown.

    tenant  whose breaker is shown, besides everyone's
    """

    new: NewMode | None = None
    by: Annotated[str, Field(min_length=1, max_length=256)] = "an operator"
    tenant: Name | None = None


@dataclass(frozen=True)
class Tripping:
    """Trips the breaker."""

    keeper: Keeper
    burn_rate: BurnRate
    cloudwatch: Any
    modes: dict[str, Mode]
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Tripping:
        """Put it together; once per runtime."""
        try:
            modes = _MODES.validate_json(TripSettings.of(runtime).breaker_alarms)
        except ValidationError as problem:
            raise SettingInvalid(
                f"BREAKER_ALARMS: {complaints(problem)}. It is the JSON of alarms' names and modes; see template.yaml."
            ) from None
        return cls(runtime.get(Keeper.of), runtime.get(BurnRate.of), runtime.client("cloudwatch"), modes, runtime)

    def hear(self, alarm: Alarm) -> None:
        """Take the news of one alarm; one that trips nothing is only told of."""
        mode = self.modes.get(alarm.name)
        if mode is None:
            line = {"level": "WARNING", "message": "An alarm of no mode in BREAKER_ALARMS.", "alarm": alarm.name}
            self.runtime.emit(json.dumps(line))
            return
        now = self.runtime.clock()
        self.keeper.change(None, lambda breaker: after(breaker, alarm, mode, now))

    def look(self) -> None:
        """Look at all alarms and at the windows, and trip, or note what is over."""
        with consequences("CloudWatch"):
            described = self.cloudwatch.describe_alarms(
                AlarmNames=sorted(self.modes), AlarmTypes=["MetricAlarm", "CompositeAlarm"], MaxRecords=100
            )
        alarms, ask, now = alarms_of(described), self.burn_rate.asks(), self.runtime.clock()
        self.keeper.change(None, lambda breaker: self._seen(breaker, alarms, ask, now))

    def _seen(self, breaker: Breaker, alarms: Sequence[Alarm], ask: Ask | None, now: datetime) -> Breaker:
        known = {alarm.name for alarm in alarms} | ({BURN_RATE} if ask else set())
        for gone in set(breaker.trips) - known:
            breaker = relieved(breaker, gone, now=now)
        if ask is not None:
            breaker = tripped(breaker, BURN_RATE, ask.mode, reason=ask.reason, now=now)
        for alarm in alarms:
            breaker = after(breaker, alarm, self.modes[alarm.name], now)
        return breaker

    def obey(self, order: Order) -> None:
        """Set the breaker as ordered."""
        if order.new is not None:
            new, now = order.new, self.runtime.clock()
            self.keeper.change(new.tenant, lambda breaker: new.applied(breaker, by=order.by, now=now))

    def shown(self, tenant: str | None) -> dict[str, Any]:
        """Return what holds, as an operator sees it."""
        return report(self.keeper.kept(), tenant, self.runtime.clock()).model_dump(mode="json")


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Do what ``event`` says: an alarm's news, the schedule, or an ``Order``, for which it returns what holds then."""
    tripping = (runtime or lambda_runtime()).get(Tripping.of)
    if not isinstance(event, dict):
        raise InvalidInput("An event must be a JSON object: an alarm's, the schedule's, or an Order.")
    if event.get("detail-type") == _SCHEDULED:
        tripping.look()
        return {}
    alarm = alarm_of(event)
    if alarm is not None:
        tripping.hear(alarm)
        return {}
    order = parse(Order, event, what="Order")
    tripping.obey(order)
    return tripping.shown(order.tenant or (order.new.tenant if order.new else None))
