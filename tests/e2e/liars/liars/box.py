"""Boxes: a number each."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Change, ToolContext


class Box(BaseModel):
    """Which box."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = "a"


class Count(BaseModel):
    """A box's number."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    count: int


def part(ctx: ToolContext, box: str, **values: Any) -> dict[str, Any]:
    """Return an update that adds to the number of a box."""
    names = {f"#{name}": name for name in values}
    return {
        "TableName": ctx.environ["BOX_TABLE"],
        "Key": {"id": {"S": box}},
        "UpdateExpression": "ADD " + ", ".join(f"#{name} :{name}" for name in values),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":{name}": {"N": str(value)} for name, value in values.items()},
    }


def add(ctx: ToolContext, box: str, number: int = 1) -> None:
    """Add to a box, each time."""
    ctx.client("dynamodb").update_item(**part(ctx, box, count=number))


def count(ctx: ToolContext, box: str) -> int:
    """Read a box's number; 0 where there is none."""
    found = ctx.client("dynamodb").get_item(
        TableName=ctx.environ["BOX_TABLE"], Key={"id": {"S": box}}, ConsistentRead=True
    )
    return int(found["Item"]["count"]["N"]) if "Item" in found else 0


def add_once(ctx: ToolContext, number: int = 1, *boxes: str) -> Count:
    """Add once to each of the boxes."""

    def attempt() -> Change[Count]:
        result = Count(count=count(ctx, boxes[0]) + number)
        return Change(result=result, writes=[{"Update": part(ctx, one, count=number)} for one in boxes], conflict="no")

    return ctx.write_once(table=ctx.environ["BOX_TABLE"], key="id", result=Count, attempt=attempt)


def added(ctx: ToolContext) -> Count | None:
    """Return what this call has added; None for nothing."""
    return ctx.written_once(table=ctx.environ["BOX_TABLE"], key="id", result=Count)
