"""Changes the spend breaker: read, decide, write if nobody wrote in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ballast.aws_errors import consequences
from ballast.breaker import ACCOUNT, BreakerSettings, breaker_of, item_of, key_of
from ballast.errors import RetryLater
from ballast.metrics import metric_line
from ballast.money.breaker import Breaker, in_force
from ballast.runtime import Runtime

_ATTEMPTS = 5


@dataclass(frozen=True)
class Keeper:
    """Writes the breaker."""

    dynamodb: Any
    table: str
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Keeper:
        """Put it together; once per runtime."""
        return cls(runtime.client("dynamodb"), BreakerSettings.of(runtime).budgets_table, runtime)

    def change(self, tenant: str | None, change: Callable[[Breaker], Breaker]) -> Breaker:
        """Apply ``change`` to the tenant's breaker (None: everyone's), report its mode, and return it as it is then.

        ``change`` is called again where somebody else was quicker. Raises ``RetryLater``.
        """
        for _ in range(_ATTEMPTS):
            before = self._get(tenant)
            after = change(before)
            if after is before or self._put(after.model_copy(update={"version": before.version + 1}), before):
                if tenant is None:
                    self._report(after)
                return after
        raise RetryLater(f"{self._table}: the breaker keeps changing; try again.")

    def kept(self) -> tuple[Breaker, ...]:
        """Return every breaker that anybody ever set, everyone's first."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="account = :breaker",
            ExpressionAttributeValues={":breaker": {"S": ACCOUNT}},
        )
        with consequences(self._table):
            return tuple(breaker_of(item) for page in pages for item in page["Items"])

    def _get(self, tenant: str | None) -> Breaker:
        with consequences(self._table):
            found = self.dynamodb.get_item(TableName=self.table, Key=key_of(tenant), ConsistentRead=True)
        return breaker_of(found["Item"]) if "Item" in found else Breaker(tenant=tenant)

    def _put(self, breaker: Breaker, before: Breaker) -> bool:
        nobody_set_it_before = "attribute_not_exists(account)"
        as_it_was_read = "version = :seen"
        condition: dict[str, Any] = {"ConditionExpression": nobody_set_it_before}
        if before.version:
            condition = {
                "ConditionExpression": as_it_was_read,
                "ExpressionAttributeValues": {":seen": {"N": str(before.version)}},
            }
        with consequences(self._table):
            try:
                self.dynamodb.put_item(TableName=self.table, Item=item_of(breaker), **condition)
            except self.dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def _report(self, breaker: Breaker) -> None:
        """Report everyone's mode: 0 normal … 3 stopped. A tenant is no dimension: there is no bound to them."""
        force = in_force([breaker], self.runtime.clock())
        fields = {"mode": force.mode.value, "state": force.state, "by": force.by or ""}
        self.runtime.emit(metric_line({"BreakerMode": force.mode.level}, fields=fields))

    @property
    def _table(self) -> str:
        return f"Table {self.table} (BUDGETS_TABLE)"
