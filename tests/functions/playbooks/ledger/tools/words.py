"""Tools with narrow limits, and one whose rule looks back at the run. ``writes`` of ``n-8`` counts the printing."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ballast.contracts import RunRequest
from ballast.playbook import CallLimits, Read, RunSoFar, ToolContext, Write, tool

MOST_STARS = 10


class HowMany(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[int, Field(ge=0, le=100_000)]
    nested: bool = False


class Stars(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    stars: int


def _make(args: HowMany) -> dict[str, Any]:
    value: Any = "word"
    for _ in range(args.count if args.nested else 0):
        value = [value]
    return {"first": "n-8", "words": value if args.nested else ["word"] * args.count}


@tool(effect=Read(), limits=CallLimits(argument_bytes=40, result_bytes=1_000, depth=8))
def list_words(args: HowMany, ctx: ToolContext) -> dict[str, Any]:
    """List so many words."""
    return _make(args)


@tool(
    effect=Write(undo="erase_note", undo_arguments=lambda _, result: {"note_id": result["first"]}, repeat="allow"),
    limits=CallLimits(result_bytes=1_000),
)
def print_words(args: HowMany, ctx: ToolContext) -> dict[str, Any]:
    """Print so many words."""
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": "n-8"}},
        UpdateExpression="ADD writes :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    return _make(args)


def _not_too_many(args: Stars, _: RunRequest, run: RunSoFar) -> str | None:
    given = sum(call.result for call in run.done("give_stars"))
    return f"stars: {MOST_STARS - given} are left." if given + args.stars > MOST_STARS else None


@tool(effect=Write(honours_key=True, repeat="allow"), validate=_not_too_many)
def give_stars(args: Stars, ctx: ToolContext) -> int:
    """Give stars, ten a run at most."""
    return args.stars
