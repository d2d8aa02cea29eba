"""Pages of a run's timeline: the header whole on each, and as many turns as an answer of Lambda's can hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ballast.contracts.timeline import Timeline, Turn, Unreadable
from ballast.contracts.wire import without_surrogates
from ballast.http.paging import PAGE_BYTES, fitting, sent_bytes
from functions.front.contract import TimelinePage

#: Bytes of a header at most: together with the largest page of turns it fits into an answer.
_HEADER_BYTES = 1_500_000
_UNREADABLE_BYTES = 500_000
#: Where a turn or a header is too large its texts are cut to so many characters, until it fits.
_CUTS = (100_000, 10_000, 1_000, 100)
#: What the header can do without, the least important first.
_SPARED: Sequence[tuple[str, Any]] = (("unknown", []), ("unreadable", []), ("money", {}), ("request", {}))


def page_of(made: Timeline, after: int, limit: int) -> TimelinePage:
    """Return at most ``limit`` turns, those after the turn ``after``; fewer where they have many bytes."""
    following = [turn for turn in made.turns if turn.turn > after]
    turns: list[dict[str, Any]] = []
    size = 0
    for turn in following[:limit]:
        fits = _turn(turn)
        size += sent_bytes(fits)
        if turns and size > PAGE_BYTES:
            break
        turns.append(fits)
    goes_on = len(turns) < len(following)
    whole = _header(made) | {"turns": turns, "next": turns[-1]["turn"] if goes_on else None}
    return TimelinePage.model_validate_json(without_surrogates(json.dumps(whole, ensure_ascii=False)))


def _header(made: Timeline) -> dict[str, Any]:
    """Return all but the turns. Whoever may write the log may make it as large as they like."""
    some, left_out = fitting(made.unreadable, _UNREADABLE_BYTES, lambda one: sent_bytes(one.model_dump()))
    if left_out:
        some = (*some, Unreadable(seq="", why=f"and {left_out} more entries that cannot be read"))
    header = made.model_copy(update={"turns": (), "unreadable": some}).model_dump()
    for most in (None, *_CUTS):
        cut = header if most is None else _texts_cut(header, most)
        if sent_bytes(cut) <= _HEADER_BYTES:
            return cut
    for name, nothing in _SPARED:
        cut[name] = nothing
    return cut


def _turn(turn: Turn) -> dict[str, Any]:
    """Return the turn, or what of it fits into a page."""
    whole = turn.model_dump()
    size = sent_bytes(whole)
    if size <= PAGE_BYTES:
        return whole
    for most in _CUTS:
        cut = _cut(turn.model_dump(), most)
        if sent_bytes(cut) <= PAGE_BYTES:
            return cut
    bare = Turn(turn=turn.turn, planner=turn.planner, at_ms=turn.at_ms, left_out=size)
    sums = ("spent_microusd", "reserved_microusd", "cost_ceiling_microusd", "input_tokens", "output_tokens")
    return bare.model_copy(update={name: getattr(turn, name) for name in (*sums, "tool_calls")}).model_dump()


def _cut(turn: dict[str, Any], most: int) -> dict[str, Any]:
    for attempt in turn["attempts"]:
        for piece in (*attempt["prompt"], *attempt["completion"]):
            piece["left_out"] = max(0, len(piece["text"]) - most)
            piece["text"] = piece["text"][:most]
    for call in turn["calls"]:
        size = sent_bytes([call["arguments"], call["result"]])
        if size > most:
            call |= {"arguments": None, "result": None, "left_out": size}
        if call["undo"] and sent_bytes(call["undo"]["arguments"]) > most:
            call["undo"]["arguments"] = None
    if turn["escalation"] and sent_bytes(turn["escalation"]["proposed"]) > most:
        turn["escalation"]["proposed"] = None
    cut: dict[str, Any] = _texts_cut(turn, most)
    return cut


def _texts_cut(value: Any, most: int) -> Any:
    """Return JSON with its long texts cut, and saying how long they were."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]} … (+{len(value) - most:,} characters)"
    if isinstance(value, dict):
        return {_texts_cut(name, most): _texts_cut(one, most) for name, one in value.items()}
    return [_texts_cut(one, most) for one in value] if isinstance(value, list | tuple) else value
