"""moto's DynamoDB: atomic requests, and responses that stay fast for a long log."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from localcloud.moto_seams.replaced import replaced


@contextmanager
def one_request_at_a_time() -> Iterator[None]:
    """Make each DynamoDB request atomic, as DynamoDB is.

    Relies on ``DynamoHandler.call_action`` handling one whole request. moto checks a condition
    and then writes without a lock, so that two threads may both pass the same condition.
    """
    from moto.dynamodb.responses import DynamoHandler

    one_at_a_time = threading.Lock()

    def call_action(self: Any) -> Any:
        with one_at_a_time:
            return before(self)

    with replaced(DynamoHandler, "call_action", call_action) as before:
        yield


@contextmanager
def stream_records_go_to(written: Callable[[str, str, Any, Any, Any], None]) -> Iterator[None]:
    """Call ``written`` (table, event name, keys, old item, new item) for each write to a table with a stream.

    Relies on ``StreamShard.add`` being called with the old and the new item. moto keeps every record forever, and
    invokes its own functions with it.
    """
    from moto.dynamodb.models.table import StreamShard

    def add(self: Any, old: Any, new: Any) -> None:
        item = new if new is not None else old
        keys = {self.table.hash_key_attr: item.hash_key.to_json()}
        if self.table.range_key_attr is not None:
            keys[self.table.range_key_attr] = item.range_key.to_json()
        happened = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        images = (None if one is None else one.to_json()["Attributes"] for one in (old, new))
        written(self.table.name, happened, keys, *images)

    with replaced(StreamShard, "add", add):
        yield


@contextmanager
def items_may_be_forgotten() -> Iterator[None]:
    """Free items and tables that nothing refers to.

    Relies on ``BaseModel.__new__`` putting each instance of a model into its class's list, forever: also each item
    that was overwritten, and each table that a transaction copied. Only S3 reads such a list.
    """
    from moto.core.common_models import BaseModel

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        if cls.__module__.startswith("moto.dynamodb."):
            return object.__new__(cls)
        return before.__func__(cls, *args, **kwargs)

    with replaced(BaseModel, "__new__", staticmethod(new)) as before:
        yield


@contextmanager
def transactions_copy_what_they_touch() -> Iterator[None]:
    """Copy only the items that a transaction touches, not the whole table, in case it is cancelled.

    Relies on ``DynamoDBBackend.transact_write_items`` copying each operation's table with the ``copy.deepcopy`` of
    its own module, before anything is written, and on ``Table.items`` being ``{hash: {range: item}}`` or
    ``{hash: item}``. moto copies the table once for each operation: with 1,000 leases that is half a second.
    """
    import copy

    from moto.dynamodb import models
    from moto.dynamodb.models.table import Table

    class Copy:
        """A replacement for the module's ``copy``."""

        def __init__(self, kept: dict[int, Any]) -> None:
            self._kept = kept

        def deepcopy(self, value: Any) -> Any:
            return self._kept[id(value)] if isinstance(value, Table) else copy.deepcopy(value)

    def transact_write_items(self: Any, transact_items: list[dict[str, Any]]) -> None:
        kept: dict[int, Any] = {}
        for operation in (next(iter(item.values())) for item in transact_items):
            table = self.tables.get(operation.get("TableName"))
            if table is not None:
                if id(table) not in kept:
                    kept[id(table)] = _outline(table)
                _set_apart(table, operation.get("Key") or operation.get("Item") or {})
        with replaced(models, "copy", Copy(kept)):
            before(self, transact_items)

    with replaced(models.DynamoDBBackend, "transact_write_items", transact_write_items) as before:
        yield


def _outline(table: Any) -> Any:
    """Return another table with the same items."""
    import copy

    other = copy.copy(table)
    other.items = copy.copy(table.items)
    for name, held in table.items.items():
        other.items[name] = dict(held) if isinstance(held, dict) else held
    return other


def _set_apart(table: Any, key: Mapping[str, Any]) -> None:
    """Replace the item under ``key`` by a copy, so that a write does not change the original."""
    import copy

    from moto.dynamodb.models.dynamo_type import DynamoType

    held = table.items.get(DynamoType(key[table.hash_key_attr])) if table.hash_key_attr in key else None
    if isinstance(held, dict):
        within = DynamoType(key[table.range_key_attr])
        if within in held:
            held[within] = copy.deepcopy(held[within])
    elif held is not None:
        table.items[DynamoType(key[table.hash_key_attr])] = copy.deepcopy(held)


