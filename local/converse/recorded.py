"""A model that says again what it said in a recorded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ballast.contracts.wire import parse
from ballast.errors import InvalidInput
from ballast.folds.usage import CACHE_READ_TOKENS, CACHE_WRITE_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS
from ballast.log.event import Event, order
from local.converse.source import ModelError, Reply, said, turns_taken

_USAGE = {
    "inputTokens": INPUT_TOKENS,
    "outputTokens": OUTPUT_TOKENS,
    "cacheReadInputTokens": CACHE_READ_TOKENS,
    "cacheWriteInputTokens": CACHE_WRITE_TOKENS,
}


class RecordedModel:
    """Replays the ``model.responded`` events of one run's log, in the order of the work."""

    def __init__(self, events: Sequence[Event]) -> None:
        ordered = sorted(events, key=order)
        self._completions = [event.body for event in ordered if event.name == "model.responded"]
        if not self._completions:
            raise InvalidInput("The recorded run holds no completion (model.responded) to replay.")

    @classmethod
    def of(cls, log: Sequence[Mapping[str, Any]]) -> RecordedModel:
        """Build it from an exported log, a list of events as JSON. Raises ``InvalidInput``."""
        return cls([parse(Event, item, what=f"Event {at} of the log") for at, item in enumerate(log, start=1)])

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        """Say what was said at this point of the conversation."""
        position = turns_taken(request)
        if position >= len(self._completions):
            raise ModelError(
                "ValidationException", f"The recorded run ended: it has {len(self._completions)} completions."
            )
        body = self._completions[position]
        usage = {name: body[attribute] for name, attribute in _USAGE.items() if attribute in body}
        content = [_on_the_wire(block) for block in body["message"]["content"]]
        return said(content, body["stop_reason"], request, usage=usage or None)


def _on_the_wire(value: Any) -> Any:
    """The log wraps bytes (redacted reasoning) as ``{"$bytes": base64}``; the wire has the base64 alone."""
    if isinstance(value, Mapping):
        if set(value) == {"$bytes"}:
            return value["$bytes"]
        return {key: _on_the_wire(inner) for key, inner in value.items()}
    return [_on_the_wire(inner) for inner in value] if isinstance(value, list) else value
