"""Stamps on notes. ``writes`` of a note counts them; what is on the note is its ``text``."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ballast.contracts import RunRequest
from ballast.playbook import Approval, RunSoFar, ToolContext, ToolFailed, Write, tool

#: More stamps than this a person approves.
FREE = 1


class Stamp(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    note_id: Annotated[str, Field(pattern=r"^n-[0-9]+$")]
    times: Annotated[int, Field(ge=1, le=100)] = 1


def _text(args: Stamp, ctx: ToolContext) -> dict[str, Any]:
    """What is on the note: somebody who approves a stamp has read it."""
    key = {"note_id": {"S": args.note_id}}
    item = ctx.client("dynamodb").get_item(TableName=ctx.environ["NOTES_TABLE"], Key=key, ConsistentRead=True)
    if "Item" in item and "burnt" in item["Item"]:
        raise ToolFailed("There is no such note any more.")
    return {"text": item.get("Item", {}).get("text", {}).get("S", "")}


def _put(args: Stamp, ctx: ToolContext) -> int:
    made = ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": args.note_id}},
        UpdateExpression="ADD writes :times",
        ExpressionAttributeValues={":times": {"N": str(args.times)}},
        ReturnValues="UPDATED_NEW",
    )
    return int(made["Attributes"]["writes"]["N"])


def _many(args: Stamp, _: RunRequest) -> str | bool:
    return f"{args.times} stamps are more than {FREE}" if args.times > FREE else False


def _not_odd(args: Stamp, _: RunRequest) -> str | None:
    return "times: must not be 13." if args.times == 13 else None


def _second(args: Stamp, _: RunRequest, run: RunSoFar) -> bool:
    return bool(run.done("stamp_often"))


@tool(
    effect=Write(undo="unstamp", honours_key=True),
    approval=Approval(if_=_many, precondition=_text),
    validate=_not_odd,
)
def stamp(args: Stamp, ctx: ToolContext) -> int:
    """Stamp a note."""
    return _put(args, ctx)


@tool(effect=Write(honours_key=True), approval=Approval(if_=_many, people=2))
def stamp_with_two(args: Stamp, ctx: ToolContext) -> int:
    """Stamp a note; two people look first."""
    return _put(args, ctx)


@tool(effect=Write(honours_key=True), approval=Approval(if_=_many, approvers="finance"))
def stamp_for_finance(args: Stamp, ctx: ToolContext) -> int:
    """Stamp a note; somebody of one group looks first."""
    return _put(args, ctx)


@tool(effect=Write(honours_key=True), approval=Approval(if_=_many, on_unanswered="fallback"))
def stamp_or_give_up(args: Stamp, ctx: ToolContext) -> int:
    """Stamp a note, or let somebody else go on."""
    return _put(args, ctx)


@tool(effect=Write(honours_key=True), approval=Approval(if_=_many, on_unanswered="park"))
def stamp_patiently(args: Stamp, ctx: ToolContext) -> int:
    """Stamp a note, however long people take."""
    return _put(args, ctx)


@tool(effect=Write(honours_key=True, repeat="allow"), approval=Approval(if_=_second))
def stamp_often(args: Stamp, ctx: ToolContext) -> int:
    """Stamp a note; a person approves what comes after the first."""
    return _put(args, ctx)


@tool(effect=Write(honours_key=True), offered=False)
def unstamp(args: Stamp, ctx: ToolContext) -> int:
    """Take stamps away."""
    return _put(args.model_copy(update={"times": -args.times}), ctx)
