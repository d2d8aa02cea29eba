"""The ceiling on the business's own money: reservations and windows in their table, each change one transaction.

::

    reserve   Put call (if there is none, or it was returned) · Update the run's total and up to 6 windows (if it fits)
    begin     Update call: held ─▶ begun, just before the tool runs; from here on only its outcome moves it
    settle    ok ─▶ kept │ surely nothing done ─▶ returned, its windows with it │ unknown ─▶ it stays begun
    undo      kept ─▶ undone, its windows with it, where the tool said undo_gives_back

All or nothing, so a call's item says whether its windows count it. An attempt that dies leaves what it reserved; the
next attempt finds it, and the end of the run returns what was never begun. ``close`` bars reservations
after that. What operators set is in the budgets table, which the executor can only read: it cannot raise a ceiling.

Imports ``ballast.log``, ``ballast.money``, ``ballast.runtime`` and what is below them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from ballast.aws_errors import consequences
from ballast.errors import RetryLater, RunEnded
from ballast.log.transaction import Transactions
from ballast.money.moves import FOR_EACH, OWN, TOTAL, Ceilings, Move, call_window, of_run
from ballast.money.windows import ACCOUNT, LIMITS, Claim, of_tenant
from ballast.runtime import Runtime, Settings

Status = Literal["held", "begun", "kept", "returned", "undone"]
#: What the windows count.
COUNTED: tuple[Status, ...] = ("held", "begun", "kept")
#: A window outlives the longest run (40 days), which may still give something back to it.
_LONGEST_RUN = timedelta(days=45)
_ATTEMPTS = 4
Item = dict[str, Any]


class MovesSettings(Settings):
    """What a function needs that keeps what is moved.

    moves_table     reservations and windows
    retention_days  what is settled is forgotten after so many days; 0 keeps it for ever
    """

    moves_table: Annotated[str, Field(min_length=1)]
    retention_days: Annotated[int, Field(ge=0)] = 0


class CeilingsSettings(Settings):
    """budgets_table: what operators set."""

    budgets_table: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Reservation:
    """One call's item: its move, how it stands, and which attempt holds it."""

    move: Move
    status: Status
    by: str


@dataclass(frozen=True)
class NoRoom:
    """The windows that have no room for a move; never empty."""

    claims: tuple[Claim, ...]


class CeilingsSet:
    """Reads what operators set, over the playbook's own ceilings."""

    def __init__(self, runtime: Runtime) -> None:
        self.table, self._runtime = CeilingsSettings.of(runtime).budgets_table, runtime

    def read(self, tenant: str, customer: str | None, own: Ceilings) -> Ceilings:
        """Return the ceilings that hold now; strongly consistent. Raises ``RetryLater``."""
        return own.as_set(*self.items(tenant, customer))

    def items(self, tenant: str, customer: str | None) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Return what is set for all, for the tenant and for the customer's account, by attribute."""
        accounts = [ACCOUNT, of_tenant(tenant), *([customer] if customer else [])]
        keys = [_key(account, LIMITS) for account in accounts]
        with consequences(f"Table {self.table} (BUDGETS_TABLE)"):
            page = self._runtime.client("dynamodb").batch_get_item(
                RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}}
            )
        if page.get("UnprocessedKeys"):
            raise RetryLater(f"Table {self.table} (BUDGETS_TABLE) leaves ceilings unread; try again.")
        found = {item["account"]["S"]: item for item in page["Responses"].get(self.table, [])}
        everyone, own, customers = (
            {name: int(item[name]["N"]) for name in (*OWN, *FOR_EACH) if name in item}
            for item in (found.get(account, {}) for account in (ACCOUNT, of_tenant(tenant), customer or ""))
        )
        return everyone, own, customers


