"""The base of the playbook's models, and money.

Money is in US dollars: integer cents in the tables, exact ``Decimal`` in tools, text such as "40.00" in JSON.
"""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema


class Closed(BaseModel):
    """A frozen value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_TEXT = r"^[0-9]{1,7}\.[0-9]{2}$"


def _exact(value: object) -> Decimal:
    """Take ``"40.00"`` or a Decimal of whole cents; never a JSON number, which may be a float."""
    text = as_text(value) if isinstance(value, Decimal) else value
    if isinstance(text, str) and re.fullmatch(_TEXT, text):
        amount = Decimal(text)
        if not isinstance(value, Decimal) or amount == value:
            return amount
    raise ValueError('must be text with two decimals and no sign, such as "40.00"')


def as_text(amount: Decimal) -> str:
    """Return ``40.00`` for forty dollars."""
    return f"{amount:.2f}"


#: An amount of money, never negative, of whole cents, below ten million.
Amount = Annotated[
    Decimal,
    PlainValidator(_exact),
    PlainSerializer(as_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _TEXT, "examples": ["40.00"]}),
]


def from_cents(cents: int) -> Decimal:
    """Return 4000 cents as ``Decimal("40.00")``."""
    return Decimal(cents).scaleb(-2)


def to_cents(amount: Decimal) -> int:
    """Return ``Decimal("40.00")`` as 4000. The amount has whole cents, as ``Amount`` has."""
    return int(amount.scaleb(2))
