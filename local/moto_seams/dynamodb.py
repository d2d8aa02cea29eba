"""moto's DynamoDB: one request at a time, and responses in a time that a long log can bear."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from local.moto_seams.replaced import replaced


@contextmanager
def one_request_at_a_time() -> Iterator[None]:
    """Make each DynamoDB request atomic, as DynamoDB is.

    Relies on ``DynamoHandler.call_action`` handling one whole request. moto checks a condition
    and then writes without a lock, so that two threads may both find that nobody was there before.
    """
    from moto.dynamodb.responses import DynamoHandler

    one_at_a_time = threading.Lock()

    def call_action(self: Any) -> Any:
        with one_at_a_time:
            return before(self)

    with replaced(DynamoHandler, "call_action", call_action) as before:
        yield


@contextmanager
def attribute_values_as_they_are() -> Iterator[None]:
    """Write an attribute value into the response as it is stored: it is DynamoDB's JSON already.

    Relies on ``BaseJSONSerializer._serialize_type_structure`` and ``_base64``, and on ``DynamoType`` having
    ``type`` and ``value``. moto walks the
    service model for every attribute of every item, which takes half a second for a query of 200
    items; nothing about the content changes here.
    """
    from moto.core.serialize import BaseJSONSerializer

    def serialize(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue":
            serialized[key] = _wire(value, self._base64)
        else:
            before(self, serialized, value, shape, key)

    with replaced(BaseJSONSerializer, "_serialize_type_structure", serialize) as before:
        yield


def _wire(value: Any, base64: Callable[[Any], str]) -> dict[str, Any]:
    """Return an attribute value (a mapping, or moto's ``DynamoType``) as DynamoDB sends it: binary as base64."""
    wire: dict[str, Any] = {}
    for kind, content in value.items() if isinstance(value, dict) else [(value.type, value.value)]:
        if kind == "B":
            wire[kind] = base64(content)
        elif kind == "BS":
            wire[kind] = [base64(part) for part in content]
        elif kind == "M":
            wire[kind] = {name: _wire(inner, base64) for name, inner in content.items()}
        elif kind == "L":
            wire[kind] = [_wire(inner, base64) for inner in content]
        else:
            wire[kind] = content
    return wire
