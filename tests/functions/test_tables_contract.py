"""The tables in memory answer as moto's DynamoDB does: the same answers and errors, whatever comes in whatever order.

The requests have the forms that the functions and Powertools send. After each sequence both hold the same items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from local.moto_seams.imports import import_moto
from tests.functions.cloud import _INDEXES, _TABLES, _schema
from tests.support.tables_in_memory import Tables, answer_requests

import_moto()
NAMES = ("run-log", "budgets", "escalations", "idempotency")
Request = tuple[str, dict[str, Any]]

few = st.sampled_from
texts = few(["a", "b", "ab", "é", "b0"])
numbers = st.integers(-3, 120).map(str)
moments = few(["2026-03-01T12", "2026-03-01T13", "2026-03-02T00"])


def s(value: str) -> dict[str, str]:
    return {"S": value}


def n(value: str | int) -> dict[str, str]:
    return {"N": str(value)}


keys = {
    "run-log": st.builds(lambda a, b: {"run_id": s(a), "seq": s(b)}, texts, texts),
    "budgets": st.builds(lambda a, b: {"account": s(a), "window": s(b)}, texts, texts),
    "escalations": st.builds(lambda a: {"escalation_id": s(a)}, texts),
    "idempotency": st.builds(lambda a: {"id": s(a)}, texts),
}
more = {
    "run-log": st.fixed_dictionaries(
        {"at": moments.map(s), "body": st.binary(max_size=3).map(lambda value: {"B": value})},
        optional={
            "tenant": texts.map(s),
            "outcome": texts.map(s),
            "flag": st.booleans().map(lambda value: {"BOOL": value}),
        },
    ),
    "budgets": st.fixed_dictionaries(
        {"status": few(["held", "settled"]).map(s), "leased_microusd": numbers.map(n)},
        optional={
            "held": few(["s1", "s2"]).map(s),
            "look_at": moments.map(s),
            "runs": numbers.map(n),
            "parts": st.dictionaries(few(["0000", "0001"]), numbers.map(lambda x: {"M": {"microusd": n(x)}})).map(
                lambda value: {"M": value}
            ),
            "version": numbers.map(n),
        },
    ),
    "escalations": st.fixed_dictionaries(
        {"status": few(["open", "answered"]).map(s), "kind": few(["approval", "question"]).map(s)},
        optional={
            "opened_at": moments.map(s),
            "due": few(["yes", "no"]).map(s),
            "due_at": moments.map(s),
            "tenant": texts.map(s),
            "answers": numbers.map(n),
            "given": st.lists(texts.map(s), max_size=2).map(lambda value: {"L": value}),
        },
    ),
    "idempotency": st.fixed_dictionaries(
        {"status": few(["INPROGRESS", "COMPLETED"]).map(s), "expiration": numbers.map(n)},
        optional={
            "in_progress_expiration": numbers.map(n),
            "data": texts.map(s),
            "state": few(["open", "half_open"]).map(s),
        },
    ),
}


def put(table: str, condition: str | None = None, values: Any = None, **extra: Any) -> st.SearchStrategy[Request]:
    """Return puts into a table, under a condition with the given values."""

    def made(key: dict[str, Any], attributes: dict[str, Any], given: dict[str, Any]) -> Request:
        request = {"TableName": table, "Item": key | attributes, **extra}
        if condition is not None:
            request["ConditionExpression"] = condition
        if given:
            request["ExpressionAttributeValues"] = given
        return "put_item", request

    return st.builds(made, keys[table], more[table], st.fixed_dictionaries(values or {}))


def change(table: str, text: str, values: Any = None, condition: str = "", **extra: Any) -> st.SearchStrategy[Request]:
    """Return updates of a table."""

    def made(key: dict[str, Any], given: dict[str, Any]) -> Request:
        request = {"TableName": table, "Key": key, "UpdateExpression": text, **extra}
        request |= {"ConditionExpression": condition} if condition else {}
        return "update_item", request | ({"ExpressionAttributeValues": given} if given else {})

    return st.builds(made, keys[table], st.fixed_dictionaries(values or {}))


def query(table: str, text: str, values: Any, **extra: Any) -> st.SearchStrategy[Request]:
    """Return queries, with and without a limit, forwards and backwards."""
    options = st.fixed_dictionaries({}, optional={"Limit": st.integers(1, 3), "ScanIndexForward": st.booleans()})

    def made(given: dict[str, Any], chosen: dict[str, Any]) -> Request:
        request = {"TableName": table, "KeyConditionExpression": text, "ExpressionAttributeValues": given}
        return "query", request | chosen | extra

    return st.builds(made, st.fixed_dictionaries(values), options)


STATUS = {"ExpressionAttributeNames": {"#status": "status"}}
OLD = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
POWERTOOLS = (
    "attribute_not_exists(#id) OR #expiry < :now OR (#status = :inprogress AND attribute_exists(#in_progress_expiry) "
    "AND #in_progress_expiry < :now_in_millis)"
)
CIRCUIT = (
    "(#state = :open AND attribute_not_exists(#owner) AND #expiry = :expected) "
    "OR (#state = :half_open AND #expiry <= :now)"
)
FORMS: list[st.SearchStrategy[Request]] = [
    put("run-log"),
    put("run-log", "attribute_not_exists(run_id)", **OLD),
    put("budgets"),
    put("budgets", "version = :seen", {":seen": numbers.map(n)}),
    put("escalations"),
    put("idempotency"),
    put(
        "idempotency",
        POWERTOOLS,
        {":now": numbers.map(n), ":inprogress": st.just(s("INPROGRESS")), ":now_in_millis": numbers.map(n)},
        ExpressionAttributeNames={
            "#id": "id",
            "#expiry": "expiration",
            "#status": "status",
            "#in_progress_expiry": "in_progress_expiration",
        },
        **OLD,
    ),
    put(
        "idempotency",
        CIRCUIT,
        {
            ":open": st.just(s("open")),
            ":half_open": st.just(s("half_open")),
            ":expected": numbers.map(n),
            ":now": numbers.map(n),
        },
        ExpressionAttributeNames={"#state": "state", "#owner": "data", "#expiry": "expiration"},
    ),
    change(
        "budgets",
        "SET look_at = :until",
        {":until": moments.map(s), ":shard": few(["s1", "s2"]).map(s)},
        "held = :shard",
    ),
    change(
        "budgets",
        "SET #status = :settled REMOVE held, look_at",
        {":settled": st.just(s("settled")), ":held": st.just(s("held")), ":leased": numbers.map(n)},
        "#status = :held AND leased_microusd = :leased",
        **STATUS,
    ),
    change(
        "budgets",
        "ADD #count :amount",
        {":amount": numbers.map(n), ":room": numbers.map(n)},
        "attribute_not_exists(#count) OR #count <= :room",
        ExpressionAttributeNames={"#count": "runs"},
    ),
    change(
        "budgets",
        "SET parts.#turn = :part ADD leased_microusd :amount",
        {":part": numbers.map(lambda x: {"M": {"microusd": n(x)}}), ":amount": numbers.map(n)},
        "attribute_exists(parts) AND attribute_not_exists(parts.#turn)",
        ExpressionAttributeNames={"#turn": "0001"},
    ),
    change(
        "escalations",
        "SET answers = :answers, given = :given, #status = :answered REMOVE due, due_at",
        {
            ":answers": numbers.map(n),
            ":given": st.just({"L": [s("x")]}),
            ":answered": st.just(s("answered")),
            ":open": st.just(s("open")),
            ":before": numbers.map(n),
        },
        "#status = :open AND answers = :before",
        ReturnValues="ALL_NEW",
        **STATUS,
    ),
    change(
        "escalations",
        "SET #status = :answered ADD attempts :one REMOVE due, due_at",
        {":answered": st.just(s("answered")), ":one": st.just(n(1)), ":open": st.just(s("open")), ":sha": texts.map(s)},
        "#status = :open OR answer_sha256 = :sha",
        ReturnValues="ALL_NEW",
        **STATUS,
    ),
    change("escalations", "SET opened_at = if_not_exists(opened_at, :now)", {":now": moments.map(s)}),
    change("escalations", "ADD attempts :one", {":one": st.just(n(1))}, ReturnValues="UPDATED_NEW"),
    change("escalations", "REMOVE due, due_at"),
    query("run-log", "run_id = :run", {":run": texts.map(s)}, ConsistentRead=True),
    query("run-log", "run_id = :run AND seq >= :begin", {":run": texts.map(s), ":begin": texts.map(s)}),
    query("run-log", "run_id = :run AND begins_with(seq, :begin)", {":run": texts.map(s), ":begin": texts.map(s)}),
    query("run-log", "run_id = :run", {":run": texts.map(s)}, Select="COUNT"),
    query(
        "run-log",
        "#key = :key AND #at BETWEEN :since AND :until",
        {":key": texts.map(s), ":since": moments.map(s), ":until": moments.map(s)},
        IndexName="by_tenant",
        ExpressionAttributeNames={"#key": "tenant", "#at": "at"},
    ),
    query(
        "budgets",
        "held = :shard AND look_at <= :until",
        {":shard": few(["s1", "s2"]).map(s), ":until": moments.map(s)},
        IndexName="by_look",
    ),
    query(
        "escalations",
        "#status = :open",
        {":open": st.just(s("open")), ":question": st.just(s("question")), ":tenant": texts.map(s)},
        IndexName="by_status",
        FilterExpression="#kind <> :question AND #tenant = :tenant",
        ProjectionExpression="#kind, escalation_id",
        ExpressionAttributeNames={"#status": "status", "#kind": "kind", "#tenant": "tenant"},
    ),
    *(
        st.builds(lambda key, table=table: ("get_item", {"TableName": table, "Key": key}), keys[table])
        for table in NAMES
    ),
    *(
        st.builds(lambda key, table=table: ("delete_item", {"TableName": table, "Key": key}), keys[table])
        for table in NAMES
    ),
    st.lists(keys["budgets"], min_size=1, max_size=3, unique_by=str).map(
        lambda wanted: ("batch_get_item", {"RequestItems": {"budgets": {"Keys": wanted}}})
    ),
]
#: What is put and changed at once: each of the forms above that writes, in one request.
transactions = st.lists(st.one_of(*FORMS[:16]), min_size=1, max_size=4).map(
    lambda made: (
        "transact_write_items",
        {
            "TransactItems": [
                {
                    "Put" if method == "put_item" else "Update": {
                        k: v for k, v in request.items() if not k.startswith("Return")
                    }
                }
                for method, request in made
            ]
        },
    )
)
wrong: st.SearchStrategy[Request] = few(
    [
        ("get_item", {"TableName": "gone", "Key": {"id": s("a")}}),
        ("get_item", {"TableName": "run-log", "Key": {"run_id": s("a")}}),
        ("put_item", {"TableName": "run-log", "Item": {"run_id": s("a"), "seq": s("")}}),
        ("put_item", {"TableName": "run-log", "Item": {"run_id": s("a")}}),
        ("put_item", {"TableName": "idempotency", "Item": {"id": s("a"), "data": s("x" * 410_000)}}),
        (
            "update_item",
            {
                "TableName": "idempotency",
                "Key": {"id": s("a")},
                "UpdateExpression": "SET x = :x",
                "ExpressionAttributeValues": {":x": s("1"), ":unused": s("2")},
            },
        ),
        (
            "query",
            {
                "TableName": "run-log",
                "IndexName": "by_nothing",
                "KeyConditionExpression": "a = :a",
                "ExpressionAttributeValues": {":a": s("a")},
            },
        ),
    ]
)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Any, Any, Callable[[], Tables]]]:
    """A client of moto's, one of the tables in memory, and both empty at the start of each example."""
    held: list[Tables] = [Tables()]
    in_memory = boto3.Session("testing", "testing", region_name="eu-west-1")
    answer_requests(in_memory, lambda: held[-1])
    with mock_aws():
        moto = boto3.Session("testing", "testing", region_name="eu-west-1").client("dynamodb")

        def begin() -> Tables:
            for name in NAMES:
                for item in moto.scan(TableName=name)["Items"]:
                    key = {attribute: item[attribute] for attribute in _TABLES[name]}
                    moto.delete_item(TableName=name, Key=key)
            held.append(Tables())
            return held[-1]

        for name in NAMES:
            indexes = [(index, its) for table, index, its in _INDEXES if table == name]
            attributes = {key for its in (_TABLES[name], *(its for _, its in indexes)) for key in its}
            extra: Any = {
                "GlobalSecondaryIndexes": [
                    {"IndexName": index, "KeySchema": _schema(its), "Projection": {"ProjectionType": "ALL"}}
                    for index, its in indexes
                ]
            }
            moto.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in sorted(attributes)],
                KeySchema=_schema(_TABLES[name]),
                **(extra if indexes else {}),
            )
        yield moto, in_memory.client("dynamodb"), begin


