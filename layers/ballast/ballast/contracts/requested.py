"""A run that is requested by message: the request itself, or an EventBridge event that carries it."""

from typing import Any

from ballast.contracts.notice import SOURCE
from ballast.contracts.request import RunRequest
from ballast.contracts.wire import parse, read_json
from ballast.errors import InvalidInput

#: The ``detail-type`` of an event whose detail is a ``RunRequest``.
RUN_REQUESTED = "Run Requested"


def requested(body: str) -> RunRequest:
    """Return the request in a message's ``body``. Raises ``InvalidInput`` naming the field and the remedy."""
    try:
        data = read_json(body)
    except (ValueError, RecursionError) as problem:
        why = str(problem) if "send it as text" in str(problem) else "is not JSON"
        raise InvalidInput(f"body: {why}. Send a RunRequest, or an EventBridge event with one in detail.") from None
    if isinstance(data, dict) and "detail-type" in data:
        return parse(RunRequest, _detail(data), what="detail")
    return parse(RunRequest, data, what="RunRequest")


def _detail(event: dict[str, Any]) -> Any:
    for name, wanted in (("source", SOURCE), ("detail-type", RUN_REQUESTED)):
        if event.get(name) != wanted:
            raise InvalidInput(f"{name}: must be {wanted!r} in an event that requests a run.")
    return event.get("detail")
