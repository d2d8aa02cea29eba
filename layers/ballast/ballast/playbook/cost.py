"""What a call of a tool costs: declared before it, so that it can be reserved, and reported after it.

::

    @tool(effect=Read(), cost_microusd=5_000)                         # the worst case of any call
    @tool(effect=Read(), cost_microusd=lambda args, request: 10 * args.pages)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ballast.contracts import RunRequest
from ballast.errors import PlaybookInvalid
from ballast.playbook.defect import Returned, ask

#: Micro-dollars, or a function of (arguments, request) that returns them.
Cost = int | Callable[[Any, RunRequest], int]


@dataclass
class Bill:
    """What one attempt at a call came to. The one thing in a tool's context that changes.

    begun     whether the tool itself was started
    reported  what it says that it cost; None where it says nothing
    """

    begun: bool = False
    reported: int | None = None

    def add(self, microusd: int) -> None:
        """Add to what the tool reports. Raises ``ValueError`` for anything but an integer of 0 or more."""
        if not _is_amount(microusd):
            raise ValueError(f"A cost is an integer of micro-dollars, 0 or more, not {microusd!r}.")
        self.reported = (self.reported or 0) + microusd


def checked_cost(cost: Cost | None, where: str) -> Cost | None:
    """Return what a tool declares. ``where`` names the tool. Raises ``PlaybookInvalid``."""
    if cost is None or callable(cost) or _is_amount(cost):
        return cost
    raise PlaybookInvalid(
        f"{where}: cost_microusd is the worst case of a call in millionths of a US dollar, an integer of 0 or more, "
        f"or a function of (args, request) that returns one; not {cost!r}."
    )


def worst_cost(name: str, cost: Cost | None, args: Any, request: RunRequest) -> int | None:
    """Return the worst case of one call, None where the tool declares no cost.

    Raises ``RuleViolation`` where its function cannot say: what cannot be reserved is not done.
    """
    if not callable(cost):
        return cost

    def said() -> int:
        worst: Any = cost(args, request)
        if isinstance(worst, int) and _is_amount(worst):
            return worst
        raise Returned(worst, "an integer of micro-dollars, 0 or more")

    return ask(f"{name}: what it would cost cannot be told; cost_microusd", said, cost, quoted=False)


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
