"""The shop's tables: items as plain values, strongly consistent reads, and writes that happen once.

The encoding is smaller than boto3's: every number is an integer, so nothing becomes a Decimal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from ballast.errors import SettingInvalid
from ballast.playbook import Change, ToolContext


def encode(value: Any) -> dict[str, Any]:
    """Return a string, integer, boolean, None, list or mapping as an attribute value."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, list | tuple):
        return {"L": [encode(each) for each in value]}
    if isinstance(value, Mapping):
        return {"M": {name: encode(each) for name, each in value.items()}}
    raise TypeError(f"{type(value).__name__} is not kept in the shop's tables.")


def decode(attribute: Mapping[str, Any]) -> Any:
    """Return an attribute value that ``encode`` wrote."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value)
        case "NULL":
            return None
        case "L":
            return [decode(each) for each in value]
        case "M":
            return {name: decode(each) for name, each in value.items()}
    raise TypeError(f"Attribute type {kind} is not used in the shop's tables.")


def encode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole item; what is None is left out."""
    return {name: encode(value) for name, value in item.items() if value is not None}


def decode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``encode_item`` wrote, without the attributes that were left out."""
    return {name: decode(attribute) for name, attribute in item.items()}


@dataclass(frozen=True)
class Table:
    """A table, by the environment variable that holds its name, and its partition key."""

    variable: str
    key: str

    def name(self, environ: Mapping[str, str]) -> str:
        """Return the table's name, or raise ``SettingInvalid``."""
        try:
            return environ[self.variable]
        except KeyError:
            raise SettingInvalid(
                f"Environment variable {self.variable} is missing: it names one of the shop's tables. "
                "Set it under ExecutorFunction's Environment in template.yaml."
            ) from None

    def get(self, ctx: ToolContext, key: str) -> dict[str, Any] | None:
        """Read the item ``key`` as it is now."""
        found = ctx.client("dynamodb").get_item(
            TableName=self.name(ctx.environ), Key={self.key: encode(key)}, ConsistentRead=True
        )
        return decode_item(found["Item"]) if "Item" in found else None

    def find(self, ctx: ToolContext, *, index: str, attribute: str, value: str) -> list[dict[str, Any]]:
        """Read all items with that ``attribute`` from the index, which may lag behind the table."""
        query = ctx.client("dynamodb").get_paginator("query")
        pages = query.paginate(
            TableName=self.name(ctx.environ),
            IndexName=index,
            KeyConditionExpression="#attribute = :value",
            ExpressionAttributeNames={"#attribute": attribute},
            ExpressionAttributeValues={":value": encode(value)},
        )
        return [decode_item(item) for page in pages for item in page["Items"]]

    def add(self, ctx: ToolContext, key: str, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of a transaction that writes a new item; it fails where ``key`` exists."""
        return self._update(ctx, key, to=item, only_if={}, condition="attribute_not_exists(#key)")

    def change(
        self, ctx: ToolContext, key: str, *, to: Mapping[str, Any], only_if: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the part of a transaction that sets the attributes ``to``.

        The item must exist and hold every value of ``only_if``, or the transaction fails.
        """
        it_exists = "attribute_exists(#key)"
        it_is_as_read = [f"#{name} = :if_{name}" for name in only_if]
        return self._update(ctx, key, to=to, only_if=only_if, condition=" AND ".join([it_exists, *it_is_as_read]))

    def _update(
        self, ctx: ToolContext, key: str, *, to: Mapping[str, Any], only_if: Mapping[str, Any], condition: str
    ) -> dict[str, Any]:
        # Always an Update, for new items as well: the executor's role then needs no right to
        # replace whole records.
        values = {f":to_{name}": encode(value) for name, value in to.items()}
        values |= {f":if_{name}": encode(value) for name, value in only_if.items()}
        return {
            "Update": {
                "TableName": self.name(ctx.environ),
                "Key": {self.key: encode(key)},
                "UpdateExpression": "SET " + ", ".join(f"#{name} = :to_{name}" for name in to),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#key": self.key, **{f"#{name}": name for name in (*to, *only_if)}},
                "ExpressionAttributeValues": values,
            }
        }


CUSTOMERS = Table("CUSTOMERS_TABLE", "customer_id")
ORDERS = Table("ORDERS_TABLE", "order_id")
REFUNDS = Table("REFUNDS_TABLE", "refund_id")


ResultT = TypeVar("ResultT", bound=BaseModel)

__all__ = ["Change", "exactly_once"]


def exactly_once(
    ctx: ToolContext, table: Table, result: type[ResultT], attempt: Callable[[], Change[ResultT]]
) -> ResultT:
    """Apply the change that ``attempt`` returns, unless this call was applied before.

    The marker is in ``table`` as ``marker#<idempotency key>``. Raises ``ToolFailed`` if somebody else
    changed the records in between, ``RetryLater`` if another transaction interfered. Other errors of
    AWS are not caught.
    """
    return ctx.write_once(table=table.name(ctx.environ), key=table.key, result=result, attempt=attempt)
