"""Tools with sensitive arguments and results."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from ballast.playbook import Approval, Change, Read, Sensitive, ToolContext, ToolFailed, Write, tool


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Whose(Closed):
    name: str


class Secret(Closed):
    pin: Annotated[str, Sensitive]
    hint: str


class Card(Closed):
    card_number: Annotated[str, Sensitive]
    note: str = ""


class Kept(Closed):
    card_number: Annotated[str, Sensitive]


@tool(effect=Read())
def look_into(args: Whose, ctx: ToolContext) -> Secret:
    """Read what the vault has."""
    return Secret(pin="93571-55", hint=f"The pin of {args.name} is theirs.")


@tool(effect=Write(honours_key=True), approval=Approval(if_=lambda args, _: args.note == "ask"))
def keep_card(args: Card, ctx: ToolContext) -> Kept:
    """Keep a card; whoever notes "ask" is asked about."""
    if args.note == "broken":
        raise ToolFailed(f"{args.card_number} is no card.")
    table = ctx.environ["ORDERS_TABLE"]
    item = {"order_id": {"S": f"card#{ctx.run_id}"}, "card": {"S": args.card_number}}
    put = {"Put": {"TableName": table, "Item": item}}
    return ctx.write_once(
        table=table,
        key="order_id",
        result=Kept,
        attempt=lambda: Change(result=Kept(card_number=args.card_number), writes=[put], conflict=""),
    )
