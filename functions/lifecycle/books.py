"""The books: leases and windows in their table, each change one conditional transaction.

::

    lease    Put lease (if there is none) · Update 4 windows (if it fits) · Update 2 counts of runs (if fewer)
    extend   Update lease (held, not for this turn yet) · Update 4 windows (if it fits)
    settle   Update lease (held, as it was read) · Update its windows · Update 2 counts of runs
    true up  Update lease (settled, as it was read) · Update those of its windows that said something else
    correct  Update lease (settled, as it was read) · Update those of its windows that said something else

All or nothing, so the item of the lease says whether its money was taken, and whether it went back. A
request that is sent again finds its own lease; a settlement that is sent again finds it settled. A window that TTL has
removed is left out, and is not made anew.

No charge comes in here but a whole number from 0 to what the lease allows, whatever a log says (``lease.charge``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from ballast.errors import RetryLater
from ballast.money.lease import Change, Corrected, Lease, Part, correction, settlement
from ballast.money.windows import ACCOUNT, LEASE, LIMITS, Claim, Full, WindowLimits, full, of_tenant
from ballast.runtime import Runtime, Settings
from ballast.table import Put, Query, Table, Update, at_most, equals
from functions.lifecycle.items import Items, iso, key_of, lease_of, limits_of, shard_name, shard_of

#: The sweeper first looks at a lease when nothing of its admission can be under way any more.
GRACE = timedelta(minutes=15)
#: So long after its settlement an outcome may still come: longer than any Lambda lives.
LATE = timedelta(minutes=20)
_SETTLE_ATTEMPTS = 3


class BooksSettings(Settings):
    """What every function that keeps the books needs.

    budgets_table   the table
    retention_days  settled leases and past windows are forgotten after so many days; 0 keeps them for ever
    """

    budgets_table: Annotated[str, Field(min_length=1)]
    retention_days: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Due:
    """A held lease that the sweeper should look at, and since when (ISO 8601, UTC)."""

    run_id: str
    look_at: str


@dataclass(frozen=True)
class Books:
    """Leases and windows, as a function with the right to keep them sees them."""

    table: Table
    items: Items
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Books:
        """Put it together; once per runtime."""
        settings = BooksSettings.of(runtime)
        table = Table.of(runtime, settings.budgets_table, "BUDGETS_TABLE")
        return cls(table, Items(settings.retention_days), runtime)

    def limits(self, tenant: str, *, account: WindowLimits, each: WindowLimits) -> tuple[WindowLimits, WindowLimits]:
        """Return the limits of all tenants together and of this one; ``account`` and ``each`` are the defaults."""
        keys = [key_of(name, LIMITS) for name in (ACCOUNT, of_tenant(tenant))]
        found = {item["account"]: item for item in self.table.batch_get(keys, consistent=False)}
        return limits_of(found.get(ACCOUNT, {}), account), limits_of(found.get(of_tenant(tenant), {}), each)

    def find(self, run_id: str) -> Lease | None:
        """Return the run's lease, held or settled; None where it never had one. Strongly consistent."""
        found = self.table.get(key_of(LEASE, run_id))
        return None if found is None else lease_of(found)

    def lease(self, wanted: Lease, claims: Sequence[Claim]) -> Lease | Full:
        """Take ``claims`` for the new lease ``wanted``; return it, or the run's earlier one, or what has no room.

        Raises ``RetryLater``.
        """
        now = self.runtime.clock()
        return self._take(wanted, self.items.put_lease(wanted, now, now + GRACE), claims)

    def bar(self, refused: Lease) -> Lease | None:
        """See to it that the run never gets a lease; return the one that it has got before, if it has."""
        barred = self.table.write(self.items.bar(refused, self.runtime.clock()))
        return None if barred.written else self.find(refused.run_id)

    def extend(self, lease: Lease, turn: int, part: Part, claims: Sequence[Claim]) -> Lease | Full:
        """Take ``claims`` for ``part``, added to a held lease for that turn; else as ``lease``.

        What comes back is the lease as it is then: with the part, or settled meanwhile.
        """
        more = Lease(lease.run_id, lease.tenant, lease.request_sha256, {**lease.parts, turn: part})
        return self._take(more, self.items.add_part(lease.run_id, turn, part), claims)

    def _take(self, wanted: Lease, lease: Put | Update, claims: Sequence[Claim]) -> Lease | Full:
        never = tuple(claim for claim in claims if claim.room < 0)
        failed = None if never else self.table.transact([lease, *map(self.items.claimed, claims)])
        if failed is not None and not failed:
            return wanted
        if failed is None or 0 in failed:
            found = self.find(wanted.run_id)
            if found is not None and (not found.held or wanted.parts.keys() <= found.parts.keys()):
                return found
            if failed is not None:
                raise RetryLater(f"The lease of {wanted.run_id} has just changed; try again.")
        return full(never or tuple(claims[index - 1] for index in sorted(failed or ())))

    def settle(
        self, lease: Lease, charged_microusd: int, log_sha256: str | None = None, *, outcomes_missing: bool = False
    ) -> None:
        """Charge ``charged_microusd`` to the windows of ``lease`` and give back the rest, once.

        ``log_sha256`` is the digest of the run's log, to be kept with the lease. ``outcomes_missing``: attempts without
        an outcome are charged in full, so it is looked at again after ``LATE``. Raises ``RetryLater``.
        """
        _refuse_other_than(charged_microusd, lease.leased_microusd)
        now = self.runtime.clock()
        look_at = now + LATE if outcomes_missing else None
        found: Lease | None = lease
        for _ in range(_SETTLE_ATTEMPTS):
            if found is None or not found.held:
                return
            settled = self.items.settled(found, charged_microusd, now, log_sha256, look_at)
            if self._written(settled, settlement(found, charged_microusd)):
                return
            found = self.find(lease.run_id)  # it was settled, or extended, in between
        raise RetryLater(f"The lease of {lease.run_id} keeps changing; try again.")

    def true_up(self, lease: Lease, charged_microusd: int) -> None:
        """Charge ``charged_microusd`` instead of the no smaller sum that ``lease`` was settled at, once and for good.

        Raises ``RetryLater``.
        """
        _refuse_other_than(charged_microusd, lease.charged_microusd)
        # Or somebody else has.
        self._written(self.items.trued_up(lease, charged_microusd), correction(lease, charged_microusd))

    def correct(self, lease: Lease, order: Corrected) -> bool:
        """Charge what ``order`` says to the windows instead of what ``lease`` was settled at, once, and keep the order.

        Return whether this did it; not where the lease has changed since it was read. Raises ``RetryLater``.
        """
        _refuse_other_than(order.charged_microusd, order.charged_microusd)  # whatever it is, an operator has said so
        return self._written(self.items.corrected(lease, order), correction(lease, order.charged_microusd))

    def _written(self, lease: Update, changes: Iterable[Change]) -> bool:
        """Write the update of a lease with those of its windows that are still there; say whether it was as it was."""
        return self.table.transact_with(lease, [self.items.changed(one) for one in changes])

    def due(self, shard: int, until: datetime, limit: int) -> tuple[Due, ...]:
        """Return at most ``limit`` held leases of a shard whose time has come, the longest overdue first."""
        it_is_due = equals("held", shard_name(shard)) & at_most("look_at", iso(until))
        page = self.table.page(Query(it_is_due, index="by_look", limit=limit))
        return tuple(Due(item["window"], item["look_at"]) for item in page.items)

    def postpone(self, run_id: str, until: datetime) -> None:
        """Have the sweeper look at a held lease no sooner than ``until``."""
        nobody_settled_it = equals("held", shard_of(run_id))
        self.table.write(Update(key_of(LEASE, run_id), set={"look_at": iso(until)}, only_if=nobody_settled_it))


def _refuse_other_than(charged_microusd: int, most_microusd: int) -> None:
    if type(charged_microusd) is not int or not 0 <= charged_microusd <= most_microusd:
        raise ValueError(f"A charge is a whole number from 0 to {most_microusd}, not {charged_microusd!r}.")
