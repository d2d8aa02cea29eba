"""The stack's tables' streams: records that a mapping's filter lets through go to its function, as Lambda does it.

What no filter wants is dropped where it is written, before a record is made of it: a log that is only added to costs
one look at a dictionary for each write.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.clock import Clock
from localcloud.functions import Function, Functions
from localcloud.moto_seams.events import matches
from localcloud.sessions import REGION, LocalSession
from localcloud.template import TemplateInvalid

LOG = logging.getLogger(__name__)

Record = dict[str, Any]


@dataclass(frozen=True)
class StreamSource:
    """One mapping of a table's stream. ``filters``: patterns as the template has them; a record needs one that fits."""

    stream_arn: str
    function: Function
    batch_size: int
    filters: tuple[str, ...]

    @property
    def table(self) -> str:
        """The table's name."""
        return self.stream_arn.split("table/")[1].split("/")[0]

    @cached_property
    def _names(self) -> frozenset[str] | None:
        names = [_event_names(pattern) for pattern in self.filters]
        return None if not names or None in names else frozenset().union(*(one for one in names if one is not None))

    def may_want(self, event_name: str) -> bool:
        """Say whether any filter can fit a record with that ``eventName``."""
        return self._names is None or event_name in self._names

    def wants(self, record: Record) -> bool:
        """Say whether the record goes to the function."""
        return not self.filters or any(matches(pattern, record) for pattern in self.filters)


@dataclass
class Streams:
    """Records that wait for their functions. ``deliver`` sends them, in the order of writing.

    session_of  a function's own session, since Lambda reads with the function's role
    """

    sources: Sequence[StreamSource]
    functions: Functions
    clock: Clock
    session_of: Callable[[Function], LocalSession] | None = None
    _waiting: dict[int, deque[Record]] = field(default_factory=dict)
    _written: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def written(self, table: str, event_name: str, keys: Record, old: Record | None, new: Record | None) -> None:
        """Take note of one write: ``INSERT``, ``MODIFY`` or ``REMOVE``. Items are in DynamoDB's JSON."""
        wanted = [
            (number, source)
            for number, source in enumerate(self.sources)
            if source.table == table and source.may_want(event_name)
        ]
        if not wanted:
            return
        with self._lock:
            self._written += 1
            record = self._record(event_name, keys, old, new)
            for number, source in wanted:
                if source.wants(record):
                    self._waiting.setdefault(number, deque()).append(record | {"eventSourceARN": source.stream_arn})

    def deliver(self) -> int:
        """Send what waits and return how many records were taken; a batch that failed waits for the next time."""
        return sum(self._drain(self.sources[number], waiting) for number, waiting in list(self._waiting.items()))

    def _drain(self, source: StreamSource, waiting: deque[Record]) -> int:
        taken = 0
        while waiting:
            batch = list(waiting)[: source.batch_size]
            if not self._deliver(source, batch):
                break
            for _ in batch:
                waiting.popleft()
            taken += len(batch)
        return taken

    def _deliver(self, source: StreamSource, batch: Sequence[Record]) -> bool:
        try:
            # Lambda reads the stream with the function's role. moto does not know the endpoint with an account in it.
            config = Config(account_id_endpoint_mode="disabled")
            assert self.session_of is not None
            streams = self.session_of(source.function).client("dynamodbstreams", config=config)
            streams.describe_stream(StreamArn=source.stream_arn)
            _, error = self.functions.invoke(source.function.arn, json.dumps({"Records": list(batch)}).encode())
        except ClientError as problem:
            LOG.warning("%s does not get its stream: %s", source.function.logical_id, problem)
            return False
        return error is None

    def _record(self, event_name: str, keys: Record, old: Record | None, new: Record | None) -> Record:
        change: Record = {
            "ApproximateCreationDateTime": int(self.clock().timestamp()),
            "Keys": keys,
            "SequenceNumber": str(self._written),
            "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        change |= {name: _sent(image) for name, image in (("OldImage", old), ("NewImage", new)) if image is not None}
        return {
            "eventID": f"event-{self._written}",
            "eventName": event_name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "dynamodb": change,
        }


def _sent(image: Any) -> Any:
    """Return an item as it is sent: binary values as base64."""
    if isinstance(image, bytes):
        return base64.b64encode(image).decode("ascii")
    if isinstance(image, Mapping):
        return {name: _sent(value) for name, value in image.items()}
    return [_sent(value) for value in image] if isinstance(image, list) else image


def filters_of(mapping: str, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a mapping's filters. Raises ``TemplateInvalid`` where one is no pattern."""
    found = [str(one.get("Pattern")) for one in properties.get("FilterCriteria", {}).get("Filters", [])]
    for number, pattern in enumerate(found, start=1):
        try:
            matches(pattern, {})
            _event_names(pattern)
        except Exception as problem:
            raise TemplateInvalid(f"{mapping}: filter {number} cannot be used: {problem}. Mend its Pattern.") from None
    return tuple(found)


def _event_names(pattern: str) -> frozenset[str] | None:
    """Return the only ``eventName``s that can fit, None where any can."""
    names = json.loads(pattern).get("eventName")
    return None if names is None or any(not isinstance(name, str) for name in names) else frozenset(names)
