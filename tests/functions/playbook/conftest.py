"""The example playbook on three tables in memory, filled with the well-known customers and orders."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import boto3
import pytest

from ballast.playbook import Playbook
from localcloud.sessions import core_session
from tests.functions.playbook.desk import ENVIRON, PLAYBOOK, TABLES, TODAY, Desk
from tests.functions.tables.forms import WATCH
from tests.support.dynamodb_client import answer_requests
from tests.support.tables_in_memory import Tables

SESSION = boto3.Session("testing", "testing", region_name="eu-west-1", botocore_session=core_session())
IN_MEMORY = Tables(schemas={})
answer_requests(SESSION, lambda: IN_MEMORY)
SESSION.events.register("before-parameter-build.dynamodb", WATCH)


@pytest.fixture
def playbook() -> Playbook:
    return PLAYBOOK


@pytest.fixture
def today() -> date:
    return TODAY


@pytest.fixture(scope="module")
def dynamodb() -> Any:
    # One client for a file's tests: to make one takes longer than most tests do.
    return SESSION.client("dynamodb")


@pytest.fixture
def empty_desk(dynamodb: Any) -> Iterator[Desk]:
    for table, key, index, attribute in TABLES:
        by_attribute: dict[str, Any] = {
            "IndexName": index,
            "KeySchema": [{"AttributeName": attribute, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in (key, attribute) if name],
            **({"GlobalSecondaryIndexes": [by_attribute]} if index else {}),
        )
    yield Desk(dynamodb)
    for table, *_ in TABLES:
        dynamodb.delete_table(TableName=table)


@pytest.fixture
def desk(empty_desk: Desk) -> Desk:
    from playbook.store import seed_store  # importable once load_playbook has run

    seed_store(empty_desk.client, ENVIRON, today=TODAY, customers=5, orders=10)
    return empty_desk