@dataclass(frozen=True)
class MovesBook:
    """Reservations and windows, as a function with the right to keep them sees them."""

    dynamodb: Any
    table: str
    retention_days: int
    transactions: Transactions
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> MovesBook:
        """Put it together; once per runtime."""
        settings, client = MovesSettings.of(runtime), runtime.client("dynamodb")
        resource = f"Table {settings.moves_table} (MOVES_TABLE)"
        # No secret: the numbers only spread those who wait.
        transactions = Transactions(client, resource, random.random, time.sleep)
        return cls(client, settings.moves_table, settings.retention_days, transactions, runtime)

    # One call's reservation

    def reserve(self, move: Move, by: str, ceilings: Ceilings) -> Reservation | NoRoom:
        """Take what ``move`` takes, for the attempt ``by``; return it, or the call's earlier one that stands.

        The same effect takes nothing twice: a reservation of an attempt that died is taken over, or returned and
        taken anew where amount or windows are others by now. Raises ``RunEnded`` and ``RetryLater``.
        """
        claims = move.claims(ceilings)
        for _ in range(_ATTEMPTS):
            never = tuple(claim for claim in claims if claim.room < 0)
            failed = None if never else self.transactions.write([self._put(move, by), *map(self._claimed, claims)])
            if failed is not None and not failed:
                return Reservation(move, "held", by)
            before = self.find(move.run_id, move.turn, move.index) if failed is None or 0 in failed else None
            if before is not None and before.status != "returned":
                mine = self._taken_over(before, move, by)
                if mine is not None:
                    return mine
                continue
            if failed is not None and 1 in failed and self._closed(move.run_id):
                raise RunEnded(f"{move.run_id} has ended; nothing is moved for it any more.")
            if never:
                return NoRoom(never)
            if failed and 0 not in failed:
                return NoRoom(tuple(claims[index - 1] for index in sorted(failed)))
        raise RetryLater(f"{self.transactions.resource}: the reservation of {_named(move)} keeps changing; try again.")

    def begin(self, held: Reservation) -> Reservation:
        """Mark that the tool is about to run. Raises ``RetryLater`` where another attempt has the reservation now."""
        begun_before, it_is_mine = "#status = :begun", "(#status = :held AND held_by = :by)"
        values = {":begun": {"S": "begun"}, ":held": {"S": "held"}, ":by": {"S": held.by}}
        condition = f"{begun_before} OR {it_is_mine}"
        if not self._changed(held.move, "SET #status = :begun", condition, values):
            raise RetryLater(f"{_named(held.move)}: its reservation was given back or taken over; try again.")
        return replace(held, status="begun")

    def release(self, held: Reservation) -> None:
        """Return what was not begun, if this attempt still holds it."""
        if held.status == "held":
            self.settle(held, "returned")

    def settle(self, before: Reservation, to: Status) -> bool:
        """Change the reservation from what it was to ``to``, once; say whether it was as it was.

        Its windows give it back where they count it no longer. Raises ``RetryLater``.
        """
        if before.status == to:
            return True
        as_it_was = "#status = :seen"
        values: Item = {":seen": {"S": before.status}, ":to": {"S": to}}
        if before.status == "held":
            as_it_was += " AND held_by = :by"
            values[":by"] = {"S": before.by}
        change = "SET #status = :to"
        if self.retention_days:
            change += ", expires_at = :forgotten"
            values[":forgotten"] = self._forgotten()
        if to in COUNTED:
            return self._changed(before.move, change, as_it_was, values)
        update = self._update(_place(before.move), change, values, as_it_was)
        amount = {":back": {"N": str(-before.move.micro)}}
        it_is_there = "attribute_exists(account)"  # TTL may have removed it; made anew it would be below nothing
        freed = [self._update(place, "ADD moved :back", amount, it_is_there) for place in before.move.places]
        return self.transactions.write_with(update, freed)

    def find(self, run_id: str, turn: int, index: int) -> Reservation | None:
        """Return the call's reservation, None where it never had one. Strongly consistent."""
        key = _key(of_run(run_id), call_window(turn, index))
        with consequences(self.transactions.resource):
            found = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return _reservation(found["Item"]) if "Item" in found else None

    # Windows

    def moved(self, move: Move) -> dict[tuple[str, str], int]:
        """Return what each of the move's places counts now, in micro-units. Strongly consistent."""
        keys = [_key(*place) for place in move.places]
        with consequences(self.transactions.resource):
            page = self.dynamodb.batch_get_item(RequestItems={self.table: {"Keys": keys, "ConsistentRead": True}})
        if page.get("UnprocessedKeys"):
            raise RetryLater(f"{self.transactions.resource} leaves windows unread; try again.")
        found = {(item["account"]["S"], item["window"]["S"]): item for item in page["Responses"].get(self.table, [])}
        return {place: int(found.get(place, {}).get("moved", {"N": "0"})["N"]) for place in move.places}

    # The end of a run

    def end(self, run_id: str) -> None:
        """Bar further reservations of a run that has ended, and return those that were never begun.

        What was begun stays as the executor left it: the log could say anything. Raises ``RetryLater``.
        """
        self._close(run_id)
        for held in self._of_run(run_id):
            if held.status != "held" or self.settle(held, "returned"):
                continue
            again = self.find(run_id, held.move.turn, held.move.index)
            if again is not None and again.status == "held" and not self.settle(again, "returned"):
                raise RetryLater(f"{_named(held.move)}: its reservation keeps changing; try again.")

    def _of_run(self, run_id: str) -> list[Reservation]:
        found: list[Reservation] = []
        more: Item = {}
        while True:
            with consequences(self.transactions.resource):
                page = self.dynamodb.query(
                    TableName=self.table,
                    KeyConditionExpression="account = :run AND begins_with(#window, :call)",
                    ExpressionAttributeNames={"#window": "window"},
                    ExpressionAttributeValues={":run": {"S": of_run(run_id)}, ":call": {"S": "call#"}},
                    ConsistentRead=True,
                    **more,
                )
            found += map(_reservation, page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _close(self, run_id: str) -> None:
        change, values = "SET closed_at = :now", {":now": {"S": self.runtime.clock().isoformat(timespec="seconds")}}
        if self.retention_days:
            change += ", expires_at = :forgotten"
            values[":forgotten"] = self._forgotten()
        update = self._update((of_run(run_id), TOTAL), change, values)["Update"]
        with consequences(self.transactions.resource):
            self.dynamodb.update_item(**update)

    def _closed(self, run_id: str) -> bool:
        with consequences(self.transactions.resource):
            found = self.dynamodb.get_item(TableName=self.table, Key=_key(of_run(run_id), TOTAL), ConsistentRead=True)
        return "closed_at" in found.get("Item", {})

    # Writes

    def _taken_over(self, before: Reservation, move: Move, by: str) -> Reservation | None:
        """Return the reservation that stands, held by this attempt where it was not begun; None: look again."""
        if before.status != "held" or before.by == by:
            return before
        if before.move != move:
            self.release(before)
            return None
        values = {":held": {"S": "held"}, ":seen": {"S": before.by}, ":by": {"S": by}}
        as_it_was = "#status = :held AND held_by = :seen"
        return replace(before, by=by) if self._changed(move, "SET held_by = :by", as_it_was, values) else None

    def _put(self, move: Move, by: str) -> Item:
        nothing_reserved, given_back = "attribute_not_exists(account)", "#status = :returned"
        item = {
            **_key(*_place(move)),
            "status": {"S": "held"},
            "held_by": {"S": by},
            "tenant": {"S": move.tenant},
            "micro": {"N": str(move.micro)},
            "hour": {"S": move.hour},
            "day": {"S": move.day},
            "reserved_at": {"S": self.runtime.clock().isoformat(timespec="seconds")},
            **({"customer": {"S": move.customer}} if move.customer else {}),
            **({"call_sha256": {"S": move.call_sha256}} if move.call_sha256 else {}),
        }
        return {
            "Put": {
                "TableName": self.table,
                "Item": item,
                "ConditionExpression": f"{nothing_reserved} OR {given_back}",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {":returned": {"S": "returned"}},
            }
        }

    def _claimed(self, claim: Claim) -> Item:
        nothing_moved_yet, it_fits = "attribute_not_exists(moved)", "moved <= :room"
        condition = f"({nothing_moved_yet} OR {it_fits})"
        if claim.window == TOTAL:
            the_run_goes_on = "attribute_not_exists(closed_at)"
            condition += f" AND {the_run_goes_on}"
        change, values = "ADD moved :amount", {":amount": {"N": str(claim.amount)}, ":room": {"N": str(claim.room)}}
        if self.retention_days:
            change = f"SET expires_at = :forgotten {change}"
            values[":forgotten"] = self._forgotten()
        return self._update((claim.account, claim.window), change, values, condition)

    def _changed(self, move: Move, change: str, condition: str, values: Mapping[str, Any]) -> bool:
        update = self._update(_place(move), change, values, condition)["Update"]
        with consequences(self.transactions.resource):
            try:
                self.dynamodb.update_item(**update)
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _update(
        self, place: tuple[str, str], change: str, values: Mapping[str, Any], condition: str | None = None
    ) -> Item:
        update: Item = {
            "TableName": self.table,
            "Key": _key(*place),
            "UpdateExpression": change,
            "ExpressionAttributeValues": dict(values),
        }
        if condition:
            update["ConditionExpression"] = condition
        if "#status" in f"{change} {condition}":
            update["ExpressionAttributeNames"] = {"#status": "status"}
        return {"Update": update}

    def _forgotten(self) -> Item:
        kept = _LONGEST_RUN + timedelta(days=self.retention_days)
        return {"N": str(int((self.runtime.clock() + kept).timestamp()))}


def _named(move: Move) -> str:
    return f"{move.run_id} turn {move.turn} call {move.index}"


def _place(move: Move) -> tuple[str, str]:
    return of_run(move.run_id), call_window(move.turn, move.index)


def _key(account: str, window: str) -> Item:
    return {"account": {"S": account}, "window": {"S": window}}


def _reservation(item: Item) -> Reservation:
    turn, _, index = item["window"]["S"].removeprefix("call#").partition(".")
    move = Move(
        run_id=item["account"]["S"].removeprefix("moves#"),
        turn=int(turn),
        index=int(index),
        tenant=item["tenant"]["S"],
        customer=item["customer"]["S"] if "customer" in item else None,
        micro=int(item["micro"]["N"]),
        hour=item["hour"]["S"],
        day=item["day"]["S"],
        call_sha256=item.get("call_sha256", {}).get("S", ""),
    )
    return Reservation(move, item["status"]["S"], item["held_by"]["S"])
