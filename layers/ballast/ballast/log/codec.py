"""Encode an event as a DynamoDB item, and decode it.

A body is stored as canonical JSON: a short one as text, a longer one compressed if that is smaller, and a
large one as a pointer to S3 (claim check). Pure: no I/O.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import canonical, complaints, sha256
from ballast.log.event import Event
from ballast.masking import SEALED
from ballast.table import Item

#: Shorter bodies stay readable text in the table.
COMPRESS_OVER_BYTES = 1_024
#: Larger items go to S3: from here one S3 PUT is cheaper than DynamoDB's write units (one a KiB).
CLAIM_CHECK_OVER_BYTES = 32 * 1024
#: Ballast never writes an event with more bytes or levels of JSON.
MOST_BYTES, MOST_LEVELS = 64 * 1024 * 1024, 160
_PAYLOAD_KEY = re.compile(r"payloads/[0-9A-Za-z]{1,128}", re.ASCII)
_CONTENT = frozenset({"body", "packed", "payload"})
#: The attributes of an item that hold the event itself.
_OF_THE_EVENT = frozenset({"run_id", "seq", "at", "digest"}) | _CONTENT


def encode(event: Event, written: Mapping[str, Any]) -> tuple[Item, bytes | None]:
    """Return the item, and the bytes to put into S3 before the item is written.

    ``written`` is the event's body as it is stored, with sensitive values sealed.
    """
    text = canonical(written)
    item: Item = {"run_id": event.run_id, "seq": event.seq, "at": event.at, "digest": event.digest}
    if len(text) <= COMPRESS_OVER_BYTES:
        return item | {"body": text}, None
    packed = zlib.compress(text.encode("ascii"), 6)
    if len(packed) <= CLAIM_CHECK_OVER_BYTES:
        return item | {"packed": packed}, None
    return item | {"payload": payload_key(packed)}, packed


def payload_key(packed: bytes) -> str:
    """Return the S3 key of a payload: its content hash, so writing it twice is harmless."""
    return f"payloads/{hashlib.sha256(packed).hexdigest()}"


def payload_of(item: Mapping[str, Any]) -> str | None:
    """Return the S3 key that ``item`` points to, if any. Raises ``ValueError`` if that is not a payload's key."""
    if "payload" not in item:
        return None
    key = item["payload"]
    if not isinstance(key, str) or not _PAYLOAD_KEY.fullmatch(key):
        raise ValueError("its payload is no key of a payload")
    return key


def kept_beside(item: Mapping[str, Any], tokens: Mapping[str, Any]) -> dict[str, str]:
    """Return an item's other attributes, and a hash of the ciphertexts behind ``tokens``."""
    beside = {name: _told(value) for name, value in item.items() if name not in _OF_THE_EVENT}
    return beside | ({SEALED: sha256(canonical(tokens))} if tokens else {})


def _told(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def decode(item: Mapping[str, Any], payload: bytes | None) -> Event:
    """Return the event of ``item``; ``payload`` is its content in S3. Raises ``ValueError`` for a garbled item.

    Every writer of the log can put any item there, so each defect is a ``ValueError``.
    """
    if len(_CONTENT & item.keys()) != 1:
        raise ValueError("it has no content, or more than one")
    try:
        text = item["body"] if "body" in item else _unpacked(item["packed"] if payload is None else payload)
        body = json.loads(text, parse_constant=_no_number)
        if text.count("[") + text.count("{") > MOST_LEVELS:
            _check_levels(body)
        return Event(run_id=item["run_id"], seq=item["seq"], at=item["at"], body=body)
    except ValidationError as problem:
        raise ValueError(complaints(problem)) from None
    except KeyError as problem:
        raise ValueError(f"it has no {problem}") from None
    except zlib.error as problem:
        raise ValueError(f"it cannot be decompressed ({problem})") from None
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep") from None
    except (TypeError, AttributeError) as problem:
        raise ValueError(f"it is no item of the log ({type(problem).__name__})") from None


def _unpacked(packed: bytes) -> str:
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, MOST_BYTES)
    if unpacking.unconsumed_tail:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    if not unpacking.eof:
        raise ValueError("it cannot be decompressed (it is cut off)")
    return content.decode("ascii")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _check_levels(body: Any) -> None:
    level = [body] if isinstance(body, dict | list) else []
    for _ in range(MOST_LEVELS):
        inside = (inner for one in level for inner in (one.values() if isinstance(one, dict) else one))
        level = [inner for inner in inside if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep")
