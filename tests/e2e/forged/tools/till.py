"""Tools that pay and take back. The table records what was done, in order."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, Change, Read, ToolContext, Write, tool


class Name(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


class Amount(Name):
    amount: int


def done(dynamodb: Any, table: str, name: str) -> list[str]:
    """Return what was done to that name, in order: ``pay 20``."""
    item = dynamodb.get_item(TableName=table, Key={"order_id": {"S": name}}, ConsistentRead=True).get("Item", {})
    return [one["S"] for one in item.get("done", {}).get("L", [])]


def _do(what: str, args: Amount, ctx: ToolContext) -> dict[str, str]:
    table = ctx.environ["ORDERS_TABLE"]
    update = {
        "TableName": table,
        "Key": {"order_id": {"S": args.name}},
        "UpdateExpression": "SET #done = list_append(if_not_exists(#done, :none), :this)",
        "ExpressionAttributeNames": {"#done": "done"},
        "ExpressionAttributeValues": {":none": {"L": []}, ":this": {"L": [{"S": f"{what} {args.amount}"}]}},
    }
    change = Change(result={"name": args.name}, writes=[{"Update": update}], conflict="")
    return ctx.write_once(table=table, key="order_id", result=dict[str, str], attempt=lambda: change)


@tool(effect=Read())
def look(args: Name, ctx: ToolContext) -> dict[str, str]:
    """Look up a name."""
    return {"name": args.name}


@tool(
    effect=Write(
        undo="take_back",
        undo_arguments=lambda args, _: {"name": args.name, "amount": args.amount},
        undo_gives_back=True,
        honours_key=True,
        moves=lambda args, _: Decimal(args.amount),
        moves_key=lambda args, _: args.name,
    ),
    approval=Approval(if_=lambda args, _: args.amount > 10),
)
def pay(args: Amount, ctx: ToolContext) -> dict[str, str]:
    """Pay; above 10 a person approves."""
    return _do("pay", args, ctx)


@tool(
    effect=Write(
        undo="take_back",
        undo_arguments=lambda args, _: {"name": args.name, "amount": args.amount},
        undo_gives_back=True,
        honours_key=True,
        moves=lambda args, _: Decimal(args.amount),
        moves_key=lambda args, _: args.name,
    ),
    approval=Approval(if_=lambda *_: True, people=2, approvers="finance", on_unanswered="park"),
)
def pay_by_finance(args: Amount, ctx: ToolContext) -> dict[str, str]:
    """Pay; two of finance approve."""
    return _do("pay", args, ctx)


@tool(effect=Write(honours_key=True), offered=False)
def take_back(args: Amount, ctx: ToolContext) -> dict[str, str]:
    """Take a payment back."""
    return _do("take_back", args, ctx)
