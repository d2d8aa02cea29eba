"""DynamoDB tables in memory, for tests of functions and for benchmarks with more requests than moto can handle.

``Tables`` is a client itself, or answers the requests of real boto3 clients (``dynamodb_client.answer_requests``):
then botocore checks parameters and raises its own errors, and only the network is replaced.

Every accepted parameter is implemented; all others are refused by name. A contract suite sends the same
requests to moto and here, and compares responses and errors (``tests/functions/tables``).
"""
# ruff: noqa: N803  parameters are named as boto3 names them

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, NamedTuple

from localcloud.sessions import Written
from tests.support.attributes import (
    Invalid,
    Item,
    Refused,
    Schema,
    accepted_item,
    copied,
    order,
    place,
    plain,
    refuse_wrong_keys,
    size,
)
from tests.support.dynamodb_client import Exceptions, answer_requests, cancelled, refuse_others, refuse_twice, request
from tests.support.expressions import (
    Condition,
    Expression,
    Names,
    Projection,
    Update,
    check,
    condition,
    hash_value,
    picked,
    projection,
    update,
)

#: DynamoDB's limits in bytes: an item, a page of a query or scan, a transaction.
MAX_ITEM, MAX_PAGE, MAX_TRANSACTION = 400 * 1024, 1024 * 1024, 4 * 1024 * 1024
#: DynamoDB's limits in items: a transaction, a batch read, a batch write.
MAX_ITEMS, MAX_READ, MAX_WRITTEN = 100, 100, 25

_PLACEHOLDERS = ("ExpressionAttributeNames", "ExpressionAttributeValues")
_SHOWN = ("ProjectionExpression", "ExpressionAttributeNames")
_CHECKED = ("TableName", "ConditionExpression", *_PLACEHOLDERS, "ReturnValuesOnConditionCheckFailure")
#: By kind of write: its parameters in a transaction. A single write also has ReturnValues.
_WRITES = {
    "Put": (*_CHECKED, "Item"),
    "Update": (*_CHECKED, "Key", "UpdateExpression"),
    "Delete": (*_CHECKED, "Key"),
    "ConditionCheck": (*_CHECKED, "Key"),
}
_PAGED = ("TableName", "Limit", "ExclusiveStartKey", "ConsistentRead", "Select", "FilterExpression", *_SHOWN)
_REASONS = {"ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError"}

#: The platform's tables, with the names that tests give them.
PLATFORM = {
    "run-log": Schema(("run_id", "seq"), {"by_tenant": ("tenant", "at"), "by_outcome": ("outcome", "at")}),
    "budgets": Schema(("account", "window"), {"by_look": ("held", "look_at")}),
    "moves": Schema(("account", "window")),
    "escalations": Schema(
        ("escalation_id", None),
        {
            "by_status": ("status", "opened_at"),
            "by_tenant": ("tenant", "opened_at"),
            "by_due": ("due", "due_at"),
        },
    ),
    "idempotency": Schema(("id", None)),
    "requester-tokens": Schema(("run_id", None)),
}


@dataclass(frozen=True)
class _Write:
    """One parsed write. ``key`` is not checked yet; ``item`` is a Put's item."""

    kind: str
    table: str
    key: Item
    item: Item | None
    condition: Condition | None
    update: Update | None
    names: Names
    values: Item
    shows_old: bool
    bytes: int


class _Change(NamedTuple):
    """The item after a write; None if there is none."""

    table: str
    place: tuple[Any, Any]
    before: Item | None
    after: Item | None


@dataclass(frozen=True)
class _Shown:
    """The part of the items that a read returns."""

    projection: Projection | None
    filter: Condition | None
    names: Names
    values: Item

    @classmethod
    def of(cls, wanted: Mapping[str, Any], *others: Expression) -> _Shown:
        """Parse the expressions of a request, with its other expressions."""
        shown = projection(wanted["ProjectionExpression"]) if "ProjectionExpression" in wanted else None
        filtered = condition(wanted["FilterExpression"]) if "FilterExpression" in wanted else None
        names, values = _given(wanted, *others, *(read for read in (shown, filtered) if read))
        return cls(shown, filtered, names, values)

    def of_item(self, item: Item) -> Item:
        """Return a copy of an item's returned part."""
        whole: Item = copied(item) if self.projection is None else picked(item, self.projection.paths(self.names))
        return whole


