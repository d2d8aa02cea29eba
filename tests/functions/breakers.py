"""Set and read the spend breaker directly in its table."""

from datetime import datetime, timedelta

from ballast.breaker_reader import breaker_of, item_of, key_of
from ballast.money.breaker import Breaker, Mode, set_by_hand, tripped
from ballast.table import plain, wire
from tests.functions.cloud import client
from tests.functions.stack import Stack


def held(tenant: str | None = None) -> Breaker:
    """Return the breaker as it is kept; a closed one where there is none."""
    found = client("dynamodb").get_item(TableName="budgets", Key=wire(key_of(tenant)), ConsistentRead=True)
    return breaker_of(plain(found["Item"])) if "Item" in found else Breaker(tenant=tenant)


def keep(breaker: Breaker) -> None:
    """Put it in its table."""
    client("dynamodb").put_item(TableName="budgets", Item=wire(item_of(breaker)))


def by_hand(stack: Stack, mode: Mode, *, tenant: str | None = None, minutes: int | None = None) -> None:
    """Set the breaker as a person does."""
    duration = None if minutes is None else timedelta(minutes=minutes)
    keep(set_by_hand(held(tenant), mode, by="ann", reason="a test", now=stack.clock(), duration=duration))


def trip(stack: Stack, mode: Mode, cause: str = "an-alarm", *, now: datetime | None = None) -> None:
    """Trip everyone's breaker as an alarm does."""
    keep(tripped(held(), cause, mode, reason="a test", now=now or stack.clock()))
