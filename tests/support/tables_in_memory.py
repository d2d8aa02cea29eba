"""DynamoDB tables in memory: for tests of functions, and for benchmarks that make more requests than moto can bear.

``Tables`` can be used as a client, or answer the requests of real boto3 clients (``answer_requests``): then botocore
checks parameters and raises its own errors, and only what would go over the wire stays here. A contract suite plays
the same requests on moto and here and compares answers and errors (``tests/functions/test_tables_contract.py``).
What it does not know it refuses by name.
"""
# ruff: noqa: N803  parameters are named as boto3 names them

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.support.expressions import Invalid, condition, copied, projection, sort_key, update

Item = dict[str, Any]

#: DynamoDB's limits: an item, a page of a query or scan, a transaction.
MAX_ITEM_BYTES, MAX_PAGE_BYTES, MAX_TRANSACTION = 400 * 1024, 1024 * 1024, 100


@dataclass(frozen=True)
class Schema:
    """A table's keys, and those of its indexes by name; the range key is None where there is none."""

    keys: tuple[str, str | None]
    indexes: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)


#: The platform's tables, with the names that tests give them.
PLATFORM = {
    "run-log": Schema(("run_id", "seq"), {"by_tenant": ("tenant", "at"), "by_outcome": ("outcome", "at")}),
    "budgets": Schema(("account", "window"), {"by_look": ("held", "look_at")}),
    "escalations": Schema(("escalation_id", None), {"by_status": ("status", "opened_at"), "by_due": ("due", "due_at")}),
    "idempotency": Schema(("id", None)),
}
KEYS = {name: schema.keys for name, schema in PLATFORM.items()}


class ConditionalCheckFailedException(ClientError):
    """As boto3 names it."""


class TransactionCanceledException(ClientError):
    """As boto3 names it."""


class ResourceNotFoundException(ClientError):
    """As boto3 names it."""


class Exceptions:
    """What a client has as ``exceptions``."""

    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException
    ResourceNotFoundException = ResourceNotFoundException
    ClientError = ClientError


