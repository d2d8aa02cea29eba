"""Items of the budgets table as every function reads them, and the settings of its name and its default limits.

``ballast.money.windows`` describes the keys. Each side has its own writes: leases and windows in
``functions/lifecycle/budgets_table.py``, limits in ``functions/breaker/command.py``, the breaker in
``functions/breaker/spend_breaker.py``. Both sides write the correction of a settlement, so that is here.

Imports ``ballast.table``, ``ballast.money`` and what is below them.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import Field

from ballast.money.amounts import micro_dollars
from ballast.money.lease import Change, Corrected, Lease, Part
from ballast.money.windows import LEASE, RUNNING, WindowLimits
from ballast.runtime import Runtime, Settings
from ballast.table import Item, Table, Update, absent, equals, present

#: Attributes by which the sweeper finds a lease; the final settlement removes them.
LOOKED_AT = ("held", "look_at")


class BudgetsTableSettings(Settings):
    """budgets_table: windows, leases, limits and the spend breaker."""

    budgets_table: Annotated[str, Field(min_length=1)]

    def table(self, runtime: Runtime) -> Table:
        """Return the table."""
        return Table.of(runtime, self.budgets_table, "BUDGETS_TABLE")


class AccountWindowSettings(Settings):
    """account_hour_usd, account_day_usd: limits of all tenants together, unless the table has a ``limits`` item.

    In US dollars.
    """

    account_hour_usd: str
    account_day_usd: str

    def account_limits(self, runs: int = 0) -> WindowLimits:
        """Return the limits of all tenants together. Raises ``InvalidInput``."""
        hour, day = self.account_hour_usd, self.account_day_usd
        return WindowLimits(
            micro_dollars(hour, what="ACCOUNT_HOUR_USD"), micro_dollars(day, what="ACCOUNT_DAY_USD"), runs
        )


class WindowSettings(AccountWindowSettings):
    """tenant_hour_usd, tenant_day_usd: the same for each tenant; see ``AccountWindowSettings``."""

    tenant_hour_usd: str
    tenant_day_usd: str

    def tenant_limits(self, runs: int = 0) -> WindowLimits:
        """Return the limits of each tenant. Raises ``InvalidInput``."""
        hour, day = self.tenant_hour_usd, self.tenant_day_usd
        return WindowLimits(
            micro_dollars(hour, what="TENANT_HOUR_USD"), micro_dollars(day, what="TENANT_DAY_USD"), runs
        )


class RunCountSettings(Settings):
    """tenant_runs, account_runs: limits of concurrent runs with a lease, including runs that wait for people."""

    tenant_runs: Annotated[int, Field(ge=0)]
    account_runs: Annotated[int, Field(ge=0)]


def key_of(account: str, window: str) -> Item:
    """Return an item's key."""
    return {"account": account, "window": window}


def limits_of(item: Item, default: WindowLimits) -> WindowLimits:
    """Return the limits in an item; ``default`` has those that it does not set."""

    def limit(name: str) -> int:
        return int(item.get(name, getattr(default, name)))

    return WindowLimits(limit("hour_microusd"), limit("day_microusd"), limit("runs"))


def lease_of(item: Item) -> Lease:
    """Return the lease in an item."""
    is_looked_at_again = item["status"] == "settled" and "held" in item
    return Lease(
        run_id=item["window"],
        tenant=item["tenant"],
        request_sha256=item["request_sha256"],
        parts={int(turn): Part(**part) for turn, part in item["parts"].items()},
        held=item["status"] == "held",
        charged_microusd=item.get("charged_microusd", 0),
        open_since=datetime.fromisoformat(item["settled_at"]) if is_looked_at_again else None,
        corrections=item.get("corrections", 0),
        corrected=Corrected(**item["corrected"]) if "corrected" in item else None,
    )


def corrected(lease: Lease, command: Corrected) -> Update:
    """Return the update of a settled lease with an operator's new charge, if the lease is unchanged since it was read.

    The lease keeps the command, because only functions with the right to the budgets table can write there.
    """
    is_settled = equals("status", "settled")
    as_it_was_read = equals("charged_microusd", whole(lease.charged_microusd))
    times = lease.corrections
    not_corrected_since = equals("corrections", whole(times)) if times else absent("corrections")
    change: Item = {
        "charged_microusd": whole(command.charged_microusd),
        "corrections": whole(times + 1),
        "corrected": asdict(command) | {"was_microusd": whole(command.was_microusd)},
    }
    return Update(
        key_of(LEASE, lease.run_id),
        set=change,
        remove=LOOKED_AT,
        only_if=is_settled & as_it_was_read & not_corrected_since,
    )


def changed(change: Change) -> Update:
    """Return the update of one item that a settlement changes, if the item still exists.

    Without that condition an item removed by TTL would be created again, with only the change (often negative) and
    without an expiry.
    """
    counts = {"taken_microusd": change.taken, "settled_microusd": change.settled}
    counts = {"runs": change.runs} if change.window == RUNNING else counts
    is_there = present("account")
    added = {name: whole(count) for name, count in counts.items()}
    return Update(key_of(change.account, change.window), add=added, only_if=is_there)


def check_charge(charged_microusd: int, most_microusd: int) -> None:
    """Raise ``ValueError`` unless the charge is an integer from 0 to ``most_microusd``."""
    if type(charged_microusd) is not int or not 0 <= charged_microusd <= most_microusd:
        raise ValueError(f"A charge is a whole number from 0 to {most_microusd}, not {charged_microusd!r}.")


def whole(number: int) -> int:
    """Return ``number``. Raises ``TypeError`` for a fraction, which readers of the table reject."""
    if type(number) is not int:
        raise TypeError(f"The budgets table holds whole numbers, not {number!r}.")
    return number
