"""Letters at up to 5000 micro-dollars: one tool for each way to tell what a dead attempt did, and one read.

The note ``n-7`` counts how often a tool was really run.
"""

from pydantic import BaseModel, ConfigDict, Field

from ballast.playbook import Read, ToolContext, ToolFailed, Write, tool


class Letter(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reports: list[int] = Field(default_factory=list)
    goes: str = "well"


def _send(args: Letter, ctx: ToolContext) -> int:
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": "n-7"}},
        UpdateExpression="ADD writes :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    for microusd in args.reports:
        ctx.report_cost(microusd)
    if args.goes == "badly":
        raise ToolFailed("No such address.")
    return 1


def _sent(args: Letter, ctx: ToolContext) -> int | None:
    found = ctx.client("dynamodb").get_item(TableName=ctx.environ["NOTES_TABLE"], Key={"note_id": {"S": "n-7"}})
    return 1 if "Item" in found else None


@tool(effect=Write(honours_key=True, undo="recall"), cost_microusd=5_000)
def by_key(args: Letter, ctx: ToolContext) -> int:
    """Send a letter under a key."""
    return _send(args, ctx)


@tool(effect=Write(verify=_sent), cost_microusd=5_000)
def verified(args: Letter, ctx: ToolContext) -> int:
    """Send a letter that can be found."""
    return _send(args, ctx)


@tool(effect=Write(), cost_microusd=5_000)
def blindly(args: Letter, ctx: ToolContext) -> int:
    """Send a letter that nobody can find."""
    return _send(args, ctx)


@tool(effect=Write(honours_key=True))
def undeclared(args: Letter, ctx: ToolContext) -> int:
    """Send a letter, which may report a cost that was not declared."""
    return _send(args, ctx)


@tool(effect=Write(honours_key=True), cost_microusd=5_000)
def recall(args: Letter, ctx: ToolContext) -> int:
    """Call a letter back."""
    return _send(args, ctx)


@tool(effect=Read(), cost_microusd=5_000)
def look_up(args: Letter, ctx: ToolContext) -> int:
    """Look an address up."""
    return _send(args, ctx)
