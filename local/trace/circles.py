"""An agent that goes round in circles, as the log tells of it: what was noticed at which call, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from ballast.log.event import Event
from local.trace.reading import listed, text, whole

#: What was noticed, by its name in the log; {first} is the call that it began with.
_KINDS = {
    "same_call": "the same call as {first}, {count} times by now",
    "cycle": "the same calls round and round since {first}, lap {count}",
    "near_equal": "nearly the same as {first}, {count} times by now",
    "same_error": "failed in the same way since {first}, {count} times in a row",
    "write_spiral": "writes nearly the same about the same things as {first}, {count} times by now",
    "other_words": "writes about the same things as {first} in other words, {count} times by now",
    "unchanged_result": "the same result for different calls since {first}, {count} in a row",
}
_STEPS = {"notice": "the agent is told", "forbid": "the tool is forbidden"}


def noticed(events: Iterable[Event]) -> dict[tuple[int, int], str]:
    """Return what was noticed, by (turn, index) of the call.

    With the decision stands what is done about a call that is proposed; with the next prompt, what the agent is
    told once the outcomes are known.
    """
    found: dict[tuple[int, int], str] = {}
    for event in events:
        if event.name == "model.responded":
            turn: int | None = event.turn
        elif event.name == "model.requested":
            after = text(event.body, "after")[:4]
            turn = int(after) if after.isdecimal() else None
        else:
            continue
        for mark in listed(event.body.get("despair")):
            index = whole(mark.get("index")) if isinstance(mark, Mapping) else None
            if turn is not None and index is not None:
                found.setdefault((turn, index), _words(mark))
    return found


def _words(mark: Mapping[str, Any]) -> str:
    match listed(mark.get("same_as")):
        case [int(turn), int(index)]:
            first = f"turn {turn} call {index}"
        case _:
            first = "an earlier call"
    kind, step = text(mark, "kind"), text(mark, "step")
    seen = _KINDS.get(kind, kind).format(first=first, count=whole(mark.get("count")) or "more")
    return f"{seen}: {_STEPS.get(step, step)}"
