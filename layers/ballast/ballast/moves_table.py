"""Reads and conditional writes of the moves table: reservations of the business's own money, and their windows.

Each change is one transaction::

    reserve   Put call (if absent or returned) · Update the run's total and up to 6 windows (if it fits)
    begin     Update call: held ─▶ begun, just before the tool runs; afterwards only its outcome changes it
    settle    ok ─▶ kept │ nothing was done ─▶ returned, and the windows lowered │ unknown ─▶ it stays begun
    undo      kept ─▶ undone, and the windows lowered if the tool declares undo_gives_back

A transaction is all or nothing, so a call's item shows whether its windows count it. An attempt that dies leaves its
reservation, and the next attempt finds it. The end of the run returns reservations that were never begun, and blocks
new ones. Operators' ceilings are in the budgets table; the executor can only read them, so it cannot raise one.

Imports ``ballast.budget_items`` and what is below it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from ballast.budget_items import BudgetsTableSettings, key_of
from ballast.errors import RetryLater, RunEnded
from ballast.money.moves import FOR_EACH, OWN, TOTAL, Ceilings, Move, call_window, of_run
from ballast.money.windows import ACCOUNT, LIMITS, Claim, of_tenant
from ballast.runtime import Runtime, Settings
from ballast.table import Condition, Item, Put, Query, Table, Update, absent, at_most, begins_with, equals, present
from ballast.values import dataclass

Status = Literal["held", "begun", "kept", "returned", "undone"]
#: The statuses that the windows count.
COUNTED: tuple[Status, ...] = ("held", "begun", "kept")
#: A window outlives the longest run (40 days), because the run may still return money to it.
_LONGEST_RUN = timedelta(days=45)
_ATTEMPTS = 4


class MovesSettings(Settings):
    """The moves table.

    moves_table     reservations and windows
    retention_days  days until TTL removes settled items; 0 keeps them for ever
    """

    moves_table: Annotated[str, Field(min_length=1)]
    retention_days: Annotated[int, Field(ge=0)] = 0


class CeilingsSettings(BudgetsTableSettings):
    """budgets_table: its ``limits`` items hold the operators' ceilings."""


@dataclass(frozen=True)
class Reservation:
    """One call's reservation: its move, its status, and the attempt that holds it."""

    move: Move
    status: Status
    by: str


@dataclass(frozen=True)
class NoRoom:
    """The windows that have no room for a move; never empty."""

    claims: tuple[Claim, ...]


class CeilingsSet:
    """Reads the operators' ceilings. They replace the playbook's own."""

    def __init__(self, runtime: Runtime) -> None:
        self.table = CeilingsSettings.of(runtime).table(runtime)

    def read(self, tenant: str, customer: str | None, own: Ceilings) -> Ceilings:
        """Return the ceilings that apply now; strongly consistent. Raises ``RetryLater``."""
        return own.as_set(*self.items(tenant, customer))

    def items(self, tenant: str, customer: str | None) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Return the ceilings set for all, for the tenant and for the customer's account, by attribute."""
        accounts = [ACCOUNT, of_tenant(tenant), *([customer] if customer else [])]
        keys = [key_of(account, LIMITS) for account in accounts]
        found = {item["account"]: item for item in self.table.batch_get(keys)}
        everyone, own, customers = (
            {name: int(item[name]) for name in (*OWN, *FOR_EACH) if name in item}
            for item in (found.get(account, {}) for account in (ACCOUNT, of_tenant(tenant), customer or ""))
        )
        return everyone, own, customers


