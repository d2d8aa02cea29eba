"""moto's S3 and SQS: the objects of a bucket and the messages of a queue, held and put back."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

#: The objects of a bucket, each with its versions, oldest first.
Objects = dict[str, list[Any]]


def held_objects(account: str, bucket: str) -> Objects:
    """Return copies of a bucket's objects: moto closes what is deleted.

    Relies on ``FakeBucket.keys`` being a ``_VersionedKeyStore``, and on ``FakeKey`` being copied with its content.
    """
    keys = _bucket(account, bucket).keys
    return {name: [copy.deepcopy(one) for one in keys.getlist(name, [])] for name in list(dict(keys))}


def hold_objects(account: str, bucket: str, held: Objects) -> None:
    """Let a bucket have the objects that were held before, and no upload in parts."""
    found = _bucket(account, bucket)
    for name in list(dict(found.keys)):
        found.keys.pop(name)
    for name, versions in held.items():
        found.keys.setlist(name, [copy.deepcopy(one) for one in versions])
    found.multiparts.clear()


def objects_in(account: str, bucket: str) -> dict[str, dict[str, Any]]:
    """Return what each object of a bucket is now: its content, as a hash, and what is said of it."""
    keys = _bucket(account, bucket).keys
    found = {name: keys[name] for name in list(dict(keys))}
    return {
        name: {"content": f"sha256:{hashlib.sha256(one.value).hexdigest()}", **dict(one.metadata)}
        for name, one in found.items()
        if hasattr(one, "value")  # else it is a mark that the object was deleted
    }


def _bucket(account: str, bucket: str) -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[account]["aws"].buckets[bucket]


def held_messages(account: str, region: str, queue: str) -> tuple[list[Any], set[int]]:
    """Return copies of a queue's messages, and the places of those that somebody has received.

    Relies on ``Queue._messages`` and ``Queue._pending_messages``.
    """
    found = _queue(account, region, queue)
    pending = {at for at, one in enumerate(found._messages) if one in found._pending_messages}
    return [copy.copy(one) for one in found._messages], pending


def hold_messages(account: str, region: str, queue: str, held: tuple[list[Any], set[int]]) -> None:
    """Let a queue have the messages that were held before."""
    found = _queue(account, region, queue)
    found._messages = [copy.copy(one) for one in held[0]]
    found._pending_messages = {found._messages[at] for at in held[1]}
    found.deleted_messages = set()


def _queue(account: str, region: str, queue: str) -> Any:
    from moto.sqs.models import sqs_backends

    return sqs_backends[account][region].queues[queue]
