"""What the last day took of the money windows, hour by hour: ``GET /budget``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from ballast.contracts.wire import Name, Wire
from ballast.money.amounts import dollars, micro_dollars
from ballast.money.windows import ACCOUNT, LIMITS, WindowLimits, day_of, hour_of, of_tenant
from ballast.runtime import Runtime, Settings
from ballast.table import Item, Table
from functions.lifecycle.items import key_of, limits_of

#: The hours that are shown, the current one included.
HOURS = 24

Usd = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,6}$", description="US dollars, exact", examples=["0.0123"])]
Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-03-01T12:00:00+00:00"])]


class Window(Wire):
    """An hour or a day of UTC.

    since      its beginning
    taken_usd  what runs took of it: spent, or reserved by runs that go on
    spent_usd  what settled runs spent of that
    """

    since: Time
    taken_usd: Usd
    spent_usd: Usd


class Budget(Wire):
    """The money of a tenant, or of all tenants together where ``tenant`` is null.

    hour_limit_usd, day_limit_usd  what runs may take of an hour and of a day, from now on
    day    today
    hours  the last 24, oldest first; the last one is not over
    """

    tenant: Name | None
    hour_limit_usd: Usd
    day_limit_usd: Usd
    day: Window
    hours: tuple[Window, ...]


class WindowSettings(Settings):
    """The windows' table, and the limits that hold where its ``limits`` items say nothing, in US dollars."""

    budgets_table: str
    tenant_hour_usd: str
    tenant_day_usd: str
    account_hour_usd: str
    account_day_usd: str


@dataclass(frozen=True)
class LastDay:
    """Reads the windows of the last day."""

    table: Table
    settings: WindowSettings
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> LastDay:
        """Read the settings; once per runtime."""
        settings = WindowSettings.of(runtime)
        return cls(Table.of(runtime, settings.budgets_table, "BUDGETS_TABLE"), settings, runtime)

    def budget(self, tenant: str | None) -> Budget:
        """Return the tenant's money, or that of all together, by one request. Raises ``RetryLater``."""
        now = self.runtime.clock().astimezone(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0)
        hours = [hour - timedelta(hours=back) for back in reversed(range(HOURS))]
        account = ACCOUNT if tenant is None else of_tenant(tenant)
        keys = [key_of(account, window) for window in (LIMITS, day_of(now), *map(hour_of, hours))]
        found = {item["window"]: item for item in self.table.batch_get(keys, consistent=False)}
        limits = limits_of(found.get(LIMITS, {}), self._default(tenant))
        return Budget(
            tenant=tenant,
            hour_limit_usd=dollars(limits.hour_microusd),
            day_limit_usd=dollars(limits.day_microusd),
            day=_window(hour.replace(hour=0), found.get(day_of(now), {})),
            hours=tuple(_window(one, found.get(hour_of(one), {})) for one in hours),
        )

    def _default(self, tenant: str | None) -> WindowLimits:
        whose = "account" if tenant is None else "tenant"
        hour, day = (
            micro_dollars(getattr(self.settings, name), what=name.upper())
            for name in (f"{whose}_hour_usd", f"{whose}_day_usd")
        )
        return WindowLimits(hour, day, runs=0)


def _window(since: datetime, item: Item) -> Window:
    def counted(name: str) -> str:
        return dollars(max(int(item.get(name, 0)), 0))

    return Window(since=since.isoformat(), taken_usd=counted("taken_microusd"), spent_usd=counted("settled_microusd"))
