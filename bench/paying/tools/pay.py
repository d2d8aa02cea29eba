"""Pay a customer. A person approves what exceeds 100 a day and customer."""

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ballast.contracts import RunRequest
from ballast.playbook import Approval, Change, RunSoFar, ToolContext, ToolFailed, Write, tool

APPROVAL_ABOVE = Decimal(100)


class Pay(BaseModel):
    """Whom, and how much."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer: str
    amount: Decimal
    how: Literal["well", "no", "lost"] = "well"


class Paid(BaseModel):
    """What was paid."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_id: str


def _asks(args: Pay, _: RunRequest, run: RunSoFar) -> bool:
    return run.customer.day + args.amount > APPROVAL_ABOVE


@tool(
    effect=Write(
        undo="take_back",
        undo_arguments=lambda _, result: {"payment_id": result["payment_id"]},
        undo_gives_back=True,
        honours_key=True,
        repeat="allow",
        moves=lambda args, _: args.amount,
        moves_key=lambda args, _: args.customer,
    ),
    approval=Approval(if_=_asks),
)
def pay(args: Pay, ctx: ToolContext) -> Paid:
    """Pay once per key."""
    if args.how == "no":
        raise ToolFailed("The account is closed.")
    item = {"note_id": {"S": ctx.idempotency_key}, "amount": {"S": str(args.amount)}, "customer": {"S": args.customer}}
    put = {"Put": {"TableName": ctx.environ["NOTES_TABLE"], "Item": item}}
    return ctx.write_once(
        table=ctx.environ["NOTES_TABLE"],
        key="note_id",
        result=Paid,
        attempt=lambda: Change(Paid(payment_id=ctx.idempotency_key), [put], "Changed."),
    )


@tool(
    effect=Write(repeat="allow", moves=lambda args, _: args.amount, moves_key=lambda args, _: args.customer),
    approval=Approval(if_=_asks),
)
def pay_blindly(args: Pay, ctx: ToolContext) -> Paid:
    """Pay; where the answer is lost, nobody knows whether it happened."""
    item = {"note_id": {"S": ctx.idempotency_key}, "amount": {"S": str(args.amount)}, "customer": {"S": args.customer}}
    ctx.client("dynamodb").put_item(TableName=ctx.environ["NOTES_TABLE"], Item=item)
    if args.how == "lost":
        raise ConnectionError("the answer was lost")
    return Paid(payment_id=ctx.idempotency_key)


class TakeBack(BaseModel):
    """Which payment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_id: str


@tool(effect=Write(honours_key=True))
def take_back(args: TakeBack, ctx: ToolContext) -> Paid:
    """Undo a payment."""
    item = {"note_id": {"S": f"back#{args.payment_id}"}}
    put = {"Put": {"TableName": ctx.environ["NOTES_TABLE"], "Item": item}}
    return ctx.write_once(
        table=ctx.environ["NOTES_TABLE"],
        key="note_id",
        result=Paid,
        attempt=lambda: Change(Paid(payment_id=args.payment_id), [put], "Changed."),
    )
