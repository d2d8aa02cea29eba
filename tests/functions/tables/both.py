"""A DynamoDB client that sends each request to moto and to the tables in memory, and compares the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from localcloud.moto_seams.dynamodb import emptied
from localcloud.moto_seams.imports import import_moto
from tests.support.attributes import Schema
from tests.support.dynamodb_client import answer_requests
from tests.support.tables_in_memory import PLATFORM, Tables

# Before any session: only sessions that are made later get moto's handler.
import_moto()

REGION = "eu-west-1"
Request = tuple[str, dict[str, Any]]
#: What is compared of an answer; moto leaves out the rest or says more of it.
_READ = ("Item", "Items", "Count", "ScannedCount", "LastEvaluatedKey", "Attributes", "Responses", "UnprocessedItems")


class Both:
    """Both have the platform's tables. To be made within ``mock_aws``."""

    def __init__(self) -> None:
        self.tables = Tables()
        session = boto3.Session("testing", "testing", region_name=REGION)
        answer_requests(session, lambda: self.tables)
        self.memory: Any = session.client("dynamodb")
        self.moto: Any = boto3.Session("testing", "testing", region_name=REGION).client("dynamodb")
        self.exceptions = self.moto.exceptions
        self.asked: list[str] = []
        for name, schema in PLATFORM.items():
            self.moto.create_table(**creation(name, schema))

    def empty(self, schemas: Mapping[str, Schema] = PLATFORM) -> None:
        """Take all items out of all tables, and whatever else the tables in memory remember."""
        self.tables = Tables(schemas=schemas)
        self.asked.clear()
        for name in schemas:
            emptied(REGION, name)

    def items(self, tables: Iterable[str] = PLATFORM) -> dict[str, list[Any]]:
        """Return all items, the same in both."""
        held = {name: self.memory.scan(TableName=name)["Items"] for name in tables}
        assert held == {name: self.moto.scan(TableName=name)["Items"] for name in tables}
        return held

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)

        def ask(**parameters: Any) -> Any:
            self.asked.append(method)
            theirs = _sent(self.moto, method, parameters)
            assert outcome(_sent(self.memory, method, parameters)) == outcome(theirs), (method, parameters)
            if isinstance(theirs, ClientError):
                raise theirs
            return theirs

        return ask


def creation(name: str, schema: Schema) -> dict[str, Any]:
    """Return a CreateTable's parameters."""
    attributes = sorted({key for keys in (schema.keys, *schema.indexes.values()) for key in keys if key})
    indexes = [
        {"IndexName": index, "KeySchema": _key_schema(keys), "Projection": {"ProjectionType": "ALL"}}
        for index, keys in schema.indexes.items()
    ]
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": key, "AttributeType": schema.types.get(key, "S")} for key in attributes
        ],
        "KeySchema": _key_schema(schema.keys),
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    }


def _key_schema(keys: tuple[str, str | None]) -> list[dict[str, str]]:
    return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=True) if key]


def _sent(client: Any, method: str, parameters: dict[str, Any]) -> Any:
    try:
        return getattr(client, method)(**parameters)
    except ClientError as problem:
        return problem


def outcome(answer: Any) -> Any:
    """Return what two answers have to have in common. Lists of Responses have no order."""
    if isinstance(answer, ClientError):
        found: Any = answer.response
        reasons = [(reason["Code"], reason.get("Item")) for reason in found.get("CancellationReasons", [])]
        status = found["ResponseMetadata"]["HTTPStatusCode"]
        return status, found["Error"]["Code"], type(answer).__name__, reasons, found.get("Item")
    read = {name: answer[name] for name in _READ if answer.get(name)}
    if "Responses" in read:
        read["Responses"] = {name: sorted(items, key=str) for name, items in read["Responses"].items()}
    return read


def answered(client: Any, request: Request) -> Any:
    """Return what came of a request."""
    return outcome(_sent(client, *request))


def s(value: str) -> dict[str, str]:
    """Return a text."""
    return {"S": value}


def n(value: str | int) -> dict[str, str]:
    """Return a number."""
    return {"N": str(value)}
