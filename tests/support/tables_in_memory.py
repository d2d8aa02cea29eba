"""DynamoDB tables in memory: for tests and benchmarks of money that make more requests than moto can bear.

As much of the client as the log, the books, the opening of escalations and Powertools' idempotency use. What a
condition or a change means is DynamoDB's; tests (``test_tables_in_memory.py``, where the books' and the executor's
tests are) hold it to moto's, request by request.
"""
# ruff: noqa: N803  parameters are named as boto3 names them

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import RLock
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
#: Each table's keys; None where it has no range key.
KEYS: dict[str, tuple[str, str | None]] = {
    "run-log": ("run_id", "seq"),
    "budgets": ("account", "window"),
    "escalations": ("escalation_id", None),
    "idempotency": ("id", None),
}
INDEXES = {"by_look": ("held", "look_at")}
_CLAUSES = re.compile(r"\b(SET|ADD|REMOVE) (.*?)(?= SET | ADD | REMOVE |$)")
_TERM = re.compile(r"(\S+) (=|<=|>=|<|>) (\S+)")
_FUNCTION = re.compile(r"(attribute_not_exists|attribute_exists|begins_with)\(([^,)]+)(?:, ([^)]+))?\)")
_OR_ELSE = re.compile(r"if_not_exists\(([^,]+), ([^)]+)\)")
_COMMA = re.compile(r", (?![^(]*\))")


class ConditionalCheckFailedException(ClientError):
    """As boto3 names it."""


class TransactionCanceledException(ClientError):
    """As boto3 names it."""


class Exceptions:
    """What a client has as ``exceptions``."""

    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException
    ClientError = ClientError


class Tables:
    """A DynamoDB client and its tables.

    conflicts  says whether the next transaction meets another one
    """

    exceptions = Exceptions

    def __init__(self, conflicts: Callable[[], bool] = lambda: False) -> None:
        self.items: dict[str, dict[str, dict[str, Item]]] = {name: {} for name in KEYS}
        self._conflicts = conflicts
        self._one_at_a_time = RLock()

    # Requests

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> Item:
        """Return one item."""
        with self._one_at_a_time:
            found = self._at(TableName, Key)
            return {"Item": _copied(found)} if found is not None else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        """Return several items."""
        with self._one_at_a_time:
            pages = {table: [self._at(table, key) for key in asked["Keys"]] for table, asked in RequestItems.items()}
        return {"Responses": {table: _copied([i for i in page if i]) for table, page in pages.items()}}

    def put_item(self, *, TableName: str, Item: Item, **more: Any) -> Item:
        """Write one item, if its condition holds."""
        more.pop("ReturnValuesOnConditionCheckFailure", None)
        with self._one_at_a_time:
            self._checked({"TableName": TableName, "Item": Item, **more})
            self._put(TableName, Item)
        return {}

    def update_item(self, **update: Any) -> Item:
        """Change one item, if its condition holds."""
        with self._one_at_a_time:
            self._checked(update)
            self._update(update)
        return {}

    def delete_item(self, *, TableName: str, Key: Item, **_: Any) -> Item:
        """Remove one item, if it is there."""
        with self._one_at_a_time:
            partition, within = self._key({"TableName": TableName, "Key": Key})
            self.items[TableName].get(partition, {}).pop(within, None)
        return {}

    def transact_write_items(self, *, TransactItems: Sequence[Item]) -> Item:
        """Do all, or nothing where a condition fails or another transaction is in the way."""
        operations = [next(iter(item.items())) for item in TransactItems]
        keys = [str((wanted["TableName"], self._key(wanted))) for _, wanted in operations]
        assert len(set(keys)) == len(keys) <= 100, "a transaction touches an item once, and 100 items at most"
        with self._one_at_a_time:
            if self._conflicts():
                raise _cancelled(["TransactionConflict", *["None"] * (len(keys) - 1)])
            codes = ["None" if self._holds(wanted) else "ConditionalCheckFailed" for _, wanted in operations]
            if set(codes) != {"None"}:
                raise _cancelled(codes)
            for kind, wanted in operations:
                if kind == "Put":
                    self._put(wanted["TableName"], wanted["Item"])
                else:
                    self._update(wanted)
        return {}

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        IndexName: str | None = None,
        Limit: int | None = None,
        **_: Any,
    ) -> Item:
        """Return the items of one partition that fit, in the order of the range key."""
        hash_key, range_key = INDEXES[IndexName] if IndexName else KEYS[TableName]
        with self._one_at_a_time:
            partition = _value(ExpressionAttributeValues[f":{_partition(KeyConditionExpression)}"])
            items = self._all(TableName) if IndexName else iter(self.items[TableName].get(partition, {}).values())
            found = [
                item
                for item in items
                if hash_key in item and _fits(KeyConditionExpression, item, {}, ExpressionAttributeValues)
            ]
            found = _copied(sorted(found, key=lambda item: str(item[range_key]["S"]))[:Limit])
        return {"Items": found, "Count": len(found)}

    # Items

    def scan(self, table: str) -> list[Item]:
        """Return all items of a table."""
        with self._one_at_a_time:
            return _copied(list(self._all(table)))

    def _all(self, table: str) -> Iterator[Item]:
        return (item for partition in self.items[table].values() for item in partition.values())

    def _key(self, wanted: Item) -> tuple[str, str]:
        key = wanted.get("Key") or wanted["Item"]
        hash_key, range_key = KEYS[wanted["TableName"]]
        return key[hash_key]["S"], key[range_key]["S"] if range_key else ""

    def _at(self, table: str, key: Item) -> Item | None:
        partition, within = self._key({"TableName": table, "Key": key})
        return self.items[table].get(partition, {}).get(within)

    def _holds(self, wanted: Item) -> bool:
        condition = wanted.get("ConditionExpression")
        item = self._at(wanted["TableName"], wanted.get("Key") or wanted["Item"]) or {}
        names, values = wanted.get("ExpressionAttributeNames", {}), wanted.get("ExpressionAttributeValues", {})
        return condition is None or _fits(condition, item, names, values)

    def _checked(self, wanted: Item) -> None:
        if not self._holds(wanted):
            found = self._at(wanted["TableName"], wanted.get("Key") or wanted["Item"])
            raise ConditionalCheckFailedException(
                {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}, "Item": _copied(found)},  # type: ignore[typeddict-unknown-key]
                "Write",
            )

    def _put(self, table: str, item: Item) -> None:
        partition, within = self._key({"TableName": table, "Item": item})
        self.items[table].setdefault(partition, {})[within] = _copied(item)

    def _update(self, update: Item) -> None:
        item = _copied(self._at(update["TableName"], update["Key"]) or dict(update["Key"]))
        names, values = update.get("ExpressionAttributeNames", {}), update.get("ExpressionAttributeValues", {})
        for clause, text in _CLAUSES.findall(update["UpdateExpression"]):
            for part in _COMMA.split(text):
                path, _, value = part.partition(" = " if clause == "SET" else " ")
                holder, name = _holder(item, path.strip(), names)
                if clause == "REMOVE":
                    holder.pop(name, None)
                elif clause == "SET" and (or_else := _OR_ELSE.fullmatch(value.strip())):
                    within, other = _holder(item, or_else[1], names)
                    holder[name] = _copied(within.get(other, values[or_else[2]]))
                elif clause == "SET":
                    holder[name] = _copied(values[value.strip()])
                else:
                    before = int(holder.get(name, {"N": "0"})["N"])
                    holder[name] = {"N": str(before + int(values[value.strip()]["N"]))}
        self._put(update["TableName"], item)


