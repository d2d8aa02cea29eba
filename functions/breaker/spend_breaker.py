"""Change the spend breaker in the budgets table, and report it, for the HTTP API and for commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from ballast.breaker_reader import ACCOUNT, breaker_of, item_of, key_of
from ballast.budget_items import BudgetsTableSettings
from ballast.contracts.wire import Name, Wire
from ballast.errors import RetryLater
from ballast.metrics import metric_line
from ballast.money.breaker import Breaker, CurrentMode, Mode, current_mode, set_by_hand
from ballast.runtime import Runtime
from ballast.table import Put, Query, Table, absent, equals
from ballast.values import dataclass

#: The longest time for a mode; leave the time out to set a mode without an end.
MAX_MINUTES = 30 * 24 * 60
_ATTEMPTS = 5

Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00+00:00"])]


@dataclass(frozen=True)
class SpendBreaker:
    """Everyone's breaker and the tenants', in their table."""

    table: Table
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> SpendBreaker:
        return cls(BudgetsTableSettings.of(runtime).table(runtime), runtime)

    def change(self, tenant: str | None, change: Callable[[Breaker], Breaker]) -> Breaker:
        """Apply ``change`` to the tenant's breaker (None: everyone's), report its mode, and return the new breaker.

        If another process writes in between, ``change`` is called again. Raises ``RetryLater``.
        """
        for _ in range(_ATTEMPTS):
            before = self._get(tenant)
            after = change(before)
            if after is before or self._put(after.model_copy(update={"version": before.version + 1}), before):
                if tenant is None:
                    self._report(after)
                return after
        raise RetryLater(f"{self.table.what}: the breaker keeps changing; try again.")

    def all(self) -> tuple[Breaker, ...]:
        """Return every breaker that was ever set or tripped, everyone's first."""
        return tuple(map(breaker_of, self.table.all(Query(equals("account", ACCOUNT)))))

    def _get(self, tenant: str | None) -> Breaker:
        found = self.table.get(key_of(tenant))
        return Breaker(tenant=tenant) if found is None else breaker_of(found)

    def _put(self, breaker: Breaker, before: Breaker) -> bool:
        not_there_before = absent("account")
        as_it_was_read = equals("version", before.version)
        put = Put(item_of(breaker), as_it_was_read if before.version else not_there_before)
        return self.table.write(put).written

    def _report(self, breaker: Breaker) -> None:
        """Report everyone's mode: 0 normal … 3 stopped. Tenants are not reported: their number has no bound."""
        current = current_mode([breaker], self.runtime.clock())
        fields = {"mode": current.mode.value, "state": current.state, "by": current.by or ""}
        self.runtime.emit(metric_line({"BreakerMode": current.mode.level}, fields=fields))


class NewMode(Wire):
    """The mode to set.

    mode         normal resets the mode that was set, and closes all trips
    tenant       the tenant; everyone if left out
    for_minutes  the mode ends after this time; with normal, no trip applies during this time
    reason       the reason of the change; operators see it, tenants do not
    """

    # The body was parsed before, so a strict enum would refuse the text of a mode.
    mode: Annotated[Mode, Field(strict=False)]
    tenant: Name | None = None
    for_minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES)] | None = None
    reason: str = Field(default="", max_length=500)

    def applied(self, breaker: Breaker, *, by: str, now: datetime) -> Breaker:
        """Return ``breaker`` with this mode."""
        duration = None if self.for_minutes is None else timedelta(minutes=self.for_minutes)
        return set_by_hand(breaker, self.mode, by=by, reason=self.reason, now=now, duration=duration)


class BreakerState(Wire):
    """The state of a spend breaker.

    mode    normal | cheaper (model) | fallback_only | stopped
    state   closed | open | half_open: one run in twenty passes
    tenant  the breaker's tenant; null for everyone's
    since, by, reason  when, by whom or what (a person, an alarm, the burn rate), and why it was set
    until   when a person's mode ends, or when a tripped breaker becomes half-open
    """

    mode: Mode
    state: Literal["closed", "open", "half_open"]
    tenant: Name | None = None
    since: Time | None = None
    by: str | None = None
    reason: str | None = None
    until: Time | None = None


class BreakerReport(BreakerState):
    """The mode that applies to the caller: the stricter one of everyone's and the tenant's.

    tenants  for operators: the tenants with a mode of their own
    """

    tenants: tuple[BreakerState, ...] = ()


def report(breakers: Iterable[Breaker], tenant: str | None, now: datetime) -> BreakerReport:
    """Return an operator's view of everyone's mode, or of one tenant's."""
    held = tuple(breakers)
    ours = [breaker for breaker in held if breaker.tenant in (None, tenant)]
    each = [current_mode([breaker], now) for breaker in held if breaker.tenant is not None]
    own = tuple(BreakerState(**_fields(current)) for current in each if current.since is not None)
    return BreakerReport(**_fields(current_mode(ours, now)), tenants=own)


def report_for_tenant(breakers: Iterable[Breaker], now: datetime) -> BreakerReport:
    """Return a tenant's view: its mode, but not who set it or why, and no other tenants."""
    current = current_mode(breakers, now)
    return BreakerReport(mode=current.mode, state=current.state, since=_iso(current.since), until=_iso(current.until))


def _fields(current: CurrentMode) -> dict[str, Any]:
    return {
        "mode": current.mode,
        "state": current.state,
        "tenant": current.tenant,
        "since": _iso(current.since),
        "by": current.by,
        "reason": current.reason,
        "until": _iso(current.until),
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
