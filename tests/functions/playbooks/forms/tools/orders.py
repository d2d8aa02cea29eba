"""Tools whose form is larger than what is sent, and one that reads its arguments in another way each day."""

import os
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

from ballast.playbook import Approval, CallLimits, ToolContext, Write, tool

from .money import Closed


class Line(Closed):
    sku: str
    gift_message: str = "with our best wishes from all of us at the house"
    wrapping: str = "brown paper, folded, with a ribbon around it"
    note_to_packer: str | None = None
    insured: bool = False


class Order(Closed):
    lines: list[Line]


class Short(Closed):
    lines: list[Line]


class Tree(Closed):
    below: "tuple[Tree, ...]" = ()


class Count(Closed):
    n: int


class Paid(Closed):
    to: str
    day: Annotated[str, BeforeValidator(lambda value: value or os.environ.get("DAY_OF_TEST", "monday"))] = "never"


@tool(effect=Write(undo="take_order_back", honours_key=True, on_rollback="undo"), taint="allow")
def place_order(args: Order, ctx: ToolContext) -> dict[str, Any]:
    """Order."""
    return {"lines": len(args.lines)}


@tool(effect=Write(honours_key=True), taint="allow")
def take_order_back(args: Order, ctx: ToolContext) -> dict[str, Any]:
    """Take an order back."""
    return {"lines": len(args.lines)}


@tool(effect=Write(undo="take_short_order_back", honours_key=True, on_rollback="undo"), taint="allow")
def place_short_order(args: Short, ctx: ToolContext) -> dict[str, Any]:
    """Order, where only a short order can be taken back."""
    return {"lines": len(args.lines)}


@tool(effect=Write(honours_key=True), limits=CallLimits(argument_bytes=2_000), taint="allow")
def take_short_order_back(args: Short, ctx: ToolContext) -> dict[str, Any]:
    """Take a short order back."""
    return {"lines": len(args.lines)}


@tool(effect=Write(undo="prune", honours_key=True, on_rollback="undo"), taint="allow")
def plant(args: Tree, ctx: ToolContext) -> dict[str, Any]:
    """Plant."""
    return {}


@tool(effect=Write(honours_key=True), taint="allow")
def prune(args: Tree, ctx: ToolContext) -> dict[str, Any]:
    """Take it out again."""
    return {}


@tool(
    effect=Write(
        undo="count_back",
        undo_arguments=lambda args, result: {"n": {1: 10**120, 2: True, 3: "3", 4: Decimal(4)}[args.n]},
        honours_key=True,
        on_rollback="undo",
    ),
    taint="allow",
)
def count_up(args: Count, ctx: ToolContext) -> dict[str, Any]:
    """Count."""
    return {"n": args.n}


@tool(effect=Write(honours_key=True), taint="allow")
def count_back(args: Count, ctx: ToolContext) -> dict[str, Any]:
    """Count back."""
    return {"n": args.n}


@tool(effect=Write(honours_key=True), approval=Approval(if_=lambda args, _: args.to == "ann"), taint="allow")
def pay_on(args: Paid, ctx: ToolContext) -> dict[str, Any]:
    """Pay; without a day, on that of the process."""
    if args.to == "bob":
        raise RuntimeError("connection reset")
    return {"day": args.day}
