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
