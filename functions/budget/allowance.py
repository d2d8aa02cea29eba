"""What a tenant, or all of them together, may take: shown, and set, by an operator (``ballast budget``).

The table's ``limits`` items hold what was set; where they hold nothing, the stack's parameters say it. What is set
holds from the next admission on: what was leased before stays leased, also where it is more than the new limit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from ballast.contracts.wire import Name, Wire
from ballast.errors import InvalidInput, RetryLater
from ballast.log.aws_errors import consequences
from ballast.money.windows import ACCOUNT, LIMITS, RUNNING, WindowLimits, day_of, hour_of, of_tenant
from ballast.runtime import Runtime
from functions.budget.items import Item, key_of, limits_of
from functions.budget.lending import Lending

Limit = Literal["hour_microusd", "day_microusd", "runs"]
Amount = Annotated[int, Field(ge=0, le=10**15)]


class Order(Wire):
    """Show the budget of ``tenant`` (None: of all together), after setting what is named.

    hour_microusd, day_microusd, runs  the new limits; None leaves one as it is
    forget  limits that are the stack's again
    """

    tenant: Name | None = None
    hour_microusd: Amount | None = None
    day_microusd: Amount | None = None
    runs: Amount | None = None
    forget: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class Allowances:
    """The limits and the windows of now."""

    lending: Lending
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> Allowances:
        """Put it together; once per runtime."""
        return cls(runtime.get(Lending.of), runtime.clock)

    def take(self, order: Order) -> dict[str, Any]:
        """Set what ``order`` names, and return how it stands. Raises ``InvalidInput``."""
        account = ACCOUNT if order.tenant is None else of_tenant(order.tenant)
        named = {"hour_microusd": order.hour_microusd, "day_microusd": order.day_microusd, "runs": order.runs}
        new = {name: value for name, value in named.items() if value is not None}
        if both := new.keys() & set(order.forget):
            raise InvalidInput(f"forget: {', '.join(sorted(both))} is set and forgotten at once; choose one.")
        if new or order.forget:
            self._set(account, new, order.forget)
        return self._shown(order.tenant, account)

    def _set(self, account: str, new: dict[str, int], forget: tuple[Limit, ...]) -> None:
        books = self.lending.books
        names = {f"#{name}": name for name in (*new, *forget)}
        change = f"SET {', '.join(f'#{name} = :{name}' for name in new)}" if new else ""
        if forget:
            change += f" REMOVE {', '.join(f'#{name}' for name in forget)}"
        update: dict[str, Any] = {"ExpressionAttributeNames": names, "UpdateExpression": change.strip()}
        if new:
            update["ExpressionAttributeValues"] = {f":{name}": {"N": str(value)} for name, value in new.items()}
        with consequences(books.transactions.resource):
            books.dynamodb.update_item(TableName=books.table, Key=key_of(account, LIMITS), **update)

    def _shown(self, tenant: str | None, account: str) -> dict[str, Any]:
        now = self.clock()
        hour, day = hour_of(now), day_of(now)
        found = self._read(account, (LIMITS, hour, day, RUNNING))
        default = self.lending.account if tenant is None else self.lending.each
        limits: WindowLimits = limits_of(found.get(LIMITS, {}), default)
        return {
            "tenant": tenant,
            "windows": [
                _window(hour, limits.hour_microusd, found.get(hour, {})),
                _window(day, limits.day_microusd, found.get(day, {})),
            ],
            "runs": {"limit": limits.runs, "now": _number(found.get(RUNNING, {}), "runs")},
            "set": sorted(name for name in ("hour_microusd", "day_microusd", "runs") if name in found.get(LIMITS, {})),
        }

    def _read(self, account: str, windows: tuple[str, ...]) -> dict[str, Item]:
        books = self.lending.books
        keys = [key_of(account, window) for window in windows]
        with consequences(books.transactions.resource):
            page = books.dynamodb.batch_get_item(RequestItems={books.table: {"Keys": keys, "ConsistentRead": True}})
        if page.get("UnprocessedKeys"):
            raise RetryLater(f"{books.transactions.resource} leaves windows unread; try again.")
        return {item["window"]["S"]: item for item in page["Responses"].get(books.table, [])}


def _window(name: str, limit: int, item: Item) -> dict[str, Any]:
    return {
        "window": name,
        "limit_microusd": limit,
        "taken_microusd": _number(item, "taken_microusd"),
        "settled_microusd": _number(item, "settled_microusd"),
    }


def _number(item: Item, name: str) -> int:
    return int(item[name]["N"]) if name in item else 0
