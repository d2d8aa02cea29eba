"""The stack's event source mappings: queues whose messages go to functions, as Lambda's pollers do it, and streams.

What the template says of a mapping decides: its queue, its batch size, whether a function reports
the messages that failed. moto would deliver too, but not to our handlers: it is switched off here.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from localcloud.functions import Function, Functions
from localcloud.moto_seams.sqs import waits
from localcloud.sandbox import SandboxEnded
from localcloud.sessions import ACCOUNT, REGION, LocalSession
from localcloud.streams import Streams

LOG = logging.getLogger(__name__)

#: A poller that found nothing looks again after so many seconds. To look costs next to nothing: it asks nobody.
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
    """Delivers what waits in the queues: ``pump`` once, ``polling`` all the time.

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
        #: By function: a new client costs more than what it asks, and the poller asks four times a second.
        self._clients: dict[str, Any] = {}
        self._failed: list[tuple[str, str]] = []
        self._admins_sqs = admin.client("sqs")
        self._sources = sources
        self._one_at_a_time = threading.Lock()

    def pump(self) -> int:
        """Deliver all that waits now and return how many messages and records were taken for good.

        What failed in an earlier call comes again in this one: as if the visibility timeout had passed.
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
        """Within the block, deliver what comes in. What failed comes again after its visibility timeout."""
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
        """Deliver one batch; return how many messages were taken for good, and how many were received."""
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
        """Return the ids of the messages that failed, None where all of them did."""
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
    """Read a partial batch response as Lambda does: one that it cannot read means that all failed."""
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
            continue  # a table's stream: localcloud.streams
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
