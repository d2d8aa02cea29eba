"""Every form of request that the functions send: moto and the tables in memory answer alike, whatever they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.functions.tables.both import Both, Request, answered, creation, n, s
from tests.functions.tables.forms import Watch, form_of, listed
from tests.support.attributes import Item, Schema
from tests.support.tables_in_memory import PLATFORM

FORMS = {f"{at:02} {request['operation']}": request for at, request in enumerate(listed().values())}
#: Of the example playbook and the tests' own.
OTHERS = {
    "notes": Schema(("note_id", None)),
    "customers": Schema(("customer_id", None), {"by_email": ("email", None)}),
    "orders": Schema(("order_id", None), {"by_customer": ("customer_id", None)}),
    "refunds": Schema(("refund_id", None)),
}
SCHEMAS = PLATFORM | OTHERS


@pytest.fixture(scope="module")
def both_of_file() -> Iterator[Both]:
    with mock_aws():
        both = Both()
        for name, schema in OTHERS.items():
            both.moto.create_table(**creation(name, schema))
        yield both


def expressions_of(form: dict[str, Any]) -> str:
    """Return all expressions, with their names filled in."""
    text = " , ".join(value for name, value in sorted(form.items()) if name.endswith("Expression"))
    names = form.get("ExpressionAttributeNames", {})
    return re.sub(r"#\w+", lambda name: str(names[name[0]]), text)


def held_by(form: dict[str, Any], added: set[str]) -> Item:
    """Return an item that has every key and every attribute of the form's expressions."""
    paths = re.findall(r"(?<![:\w.])[a-z]\w*(?:\.\w+)*(?![\w(])", expressions_of(form))
    schema = SCHEMAS[form["TableName"]]
    item = {name: s("a") for name in (*schema.key_sizes, *schema.index_key_sizes)}
    for path in paths:
        first, *rest = path.split(".")
        default = n(1) if first in added else s("a")
        for name in reversed(rest[:-1] if len(rest) > 1 else []):
            default = {"M": {name: {"M": {}}}}
        item.setdefault(first, {"M": {}} if len(rest) == 1 else default)
    return item


def requests(form: dict[str, Any]) -> Iterator[tuple[Item, Request]]:
    """Return requests of the form: with the value that the item has, and with another one."""
    added = dict(re.findall(r"(?:ADD|,) (\w+) (:\w+)", expressions_of(form)))
    item, schema = held_by(form, set(added)), SCHEMAS[form["TableName"]]
    key = {name: item[name] for name in schema.key_names}
    index = schema.indexes.get(form.get("IndexName", ""), ())
    for value in ("a", "b"):
        tokens = set(re.findall(r":\w+", expressions_of(form)))
        contents: dict[str, Any] = {
            "Item": item,
            "Key": key,
            "Keys": [key],
            "Limit": 1,
            "ExclusiveStartKey": key | {name: item[name] for name in index if name},
            "ExpressionAttributeValues": {
                token: n(1) if token in added.values() or added.keys() & compared_with(form, token) else s(value)
                for token in tokens
            },
        }
        parameters = {name: contents[name] if given == "…" else given for name, given in form.items()}
        yield item, wrapped(parameters.pop("operation"), parameters)


def compared_with(form: dict[str, Any], token: str) -> set[str]:
    """Return the attributes that are compared with the value."""
    return set(re.findall(rf"(\w+) [<>=]+ {token}\b", expressions_of(form)))


def wrapped(operation: str, parameters: dict[str, Any]) -> Request:
    """Return a request that may be a part of another."""
    whole, _, part = operation.partition(".")
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", whole).lower()
    if not part:
        return method, parameters
    if whole == "TransactWriteItems":
        return method, {"TransactItems": [{part: parameters}]}
    table = parameters.pop("TableName")
    return method, {"RequestItems": {table: parameters if part == "Get" else [{part: parameters}]}}


@pytest.mark.sampled(15)
@pytest.mark.parametrize("name", FORMS)
def test_both_answer_each_form_alike(both_of_file: Both, name: str) -> None:
    form, both = FORMS[name], both_of_file
    for item, request in requests(form):
        for before in ({name: item[name] for name in SCHEMAS[form["TableName"]].key_names}, item, None):
            if before is None and form.get("ReturnValues") == "UPDATED_NEW":
                continue  # moto differs: test_answers.py
            both.empty(SCHEMAS)
            if before is not None:
                both.put_item(TableName=form["TableName"], Item=before)

            ours, theirs = answered(both.memory, request), answered(both.moto, request)

            if form.get("Limit"):
                for answer in (ours, theirs):
                    answer.pop("LastEvaluatedKey", None)
            assert ours == theirs
            assert both.items([form["TableName"]])


def test_a_form_that_is_not_listed_is_told() -> None:
    class Model:
        name = "UpdateItem"

    watch = Watch()
    watch({"TableName": "notes", "Key": {"note_id": s("a")}, "UpdateExpression": "REMOVE one, two, three"}, Model)
    watch.refuse_new()
    watch({"TableName": "notes", "Key": {"note_id": s("a")}, "UpdateExpression": "REMOVE one.two"}, Model)

    with pytest.raises(AssertionError, match=r"REMOVE one\.two"):
        watch.refuse_new()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("SET a = :a", "SET #b = :b, c = :c", False),
        ("SET a = :a, b = :b", "SET #a = :b, c = :c, d = :d REMOVE", False),
        ("SET a = :a, b = :b", "SET #a = :b, c = :c, d = :d", True),
        ("ADD a :a", "ADD #b :b", True),
        ("SET a = :a", "SET a.b = :a", False),
        ("SET a = :a", "ADD a :a", False),
    ],
)
def test_forms_differ_in_more_than_names(one: str, other: str, same: bool) -> None:
    assert (form_of({"UpdateExpression": one}) == form_of({"UpdateExpression": other})) is same
