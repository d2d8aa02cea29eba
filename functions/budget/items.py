"""Items of the budgets table, and the writes to them that a transaction is made of. Pure: builds requests."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ballast.money.lease import Change, Corrected, Lease, Part
from ballast.money.windows import LEASE, RUNNING, Claim, WindowLimits, ends

#: The index of held leases has so many partitions: one alone would take 1,000 writes a second and no more.
SHARDS = 16
#: A window outlives the longest run (40 days), which may still give something back to it.
_LONGEST_RUN = timedelta(days=45)

Item = dict[str, Any]


@dataclass(frozen=True)
class Items:
    """Builds writes to ``table``. ``retention_days``: see ``BooksSettings``."""

    table: str
    retention_days: int

    def put_lease(self, lease: Lease, now: datetime, look_at: datetime) -> Item:
        """Return the put of a new lease, which the sweeper first looks at at ``look_at``."""
        nobody_leased_before = "attribute_not_exists(account)"
        item = {
            **key_of(LEASE, lease.run_id),
            "tenant": {"S": lease.tenant},
            "status": {"S": "held"},
            "request_sha256": {"S": lease.request_sha256},
            "leased_microusd": _n(lease.leased_microusd),
            "parts": {"M": {_turn(turn): _part(part) for turn, part in lease.parts.items()}},
            "leased_at": {"S": iso(now)},
            "held": {"S": shard_of(lease.run_id)},
            "look_at": {"S": iso(look_at)},
        }
        return {"Put": {"TableName": self.table, "Item": item, "ConditionExpression": nobody_leased_before}}

    def bar(self, lease: Lease, now: datetime) -> Item:
        """Return an item in the place of a lease that was refused, so that the run never gets one."""
        item = {
            **key_of(LEASE, lease.run_id),
            "tenant": {"S": lease.tenant},
            "status": {"S": "refused"},
            "request_sha256": {"S": lease.request_sha256},
            "leased_microusd": _n(0),
            "parts": {"M": {}},
            "leased_at": {"S": iso(now)},
        }
        return item | ({"expires_at": self._forgotten(now)} if self.retention_days else {})

    def add_part(self, run_id: str, turn: int, part: Part) -> Item:
        """Return the update that adds a part to a held lease, once a turn."""
        it_is_held = "#status = :held"
        not_for_this_turn_yet = "attribute_not_exists(parts.#turn)"
        return self._update(
            (LEASE, run_id),
            "SET parts.#turn = :part ADD leased_microusd :amount",
            {":held": {"S": "held"}, ":part": _part(part), ":amount": _n(part.microusd)},
            names={"#status": "status", "#turn": _turn(turn)},
            condition=f"{it_is_held} AND {not_for_this_turn_yet}",
        )

    def claimed(self, claim: Claim) -> Item:
        """Return the update that takes ``claim``, if it fits."""
        nothing_taken_yet = "attribute_not_exists(#count)"
        it_fits = "#count <= :room"
        change, values = "ADD #count :amount", {":amount": _n(claim.amount), ":room": _n(claim.room)}
        if claim.window != RUNNING and self.retention_days:
            change = f"SET expires_at = :forgotten {change}"
            values[":forgotten"] = self._forgotten(ends(claim.window) + _LONGEST_RUN)
        return self._update(
            (claim.account, claim.window),
            change,
            values,
            names={"#count": claim.attribute},
            condition=f"{nothing_taken_yet} OR {it_fits}",
        )

    def settled(
        self,
        lease: Lease,
        charged_microusd: int,
        now: datetime,
        log_sha256: str | None = None,
        look_at: datetime | None = None,
    ) -> Item:
        """Return the update that settles a lease, if it is held and as it was read.

        ``log_sha256``: the digest of the run's log, kept where no function that acts can write. ``look_at``: when the
        sweeper looks at it again, for outcomes that come late; None where none can.
        """
        it_is_held = "#status = :held"
        as_it_was_read = "leased_microusd = :leased"
        change = "SET #status = :settled, charged_microusd = :charged, settled_at = :now"
        values = {
            ":held": {"S": "held"},
            ":settled": {"S": "settled"},
            ":leased": _n(lease.leased_microusd),
            ":charged": _n(charged_microusd),
            ":now": {"S": iso(now)},
        }
        if log_sha256 is not None:
            change += ", log_sha256 = :log"
            values[":log"] = {"S": log_sha256}
        if self.retention_days:
            change += ", expires_at = :forgotten"
            values[":forgotten"] = self._forgotten(now)
        if look_at is None:
            change += " REMOVE held, look_at"
        else:
            change += ", look_at = :look_at"
            values[":look_at"] = {"S": iso(look_at)}
        return self._update(
            (LEASE, lease.run_id),
            change,
            values,
            names={"#status": "status"},
            condition=f"{it_is_held} AND {as_it_was_read}",
        )

    def trued_up(self, lease: Lease, charged_microusd: int) -> Item:
        """Return the update that settles for good a lease that was settled while outcomes were missing."""
        it_is_settled = "#status = :settled"
        as_it_was_read = "charged_microusd = :before AND attribute_exists(held)"
        values = {":settled": {"S": "settled"}, ":before": _n(lease.charged_microusd), ":charged": _n(charged_microusd)}
        return self._update(
            (LEASE, lease.run_id),
            "SET charged_microusd = :charged REMOVE held, look_at",
            values,
            names={"#status": "status"},
            condition=f"{it_is_settled} AND {as_it_was_read}",
        )

    def corrected(self, lease: Lease, order: Corrected) -> Item:
        """Return the update of a settled lease whose charge an operator corrects, if it is as it was read.

        The order stays in the lease: of who writes the log only the functions of money can write here.
        """
        it_is_settled = "#status = :settled"
        as_it_was_read = "charged_microusd = :before"
        nobody_corrected_it_since = "corrections = :times" if lease.corrections else "attribute_not_exists(corrections)"
        values = {
            ":settled": {"S": "settled"},
            ":before": _n(lease.charged_microusd),
            ":charged": _n(order.charged_microusd),
            ":next": _n(lease.corrections + 1),
            ":order": _order(order),
        }
        return self._update(
            (LEASE, lease.run_id),
            # It is for good then.
            "SET charged_microusd = :charged, corrections = :next, corrected = :order REMOVE held, look_at",
            values | ({":times": _n(lease.corrections)} if lease.corrections else {}),
            names={"#status": "status"},
            condition=f"{it_is_settled} AND {as_it_was_read} AND {nobody_corrected_it_since}",
        )

    def changed(self, change: Change) -> Item:
        """Return the update of one item that a settlement changes, if TTL has not removed it.

        Made anew it would hold the change alone, often less than nothing, and never expire.
        """
        key = (change.account, change.window)
        it_is_there = "attribute_exists(account)"
        if change.window == RUNNING:
            return self._update(key, "ADD runs :runs", {":runs": _n(change.runs)}, condition=it_is_there)
        values = {":taken": _n(change.taken), ":settled": _n(change.settled)}
        adds = "ADD taken_microusd :taken, settled_microusd :settled"
        return self._update(key, adds, values, condition=it_is_there)

    def _forgotten(self, since: datetime) -> Item:
        return _n(int((since + timedelta(days=self.retention_days)).timestamp()))

    def _update(
        self,
        key: tuple[str, str],
        change: str,
        values: Mapping[str, Any],
        *,
        names: Mapping[str, str] | None = None,
        condition: str | None = None,
    ) -> Item:
        update: Item = {
            "TableName": self.table,
            "Key": key_of(*key),
            "UpdateExpression": change,
            "ExpressionAttributeValues": dict(values),
        }
        if names:
            update["ExpressionAttributeNames"] = dict(names)
        if condition:
            update["ConditionExpression"] = condition
        return {"Update": update}


def key_of(account: str, window: str) -> Item:
    """Return an item's key."""
    return {"account": {"S": account}, "window": {"S": window}}


