"""The generated store: deterministic, consistent, and what the tools expect to find."""

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playbook.store import SeedIncomplete, Store, generate, put_store, seed_store
from playbook.store.well_known import CUSTOMERS
from tests.functions.playbook.desk import ENVIRON, PLAYBOOK, TODAY, Desk

SMALL = {"customers": 12, "orders": 40}


def as_bytes(store: Store) -> bytes:
    records = (*store.customers, *store.orders, *store.refunds)
    return json.dumps([record.model_dump(mode="json") for record in records], sort_keys=True).encode()


@pytest.fixture(scope="module")
def full() -> Store:
    return generate(1, today=TODAY)


def test_the_full_store_has_a_few_hundred_customers_and_two_thousand_orders(full: Store) -> None:
    assert (len(full.customers), len(full.orders)) == (300, 2_000)
    assert len({customer.customer_id for customer in full.customers}) == 300
    assert len({customer.email for customer in full.customers}) == 300
    assert len({order.order_id for order in full.orders}) == 2_000
    assert len({refund.refund_id for refund in full.refunds}) == len(full.refunds)


def test_every_status_occurs_and_most_orders_are_delivered(full: Store) -> None:
    statuses = Counter(order.status for order in full.orders)

    assert set(statuses) == {"placed", "paid", "shipped", "delivered", "returned", "cancelled"}
    assert min(statuses.values()) >= 10
    assert statuses["delivered"] > 1_000


def test_the_tricky_cases_are_there(full: Store) -> None:
    names = Counter(customer.name for customer in full.customers)

    assert names["Maria Silva"] == 2
    assert any(not customer.name.isascii() for customer in full.customers)
    assert any(order.customer_note and not order.customer_note.isascii() for order in full.orders)
    assert any("SYSTEM" in (order.customer_note or "") for order in full.orders)


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import json, sys; from datetime import date; from playbook.store import generate;"
        "s = generate(7, today=date(2025, 6, 2), customers=12, orders=40);"
        "print(json.dumps([r.model_dump(mode='json') for r in (*s.customers, *s.orders, *s.refunds)], sort_keys=True))"
    )
    layers = PLAYBOOK.folder.parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PYTHONPATH": os.pathsep.join([str(layers / "ballast"), str(layers / "playbook")]),
            "PYTHONHASHSEED": "42",
        },
        capture_output=True,
        check=True,
    )

    assert done.stdout.strip() == as_bytes(generate(7, today=TODAY, **SMALL))


def test_another_seed_gives_another_store_with_the_same_well_known_entities() -> None:
    one, two = generate(1, today=TODAY, **SMALL), generate(2, today=TODAY, **SMALL)

    assert one.customers[: len(CUSTOMERS)] == two.customers[: len(CUSTOMERS)] == CUSTOMERS
    assert one.orders[:10] == two.orders[:10]
    assert one.orders[10:] != two.orders[10:]


def test_the_well_known_customers_buy_nothing_else(full: Store) -> None:
    known = {customer.customer_id for customer in CUSTOMERS}

    assert [order.order_id for order in full.orders if order.customer_id in known] == [
        f"O-{number}" for number in range(1001, 1011)
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(min_value=0), st.dates(min_value=date(2020, 1, 1), max_value=date(2035, 1, 1)))
def test_money_and_dates_reconcile_for_every_seed(seed: int, today: date) -> None:
    store = generate(seed, today=today, **SMALL)

    refunded = Counter[str]()
    for refund in store.refunds:
        refunded[refund.order_id] += refund.amount_cents
    customers = {customer.customer_id for customer in store.customers}
    for order in store.orders:
        assert order.customer_id in customers
        assert 1 <= len(order.lines) <= 5
        assert order.total_cents == sum(line.quantity * line.unit_cents for line in order.lines)
        assert order.paid_cents in (0, order.total_cents)
        assert (order.paid_cents == 0) == ("placed" in (order.status, order.cancelled_from))
        assert order.refunded_cents == refunded[order.order_id] <= order.paid_cents
        days = [order.placed_on, order.shipped_on, order.delivered_on, order.returned_on]
        known_days = [day for day in days if day is not None]
        assert known_days == sorted(known_days)
        assert known_days[-1] <= today
        reached = {"shipped": 2, "delivered": 3, "returned": 4}.get(order.status, 1)
        assert len(known_days) == reached
        assert (order.tracking_code is not None) == (order.shipped_on is not None)
        assert (order.cancelled_from is not None) == (order.status == "cancelled")


def test_a_store_smaller_than_what_is_well_known_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 customers and 10 orders"):
        generate(1, today=TODAY, customers=4, orders=10)


def test_seeding_fills_the_tables_and_seeding_again_changes_nothing(empty_desk: Desk) -> None:
    store = seed_store(empty_desk.client, ENVIRON, today=TODAY, seed=3, **SMALL)
    once = empty_desk.records()

    seed_store(empty_desk.client, ENVIRON, today=TODAY, seed=3, **SMALL)

    assert len(once) == len(store.customers) + len(store.orders) + len(store.refunds)
    assert empty_desk.records() == once


def test_every_record_of_the_store_can_be_read_by_the_tools(empty_desk: Desk) -> None:
    store = seed_store(empty_desk.client, ENVIRON, today=TODAY, seed=3, **SMALL)

    for order in store.orders:
        assert empty_desk.run("look_up_order", order_id=order.order_id)["status"] == order.status
    for customer in store.customers:
        seen = empty_desk.run("look_up_customer", email=customer.email)
        assert seen["customer_id"] == customer.customer_id


class Throttled:
    """DynamoDB that takes one item of each batch until it has refused often enough."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.taken = refusals, 0

    def batch_write_item(self, *, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # noqa: N803
        writes = [(table, write) for table, each in RequestItems.items() for write in each]
        assert len(writes) <= 25
        if self.refusals == 0:
            self.taken += len(writes)
            return {"UnprocessedItems": {}}
        self.refusals -= 1
        self.taken += 1
        rest: dict[str, list[Any]] = {}
        for table, write in writes[1:]:
            rest.setdefault(table, []).append(write)
        return {"UnprocessedItems": rest}


def test_items_that_were_not_taken_are_sent_again_later() -> None:
    waits: list[float] = []
    client, store = Throttled(refusals=3), generate(1, today=TODAY, customers=5, orders=10)

    put_store(client, ENVIRON, store, sleep=waits.append)

    assert client.taken == 5 + 10 + 2
    assert waits == [0.05, 0.1, 0.2]


def test_tables_that_keep_refusing_end_in_an_error_that_says_so() -> None:
    store = generate(1, today=TODAY, customers=5, orders=10)

    with pytest.raises(SeedIncomplete, match="9 items were not taken after 8 attempts"):
        put_store(Throttled(refusals=100), ENVIRON, store, sleep=lambda _: None)
