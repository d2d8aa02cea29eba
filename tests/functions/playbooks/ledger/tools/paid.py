"""Tools that cost money. The note ``n-7`` counts how often they were really called."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ballast.errors import RetryLater
from ballast.playbook import Read, ToolContext, ToolFailed, Write, tool


class Pages(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    pages: Annotated[int, Field(ge=-1, le=1_000)]
    reports: list[int] = Field(default_factory=list)
    goes: str = "well"


def _call(args: Pages, ctx: ToolContext) -> int:
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": "n-7"}},
        UpdateExpression="ADD writes :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    for microusd in args.reports:
        ctx.report_cost(microusd)
    if args.goes == "badly":
        raise ToolFailed("No such page.")
    if args.goes == "nowhere":
        raise RetryLater("Come again.")
    return args.pages


def _worst(args: Pages, request: Any) -> int:
    if args.pages == 0:
        raise LookupError("no price for nothing")
    return 1_000 * args.pages


@tool(effect=Read(), cost_microusd=_worst)
def paid_search(args: Pages, ctx: ToolContext) -> int:
    """Search, for 1000 micro-dollars a page at most."""
    return _call(args, ctx)


@tool(effect=Write(honours_key=True, repeat="allow"), cost_microusd=5_000)
def paid_letter(args: Pages, ctx: ToolContext) -> int:
    """Send a letter, for 5000 micro-dollars at most."""
    return _call(args, ctx)


@tool(effect=Read())
def free_search(args: Pages, ctx: ToolContext) -> int:
    """Search for nothing; it may report a cost that it did not declare."""
    return _call(args, ctx)
