"""The cost of orchestrating one run, by AWS's list prices: transitions, Lambda, tables, logs and the rest.

    python -m bench.bill [--reads 10]

Plays ``bench.turns``' run of ten reads and an answer in a local cloud, counts what AWS would charge for, and prices it.
The model's tokens are not in it. Exits with 1 where the run costs more than ``AT_MOST_MICROUSD`` for ten reads.

Counted: each state that is entered; each invocation of a function; each item that is written or read, by its size, with
the entries of its indexes and twice in a transaction; each line of a log; the event of the ending; the trace.

Assumed, since no laptop shows it: a model that answers in 3 s, a tool that takes 0.2 s, 5 ms of waiting and 2 ms of CPU
for each AWS request. A function of M megabytes has M / 1,769 of a CPU. Functions are warm. Not in it, since it does not
depend on the number of runs: metrics and alarms, storage, keys.
"""

import argparse
import base64
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from ballast.contracts import RunRequest
from bench import NotMeasured, require
from bench.turns import FUNCTIONS, cloud_with, fetches, measure
from localcloud.cloud import LocalCloud
from localcloud.converse.source import CallableModel

#: The most that ten reads and an answer may cost, micro-dollars.
AT_MOST_MICROUSD = 1_150
#: AWS's list prices, US East (N. Virginia), 2026-11: micro-dollars for one of each.
TRANSITION, INVOCATION, GB_SECOND = Decimal(25), Decimal("0.2"), Decimal("13.3334")  # Standard; Lambda on arm64
WRITE_UNIT, READ_UNIT = Decimal("0.625"), Decimal("0.125")  # on demand
LOG_BYTE, EVENT, TRACE = Decimal("0.0005"), Decimal(1), Decimal(5)
#: Seconds that a function waits besides its AWS requests.
WAITS_S = {"AgentFunction": 3.0, "ExecutorFunction": 0.2}
REQUEST_WAITS_S, REQUEST_CPU_S = 0.005, 0.002
#: Megabytes of a function that has one whole CPU.
WHOLE_CPU_MB = 1_769
#: Bytes that CloudWatch adds to a line, and those of Lambda's own two lines of an invocation, start and report.
LINE_BYTES, PLATFORM_BYTES = 26, 700
COUNTED = ("StartFunction", *FUNCTIONS)


