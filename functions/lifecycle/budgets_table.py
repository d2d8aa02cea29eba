"""Reads and conditional writes of the budgets table: leases and their windows.

Each change is one transaction::

    lease    Put lease (if there is none) · Update 4 windows (if it fits) · Update 2 counts of runs (if fewer)
    extend   Update lease (held, not for this turn yet) · Update 4 windows (if it fits)
    settle   Update lease (held, as it was read) · Update its windows · Update 2 counts of runs
    true up  Update lease (settled, as it was read) · Update its windows with another charge

A transaction is all or nothing, so the lease's item shows whether its money was taken and whether it was returned. A
repeated request finds its own lease; a repeated settlement finds the lease settled. A window that TTL has removed is
skipped and not created again. An operator's correction is a fifth transaction (``functions/breaker/corrections.py``).

A charge must be an integer from 0 to the lease's maximum, whatever amount is in the log (``lease.charge``).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from ballast.budget_items import (
    LOOKED_AT,
    BudgetsTableSettings,
    changed,
    check_charge,
    key_of,
    lease_of,
    limits_of,
    whole,
)
from ballast.errors import RetryLater
from ballast.money.lease import Change, Lease, Part, correction, settlement
from ballast.money.windows import ACCOUNT, LEASE, LIMITS, RUNNING, Claim, Full, WindowLimits, ends, full, of_tenant
from ballast.runtime import Runtime
from ballast.table import Item, Put, Query, Table, Update, absent, at_most, equals, present
from ballast.values import dataclass

#: The sweeper first checks a lease after this time, when its admission cannot be running any more.
GRACE = timedelta(minutes=15)
#: An outcome may arrive this long after the settlement: longer than any Lambda lives.
LATE = timedelta(minutes=20)
#: Partitions of the index of held leases, because one partition takes at most 1,000 writes a second.
SHARDS = 16
#: A window outlives the longest run (40 days), because the run may still return money to it.
_LONGEST_RUN = timedelta(days=45)
_SETTLE_ATTEMPTS = 3


class LeaseTableSettings(BudgetsTableSettings):
    """retention_days: days until TTL removes settled leases and past windows; 0 keeps them for ever."""

    retention_days: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Due:
    """A held lease that is due for the sweeper, and since when (ISO 8601, UTC)."""

    run_id: str
    look_at: str


@dataclass(frozen=True)
class BudgetsTable:
    """Leases and windows, with the rights of one function."""

    table: Table
    items: Items
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> BudgetsTable:
        settings = LeaseTableSettings.of(runtime)
        return cls(settings.table(runtime), Items(settings.retention_days), runtime)

    def limits(self, tenant: str, *, account: WindowLimits, each: WindowLimits) -> tuple[WindowLimits, WindowLimits]:
        """Return the limits of all tenants together and of this one; ``account`` and ``each`` are the defaults."""
        keys = [key_of(name, LIMITS) for name in (ACCOUNT, of_tenant(tenant))]
        found = {item["account"]: item for item in self.table.batch_get(keys, consistent=False)}
        return limits_of(found.get(ACCOUNT, {}), account), limits_of(found.get(of_tenant(tenant), {}), each)

    def find(self, run_id: str) -> Lease | None:
        """Return the run's lease, held or settled; None if it never had one. Strongly consistent."""
        found = self.table.get(key_of(LEASE, run_id))
        return None if found is None else lease_of(found)

    def lease(self, wanted: Lease, claims: Sequence[Claim]) -> Lease | Full:
        """Take ``claims`` for the new lease ``wanted``; return it, the run's earlier lease, or the claims without room.

        Raises ``RetryLater``.
        """
        now = self.runtime.clock()
        return self._take(wanted, self.items.put_lease(wanted, now, now + GRACE), claims)

    def forbid_lease(self, refused: Lease) -> Lease | None:
        """Make sure that the run never gets a lease; return the lease that it already has, or None."""
        barred = self.table.write(self.items.forbid_lease(refused, self.runtime.clock()))
        return None if barred.written else self.find(refused.run_id)

    def extend(self, lease: Lease, turn: int, part: Part, claims: Sequence[Claim]) -> Lease | Full:
        """Take ``claims`` for ``part``, added to a held lease for that turn.

        Return the new state of the lease (with the part, or settled meanwhile), or the claims without room.
        """
        more = Lease(lease.run_id, lease.tenant, lease.request_sha256, {**lease.parts, turn: part})
        return self._take(more, self.items.add_part(lease.run_id, turn, part), claims)

    def _take(self, wanted: Lease, lease: Put | Update, claims: Sequence[Claim]) -> Lease | Full:
        """Write the lease and its claims; if they cannot be written, return the existing lease or what has no room."""
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
        """Charge ``charged_microusd`` to the windows of ``lease`` and return the rest, once.

        ``log_sha256`` is the digest of the run's log; the lease keeps it. ``outcomes_missing``: attempts without an
        outcome are charged in full, so the sweeper looks again after ``LATE``. Raises ``RetryLater``.
        """
        check_charge(charged_microusd, lease.leased_microusd)
        now = self.runtime.clock()
        look_at = now + LATE if outcomes_missing else None
        found: Lease | None = lease
        for _ in range(_SETTLE_ATTEMPTS):
            if found is None or not found.held:
                return
            settled = self.items.settled(found, charged_microusd, now, log_sha256, look_at)
            if self._written(settled, settlement(found, charged_microusd)):
                return
            found = self.find(lease.run_id)  # it was settled or extended in between
        raise RetryLater(f"The lease of {lease.run_id} keeps changing; try again.")

    def true_up(self, lease: Lease, charged_microusd: int) -> None:
        """Lower the charge of the settled ``lease`` to ``charged_microusd``, once; the lease is then final.

        Raises ``RetryLater``.
        """
        check_charge(charged_microusd, lease.charged_microusd)
        # If this is not written, another sweep has done it.
        self._written(self.items.trued_up(lease, charged_microusd), correction(lease, charged_microusd))

    def _written(self, lease: Update, changes: Iterable[Change]) -> bool:
        """Write a lease's update and its existing windows; return whether the lease was unchanged since it was read."""
        return self.table.transact_with(lease, [changed(one) for one in changes])

    def due(self, shard: int, until: datetime, limit: int) -> tuple[Due, ...]:
        """Return at most ``limit`` due leases of a shard, the longest overdue first."""
        is_due = equals("held", shard_name(shard)) & at_most("look_at", iso(until))
        page = self.table.page(Query(is_due, index="by_look", limit=limit))
        return tuple(Due(item["window"], item["look_at"]) for item in page.items)

    def postpone(self, run_id: str, until: datetime) -> None:
        """Set the sweeper's next check of a held lease to ``until``."""
        not_settled = equals("held", shard_of(run_id))
        self.table.write(Update(key_of(LEASE, run_id), set={"look_at": iso(until)}, only_if=not_settled))