@contextmanager
def queries_look_at_one_key() -> Iterator[None]:
    """Let a query read only the items of its hash key. moto lists and sorts all items of the table each time.

    Relies on ``Table.query`` only reading the table, taking its items from ``self.items`` through ``all_items()``
    (``{hash: {range: item}}`` or ``{hash: item}``), and on its parameters ``hash_key``, ``index_name`` and
    ``hash_key_conditions``. moto's own ``query`` does the rest, on a table that holds nothing else.
    """
    import copy
    import inspect

    from moto.dynamodb.models.table import Table

    parameters = inspect.signature(Table.query)

    def query(self: Any, *args: Any, **named: Any) -> Any:
        given = parameters.bind(self, *args, **named).arguments
        narrow, key = copy.copy(self), given["hash_key"]
        if given.get("index_name"):
            narrow.items = _matching(self, dict(given.get("hash_key_conditions") or ()))
        else:
            narrow.items = {key: self.items[key]} if key in self.items else {}
        return before(narrow, *args, **named)

    with replaced(Table, "query", query) as before:
        yield


def _matching(table: Any, wanted: Mapping[str, Any]) -> dict[Any, Any]:
    """Return the items with the wanted attributes, in the form of ``Table.items``."""

    def matches(item: Any) -> bool:
        return all(name in item.attrs and item.attrs[name] == value for name, value in wanted.items())

    if not table.range_key_attr:
        return {name: item for name, item in table.items.items() if matches(item)}
    found = {name: {key: item for key, item in held.items() if matches(item)} for name, held in table.items.items()}
    return {name: held for name, held in found.items() if held}


@contextmanager
def attribute_values_as_they_are() -> Iterator[None]:
    """Write an attribute value into the response as it is stored: it already is DynamoDB's JSON.

    Relies on ``BaseJSONSerializer._serialize_type_structure`` and ``_base64``, and on ``DynamoType`` having
    ``type`` and ``value``. moto walks the
    service model for every attribute of every item, which takes half a second for a query of 200
    items; the content does not change.
    """
    from moto.core.serialize import BaseJSONSerializer

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue":
            serialized[key] = _wire(value, self._base64)
        else:
            before(self, serialized, value, shape, key)

    with replaced(BaseJSONSerializer, "_serialize_type_structure", serialize) as before:
        yield


def _wire(value: Any, base64: Callable[[Any], str]) -> dict[str, Any]:
    """Return an attribute value (a mapping, or moto's ``DynamoType``) as DynamoDB sends it: binary as base64."""
    wire: dict[str, Any] = {}
    for kind, content in value.items() if isinstance(value, dict) else [(value.type, value.value)]:
        if kind == "B":
            wire[kind] = base64(content)
        elif kind == "BS":
            wire[kind] = [base64(part) for part in content]
        elif kind == "M":
            wire[kind] = {name: _wire(inner, base64) for name, inner in content.items()}
        elif kind == "L":
            wire[kind] = [_wire(inner, base64) for inner in content]
        else:
            wire[kind] = content
    return wire


@contextmanager
def updates_replace_items() -> Iterator[None]:
    """Let an update replace its item by another one, so that an item that was looked at never changes.

    Relies on ``DynamoDBBackend.update_item`` changing ``Table.get_item(key)`` in place, which nothing else does: puts
    and deletes replace and remove.
    """
    from moto.dynamodb.models import DynamoDBBackend

    def update_item(self: Any, table_name: str, key: Mapping[str, Any], *args: Any, **named: Any) -> Any:
        if table_name in self.tables:
            _set_apart(self.tables[table_name], key)
        return before(self, table_name, key, *args, **named)

    with replaced(DynamoDBBackend, "update_item", update_item) as before:
        yield


def held_items(region: str, name: str) -> Any:
    """Return a table's items for ``hold_items``: themselves, not copies of them. See ``updates_replace_items``."""
    return _outline(_table(region, name)).items


def hold_items(region: str, name: str, held: Any) -> None:
    """Let a table have the items that were held before."""
    import copy

    table = _table(region, name)
    table.items = copy.copy(held)
    for key, within in held.items():
        table.items[key] = dict(within) if isinstance(within, dict) else within


def items_in(held: Any) -> Iterator[Any]:
    """Yield each of the held items; ``item.to_json()["Attributes"]`` is its content."""
    for within in held.values():
        yield from within.values() if isinstance(within, dict) else [within]


