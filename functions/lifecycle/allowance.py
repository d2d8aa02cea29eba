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

from ballast.contracts.wire import Name, Wire
from ballast.errors import InvalidInput
from ballast.money.moves import OWN, of_customer
from ballast.money.windows import ACCOUNT, LIMITS, RUNNING, WindowLimits, day_of, hour_of, of_tenant
from ballast.runtime import Runtime
from ballast.table import Item, Update
from functions.lifecycle.correct import Correction, Corrections
from functions.lifecycle.items import key_of, limits_of
from functions.lifecycle.lending import Lending
from functions.lifecycle.moves_allowance import DoubtfulMove, MovesAllowances

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
        self.lending.books.table.write(Update(key_of(account, LIMITS), set=new, remove=forget))

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
            "runs": {"limit": limits.runs, "now": found.get(RUNNING, {}).get("runs", 0)},
            "set": sorted(name for name in ("hour_microusd", "day_microusd", "runs") if name in found.get(LIMITS, {})),
        }

    def _read(self, account: str, windows: tuple[str, ...]) -> dict[str, Item]:
        keys = [key_of(account, window) for window in windows]
        return {item["window"]: item for item in self.lending.books.table.batch_get(keys)}


def _window(name: str, limit: int, item: Item) -> dict[str, Any]:
    return {
        "window": name,
        "limit_microusd": limit,
        "taken_microusd": item.get("taken_microusd", 0),
        "settled_microusd": item.get("settled_microusd", 0),
    }
