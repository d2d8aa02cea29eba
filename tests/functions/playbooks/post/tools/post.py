"""Mails that somebody else wrote, reads that change a text, and writes. ``writes`` of ``n-1`` counts what was done."""

import base64
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

from ballast.playbook import FreeText, Grounded, Read, ToolContext, ToolFailed, Untrusted, Write, tool


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Which(Closed):
    mail_id: Annotated[str, Grounded]
    goes: Literal["well", "badly", "wrong"] = "well"


class Mail(Closed):
    mail_id: str
    body: Annotated[str, Untrusted]


class Text(Closed):
    text: str
    how: Literal["as it is", "base64", "tidy", "fail", "break"] = "as it is"


class Parts(Closed):
    parts: tuple[str, ...]


class Two(Closed):
    a: int
    b: int


class Sum(Closed):
    total_usd: int


class Codes(Closed):
    codes: tuple[int, ...]


class Url(Closed):
    url: Annotated[str, Grounded]


class Unmarked(Closed):
    url: str


class Address(Closed):
    to: Annotated[str, Grounded]
    words: Annotated[str, FreeText] = ""


class Payment(Closed):
    amount_usd: Annotated[Decimal, Grounded]


class Entry(Closed):
    text: str


class Discount(Closed):
    percent: int
    days: int = 1


def _mail(ctx: ToolContext) -> str:
    item = ctx.client("dynamodb").get_item(TableName=ctx.environ["NOTES_TABLE"], Key={"note_id": {"S": "mail"}})
    return str(item["Item"]["text"]["S"])


def _count(ctx: ToolContext) -> None:
    ctx.client("dynamodb").update_item(
        TableName=ctx.environ["NOTES_TABLE"],
        Key={"note_id": {"S": "n-1"}},
        UpdateExpression="ADD writes :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


@tool(effect=Read())
def read_mail(args: Which, ctx: ToolContext) -> Mail:
    """Read a mail."""
    text = _mail(ctx)
    if args.goes == "badly":
        raise ToolFailed(f"This mail cannot be shown: {text}")
    if args.goes == "wrong":
        raise ValueError(f"cannot parse {text!r}")
    return Mail(mail_id=args.mail_id, body=text)


@tool(effect=Read())
def change_text(args: Text, ctx: ToolContext) -> dict[str, Any]:
    """Put a text into another form."""
    match args.how:
        case "base64":
            return {"text": base64.b64decode(args.text).decode()}
        case "tidy":
            return {"text": args.text.replace(" at ", "@").replace(" dot ", ".")}
        case "fail":
            raise ToolFailed(f"Not a text: {args.text}@evil.example")
        case "break":
            raise ValueError(args.text)
        case _:
            return {"text": args.text}


@tool(effect=Read())
def join_texts(args: Parts, ctx: ToolContext) -> str:
    """Put texts together."""
    return "".join(args.parts)


@tool(effect=Read())
def add(args: Two, ctx: ToolContext) -> Sum:
    """Add two numbers."""
    return Sum(total_usd=args.a + args.b)


@tool(effect=Read())
def spell(args: Codes, ctx: ToolContext) -> str:
    """Put characters together by their codes."""
    return "".join(map(chr, args.codes))


@tool(effect=Read(outward=True))
def open_page(args: Url, ctx: ToolContext) -> dict[str, Any]:
    """Open a page."""
    _count(ctx)
    return {"title": "A page"}


@tool(effect=Read(outward=True))
def ping(args: Unmarked, ctx: ToolContext) -> dict[str, Any]:
    """Call a webhook; its address has no mark."""
    _count(ctx)
    return {}


@tool(effect=Read())
def look_at(args: Url, ctx: ToolContext) -> dict[str, Any]:
    """Look at a page that we have kept."""
    return {"title": "A page"}


@tool(effect=Write(honours_key=True), taint="refuse")
def set_address(args: Address, ctx: ToolContext) -> str:
    """Set the address."""
    _count(ctx)
    return "done"


@tool(effect=Write(honours_key=True))
def pay(args: Payment, ctx: ToolContext) -> str:
    """Pay an amount."""
    _count(ctx)
    return "done"


@tool(effect=Write(honours_key=True))
def write_down(args: Entry, ctx: ToolContext) -> str:
    """Write something down; its text has no mark."""
    _count(ctx)
    return "done"


@tool(effect=Write(honours_key=True))
def set_discount(args: Discount, ctx: ToolContext) -> str:
    """Set a discount; its numbers have no mark."""
    _count(ctx)
    return "done"
