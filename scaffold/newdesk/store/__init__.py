"""The content of the tables in the local cloud: `ballast run`, `up`, `test` and the fixtures fill them with it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from ..accounts import accounts_table

ACCOUNTS = [("A-1001", "Mia Lang", "active", 0), ("A-1002", "Otto Berg", "suspended", 14)]


def seed_store(client: Any, environ: Mapping[str, str], *, today: date, seed: int) -> None:
    """Write the accounts. ``client`` is a DynamoDB client with all rights; ``seed`` is that of `--seed`."""
    for account_id, owner, state, days in ACCOUNTS:
        item = {"account_id": {"S": account_id}, "owner": {"S": owner}, "state": {"S": state}, "days": {"N": str(days)}}
        client.put_item(TableName=accounts_table(environ), Item=item)
