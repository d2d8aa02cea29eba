"""Refunds: the records of the refunds table."""

import hashlib
from base64 import b32encode
from datetime import date
from typing import Literal

from ballast.playbook import ToolContext, ToolFailed

from .customer import within_reach
from .table import REFUNDS
from .values import Closed

RefundReason = Literal["cancelled", "returned", "damaged", "wrong_item", "goodwill", "other"]


class RefundRecord(Closed):
    """An item of the refunds table. Refunds that are ``issued`` go to the bank at the end of the day."""

    refund_id: str
    order_id: str
    customer_id: str
    amount_cents: int
    reason: RefundReason
    status: Literal["issued", "cancelled"] = "issued"
    issued_on: date


def refund_id_of(idempotency_key: str) -> str:
    """Return the id of the refund that the call with this key issues: always the same."""
    digest = hashlib.sha256(idempotency_key.encode()).digest()
    return "R-" + b32encode(digest[:10]).decode("ascii")


def find_refund(ctx: ToolContext, refund_id: str) -> RefundRecord:
    """Read a refund, or raise ``ToolFailed`` if there is none within the request's reach."""
    item = REFUNDS.get(ctx, refund_id)
    if item is None or not within_reach(ctx.request, item["customer_id"]):
        raise ToolFailed(f"There is no refund {refund_id} here. refund_order returns the id of the refund it made.")
    return RefundRecord.model_validate(item)
