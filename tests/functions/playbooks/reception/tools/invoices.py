"""Invoices, and refunds in a table. ``writes`` counts how often an invoice was really refunded."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ballast.playbook import Grounded, Read, ToolContext, Write, tool


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    order_id: Annotated[str, Field(pattern=r"^O-[0-9]+$"), Grounded()]


class Which(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    invoice: Annotated[str, Field(pattern=r"^inv-[0-9]+$"), Grounded()]


class Invoice(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    invoice: str


@tool(effect=Read())
def find_invoice(args: Order, ctx: ToolContext) -> Invoice:
    """Find the invoice of an order."""
    return Invoice(invoice=args.order_id.replace("O-", "inv-"))


def _change(ctx: ToolContext, invoice: str, what: str) -> None:
    """Count the change, and leave a marker, in one transaction; nothing where the marker is there."""
    marker, dynamodb, table = f"marker#{ctx.idempotency_key}", ctx.client("dynamodb"), ctx.environ["NOTES_TABLE"]
    if "Item" in dynamodb.get_item(TableName=table, Key={"note_id": {"S": marker}}, ConsistentRead=True):
        return
    update = {
        "TableName": table,
        "Key": {"note_id": {"S": invoice}},
        "UpdateExpression": f"ADD {what} :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    mark = {
        "TableName": table,
        "Item": {"note_id": {"S": marker}},
        "ConditionExpression": "attribute_not_exists(note_id)",
    }
    dynamodb.transact_write_items(TransactItems=[{"Put": mark}, {"Update": update}])


@tool(effect=Write(undo="cancel_refund", honours_key=True))
def refund_invoice(args: Which, ctx: ToolContext) -> Invoice:
    """Refund an invoice."""
    _change(ctx, args.invoice, "writes")
    return Invoice(invoice=args.invoice)


@tool(effect=Write(honours_key=True))
def cancel_refund(args: Which, ctx: ToolContext) -> None:
    """Take a refund back."""
    _change(ctx, args.invoice, "erasures")
