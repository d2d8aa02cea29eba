"""Items of the budgets table, and the writes to them that a transaction is made of. Pure."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from ballast.money.lease import Change, Corrected, Lease, Part
from ballast.money.windows import LEASE, RUNNING, Claim, WindowLimits, ends
from ballast.table import Item, Put, Update, absent, at_most, equals, present

#: The index of held leases has so many partitions: one alone would take 1,000 writes a second and no more.
SHARDS = 16
#: A window outlives the longest run (40 days), which may still give something back to it.
_LONGEST_RUN = timedelta(days=45)
#: Of a lease that is settled for good: the sweeper finds it no more.
_LOOKED_AT = ("held", "look_at")


@dataclass(frozen=True)
class Items:
    """Builds writes. ``retention_days``: see ``BooksSettings``."""

    retention_days: int

    def put_lease(self, lease: Lease, now: datetime, look_at: datetime) -> Put:
        """Return the put of a new lease, which the sweeper first looks at at ``look_at``."""
        nobody_leased_before = absent("account")
        item = {
            **key_of(LEASE, lease.run_id),
            "tenant": lease.tenant,
            "status": "held",
            "request_sha256": lease.request_sha256,
            "leased_microusd": _whole(lease.leased_microusd),
            "parts": {_turn(turn): _part(part) for turn, part in lease.parts.items()},
            "leased_at": iso(now),
            "held": shard_of(lease.run_id),
            "look_at": iso(look_at),
        }
        return Put(item, nobody_leased_before)

    def bar(self, lease: Lease, now: datetime) -> Put:
        """Return the put of an item in the place of a lease that was refused, so that the run never gets one."""
        nobody_leased_before = absent("account")
        item = {
            **key_of(LEASE, lease.run_id),
            "tenant": lease.tenant,
            "status": "refused",
            "request_sha256": lease.request_sha256,
            "leased_microusd": 0,
            "parts": {},
            "leased_at": iso(now),
        }
        return Put(item | self._forgotten(now), nobody_leased_before)

    def add_part(self, run_id: str, turn: int, part: Part) -> Update:
        """Return the update that adds a part to a held lease, once a turn."""
        place = f"parts.{_turn(turn)}"
        it_is_held = equals("status", "held")
        not_for_this_turn_yet = absent(place)
        return Update(
            key_of(LEASE, run_id),
            set={place: _part(part)},
            add={"leased_microusd": _whole(part.microusd)},
            only_if=it_is_held & not_for_this_turn_yet,
        )

    def claimed(self, claim: Claim) -> Update:
        """Return the update that takes ``claim``, if it fits."""
        nothing_taken_yet = absent(claim.attribute)
        it_fits = at_most(claim.attribute, _whole(claim.room))
        passes = claim.window != RUNNING
        return Update(
            key_of(claim.account, claim.window),
            set=self._forgotten(ends(claim.window) + _LONGEST_RUN) if passes else {},
            add={claim.attribute: _whole(claim.amount)},
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
        """Return the update that settles a lease, if it is held and as it was read.

        ``log_sha256``: the digest of the run's log, kept where no function that acts can write. ``look_at``: when the
        sweeper looks at it again, for outcomes that come late; None where none can.
        """
        it_is_held = equals("status", "held")
        as_it_was_read = equals("leased_microusd", _whole(lease.leased_microusd))
        change: Item = {"status": "settled", "charged_microusd": _whole(charged_microusd), "settled_at": iso(now)}
        if log_sha256 is not None:
            change["log_sha256"] = log_sha256
        change |= self._forgotten(now)
        if look_at is not None:
            change["look_at"] = iso(look_at)
        return Update(
            key_of(LEASE, lease.run_id),
            set=change,
            remove=_LOOKED_AT if look_at is None else (),
            only_if=it_is_held & as_it_was_read,
        )

    def trued_up(self, lease: Lease, charged_microusd: int) -> Update:
        """Return the update that settles for good a lease that was settled while outcomes were missing."""
        it_is_settled = equals("status", "settled")
        as_it_was_read = equals("charged_microusd", _whole(lease.charged_microusd)) & present("held")
        return Update(
            key_of(LEASE, lease.run_id),
            set={"charged_microusd": _whole(charged_microusd)},
            remove=_LOOKED_AT,
            only_if=it_is_settled & as_it_was_read,
        )

    def corrected(self, lease: Lease, order: Corrected) -> Update:
        """Return the update of a settled lease whose charge an operator corrects, if it is as it was read.

        The order stays in the lease: of who writes the log only the functions of money can write here.
        """
        it_is_settled = equals("status", "settled")
        as_it_was_read = equals("charged_microusd", _whole(lease.charged_microusd))
        times = lease.corrections
        nobody_corrected_it_since = equals("corrections", _whole(times)) if times else absent("corrections")
        change: Item = {
            "charged_microusd": _whole(order.charged_microusd),
            "corrections": _whole(times + 1),
            "corrected": asdict(order) | {"was_microusd": _whole(order.was_microusd)},
        }
        return Update(
            key_of(LEASE, lease.run_id),
            set=change,
            remove=_LOOKED_AT,  # it is for good then
            only_if=it_is_settled & as_it_was_read & nobody_corrected_it_since,
        )

    def changed(self, change: Change) -> Update:
        """Return the update of one item that a settlement changes, if TTL has not removed it.

        Made anew it would hold the change alone, often less than nothing, and never expire.
        """
        counts = {"taken_microusd": change.taken, "settled_microusd": change.settled}
        counts = {"runs": change.runs} if change.window == RUNNING else counts
        it_is_there = present("account")
        added = {name: _whole(count) for name, count in counts.items()}
        return Update(key_of(change.account, change.window), add=added, only_if=it_is_there)

    def _forgotten(self, since: datetime) -> Item:
        """Return when TTL removes an item, as an attribute of it; nothing where never."""
        if not self.retention_days:
            return {}
        return {"expires_at": int((since + timedelta(days=self.retention_days)).timestamp())}


def key_of(account: str, window: str) -> Item:
    """Return an item's key."""
    return {"account": account, "window": window}


