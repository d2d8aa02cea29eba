"""A run's lease: what it took from the windows, and what settling returns to them. Pure.

A lease is made of parts: one from the admission, one for each budget that a person added later. Each part names the
hour and the day that it was taken from. Its rest is returned to those, even when they are over: that frees nothing
today, but a past window then says what its runs really cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ballast.money.windows import ACCOUNT, RUNNING, of_tenant

#: Each part may touch four windows, and a transaction has 100 items.
MAX_PARTS = 20


@dataclass(frozen=True)
class Part:
    """Money taken at one time, from the windows ``hour`` and ``day``."""

    microusd: int
    hour: str
    day: str


@dataclass(frozen=True)
class Corrected:
    """An operator's correction of a charge, in micro-dollars: from what to what, by whom, and why."""

    was_microusd: int
    charged_microusd: int
    by: str
    reason: str


@dataclass(frozen=True)
class Lease:
    """One run's lease.

    parts             by the turn that they were taken for; 0 is the admission
    request_sha256    digest of the request that it was given to
    held              false once it is settled
    charged_microusd  what it was settled at
    open_since        when it was settled, where attempts without an outcome were charged in full; None: for good
    corrections       how often an operator corrected the charge; ``corrected`` is the last correction
    """

    run_id: str
    tenant: str
    request_sha256: str
    parts: Mapping[int, Part]
    held: bool = True
    charged_microusd: int = 0
    open_since: datetime | None = None
    corrections: int = 0
    corrected: Corrected | None = None

    @property
    def leased_microusd(self) -> int:
        """The sum of the parts. It only grows, so it also tells one state of a held lease from another."""
        return sum(part.microusd for part in self.parts.values())


@dataclass(frozen=True)
class Change:
    """What settling adds to one item: ``taken`` and ``settled`` in micro-dollars, or runs."""

    account: str
    window: str
    taken: int = 0
    settled: int = 0
    runs: int = 0


def settlement(lease: Lease, charged_microusd: int) -> tuple[Change, ...]:
    """Return the changes that settle ``lease``, one for each item that it touches.

    The charge fills the parts in the order in which they were taken. What exceeds all of them falls on the last one;
    only an operator's correction may exceed them (see ``charge``).
    """
    taken: dict[tuple[str, str], int] = {}
    settled: dict[tuple[str, str], int] = {}
    left = charged_microusd
    turns = sorted(lease.parts)
    for turn in turns:
        part = lease.parts[turn]
        charged = left if turn == turns[-1] else min(left, part.microusd)
        left -= charged
        for account in (ACCOUNT, of_tenant(lease.tenant)):
            for window in (part.hour, part.day):
                key = account, window
                taken[key] = taken.get(key, 0) + charged - part.microusd
                settled[key] = settled.get(key, 0) + charged
    money = tuple(
        Change(account, window, taken=taken[account, window], settled=settled[account, window])
        for account, window in taken
    )
    places = tuple(Change(account, RUNNING, runs=-1) for account in (ACCOUNT, of_tenant(lease.tenant)))
    return money + places


def charge(said: object, most_microusd: int) -> int:
    """Return the charge that a log says where it is a whole number from 0 to ``most_microusd``, else ``most_microusd``.

    ``most_microusd`` is what the lease says: what was leased, or charged before. A function that may write the log may
    write any amount there; it must neither take other runs' room nor give room away. A model's charge is within its
    reservation, which is within the lease; a tool may report more. The caller reports it.
    """
    return said if type(said) is int and 0 <= said <= most_microusd else most_microusd


def correction(lease: Lease, charged_microusd: int) -> tuple[Change, ...]:
    """Return the changes from what ``lease`` was settled at to ``charged_microusd``, one for each window."""
    before = {(one.account, one.window): one for one in settlement(lease, lease.charged_microusd)}
    after = (one for one in settlement(lease, charged_microusd) if one.window != RUNNING)
    changes = ((one, before[one.account, one.window]) for one in after)
    return tuple(
        Change(one.account, one.window, taken=one.taken - was.taken, settled=one.settled - was.settled)
        for one, was in changes
        if one.settled != was.settled
    )