class Tables:
    """A DynamoDB client and its tables.

    conflicts  says whether the next transaction meets another one
    schemas    the tables that there are, all empty
    """

    exceptions = Exceptions

    def __init__(self, conflicts: Callable[[], bool] = lambda: False, schemas: Mapping[str, Schema] = PLATFORM) -> None:
        self.schemas = dict(schemas)
        #: By table, value of the hash key and value of the range key ("" where there is none).
        self.items: dict[str, dict[str, dict[str, Item]]] = {name: {} for name in schemas}
        self._conflicts = conflicts
        self._one_at_a_time = RLock()

    # Tables

    def create_table(
        self,
        *,
        TableName: str,
        KeySchema: Sequence[Mapping[str, str]],
        GlobalSecondaryIndexes: Sequence[Mapping[str, Any]] = (),
        **_: Any,
    ) -> Item:
        """Make an empty table; its indexes show whole items."""
        with self._one_at_a_time:
            if TableName in self.schemas:
                raise _error(ClientError, "ResourceInUseException", "Table already exists: " + TableName, "CreateTable")
            indexes = {index["IndexName"]: _keys(index["KeySchema"]) for index in GlobalSecondaryIndexes}
            self.schemas[TableName] = Schema(_keys(KeySchema), indexes)
            self.items[TableName] = {}
        return {"TableDescription": {"TableName": TableName, "TableStatus": "ACTIVE"}}

    def delete_table(self, *, TableName: str) -> Item:
        """Remove a table with all that it holds."""
        with self._one_at_a_time:
            self._schema(TableName, "DeleteTable")
            del self.schemas[TableName], self.items[TableName]
        return {"TableDescription": {"TableName": TableName, "TableStatus": "DELETING"}}

    def kept(self, *tables: str) -> dict[str, Any]:
        """Return what the tables hold now, for ``put_back``."""
        with self._one_at_a_time:
            return {name: copied(self.items[name]) for name in tables}

    def put_back(self, held: Mapping[str, Any]) -> None:
        """Let each table hold what it held when it was kept."""
        with self._one_at_a_time:
            self.items.update({name: copied(items) for name, items in held.items()})

    def emptied(self, *tables: str) -> None:
        """Take all items out of the tables."""
        with self._one_at_a_time:
            for name in tables:
                self.items[name].clear()

    def all_items(self, table: str) -> list[Item]:
        """Return all items of a table."""
        with self._one_at_a_time:
            items: list[Item] = copied(list(self._all(table)))
            return items

    # Requests

    def get_item(self, *, TableName: str, Key: Item, **more: Any) -> Item:
        """Return one item."""
        with self._one_at_a_time:
            found = self._at(TableName, Key, "GetItem")
            return {"Item": _projected(found, more)} if found is not None else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        """Return several items."""
        with self._one_at_a_time:
            pages = {
                table: [self._at(table, key, "BatchGetItem") for key in asked["Keys"]]
                for table, asked in RequestItems.items()
            }
            responses = {
                table: [_projected(item, RequestItems[table]) for item in page if item is not None]
                for table, page in pages.items()
            }
        return {"Responses": responses, "UnprocessedKeys": {}}

    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Item]]) -> Item:
        """Put and delete several items, without a condition."""
        with self._one_at_a_time:
            for table, requests in RequestItems.items():
                for request in requests:
                    if "PutRequest" in request:
                        self._put(table, request["PutRequest"]["Item"], "BatchWriteItem")
                    else:
                        self.delete_item(TableName=table, Key=request["DeleteRequest"]["Key"])
        return {"UnprocessedItems": {}}

    def put_item(self, *, TableName: str, Item: Item, **more: Any) -> Item:
        """Write one item, if its condition holds."""
        with self._one_at_a_time:
            self._checked({"TableName": TableName, "Item": Item, **more}, "PutItem")
            self._put(TableName, Item, "PutItem")
        return {}

    def update_item(self, *, ReturnValues: str = "NONE", **wanted: Any) -> Item:
        """Change one item, if its condition holds."""
        with self._one_at_a_time:
            self._checked(wanted, "UpdateItem")
            item, changed = self._update(wanted, "UpdateItem")
        if ReturnValues == "NONE":
            return {}
        if ReturnValues not in ("ALL_NEW", "UPDATED_NEW"):
            raise NotImplementedError(f"ReturnValues={ReturnValues}")
        kept = item if ReturnValues == "ALL_NEW" else {name: item[name] for name in changed if name in item}
        return {"Attributes": copied(kept)}

    def delete_item(self, *, TableName: str, Key: Item, **more: Any) -> Item:
        """Remove one item, if it is there and its condition holds."""
        with self._one_at_a_time:
            self._checked({"TableName": TableName, "Key": Key, **more}, "DeleteItem")
            partition, within = self._key(TableName, Key, "DeleteItem")
            self.items[TableName].get(partition, {}).pop(within, None)
        return {}

    def transact_write_items(self, *, TransactItems: Sequence[Item], **_: Any) -> Item:
        """Do all, or nothing where a condition fails or another transaction is in the way."""
        operations = [next(iter(item.items())) for item in TransactItems]
        with self._one_at_a_time:
            keys = [
                str(
                    (
                        wanted["TableName"],
                        self._key(wanted["TableName"], wanted.get("Key") or wanted["Item"], _TRANSACT),
                    )
                )
                for _, wanted in operations
            ]
            if len(keys) > MAX_TRANSACTION:
                raise _invalid(f"Member must have length less than or equal to {MAX_TRANSACTION}", _TRANSACT)
            if len(set(keys)) < len(keys):
                raise _invalid("Transaction request cannot include multiple operations on one item", _TRANSACT)
            if self._conflicts():
                raise _cancelled(["TransactionConflict", *["None"] * (len(keys) - 1)])
            codes = ["None" if self._holds(wanted) else "ConditionalCheckFailed" for _, wanted in operations]
            if set(codes) != {"None"}:
                raise _cancelled(codes)
            before = [
                (wanted["TableName"], copied(wanted.get("Key") or wanted["Item"]), self._at_of(wanted))
                for _, wanted in operations
            ]
            try:
                for kind, wanted in operations:
                    self._do(kind, wanted)
            except BaseException:
                for table, key, item in before:
                    self._restore(table, key, item)
                raise
        return {}

    def _do(self, kind: str, wanted: Item) -> None:
        if kind == "Put":
            self._put(wanted["TableName"], wanted["Item"], _TRANSACT)
        elif kind == "Update":
            self._update(wanted, _TRANSACT)
        elif kind == "Delete":
            self._restore(wanted["TableName"], wanted["Key"], None)
        elif kind != "ConditionCheck":
            raise NotImplementedError(f"{kind} in a transaction")

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        IndexName: str | None = None,
        ScanIndexForward: bool = True,
        **more: Any,
    ) -> Item:
        """Return the items of one partition that fit, in the order of the range key, page by page."""
        with self._one_at_a_time:
            schema = self._schema(TableName, "Query")
            if IndexName is not None and IndexName not in schema.indexes:
                raise _invalid(f"The table does not have the specified index: {IndexName}", "Query")
            keys = schema.indexes[IndexName] if IndexName else schema.keys
            names = more.get("ExpressionAttributeNames", {})
            self._uses(
                {"ExpressionAttributeValues": ExpressionAttributeValues, **more}, "Query", KeyConditionExpression
            )
            wanted = condition(KeyConditionExpression).holds
            if IndexName:
                candidates = self._all(TableName)
            else:
                partition = _hash_value(KeyConditionExpression, keys[0], names, ExpressionAttributeValues)
                candidates = iter(self.items[TableName].get(partition, {}).values())
            found = [
                item
                for item in candidates
                if all(key is None or key in item for key in keys) and wanted(item, names, ExpressionAttributeValues)
            ]
            order = [key for key in dict.fromkeys((keys[1], *schema.keys)) if key is not None]

            def place(item: Item) -> list[Any]:
                return [sort_key(item[key]) for key in order]

            found.sort(key=place, reverse=not ScanIndexForward)
            if (after := more.pop("ExclusiveStartKey", None)) is not None:
                # It need not be there any more: what counts is where it would be.
                start = place(after)
                found = [item for item in found if (place(item) > start if ScanIndexForward else place(item) < start)]
            of_page = [key for key in dict.fromkeys((*keys, *schema.keys)) if key]
            return self._page(found, of_page, more, ExpressionAttributeValues)

    def scan(self, *args: str, TableName: str = "", **more: Any) -> Any:
        """Return the items of a table, page by page. As ``scan("table")``: all of them, as a list."""
        if args:
            return self.all_items(*args)
        with self._one_at_a_time:
            schema = self._schema(TableName, "Scan")
            keys = [key for key in schema.keys if key]
            return self._page(list(self._all(TableName)), keys, more, more.get("ExpressionAttributeValues", {}))

    # Items

    def _page(self, found: list[Item], keys: list[str], more: Mapping[str, Any], values: Item) -> Item:
        """Return a page of ``found`` after ``ExclusiveStartKey``: so many items as were asked for, or 1 MB."""
        if (after := more.get("ExclusiveStartKey")) is not None:
            at = next((at for at, item in enumerate(found) if all(item[key] == after[key] for key in keys)), None)
            if at is None:
                raise NotImplementedError("a scan that goes on after an item that is not there any more")
            found = found[at + 1 :]
        taken, size, limit = 0, 0, more.get("Limit")
        for item in found:
            if taken == limit or (taken and size + _size(item) > MAX_PAGE_BYTES):
                break
            taken, size = taken + 1, size + _size(item)
        page, names = found[:taken], more.get("ExpressionAttributeNames", {})
        # DynamoDB says where to go on whenever it stopped at the limit, also at the last item.
        goes_on = taken < len(found) or (limit is not None and taken == limit and taken > 0)
        shown = page
        if "FilterExpression" in more:
            keep = condition(more["FilterExpression"]).holds
            shown = [item for item in page if keep(item, names, values)]
        answer: Item = {"Count": len(shown), "ScannedCount": len(page)}
        if more.get("Select") != "COUNT":
            answer["Items"] = [_projected(item, more) for item in shown]
        if goes_on:
            answer["LastEvaluatedKey"] = {key: copied(page[-1][key]) for key in keys}
        return answer

    def _schema(self, table: str, operation: str) -> Schema:
        if table not in self.schemas:
            raise _error(
                ResourceNotFoundException, "ResourceNotFoundException", "Requested resource not found", operation
            )
        return self.schemas[table]

    def _all(self, table: str) -> Iterator[Item]:
        return (item for partition in self.items[table].values() for item in partition.values())

    def _key(self, table: str, key: Item, operation: str) -> tuple[str, str]:
        values = []
        for name in self._schema(table, operation).keys:
            if name is None:
                values.append("")
                continue
            if name not in key:
                raise _invalid("One of the required keys was not given a value", operation)
            ((kind, value),) = key[name].items()
            if kind not in ("S", "N") or value == "":
                raise _invalid(f"One or more parameter values are not valid: the key {name}", operation)
            values.append(value)
        return values[0], values[1]

    def _at(self, table: str, key: Item, operation: str) -> Item | None:
        partition, within = self._key(table, key, operation)
        return self.items[table].get(partition, {}).get(within)

    def _at_of(self, wanted: Item) -> Item | None:
        return self._at(wanted["TableName"], wanted.get("Key") or wanted["Item"], _TRANSACT)

    def _restore(self, table: str, key: Item, item: Item | None) -> None:
        partition, within = self._key(table, key, _TRANSACT)
        if item is None:
            self.items[table].get(partition, {}).pop(within, None)
        else:
            self.items[table].setdefault(partition, {})[within] = item

    def _holds(self, wanted: Item) -> bool:
        text = wanted.get("ConditionExpression")
        if text is None:
            return True
        item = self._at(wanted["TableName"], wanted.get("Key") or wanted["Item"], "Write") or {}
        names, values = wanted.get("ExpressionAttributeNames", {}), wanted.get("ExpressionAttributeValues", {})
        return condition(text).holds(item, names, values)

    def _checked(self, wanted: Item, operation: str) -> None:
        self._key(wanted["TableName"], wanted.get("Key") or wanted["Item"], operation)
        self._uses(wanted, operation)
        if self._holds(wanted):
            return
        more = {}
        if wanted.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            found = self._at(wanted["TableName"], wanted.get("Key") or wanted["Item"], operation)
            more = {"Item": copied(found)} if found is not None else {}
        name = "ConditionalCheckFailedException"
        raise _error(ConditionalCheckFailedException, name, "The conditional request failed", operation, **more)

    def _uses(self, wanted: Mapping[str, Any], operation: str, *texts: str) -> None:
        """Refuse names and values that no expression uses, and those that one uses and nobody gave."""
        given = set(wanted.get("ExpressionAttributeNames", {})), set(wanted.get("ExpressionAttributeValues", {}))
        used_names: set[str] = set()
        used_values: set[str] = set()
        conditions = [wanted[key] for key in ("ConditionExpression", "FilterExpression") if key in wanted]
        for read in [condition(text) for text in (*texts, *conditions)]:
            used_names |= read.names
            used_values |= read.values
        if "UpdateExpression" in wanted:
            changes = update(wanted["UpdateExpression"])
            used_names |= changes.names
            used_values |= changes.values
        if "ProjectionExpression" in wanted:
            used_names |= {part for part in projection(wanted["ProjectionExpression"]) if part.startswith("#")}
        for what, has, uses in (("Names", given[0], used_names), ("Values", given[1], used_values)):
            if has != uses:
                problem = "unused in expressions" if has - uses else "not defined"
                raise _invalid(f"ExpressionAttribute{what}: {problem}: {', '.join(sorted(has ^ uses))}", operation)

    def _put(self, table: str, item: Item, operation: str) -> None:
        partition, within = self._key(table, item, operation)
        if _size(item) > MAX_ITEM_BYTES:
            raise _invalid("Item size has exceeded the maximum allowed size", operation)
        for keys in self.schemas[table].indexes.values():
            for name in keys:
                if name in item and next(iter(item[name].values())) == "":
                    raise _invalid(f"The index key {name} is empty", operation)
        self.items[table].setdefault(partition, {})[within] = copied(item)

    def _update(self, wanted: Item, operation: str) -> tuple[Item, set[str]]:
        item = copied(self._at(wanted["TableName"], wanted["Key"], operation) or dict(wanted["Key"]))
        names, values = wanted.get("ExpressionAttributeNames", {}), wanted.get("ExpressionAttributeValues", {})
        try:
            changed = update(wanted["UpdateExpression"]).apply(item, names, values)
        except Invalid as problem:
            raise _invalid(str(problem), operation) from None
        self._put(wanted["TableName"], item, operation)
        return item, changed