def outcome(client: Any, request: Request) -> Any:
    method, parameters = request
    try:
        answer = getattr(client, method)(**parameters)
    except ClientError as problem:
        reasons = [reason["Code"] for reason in problem.response.get("CancellationReasons", [])]
        status = problem.response["ResponseMetadata"]["HTTPStatusCode"]
        return status, problem.response["Error"]["Code"], type(problem).__name__, reasons, problem.response.get("Item")
    if parameters.get("ReturnValues") == "UPDATED_NEW":
        # "Returns only the updated attributes" (API reference of UpdateItem); moto adds the key of a new item.
        answer["Attributes"] = {k: v for k, v in answer["Attributes"].items() if k not in parameters["Key"]}
    # moto leaves out what is not there and says more of some; what a caller of ours reads is compared.
    read = ("Item", "Items", "Count", "ScannedCount", "LastEvaluatedKey", "Attributes", "Responses")
    return {name: _unordered(answer[name]) if name == "Responses" else answer[name] for name in read if name in answer}


def _unordered(responses: Any) -> Any:
    return {
        table: sorted(map(str, map(sorted, (item.items() for item in items)))) for table, items in responses.items()
    }


def everything(client: Any) -> Any:
    return {name: sorted(str(sorted(item.items())) for item in client.scan(TableName=name)["Items"]) for name in NAMES}


@given(st.lists(st.one_of(*FORMS, transactions, wrong), min_size=1, max_size=14))
@settings(max_examples=60)
def test_requests_have_the_same_answers_and_leave_the_same_items(both: Any, requests: list[Request]) -> None:
    moto, in_memory, begin = both
    begin()

    for request in requests:
        assert outcome(in_memory, request) == outcome(moto, request), request

    assert everything(in_memory) == everything(moto)
