"""Event source mappings: SQS messages and DynamoDB stream records go to functions, as Lambda's pollers deliver them.

The template's mapping decides: the source, the batch size, filters, and whether a function reports the messages that
failed. moto would deliver too, but not to our handlers, so its delivery is switched off.
A stream record that no filter wants is dropped where it is written, before it is built: a log that is only appended to
costs one dictionary look-up per write.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.clock import Clock
from localcloud.functions import Function, Functions
from localcloud.moto_seams.events import matches
from localcloud.moto_seams.sqs import waits
from localcloud.sandbox import SandboxEnded
from localcloud.sessions import ACCOUNT, REGION, LocalSession
from localcloud.template import TemplateInvalid

LOG = logging.getLogger(__name__)

#: Seconds until a poller that found nothing looks again. A look is cheap: it makes no request.
_IDLE_S = 0.1


@dataclass(frozen=True)
class EventSource:
    """One queue that feeds a function."""

    queue_arn: str
    queue_url: str
    function: Function
    batch_size: int
    reports_failures: bool

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.queue_arn.rpartition(":")[2]


class EventSources:
    """Delivers messages and stream records: ``pump`` once, ``polling`` continuously.

    sources     see ``event_sources``
    streams     of tables
    session_of  a function's own session, since Lambda polls with the function's role
    """

    def __init__(
        self,
        sources: Sequence[EventSource],
        admin: LocalSession,
        functions: Functions,
        session_of: Callable[[Function], LocalSession],
        streams: Streams,
    ) -> None:
        self._streams = streams
        self._functions = functions
        self._session_of = session_of
        #: By function: a new client costs more than its request, and the poller makes several a second.
        self._clients: dict[str, Any] = {}
        self._failed: list[tuple[str, str]] = []
        self._admins_sqs = admin.client("sqs")
        self._sources = sources
        self._one_at_a_time = threading.Lock()

    def pump(self) -> int:
        """Deliver all that waits now; return how many messages and records were handled.

        What failed in an earlier call is delivered again, as if the visibility timeout had passed.
        """
        with self._one_at_a_time:
            for queue_url, receipt in self._failed:
                self._admins_sqs.change_message_visibility(
                    QueueUrl=queue_url, ReceiptHandle=receipt, VisibilityTimeout=0
                )
            self._failed.clear()
            return sum(self._drain(source) for source in self._sources) + self._streams.deliver()

    @contextmanager
    def polling(self) -> Iterator[None]:
        """Within the block, deliver continuously. What failed is delivered again after its visibility timeout."""
        stop = threading.Event()
        poller = threading.Thread(target=self._poll, args=(stop,), name="pollers", daemon=True)
        poller.start()
        try:
            yield
        finally:
            stop.set()
            poller.join(timeout=5)

    def _poll(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with self._one_at_a_time:
                    full = [source for source in self._sources if waits(ACCOUNT, REGION, source.queue)]
                    received = sum(self._deliver(source)[1] for source in full) + self._streams.deliver()
                    self._failed.clear()
            except SandboxEnded:
                return  # the cloud is closed
            except Exception:
                LOG.exception("The queues could not be read.")
                received = 0
            if not received:
                stop.wait(_IDLE_S)

    def _drain(self, source: EventSource) -> int:
        taken = 0
        while True:
            done, received = self._deliver(source)
            taken += done
            if not received:
                return taken

    def _deliver(self, source: EventSource) -> tuple[int, int]:
        """Deliver one batch; return how many messages were handled, and how many were received."""
        name = source.function.logical_id
        if name not in self._clients:
            self._clients[name] = self._session_of(source.function).client("sqs")
        sqs = self._clients[name]
        received = sqs.receive_message(
            QueueUrl=source.queue_url,
            MaxNumberOfMessages=min(10, source.batch_size),
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        ).get("Messages", [])
        if not received:
            return 0, 0
        event = {"Records": [_record(message, source.queue_arn) for message in received]}
        failed = self._invoke(source, event)
        taken = 0
        for message in received:
            if failed is None or message["MessageId"] in failed:
                self._failed.append((source.queue_url, message["ReceiptHandle"]))
            else:
                sqs.delete_message(QueueUrl=source.queue_url, ReceiptHandle=message["ReceiptHandle"])
                taken += 1
        return taken, len(received)

    def _invoke(self, source: EventSource, event: Mapping[str, Any]) -> set[str] | None:
        """Return the ids of the messages that failed; None if all failed."""
        try:
            body, error = self._functions.invoke(source.function.arn, json.dumps(event).encode())
        except ClientError as problem:  # Lambda itself refused
            LOG.warning("%s was not invoked: %s", source.function.logical_id, problem)
            return None
        if error is not None:
            return None
        ids = {record["messageId"] for record in event["Records"]}
        return _failures(json.loads(body), ids) if source.reports_failures else set()


def _failures(response: Any, ids: set[str]) -> set[str] | None:
    """Read a partial batch response as Lambda does: an unreadable one means that all failed."""
    if response is None:
        return set()
    try:
        failed = {item["itemIdentifier"] for item in response.get("batchItemFailures") or []}
    except (AttributeError, TypeError, KeyError):
        return None
    return failed if failed <= ids else None


def event_sources(admin: LocalSession, functions: Functions) -> list[EventSource]:
    """Return the enabled mappings, and switch off moto's own delivery of them."""
    sqs, client = admin.client("sqs"), admin.client("lambda")
    made = []
    for found in client.list_event_source_mappings()["EventSourceMappings"]:
        if found["State"] != "Enabled":
            continue
        client.update_event_source_mapping(UUID=found["UUID"], Enabled=False)
        if ":sqs:" not in found["EventSourceArn"]:
            continue  # a table's stream: see ``Streams``
        queue = found["EventSourceArn"].rsplit(":", 1)[-1]
        made.append(
            EventSource(
                queue_arn=found["EventSourceArn"],
                queue_url=sqs.get_queue_url(QueueName=queue)["QueueUrl"],
                function=functions.find(found["FunctionArn"]),
                batch_size=found["BatchSize"],
                reports_failures="ReportBatchItemFailures" in found.get("FunctionResponseTypes", []),
            )
        )
    return made