_TRANSACT = "TransactWriteItems"
_METHODS = {
    operation: re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    for operation in (
        "BatchGetItem",
        "BatchWriteItem",
        "CreateTable",
        "DeleteItem",
        "DeleteTable",
        "GetItem",
        "PutItem",
        "Query",
        "Scan",
        "TransactWriteItems",
        "UpdateItem",
    )
}


def answer_requests(session: Any, tables: Callable[[], Tables]) -> None:
    """Let ``tables()`` answer the DynamoDB requests of all clients that the session makes from now on.

    botocore has checked the parameters then, and goes on as with an answer from the wire: ``after-call`` is told, an
    error is raised as the client's own class. Its retries never see it.
    """

    def before_parameter_build(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["tables_in_memory"] = params

    def before_call(model: Any, context: Mapping[str, Any], **_: Any) -> tuple[Any, Item]:
        method = getattr(tables(), _METHODS[model.name])
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0, "RequestId": "in-memory"}
        try:
            answer = method(**context["tables_in_memory"])
        except ClientError as problem:
            metadata["HTTPStatusCode"] = 400
            answer = dict(problem.response)
        return SimpleNamespace(status_code=metadata["HTTPStatusCode"], headers={}), answer | {
            "ResponseMetadata": metadata
        }

    session.events.register_last("before-parameter-build.dynamodb", before_parameter_build)
    session.events.register("before-call.dynamodb", before_call)


