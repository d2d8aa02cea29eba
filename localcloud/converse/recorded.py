"""A model that replays the completions of a recorded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ballast.contracts.wire import parse
from ballast.errors import InvalidInput
from ballast.log.event import Event, order
from ballast.log.events import ModelResponded
from ballast.log.garbled import mended
from ballast.run import Run
from localcloud.converse.source import ModelError, Reply, said, turns_taken

_USAGE = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadInputTokens": "cache_read_tokens",
    "cacheWriteInputTokens": "cache_write_tokens",
}


class RecordedModel:
    """Replays the ``model.responded`` events of one run's log, in the order of the work."""

    def __init__(self, events: Sequence[Event]) -> None:
        # Fields that a recording leaves out, such as the money, are not needed.
        self._completions = Run(map(mended, sorted(events, key=order))).facts(ModelResponded)
        if not self._completions:
            raise InvalidInput("The recorded run has no completion (model.responded) to replay.")

    @classmethod
    def of(cls, log: Sequence[Mapping[str, Any]]) -> RecordedModel:
        """Build it from an exported log, a list of events as JSON. Raises ``InvalidInput``."""
        return cls([parse(Event, item, what=f"Event {at} of the log") for at, item in enumerate(log, start=1)])

    def reply(self, request: Mapping[str, Any], _model_id: str, /) -> Reply:
        """Return the completion recorded at this point of the conversation."""
        position = turns_taken(request)
        if position >= len(self._completions):
            raise ModelError(
                "ValidationException", f"The recorded run ended: it has {len(self._completions)} completions."
            )
        said_then = self._completions[position]
        counted = {name: getattr(said_then, field) for name, field in _USAGE.items()}
        usage = {name: tokens for name, tokens in counted.items() if tokens is not None}
        content = [_on_the_wire(block) for block in (said_then.message or {})["content"]]
        return said(content, said_then.stop_reason or "", request, usage=usage or None)


def _on_the_wire(value: Any) -> Any:
    """Unwrap bytes (redacted reasoning): the log has ``{"$bytes": base64}``, the wire the base64 alone."""
    if isinstance(value, Mapping):
        if set(value) == {"$bytes"}:
            return value["$bytes"]
        return {key: _on_the_wire(inner) for key, inner in value.items()}
    return [_on_the_wire(inner) for inner in value] if isinstance(value, list) else value