def _record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """Return a received message as an SQS event has it."""
    attributes = {
        name: {
            "stringValue": value.get("StringValue"),
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": value["DataType"],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    }


Record = dict[str, Any]


@dataclass(frozen=True)
class StreamSource:
    """One mapping of a table's stream. ``filters``: the template's patterns; a record must match one of them."""

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
        """Return whether any filter can match a record with this ``eventName``."""
        return self._names is None or event_name in self._names

    def wants(self, record: Record) -> bool:
        """Return whether the record goes to the function."""
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
        """Queue the record of one write: ``INSERT``, ``MODIFY`` or ``REMOVE``. Items are in DynamoDB's JSON."""
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
        """Deliver the waiting records and return how many were handled; a failed batch stays for the next call."""
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
            # Lambda reads the stream with the function's role. moto lacks the endpoint with the account id.
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
    """Return an item as DynamoDB sends it, with binary values as base64."""
    if isinstance(image, bytes):
        return base64.b64encode(image).decode("ascii")
    if isinstance(image, Mapping):
        return {name: _sent(value) for name, value in image.items()}
    return [_sent(value) for value in image] if isinstance(image, list) else image


def filters_of(mapping: str, properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a mapping's filters. Raises ``TemplateInvalid`` for an invalid pattern."""
    found = [str(one.get("Pattern")) for one in properties.get("FilterCriteria", {}).get("Filters", [])]
    for number, pattern in enumerate(found, start=1):
        try:
            matches(pattern, {})
            _event_names(pattern)
        except Exception as problem:
            raise TemplateInvalid(
                f"{mapping}: filter {number} cannot be used: {problem}. Correct its Pattern."
            ) from None
    return tuple(found)


def _event_names(pattern: str) -> frozenset[str] | None:
    """Return the only ``eventName``s that can match; None if any can."""
    names = json.loads(pattern).get("eventName")
    return None if names is None or any(not isinstance(name, str) for name in names) else frozenset(names)
