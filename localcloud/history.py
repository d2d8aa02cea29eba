"""What an execution did, read from its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def transitions(history: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (from, to) for every state that was entered after another one, in that order.

    Within a Map, each item's first state comes from the Map itself; what follows the Map comes
    from the Map as well.
    """
    events = list(history)
    by_id = {event["id"]: event for event in events}
    found = []
    for event in events:
        if event["type"].endswith("StateEntered"):
            source = _state_before(event, by_id)
            if source is not None:
                found.append((source, event["stateEnteredEventDetails"]["name"]))
    return found


def _state_before(event: Mapping[str, Any], by_id: Mapping[int, Mapping[str, Any]]) -> str | None:
    previous = by_id.get(event.get("previousEventId", 0))
    while previous is not None:
        # An item begins where the Map stands, whichever item was begun or ended before it.
        for details in ("stateExitedEventDetails", "stateEnteredEventDetails", "mapIterationStartedEventDetails"):
            if details in previous:
                name: str = previous[details]["name"]
                return name
        previous = by_id.get(previous.get("previousEventId", 0))
    return None
