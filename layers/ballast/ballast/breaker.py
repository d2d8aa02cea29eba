"""The spend breaker as functions read it: one request, eventually consistent, for everyone's and the tenant's.

Items of the budgets table: account ``breaker``, window ``all`` or ``tenant#NAME``, with the breaker as
JSON (``ballast.money.breaker``). Only ``functions/budget`` writes them.

Eventually consistent, since it is read before each model attempt and a trip takes effect within a
second either way. A breaker that cannot be read is no breaker that is closed: the reader raises.
Imports ``ballast.log``, ``ballast.runtime`` and what is below them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ballast.aws_errors import consequences
from ballast.contracts.wire import complaints
from ballast.errors import RetryLater, SettingInvalid
from ballast.money.breaker import Breaker, Force, in_force
from ballast.runtime import Runtime, Settings

#: The partition of the budgets table that holds the breakers.
ACCOUNT = "breaker"
_EVERYONE = "all"
_TENANT = "tenant#"


class BreakerSettings(Settings):
    """budgets_table: windows, leases and the breaker."""

    budgets_table: str


@dataclass(frozen=True)
class Breakers:
    """Reads the breaker."""

    table: str
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Breakers:
        """Put it together; once per runtime."""
        return cls(BreakerSettings.of(runtime).budgets_table, runtime)

    def read(self, tenant: str | None) -> tuple[Breaker, ...]:
        """Return everyone's breaker and the tenant's. Raises ``RetryLater``, ``SettingInvalid``."""
        keys = [key_of(None)] + ([key_of(tenant)] if tenant is not None else [])
        with consequences(f"Table {self.table} (BUDGETS_TABLE)"):
            answer = self.runtime.client("dynamodb").batch_get_item(RequestItems={self.table: {"Keys": keys}})
        if answer.get("UnprocessedKeys"):
            raise RetryLater(f"Table {self.table} (BUDGETS_TABLE) did not read the breaker; try again.")
        return tuple(breaker_of(item) for item in answer["Responses"].get(self.table, ()))

    def in_force(self, tenant: str, *, run_id: str, passed: datetime | None = None) -> Force:
        """Return what holds now for a run of the tenant; ``passed`` as ``ballast.money.breaker.in_force`` has it."""
        return in_force(self.read(tenant), self.runtime.clock(), run_id=run_id, passed=passed)


def key_of(tenant: str | None) -> dict[str, dict[str, str]]:
    """Return the key of a tenant's breaker, of everyone's for None."""
    return {"account": {"S": ACCOUNT}, "window": {"S": _EVERYONE if tenant is None else f"{_TENANT}{tenant}"}}


def item_of(breaker: Breaker) -> dict[str, Any]:
    """Return the item that holds ``breaker``."""
    held = {"breaker": {"S": breaker.model_dump_json()}, "version": {"N": str(breaker.version)}}
    return key_of(breaker.tenant) | held


def breaker_of(item: Mapping[str, Any]) -> Breaker:
    """Return the breaker in an item. Raises ``SettingInvalid`` where somebody else wrote it."""
    try:
        return Breaker.model_validate_json(item["breaker"]["S"])
    except (KeyError, ValidationError) as problem:
        why = complaints(problem) if isinstance(problem, ValidationError) else "there is no attribute breaker"
        raise SettingInvalid(
            f"Budgets table (BUDGETS_TABLE): the item breaker / {item['window']['S']} is none of Ballast's: {why}. "
            "Delete it, and set the breaker with `ballast breaker`."
        ) from None