def _copied(value: Any) -> Any:
    """Return a copy of what DynamoDB has for JSON. ``copy.deepcopy`` takes several times as long."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _cancelled(codes: list[str]) -> TransactionCanceledException:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": ", ".join(codes)},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return TransactionCanceledException(response, "TransactWriteItems")


def _partition(condition: str) -> str:
    found = re.match(r"\S+ = :(\w+)", condition)
    assert found
    return found[1]


def _holder(item: Item, path: str, names: Mapping[str, str]) -> tuple[Item, str]:
    """Return the mapping that holds the last part of ``path``, and that part."""
    *outer, last = [names.get(part, part) for part in path.split(".")]
    for name in outer:
        item = item.get(name, {"M": {}})["M"]
    return item, last


def _fits(condition: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    """Say whether ``item`` fits a condition: terms joined by AND, and several of such, the later in brackets, by OR."""
    if " OR " in condition:
        return any(
            _fits(term.strip("()") if term[0] == "(" else term, item, names, values) for term in condition.split(" OR ")
        )
    return all(_term_fits(term.strip(), item, names, values) for term in condition.split(" AND "))


def _term_fits(term: str, item: Item, names: Mapping[str, str], values: Item) -> bool:
    if found := _FUNCTION.fullmatch(term):
        holder, name = _holder(item, found[2], names)
        if found[1] == "attribute_not_exists":
            return name not in holder
        if found[1] == "attribute_exists":
            return name in holder
        return name in holder and str(_value(holder[name])).startswith(str(_value(values[found[3]])))
    found = _TERM.fullmatch(term)
    assert found, f"no condition that is known here: {term}"
    holder, name = _holder(item, found[1], names)
    if name not in holder:
        return False
    one, other = _value(holder[name]), _value(values[found[3]])
    return {"=": one == other, "<=": one <= other, ">=": one >= other, "<": one < other, ">": one > other}[found[2]]


def _value(attribute: Item) -> Any:
    ((kind, value),) = attribute.items()
    return int(value) if kind == "N" else value
