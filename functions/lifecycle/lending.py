"""Lend a run its ceiling, out of its tenant's and the account's windows.

Where a lease does not fit, the request has chosen: ``refuse`` (the default) or ``wait``. Who waits does so in the
workflow, which tries again with jitter, and is refused once it has waited for ``admission_wait_s``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from ballast.contracts import RunRequest
from ballast.contracts.request import WhenFull
from ballast.errors import AtCapacity, TooManyRuns, WindowFull
from ballast.money.amounts import dollars, micro_dollars
from ballast.money.lease import Lease, Part
from ballast.money.windows import (
    ACCOUNT,
    RUNNING,
    Claim,
    Full,
    WindowLimits,
    day_of,
    hour_of,
    money_claims,
    of_tenant,
    run_claim,
)
from ballast.runtime import Runtime, Settings
from functions.lifecycle.books import Books


class LendingSettings(Settings):
    """What may be lent by default; the table's ``limits`` items say otherwise, for a tenant or for the account.

    tenant_hour_usd, tenant_day_usd    each tenant's windows, in US dollars
    tenant_runs                        each tenant's runs at once: those that hold a lease, also while they wait
    account_hour_usd, account_day_usd, account_runs  the same for all tenants together
    admission_wait_s                   a request that waits is refused after so many seconds
    """

    tenant_hour_usd: str
    tenant_day_usd: str
    tenant_runs: Annotated[int, Field(ge=0)]
    account_hour_usd: str
    account_day_usd: str
    account_runs: Annotated[int, Field(ge=0)]
    admission_wait_s: Annotated[int, Field(ge=0)]

    def limits(self) -> tuple[WindowLimits, WindowLimits]:
        """Return the account's limits and each tenant's. Raises ``InvalidInput``."""
        return (
            WindowLimits(
                micro_dollars(self.account_hour_usd, what="ACCOUNT_HOUR_USD"),
                micro_dollars(self.account_day_usd, what="ACCOUNT_DAY_USD"),
                self.account_runs,
            ),
            WindowLimits(
                micro_dollars(self.tenant_hour_usd, what="TENANT_HOUR_USD"),
                micro_dollars(self.tenant_day_usd, what="TENANT_DAY_USD"),
                self.tenant_runs,
            ),
        )


@dataclass(frozen=True)
class Lending:
    """Gives leases."""

    books: Books
    clock: Callable[[], datetime]
    account: WindowLimits
    each: WindowLimits
    admission_wait: timedelta

    @classmethod
    def of(cls, runtime: Runtime) -> Lending:
        """Put it together; once per runtime."""
        settings = LendingSettings.of(runtime)
        account, each = settings.limits()
        wait = timedelta(seconds=settings.admission_wait_s)
        return cls(runtime.get(Books.of), runtime.clock, account, each, wait)

    def lend(self, request: RunRequest, microusd: int, when_full: WhenFull, since: datetime) -> Lease:
        """Return the run's lease: a new one, or the one that it has, which may be held no more.

        Raises ``WindowFull`` and ``TooManyRuns``, or ``AtCapacity`` where the request waits; it has since ``since``.
        """
        now = self.clock()
        account, tenant = self._limits(request.tenant)
        mine = of_tenant(request.tenant)
        claims = (
            *self._money(now, microusd, account, tenant, request.tenant),
            run_claim(ACCOUNT, account),
            run_claim(mine, tenant),
        )
        part = Part(microusd, hour_of(now), day_of(now))
        wanted = Lease(request.run_id, request.tenant, request.digest, {0: part})
        taken = self.books.lease(wanted, claims)
        if isinstance(taken, Lease):
            return taken
        if when_full == "wait" and not taken.never and now - since < self.admission_wait:
            raise AtCapacity(f"{request.run_id} waits: {said(taken)}")
        # From here on no other attempt at the same admission may find room: it would be refused and open.
        earlier = self.books.bar(wanted)
        if earlier is not None:
            return earlier
        raise refusal(taken)

    def extend(self, lease: Lease, turn: int, microusd: int) -> Lease:
        """Return the lease with ``microusd`` more, for that turn; or settled, where it was meanwhile.

        Raises ``WindowFull``.
        """
        now = self.clock()
        account, tenant = self._limits(lease.tenant)
        claims = self._money(now, microusd, account, tenant, lease.tenant)
        taken = self.books.extend(lease, turn, Part(microusd, hour_of(now), day_of(now)), claims)
        if isinstance(taken, Lease):
            return taken
        raise refusal(taken)

    def _limits(self, tenant: str) -> tuple[WindowLimits, WindowLimits]:
        return self.books.limits(tenant, account=self.account, each=self.each)

    def _money(
        self, now: datetime, microusd: int, account: WindowLimits, tenant: WindowLimits, name: str
    ) -> tuple[Claim, ...]:
        everybodys = money_claims(ACCOUNT, now, microusd, account)
        return everybodys + money_claims(of_tenant(name), now, microusd, tenant)


def refusal(found: Full) -> WindowFull | TooManyRuns:
    """Return what is raised where nothing is lent."""
    error = WindowFull if found.of_money else TooManyRuns
    return error(said(found), opens_at=found.opens_at.isoformat() if found.opens_at else None)


def said(found: Full) -> str:
    """Return what is full, and what to do, in words that may be shown to the caller."""
    what = " and ".join(_named(claim) for claim in found.claims)
    if found.never:
        return f"{what} could never hold the run's ceiling. Send a new request with a lower limits.cost_microusd."
    if found.opens_at is None:
        return f"{what}: no more at once. Send a new request once some have ended, or one with when_full: wait."
    return (
        f"No room in {what}. The next one opens at {found.opens_at:%Y-%m-%dT%H:%M}Z; runs that end before it give back "
        "what they did not spend. Send a new request then, or one with a lower ceiling, or with when_full: wait."
    )


def _named(claim: Claim) -> str:
    whose = "all tenants'" if claim.account == ACCOUNT else "the tenant's"
    if claim.window == RUNNING:
        return f"{whose} {claim.limit} runs at once"
    kind = claim.window.partition("#")[0]
    return f"{whose} {kind} of {dollars(claim.limit)} US dollars"