@contextmanager
def eventual_reads_answer_from(region: str, held: Mapping[str, Any]) -> Iterator[list[str]]:
    """Answer reads that are not strongly consistent from the ``held`` items, by table; yield which operations did.

    Relies on ``DynamoHandler`` having a method for each operation, which finds its parameters in ``self.body``. A read
    of a global index is never strongly consistent; a transaction's reads always are.
    """
    from moto.dynamodb.responses import DynamoHandler

    answered: list[str] = []

    def old(name: str, before: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def read(self: Any) -> Any:
            tables = [one for one in _read_eventually(region, name, self.body) if one in held]
            if not tables:
                return before(self)
            answered.append(name)
            now = {one: _table(region, one).items for one in tables}
            try:
                for one in tables:
                    _table(region, one).items = held[one]
                return before(self)
            finally:
                for one, items in now.items():
                    _table(region, one).items = items

        return read

    with ExitStack() as stack:
        for name in _READS:
            stack.enter_context(replaced(DynamoHandler, name, old(name, vars(DynamoHandler)[name])))
        yield answered


#: moto's methods for the operations that may read what is old.
_READS = ("get_item", "batch_get_item", "query", "scan", "execute_statement", "batch_execute_statement")


def _read_eventually(region: str, name: str, body: Mapping[str, Any]) -> list[str]:
    """Return the names of the tables of which a request may read what is old."""
    if name == "batch_get_item":
        return [table for table, of in body["RequestItems"].items() if not of.get("ConsistentRead")]
    if name.endswith("execute_statement"):
        parts = body["Statements"] if name.startswith("batch") else [body]
        texts = [one["Statement"] for one in parts if not one.get("ConsistentRead")]
        found = [re.search(r"from\s+\"?([\w.-]+)\"?", text, re.I) for text in texts if _SELECTS.match(text)]
        return [one[1] for one in found if one is not None]
    table = str(body["TableName"]).rpartition("/")[2]
    if not body.get("ConsistentRead"):
        return [table]
    indexes = [one.name for one in _table(region, table).global_indexes] if body.get("IndexName") else []
    return [table] if body.get("IndexName") in indexes else []


_SELECTS = re.compile(r"\s*select\b", re.I)


def expire(region: str, name: str, attribute: str, at_s: float) -> None:
    """Remove the items whose time to live, in ``attribute``, has passed ``at_s`` (since 1970), as DynamoDB does."""
    items = _table(region, name).items
    for place, item in _places(items).items():
        value = item.to_json()["Attributes"].get(attribute, {}).get("N")
        if value is not None and float(value) <= at_s:
            _put(items, place, None)


#: Where an item is held: its hash key, and its range key or None.
Place = tuple[Any, Any]


def changed_places(before: Any, after: Any) -> list[Place]:
    """Return the places at which held items differ: see ``held_items`` and ``updates_replace_items``."""
    one, other = _places(before), _places(after)
    return [place for place in {**one, **other} if one.get(place) is not other.get(place)]


def put_one_back(region: str, name: str, place: Place, held: Any) -> None:
    """Let a table have at one place what was held there."""
    _put(_table(region, name).items, place, _places(held).get(place))


def _places(held: Any) -> dict[Place, Any]:
    found: dict[Place, Any] = {}
    for key, within in held.items():
        found |= (
            {(key, part): one for part, one in within.items()} if isinstance(within, dict) else {(key, None): within}
        )
    return found


def _put(held: Any, place: Place, item: Any) -> None:
    key, part = place
    at, key = (held, key) if part is None else (held.setdefault(key, {}), part)
    if item is None:
        at.pop(key, None)
    else:
        at[key] = item


def deployed(account: str, region: str) -> list[Mapping[str, Any]]:
    """Return all tables, each as DescribeTable does. Relies on ``Table.describe()``."""
    from moto.dynamodb.models import dynamodb_backends

    return [table.describe()["TableDescription"] for table in dynamodb_backends[account][region].tables.values()]


def kept(region: str, *tables: str) -> dict[str, Any]:
    """Return a copy of all tables' items, by table, for ``put_back``.

    Relies on ``dynamodb_backends[account][region].tables`` and on ``Table.items`` being nested ``dict``.
    """
    import copy

    return {name: copy.deepcopy(_table(region, name).items) for name in tables}


def put_back(region: str, held: Mapping[str, Any]) -> None:
    """Restore each table's items to those that were ``kept``."""
    import copy

    for name, items in held.items():
        _table(region, name).items = copy.deepcopy(items)


def emptied(region: str, *tables: str) -> None:
    """Remove all items from the tables; deleting and recreating tables takes longer than most tests."""
    for name in tables:
        _table(region, name).items.clear()


def _table(region: str, name: str) -> Any:
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.dynamodb.models import dynamodb_backends

    return dynamodb_backends[DEFAULT_ACCOUNT_ID][region].tables[name]
