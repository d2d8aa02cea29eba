"""Money rules of a tool: the cost of a call, the business's own money that it moves, and the ceilings in
``agent.yaml``.

::

    @tool(
        effect=Write(
            undo="cancel_refund",
            undo_gives_back=True,                          # a successful undo returns the amount to the windows
            moves=lambda args, request: args.amount_usd,   # a Decimal, in the currency of agent.yaml
            moves_key=lambda args, ctx: args.customer_id,  # whose windows count it; may read, as a tool does
        ),
    )
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from ballast.contracts import RunRequest
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.masking import in_utf8
from ballast.money.amounts import MICRO, dollars, micro_dollars
from ballast.money.moves import Ceilings, micro_units
from ballast.playbook.context import is_microusd
from ballast.playbook.declaration import Read, Write
from ballast.playbook.rules import WrongReturn, require_result, run_rule
from ballast.values import dataclass

#: Micro-dollars, or a function of (arguments, request) that returns them.
Cost = int | Callable[[Any, RunRequest], int]


def checked_cost(cost: Cost | None, where: str) -> Cost | None:
    """Check a declared cost. ``where`` names the tool. Raises ``PlaybookInvalid``."""
    if cost is None or callable(cost) or is_microusd(cost):
        return cost
    raise PlaybookInvalid(
        f"{where}: cost_microusd is the worst case of a call in millionths of a US dollar, an integer of 0 or more, "
        f"or a function of (args, request) that returns one; not {cost!r}."
    )


def worst_cost(name: str, cost: Cost | None, args: Any, request: RunRequest) -> int | None:
    """Return the worst case of one call, None if the tool declares no cost.

    Raises ``RuleViolation`` if its function fails: a cost that cannot be reserved is not incurred.
    """
    if not callable(cost):
        return cost

    def said() -> int:
        worst: Any = cost(args, request)
        if isinstance(worst, int) and is_microusd(worst):
            return worst
        raise WrongReturn(worst, "an integer of micro-dollars, 0 or more")

    return run_rule(f"{name}: its cost is unknown because cost_microusd", said, cost, quoted=False)


_MAX_KEY = 256


def _ceiling(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value > 10**12):
        raise ValueError('write an amount as text, such as "500.00", or as a whole number')
    try:
        return micro_dollars(str(value))
    except InvalidInput:
        raise ValueError('is not an amount; write it as text, such as "500.00", with at most six decimals') from None


#: Micro-units; written in agent.yaml as text or a whole number of the currency.
Ceiling = Annotated[int, BeforeValidator(_ceiling), PlainSerializer(dollars, return_type=str, when_used="json")]


class CustomerCeilings(Wire):
    """Ceilings of one customer."""

    hour: Ceiling = 200 * MICRO
    day: Ceiling = 500 * MICRO


class TenantCeilings(Wire):
    """Ceilings of one tenant."""

    hour: Ceiling = 1_000 * MICRO
    day: Ceiling = 5_000 * MICRO


class AllCeilings(Wire):
    """Ceilings of all tenants together."""

    hour: Ceiling = 2_000 * MICRO
    day: Ceiling = 10_000 * MICRO


class MovesConfig(Wire):
    """``moves:`` of agent.yaml: ceilings on the money that tools move, in UTC hours and days. None can be switched off.

    currency  the currency of the tools' amounts
    on_full   if a window has no room: refuse the call, or ask a person, who still cannot exceed the ceiling unless an
              operator raises it (``ballast budget``)
    run       the most that one run may move
    customer, tenant, all  the most in an hour and in a day
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    on_full: Literal["refuse", "ask"] = "refuse"
    run: Ceiling = 200 * MICRO
    customer: CustomerCeilings = CustomerCeilings()
    tenant: TenantCeilings = TenantCeilings()
    all: AllCeilings = AllCeilings()

    @property
    def ceilings(self) -> Ceilings:
        """The ceilings, without operators' changes."""
        return Ceilings(
            run=self.run,
            customer_hour=self.customer.hour,
            customer_day=self.customer.day,
            tenant_hour=self.tenant.hour,
            tenant_day=self.tenant.day,
            all_hour=self.all.hour,
            all_day=self.all.day,
        )


@dataclass(frozen=True)
class Moves:
    """The checked ``moves`` of a tool.

    amount  (args, request) -> the amount: a Decimal or an integer of the currency, 0 or more
    key     (args, ctx) -> the customer whose windows count it; None if only the other windows do
    back    whether a successful undo returns the amount to the windows
    """

    amount: Callable[[Any, RunRequest], Any]
    key: Callable[[Any, Any], str] | None = None
    back: bool = False

    def micro(self, tool: str, args: Any, request: RunRequest) -> int:
        """Return the amount in micro-units. Raises ``RuleViolation`` if it cannot be computed."""
        what = f"{tool}: the amount that it moves is unknown because moves"

        def micro() -> int:
            return micro_units(require_result(self.amount(args, request), "a Decimal or an integer"))

        return run_rule(what, micro, self.amount, quoted=False)

    def customer(self, tool: str, args: Any, ctx: Any) -> str | None:
        """Return the customer's key. Raises ``WrongReturn`` for an unusable key, and any error of ``key``."""
        if self.key is None:
            return None
        key: object = self.key(args, ctx)
        if not isinstance(key, str) or not 0 < len(key.strip()) <= _MAX_KEY or key != in_utf8(key):
            raise WrongReturn(key, f"a text of 1 to {_MAX_KEY} characters of valid UTF-8")
        return key.strip()


def checked_moves(where: str, effect: Read | Write) -> Moves | None:
    """Check the money that a tool moves. ``where`` names the tool. Raises ``PlaybookInvalid``."""
    if isinstance(effect, Read):
        return None
    amount: object = effect.moves
    key: object = effect.moves_key
    if amount is None:
        if key is not None or effect.undo_gives_back:
            raise PlaybookInvalid(
                f"{where}: effect: moves_key and undo_gives_back need moves=lambda args, request: <Decimal>."
            )
        return None
    if not callable(amount) or not (key is None or callable(key)):
        raise PlaybookInvalid(
            f"{where}: effect.moves must be a function of (args, request), and effect.moves_key one of (args, ctx); "
            f"not {amount!r}, {key!r}."
        )
    if effect.undo_gives_back and effect.undo is None:
        raise PlaybookInvalid(f'{where}: effect: undo_gives_back=True needs undo="<the tool that undoes it>".')
    return Moves(amount, key, effect.undo_gives_back)
