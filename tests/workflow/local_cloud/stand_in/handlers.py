"""Handlers of the stand-in stack. ``work`` does what its event says."""

import json
import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from ballast.errors import RetryLater
from ballast.runtime import Runtime


class Boom(Exception):
    pass


class Flaky(Exception):
    pass


class Bench:
    """What the tests share with the handlers of one process. ``now`` and ``pause`` are the cloud's clock's."""

    now: ClassVar[Callable[[], float]] = staticmethod(time.monotonic)
    pause: ClassVar[Callable[[float], None]] = staticmethod(time.sleep)

    tokens: ClassVar[list[str]] = []
    attempts: ClassVar[dict[str, int]] = {}
    events: ClassVar[list[Any]] = []
    at: ClassVar[list[float]] = []
    after_the_hang: ClassVar[list[str]] = []
    batches: ClassVar[list[list[str]]] = []
    responses: ClassVar[list[Any]] = []


def intake(event: dict[str, Any], context: Any, *, runtime: Runtime) -> dict[str, Any]:
    started = runtime.client("stepfunctions").start_execution(
        stateMachineArn=runtime.environ["STATE_MACHINE_ARN"], name=event["run_id"], input=json.dumps(event)
    )
    return {"run_id": event["run_id"], "execution_arn": started["executionArn"], "started": True}


def work(event: dict[str, Any], context: Any, *, runtime: Runtime) -> Any:
    if "keep_token" in event:
        Bench.tokens.append(event["keep_token"])
    if (wanted := event.get("fail_times")) is not None:
        Bench.attempts[event["key"]] = Bench.attempts.get(event["key"], 0) + 1
        if Bench.attempts[event["key"]] <= wanted:
            raise RetryLater("not yet")
    if "fail_with" in event:
        Bench.attempts[event["key"]] = attempt = Bench.attempts.get(event["key"], 0) + 1
        if attempt <= len(event["fail_with"]):
            raise {"RetryLater": RetryLater, "Flaky": Flaky}[event["fail_with"][attempt - 1]]
    if event.get("boom") or event.get("item") == "boom":
        raise Boom(event.get("words", 'it "broke"'))
    if "hang_s" in event:
        Bench.pause(event["hang_s"])
        Bench.after_the_hang.append("before")
        runtime.client("dynamodb").put_item(
            TableName=runtime.environ["RUN_LOG_TABLE"], Item={"run_id": {"S": "late"}, "seq": {"S": "late"}}
        )
        Bench.after_the_hang.append("after")
    if "put" in event:
        runtime.client("dynamodb").put_item(
            TableName=runtime.environ["RUN_LOG_TABLE"],
            Item={"run_id": {"S": event["put"]}, "seq": {"S": "0000.run.opened"}},
            ConditionExpression="attribute_not_exists(run_id)",
        )
    if "print" in event:
        print(event["print"])  # noqa: T201
    if "big" in event:
        return "x" * event["big"]
    if "returns" in event:
        return {"set": {1, 2}, "decimal": Decimal("1.50"), "nan": float("nan")}[event["returns"]]
    if event.get("exit"):
        raise SystemExit(3)
    if event.get("describe"):
        return {
            "environ": dict(runtime.environ),
            "os": os.environ.get("RUN_LOG_TABLE"),
            "now": runtime.clock().isoformat(),
            "remaining_ms": context.get_remaining_time_in_millis(),
            "name": context.function_name,
        }
    return {"echo": event}


def settle(event: dict[str, Any], context: Any, *, runtime: Runtime) -> dict[str, Any]:
    Bench.events.append(event)
    Bench.at.append(Bench.now())
    name = event["detail"]["name"]
    if name.startswith("never") or (name.startswith("stubborn") and len(Bench.events) < 3):
        raise RetryLater("not yet")
    runtime.client("dynamodb").put_item(
        TableName=runtime.environ["RUN_LOG_TABLE"],
        Item={"run_id": {"S": event["detail"]["name"]}, "seq": {"S": "settled"}},
    )
    return {}


def take(event: dict[str, Any], context: Any, *, runtime: Runtime) -> Any:
    Bench.batches.append([record["body"] for record in event["Records"]])
    if Bench.responses:
        return Bench.responses.pop(0)
    failed = [record["messageId"] for record in event["Records"] if record["body"].startswith("bad")]
    if any(record["body"] == "crash" for record in event["Records"]):
        raise Boom("the consumer died")
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
