"""Pages, filters and indexes: the same items in the same order, in both directions, however small the pages are."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions.tables.both import Both, n, s

LOG = {"run_id": s("a"), "seq": s("0")}
OF_A_RUN = {
    "TableName": "run-log",
    "KeyConditionExpression": "run_id = :run",
    "ExpressionAttributeValues": {":run": s("a")},
}
OF_ACME = {
    "TableName": "run-log",
    "IndexName": "by_tenant",
    "KeyConditionExpression": "tenant = :tenant",
    "ExpressionAttributeValues": {":tenant": s("acme")},
}


def filled(both: Both) -> None:
    """Write eight events of a run; every other one is in the index, one has a half of its key."""
    for at in range(8):
        indexed = {"tenant": s("acme"), "at": s(f"2026-{9 - at}")} if at % 2 else {}
        half = {"tenant": s("acme")} if at == 2 else {"at": s("2026-0")} if at == 4 else {}
        both.put_item(TableName="run-log", Item={"run_id": s("a"), "seq": s(f"{at}"), "x": n(at % 3)} | indexed | half)


def paged(both: Both, **query: Any) -> list[tuple[list[str], int]]:
    """Return the keys of each page, and how many items it looked at."""
    pages, after = [], {}
    while True:
        page = both.memory.query(**query | after)
        pages.append(([item["seq"]["S"] for item in page["Items"]], page["ScannedCount"]))
        if "LastEvaluatedKey" not in page:
            return pages
        after = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        theirs = both.moto.query(**query | after)
        assert [item["seq"] for item in both.memory.query(**query | after)["Items"]] == [
            item["seq"] for item in theirs["Items"]
        ]


@pytest.mark.sampled
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [1, 3, 5, 8, 100])
@pytest.mark.parametrize(("query", "wanted"), [(OF_A_RUN, "01234567"), (OF_ACME, "7531")], ids=["table", "index"])
def test_pages_of_any_size_hold_each_item_once_in_order(
    both: Both, query: dict[str, Any], wanted: str, limit: int, forward: bool
) -> None:
    filled(both)

    pages = paged(both, **query, Limit=limit, ScanIndexForward=forward)

    assert "".join(key for keys, _ in pages for key in keys) == (wanted if forward else wanted[::-1])
    assert all(len(keys) <= limit for keys, _ in pages)


def test_a_limit_counts_what_is_looked_at_and_not_what_a_filter_leaves(both: Both) -> None:
    filled(both)
    values = OF_A_RUN["ExpressionAttributeValues"] | {":x": n(0)}

    pages = paged(both, **OF_A_RUN | {"ExpressionAttributeValues": values}, FilterExpression="x = :x", Limit=3)

    assert pages == [(["0"], 3), (["3"], 3), (["6"], 2)]


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "=", "<>"])
def test_values_of_two_types_are_neither_less_nor_more(both: Both, sign: str) -> None:
    filled(both)
    values = OF_A_RUN["ExpressionAttributeValues"] | {":x": s("1")}

    asks = both if sign in ("=", "<>") else both.memory  # moto crashes at the others
    found = asks.query(**OF_A_RUN | {"ExpressionAttributeValues": values}, FilterExpression=f"x {sign} :x")

    assert found["Count"] == (8 if sign == "<>" else 0)


def test_an_index_has_only_items_with_its_whole_key(both: Both) -> None:
    filled(both)

    assert [item["seq"]["S"] for item in both.query(**OF_ACME)["Items"]] == ["7", "5", "3", "1"]


def test_what_leaves_the_key_of_an_index_leaves_the_index(both: Both) -> None:
    filled(both)

    both.update_item(TableName="run-log", Key=LOG | {"seq": s("3")}, UpdateExpression="REMOVE tenant")

    assert [item["seq"]["S"] for item in both.query(**OF_ACME)["Items"]] == ["7", "5", "1"]


def test_the_old_values_are_those_before_the_update(both: Both) -> None:
    key = {"TableName": "idempotency", "Key": {"id": s("a")}}
    both.put_item(TableName="idempotency", Item={"id": s("a"), "x": n(1), "y": n(5)})

    old = both.update_item(
        **key,
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues={":x": n(2)},
        ReturnValues="UPDATED_OLD",
    )

    assert old["Attributes"] == {"x": n(1)}


def test_a_sum_with_what_is_not_there_is_refused_and_changes_nothing(both: Both) -> None:
    both.put_item(TableName="idempotency", Item={"id": s("a"), "x": n(1)})
    sums = ("SET x = y + :x", "SET x = :x - y", "SET x = x + y")

    for text in sums:
        values = {"ExpressionAttributeValues": {":x": n(2)}} if ":x" in text else {}
        with pytest.raises(ClientError, match="ValidationException"):
            both.update_item(TableName="idempotency", Key={"id": s("a")}, UpdateExpression=text, **values)

    assert both.items()["idempotency"] == [{"id": s("a"), "x": n(1)}]


def test_a_condition_check_changes_nothing(both: Both) -> None:
    both.put_item(TableName="idempotency", Item={"id": s("a"), "x": n(1)})
    check = {"TableName": "idempotency", "Key": {"id": s("a")}, "ConditionExpression": "attribute_exists(x)"}
    put = {"TableName": "idempotency", "Item": {"id": s("b")}}

    both.transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])

    assert both.items()["idempotency"] == [{"id": s("a"), "x": n(1)}, {"id": s("b")}]


def test_a_condition_check_that_fails_cancels_the_transaction(both: Both) -> None:
    both.put_item(TableName="idempotency", Item={"id": s("a"), "x": n(1)})
    check = {"TableName": "idempotency", "Key": {"id": s("a")}, "ConditionExpression": "attribute_not_exists(x)"}
    put = {"TableName": "idempotency", "Item": {"id": s("b")}}

    with pytest.raises(ClientError, match="TransactionCanceledException"):
        both.transact_write_items(TransactItems=[{"ConditionCheck": check}, {"Put": put}])

    assert both.items()["idempotency"] == [{"id": s("a"), "x": n(1)}]


def test_an_item_whose_index_key_is_too_long_is_refused(both: Both) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        both.memory.put_item(TableName="run-log", Item=LOG | {"tenant": s("x" * 2_049), "at": s("2026")})
    with pytest.raises(ClientError, match="ValidationException"):
        both.memory.put_item(TableName="run-log", Item=LOG | {"tenant": s("x"), "at": s("2" * 1_025)})
