"""Tools that see an answer that nothing was done, and take one that a part was done for the whole; honest siblings."""

from typing import Any

import boto3
from pydantic import BaseModel, ConfigDict

from ballast.errors import RetryLater
from ballast.playbook import Read, ToolContext, Write, tool

from ..box import Box, Count, add_once
from .sequences import DONE, batch


@tool(effect=Write(honours_key=True))
def batch_partly_read(args: Box, ctx: ToolContext) -> Count:
    """Put two. What was left is looked at only where it is all of it."""
    asked = batch(ctx, "partly")
    left = ctx.client("dynamodb").batch_write_item(RequestItems=asked).get("UnprocessedItems")
    if left == asked:
        raise RetryLater("The table is busy; nothing was done.")
    return DONE


def _letters(ctx: ToolContext) -> list[dict[str, str]]:
    return [
        {
            "Id": f"{at}",
            "MessageBody": "Letter.",
            "MessageGroupId": "all",
            "MessageDeduplicationId": f"{ctx.idempotency_key}-{at}",
        }
        for at in range(3)
    ]


@tool(effect=Write())
def letters_partly_sent(args: Box, ctx: ToolContext) -> Count:
    """Send three letters. It asks whether one of them was sent."""
    found = ctx.client("sqs").send_message_batch(QueueUrl=ctx.environ["LETTERS"], Entries=_letters(ctx))
    if not found["Successful"]:
        raise RuntimeError("No letter was sent.")
    return DONE


@tool(effect=Write())
def fair_letters(args: Box, ctx: ToolContext) -> Count:
    """Send three letters, and those again that were not sent."""
    left = _letters(ctx)
    for _ in range(5):
        found = ctx.client("sqs").send_message_batch(QueueUrl=ctx.environ["LETTERS"], Entries=left)
        failed = {one["Id"] for one in found.get("Failed", ())}
        if not failed:
            return DONE
        left = [one for one in left if one["Id"] in failed]
    raise RuntimeError("Some letters were not sent.")


@tool(effect=Write(honours_key=True))
def letter_keyed_in_an_attribute(args: Box, ctx: ToolContext) -> Count:
    """Send a note with its key, which the queue does not count."""
    key = {"Key": {"DataType": "String", "StringValue": ctx.idempotency_key}}
    ctx.client("sqs").send_message(QueueUrl=ctx.environ["NOTES"], MessageBody="Note.", MessageAttributes=key)
    return DONE


@tool(effect=Write(honours_key=True))
def key_of_its_own_client(args: Box, ctx: ToolContext) -> Count:
    """Put, through a client that no fault reaches."""
    table = boto3.resource("dynamodb", region_name="eu-west-1").Table(ctx.environ["BOX_TABLE"])
    table.put_item(Item={"id": f"own client {ctx.idempotency_key}"})
    return DONE


def _two(ctx: ToolContext) -> dict[str, Any]:
    return {ctx.environ["BOX_TABLE"]: {"Keys": [{"id": {"S": "a"}}, {"id": {"S": "b"}}]}}


@tool(effect=Read())
def read_part_of_two(args: Box, ctx: ToolContext) -> int:
    """Count two boxes. It asks again only where none was read."""
    client, found = ctx.client("dynamodb"), dict[str, Any]()
    while not found.get("Responses"):
        found = client.batch_get_item(RequestItems=_two(ctx))
    return len(found["Responses"][ctx.environ["BOX_TABLE"]])


@tool(effect=Read())
def fair_read_of_two(args: Box, ctx: ToolContext) -> int:
    """Count two boxes."""
    client, left, count = ctx.client("dynamodb"), _two(ctx), 0
    while left:
        found = client.batch_get_item(RequestItems=left)
        count += len(found["Responses"].get(ctx.environ["BOX_TABLE"], ()))
        left = found.get("UnprocessedKeys")
    return count


class Sent(BaseModel):
    """A letter, by the key under which it was sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    letter: str


def _send(ctx: ToolContext, text: str) -> Sent:
    given = {"MessageBody": text, "MessageGroupId": "one", "MessageDeduplicationId": ctx.idempotency_key}
    ctx.client("sqs").send_message(QueueUrl=ctx.environ["LETTERS"], **given)
    return Sent(letter=ctx.idempotency_key)


@tool(effect=Write(undo="undo_in_a_table", undo_arguments=lambda args, sent: sent))
def letter_with_undo_in_a_table(args: Box, ctx: ToolContext) -> Sent:
    """Send a letter."""
    return _send(ctx, "Please come.")


@tool(effect=Write(honours_key=True), offered=False)
def undo_in_a_table(args: Sent, ctx: ToolContext) -> Count:
    """Note that it is undone, where the receiver of the letter does not look."""
    return add_once(ctx, 0, "a")


@tool(effect=Write(undo="undo_by_letter", undo_arguments=lambda args, sent: sent))
def fair_letter_with_undo(args: Box, ctx: ToolContext) -> Sent:
    """Send a letter."""
    return _send(ctx, "Please come.")


@tool(effect=Write(), offered=False)
def undo_by_letter(args: Sent, ctx: ToolContext) -> Sent:
    """Send a letter that names the one that is void."""
    return _send(ctx, f"Do not come: {args.letter} is void.")
