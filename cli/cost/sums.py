"""Charges added up. Pure: integers of micro-dollars in, integers out, and every sum has the same total."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from cli.cost.charges import Charge

#: Stands for a completion that called no tool.
ANSWERING = "(answering)"


@dataclass(frozen=True)
class Sum:
    """What charges under one name come to; amounts in micro-dollars."""

    name: str
    count: int = 0
    reserved: int = 0
    charged: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, charge: Charge) -> "Sum":
        """Return the sum with one more charge."""
        return Sum(
            self.name,
            self.count + 1,
            self.reserved + charge.reserved,
            self.charged + charge.charged,
            self.input_tokens + charge.input_tokens,
            self.output_tokens + charge.output_tokens,
        )


def summed(charges: Iterable[Charge], by: Callable[[Charge], str]) -> list[Sum]:
    """Return one sum for each name, the dearest first."""
    sums: dict[str, Sum] = {}
    for charge in charges:
        name = by(charge)
        sums[name] = sums.get(name, Sum(name)).plus(charge)
    return sorted(sums.values(), key=lambda one: (-one.charged, one.name))


def by_tool(charges: Sequence[Charge]) -> list[Sum]:
    """Return what each tool cost: its own price, and its share of the model attempts that asked for it.

    A completion that calls several tools is split evenly among the calls; the first takes what does not divide.
    """
    return summed((part for charge in charges for part in _parts(charge)), lambda charge: charge.name)


def _parts(charge: Charge) -> list[Charge]:
    if charge.kind == "tool":
        return [charge]
    names = charge.tools or (ANSWERING if charge.outcome == "responded" else f"({charge.outcome})",)
    parts = []
    for position, name in enumerate(names):

        def share(amount: int, position: int = position) -> int:
            each, rest = divmod(amount, len(names))
            return each + (rest if position == 0 else 0)

        parts.append(
            replace(
                charge,
                name=name,
                reserved=share(charge.reserved),
                charged=share(charge.charged),
                input_tokens=share(charge.input_tokens),
                output_tokens=share(charge.output_tokens),
            )
        )
    return parts


def added(sums: Sequence[Sum]) -> Sum:
    """Return the sum of sums."""
    made = Sum("total")
    for one in sums:
        made = Sum(
            made.name,
            made.count + one.count,
            made.reserved + one.reserved,
            made.charged + one.charged,
            made.input_tokens + one.input_tokens,
            made.output_tokens + one.output_tokens,
        )
    return made


def total(charges: Iterable[Charge]) -> Sum:
    """Return the sum of all."""
    made = Sum("total")
    for charge in charges:
        made = made.plus(charge)
    return made