def lease_of(item: Item) -> Lease:
    """Return the lease that an item holds."""
    late = item["status"] == "settled" and "held" in item
    return Lease(
        run_id=item["window"],
        tenant=item["tenant"],
        request_sha256=item["request_sha256"],
        parts={int(turn): Part(**part) for turn, part in item["parts"].items()},
        held=item["status"] == "held",
        charged_microusd=item.get("charged_microusd", 0),
        open_since=datetime.fromisoformat(item["settled_at"]) if late else None,
        corrections=item.get("corrections", 0),
        corrected=Corrected(**item["corrected"]) if "corrected" in item else None,
    )


def limits_of(item: Item, default: WindowLimits) -> WindowLimits:
    """Return the limits that an item sets; the default's where it sets none."""

    def limit(name: str) -> int:
        return int(item.get(name, getattr(default, name)))

    return WindowLimits(limit("hour_microusd"), limit("day_microusd"), limit("runs"))


def shard_name(shard: int) -> str:
    """Return the partition of the index of held leases."""
    return f"held#{shard:02d}"


def shard_of(run_id: str) -> str:
    """Return the partition that the run's lease is in while it is held."""
    return shard_name(zlib.crc32(run_id.encode()) % SHARDS)


def iso(at: datetime) -> str:
    """Return ``at`` so that texts sort as times do."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _turn(turn: int) -> str:
    return f"{turn:04d}"


def _part(part: Part) -> Item:
    return asdict(part) | {"microusd": _whole(part.microusd)}


def _whole(number: int) -> int:
    """Return ``number``. Raises ``TypeError`` for a fraction: no reader could read it."""
    if type(number) is not int:
        raise TypeError(f"The books have whole numbers, not {number!r}.")
    return number
