"""A run's lease: the money it took from the windows, and the money that settling returns. Pure.

A lease has parts: one from the admission, and one for each budget that a person added later. Each part names the
hour and the day that it was taken from. The unspent rest returns to these windows, even if they are over. That makes
no room now, but a past window then shows the real cost of its runs.
"""

from collections.abc import Mapping
from datetime import datetime

from ballast.money.windows import ACCOUNT, RUNNING, of_tenant
from ballast.values import dataclass

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
    """An operator's correction of a charge: old and new amount in micro-dollars, operator and reason."""

    was_microusd: int
    charged_microusd: int
    by: str
    reason: str


@dataclass(frozen=True)
class Lease:
    """One run's lease.

    parts             its parts, by turn; 0 is the admission
    request_sha256    digest of the run's request
    held              false once it is settled
    charged_microusd  the charge at settlement
    open_since        when it was settled, if attempts without an outcome were charged in full; None: final
    corrections       number of operators' corrections of the charge; ``corrected`` is the last one
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
        """The sum of the parts. It only grows, so it also identifies the state of a held lease."""
        return sum(part.microusd for part in self.parts.values())


@dataclass(frozen=True)
class Change:
    """The amounts that settling adds to one item: ``taken`` and ``settled`` in micro-dollars, or runs."""

    account: str
    window: str
    taken: int = 0
    settled: int = 0
    runs: int = 0


def settlement(lease: Lease, charged_microusd: int) -> tuple[Change, ...]:
    """Return the changes that settle ``lease``, one for each item that it touches.

    The charge fills the parts in the order in which they were taken. The last part gets any excess over all parts;
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
    """Return the log's charge if it is an integer from 0 to ``most_microusd``, else ``most_microusd``.

    ``most_microusd`` comes from the lease: the leased or the previously charged amount. A writer of the log may write
    any amount there, and it must neither take room from other runs nor make room. A model's charge is within its
    reservation, and that is within the lease; a tool may report more. The caller reports the difference.
    """
    return said if type(said) is int and 0 <= said <= most_microusd else most_microusd


def correction(lease: Lease, charged_microusd: int) -> tuple[Change, ...]:
    """Return the changes, one for each window, from the charge of ``lease`` to ``charged_microusd``."""
    before = {(one.account, one.window): one for one in settlement(lease, lease.charged_microusd)}
    after = (one for one in settlement(lease, charged_microusd) if one.window != RUNNING)
    changes = ((one, before[one.account, one.window]) for one in after)
    return tuple(
        Change(one.account, one.window, taken=one.taken - was.taken, settled=one.settled - was.settled)
        for one, was in changes
        if one.settled != was.settled
    )