def lease_of(item: Item) -> Lease:
    """Return the lease that an item holds."""
    parts = {
        int(turn): Part(int(part["M"]["microusd"]["N"]), part["M"]["hour"]["S"], part["M"]["day"]["S"])
        for turn, part in item["parts"]["M"].items()
    }
    late = item["status"]["S"] == "settled" and "held" in item
    return Lease(
        run_id=item["window"]["S"],
        tenant=item["tenant"]["S"],
        request_sha256=item["request_sha256"]["S"],
        parts=parts,
        held=item["status"]["S"] == "held",
        charged_microusd=int(item["charged_microusd"]["N"]) if "charged_microusd" in item else 0,
        open_since=datetime.fromisoformat(item["settled_at"]["S"]) if late else None,
        corrections=int(item["corrections"]["N"]) if "corrections" in item else 0,
        corrected=_corrected(item["corrected"]["M"]) if "corrected" in item else None,
    )


def _corrected(order: Item) -> Corrected:
    was, charged = int(order["was_microusd"]["N"]), int(order["charged_microusd"]["N"])
    return Corrected(was, charged, order["by"]["S"], order["reason"]["S"])


def limits_of(item: Item, default: WindowLimits) -> WindowLimits:
    """Return the limits that an item sets; the default's where it sets none."""

    def limit(name: str) -> int:
        return int(item[name]["N"]) if name in item else int(getattr(default, name))

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
    return {"M": {"microusd": _n(part.microusd), "hour": {"S": part.hour}, "day": {"S": part.day}}}


def _order(order: Corrected) -> Item:
    amounts = {"was_microusd": _n(order.was_microusd), "charged_microusd": _n(order.charged_microusd)}
    return {"M": {**amounts, "by": {"S": order.by}, "reason": {"S": order.reason}}}


def _n(number: int) -> Item:
    """Return a number as an attribute. Raises ``TypeError`` for a fraction: no reader could read it."""
    if type(number) is not int:
        raise TypeError(f"The books have whole numbers, not {number!r}.")
    return {"N": str(number)}
