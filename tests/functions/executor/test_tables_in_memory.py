"""The tables in memory do with what Powertools' idempotency and an escalation's opening ask what moto does."""

from collections.abc import Mapping
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from botocore.exceptions import ClientError

from ballast.errors import AttemptInProgress
from functions.executor.once import Once
from tests.functions.cloud import client
from tests.functions.stack import LambdaContext, LambdaDied, Stack
from tests.support.tables_in_memory import KEYS, Tables


class Both:
    """A client that asks moto and the tables in memory, and finds that they answer alike."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.exceptions = client("dynamodb").exceptions
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def ask(**parameters: Any) -> Any:
            self.asked.append(name)
            theirs, ours = (
                self._answer(client("dynamodb"), name, parameters),
                self._answer(self.tables, name, parameters),
            )
            assert _plain(theirs) == _plain(ours), (name, parameters)
            if isinstance(theirs, ClientError):
                raise theirs
            return theirs

        return ask

    @staticmethod
    def _answer(dynamodb: Any, name: str, parameters: Mapping[str, Any]) -> Any:
        try:
            return getattr(dynamodb, name)(**parameters)
        except ClientError as problem:
            return problem


def _plain(answer: Any) -> Any:
    if isinstance(answer, ClientError):
        return answer.response["Error"]["Code"], answer.response.get("Item")
    return {name: value for name, value in answer.items() if name in ("Item", "Items", "Count")}


def everything(table: str, both: Both) -> list[dict[str, Any]]:
    """Return what the table holds, the same in both."""
    theirs = client("dynamodb").scan(TableName=table)["Items"]
    assert sorted(map(str, map(sorted_items, theirs))) == sorted(map(str, map(sorted_items, both.tables.scan(table))))
    return list(theirs)


def sorted_items(item: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(item.items())


@pytest.fixture
def both(stack: Stack) -> Both:
    for table in ("idempotency", "escalations"):
        keys = [name for name in KEYS[table] if name]
        for item in client("dynamodb").scan(TableName=table)["Items"]:
            client("dynamodb").delete_item(TableName=table, Key={name: item[name] for name in keys})
    return Both()


@pytest.fixture
def once(both: Both) -> Once:
    return Once(DynamoDBPersistenceLayer(table_name="idempotency", boto3_client=both), "idempotency")  # type: ignore[arg-type]


def raising(problem: BaseException) -> Any:
    def effect() -> dict[str, Any]:
        raise problem

    return effect


def test_an_attempt_its_record_and_the_next_one(once: Once, both: Both) -> None:
    def nested() -> dict[str, Any]:
        with pytest.raises(AttemptInProgress):
            once.run("key-1", lambda: {"n": 2}, LambdaContext())
        return {"n": 1}

    assert once.run("key-1", nested, LambdaContext()) == {"n": 1}
    assert once.run("key-1", lambda: {"n": 3}, LambdaContext()) == {"n": 1}

    assert len(everything("idempotency", both)) == 1
    assert {"put_item", "update_item"} <= set(both.asked)


def test_an_attempt_that_failed_and_one_that_died(once: Once, both: Both) -> None:
    with pytest.raises(ValueError, match="no"):
        once.run("key-1", raising(ValueError("no")), LambdaContext())
    assert everything("idempotency", both) == []
    assert "delete_item" in both.asked

    with pytest.raises(LambdaDied):
        once.run("key-1", raising(LambdaDied()), LambdaContext(remaining_ms=60_000))
    with pytest.raises(AttemptInProgress):
        once.run("key-1", lambda: {"n": 1}, LambdaContext())
    with pytest.raises(LambdaDied):
        once.run("key-2", raising(LambdaDied()), LambdaContext(remaining_ms=-1))  # its lease is over
    assert once.run("key-2", lambda: {"n": 1}, LambdaContext()) == {"n": 1}

    assert len(everything("idempotency", both)) == 2


def test_an_escalation_that_is_opened_twice(stack: Stack, both: Both) -> None:
    class Session:
        def client(self, service: str, **_: Any) -> Any:
            return both if service == "dynamodb" else client(service)

    from ballast.runtime import Runtime

    run_id = stack.open()
    for event in client("dynamodb").scan(TableName="run-log")["Items"]:
        both.tables.put_item(TableName="run-log", Item=event)
    runtime = Runtime(stack.environs["open"], session=Session(), clock=stack.clock, stdout=stack.stdout)  # type: ignore[arg-type]
    task = {"run_id": run_id, "turn": 2, "kind": "escalation", "reason": "effect_unknown", "timeout_s": 60}

    for token in ("token-1", "token-2"):
        stack.invoke("open", task | {"task_token": token}, runtime=runtime)
        stack.clock.advance(5)

    (item,) = everything("escalations", both)
    assert item["task_token"] == {"S": "token-2"}
    assert item["opened_at"] != item["answer_by"]
