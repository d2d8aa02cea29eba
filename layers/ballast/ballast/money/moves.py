"""Moves of the business's own money: amounts, ceilings, and the windows of a call. Pure.

An amount is an integer of micro-units: millionths of the playbook's currency. One transaction adds a move to up to
seven windows (``ballast.moves_table``)::

    account                       window              holds
    moves#run-…                   total               moves of the run
    customer#acme#<digest>        hour#…, day#…       moves for one customer of one tenant
    tenant#acme                   hour#…, day#…       moves of the tenant's runs
    account                       hour#…, day#…       moves of all runs
    moves#run-…                   call#0003.1         one call's reservation

A digest names a customer, because a tool's key may be an e-mail address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from ballast.money.amounts import MICRO, dollars
from ballast.money.windows import ACCOUNT, Claim, day_of, hour_of, of_tenant
from ballast.values import dataclass

#: The largest amount of one call; a larger one is a mistake.
MOST = 10**9 * MICRO
TOTAL = "total"
#: Precision for exact amounts: more digits than any amount has.
_EXACT = Context(prec=40)
#: Ceilings that an operator may set: attributes of ``limits`` items of the budgets table, by their scope.
OWN = ("moves_hour", "moves_day")
FOR_EACH = ("moves_run", "moves_customer_hour", "moves_customer_day")


def micro_units(amount: object) -> int:
    """Return ``Decimal("99.50")`` as 99500000; never rounds. Raises ``ValueError``."""
    if isinstance(amount, bool) or not isinstance(amount, Decimal | int):
        raise ValueError(f"an amount is a Decimal or an integer, not {type(amount).__name__}")
    if isinstance(amount, Decimal) and not amount.is_finite():
        raise ValueError("an amount is a finite number")
    if not 0 <= amount <= MOST // MICRO:
        raise ValueError(f"an amount is at least 0 and at most {MOST // MICRO}")
    if isinstance(amount, int):
        return amount * MICRO
    _, digits, exponent = amount.normalize(_EXACT).as_tuple()
    if int(exponent) < -6 or amount != amount.normalize(_EXACT):
        raise ValueError("an amount has at most six decimals")
    scale: int = 10 ** (int(exponent) + 6)
    return int("".join(map(str, digits))) * scale


def units(micro: int) -> Decimal:
    """Return 99500000 as ``Decimal("99.50")``: exact."""
    return Decimal(dollars(micro))


def of_run(run_id: str) -> str:
    """Return the account of one run: its total and its reservations."""
    return f"moves#{run_id}"


def of_customer(tenant: str, key: str) -> str:
    """Return the account of one customer of one tenant."""
    return f"customer#{tenant}#{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def call_window(turn: int, index: int) -> str:
    """Return the name of a call's reservation: its effect's identity within the run."""
    return f"call#{turn:04d}.{index}"


@dataclass(frozen=True)
class Ceilings:
    """Ceilings in micro-units: of a run, and of an hour and a day of UTC."""

    run: int
    customer_hour: int
    customer_day: int
    tenant_hour: int
    tenant_day: int
    all_hour: int
    all_day: int

    def as_set(self, everyone: Mapping[str, int], tenant: Mapping[str, int], customer: Mapping[str, int]) -> Ceilings:
        """Return the ceilings, replaced by operators' settings for everyone, for this tenant and for this customer.

        For ``FOR_EACH`` the tenant's value replaces everyone's, and the customer's own value replaces both.
        """
        each = {name: tenant.get(name, everyone.get(name)) for name in FOR_EACH}

        def chosen(value: int | None, default: int) -> int:
            return default if value is None else value

        return Ceilings(
            run=chosen(each["moves_run"], self.run),
            customer_hour=customer.get("moves_hour", chosen(each["moves_customer_hour"], self.customer_hour)),
            customer_day=customer.get("moves_day", chosen(each["moves_customer_day"], self.customer_day)),
            tenant_hour=tenant.get("moves_hour", self.tenant_hour),
            tenant_day=tenant.get("moves_day", self.tenant_day),
            all_hour=everyone.get("moves_hour", self.all_hour),
            all_day=everyone.get("moves_day", self.all_day),
        )


@dataclass(frozen=True)
class Move:
    """The money that one call moves. Its identity is the effect's: run, turn and position.

    customer  the customer's account (``of_customer``); None if the tool names no customer
    hour, day the windows that count it
    call_sha256  the hash of the call
    """

    run_id: str
    turn: int
    index: int
    tenant: str
    customer: str | None
    micro: int
    hour: str
    day: str
    call_sha256: str = ""

    @classmethod
    def at(
        cls,
        now: datetime,
        *,
        run_id: str,
        turn: int,
        index: int,
        tenant: str,
        customer: str | None,
        micro: int,
        call_sha256: str = "",
    ) -> Move:
        """Return the move of a call made ``now``."""
        return cls(run_id, turn, index, tenant, customer, micro, hour_of(now), day_of(now), call_sha256)

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """The (account, window) that count it."""
        accounts = [name for name in (self.customer, of_tenant(self.tenant), ACCOUNT) if name]
        each = tuple((account, window) for account in accounts for window in (self.hour, self.day))
        return ((of_run(self.run_id), TOTAL), *each)

    def claims(self, ceilings: Ceilings) -> tuple[Claim, ...]:
        """Return its claims on ``places``, in their order."""
        customer = (ceilings.customer_hour, ceilings.customer_day) if self.customer else ()
        others = (ceilings.tenant_hour, ceilings.tenant_day, ceilings.all_hour, ceilings.all_day)
        limits = (ceilings.run, *customer, *others)
        return tuple(
            Claim(account, window, self.micro, limit)
            for (account, window), limit in zip(self.places, limits, strict=True)
        )

    def recorded(self, *, back: bool, unit: str) -> dict[str, Any]:
        """Return its record in ``call.intended``. ``back``: the call's undo returns it to the windows."""
        return {
            "micro": self.micro,
            "unit": unit,
            "customer": self.customer,
            "hour": self.hour,
            "day": self.day,
            "back": back,
        }


def whose(claim: Claim) -> str:
    """Return a claim's window in words: ``the run``, ``the customer's hour``."""
    kind = claim.account.partition("#")[0]
    if kind == "moves":
        return "the run"
    names = {"customer": "the customer's", "tenant": "the tenant's", ACCOUNT: "everybody's"}
    return f"{names[kind]} {claim.window.partition('#')[0]}"
