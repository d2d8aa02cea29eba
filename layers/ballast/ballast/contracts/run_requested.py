"""A run requested by message: the request itself, or an EventBridge event that carries it."""

from typing import Annotated, Any

from pydantic import Field

from ballast.contracts.notice import SOURCE
from ballast.contracts.request import RunRequest
from ballast.contracts.wire import parse, read_json
from ballast.errors import InvalidInput

#: The ``detail-type`` of an event whose detail is a ``RunRequested``.
RUN_REQUESTED = "Run Requested"


class RunRequested(RunRequest):
    """A request for a run, by event.

    stack  name of the stack that must run it: every stack of the account receives every event
    """

    stack: Annotated[str, Field(min_length=1, max_length=128, description="The name of the stack that must run it.")]


def requested(body: str, stack: str | None = None) -> RunRequest:
    """Return the request in a message's ``body``. Raises ``InvalidInput`` with the field and the remedy.

    ``stack`` is the stack that received the message. An event with another stack's name is refused. An event without a
    stack, or a plain request, did not come through the EventBridge rule: its sender chose this queue.
    """
    try:
        data = read_json(body)
    except (ValueError, RecursionError) as problem:
        why = str(problem) if "send it as text" in str(problem) else "is not JSON"
        raise InvalidInput(f"body: {why}. Send a RunRequest, or an EventBridge event with one in detail.") from None
    if isinstance(data, dict) and "detail-type" in data:
        return parse(RunRequest, _detail(data, stack), what="detail")
    return parse(RunRequest, data, what="RunRequest")


def _detail(event: dict[str, Any], stack: str | None) -> Any:
    for name, wanted in (("source", SOURCE), ("detail-type", RUN_REQUESTED)):
        if event.get(name) != wanted:
            raise InvalidInput(f"{name}: must be {wanted!r} in an event that requests a run.")
    detail = event.get("detail")
    if not isinstance(detail, dict) or "stack" not in detail:
        return detail
    if stack is not None and detail["stack"] != stack:
        raise InvalidInput(f"detail.stack: this is the stack {stack!r}; send the event with its name, or to the other.")
    return {name: value for name, value in detail.items() if name != "stack"}
