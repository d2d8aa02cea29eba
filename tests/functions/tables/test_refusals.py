"""Requests that DynamoDB refuses: the tables in memory do too, with the same error, and nothing is written.

moto is more lenient than the API reference in the cases of ``MOTO``. Where a release of moto mends one, its test fails
and the case is taken out of there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.functions.tables.both import Both, Request, answered, n, s

INVALID = "ValidationException"
MISSING = "ResourceNotFoundException"
CANCELLED = "TransactionCanceledException"
#: What else can come of a request.
ACCEPTED, FAILED_CONDITION, CRASHED = "accepted", "ConditionalCheckFailedException", "an exception of moto's own"
A = {"id": s("a")}
LOG = {"run_id": s("a"), "seq": s("0")}
#: What both hold before each case.
HELD = {
    "idempotency": [A | {"n": n(1), "text": s("x"), "map": {"M": {"n": n(1)}}, "long": n("1" * 38)}],
    "run-log": [LOG | {"at": s("2026"), "tenant": s("acme")}, LOG | {"seq": s("1")}],
}


@dataclass(frozen=True)
class Refusal:
    """A request and its error. A cancelled transaction has reasons too."""

    request: Request
    error: str = INVALID
    reasons: tuple[str, ...] = ()


def update(text: str, condition: str = "", names: Any = None, values: Any = None, **more: Any) -> Request:
    """Return an update of the item."""
    given = {
        "TableName": "idempotency",
        "Key": A,
        "UpdateExpression": text,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
    return "update_item", {name: value for name, value in given.items() if value} | more


def put(**attributes: Any) -> Request:
    """Return a put of another item."""
    return "put_item", {"TableName": "idempotency", "Item": {"id": s("b")} | attributes}


def query(text: str, values: Any, **more: Any) -> Request:
    """Return a query of the log."""
    given = {"TableName": "run-log", "KeyConditionExpression": text, "ExpressionAttributeValues": values}
    return "query", given | more


def transaction(*writes: tuple[str, dict[str, Any]], table: str = "idempotency") -> Request:
    """Return writes of one table as one request."""
    return "transact_write_items", {"TransactItems": [{kind: {"TableName": table} | wanted} for kind, wanted in writes]}


def written(*requests: Any) -> Request:
    """Return a batch of writes."""
    return "batch_write_item", {"RequestItems": {"idempotency": list(requests)}}


def batch(*keys: Any, **more: Any) -> Request:
    """Return a batch of reads."""
    return "batch_get_item", {"RequestItems": {"idempotency": {"Keys": list(keys)} | more}}


def many(count: int) -> list[dict[str, Any]]:
    """Return so many keys."""
    return [{"id": s(f"{at}")} for at in range(count)]


def deep(levels: int) -> dict[str, Any]:
    """Return maps within maps."""
    return s("x") if levels == 0 else {"M": {"m": deep(levels - 1)}}


def get(table: str, key: dict[str, Any], **more: Any) -> Request:
    """Return a read of one item."""
    return "get_item", {"TableName": table, "Key": key} | more


ONE = {":x": n(1)}
SET = "SET x = :x"
GONE = {"TableName": "gone", "Item": A}
REFUSALS = {
    "table: read": Refusal(get("gone", A), MISSING),
    "table: batch read": Refusal(("batch_get_item", {"RequestItems": {"gone": {"Keys": [A]}}}), MISSING),
    "table: batch write": Refusal(
        ("batch_write_item", {"RequestItems": {"gone": [{"PutRequest": {"Item": A}}]}}), MISSING
    ),
    "table: transaction": Refusal(("transact_write_items", {"TransactItems": [{"Put": GONE}]}), MISSING),
    "key: read without range key": Refusal(get("run-log", {"run_id": s("a")})),
    "key: read with another attribute": Refusal(get("idempotency", A | {"x": s("a")})),
    "key: read of another type": Refusal(get("idempotency", {"id": n(1)})),
    "key: read of empty text": Refusal(get("idempotency", {"id": s("")})),
    "key: delete without range key": Refusal(("delete_item", {"TableName": "run-log", "Key": {"run_id": s("a")}})),
    "key: delete with another attribute": Refusal(
        ("delete_item", {"TableName": "run-log", "Key": LOG | {"x": s("a")}})
    ),
    "key: update with another attribute": Refusal(
        ("update_item", {"TableName": "idempotency", "Key": A | {"x": s("a")}, "UpdateExpression": "REMOVE y"})
    ),
    "key: put without range key": Refusal(("put_item", {"TableName": "run-log", "Item": {"run_id": s("a")}})),
    "key: put of empty text": Refusal(put(id=s(""))),
    "key: put of another type": Refusal(put(id=n(1))),
    "key: put of long text": Refusal(put(id=s("x" * 2049))),
    "key: put of long range key": Refusal(("put_item", {"TableName": "run-log", "Item": LOG | {"seq": s("x" * 1025)}})),
    "key: put of empty index key": Refusal(("put_item", {"TableName": "run-log", "Item": LOG | {"tenant": s("")}})),
    "key: put of index key of another type": Refusal(
        ("put_item", {"TableName": "run-log", "Item": LOG | {"tenant": n(1)}})
    ),
    "key: update to empty index key": Refusal(
        update("SET tenant = :x", values={":x": s("")}, TableName="run-log", Key=LOG)
    ),
    "key: update to index key of another type": Refusal(
        update("SET tenant = :x", values=ONE, TableName="run-log", Key=LOG)
    ),
    "key: update of the hash key": Refusal(update("SET id = :x", values={":x": s("b")})),
    "key: update of the range key": Refusal(
        update("SET seq = :x", values={":x": s("b")}, TableName="run-log", Key=LOG)
    ),
    "key: removal of the hash key": Refusal(update("REMOVE id")),
    "update: one path twice": Refusal(update("SET x = :x, x = :y", values=ONE | {":y": n(2)})),
    "update: path within a path": Refusal(update("SET #m = :x REMOVE #m.n", names={"#m": "map"}, values=ONE)),
    "update: one name twice": Refusal(update("SET x = :x REMOVE #x", names={"#x": "x"}, values=ONE)),
    "update: clause twice": Refusal(update("SET x = :x SET y = :x", values=ONE)),
    "update: empty": Refusal(update(" ")),
    "update: reserved word": Refusal(update("SET status = :x", values=ONE)),
    "update: unused value": Refusal(update(SET, values=ONE | {":y": n(2)})),
    "update: unused name": Refusal(update(SET, names={"#y": "y"}, values=ONE)),
    "update: value that is not given": Refusal(update("SET x = :x, y = :y", values=ONE)),
    "update: name that is not given": Refusal(update("SET #x = :x", values=ONE)),
    "update: name without its sign": Refusal(update("SET x = :x", names={"x": "y"}, values=ONE)),
    "update: no values at all": Refusal(update("REMOVE x", ExpressionAttributeValues={})),
    "update: no names at all": Refusal(update("REMOVE x", ExpressionAttributeNames={})),
    "update: attribute that is not there": Refusal(update("SET x = y")),
    "update: map that is not there": Refusal(update("SET y.x = :x", values=ONE)),
    "update: map that is a text": Refusal(update("SET #t.x = :x", names={"#t": "text"}, values=ONE)),
    "update: ADD to a text": Refusal(update("ADD #t :x", names={"#t": "text"}, values=ONE)),
    "update: ADD of a text": Refusal(update("ADD n :x", values={":x": s("1")})),
    "update: sum with a text": Refusal(update("SET n = n + :x", values={":x": s("1")})),
    "update: sum of more than 38 digits": Refusal(update("ADD #l :x", names={"#l": "long"}, values={":x": n("0.1")})),
    "update: difference of more than 38 digits": Refusal(
        update("SET #l = #l - :x", names={"#l": "long"}, values={":x": n("0.1")})
    ),
    "update: item of more than 400 KB": Refusal(update(SET, values={":x": s("x" * 410_000)})),
    "update: ReturnValues": Refusal(update("REMOVE x", ReturnValues="OLD")),
    "put: ReturnValues": Refusal((put()[0], put()[1] | {"ReturnValues": "ALL_NEW"})),
    "put: item of more than 400 KB": Refusal(put(x=s("x" * 410_000))),
    "put: unused value": Refusal(
        (put()[0], put()[1] | {"ConditionExpression": "attribute_exists(x)", "ExpressionAttributeValues": ONE})
    ),
    "value: empty set": Refusal(put(x={"SS": []})),
    "value: empty set of numbers": Refusal(put(x={"NS": []})),
    "value: set with a double": Refusal(put(x={"SS": ["a", "a"]})),
    "value: number of 39 digits": Refusal(put(x=n("1" * 39))),
    "value: too great": Refusal(put(x=n("1e126"))),
    "value: too small": Refusal(put(x=n("1e-131"))),
    "value: no number": Refusal(put(x=n("one"))),
    "value: not a number": Refusal(put(x=n("NaN"))),
    "value: number with a space": Refusal(put(x=n(" 1"))),
    "value: NULL that is false": Refusal(put(x={"NULL": False})),
    "value: two types": Refusal(put(x={"S": "a", "N": "1"})),
    "value: no type": Refusal(put(x={})),
    "value: 33 levels": Refusal(put(x=deep(33))),
    "value: in an expression": Refusal(update(SET, values={":x": n("one")})),
    "condition: empty": Refusal(update(SET, condition=" ", values=ONE)),
    "condition: reserved word": Refusal(update(SET, condition="attribute_exists(status)", values=ONE)),
    "condition: begins_with a number": Refusal(update("REMOVE y", condition="begins_with(x, :x)", values=ONE)),
    "condition: order of truth": Refusal(update("REMOVE y", condition="x < :x", values={":x": {"BOOL": True}})),
    "condition: bounds in the wrong order": Refusal(
        update("REMOVE y", condition="n BETWEEN :x AND :y", values={":x": n(2), ":y": n(1)})
    ),
    "condition: bounds of two types": Refusal(
        update("REMOVE y", condition="n BETWEEN :x AND :y", values={":x": n(2), ":y": s("3")})
    ),
    "read: unused name": Refusal(get("idempotency", A, ProjectionExpression="n", ExpressionAttributeNames={"#x": "x"})),
    "read: path twice": Refusal(get("idempotency", A, ProjectionExpression="n, n")),
    "read: reserved word": Refusal(get("idempotency", A, ProjectionExpression="n, status")),
    "batch read: key twice": Refusal(batch(A, A)),
    "batch read: more than 100 keys": Refusal(batch(*many(101))),
    "batch read: another attribute": Refusal(batch(A | {"x": s("a")})),
    "batch write: item put twice": Refusal(written(*[{"PutRequest": {"Item": A}}] * 2)),
    "batch write: item put and deleted": Refusal(written({"PutRequest": {"Item": A}}, {"DeleteRequest": {"Key": A}})),
    "batch write: more than 25": Refusal(written(*[{"DeleteRequest": {"Key": key}} for key in many(26)])),
    "batch write: the second has a wrong key": Refusal(
        written({"PutRequest": {"Item": {"id": s("b")}}}, {"PutRequest": {"Item": {"id": n(1)}}})
    ),
    "query: unknown index": Refusal(query("a = :x", {":x": s("a")}, IndexName="by_nothing")),
    "query: consistent read of an index": Refusal(
        query("tenant = :x", {":x": s("a")}, IndexName="by_tenant", ConsistentRead=True)
    ),
    "query: without the hash key": Refusal(query("seq = :x", {":x": s("a")})),
    "query: order of the hash key": Refusal(query("run_id > :x", {":x": s("a")})),
    "query: OR": Refusal(query("run_id = :x OR seq = :x", {":x": s("a")})),
    "query: NOT": Refusal(query("run_id = :x AND NOT seq = :x", {":x": s("a")})),
    "query: unequal range key": Refusal(query("run_id = :x AND seq <> :x", {":x": s("a")})),
    "query: attribute that is no key": Refusal(query("run_id = :x AND x = :x", {":x": s("a")})),
    "query: bounds in the wrong order": Refusal(
        query("run_id = :x AND seq BETWEEN :y AND :x", {":x": s("a"), ":y": s("b")})
    ),
    "query: filter on a key": Refusal(query("run_id = :x", {":x": s("a")}, FilterExpression="seq = :x")),
    "query: unused value": Refusal(query("run_id = :x", {":x": s("a"), ":y": s("b")})),
    "query: start key without range key": Refusal(
        query("run_id = :x", {":x": s("a")}, ExclusiveStartKey={"run_id": s("a")})
    ),
    "query: projection and Select": Refusal(
        query("run_id = :x", {":x": s("a")}, Select="COUNT", ProjectionExpression="x")
    ),
    "scan: unused value": Refusal(("scan", {"TableName": "run-log", "ExpressionAttributeValues": ONE})),
    "transaction: item twice": Refusal(transaction(("Put", {"Item": A}), ("Delete", {"Key": A}))),
    "transaction: more than 100 items": Refusal(transaction(*(("Delete", {"Key": key}) for key in many(101)))),
    "transaction: two operations in one": Refusal(
        (
            "transact_write_items",
            {
                "TransactItems": [
                    {
                        "Put": GONE | {"TableName": "idempotency"},
                        "Delete": {"TableName": "idempotency", "Key": {"id": s("b")}},
                    }
                ]
            },
        )
    ),
    "transaction: more than 4 MB": Refusal(
        transaction(*(("Put", {"Item": key | {"x": s("x" * 400_000)}}) for key in many(11)))
    ),
    "transaction: unused value": Refusal(
        transaction(("Update", {"Key": A, "UpdateExpression": "REMOVE x", "ExpressionAttributeValues": ONE}))
    ),
    "transaction: overlapping paths": Refusal(
        transaction(("Update", {"Key": A, "UpdateExpression": "SET x = :x, x = :x", "ExpressionAttributeValues": ONE}))
    ),
    "transaction: wrong key": Refusal(
        transaction(("Put", {"Item": {"id": s("b")}}), ("Delete", {"Key": A | {"x": s("a")}})),
        CANCELLED,
        reasons=("None", "ValidationError"),
    ),
    "transaction: update of a key": Refusal(
        transaction(
            ("Put", {"Item": {"id": s("b")}}),
            ("Update", {"Key": A, "UpdateExpression": "SET id = :x", "ExpressionAttributeValues": {":x": s("b")}}),
        ),
        CANCELLED,
        reasons=("None", "ValidationError"),
    ),
    "transaction: ADD to a text": Refusal(
        transaction(
            ("Put", {"Item": {"id": s("b")}}),
            (
                "Update",
                {
                    "Key": A,
                    "UpdateExpression": "ADD #t :x",
                    "ExpressionAttributeNames": {"#t": "text"},
                    "ExpressionAttributeValues": ONE,
                },
            ),
        ),
        CANCELLED,
        reasons=("None", "ValidationError"),
    ),
}


#: What moto does instead.
MOTO = {
    "key: read of another type": ACCEPTED,
    "key: put of index key of another type": ACCEPTED,
    "update: path within a path": CRASHED,
    "update: name that is not given": CRASHED,
    "update: no names at all": ACCEPTED,
    "update: map that is a text": ACCEPTED,
    "update: sum of more than 38 digits": ACCEPTED,
    "update: difference of more than 38 digits": ACCEPTED,
    "put: unused value": FAILED_CONDITION,
    "value: set with a double": ACCEPTED,
    "value: number of 39 digits": ACCEPTED,
    "value: too great": ACCEPTED,
    "value: two types": ACCEPTED,
    "value: no type": CRASHED,
    "value: 33 levels": ACCEPTED,
    "value: in an expression": ACCEPTED,
    "condition: empty": CRASHED,
    "condition: begins_with a number": FAILED_CONDITION,
    "condition: order of truth": FAILED_CONDITION,
    "condition: bounds in the wrong order": FAILED_CONDITION,
    "condition: bounds of two types": FAILED_CONDITION,
    "batch read: another attribute": ACCEPTED,
    "batch write: item put and deleted": ACCEPTED,
    "batch write: more than 25": ACCEPTED,
    "query: unknown index": MISSING,
    "query: OR": CRASHED,
    "query: NOT": CRASHED,
    "query: unequal range key": CRASHED,
    "query: bounds in the wrong order": ACCEPTED,
    "query: filter on a key": ACCEPTED,
    "query: unused value": ACCEPTED,
    "query: start key without range key": CRASHED,
    "scan: unused value": ACCEPTED,
    "transaction: more than 4 MB": ACCEPTED,
    "transaction: unused value": ACCEPTED,
    "transaction: wrong key": ACCEPTED,
    "transaction: update of a key": INVALID,
    "transaction: ADD to a text": INVALID,
}


def error_of(client: Any, request: Request) -> tuple[str, tuple[str, ...]]:
    """Return the error's code and the codes of the reasons, or that there is no error."""
    try:
        answer = answered(client, request)
    except NotImplementedError:
        raise
    except Exception:
        return CRASHED, ()
    return (answer[1], tuple(code for code, _ in answer[3])) if isinstance(answer, tuple) else (ACCEPTED, ())


@pytest.mark.sampled(20)
@pytest.mark.parametrize("case", REFUSALS)
def test_both_refuse_what_dynamodb_refuses(both: Both, case: str) -> None:
    refusal = REFUSALS[case]
    for table, items in HELD.items():
        for item in items:
            both.put_item(TableName=table, Item=item)
    before = both.items()

    assert error_of(both.memory, refusal.request) == (refusal.error, refusal.reasons)
    assert {table: both.memory.scan(TableName=table)["Items"] for table in before} == before

    assert error_of(both.moto, refusal.request)[0] == MOTO.get(case, refusal.error)
