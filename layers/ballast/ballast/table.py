"""DynamoDB tables in plain Python values, with errors named by their consequence.

::

    get, batch_get, all, page, count     read
    delete                               of an item that may be forgotten at once
    write(Put(…) | Update(…))     ──▶ Answer: written, or not written because ``only_if`` was false
    transact([Put(…), Update(…)]) ──▶ all are written, or none; then the positions of those with a false ``only_if``

A failed condition is a result and not an error. Values are str, int, Decimal, bytes, bool and None, and lists and dicts
of them; money is never a float. Only this module uses DynamoDB's own format (``{"S": "held"}``), and
``tests/unit/test_imports.py`` checks that.

Each request raises ``RetryLater`` for a throttle or an outage, and ``SettingInvalid`` if the table is missing. Keys
that a batch leaves unread, and transactions that conflict with another, are tried again a limited number of times with
growing pauses; then ``RetryLater`` follows. A throttled query never returns a part of its result.

Imports ``ballast.aws_errors`` and ``ballast.errors``.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ballast.aws_errors import consequences
from ballast.errors import RetryLater
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.runtime import Runtime

#: An item, or an item's key, in plain values.
Item = dict[str, Any]
#: An attribute's name, or the path to an attribute inside maps, with dots between the names.
Path = str

#: Transactions often conflict on items that many runs write. At most 3.5 s; then the workflow's own retries follow.
TRANSACTION_ATTEMPTS, BATCH_ATTEMPTS = 8, 5
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
#: DynamoDB's own limit.
_KEYS_A_BATCH = 100
_FAILED = "ConditionalCheckFailed"
#: Temporary reasons of a cancelled transaction, and the errors that mean the same for the whole request.
_PASSING = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_PASSING_ERRORS = {"TransactionConflictException", "TransactionInProgressException", "ThrottlingException"}


# Values


def wire(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``item`` in DynamoDB's format. Raises ``TypeError`` for a value of another type."""
    return {name: _wire(value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> Item:
    """Return an item in plain values. An integer becomes an int; a set (Ballast never writes one) becomes a tuple."""
    return {name: _plain(attribute) for name, attribute in item.items()}


def _wire(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(value)}
        case bytes() | bytearray():
            return {"B": bytes(value)}
        case Mapping():
            return {"M": wire(value)}
        case list() | tuple():
            return {"L": [_wire(one) for one in value]}
    raise TypeError(f"A table does not keep a {type(value).__name__}.")


def _plain(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return _number(value)
        case "NULL":
            return None
        case "M":
            return plain(value)
        case "L":
            return [_plain(one) for one in value]
        case "NS":
            return tuple(_number(one) for one in value)
        case "SS" | "BS":
            return tuple(value)
    return value


def _number(text: str) -> int | Decimal:
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


# Conditions


class _Terms:
    """The names and values of one request, each with its placeholder."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def name(self, path: Path) -> str:
        """Return the placeholder of a path."""
        return ".".join(self._names.setdefault(part, self._placeholder(part)) for part in path.split("."))

    def _placeholder(self, name: str) -> str:
        plain_name = name.isascii() and name.isidentifier() and not name.startswith("_")
        return f"#{name}" if plain_name else f"#_{len(self._names)}"

    def value(self, value: Any) -> str:
        """Return the placeholder of a value."""
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = _wire(value)
        return placeholder

    def names(self, paths: Iterable[Path]) -> str:
        """Return the placeholders of several paths."""
        return ", ".join(map(self.name, paths))

    @property
    def parameters(self) -> dict[str, Any]:
        """The request's parameters that define the placeholders."""
        named = {placeholder: name for name, placeholder in self._names.items()}
        found = {"ExpressionAttributeNames": named, "ExpressionAttributeValues": self._values}
        return {name: terms for name, terms in found.items() if terms}


class Condition:
    """A condition on an item. Name conditions first, then join them with ``&`` and ``|``::

    it_is_held = equals("status", "held")
    nothing_taken_yet, it_fits = absent("taken_microusd"), at_most("taken_microusd", room)
    """

    def __and__(self, other: Condition) -> Condition:
        """Return the condition that both hold."""
        return _Joined("AND", (self, other))

    def __or__(self, other: Condition) -> Condition:
        """Return the condition that at least one holds."""
        return _Joined("OR", (self, other))

    def text(self, terms: _Terms) -> str:
        """Return the condition as an expression; its names and values are added to ``terms``."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Test(Condition):
    form: str
    path: Path
    values: tuple[Any, ...] = ()

    def text(self, terms: _Terms) -> str:
        return self.form.format(terms.name(self.path), *map(terms.value, self.values))


@dataclass(frozen=True)
class _Joined(Condition):
    word: str
    conditions: tuple[Condition, ...]

    def text(self, terms: _Terms) -> str:
        return f" {self.word} ".join(self._part(one, terms) for one in self.conditions)

    def _part(self, one: Condition, terms: _Terms) -> str:
        text = one.text(terms)
        return f"({text})" if isinstance(one, _Joined) and one.word != self.word else text


def absent(path: Path) -> Condition:
    """The item does not have the attribute. For a key's attribute: the item does not exist."""
    return _Test("attribute_not_exists({})", path)


def present(path: Path) -> Condition:
    """The item has the attribute. For a key's attribute: the item exists."""
    return _Test("attribute_exists({})", path)


def equals(path: Path, value: Any) -> Condition:
    """The attribute has this value."""
    return _Test("{} = {}", path, (value,))


def differs(path: Path, value: Any) -> Condition:
    """The attribute has another value, or is absent."""
    return _Test("{} <> {}", path, (value,))


def at_most(path: Path, value: Any) -> Condition:
    """The attribute exists and is not larger."""
    return _Test("{} <= {}", path, (value,))


def at_least(path: Path, value: Any) -> Condition:
    """The attribute exists and is not smaller."""
    return _Test("{} >= {}", path, (value,))


def between(path: Path, low: Any, high: Any) -> Condition:
    """The attribute exists and is between these bounds, both inclusive."""
    return _Test("{} BETWEEN {} AND {}", path, (low, high))


def begins_with(path: Path, text: str) -> Condition:
    """The attribute is a text with this prefix."""
    return _Test("begins_with({}, {})", path, (text,))


# Requests


@dataclass(frozen=True)
class Put:
    """Write a whole item. ``only_if`` is a condition on the existing item under its key."""

    item: Mapping[str, Any]
    only_if: Condition | None = None

    def request(self, table: str) -> dict[str, Any]:
        """Return the parameters of PutItem, and of a transaction's ``Put``."""
        terms, request = _Terms(), {"TableName": table, "Item": wire(self.item)}
        if self.only_if is not None:
            request["ConditionExpression"] = self.only_if.text(terms)
        return request | terms.parameters


@dataclass(frozen=True)
class Update:
    """Change attributes of the item under ``key``, or create the item with the key and these attributes.

    set            new values
    set_if_absent  values of attributes that the item does not have yet
    remove         attributes to remove
    add            numbers to add; an absent attribute counts as 0
    """

    key: Mapping[str, Any]
    set: Mapping[Path, Any] = field(default_factory=dict)
    set_if_absent: Mapping[str, Any] = field(default_factory=dict)
    remove: Sequence[Path] = ()
    add: Mapping[Path, int] = field(default_factory=dict)
    only_if: Condition | None = None

    def request(self, table: str) -> dict[str, Any]:
        """Return the parameters of UpdateItem, and of a transaction's ``Update``."""
        terms, clauses = _Terms(), []
        set_to = [f"{terms.name(path)} = {terms.value(value)}" for path, value in self.set.items()]
        for path, value in self.set_if_absent.items():
            name = terms.name(path)
            set_to.append(f"{name} = if_not_exists({name}, {terms.value(value)})")
        if set_to:
            clauses.append(f"SET {', '.join(set_to)}")
        if self.remove:
            clauses.append(f"REMOVE {terms.names(self.remove)}")
        if self.add:
            added = ", ".join(f"{terms.name(path)} {terms.value(number)}" for path, number in self.add.items())
            clauses.append(f"ADD {added}")
        request = {"TableName": table, "Key": wire(self.key), "UpdateExpression": " ".join(clauses)}
        if self.only_if is not None:
            request["ConditionExpression"] = self.only_if.text(terms)
        return request | terms.parameters


@dataclass(frozen=True)
class Answer:
    """Whether an item was written. It was not written if ``only_if`` was false.

    item  if requested: the item after an update, or the existing item that prevented a put
    """

    written: bool
    item: Item | None = None


@dataclass(frozen=True)
class Query:
    """Find items of one partition, in the order of their sort keys.

    where       on the partition's key, and on the sort key
    index       the index to query; it is eventually consistent
    having      a filter on the items that ``where`` finds
    only        return only these attributes
    descending  in descending order
    consistent  strongly consistent; only for the table itself
    limit       most items that one page reads
    after       start after this item: the ``after`` of the previous page
    """

    where: Condition
    index: str = ""
    having: Condition | None = None
    only: Sequence[str] = ()
    descending: bool = False
    consistent: bool = False
    limit: int | None = None
    after: Mapping[str, Any] | None = None

    def request(self, table: str) -> dict[str, Any]:
        """Return the parameters of Query."""
        terms = _Terms()
        request: dict[str, Any] = {"TableName": table, "KeyConditionExpression": self.where.text(terms)}
        if self.index:
            request["IndexName"] = self.index
        if self.having is not None:
            request["FilterExpression"] = self.having.text(terms)
        if self.only:
            request["ProjectionExpression"] = terms.names(self.only)
        if self.descending:
            request["ScanIndexForward"] = False
        if self.consistent:
            request["ConsistentRead"] = True
        if self.limit is not None:
            request["Limit"] = self.limit
        if self.after is not None:
            request["ExclusiveStartKey"] = wire(self.after)
        return request | terms.parameters


@dataclass(frozen=True)
class Page:
    """The result of one request of a query. ``after``: where the next page starts; None after the last page."""

    items: list[Item]
    after: Item | None


# The table


@dataclass(frozen=True)
class Table:
    """One table, with the rights of one function.

    what    the table's name in errors
    random  a number in [0, 1), for jitter in the pauses, so that conflicting writers do not retry together
    sleep   waits a number of seconds
    """

    client: Any
    name: str
    what: str
    random: Callable[[], float] = _random.random  # no secret
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, runtime: Runtime, name: str, variable: str) -> Table:
        """Return the table ``name``. Errors show ``variable``, the environment variable that it came from."""
        return cls(runtime.lazy("dynamodb"), name, f"Table {name} ({variable})")

    def get(self, key: Mapping[str, Any], *, only: Sequence[str] = ()) -> Item | None:
        """Return the item, or ``only`` these attributes of it; None if it does not exist. Strongly consistent."""
        request: dict[str, Any] = {"TableName": self.name, "Key": wire(key), "ConsistentRead": True}
        with consequences(self.what):
            found = self.client.get_item(**request | _projection(only))
        return plain(found["Item"]) if "Item" in found else None

    def batch_get(
        self, keys: Sequence[Mapping[str, Any]], *, only: Sequence[str] = (), consistent: bool = True
    ) -> list[Item]:
        """Return the items under ``keys`` in any order, each once; missing ones are left out."""
        found: list[Item] = []
        # DynamoDB refuses a request with a key that occurs twice.
        keys = list({tuple(sorted(key.items())): key for key in keys}.values())
        for start in range(0, len(keys), _KEYS_A_BATCH):
            asked: dict[str, Any] = {"ConsistentRead": True} if consistent else {}
            asked |= _projection(only)
            wanted = [wire(key) for key in keys[start : start + _KEYS_A_BATCH]]
            for _ in self._attempts(BATCH_ATTEMPTS):
                with consequences(self.what):
                    page = self.client.batch_get_item(RequestItems={self.name: {"Keys": wanted, **asked}})
                found += map(plain, page["Responses"].get(self.name, []))
                wanted = page.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
                if not wanted:
                    break
            else:
                raise RetryLater(f"{self.what} leaves keys unread; try again.")
        return found

    def all(self, query: Query) -> list[Item]:
        """Return every item that ``query`` finds, page after page."""
        page = self.page(query)
        found = page.items
        while page.after is not None:
            page = self.page(replace(query, after=page.after))
            found += page.items
        return found

    def page(self, query: Query) -> Page:
        """Return the items of one request: at most 1 MiB, and at most ``query.limit`` items."""
        with consequences(self.what):
            page = self.client.query(**query.request(self.name))
        after = page.get("LastEvaluatedKey")
        return Page(list(map(plain, page["Items"])), plain(after) if after else None)

    def count(self, query: Query) -> int:
        """Return the number of items that one request finds."""
        with consequences(self.what):
            return int(self.client.query(**query.request(self.name), Select="COUNT")["Count"])

    def write(self, write: Put | Update, *, show: bool = False) -> Answer:
        """Write one item, if its condition holds. ``show``: see ``Answer.item``."""
        from botocore.exceptions import ClientError

        request = write.request(self.name)
        if show:
            returned = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
            request |= returned if isinstance(write, Put) else {"ReturnValues": "ALL_NEW"}
        with consequences(self.what):
            try:
                send = self.client.put_item if isinstance(write, Put) else self.client.update_item
                found: Any = send(**request).get("Attributes")
            except ClientError as problem:
                if problem.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                    raise
                there: Any = problem.response
                return Answer(written=False, item=plain(there["Item"]) if "Item" in there else None)
        return Answer(written=True, item=plain(found) if found else None)

    def delete(self, key: Mapping[str, Any]) -> None:
        """Delete the item, if there is one."""
        with consequences(self.what):
            self.client.delete_item(TableName=self.name, Key=wire(key))

    def transact(self, writes: Sequence[Put | Update]) -> frozenset[int]:
        """Write all of ``writes`` and return the empty set, or write none and return those with a false condition.

        The first item decides what the others mean, so the transaction is tried again if the first one's result is
        unknown.
        """
        items = [{type(write).__name__: write.request(self.name)} for write in writes]
        for _ in self._attempts(TRANSACTION_ATTEMPTS):
            codes = self._codes(items)
            failed = frozenset(place for place, code in enumerate(codes) if code == _FAILED)
            if not codes or (failed and codes[0] not in _PASSING):
                return failed
        raise RetryLater(f"{self.what}: other transactions were in the way {TRANSACTION_ATTEMPTS} times; try again.")

    def transact_with(self, first: Put | Update, others: Sequence[Put | Update]) -> bool:
        """Write ``first``, and those of ``others`` whose conditions hold. Return False, and write nothing, if the
        condition of ``first`` is false.

        For changes of items that TTL may have removed, because nothing depends on removed ones.
        """
        left = list(others)
        while failed := self.transact([first, *left]):
            if 0 in failed:
                return False
            left = [write for place, write in enumerate(left, start=1) if place not in failed]
        return True

    def _codes(self, items: list[dict[str, Any]]) -> list[str]:
        """Return the reason of cancellation for each item; an empty list if the transaction was written."""
        from botocore.exceptions import ClientError

        with consequences(self.what):
            try:
                self.client.transact_write_items(TransactItems=items)
            except ClientError as problem:
                found: Any = problem.response
                code = found.get("Error", {}).get("Code")
                if code in _PASSING_ERRORS:  # the error of the whole request: the same reason for each item
                    return ["TransactionConflict"] * len(items)
                codes = [reason.get("Code", "None") for reason in found.get("CancellationReasons", [])]
                if code != "TransactionCanceledException" or not {*codes} <= {"None", _FAILED, *_PASSING}:
                    raise
                return codes
        return []

    def _attempts(self, most: int) -> Iterable[None]:
        """Yield ``most`` times, with a growing pause between the attempts."""
        for attempt in range(most):
            if attempt:
                self.sleep(self.random() * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1)))
            yield


def _projection(only: Sequence[str]) -> dict[str, Any]:
    terms = _Terms()
    return {"ProjectionExpression": terms.names(only), **terms.parameters} if only else {}
