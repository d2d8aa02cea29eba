"""Windows of money: their names, their limits, and when the next one opens. Pure.

Everything that is kept about money across runs is an item of one table, under (account, window)::

    account          window              holds
    account          hour#2026-11-25T18  what all tenants took from this hour
    tenant#acme      day#2026-11-25      what one tenant took from this day
    tenant#acme      running             how many of its runs hold a lease
    tenant#acme      limits              its own limits, where it has some
    lease            run-…               what one run took, and from which windows

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
    """What an account may take in an hour and in a day, and how many of its runs may hold a lease at once."""

    hour_microusd: int
    day_microusd: int
    runs: int


@dataclass(frozen=True)
class Claim:
    """What a run takes from one item: money from a window, or a place among the runs at once."""

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
        """The count up to which the claim still fits; below zero it never does."""
        return self.limit - self.amount


def money_claims(account: str, at: datetime, amount_microusd: int, limits: WindowLimits) -> tuple[Claim, ...]:
    """Return what ``amount_microusd`` takes from the account's windows at that time."""
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

    claims    what did not fit; never empty
    opens_at  when it will fit for certain, as far as windows go; None where only runs at once are too
              many (one of them has to end), or where no window is ever large enough
    """

    claims: tuple[Claim, ...]
    opens_at: datetime | None

    @property
    def never(self) -> bool:
        """Whether it cannot fit into an empty window either. (No run at once is a limit that will be raised again.)"""
        return any(claim.room < 0 for claim in self.claims if claim.window != RUNNING)

    @property
    def of_money(self) -> bool:
        """Whether a window is full, and not only the number of runs at once."""
        return any(claim.window != RUNNING for claim in self.claims)


def full(claims: tuple[Claim, ...]) -> Full:
    """Return what ``claims``, none of which fitted, mean together. The last of their windows to end decides."""
    windows = [ends(claim.window) for claim in claims if claim.window != RUNNING]
    found = Full(claims, max(windows, default=None))
    return Full(claims, None) if found.never else found
