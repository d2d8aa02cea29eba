"""Tools that go wrong in every way. ``writes`` of the note ``n-0`` counts how far they came."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Read, ToolContext, ToolFailed, Write, tool


class Trouble(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["none", "business", "bug", "wrong_type", "nan", "no_undo"]


def _come_so_far(ctx: ToolContext) -> None:
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": "n-0"}},
        UpdateExpression="ADD writes :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def _make(kind: str) -> Any:
    if kind == "business":
        raise ToolFailed("The shop is closed on Sundays.")
    if kind == "bug":
        raise ZeroDivisionError("division by zero")
    return {"wrong_type": "many", "nan": float("nan")}.get(kind, 1)


def _undo(args: Trouble, result: Any) -> dict[str, Any]:
    if args.kind == "no_undo":
        raise KeyError("receipt")
    return {"note_id": "n-0"}


@tool(effect=Read())
def trouble_reading(args: Trouble, ctx: ToolContext) -> float:
    """Read, with trouble."""
    _come_so_far(ctx)
    made: float = _make(args.kind)
    return made


@tool(effect=Write(undo="erase_note", undo_arguments=_undo))
def trouble_writing(args: Trouble, ctx: ToolContext) -> float:
    """Write, with trouble."""
    _come_so_far(ctx)
    made: float = _make(args.kind)
    return made
