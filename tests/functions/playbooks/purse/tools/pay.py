"""Pay out, in every way in which a tool may know, or not know, what became of it. A note counts what was paid."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ballast.contracts import RunRequest
from ballast.errors import RetryLater
from ballast.playbook import Approval, Change, RunSoFar, ToolContext, ToolFailed, Write, tool


class Pay(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Decimal
    customer: str = "C-1"
    how: Literal["well", "no", "lost", "nothing_done"] = "well"
    text: str = ""


class Payment(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_id: str


class Odd(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    what: Literal[
        "float", "text", "none", "true", "negative", "nan", "inf", "seven_decimals", "huge", "raises", "no_customer",
        "key_raises", "key_is_none", "fine",
    ]  # fmt: skip


def _once(args: Any, ctx: ToolContext, attribute: str, customer: str) -> Payment:
    write = {
        "Update": {
            "TableName": ctx.environ["NOTES_TABLE"],
            "Key": {"note_id": {"S": customer}},
            "UpdateExpression": f"ADD {attribute} :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    return ctx.write_once(
        table=ctx.environ["NOTES_TABLE"],
        key="note_id",
        result=Payment,
        attempt=lambda: Change(Payment(payment_id=ctx.idempotency_key), [write], "Changed."),
    )


def _pay(args: Pay, ctx: ToolContext) -> Payment:
    match args.how:
        case "no":
            raise ToolFailed("Not on Sundays.")
        case "lost":
            raise ConnectionError("connection reset")
        case "nothing_done":
            raise RetryLater("Somebody was in the way; nothing was written.")
    return _once(args, ctx, "writes", args.customer)


def _asks_above_100(args: Pay, _: RunRequest, run: RunSoFar) -> str | bool:
    already = run.customer.day
    return f"with {already} paid today it is above 100" if already + args.amount > 100 else False


@tool(
    effect=Write(
        undo="take_back",
        undo_arguments=lambda args, result: {"payment_id": result["payment_id"], "customer": args.customer},
        undo_gives_back=True,
        honours_key=True,
        repeat="allow",
        moves=lambda args, _: args.amount,
        moves_key=lambda args, _: args.customer,
    ),
    approval=Approval(if_=_asks_above_100),
)
def pay(args: Pay, ctx: ToolContext) -> Payment:
    """Pay; above 100 a day and customer a person approves."""
    return _pay(args, ctx)


@tool(
    effect=Write(
        undo="take_back",
        undo_arguments=lambda args, result: {"payment_id": result["payment_id"], "customer": args.customer},
        honours_key=True,
        repeat="allow",
        moves=lambda args, _: args.amount,
        moves_key=lambda args, _: args.customer,
    ),
)
def pay_freely(args: Pay, ctx: ToolContext) -> Payment:
    """Pay without anybody's approval; its undo gives nothing back to the windows."""
    return _pay(args, ctx)


@tool(effect=Write(repeat="allow", moves=lambda args, _: args.amount))
def pay_blindly(args: Pay, ctx: ToolContext) -> Payment:
    """Pay for nobody in particular; nothing can tell what a dead attempt did."""
    return _pay(args, ctx)


class TakeBack(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_id: str
    customer: str


@tool(effect=Write(honours_key=True))
def take_back(args: TakeBack, ctx: ToolContext) -> Payment:
    """Undo a payment."""
    return _once(args, ctx, "erasures", args.customer)


def _odd(args: Odd, _: RunRequest) -> Any:
    odd: dict[str, Any] = {
        "float": 1.5,
        "text": "1.50",
        "none": None,
        "true": True,
        "negative": Decimal("-0.01"),
        "nan": Decimal("NaN"),
        "inf": Decimal("Infinity"),
        "seven_decimals": Decimal("0.0000001"),
        "huge": Decimal("1E+999999"),
    }
    if args.what == "raises":
        raise KeyError("4111 1111 1111 1111")
    return odd.get(args.what, Decimal("1.50"))


def _odd_key(args: Odd, _: ToolContext) -> Any:
    if args.what == "no_customer":
        raise ToolFailed("There is no such customer.")
    if args.what == "key_raises":
        raise KeyError("4111 1111 1111 1111")
    return None if args.what == "key_is_none" else "C-9"


@tool(effect=Write(honours_key=True, repeat="allow", moves=_odd, moves_key=_odd_key))
def pay_oddly(args: Odd, ctx: ToolContext) -> Payment:
    """Pay, with a declaration that goes wrong."""
    return _once(args, ctx, "writes", "odd")
