"""Read the spend breaker, everyone's and the tenant's, in one eventually consistent request.

The items of the budgets table have account ``breaker`` and window ``all`` or ``tenant#NAME``, and hold the breaker as
JSON (``ballast.money.breaker``). Only ``functions/breaker`` writes them.

An eventually consistent read is enough: it precedes each model attempt, so a trip takes effect within a second. A
breaker that cannot be read does not count as closed: the reader raises an error.
Imports ``ballast.budget_items`` and what is below it.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from ballast.budget_items import BudgetsTableSettings
from ballast.contracts.wire import complaints
from ballast.errors import SettingInvalid
from ballast.money.breaker import Breaker, CurrentMode, current_mode
from ballast.runtime import Runtime
from ballast.table import Item, Table
from ballast.values import dataclass

#: The partition of the budgets table that holds the breakers.
ACCOUNT = "breaker"
_EVERYONE = "all"
_TENANT = "tenant#"


class BreakerSettings(BudgetsTableSettings):
    """budgets_table: the table of the breakers."""


@dataclass(frozen=True)
class Breakers:
    """Reads breakers."""

    table: Table
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Breakers:
        return cls(BreakerSettings.of(runtime).table(runtime), runtime)

    def read(self, tenant: str | None) -> tuple[Breaker, ...]:
        """Return everyone's breaker and the tenant's. Raises ``RetryLater``, ``SettingInvalid``."""
        keys = [key_of(None)] + ([key_of(tenant)] if tenant is not None else [])
        return tuple(map(breaker_of, self.table.batch_get(keys, consistent=False)))

    def current_mode(self, tenant: str, *, run_id: str, passed: datetime | None = None) -> CurrentMode:
        """Return the mode that applies now to a run of the tenant; ``passed``: see ``money.breaker.current_mode``."""
        return current_mode(self.read(tenant), self.runtime.clock(), run_id=run_id, passed=passed)


def key_of(tenant: str | None) -> Item:
    """Return the key of a tenant's breaker; None: everyone's."""
    return {"account": ACCOUNT, "window": _EVERYONE if tenant is None else f"{_TENANT}{tenant}"}


def item_of(breaker: Breaker) -> Item:
    """Return the item that holds ``breaker``."""
    return key_of(breaker.tenant) | {"breaker": breaker.model_dump_json(), "version": breaker.version}


def breaker_of(item: Item) -> Breaker:
    """Return the breaker in an item. Raises ``SettingInvalid`` if the item is not in Ballast's format."""
    try:
        return Breaker.model_validate_json(item["breaker"])
    except (KeyError, ValidationError) as problem:
        why = complaints(problem) if isinstance(problem, ValidationError) else "there is no attribute breaker"
        raise SettingInvalid(
            f"Budgets table (BUDGETS_TABLE): the item breaker / {item['window']} is not in Ballast's format: {why}. "
            "Delete it, and set the breaker with `ballast breaker`."
        ) from None
