"""Compare how a run ended with what its scenario expects. Pure, but for the reading of the store."""

from collections.abc import Callable
from typing import Any

from ballast.contracts.timeline import Timeline
from localcloud.scenarios.scenario import Item, Scenario

#: (logical id of the table, key) to the item's attributes; None where there is no such item.
ReadItem = Callable[[str, dict[str, str]], dict[str, Any] | None]


def unmet(scenario: Scenario, ended: Timeline, read_item: ReadItem) -> list[str]:
    """Return what is not as expected, one sentence each; an empty list where all is well."""
    expect = scenario.expect
    refused = tuple(call.error for turn in ended.turns for call in turn.calls if call.outcome == "refused")
    pairs = [
        ("status", expect.status, ended.status),
        ("by", expect.by or "", ended.by),
        ("degraded", expect.degraded, ended.degraded),
        ("reason", expect.reason, ended.reason),
        ("refused calls", list(expect.refused), list(refused)),
    ]
    wrong = [f"{what}: expected {wanted!r}, was {found!r}" for what, wanted, found in pairs if wanted != found]
    for item in expect.store:
        wrong += _different(item, read_item(item.table, item.key))
    return wrong


def _different(item: Item, found: dict[str, Any] | None) -> list[str]:
    where = f"{item.table} {', '.join(item.key.values())}"
    if found is None:
        return [f"{where}: is not there"]
    return [
        f"{where}: {name} expected {wanted!r}, was {found.get(name)!r}"
        for name, wanted in item.attributes.items()
        if found.get(name) != wanted
    ]
