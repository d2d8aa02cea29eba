"""A counter that can be read, raised and lowered."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, Change, Read, ToolContext, Write, tool


class Name(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


class Amount(Name):
    by: int


def value_of(dynamodb: Any, table: str, name: str) -> int:
    """Return the counter's value."""
    item = dynamodb.get_item(TableName=table, Key={"order_id": {"S": name}}, ConsistentRead=True).get("Item", {})
    return int(item.get("value", {}).get("N", 0))


def _change(args: Amount, ctx: ToolContext, by: int) -> dict[str, int]:
    table, dynamodb = ctx.environ["ORDERS_TABLE"], ctx.client("dynamodb")

    def raised() -> Change[dict[str, int]]:
        update = {
            "TableName": table,
            "Key": {"order_id": {"S": args.name}},
            "UpdateExpression": "ADD #value :by",
            "ExpressionAttributeNames": {"#value": "value"},
            "ExpressionAttributeValues": {":by": {"N": str(by)}},
        }
        value = value_of(dynamodb, table, args.name) + by
        return Change(result={"value": value}, writes=[{"Update": update}], conflict="")

    return ctx.write_once(table=table, key="order_id", result=dict[str, int], attempt=raised)


@tool(effect=Read())
def read(args: Name, ctx: ToolContext) -> dict[str, int]:
    """Read a counter."""
    return {"value": value_of(ctx.client("dynamodb"), ctx.environ["ORDERS_TABLE"], args.name)}


@tool(effect=Write(undo="lower", honours_key=True, repeat="allow"), approval=Approval(if_=lambda args, _: args.by > 10))
def raise_by(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Raise a counter; by more than 10 a person approves."""
    return _change(args, ctx, args.by)


@tool(effect=Write(undo="lower", honours_key=True), approval=Approval(if_=lambda *_: True, on_unanswered="park"))
def raise_patiently(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Raise a counter, as long as a person may take to approve it."""
    return _change(args, ctx, args.by)


@tool(effect=Write(undo="lower", honours_key=True), approval=Approval(if_=lambda *_: True, on_unanswered="fallback"))
def raise_or_give_up(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Raise a counter; where nobody approves it, another planner goes on."""
    return _change(args, ctx, args.by)


@tool(effect=Write(honours_key=True, repeat="allow"))
def lower(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Lower a counter."""
    return _change(args, ctx, -args.by)
