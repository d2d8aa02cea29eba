"""Reads how fast the account's money burns, from the windows that leases are taken from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ballast.metrics import metric_line
from ballast.money.amounts import micro_dollars
from ballast.money.burn import Ask, Burning, burning
from ballast.money.windows import ACCOUNT, LIMITS, WindowLimits, day_of, hour_of
from ballast.runtime import Runtime, Settings
from ballast.table import Table
from functions.lifecycle.items import key_of, limits_of


class BurnSettings(Settings):
    """account_hour_usd, account_day_usd: all tenants' windows, unless the table's ``limits`` item says otherwise."""

    budgets_table: str
    account_hour_usd: str
    account_day_usd: str


@dataclass(frozen=True)
class BurnRate:
    """Reads the account's windows."""

    table: Table
    limits: WindowLimits
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> BurnRate:
        """Put it together; once per runtime. Raises ``InvalidInput``."""
        settings = BurnSettings.of(runtime)
        limits = WindowLimits(
            micro_dollars(settings.account_hour_usd, what="ACCOUNT_HOUR_USD"),
            micro_dollars(settings.account_day_usd, what="ACCOUNT_DAY_USD"),
            runs=0,
        )
        return cls(Table.of(runtime, settings.budgets_table, "BUDGETS_TABLE"), limits, runtime)

    def asks(self) -> Ask | None:
        """Return the mode that the burn rate asks for now; None where it asks for none. Raises ``RetryLater``.

        Reports how full the windows are, by what was spent or is leased of them.
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

        def spent(window: str) -> int:
            return counted(window, "settled_microusd")

        return burning(
            Burning(hour, spent(hour), limits.hour_microusd), Burning(day, spent(day), limits.day_microusd), now
        )
