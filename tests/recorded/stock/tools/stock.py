"""Count, add, write off and order goods. Every item's number is in the orders table."""

import base64
import hashlib
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, CallLimits, Change, Read, ToolContext, Write, tool

#: Raised by a connection that breaks once the goods are ordered, and once more while that is verified.
BROKEN = "the connection broke"


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(Closed):
    item: str


class Amount(Item):
    by: int


class Order(Item):
    amount_eur: Decimal


class Catalogue(Closed):
    chars: int


def stock_of(dynamodb: Any, table: str, item: str) -> int:
    """Return how many there are."""
    found = dynamodb.get_item(TableName=table, Key={"order_id": {"S": item}}, ConsistentRead=True).get("Item", {})
    return int(found.get("stock", {}).get("N", 0))


def _in_stock(args: Any, ctx: ToolContext) -> int:
    return stock_of(ctx.client("dynamodb"), ctx.environ["ORDERS_TABLE"], args.item)


def _changed(args: Amount, ctx: ToolContext, by: int) -> dict[str, int]:
    table = ctx.environ["ORDERS_TABLE"]

    def attempt() -> Change[dict[str, int]]:
        update = {
            "TableName": table,
            "Key": {"order_id": {"S": args.item}},
            "UpdateExpression": "ADD stock :by",
            "ExpressionAttributeValues": {":by": {"N": str(by)}},
        }
        return Change(result={"stock": _in_stock(args, ctx) + by}, writes=[{"Update": update}], conflict="")

    return ctx.write_once(table=table, key="order_id", result=dict[str, int], attempt=attempt)


@tool(effect=Read())
def count(args: Item, ctx: ToolContext) -> dict[str, int]:
    """Count an item."""
    return {"stock": _in_stock(args, ctx)}


@tool(effect=Read(), cost_microusd=2_000)
def appraise(args: Item, ctx: ToolContext) -> dict[str, str]:
    """Have an item appraised, which costs money."""
    ctx.report_cost(1_500)
    return {"worth_eur": "12.50"}


@tool(effect=Read(), limits=CallLimits(result_bytes=200_000))
def catalogue(args: Catalogue, ctx: ToolContext) -> str:
    """Read the catalogue, which is long."""
    blocks = (hashlib.sha256(f"page {page}".encode()).digest() for page in range(-(-args.chars // 43)))
    return b"".join(base64.b64encode(block)[:43] for block in blocks).decode()[: args.chars]


@tool(
    effect=Write(undo="remove", honours_key=True, repeat="allow"),
    approval=Approval(if_=lambda args, _: args.by > 10),
)
def add(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Add to the stock; of more than 10 a person approves."""
    return _changed(args, ctx, args.by)


@tool(effect=Write(honours_key=True, repeat="allow"), offered=False)
def remove(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Take from the stock."""
    return _changed(args, ctx, -args.by)


@tool(
    effect=Write(honours_key=True),
    approval=Approval(if_=lambda *_: "nothing brings it back", precondition=_in_stock),
)
def write_off(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Write goods off, as long as the stock is what a person saw."""
    return _changed(args, ctx, -args.by)


@tool(effect=Write(honours_key=True), approval=Approval(if_=lambda *_: "two people decide that", people=2))
def scrap(args: Amount, ctx: ToolContext) -> dict[str, int]:
    """Scrap goods; two people approve."""
    return _changed(args, ctx, -args.by)


def _ordered(args: Order, ctx: ToolContext) -> dict[str, str] | None:
    """Return what was ordered, None where nothing was; the first question of each call breaks."""
    table = ctx.environ["ORDERS_TABLE"]
    asked = ctx.client("dynamodb").update_item(
        TableName=table,
        Key={"order_id": {"S": ctx.idempotency_key}},
        UpdateExpression="ADD asked :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    if asked["asked"]["N"] == "1":
        raise ConnectionError(BROKEN)
    return {"order": ctx.idempotency_key} if "ordered" in asked else None


@tool(effect=Write(verify=_ordered, moves=lambda args, _: args.amount_eur))
def order_goods(args: Order, ctx: ToolContext) -> dict[str, str]:
    """Order goods."""
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["ORDERS_TABLE"],
        Key={"order_id": {"S": ctx.idempotency_key}},
        UpdateExpression="SET ordered = :item",
        ExpressionAttributeValues={":item": {"S": args.item}},
    )
    raise ConnectionError(BROKEN)
