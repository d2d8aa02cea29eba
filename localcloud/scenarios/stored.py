"""Expected items of tables, and their comparison with what stands there.

::

    expect.store, as YAML has it      the item, as ``ballast.table`` reads it
    a list                            a list in that order, or a set (read as a tuple) in any order
    0.1, 1                            the same number, exact
    true                              true, and not 1
    attributes: null                  no such item
    null                              no such attribute, or null
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, JsonValue

from ballast.contracts.wire import Wire


class Item(Wire):
    """An expected item of a table: these attributes must have these values.

    table       the logical id in business.yaml
    attributes  null: there must be no such item
    """

    table: str
    key: dict[str, str]
    attributes: Annotated[dict[str, JsonValue], Field(min_length=1)] | None


def different(item: Item, found: dict[str, Any] | None) -> list[str]:
    """Return how an item of a table is otherwise than expected, one sentence each; empty if it is not."""
    where = f"store: {item.table} {', '.join(item.key.values())}"
    if item.attributes is None:
        return [] if found is None else [f"{where}: expected no such item"]
    if found is None:
        return [f"{where}: is not there"]
    return [
        f"{where}: {name} expected {wanted!r}, was {_as_written(found.get(name))!r}"
        for name, wanted in item.attributes.items()
        if not _is(wanted, found.get(name))
    ]


def _is(wanted: JsonValue, found: Any) -> bool:
    """Say whether an item's value, as ``ballast.table`` reads it, is the expected one.

    A set of DynamoDB is read as a tuple and has no order: it is compared with a list without order.
    """
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, float):
        return isinstance(found, int | Decimal) and Decimal(str(wanted)) == found
    if isinstance(wanted, dict):
        same = isinstance(found, dict) and wanted.keys() == found.keys()
        return same and all(_is(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(found, list | tuple) or len(wanted) != len(found):
            return False
        if isinstance(found, tuple):
            return all(any(_is(one, other) for one in wanted) for other in found)
        return all(_is(one, other) for one, other in zip(wanted, found, strict=True))
    return bool(wanted == found)


def _as_written(found: Any) -> Any:
    """Return a value as a scenario would have it: a set is a sorted list, a number a number."""
    if isinstance(found, tuple):
        return sorted(map(_as_written, found))
    if isinstance(found, list):
        return [_as_written(one) for one in found]
    if isinstance(found, dict):
        return {name: _as_written(value) for name, value in found.items()}
    return float(found) if isinstance(found, Decimal) else found
