"""Answers in which moto differs from the API reference, and requests that the tables in memory do not know."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions.tables.both import Both, Request, n, s
from tests.support.attributes import Item
from tests.support.expressions import reserved_words

A = {"id": s("a")}
IDEMPOTENCY = {"TableName": "idempotency"}
ITEM = IDEMPOTENCY | {"Key": A}
ONE = {"ExpressionAttributeValues": {":x": n(1)}}


def stored(client: Any, **attributes: Any) -> Any:
    """Put an item and return it as it is read then."""
    client.put_item(TableName="idempotency", Item=A | attributes)
    item = client.get_item(**ITEM)["Item"]
    return {name: item[name] for name in attributes}


@pytest.mark.parametrize(
    ("given", "kept"), [("007", "7"), ("1.50", "1.5"), ("1e3", "1000"), ("-0", "0"), ("+2", "2"), ("1E-5", "0.00001")]
)
def test_needless_zeros_of_a_number_are_not_stored(both: Both, given: str, kept: str) -> None:
    assert stored(both.memory, x=n(given)) == {"x": n(kept)}
    assert stored(both.moto, x=n(given)) == {"x": n(given)}


def test_a_set_has_no_order(both: Both) -> None:
    for client in (both.memory, both.moto):
        stored(client, x={"SS": ["b", "a"]})

    both.update_item(
        **ITEM,
        UpdateExpression="REMOVE y",
        ConditionExpression="x = :x",
        ExpressionAttributeValues={":x": {"SS": ["a", "b"]}},
    )


@pytest.mark.parametrize(("before", "after"), [("1" * 37, "1" * 36 + "2"), ("9" * 37 + "0", "9" * 37 + "1")])
def test_a_sum_has_38_digits(both: Both, before: str, after: str) -> None:
    both.put_item(TableName="idempotency", Item=A | {"x": n(before)})

    both.update_item(**ITEM | ONE, UpdateExpression="ADD x :x")

    assert both.items()["idempotency"] == [A | {"x": n(after)}]


def test_the_new_values_are_those_that_the_update_names(both: Both) -> None:
    update: dict[str, Any] = ITEM | ONE | {"ReturnValues": "UPDATED_NEW", "UpdateExpression": "SET m.x = :x, y = :x"}
    for client in (both.memory, both.moto):
        stored(client, m={"M": {"z": n(2)}}, y=n(1))

    # y has the value that it had; moto takes that for no update.
    assert both.memory.update_item(**update)["Attributes"] == {"m": {"M": {"x": n(1)}}, "y": n(1)}
    assert both.moto.update_item(**update)["Attributes"] == {"m": {"M": {"x": n(1)}}}


def test_the_new_values_of_a_new_item_are_without_its_key(both: Both) -> None:
    update: dict[str, Any] = ITEM | ONE | {"ReturnValues": "UPDATED_NEW", "UpdateExpression": "ADD x :x"}

    assert both.memory.update_item(**update)["Attributes"] == {"x": n(1)}
    assert both.moto.update_item(**update)["Attributes"] == A | {"x": n(1)}


def test_the_old_item_is_returned(both: Both) -> None:
    new = both.put_item(**IDEMPOTENCY, Item=A, ReturnValues="ALL_OLD")
    put = both.put_item(**IDEMPOTENCY, Item=A | {"x": n(1)}, ReturnValues="ALL_OLD")
    deleted = both.delete_item(**ITEM, ReturnValues="ALL_OLD")

    assert "Attributes" not in new
    assert put["Attributes"] == A
    assert deleted["Attributes"] == A | {"x": n(1)}


def test_a_page_that_ends_at_its_limit_says_where_to_go_on(both: Both) -> None:
    both.put_item(TableName="idempotency", Item=A)

    assert both.memory.scan(TableName="idempotency", Limit=1)["LastEvaluatedKey"] == A
    assert "LastEvaluatedKey" not in both.moto.scan(TableName="idempotency", Limit=1)


def test_a_transaction_with_a_known_token_is_done_once(both: Both) -> None:
    def add(amount: int) -> dict[str, Any]:
        update = ITEM | {"UpdateExpression": "ADD x :x", "ExpressionAttributeValues": {":x": n(amount)}}
        return {"ClientRequestToken": "token", "TransactItems": [{"Update": update}]}

    for client in (both.memory, both.moto):
        client.transact_write_items(**add(1))
        client.transact_write_items(**add(1))

    assert both.memory.get_item(**ITEM)["Item"]["x"] == n(1)
    assert both.moto.get_item(**ITEM)["Item"]["x"] == n(2)
    with pytest.raises(ClientError, match="IdempotentParameterMismatchException"):
        both.memory.transact_write_items(**add(3))


def test_a_cancelled_transaction_shows_the_item_that_was_there(both: Both) -> None:
    both.put_item(TableName="idempotency", Item=A | {"x": n(2)})
    put = IDEMPOTENCY | {"Item": {"id": s("b")}}
    refused = ITEM | ONE | {"ConditionExpression": "x = :x", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}

    for client in (both.memory, both.moto):
        with pytest.raises(ClientError) as failed:
            client.transact_write_items(TransactItems=[{"Put": put}, {"Delete": refused}])

        reason: Any = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        expected = [{"Code": "None"}, reason | {"Item": A | {"x": n(2)}}]
        assert failed.value.response["CancellationReasons"] == expected  # type: ignore[typeddict-item]
    assert both.items()["idempotency"] == [A | {"x": n(2)}]


def test_a_page_has_one_megabyte(both: Both) -> None:
    for at in range(4):
        both.put_item(TableName="run-log", Item={"run_id": s("a"), "seq": s(f"{at}"), "body": s("x" * 300_000)})
    query: dict[str, Any] = {"KeyConditionExpression": "run_id = :run", "ExpressionAttributeValues": {":run": s("a")}}

    page = both.query(TableName="run-log", **query)

    assert (page["Count"], page["LastEvaluatedKey"]) == (3, {"run_id": s("a"), "seq": s("2")})


def test_numbers_are_keys_and_ordered_as_numbers(both: Both) -> None:
    creation: dict[str, Any] = {
        "TableName": "numbered",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "RANGE"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "N"} for name in ("a", "b")],
    }
    for client in (both.memory, both.moto):
        client.create_table(**creation)

    for number in ("10", "-1", "9", "100"):
        both.put_item(TableName="numbered", Item={"a": n(1), "b": n(number)})
    found = both.query(TableName="numbered", KeyConditionExpression="a = :a", ExpressionAttributeValues={":a": n(1)})[
        "Items"
    ]

    both.moto.delete_table(TableName="numbered")
    assert [item["b"]["N"] for item in found] == ["-1", "9", "10", "100"]


@pytest.mark.parametrize("held", [{}, {"x": {"L": [s("a"), n(1)]}}, {"x": s("a")}], ids=["nothing", "a list", "a text"])
@pytest.mark.parametrize(
    "value",
    [
        "list_append(x, :x)",
        "list_append(:x, if_not_exists(x, :none))",
        "list_append(if_not_exists(x, :none), :x)",
        "list_append(y, :x)",
    ],
)
def test_a_list_is_appended_to_a_list(both: Both, held: Item, value: str) -> None:
    both.put_item(**IDEMPOTENCY, Item=A | held)
    values = {":x": {"L": [s("b")]}} | ({":none": {"L": []}} if ":none" in value else {})

    with suppress(ClientError):
        both.update_item(**ITEM, UpdateExpression=f"SET x = {value}", ExpressionAttributeValues=values)

    after = both.items(["idempotency"])["idempotency"]
    appends = "y" not in value and ("L" in held.get("x", {}) or (not held and ":none" in value))
    assert (s("b") in after[0].get("x", {}).get("L", [])) == appends


@pytest.mark.parametrize(
    ("projection", "shown"),
    [
        ({"ProjectionType": "ALL"}, {"a", "b", "c", "d"}),
        ({"ProjectionType": "KEYS_ONLY"}, {"a", "b"}),
        ({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["c"]}, {"a", "b", "c"}),
    ],
    ids=["all", "keys", "some"],
)
def test_an_index_has_what_it_projects(both: Both, projection: Item, shown: set[str]) -> None:
    creation: dict[str, Any] = {
        "TableName": "projected",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("a", "b")],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by_b",
                "KeySchema": [{"AttributeName": "b", "KeyType": "HASH"}],
                "Projection": projection,
            }
        ],
    }
    for client in (both.memory, both.moto):
        client.create_table(**creation)

    both.put_item(TableName="projected", Item={name: s("x") for name in "abcd"})
    query = {"KeyConditionExpression": "b = :b", "ExpressionAttributeValues": {":b": s("x")}}
    found = both.query(TableName="projected", IndexName="by_b", **query)["Items"]

    both.moto.delete_table(TableName="projected")
    assert [set(item) for item in found] == [shown]


def test_the_reserved_words_are_read() -> None:
    assert len(reserved_words()) > 500
    assert {"STATUS", "AT", "KEY"} <= reserved_words()


UPDATE = ("update_item", ITEM | {"UpdateExpression": "REMOVE x"})
UNKNOWN: dict[str, Request] = {
    "DescribeTable": ("describe_table", IDEMPOTENCY),
    "TransactGetItems": ("transact_get_items", {"TransactItems": [{"Get": ITEM}]}),
    "AttributesToGet": ("get_item", ITEM | {"AttributesToGet": ["x"]}),
    "ReturnConsumedCapacity": ("get_item", ITEM | {"ReturnConsumedCapacity": "TOTAL"}),
    "Expected": ("put_item", IDEMPOTENCY | {"Item": A, "Expected": {"x": {"Exists": False}}}),
    "AttributeUpdates": ("update_item", ITEM | {"AttributeUpdates": {}}),
    "ReturnItemCollectionMetrics": ("delete_item", ITEM | {"ReturnItemCollectionMetrics": "SIZE"}),
    "KeyConditions": ("query", IDEMPOTENCY | {"KeyConditions": {}, "KeyConditionExpression": "id = :x"} | ONE),
    "Segment": ("scan", IDEMPOTENCY | {"Segment": 0, "TotalSegments": 1}),
    "IndexName": ("scan", IDEMPOTENCY | {"IndexName": "by_x"}),
    "SPECIFIC_ATTRIBUTES": ("scan", IDEMPOTENCY | {"Select": "SPECIFIC_ATTRIBUTES"}),
    "BatchGetItem with AttributesToGet": (
        "batch_get_item",
        {"RequestItems": {"idempotency": {"Keys": [A], "AttributesToGet": ["x"]}}},
    ),
    "TransactWriteItems with ReturnConsumedCapacity": (
        "transact_write_items",
        {"TransactItems": [{"Delete": ITEM}], "ReturnConsumedCapacity": "TOTAL"},
    ),
    "the function size": (UPDATE[0], UPDATE[1] | ONE | {"ConditionExpression": "size(x) > :x"}),
    "the function nothing": ("update_item", ITEM | ONE | {"UpdateExpression": "SET x = nothing(x, :x)"}),
    r"x\[0\]": ("update_item", ITEM | {"UpdateExpression": "REMOVE x[0]"}),
    "DELETE": ("update_item", ITEM | ONE | {"UpdateExpression": "DELETE x :x"}),
    "ADD of SS": (
        "update_item",
        ITEM | {"UpdateExpression": "ADD x :x", "ExpressionAttributeValues": {":x": {"SS": ["a"]}}},
    ),
    "StreamSpecification": (
        "create_table",
        {
            "TableName": "streamed",
            "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "S"}],
            "StreamSpecification": {"StreamEnabled": False},
        },
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_refused_by_name(both: Both, name: str) -> None:
    method, parameters = UNKNOWN[name]

    with pytest.raises(NotImplementedError, match=name):
        getattr(both.memory, method)(**parameters)