class Tables:
    """A DynamoDB client and its tables.

    conflicts  returns whether the next transaction conflicts with another
    schemas    the tables, all empty at first
    """

    exceptions = Exceptions

    def __init__(self, conflicts: Callable[[], bool] = lambda: False, schemas: Mapping[str, Schema] = PLATFORM) -> None:
        self.schemas = dict(schemas)
        #: By table, value of the hash key and value of the range key ("" where there is none).
        self.items: dict[str, dict[Any, dict[Any, Item]]] = {name: {} for name in schemas}
        self._conflicts = conflicts
        #: Completed transactions by token. DynamoDB forgets them after ten minutes.
        self._done: dict[str, Any] = {}
        self.one_at_a_time = RLock()
        self._streamed: frozenset[str] = frozenset()
        self._written: Written = lambda table, happened, keys, before, after: None

    # In the place of a local cloud's DynamoDB

    def take(self, deployed: Sequence[Mapping[str, Any]], written: Written) -> None:
        """Create the deployed tables; see ``localcloud.sessions.DynamoDB``."""
        self.schemas.clear()
        self.items.clear()
        for table in deployed:
            indexes = [
                {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
                for index in table.get("GlobalSecondaryIndexes", ())
            ]
            name = table["TableName"]
            self.schemas[name] = Schema.of(table["KeySchema"], indexes, table["AttributeDefinitions"])
            self.items[name] = {}
        self._streamed = frozenset(table["TableName"] for table in deployed if "StreamSpecification" in table)
        self._written = written

    def answer(self, session: Any) -> None:
        """Answer the requests of the clients that the session makes from now on."""
        answer_requests(session, lambda: self)

    # Tables

    @request("CreateTable", "TableName", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
    def create_table(
        self,
        *,
        TableName: str,
        KeySchema: Sequence[Mapping[str, str]],
        AttributeDefinitions: Sequence[Mapping[str, str]],
        GlobalSecondaryIndexes: Sequence[Mapping[str, Any]] = (),
        BillingMode: str = "PAY_PER_REQUEST",
    ) -> Item:
        """Create an empty table."""
        if TableName in self.schemas:
            raise Refused("ResourceInUseException", "Table already exists: " + TableName)
        for index in GlobalSecondaryIndexes:
            refuse_others("an index", index, ("IndexName", "KeySchema", "Projection"))
        self.schemas[TableName] = Schema.of(KeySchema, GlobalSecondaryIndexes, AttributeDefinitions)
        self.items[TableName] = {}
        return {"TableDescription": {"TableName": TableName, "TableStatus": "ACTIVE"}}

    @request("DeleteTable", "TableName")
    def delete_table(self, *, TableName: str) -> Item:
        """Delete a table and its items."""
        self._schema(TableName)
        del self.schemas[TableName], self.items[TableName]
        return {"TableDescription": {"TableName": TableName, "TableStatus": "DELETING"}}

    def kept(self, *tables: str) -> dict[str, Any]:
        """Return a copy of the tables' items, for ``put_back``."""
        with self.one_at_a_time:
            return {name: copied(self.items[name]) for name in tables}

    def put_back(self, held: Mapping[str, Any]) -> None:
        """Restore each table's items to those that were kept."""
        with self.one_at_a_time:
            self.items.update({name: copied(items) for name, items in held.items()})

    def emptied(self, *tables: str) -> None:
        """Remove all items from the tables."""
        with self.one_at_a_time:
            for name in tables:
                self.items[name].clear()

    # Reads

    @request("GetItem", "TableName", "Key", "ConsistentRead", *_SHOWN)
    def get_item(self, *, TableName: str, Key: Item, **wanted: Any) -> Item:
        """Return one item."""
        shown = _Shown.of(wanted)
        found = self._at(TableName, place(self._schema(TableName), accepted_item(Key)))
        return {"Item": shown.of_item(found)} if found is not None else {}

    @request("BatchGetItem", "RequestItems")
    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        """Return several items."""
        if not 0 < sum(len(asked["Keys"]) for asked in RequestItems.values()) <= MAX_READ:
            raise Invalid("Too many items requested for the BatchGetItem call")
        responses: Item = {}
        for table, asked in RequestItems.items():
            refuse_others("BatchGetItem", asked, ("Keys", "ConsistentRead", *_SHOWN))
            shown, schema = _Shown.of(asked), self._schema(table)
            places = [place(schema, accepted_item(key)) for key in asked["Keys"]]
            refuse_twice(places, "Provided list of item keys contains duplicates")
            found = [self._at(table, place) for place in places]
            responses[table] = [shown.of_item(item) for item in found if item is not None]
        return {"Responses": responses, "UnprocessedKeys": {}}

    @request("Query", "KeyConditionExpression", "ExpressionAttributeValues", "IndexName", "ScanIndexForward", *_PAGED)
    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        IndexName: str | None = None,
        ScanIndexForward: bool = True,
        **wanted: Any,
    ) -> Item:
        """Return the matching items of one partition in the order of the range key, page by page."""
        schema = self._schema(TableName)
        if IndexName is not None and IndexName not in schema.indexes:
            raise Invalid(f"The table does not have the specified index: {IndexName}")
        if IndexName is not None and wanted.get("ConsistentRead"):
            raise Invalid("Consistent reads are not supported on global secondary indexes")
        keys = schema.indexes[IndexName] if IndexName else schema.keys
        asked = condition(KeyConditionExpression)
        shown = _Shown.of(wanted, asked)
        for path in shown.filter.paths(shown.names) if shown.filter else ():
            if path[0] in keys:
                raise Invalid(f"Filter Expression can only contain non-primary key attributes: {path[0]}")
        of_hash = hash_value(asked, keys, shown.names, shown.values)
        candidates = (
            (schema.projected(IndexName, item) for item in self._all(TableName))
            if IndexName
            else self.items[TableName].get(plain(of_hash), {}).values()
        )
        found = [
            item
            for item in candidates
            if all(key is None or key in item for key in keys) and asked.holds(item, shown.names, shown.values)
        ]
        return _page(found, dict.fromkeys((*keys, *schema.keys)), shown, wanted, backwards=not ScanIndexForward)

    @request("Scan", "ExpressionAttributeValues", *_PAGED)
    def scan(self, *, TableName: str, **wanted: Any) -> Item:
        """Return the items of a table in the order of their keys, page by page."""
        schema, shown = self._schema(TableName), _Shown.of(wanted)
        return _page(list(self._all(TableName)), schema.keys, shown, wanted)

    # Writes

    @request("PutItem", *_WRITES["Put"], "ReturnValues")
    def put_item(self, *, ReturnValues: str = "NONE", **wanted: Any) -> Item:
        """Put one item if its condition holds."""
        return self._write("Put", wanted, ReturnValues)

    @request("UpdateItem", *_WRITES["Update"], "ReturnValues")
    def update_item(self, *, ReturnValues: str = "NONE", **wanted: Any) -> Item:
        """Update one item if its condition holds."""
        return self._write("Update", wanted, ReturnValues)

    @request("DeleteItem", *_WRITES["Delete"], "ReturnValues")
    def delete_item(self, *, ReturnValues: str = "NONE", **wanted: Any) -> Item:
        """Delete one item if it exists and its condition holds."""
        return self._write("Delete", wanted, ReturnValues)

    @request("BatchWriteItem", "RequestItems")
    def batch_write_item(self, *, RequestItems: Mapping[str, Sequence[Item]]) -> Item:
        """Put and delete several items, without a condition."""
        kinds = {"PutRequest": "Put", "DeleteRequest": "Delete"}
        writes = [
            self._read(kinds[kind], {"TableName": table, **wanted})
            for table, requests in RequestItems.items()
            for request in requests
            for kind, wanted in request.items()
        ]
        if not 0 < len(writes) <= MAX_WRITTEN:
            raise Invalid(f"Member must have length less than or equal to {MAX_WRITTEN}, greater than or equal to 1")
        refuse_twice([(write.table, write.key) for write in writes], "Provided list of item keys contains duplicates")
        for change in [self._change(write) for write in writes]:
            self._store(change)
        return {"UnprocessedItems": {}}

    @request("TransactWriteItems", "TransactItems", "ClientRequestToken")
    def transact_write_items(self, *, TransactItems: Sequence[Item], ClientRequestToken: str = "") -> Item:
        """Apply all writes, or none if one is refused or another transaction conflicts. Apply a token once."""
        if ClientRequestToken in self._done:
            if self._done[ClientRequestToken] == TransactItems:
                return {}
            raise Refused("IdempotentParameterMismatchException", "The token was used with other parameters")
        if not 0 < len(TransactItems) <= MAX_ITEMS:
            raise Invalid(f"Member must have length less than or equal to {MAX_ITEMS}, greater than or equal to 1")
        if any(len(item) != 1 for item in TransactItems):
            raise Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
        writes = [self._read(kind, wanted) for item in TransactItems for kind, wanted in item.items()]
        places = [(write.table, write.key) for write in writes]
        refuse_twice(places, "Transaction request cannot include multiple operations on one item")
        if sum(write.bytes for write in writes) > MAX_TRANSACTION:
            raise Invalid("Transaction payload size cannot exceed 4 MB")
        reasons: list[dict[str, Any]] = []
        changes: list[_Change] = []
        if self._conflicts():
            reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]
            raise cancelled(reasons + [{"Code": "None"}] * (len(writes) - 1))
        for write in writes:
            try:
                changes.append(self._change(write))
                reasons.append({"Code": "None"})
            except Refused as problem:
                reasons.append({"Code": _REASONS[problem.code], "Message": problem.message, **problem.more})
        if len(changes) < len(writes):
            raise cancelled(reasons)
        for change in changes:
            self._store(change)
        if ClientRequestToken:
            self._done[ClientRequestToken] = TransactItems
        return {}

    def _write(self, kind: str, wanted: Item, returned: str) -> Item:
        allowed = ("NONE", "ALL_OLD", *(("UPDATED_OLD", "ALL_NEW", "UPDATED_NEW") if kind == "Update" else ()))
        if returned not in allowed:
            raise Invalid("Return values set to invalid value")
        write = self._read(kind, wanted)
        change = self._change(write)
        self._store(change)
        shown = change.after if returned.endswith("NEW") else change.before
        if returned == "NONE" or shown is None:
            return {}
        if returned.startswith("UPDATED"):
            shown = picked(shown, write.update.paths(write.names) if write.update else ())
        return {"Attributes": copied(shown)} if shown else {}

    def _read(self, kind: str, wanted: Mapping[str, Any]) -> _Write:
        """Parse a write. Errors that do not depend on the table's items are raised here, the others in ``_change``."""
        if kind not in _WRITES:
            raise NotImplementedError(f"{kind} in a transaction")
        refuse_others(kind, wanted, _WRITES[kind])
        schema = self._schema(wanted["TableName"])
        reads: list[Expression] = []
        condition_read = update_read = None
        if "ConditionExpression" in wanted:
            reads.append(condition_read := condition(wanted["ConditionExpression"]))
        if "UpdateExpression" in wanted:
            reads.append(update_read := update(wanted["UpdateExpression"]))
        names, values = _given(wanted, *reads)
        item = accepted_item(wanted["Item"]) if kind == "Put" else None
        key = accepted_item(wanted["Key"]) if item is None else {n: item[n] for n in schema.keys if n and n in item}
        if (item_bytes := 0 if item is None else size(item)) > MAX_ITEM:
            raise Invalid("Item size has exceeded the maximum allowed size")
        shows_old = wanted.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        return _Write(
            kind, wanted["TableName"], key, item, condition_read, update_read, names, values, shows_old, item_bytes
        )

    def _change(self, write: _Write) -> _Change:
        """Return the write's effect if its condition holds, without applying it."""
        schema = self.schemas[write.table]
        where = place(schema, write.key)
        before = self._at(write.table, where)
        if write.condition is not None and not write.condition.holds(before or {}, write.names, write.values):
            more = {"Item": copied(before)} if write.shows_old and before is not None else {}
            raise Refused("ConditionalCheckFailedException", "The conditional request failed", **more)
        after = before if write.kind == "ConditionCheck" else write.item
        if write.kind == "Update":
            after = self._updated(write, schema, before or write.key)
        if after is not None:
            refuse_wrong_keys(schema, after, schema.index_key_sizes)
        return _Change(write.table, where, before, after)

    def _updated(self, write: _Write, schema: Schema, before: Item) -> Item:
        after: Item = copied(before)
        if write.update is None:
            return after
        for path in write.update.paths(write.names):
            if path[0] in schema.key_names:
                raise Invalid(f"Cannot update attribute {path[0]}. This attribute is part of the key")
        write.update.apply(after, before, write.names, write.values)
        if size(after) > MAX_ITEM:
            raise Invalid("Item size to update has exceeded the maximum allowed size")
        return after

    def _store(self, change: _Change) -> None:
        partition, within = change.place
        if change.table in self._streamed and change.before != change.after:
            self._tell_of(change)
        if change.after is None:
            self.items[change.table].get(partition, {}).pop(within, None)
        else:
            self.items[change.table].setdefault(partition, {})[within] = change.after

    def _tell_of(self, change: _Change) -> None:
        happened = "INSERT" if change.before is None else "REMOVE" if change.after is None else "MODIFY"
        item: Item = change.before if change.after is None else change.after  # type: ignore[assignment]
        keys = {name: item[name] for name in self.schemas[change.table].key_names}
        images = [None if image is None else copied(image) for image in (change.before, change.after)]
        self._written(change.table, happened, keys, *images)

    # Items

    def _schema(self, table: str) -> Schema:
        if table not in self.schemas:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return self.schemas[table]

    def _all(self, table: str) -> Iterator[Item]:
        return (item for partition in self.items[table].values() for item in partition.values())

    def _at(self, table: str, place: tuple[Any, Any]) -> Item | None:
        return self.items[table].get(place[0], {}).get(place[1])