def _keys(schema: Sequence[Mapping[str, str]]) -> tuple[str, str | None]:
    by_kind = {key["KeyType"]: key["AttributeName"] for key in schema}
    return by_kind["HASH"], by_kind.get("RANGE")


def _projected(item: Item, more: Mapping[str, Any]) -> Item:
    if "ProjectionExpression" not in more:
        whole: Item = copied(item)
        return whole
    names = more.get("ExpressionAttributeNames", {})
    wanted = [names.get(part, part) for part in projection(more["ProjectionExpression"])]
    return {name: copied(item[name]) for name in wanted if name in item}


def _hash_value(text: str, key: str, names: Mapping[str, str], values: Item) -> str:
    """Return the value of the hash key that a key condition begins with."""
    found = re.match(r"\s*([#\w]+)\s*=\s*(:\w+)", text)
    if found is None or names.get(found[1], found[1]) != key:
        raise NotImplementedError(f"a key condition that does not begin with {key}: {text}")
    return str(next(iter(values[found[2]].values())))


def _size(item: Item) -> int:
    """Return an item's size as DynamoDB reckons it: names and contents, a few bytes for each nested value."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(attribute: Item) -> int:
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "B":
        return len(value)
    if kind == "N":
        return len(value) // 2 + 2
    if kind == "M":
        return 3 + sum(len(name.encode()) + 1 + _value_size(inner) for name, inner in value.items())
    if kind == "L":
        return 3 + sum(1 + _value_size(inner) for inner in value)
    return 1 if kind in ("NULL", "BOOL") else sum(len(part) for part in value)


def _error(kind: type[ClientError], code: str, message: str, operation: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "message": message, **more}
    return kind(response, operation)


def _invalid(message: str, operation: str) -> ClientError:
    return _error(ClientError, "ValidationException", message, operation)


def _cancelled(codes: list[str]) -> ClientError:
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    reasons = [{"Code": code} for code in codes]
    return _error(
        TransactionCanceledException, "TransactionCanceledException", message, _TRANSACT, CancellationReasons=reasons
    )
