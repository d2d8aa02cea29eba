"""Put a store into the tables."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Any

from ..records.table import CUSTOMERS, ORDERS, REFUNDS, encode_item
from .generate import Store, generate

#: What one BatchWriteItem takes.
BATCH = 25
_ATTEMPTS = 8


class SeedIncomplete(Exception):
    """The tables took only a part of the store. Seeding again is safe: it writes the same items."""


def seed_store(
    client: Any,
    environ: Mapping[str, str],
    *,
    today: date,
    seed: int = 1,
    customers: int = 300,
    orders: int = 2_000,
) -> Store:
    """Make a store and put it into the tables that ``environ`` names; return what is there now.

    client   a boto3 client of DynamoDB that may write to the three tables
    environ  CUSTOMERS_TABLE, ORDERS_TABLE and REFUNDS_TABLE, as the executor has them
    """
    store = generate(seed, today=today, customers=customers, orders=orders)
    put_store(client, environ, store)
    return store


def put_store(
    client: Any, environ: Mapping[str, str], store: Store, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Write the whole store. Raises ``SeedIncomplete`` if the tables keep refusing."""
    writes = _writes(environ, store)
    while batch := list(islice(writes, BATCH)):
        _write(client, _by_table(batch), sleep)


def _writes(environ: Mapping[str, str], store: Store) -> Iterator[tuple[str, dict[str, Any]]]:
    for table, records in ((CUSTOMERS, store.customers), (ORDERS, store.orders), (REFUNDS, store.refunds)):
        name = table.name(environ)
        for record in records:
            yield name, {"PutRequest": {"Item": encode_item(record.model_dump(mode="json"))}}


def _by_table(writes: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, write in writes:
        tables.setdefault(name, []).append(write)
    return tables


def _write(client: Any, requests: dict[str, list[dict[str, Any]]], sleep: Callable[[float], None]) -> None:
    """Write one batch; what DynamoDB did not get round to is sent again, each time a little later."""
    for attempt in range(_ATTEMPTS):
        requests = client.batch_write_item(RequestItems=requests).get("UnprocessedItems") or {}
        if not requests:
            return
        sleep(0.05 * 2**attempt)
    left = sum(len(writes) for writes in requests.values())
    raise SeedIncomplete(
        f"{left} items were not taken after {_ATTEMPTS} attempts: the tables are throttled. Seed again later."
    )