@dataclass
class Ledger:
    """What AWS would charge for, in one run."""

    indexes: Mapping[str, Sequence[frozenset[str]]]
    memory_mb: Mapping[str, int]
    invocations: Counter[str] = field(default_factory=Counter)
    gb_seconds: float = 0.0
    requests: int = 0
    writes: int = 0
    reads: float = 0.0
    events: int = 0
    log_bytes: int = 0
    transitions: int = 0

    def __post_init__(self) -> None:
        self._here = threading.local()

    def begins(self, function: str, _: Any) -> None:
        """Begin an invocation, in its thread."""
        self._here.sdk_s, self._here.asked, self._here.model, self._here.began_s = 0.0, 0, 0, time.thread_time()

    def ended(self, function: str, _: Any, __: Any) -> None:
        """Add the invocation: what it waited, and its CPU, which takes longer in a small function."""
        if function not in COUNTED:
            return
        own_s = time.thread_time() - self._here.began_s - self._here.sdk_s
        cpu_s = own_s + self._here.asked * REQUEST_CPU_S
        waited_s = self._here.asked * REQUEST_WAITS_S
        # The turn that only answers runs no tool, and a turn that hands over asks no model.
        waited_s += WAITS_S.get(function, 0.0) if function != "AgentFunction" or self._here.model else 0.0
        memory_mb = self.memory_mb[function]
        billed_ms = ceil((waited_s + cpu_s * WHOLE_CPU_MB / memory_mb) * 1_000)
        self.invocations[function] += 1
        self.gb_seconds += billed_ms / 1_000 * memory_mb / 1_024
        self.log_bytes += PLATFORM_BYTES

    def printed(self, function: str, _: Any, text: str) -> None:
        """Add what a function has printed: its metrics."""
        if function in COUNTED:
            self.log_bytes += sum(len(line.encode()) + LINE_BYTES for line in text.splitlines())

    def asks(self, params: Mapping[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """Keep what a request says until it is answered."""
        self._here.asked = getattr(self._here, "asked", 0) + 1
        service = model.service_model.service_name
        self._here.model = getattr(self._here, "model", 0) + (service == "bedrock-runtime")
        self.events += service == "events"
        if service == "dynamodb":
            context["asked"] = json.loads(params["body"])

    def answered(self, parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
        """Add the units of a DynamoDB request."""
        if "asked" in context:
            written, read = self._units(model.name, context["asked"], parsed)
            self.writes, self.reads = self.writes + written, self.reads + read

    def _units(self, operation: str, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[int, float]:
        match operation:
            case "PutItem":
                return self._written(asked), 0
            case "UpdateItem" | "DeleteItem":
                return 1, 0  # items of budgets and circuits: below 1 KB
            case "TransactWriteItems":
                return sum(2 * self._of_transaction(one) for one in asked["TransactItems"]), 0
            case "GetItem":
                return 0, _read([answer["Item"]] if "Item" in answer else [], asked.get("ConsistentRead", False))
            case "Query":
                return 0, _read(answer.get("Items", ()), asked.get("ConsistentRead", False))
            case "BatchGetItem":
                wanted = asked["RequestItems"]
                strong = any(one.get("ConsistentRead") for one in wanted.values())
                keys = sum(len(one["Keys"]) for one in wanted.values())
                found = [item for items in answer["Responses"].values() for item in items]
                return 0, sum(_read([item], strong) for item in found) + (keys - len(found)) * _read([], strong)
        raise NotMeasured(f"{operation}: how it is charged is not known here.")

    def _written(self, put: Mapping[str, Any]) -> int:
        item: Mapping[str, Any] = put["Item"]
        entries: int = sum(keys <= item.keys() for keys in self.indexes.get(put["TableName"], ()))
        return ceil(_bytes(item) / 1_024) + entries

    def _of_transaction(self, one: Mapping[str, Any]) -> int:
        return self._written(one["Put"]) if "Put" in one else 1

    def history(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Add the transitions of an execution and the lines of its log, which have no data (``template.yaml``)."""
        for event in events:
            self.transitions += event["type"].endswith("StateEntered")
            found: Iterator[Mapping[str, Any]] = (event[key] for key in event if key.endswith("EventDetails"))
            details = next(found, {})
            named = {name: details[name] for name in ("name", "resource", "resourceType", "index") if name in details}
            line = {
                "id": str(event["id"]),
                "type": event["type"],
                "details": named,
                "previous_event_id": str(event["previousEventId"]),
                "event_timestamp": "1700000000000",
                "execution_arn": "arn:aws:states:us-east-1:123456789012:execution:ballast-AgentStateMachine-"
                "0123456789ab:run-0123456789abcdefghijklmn",
                "redrive_count": "0",
            }
            self.log_bytes += len(json.dumps(line)) + LINE_BYTES

    @property
    def rows(self) -> Iterator[tuple[str, str, Decimal]]:
        """Yield each part: its name, its units and its micro-dollars."""
        invoked = sum(self.invocations.values())
        lambda_microusd = invoked * INVOCATION + Decimal(self.gb_seconds) * GB_SECOND
        yield "transitions", f"{self.transitions}", self.transitions * TRANSITION
        yield "Lambda", f"{invoked} invocations, {self.gb_seconds:.1f} GB-s", lambda_microusd
        units = f"{self.writes} write units, {self.reads:.0f} read units"
        yield "tables", units, self.writes * WRITE_UNIT + Decimal(self.reads) * READ_UNIT
        yield "logs", f"{self.log_bytes / 1_000:.0f} KB", self.log_bytes * LOG_BYTE
        yield "event, trace", f"{self.events} and 1", self.events * EVENT + TRACE

    @property
    def microusd(self) -> Decimal:
        """The whole bill."""
        return sum((microusd for _, _, microusd in self.rows), Decimal(0))

    @contextmanager
    def running(self, cloud: LocalCloud) -> Iterator[None]:
        """Count what the functions of ``cloud`` do meanwhile."""
        called = vars(BaseClient)["_make_api_call"]

        def calls(client: BaseClient, *args: Any, **named: Any) -> Any:
            began_s = time.thread_time()
            try:
                return called(client, *args, **named)
            finally:
                self._here.sdk_s = getattr(self._here, "sdk_s", 0.0) + time.thread_time() - began_s

        cloud.before_invoke.append(self.begins)
        cloud.after_invoke.append(self.ended)
        cloud.printed.append(self.printed)
        for function in COUNTED:
            for service in ("dynamodb", "s3", "sqs", "stepfunctions", "events", "bedrock-runtime"):
                events = cloud.runtime(function).client(service).meta.events
                events.register_last("before-call", self.asks)
                events.register_last("after-call", self.answered)
        with patch.object(BaseClient, "_make_api_call", calls):
            yield


def _read(items: Sequence[Mapping[str, Any]], strong: bool) -> float:
    units = max(1, ceil(sum(map(_bytes, items)) / 4_096))
    return units if strong else units / 2


def _bytes(item: Mapping[str, Any]) -> int:
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S" | "N":
            return len(str(content).encode())
        case "B":
            return len(content if isinstance(content, bytes) else base64.b64decode(content))
        case "M":
            return 3 + _bytes(content)
        case "L":
            return 3 + sum(map(_value_bytes, content))
        case "SS" | "NS":
            return sum(len(one.encode()) for one in content)
    return 1


def ledger_of(cloud: LocalCloud) -> Ledger:
    """Return an empty ledger that knows the stack's tables and the sizes of its functions."""
    dynamodb, indexes = cloud.session.client("dynamodb"), {}
    for name in dynamodb.list_tables()["TableNames"]:
        found = dynamodb.describe_table(TableName=name)["Table"].get("GlobalSecondaryIndexes", ())
        indexes[name] = [frozenset(key["AttributeName"] for key in one["KeySchema"]) for one in found]
    return Ledger(indexes, {name: cloud.memory_mb(name) for name in COUNTED})


def bill(reads: int) -> Ledger:
    """Play a run of so many reads in warm functions and return what it used."""
    with cloud_with(CallableModel(fetches)) as (cloud, meter):
        measure(cloud, meter, 2, name="warm")
        ledger = ledger_of(cloud)
        with ledger.running(cloud):
            measure(cloud, meter, reads, name="bill")
        ledger.history(cloud.history(RunRequest(request_id=f"bill-{reads}", text=str(reads)).run_id))
    require(ledger.invocations["AgentFunction"] == reads + 1, f"The bill has {dict(ledger.invocations)}.")
    return ledger


def table(ledger: Ledger, reads: int) -> Iterator[str]:
    """Yield the table's lines."""
    yield f"{'part':<14}{'units':<36}{'micro-dollars':>14}"
    for name, units, microusd in ledger.rows:
        yield f"{name:<14}{units:<36}{microusd:>14.0f}"
    total = f"${ledger.microusd / 1_000_000:.5f}"
    yield f"{'all':<14}{f'{reads} reads and the answer: {total}':<36}{ledger.microusd:>14.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the bill; 1 where it is too high, or where the run did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=10)
    reads = parser.parse_args(arguments).reads
    try:
        ledger = bill(reads)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    print("\n".join(table(ledger, reads)), flush=True)
    if reads <= 10 and ledger.microusd > AT_MOST_MICROUSD:
        print(f"More than {AT_MOST_MICROUSD} micro-dollars.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
