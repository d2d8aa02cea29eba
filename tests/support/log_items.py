"""Events as items of the log's table in DynamoDB's own form, for tests that forge or repair one."""

from collections.abc import Mapping
from typing import Any

from ballast.log import codec
from ballast.log.event import Event
from ballast.table import plain, wire


def encode(event: Event, written: Mapping[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """Return the item of ``event``, and the bytes that must be in S3 before it is written."""
    item, payload = codec.encode(event, written)
    return wire(item), payload


def decode(item: Mapping[str, Any], payload: bytes | None) -> Event:
    """Return the event of ``item``; ``payload`` is what S3 held for it."""
    return codec.decode(plain(item), payload)


def payload_of(item: Mapping[str, Any]) -> str | None:
    """Return the S3 key that ``item`` points to, if any."""
    return codec.payload_of(plain(item))
