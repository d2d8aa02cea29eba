"""Lease a run's ceiling from its tenant's and the account's windows, and extend the lease.

If a lease does not fit, the request decides: ``refuse`` (the default) or ``wait``. The workflow retries a request that
waits, with jitter, until Admit refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ballast.contracts import RunRequest
from ballast.errors import AtCapacity, TooManyRuns, WindowFull
from ballast.money.lease import Lease, Part
from ballast.money.windows import Full, WindowLimits, claims_of_money, claims_of_run, day_of, described, hour_of
from ballast.values import dataclass
from functions.lifecycle.budgets_table import BudgetsTable


@dataclass(frozen=True)
class Leases:
    """Gives and extends leases.

    account, each  default limits of all tenants together and of each tenant; the table's ``limits`` items override them
    """

    table: BudgetsTable
    clock: Callable[[], datetime]
    account: WindowLimits
    each: WindowLimits

    def lease(self, request: RunRequest, microusd: int, *, may_wait: bool) -> Lease:
        """Return the run's lease: a new one, or its earlier one, which may be settled or refused.

        Raises ``WindowFull`` and ``TooManyRuns``; ``AtCapacity`` if the request ``may_wait`` and can fit later.
        """
        now = self.clock()
        account, tenant = self._limits(request.tenant)
        claims = claims_of_run(now, microusd, account, tenant, request.tenant)
        part = Part(microusd, hour_of(now), day_of(now))
        wanted = Lease(request.run_id, request.tenant, request.digest, {0: part})
        found = self.table.lease(wanted, claims)
        if isinstance(found, Lease):
            return found
        if may_wait and not found.never:
            raise AtCapacity(f"{request.run_id} waits: {described(found)}")
        # No other attempt at this admission may get a lease after this: the run would be both refused and open.
        earlier = self.table.forbid_lease(wanted)
        if earlier is not None:
            return earlier
        raise refusal(found)

    def extend(self, lease: Lease, turn: int, microusd: int) -> Lease:
        """Return the lease with ``microusd`` more for that turn, or the settled lease if it was settled meanwhile.

        Raises ``WindowFull``.
        """
        now = self.clock()
        account, tenant = self._limits(lease.tenant)
        claims = claims_of_money(now, microusd, account, tenant, lease.tenant)
        found = self.table.extend(lease, turn, Part(microusd, hour_of(now), day_of(now)), claims)
        if isinstance(found, Lease):
            return found
        raise refusal(found)

    def _limits(self, tenant: str) -> tuple[WindowLimits, WindowLimits]:
        return self.table.limits(tenant, account=self.account, each=self.each)


def refusal(found: Full) -> WindowFull | TooManyRuns:
    """Return the error that says what is full."""
    error = WindowFull if found.of_money else TooManyRuns
    return error(described(found), opens_at=found.opens_at.isoformat() if found.opens_at else None)
