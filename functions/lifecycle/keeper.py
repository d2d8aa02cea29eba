"""Changes the spend breaker: read, decide, write if nobody wrote in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ballast.breaker import ACCOUNT, BreakerSettings, breaker_of, item_of, key_of
from ballast.errors import RetryLater
from ballast.metrics import metric_line
from ballast.money.breaker import Breaker, in_force
from ballast.runtime import Runtime
from ballast.table import Put, Query, Table, absent, equals

_ATTEMPTS = 5


@dataclass(frozen=True)
class Keeper:
    """Writes the breaker."""

    table: Table
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Keeper:
        """Put it together; once per runtime."""
        return cls(BreakerSettings.of(runtime).table(runtime), runtime)

    def change(self, tenant: str | None, change: Callable[[Breaker], Breaker]) -> Breaker:
        """Apply ``change`` to the tenant's breaker (None: everyone's), report its mode, and return it as it is then.

        ``change`` is called again where somebody else was quicker. Raises ``RetryLater``.
        """
        for _ in range(_ATTEMPTS):
            before = self._get(tenant)
            after = change(before)
            if after is before or self._put(after.model_copy(update={"version": before.version + 1}), before):
                if tenant is None:
                    self._report(after)
                return after
        raise RetryLater(f"{self.table.what}: the breaker keeps changing; try again.")

    def kept(self) -> tuple[Breaker, ...]:
        """Return every breaker that anybody ever set, everyone's first."""
        return tuple(map(breaker_of, self.table.all(Query(equals("account", ACCOUNT)))))

    def _get(self, tenant: str | None) -> Breaker:
        found = self.table.get(key_of(tenant))
        return Breaker(tenant=tenant) if found is None else breaker_of(found)

    def _put(self, breaker: Breaker, before: Breaker) -> bool:
        nobody_set_it_before = absent("account")
        as_it_was_read = equals("version", before.version)
        put = Put(item_of(breaker), as_it_was_read if before.version else nobody_set_it_before)
        return self.table.write(put).written

    def _report(self, breaker: Breaker) -> None:
        """Report everyone's mode: 0 normal … 3 stopped. A tenant is no dimension: there is no bound to them."""
        force = in_force([breaker], self.runtime.clock())
        fields = {"mode": force.mode.value, "state": force.state, "by": force.by or ""}
        self.runtime.emit(metric_line({"BreakerMode": force.mode.level}, fields=fields))