@dataclass(frozen=True)
class Items:
    """The single writes of the transactions. Pure. ``retention_days``: see ``LeaseTableSettings``."""

    retention_days: int

    def put_lease(self, lease: Lease, now: datetime, look_at: datetime) -> Put:
        """Return the put of a new lease. ``look_at``: when the sweeper first looks at it."""
        not_leased_before = absent("account")
        item = {
            **key_of(LEASE, lease.run_id),
            "tenant": lease.tenant,
            "status": "held",
            "request_sha256": lease.request_sha256,
            "leased_microusd": whole(lease.leased_microusd),
            "parts": {_turn(turn): _part(part) for turn, part in lease.parts.items()},
            "leased_at": iso(now),
            "held": shard_of(lease.run_id),
            "look_at": iso(look_at),
        }
        return Put(item, not_leased_before)

    def forbid_lease(self, lease: Lease, now: datetime) -> Put:
        """Return the put of an item in the place of a refused lease, so that the run never gets one."""
        not_leased_before = absent("account")
        item = {
            **key_of(LEASE, lease.run_id),
            "tenant": lease.tenant,
            "status": "refused",
            "request_sha256": lease.request_sha256,
            "leased_microusd": 0,
            "parts": {},
            "leased_at": iso(now),
        }
        return Put(item | self._expires(now), not_leased_before)

    def add_part(self, run_id: str, turn: int, part: Part) -> Update:
        """Return the update that adds a part to a held lease, once a turn."""
        place = f"parts.{_turn(turn)}"
        is_held = equals("status", "held")
        not_for_this_turn_yet = absent(place)
        return Update(
            key_of(LEASE, run_id),
            set={place: _part(part)},
            add={"leased_microusd": whole(part.microusd)},
            only_if=is_held & not_for_this_turn_yet,
        )

    def claimed(self, claim: Claim) -> Update:
        """Return the update that takes ``claim``, if it fits."""
        nothing_taken_yet = absent(claim.attribute)
        it_fits = at_most(claim.attribute, whole(claim.room))
        expires = claim.window != RUNNING
        return Update(
            key_of(claim.account, claim.window),
            set=self._expires(ends(claim.window) + _LONGEST_RUN) if expires else {},
            add={claim.attribute: whole(claim.amount)},
            only_if=nothing_taken_yet | it_fits,
        )

    def settled(
        self,
        lease: Lease,
        charged_microusd: int,
        now: datetime,
        log_sha256: str | None = None,
        look_at: datetime | None = None,
    ) -> Update:
        """Return the update that settles a lease, if it is held and unchanged since it was read.

        ``log_sha256``: the digest of the run's log, kept where functions that act cannot write. ``look_at``: when the
        sweeper checks again for late outcomes; None if there can be none.
        """
        is_held = equals("status", "held")
        as_it_was_read = equals("leased_microusd", whole(lease.leased_microusd))
        change: Item = {"status": "settled", "charged_microusd": whole(charged_microusd), "settled_at": iso(now)}
        if log_sha256 is not None:
            change["log_sha256"] = log_sha256
        change |= self._expires(now)
        if look_at is not None:
            change["look_at"] = iso(look_at)
        return Update(
            key_of(LEASE, lease.run_id),
            set=change,
            remove=LOOKED_AT if look_at is None else (),
            only_if=is_held & as_it_was_read,
        )

    def trued_up(self, lease: Lease, charged_microusd: int) -> Update:
        """Return the update that makes final a lease that was settled while outcomes were missing."""
        is_settled = equals("status", "settled")
        as_it_was_read = equals("charged_microusd", whole(lease.charged_microusd)) & present("held")
        return Update(
            key_of(LEASE, lease.run_id),
            set={"charged_microusd": whole(charged_microusd)},
            remove=LOOKED_AT,
            only_if=is_settled & as_it_was_read,
        )

    def _expires(self, since: datetime) -> Item:
        """Return the expiry of an item, as an attribute; empty if it never expires."""
        if not self.retention_days:
            return {}
        return {"expires_at": int((since + timedelta(days=self.retention_days)).timestamp())}


def shard_name(shard: int) -> str:
    """Return the partition of the index of held leases."""
    return f"held#{shard:02d}"


def shard_of(run_id: str) -> str:
    """Return the index's partition of the run's held lease."""
    return shard_name(zlib.crc32(run_id.encode()) % SHARDS)


def iso(at: datetime) -> str:
    """Return ``at`` as a text; texts sort like the times."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _turn(turn: int) -> str:
    return f"{turn:04d}"


def _part(part: Part) -> Item:
    return asdict(part) | {"microusd": whole(part.microusd)}
