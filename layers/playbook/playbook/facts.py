"""Facts of a request for the fallbacks: its order, and its vouched amount."""

import re
from decimal import Decimal

from pydantic import TypeAdapter, ValidationError

from ballast.contracts import RunRequest
from ballast.playbook import GiveUp

from .records.order import ORDER_ID
from .records.values import Amount

# A part of a longer word or number is no order number. ASCII, since Chinese has no spaces.
_IN_TEXT = re.compile(rf"(?<![\w-]){ORDER_ID}(?![\w-])", re.IGNORECASE | re.ASCII)
_AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Amount)


def vouched_amount(request: RunRequest) -> Decimal | None:
    """Return ``context.amount_usd``, or raise ``GiveUp`` where it is not an amount."""
    value = request.context.get("amount_usd")
    if value is None:
        return None
    try:
        return _AMOUNT.validate_python(value)
    except ValidationError:
        raise GiveUp('context.amount_usd is not an amount. Send text with two decimals, such as "40.00".') from None


def order_meant(request: RunRequest) -> str:
    """Return the order that the caller vouches for, else the only one that the text names.

    Raises ``GiveUp`` if there is none, or more than one.
    """
    vouched = request.context.get("order_id")
    if vouched is not None:
        if isinstance(vouched, str) and re.fullmatch(ORDER_ID, vouched):
            return vouched
        raise GiveUp("context.order_id is not an order number. It is written like O-1001.")
    named: list[str] = sorted({found.upper() for found in _IN_TEXT.findall(request.text)})
    if len(named) == 1:
        return named[0]
    if named:
        raise GiveUp(f"The text names {len(named)} orders ({', '.join(named)}). Ask the customer which one is meant.")
    raise GiveUp("Neither the context nor the text names an order. Ask the customer for its number.")
