"""The model's attempts of one turn, from its ``model.*`` entries."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ballast.log.event import Event
from local.trace.reading import number, pieces, text, whole
from local.trace.timeline import Attempt


def attempts(events: Iterable[Event]) -> tuple[Attempt, ...]:
    """Return the attempts in their order; the last entry about one decides its state."""
    found: dict[int, Attempt] = {}
    for event in events:
        # A completion's key has no attempt in it; its body says which one brought it.
        index = (whole(event.body.get("attempt")) or 1) if event.name == "model.responded" else event.index
        known = found.get(index, Attempt(attempt=index, state="open"))
        if event.name == "model.requested":
            found[index] = replace(known, **_requested(event.body))
        elif event.name == "model.responded":
            found[index] = replace(known, **{"state": "responded", **_responded(event.body)})
        elif event.name == "model.failed":
            found[index] = replace(known, **{"state": "failed", **_outcome(event.body)})
    return tuple(found[index] for index in sorted(found))


def _requested(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model": text(body, "gen_ai.request.model"),
        "prompt": pieces(body.get("messages")),
        "reserved_microusd": number(body, "reserved_microusd"),
    }


def _responded(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_outcome(body),
        "completion": pieces(body.get("message")),
        "stop_reason": text(body, "stop_reason"),
        "input_tokens": number(body, "gen_ai.usage.input_tokens"),
        "output_tokens": number(body, "gen_ai.usage.output_tokens"),
        "cached_tokens": number(body, "gen_ai.usage.cache_read.input_tokens"),
    }


def _outcome(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "exit_reason": text(body, "exit_reason"),
        "error": text(body, "error"),
        "cost_microusd": number(body, "cost_microusd"),
        "latency_ms": whole(body.get("latency_ms")),
    }
