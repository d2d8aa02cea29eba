"""Notes in a table. ``writes`` counts how often a note was really written."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ballast.contracts import RunRequest
from ballast.playbook import Approval, Read, ToolContext, ToolFailed, Write, tool

NoteId = Annotated[str, Field(pattern=r"^n-[0-9]+$")]


class Which(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    note_id: NoteId


class Text(Which):
    text: Annotated[str, Field(max_length=100_000)]
    stars: Annotated[int, Field(ge=0, le=1_000)] = 0


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    note_id: str
    text: str
    price: Decimal = Decimal("1.50")
    written: date = date(2026, 1, 2)


def _get(ctx: ToolContext, key: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (
        ctx.client("dynamodb")
        .get_item(TableName=ctx.environ["NOTES_TABLE"], Key={"note_id": {"S": key}}, ConsistentRead=True)
        .get("Item")
    )
    return found


def _change(ctx: ToolContext, note_id: str, expression: str, values: dict[str, Any]) -> None:
    """Change the note and leave a marker, in one transaction; nothing where the marker is there."""
    marker, dynamodb, table = f"marker#{ctx.idempotency_key}", ctx.client("dynamodb"), ctx.environ["NOTES_TABLE"]
    if _get(ctx, marker):
        return
    update = {
        "TableName": table,
        "Key": {"note_id": {"S": note_id}},
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {"#text": "text"},
        "ExpressionAttributeValues": values,
    }
    mark = {
        "TableName": table,
        "Item": {"note_id": {"S": marker}},
        "ConditionExpression": "attribute_not_exists(note_id)",
    }
    dynamodb.transact_write_items(TransactItems=[{"Put": mark}, {"Update": update}])


def _not_rude(args: Text, request: RunRequest) -> str | None:
    return "text: must not be rude; say it kindly." if "rude" in args.text else None


@tool(effect=Read())
def read_note(args: Which, ctx: ToolContext) -> Note:
    """Read a note."""
    item = _get(ctx, args.note_id)
    if item is None or "text" not in item:
        raise ToolFailed("There is no such note.")
    return Note(note_id=args.note_id, text=item["text"]["S"])


@tool(
    effect=Write(
        undo="erase_note",
        undo_arguments=lambda args, _: {"note_id": args.note_id},
        honours_key=True,
        repeat="allow",
    ),
    approval=Approval(if_=lambda args, _: args.stars > 100),
    validate=_not_rude,
)
def write_note(args: Text, ctx: ToolContext) -> Note:
    """Write a note; with more than 100 stars a person approves."""
    _change(ctx, args.note_id, "SET #text = :text ADD writes :one", {":text": {"S": args.text}, ":one": {"N": "1"}})
    return Note(note_id=args.note_id, text=args.text)


@tool(effect=Write(honours_key=True))
def erase_note(args: Which, ctx: ToolContext) -> None:
    """Erase a note. Some notes are locked."""
    if args.note_id == "n-666":
        raise ToolFailed("The note is locked.")
    _change(ctx, args.note_id, "REMOVE #text ADD erasures :one", {":one": {"N": "1"}})
