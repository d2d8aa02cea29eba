"""Windows of money: their names, their limits, and when the next one opens. Pure.

All money across runs is kept in items of one table, under (account, window)::

    account          window              holds
    account          hour#2026-11-25T18  what all tenants' runs took from this hour
    tenant#acme      day#2026-11-25      what one tenant's runs took from this day
    tenant#acme      running             how many of its runs hold a lease
    tenant#acme      limits              its own limits, where an operator set some
    lease            run-…               one run's lease, and the windows that it was taken from
    breaker          all, tenant#acme    the spend breaker, everyone's and one tenant's

An hour or a day is one of UTC. Imports ``ballast.money.amounts`` and ``ballast.errors`` only.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: The account of all tenants together.
ACCOUNT = "account"
LEASE = "lease"
RUNNING = "running"
LIMITS = "limits"


def of_tenant(tenant: str) -> str:
    """Return the account of one tenant."""
    return f"tenant#{tenant}"


def hour_of(at: datetime) -> str:
    """Return the name of the hour that ``at`` (aware) lies in."""
    return f"hour#{at.astimezone(UTC):%Y-%m-%dT%H}"


def day_of(at: datetime) -> str:
    """Return the name of the day that ``at`` (aware) lies in."""
    return f"day#{at.astimezone(UTC):%Y-%m-%d}"


def ends(window: str) -> datetime:
    """Return when an hour or a day ends, which is when the next one opens."""
    kind, _, name = window.partition("#")
    if kind == "hour":
        return datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC) + timedelta(hours=1)
    return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)


@dataclass(frozen=True)
class WindowLimits:
    """Limits of an account: money in an hour and in a day, and runs that hold a lease at once."""

    hour_microusd: int
    day_microusd: int
    runs: int


@dataclass(frozen=True)
class Claim:
    """Money that a run takes from one window, or its place among the runs at once."""

    account: str
    window: str
    amount: int
    limit: int

    @property
    def attribute(self) -> str:
        """The item's attribute that counts it."""
        return "runs" if self.window == RUNNING else "taken_microusd"

    @property
    def room(self) -> int:
        """The highest count with which the claim still fits; below zero it never fits."""
        return self.limit - self.amount


def money_claims(account: str, at: datetime, amount_microusd: int, limits: WindowLimits) -> tuple[Claim, ...]:
    """Return the claims of ``amount_microusd`` on the account's windows at that time."""
    return (
        Claim(account, hour_of(at), amount_microusd, limits.hour_microusd),
        Claim(account, day_of(at), amount_microusd, limits.day_microusd),
    )


def run_claim(account: str, limits: WindowLimits) -> Claim:
    """Return the place of one run among those at once."""
    return Claim(account, RUNNING, 1, limits.runs)


@dataclass(frozen=True)
class Full:
    """Why a lease was not given.

    claims    the claims that did not fit; never empty
    opens_at  when all their windows are new; None where only the runs at once are too many (one of them has to
              end), or where a window could never hold the claim
    """

    claims: tuple[Claim, ...]
    opens_at: datetime | None

    @property
    def never(self) -> bool:
        """Whether it would not fit into an empty window either. (A limit of 0 runs at once is raised again one day.)"""
        return any(claim.room < 0 for claim in self.claims if claim.window != RUNNING)

    @property
    def of_money(self) -> bool:
        """Whether a window is full, and not only the number of runs at once."""
        return any(claim.window != RUNNING for claim in self.claims)


def full(claims: tuple[Claim, ...]) -> Full:
    """Return why a lease was not given, from the claims that did not fit. The last of their windows to end decides."""
    windows = [ends(claim.window) for claim in claims if claim.window != RUNNING]
    found = Full(claims, max(windows, default=None))
    return Full(claims, None) if found.never else found
