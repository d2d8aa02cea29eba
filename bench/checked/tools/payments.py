"""A read, a write and a write that moves money, with the same arguments. None of them does anything."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ballast.contracts import RunRequest
from ballast.playbook import Grounded, Read, ToolContext, Write, tool


class Payment(BaseModel):
    """What to pay, for what, to whom."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_id: Annotated[str, Grounded] = Field(pattern=r"^O-[0-9]{4,6}$")
    amount_usd: Annotated[Decimal, Grounded] = Field(gt=0, max_digits=9, decimal_places=2)
    email: Annotated[str, Grounded] = Field(max_length=254)
    reason: str = Field(default="other", max_length=200)


class Paid(BaseModel):
    """What was paid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order_id: str
    amount_usd: Decimal


def _not_too_much(args: Payment, _: RunRequest) -> str | None:
    return "amount_usd: at most 100." if args.amount_usd > 100 else None


@tool(effect=Read(), validate=_not_too_much)
def quote_payment(args: Payment, ctx: ToolContext) -> Paid:
    """Say what a payment would come to."""
    return Paid(order_id=args.order_id, amount_usd=args.amount_usd)


@tool(effect=Write(honours_key=True, repeat="allow"), validate=_not_too_much)
def make_payment(args: Payment, ctx: ToolContext) -> Paid:
    """Make a payment."""
    return Paid(order_id=args.order_id, amount_usd=args.amount_usd)


@tool(
    effect=Write(
        honours_key=True,
        repeat="allow",
        moves=lambda args, _: args.amount_usd,
        moves_key=lambda args, _: args.email,
    ),
    validate=_not_too_much,
)
def pay_out(args: Payment, ctx: ToolContext) -> Paid:
    """Make a payment that the ceilings on the business's own money count."""
    return Paid(order_id=args.order_id, amount_usd=args.amount_usd)
