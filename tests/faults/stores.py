"""Save and restore moto's tables, buckets and queues between cases, and match events to the stack's rules."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.moto_seams.events import matches
from localcloud.sessions import ACCOUNT, REGION, LocalSession


class Stores:
    """What the tables, buckets and queues hold at one moment. Relies on moto's ``Table.items`` and ``keys``."""

    def __init__(self) -> None:
        # Pickling takes a fraction of what a deep copy takes.
        self._tables = {table.name: pickle.dumps(table.items) for table in _tables()}
        self._buckets = [(bucket, copy.copy(bucket.keys)) for bucket in _buckets()]
        self._queues = Queues()

    def restore(self) -> None:
        """Put all of it back."""
        for table in _tables():  # a transaction that is cancelled puts copies in their place
            table.items = pickle.loads(self._tables[table.name])
        for bucket, keys in self._buckets:
            bucket.keys = copy.copy(keys)
        self._queues.restore()


class Queues:
    """What the queues hold. Relies on moto's ``Queue._messages``, ``_pending_messages`` and ``deleted_messages``."""

    def __init__(self) -> None:
        self._held = [(queue, [copy.copy(message) for message in queue._messages]) for queue in _queues()]

    def restore(self) -> None:
        """Put all of it back."""
        for queue, messages in self._held:
            queue._messages[:] = [copy.copy(message) for message in messages]
            queue._pending_messages.clear()
            queue.deleted_messages.clear()


def items_of(table: str) -> list[dict[str, Any]]:
    """Return all items of a table, as DynamoDB has them. Relies on moto's ``Table.all_items``."""
    found = next(one for one in _tables() if one.name == table)
    return [item.to_json()["Attributes"] for item in found.all_items()]


def is_waiting(queue_url: str) -> bool:
    """Say whether there is anything in a queue: quicker than to receive nothing."""
    name = queue_url.rsplit("/", 1)[-1]
    return any(queue._messages for queue in _queues() if queue.name == name)


def _tables() -> list[Any]:
    from moto.dynamodb.models import dynamodb_backends

    return list(dynamodb_backends[ACCOUNT][REGION].tables.values())


def _buckets() -> list[Any]:
    from moto.s3.models import s3_backends

    return list(s3_backends[ACCOUNT]["aws"].buckets.values())


def _queues() -> list[Any]:
    from moto.sqs.models import sqs_backends

    return list(sqs_backends[ACCOUNT][REGION].queues.values())


@dataclass(frozen=True)
class Rule:
    """An enabled rule of the stack; it has a pattern or a schedule. ``functions`` are its targets' ARNs."""

    name: str
    pattern: str | None
    schedule: str | None
    functions: tuple[str, ...]

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether the event is one of its."""
        return self.pattern is not None and matches(self.pattern, event)


def rules_of(admin: LocalSession) -> tuple[Rule, ...]:
    """Return the stack's rules that have functions as targets."""
    client = admin.client("events")
    found = []
    for rule in client.list_rules()["Rules"]:
        targets = client.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        functions = tuple(target["Arn"] for target in targets if ":lambda:" in target["Arn"])
        if functions and rule.get("State") == "ENABLED":
            found.append(Rule(rule["Name"], rule.get("EventPattern"), rule.get("ScheduleExpression"), functions))
    return tuple(found)
