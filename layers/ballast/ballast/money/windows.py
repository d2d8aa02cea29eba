"""Money windows: their names, their limits, and when the next one opens. Pure.

The budgets table has one item for each (account, window)::

    account          window              holds
    account          hour#2026-11-25T18  money that all tenants' runs took from this hour
    tenant#acme      day#2026-11-25      money that one tenant's runs took from this day
    tenant#acme      running             number of the tenant's runs that hold a lease
    tenant#acme      limits              the tenant's own limits, if an operator set any
    lease            run-…               one run's lease, and its windows
    breaker          all, tenant#acme    the spend breaker, everyone's and one tenant's

Hours and days are in UTC. Imports ``ballast.money.amounts`` and ``ballast.errors`` only.
"""

from datetime import UTC, datetime, timedelta

from ballast.money.amounts import dollars
from ballast.values import dataclass

#: The account of all tenants together.
ACCOUNT = "account"
LEASE = "lease"
RUNNING = "running"
LIMITS = "limits"


def of_tenant(tenant: str) -> str:
    """Return the account of one tenant."""
    return f"tenant#{tenant}"


def hour_of(at: datetime) -> str:
    """Return the name of the hour that contains ``at`` (aware)."""
    return f"hour#{at.astimezone(UTC):%Y-%m-%dT%H}"


def day_of(at: datetime) -> str:
    """Return the name of the day that contains ``at`` (aware)."""
    return f"day#{at.astimezone(UTC):%Y-%m-%d}"


def ends(window: str) -> datetime:
    """Return the end of an hour or a day; then the next one opens."""
    kind, _, name = window.partition("#")
    if kind == "hour":
        return datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC) + timedelta(hours=1)
    return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)


@dataclass(frozen=True)
class WindowLimits:
    """Limits of an account: money in an hour and in a day, and concurrent runs with a lease."""

    hour_microusd: int
    day_microusd: int
    runs: int


@dataclass(frozen=True)
class Claim:
    """Money that a run takes from one window, or its place among the concurrent runs."""

    account: str
    window: str
    amount: int
    limit: int

    @property
    def attribute(self) -> str:
        """The attribute that counts it."""
        return "runs" if self.window == RUNNING else "taken_microusd"

    @property
    def room(self) -> int:
        """The highest count at which the claim still fits; if negative, it never fits."""
        return self.limit - self.amount


def money_claims(account: str, at: datetime, amount_microusd: int, limits: WindowLimits) -> tuple[Claim, ...]:
    """Return the claims of ``amount_microusd`` on the account's windows at that time."""
    return (
        Claim(account, hour_of(at), amount_microusd, limits.hour_microusd),
        Claim(account, day_of(at), amount_microusd, limits.day_microusd),
    )


def run_claim(account: str, limits: WindowLimits) -> Claim:
    """Return the claim of one run on a place among the concurrent runs."""
    return Claim(account, RUNNING, 1, limits.runs)


@dataclass(frozen=True)
class Full:
    """The claims for which there was no room, so that no lease was given.

    claims    the claims that did not fit; never empty
    opens_at  when all their windows have ended; None if only the number of concurrent runs is too high (one of them
              has to end), or if a window could never hold the claim
    """

    claims: tuple[Claim, ...]
    opens_at: datetime | None

    @property
    def never(self) -> bool:
        """Whether it would not fit into an empty window either. (A limit of 0 concurrent runs is temporary.)"""
        return any(claim.room < 0 for claim in self.claims if claim.window != RUNNING)

    @property
    def of_money(self) -> bool:
        """Whether a window is full, and not only the number of concurrent runs."""
        return any(claim.window != RUNNING for claim in self.claims)


def full(claims: tuple[Claim, ...]) -> Full:
    """Return the claims that did not fit, with the time at which the last of their windows ends."""
    windows = [ends(claim.window) for claim in claims if claim.window != RUNNING]
    found = Full(claims, max(windows, default=None))
    return Full(claims, None) if found.never else found


def claims_of_money(
    at: datetime, amount_microusd: int, account: WindowLimits, tenant: WindowLimits, name: str
) -> tuple[Claim, ...]:
    """Return the claims of a run of the tenant of that ``name`` on the windows of all tenants and on its own."""
    return money_claims(ACCOUNT, at, amount_microusd, account) + money_claims(
        of_tenant(name), at, amount_microusd, tenant
    )


def claims_of_run(
    at: datetime, amount_microusd: int, account: WindowLimits, tenant: WindowLimits, name: str
) -> tuple[Claim, ...]:
    """Return the claims of a new run: ``claims_of_money``, and its place among the concurrent runs."""
    places = run_claim(ACCOUNT, account), run_claim(of_tenant(name), tenant)
    return (*claims_of_money(at, amount_microusd, account, tenant, name), *places)


def described(found: Full) -> str:
    """Return a text for the caller: what is full, and what to do."""
    what = " and ".join(_named(claim) for claim in found.claims)
    if found.never:
        return f"{what} could never hold the run's ceiling. Send a new request with a lower limits.cost_microusd."
    if found.opens_at is None:
        return f"Limit reached: {what}. Send a new request once some have ended, or one with when_full: wait."
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
