"""Append to and read the log of a run. The log is the state: nothing else remembers anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ballast.contracts import Event
from ballast.contracts.event import order
from ballast.errors import LogCorrupt
from ballast.log.aws_errors import consequences
from ballast.log.codec import decode, encode, payload_of
from ballast.runtime import Runtime, Settings


class LogSettings(Settings):
    """What every function that touches the log needs.

    run_log_table   the table
    payload_bucket  where large bodies go
    retention_days  after this many days DynamoDB's TTL removes an event; 0 keeps it for ever
    """

    run_log_table: str
    payload_bucket: str
    retention_days: int = 0


class RunLog:
    """The log as one function sees it: with that function's rights.

    An event is written once under its deterministic key and never changed. The condition of
    the write makes a retried append a no-op that returns what is there::

        append 0003.call.1.settled ── written ──▶ returned
        (crash, retry)
        append 0003.call.1.settled ── exists ───▶ the first one is returned
    """

    def __init__(
        self,
        dynamodb: Any,
        s3: Any,
        settings: LogSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._dynamodb = dynamodb
        self._s3 = s3
        self._settings = settings
        self._clock = clock

    @classmethod
    def of(cls, runtime: Runtime) -> RunLog:
        """Build the log of ``runtime``'s function."""
        return cls(_Lazy(runtime, "dynamodb"), _Lazy(runtime, "s3"), LogSettings.of(runtime), runtime.clock)

    def append(self, run_id: str, seq: str, body: Mapping[str, Any]) -> Event:
        """Record ``body`` under ``seq`` and return the recorded event: the earlier one where there is one.

        Raises ``RetryLater`` on throttles and ``SettingInvalid`` where the table is missing.
        """
        now = self._clock()
        event = Event(run_id=run_id, seq=seq, at=now.isoformat(), body=dict(body))
        item, payload = encode(event)
        key = payload_of(item)
        if payload is not None and key is not None:
            with consequences(f"Bucket {self._settings.payload_bucket} (PAYLOAD_BUCKET)"):
                self._s3.put_object(Bucket=self._settings.payload_bucket, Key=key, Body=payload)
        if self._settings.retention_days:
            item["expires_at"] = {"N": str(int(now.timestamp()) + self._settings.retention_days * 86_400)}
        nobody_was_here_before = "attribute_not_exists(run_id)"
        with consequences(self._table):
            try:
                self._dynamodb.put_item(
                    TableName=self._settings.run_log_table,
                    Item=item,
                    ConditionExpression=nobody_was_here_before,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException as already:
                return self._decoded(already.response["Item"])
        return event

    def read(self, run_id: str) -> tuple[Event, ...]:
        """Return all events of the run in the order of the work; empty where there is no such run.

        Strongly consistent. Raises ``LogCorrupt`` where a digest does not match.
        """
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {
            "TableName": self._settings.run_log_table,
            "KeyConditionExpression": "run_id = :run_id",
            "ExpressionAttributeValues": {":run_id": {"S": run_id}},
            "ConsistentRead": True,
        }
        while True:
            with consequences(self._table):
                page = self._dynamodb.query(**query)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                break
            query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        return tuple(sorted((self._decoded(item) for item in items), key=order))

    @property
    def _table(self) -> str:
        return f"Table {self._settings.run_log_table} (RUN_LOG_TABLE)"

    def _decoded(self, item: dict[str, Any]) -> Event:
        payload = None
        if key := payload_of(item):
            with consequences(f"Bucket {self._settings.payload_bucket} (PAYLOAD_BUCKET)"):
                payload = self._s3.get_object(Bucket=self._settings.payload_bucket, Key=key)["Body"].read()
        seq = item["seq"]["S"]
        try:
            event = decode(item, payload)
        except ValueError as problem:
            raise LogCorrupt(f"{item['run_id']['S']} {seq}: cannot be decoded: {problem}.") from None
        if event.digest != item["digest"]["S"]:
            raise LogCorrupt(f"{event.run_id} {seq}: the content does not match its digest; somebody changed the log.")
        return event


class _Lazy:
    """A client that is made when it is first used: most invocations never need S3."""

    def __init__(self, runtime: Runtime, service: str) -> None:
        self._runtime, self._service = runtime, service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime.client(self._service), name)