@dataclass(frozen=True)
class MovesTable:
    """Reservations and windows, with the rights of one function."""

    table: Table
    retention_days: int
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> MovesTable:
        settings = MovesSettings.of(runtime)
        return cls(Table.of(runtime, settings.moves_table, "MOVES_TABLE"), settings.retention_days, runtime)

    # One call's reservation

    def reserve(self, move: Move, by: str, ceilings: Ceilings) -> Reservation | NoRoom:
        """Reserve ``move`` for the attempt ``by``; return the reservation, or the call's earlier one.

        An effect reserves once. The reservation of a dead attempt is taken over; if amount or windows have changed, it
        is returned and made again. Raises ``RunEnded`` and ``RetryLater``.
        """
        claims = move.claims(ceilings)
        for _ in range(_ATTEMPTS):
            never = tuple(claim for claim in claims if claim.room < 0)
            failed = None if never else self.table.transact([self._put(move, by), *map(self._claimed, claims)])
            if failed is not None and not failed:
                return Reservation(move, "held", by)
            before = self.find(move.run_id, move.turn, move.index) if failed is None or 0 in failed else None
            if before is not None and before.status != "returned":
                mine = self._taken_over(before, move, by)
                if mine is not None:
                    return mine
                continue
            if failed is not None and 1 in failed and self._closed(move.run_id):
                raise RunEnded(f"{move.run_id} has ended, so its calls may not move money.")
            if never:
                return NoRoom(never)
            if failed and 0 not in failed:
                return NoRoom(tuple(claims[index - 1] for index in sorted(failed)))
        raise RetryLater(f"{self.table.what}: the reservation of {_named(move)} keeps changing; try again.")

    def begin(self, held: Reservation) -> Reservation:
        """Record that the tool is about to run. Raises ``RetryLater`` if another attempt holds the reservation."""
        begun_before = equals("status", "begun")
        it_is_mine = equals("status", "held") & equals("held_by", held.by)
        if not self._changed(held.move, {"status": "begun"}, begun_before | it_is_mine):
            raise RetryLater(f"{_named(held.move)}: its reservation was given back or taken over; try again.")
        return replace(held, status="begun")

    def release(self, held: Reservation) -> None:
        """Return the money of a reservation that was not begun, if this attempt still holds it."""
        if held.status == "held":
            self.settle(held, "returned")

    def settle(self, before: Reservation, to: Status) -> bool:
        """Change the status of the reservation ``before`` to ``to``, once. Return whether it still had its status.

        If ``to`` does not count, the amount returns to the windows. Raises ``RetryLater``.
        """
        if before.status == to:
            return True
        as_it_was = equals("status", before.status)
        if before.status == "held":
            as_it_was &= equals("held_by", before.by)
        change: Item = {"status": to} | self._expires()
        if to in COUNTED:
            return self._changed(before.move, change, as_it_was)
        it_is_there = present("account")  # TTL may have removed it; a new one would be negative
        less: Item = {"moved": -before.move.micro}
        freed = [Update(key_of(*place), add=less, only_if=it_is_there) for place in before.move.places]
        return self.table.transact_with(Update(key_of(*_place(before.move)), set=change, only_if=as_it_was), freed)

    def find(self, run_id: str, turn: int, index: int) -> Reservation | None:
        """Return the call's reservation; None if it never had one. Strongly consistent."""
        found = self.table.get(key_of(of_run(run_id), call_window(turn, index)))
        return None if found is None else _reservation(found)

    # Windows

    def moved(self, move: Move) -> dict[tuple[str, str], int]:
        """Return the present count of each of the move's windows, in micro-units. Strongly consistent."""
        items = self.table.batch_get([key_of(*place) for place in move.places])
        found = {(item["account"], item["window"]): item for item in items}
        return {place: int(found.get(place, {}).get("moved", 0)) for place in move.places}

    # The end of a run

    def end(self, run_id: str) -> None:
        """Block further reservations of a run that has ended, and return those that were never begun.

        Begun ones stay unchanged, because the log could be forged. Raises ``RetryLater``.
        """
        self._close(run_id)
        for held in self._of_run(run_id):
            if held.status != "held" or self.settle(held, "returned"):
                continue
            again = self.find(run_id, held.move.turn, held.move.index)
            if again is not None and again.status == "held" and not self.settle(again, "returned"):
                raise RetryLater(f"{_named(held.move)}: its reservation keeps changing; try again.")

    def _of_run(self, run_id: str) -> list[Reservation]:
        its_calls = equals("account", of_run(run_id)) & begins_with("window", "call#")
        return list(map(_reservation, self.table.all(Query(its_calls, consistent=True))))

    def _close(self, run_id: str) -> None:
        closed: Item = {"closed_at": self.runtime.clock().isoformat(timespec="seconds")} | self._expires()
        self.table.write(Update(key_of(of_run(run_id), TOTAL), set=closed))

    def _closed(self, run_id: str) -> bool:
        return "closed_at" in (self.table.get(key_of(of_run(run_id), TOTAL)) or {})

    # Writes

    def _taken_over(self, before: Reservation, move: Move, by: str) -> Reservation | None:
        """Return the current reservation, held by this attempt unless it was begun; None: read it again."""
        if before.status != "held" or before.by == by:
            return before
        if before.move != move:
            self.release(before)
            return None
        as_it_was = equals("status", "held") & equals("held_by", before.by)
        return replace(before, by=by) if self._changed(move, {"held_by": by}, as_it_was) else None

    def _put(self, move: Move, by: str) -> Put:
        nothing_reserved, given_back = absent("account"), equals("status", "returned")
        item = {
            **key_of(*_place(move)),
            "status": "held",
            "held_by": by,
            "tenant": move.tenant,
            "micro": move.micro,
            "hour": move.hour,
            "day": move.day,
            "reserved_at": self.runtime.clock().isoformat(timespec="seconds"),
            **({"customer": move.customer} if move.customer else {}),
            **({"call_sha256": move.call_sha256} if move.call_sha256 else {}),
        }
        return Put(item, nothing_reserved | given_back)

    def _claimed(self, claim: Claim) -> Update:
        nothing_moved_yet, it_fits = absent("moved"), at_most("moved", claim.room)
        condition = nothing_moved_yet | it_fits
        if claim.window == TOTAL:
            the_run_goes_on = absent("closed_at")
            condition &= the_run_goes_on
        key = key_of(claim.account, claim.window)
        return Update(key, set=self._expires(), add={"moved": claim.amount}, only_if=condition)

    def _changed(self, move: Move, change: Item, only_if: Condition) -> bool:
        return self.table.write(Update(key_of(*_place(move)), set=change, only_if=only_if)).written

    def _expires(self) -> Item:
        """Return the expiry of an item written now, as an attribute; empty if it never expires."""
        if not self.retention_days:
            return {}
        kept = _LONGEST_RUN + timedelta(days=self.retention_days)
        return {"expires_at": int((self.runtime.clock() + kept).timestamp())}


def _named(move: Move) -> str:
    return f"{move.run_id} turn {move.turn} call {move.index}"


def _place(move: Move) -> tuple[str, str]:
    return of_run(move.run_id), call_window(move.turn, move.index)


def _reservation(item: Item) -> Reservation:
    turn, _, index = item["window"].removeprefix("call#").partition(".")
    move = Move(
        run_id=item["account"].removeprefix("moves#"),
        turn=int(turn),
        index=int(index),
        tenant=item["tenant"],
        customer=item.get("customer"),
        micro=item["micro"],
        hour=item["hour"],
        day=item["day"],
        call_sha256=item.get("call_sha256", ""),
    )
    return Reservation(move, item["status"], item["held_by"])
