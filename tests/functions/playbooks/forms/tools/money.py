"""Tools whose arguments have names, numbers and collections that JSON writes otherwise than Python does."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ballast.playbook import Approval, Grounded, Read, ToolContext, Write, tool


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Party(Closed):
    name: str = Field(alias="class")
    account: int = Field(alias="_id")


class Transfer(Closed):
    from_: Party = Field(alias="from")
    to: Party | None = None
    amount: Decimal
    on: date | None = None
    labels: set[str] = set()
    urgency: Literal["low", "high"] = "low"


class Charge(Closed):
    amount: float


class Rate(Closed):
    currency: Annotated[str, Grounded] = "USD"
    digits: Annotated[int, Grounded] = 2


class File(Closed):
    path: str
    content: str


def _done(args: BaseModel) -> Any:
    """Return what was done, as JSON: what the function was really given."""
    return args.model_dump(mode="json", by_alias=True)


@tool(
    effect=Write(undo="take_back", honours_key=True, repeat="once", on_rollback="undo"),
    approval=Approval(if_=lambda args, _: args.amount > 100),
    taint="allow",
)
def transfer(args: Transfer, ctx: ToolContext) -> dict[str, Any]:
    """Move money."""
    return dict(_done(args))


@tool(effect=Write(honours_key=True), taint="allow")
def take_back(args: Transfer, ctx: ToolContext) -> dict[str, Any]:
    """Move it back."""
    return dict(_done(args))


@tool(
    effect=Write(
        undo="take_back",
        undo_arguments=lambda args, result: {**args.model_dump(), "amount": Decimal(result["amount"]) / 2},
        honours_key=True,
        on_rollback="undo",
    ),
    taint="allow",
)
def transfer_for_half(args: Transfer, ctx: ToolContext) -> dict[str, Any]:
    """Move money, half of which comes back."""
    return dict(_done(args))


@tool(effect=Write(honours_key=True), approval=Approval(if_=lambda args, _: args.amount > 100), taint="allow")
def charge(args: Charge, ctx: ToolContext) -> float:
    """Charge a card."""
    return args.amount


@tool(effect=Write(honours_key=True, repeat="once"), taint="allow")
def write_file(args: File, ctx: ToolContext) -> str:
    """Write a file."""
    return args.content


@tool(effect=Read())
def look_up_rate(args: Rate, ctx: ToolContext) -> str:
    """Look up a rate."""
    return args.currency
