"""The business's buckets and queues: put back as tables are, and the objects of buckets are compared.

A message cannot be compared by what is in its queue: its receiver may have it already. So what is sent stays counted by
its request, as what is sent to a service that keeps nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from localcloud.moto_seams.kept_elsewhere import held_messages, held_objects, hold_messages, hold_objects, objects_in
from localcloud.sessions import ACCOUNT, REGION

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

#: Requests whose whole effect is a bucket's objects.
_OF_OBJECTS = frozenset(
    f"s3.{name}"
    for name in (
        *("PutObject", "CopyObject", "DeleteObject", "DeleteObjects"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload"),
    )
)


class KeptElsewhere:
    """The buckets and queues of the business's template. ``resources``: its resources."""

    def __init__(self, cloud: LocalCloud | None = None, resources: Mapping[str, Any] | None = None) -> None:
        self.buckets, self._queues = [], []
        for name, one in (resources or {}).items():
            with suppress(KeyError):  # its condition does not hold
                if cloud is not None and one["Type"] == "AWS::S3::Bucket":
                    self.buckets.append(cloud.physical_id(name))
                elif cloud is not None and one["Type"] == "AWS::SQS::Queue":
                    self._queues.append(cloud.physical_id(name).rpartition("/")[2])

    def held(self) -> Any:
        """Return what they keep, for ``hold``."""
        objects = {name: held_objects(ACCOUNT, name) for name in self.buckets}
        return objects, {name: held_messages(ACCOUNT, REGION, name) for name in self._queues}

    def hold(self, held: Any) -> None:
        """Let them keep what was held before."""
        for name, objects in held[0].items():
            hold_objects(ACCOUNT, name, objects)
        for name, messages in held[1].items():
            hold_messages(ACCOUNT, REGION, name, messages)

    def seen(self) -> dict[str, dict[str, Any]]:
        """Return the objects of each bucket."""
        return {f"bucket {name}": objects_in(ACCOUNT, name) for name in self.buckets}

    def compares(self, request: str, params: Mapping[str, Any]) -> bool:
        """Return whether the whole effect of a request is what ``seen`` tells."""
        return request in _OF_OBJECTS and params.get("Bucket") in self.buckets