def _page(
    found: list[Item],
    keys: Iterable[str | None],
    shown: _Shown,
    wanted: Mapping[str, Any],
    *,
    backwards: bool = False,
) -> Item:
    """Return a page of items in the order of their keys: the requested number or 1 MB, after a start key."""
    select, limit, after = wanted.get("Select"), wanted.get("Limit"), wanted.get("ExclusiveStartKey")
    if select not in (None, "COUNT", "ALL_ATTRIBUTES"):
        raise NotImplementedError(f"Select={select}")
    if select is not None and shown.projection:
        raise Invalid(f"Cannot specify the ProjectionExpression when choosing to get {select}")
    names = [key for key in keys if key]

    def at(item: Item) -> list[Any]:
        return [order(item[name]) for name in names]

    found.sort(key=at, reverse=backwards)
    if after is not None:
        if set(after) != set(names):
            raise Invalid("The provided starting key is invalid")
        # The item may be gone: what counts is its position.
        start = at(accepted_item(after))
        found = [item for item in found if (at(item) < start if backwards else at(item) > start)]
    taken, taken_bytes = 0, 0
    for item in found:
        if taken == limit or (taken and taken_bytes + size(item) > MAX_PAGE):
            break
        taken, taken_bytes = taken + 1, taken_bytes + size(item)
    page = found[:taken]
    kept = [item for item in page if shown.filter is None or shown.filter.holds(item, shown.names, shown.values)]
    answer: Item = {"Count": len(kept), "ScannedCount": taken}
    if select != "COUNT":
        answer["Items"] = [shown.of_item(item) for item in kept]
    # DynamoDB returns a start key whenever it stopped at the limit, also at the last item.
    if taken < len(found) or (taken and taken == limit):
        answer["LastEvaluatedKey"] = {name: copied(page[-1][name]) for name in names}
    return answer


def _given(wanted: Mapping[str, Any], *read: Expression) -> tuple[Names, Item]:
    """Return a request's names and values, which its expressions must need."""
    names, values = wanted.get("ExpressionAttributeNames"), wanted.get("ExpressionAttributeValues")
    for what, given in (("Names", names), ("Values", values)):
        if given == {}:
            raise Invalid(f"ExpressionAttribute{what} must not be empty")
    names, values = names or {}, accepted_item(values or {})
    check(read, names, values)
    return names, values
