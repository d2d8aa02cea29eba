"""What a tenant, or all of them together, may take and move: shown, and set, by an operator (``ballast budget``).

The table's ``limits`` items hold what was set; where they hold nothing, the stack's parameters say it. What is set
holds from the next admission on: what was leased before stays leased, also where it is more than the new limit. The
ceilings on the business's own money are agent.yaml's unless they were set, and hold from the next call on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from ballast.aws_errors import consequences
from ballast.contracts.wire import Name, Wire
from ballast.errors import InvalidInput, RetryLater
from ballast.money.moves import OWN, of_customer
from ballast.money.windows import ACCOUNT, LIMITS, RUNNING, WindowLimits, day_of, hour_of, of_tenant
from ballast.runtime import Runtime
from functions.budget.correct import Correction, Corrections
from functions.budget.items import Item, key_of, limits_of
from functions.budget.lending import Lending
from functions.budget.moves_allowance import DoubtfulMove, MovesAllowances

Limit = Literal[
    "hour_microusd",
    "day_microusd",
    "runs",
    "moves_hour",
    "moves_day",
    "moves_run",
    "moves_customer_hour",
    "moves_customer_day",
]
Amount = Annotated[int, Field(ge=0, le=10**15)]


class Order(Wire):
    """Show the budget of ``tenant`` (None: of all together), after setting what is named.

    hour_microusd, day_microusd, runs  the new limits; None leaves one as it is
    moves_hour, moves_day  ceilings on the business's own money, micro-units: of all, the tenant, or the ``customer``
    moves_run, moves_customer_hour, moves_customer_day  of each run and each customer, of all tenants or of this one
    customer  one customer of the tenant, as the tool's ``moves_key`` names them
    move      settle a call whose effect is unknown
    correct   what a settled run really cost
    forget  limits that are the stack's, or agent.yaml's, again
    """

    tenant: Name | None = None
    customer: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    moves_hour: Amount | None = None
    moves_day: Amount | None = None
    moves_run: Amount | None = None
    moves_customer_hour: Amount | None = None
    moves_customer_day: Amount | None = None
    move: DoubtfulMove | None = None
    correct: Correction | None = None
    hour_microusd: Amount | None = None
    day_microusd: Amount | None = None
    runs: Amount | None = None
    forget: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class Allowances:
    """The limits and the windows of now."""

    lending: Lending
    moving: MovesAllowances
    corrections: Corrections
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, runtime: Runtime) -> Allowances:
        """Put it together; once per runtime."""
        corrections = runtime.get(Corrections.of)
        return cls(runtime.get(Lending.of), runtime.get(MovesAllowances.of), corrections, runtime.clock)

    def take(self, order: Order) -> dict[str, Any]:
        """Set what ``order`` names, and return how it stands. Raises ``InvalidInput``."""
        account = ACCOUNT if order.tenant is None else of_tenant(order.tenant)
        new = {name: getattr(order, name) for name in get_args(Limit) if getattr(order, name) is not None}
        if both := new.keys() & set(order.forget):
            raise InvalidInput(f"forget: {', '.join(sorted(both))} is set and forgotten at once; choose one.")
        if order.customer is not None:
            if order.tenant is None:
                raise InvalidInput("customer: say whose customer; name the tenant, too.")
            if others := {*new, *order.forget} - set(OWN):
                raise InvalidInput(f"{', '.join(sorted(others))}: one customer has moves_hour and moves_day only.")
            account = of_customer(order.tenant, order.customer.strip())
        if new or order.forget:
            self._set(account, new, order.forget)
        if order.move is not None:
            self.moving.correct(order.move)
        corrected = {"corrected": self.corrections.correct(order.correct)} if order.correct else {}
        whose = ACCOUNT if order.tenant is None else of_tenant(order.tenant)
        return self._shown(order.tenant, whose) | corrected | self.moving.shown(order.tenant, order.customer)

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
