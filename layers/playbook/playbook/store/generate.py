"""Make a store from a seed: pure, and the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from ..records.customer import Address, CustomerRecord
from ..records.order import LineRecord, OrderRecord, OrderStatus
from ..records.refund import RefundRecord
from . import well_known
from .catalogue import CATALOGUE

GIVEN = (
    "Aaliyah", "Ben", "Chiara", "Dmitri", "Eszter", "Fatima", "Georg", "Hana", "Íñigo", "Jamal", "Katarzyna", "Liam",
    "Mei", "Noor", "Oluwaseun", "Priya", "Quentin", "Renée", "Søren", "Thandiwe", "Uma", "Víctor", "Wanda", "Ximena",
    "Yuki", "Zsófia",
)  # fmt: skip

FAMILY = (
    "Adeyemi", "Bianchi", "Çelik", "Dubois", "Evans", "Fernández", "García", "Haddad", "Ivanov", "Jørgensen",
    "Kowalski", "López", "Müller", "Nguyễn", "O'Brien", "Patel", "Quigley", "Rossi", "Şahin", "Tanaka", "Usman",
    "Van den Berg", "Wójcik", "Xu", "Yılmaz", "Žižek",
)  # fmt: skip

STREETS = ("Main Street", "Oak Avenue", "Mill Lane", "Station Road", "Harbor Drive", "Church Street", "Elm Court")

#: city, start of the postal code, country
PLACES = (
    ("Portland", "041", "US"),
    ("Boston", "021", "US"),
    ("Seattle", "981", "US"),
    ("Duluth", "558", "US"),
    ("Halifax", "B3H ", "CA"),
    ("Hamburg", "204", "DE"),
    ("Gdańsk", "80-", "PL"),
    ("Łódź", "90-", "PL"),
    ("A Coruña", "150", "ES"),
)

CUSTOMER_NOTES = (
    "Please leave it with the neighbour at number 7.",
    "It is a present: no invoice in the box, please!",
    "Bitte nicht klingeln, das Baby schläft.",
    "Ring the bell twice 🔔🔔",
    "If the green one is out of stock, take the blue one.",
)

DESK_NOTES = ("Prefers e-mail.", "Calls back in the evening.", "Had a damaged parcel last year.", "Logbook member.")


_FIRST_NUMBER = 1001
_YEAR = 365


@dataclass(frozen=True)
class Store:
    """Everything that the three tables hold."""

    customers: tuple[CustomerRecord, ...]
    orders: tuple[OrderRecord, ...]
    refunds: tuple[RefundRecord, ...]


def generate(seed: int, *, today: date, customers: int = 300, orders: int = 2_000) -> Store:
    """Return a store of that many customers and orders, the well-known ones among them.

    ``today`` is the day on which the store is looked at; no date lies after it. Money
    reconciles: lines add up to the total, refunds to an order's ``refunded_cents``.
    Raises ``ValueError`` for fewer customers or orders than are well known.
    """
    known_orders, known_refunds = well_known.well_known_orders(today)
    more_customers, more_orders = customers - len(well_known.CUSTOMERS), orders - len(known_orders)
    if more_customers < 0 or more_orders < 0:
        raise ValueError(f"A store has at least {len(well_known.CUSTOMERS)} customers and {len(known_orders)} orders.")
    random = Random(seed)  # noqa: S311  made-up data, no secret
    people = (*well_known.CUSTOMERS, *_customers(random, more_customers, today))
    # The well-known customers buy nothing else, so that what a demo shows of them stays the same.
    buyers = people[len(well_known.CUSTOMERS) :] or people
    first = _FIRST_NUMBER + len(known_orders)
    bought = [_order(random, f"O-{first + n}", random.choice(buyers), today) for n in range(more_orders)]
    refunds = [well_known.refund_of(order, today) for order in bought if order.refunded_cents]
    return Store(people, (*known_orders, *bought), (*known_refunds, *refunds))


def _customers(random: Random, count: int, today: date) -> Iterator[CustomerRecord]:
    first = _FIRST_NUMBER + len(well_known.CUSTOMERS)
    for number in range(first, first + count):
        city, postal_code, country = random.choice(PLACES)
        yield CustomerRecord(
            customer_id=f"C-{number}",
            name=f"{random.choice(GIVEN)} {random.choice(FAMILY)}",
            email=f"customer{number}@example.com",
            phone=f"+1 555 {random.randrange(200, 1000)} {number:04d}" if random.random() < 0.7 else "",
            address=Address(
                street=f"{random.randrange(1, 250)} {random.choice(STREETS)}",
                city=city,
                postal_code=f"{postal_code}{random.randrange(10, 100)}",
                country=country,
            ),
            marketing_consent=random.random() < 0.4,
            notes=random.choice(DESK_NOTES) if random.random() < 0.15 else "",
            customer_since=(today - timedelta(days=random.randrange(_YEAR, 8 * _YEAR))).isoformat(),
        )


def _order(random: Random, order_id: str, customer: CustomerRecord, today: date) -> OrderRecord:
    lines = tuple(
        LineRecord(
            sku=product.sku,
            name=product.name,
            quantity=random.choice((1, 1, 1, 1, 2, 2, 3)),
            unit_cents=product.cents,
        )
        for product in random.sample(CATALOGUE, random.choice((1, 1, 1, 2, 2, 3, 4, 5)))
    )
    total_cents = sum(line.quantity * line.unit_cents for line in lines)
    history = _history(random, today)
    paid = history.status != "placed" and history.cancelled_from != "placed"
    return OrderRecord(
        order_id=order_id,
        customer_id=customer.customer_id,
        status=history.status,
        placed_on=history.placed_on,
        shipped_on=history.shipped_on,
        delivered_on=history.delivered_on,
        returned_on=history.returned_on,
        cancelled_from=history.cancelled_from,
        tracking_code=f"PW{random.randrange(10**7, 10**8)}" if history.shipped_on else None,
        lines=lines,
        total_cents=total_cents,
        paid_cents=total_cents if paid else 0,
        refunded_cents=_refunded(random, total_cents if paid else 0, history.status),
        customer_note=random.choice(CUSTOMER_NOTES) if random.random() < 0.05 else None,
    )


@dataclass(frozen=True)
class _History:
    """How far an order got, and when."""

    status: OrderStatus
    placed_on: date
    shipped_on: date | None = None
    delivered_on: date | None = None
    returned_on: date | None = None
    cancelled_from: OrderStatus | None = None


def _history(random: Random, today: date) -> _History:
    """Let an order of a random age go as far as its age allows."""
    # Squared, so that the recent past, which the desk deals with, is denser than the rest.
    placed = today - timedelta(days=int(_YEAR * random.random() ** 2))
    if random.random() < 0.05:
        return _History("cancelled", placed, cancelled_from=random.choice(("placed", "paid", "paid")))
    shipped = placed + timedelta(days=random.randint(1, 3))
    if shipped > today:
        return _History(random.choice(("placed", "paid", "paid", "paid")), placed)
    delivered = shipped + timedelta(days=random.randint(2, 9))
    if delivered > today:
        return _History("shipped", placed, shipped)
    returned = delivered + timedelta(days=random.randint(3, 30))
    if random.random() < 0.08 and returned <= today:
        return _History("returned", placed, shipped, delivered, returned)
    return _History("delivered", placed, shipped, delivered)


def _refunded(random: Random, paid_cents: int, status: OrderStatus) -> int:
    """Most of what came back or was cancelled is refunded; of the rest, a part now and then."""
    if status in ("returned", "cancelled"):
        return paid_cents if random.random() < 0.8 else 0
    if status == "delivered" and random.random() < 0.02:
        return paid_cents // 4
    return 0
