"""The content of the tables in the local cloud: `ballast run`, `up`, `test` and the fixtures fill them with it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

ACCOUNTS = [("A-1001", "Mia Lang", "active"), ("A-1002", "Otto Berg", "active"), ("A-1003", "Ida Moor", "left")]
ACCESSES = [("A-1001", "wiki", "read")]


def seed_store(client: Any, environ: Mapping[str, str], *, today: date, seed: int) -> None:
    """Write the accounts and accesses. ``client`` is a DynamoDB client with all rights."""
    for account_id, owner, state in ACCOUNTS:
        item = {"account_id": {"S": account_id}, "owner": {"S": owner}, "state": {"S": state}}
        client.put_item(TableName=environ["ACCOUNTS_TABLE"], Item=item)
    for account_id, application, level in ACCESSES:
        item = {"access_id": {"S": f"{account_id}#{application}"}, "level": {"S": level}}
        client.put_item(TableName=environ["ACCESS_TABLE"], Item=item)
