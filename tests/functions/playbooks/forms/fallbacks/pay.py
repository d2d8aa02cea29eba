"""A script that moves money, with the values that Python has."""

from datetime import date
from decimal import Decimal
from typing import Any

from ballast.playbook import fallback

from ..tools.money import Party, transfer

PAYER = Party.model_validate({"class": "ann", "_id": 9_007_199_254_740_993})


@fallback(intent="pay")
def pay(request: Any) -> Any:
    done = yield transfer.call(from_=PAYER, amount=Decimal("7.50"), on=date(2026, 1, 2), labels={"b", "a"})
    return f"Moved {done['amount']} from {done['from']['_id']}."
