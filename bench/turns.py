"""The cost of a turn: time, our own CPU, transitions, bytes and AWS requests, at 10, 50 and 200 turns.

    python -m bench.turns [--turns 10 50 200] [--rounds 3]

One run for each number of turns, in one local cloud: each turn is one call of a read whose result
has 2 KB, and the model's answer ends the run. Times are those of this machine and of moto; what
matters is that a row does not grow.

A run of one turn is played too, and its line comes first. It opens, reads, answers and ends. What it costs is taken
off the cost of the others, and the rest is divided by the turns that they have more. So a row tells what a turn adds. A
request that the clock makes and no turn (``BY_THE_CLOCK``) is in no row.

Our own CPU and what is read of the log are of the run's last turns: of agent and executor together, without the AWS
SDK's, the median of ten. Python's garbage collector is off while they work: its time grows with the emulator's objects,
which are in this process and in no function. Of several rounds, the one with the least CPU of its own is shown, since
other programs can only add. Exits with 1 where a run did not end as it must.
"""

import argparse
import gc
import json
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

from ballast.contracts import RunRequest
from ballast.contracts.wire import canonical
from ballast.log.codec import encode
from ballast.log.event import Event
from bench import NotMeasured, require
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, Reply, Source, said, turns_taken

PLAYBOOK = Path(__file__).resolve().parent / "playbook"
#: Step Functions' standard price of a state transition, in micro-dollars (US regions).
TRANSITION_MICROUSD = 25
#: The playbook's ceiling has to fit into every window, more than once.
ROOMY = dict.fromkeys(("AccountHourUsd", "AccountDayUsd", "TenantHourUsd", "TenantDayUsd"), "1000000")
#: The agent reads the model's circuit again when some seconds have passed, however many turns they were.
BY_THE_CLOCK = "dynamodb.GetItem"
FUNCTIONS = ("AdmitFunction", "AgentFunction", "ExecutorFunction", "SettleFunction")
STEPS = ("AgentFunction", "ExecutorFunction")
#: So many turns at a run's end tell what one costs there.
LAST = 10
#: The turns of the run whose cost is taken off.
SHORT = 1
HEADINGS = (
    f"{'turns':>6}{'ms/turn':>9}{'own CPU ms':>12}{'read bytes':>12}{'transitions':>13}{'state bytes':>13}"
    f"{'log bytes/turn':>16}  requests a turn"
)


def fetches(request: Mapping[str, Any], _: str) -> Reply:
    """A model that asks for one page a turn, as many as the request says, and then answers."""
    turns, done = int(request["messages"][0]["content"][0]["text"]), turns_taken(request)
    sent = len(json.dumps(request["messages"])) // 4 + 1_000
    usage = {"inputTokens": sent, "outputTokens": 20, "totalTokens": sent + 20}
    if done >= turns:
        return said([{"text": "Done."}], "end_turn", request, usage=usage)
    call = {"toolUse": {"toolUseId": f"c{done}", "name": "fetch_page", "input": {"number": done}}}
    return said([call], "tool_use", request, usage=usage)


@dataclass(frozen=True)
class Figures:
    """What one run cost.

    turns        reads, one a turn; the answer's turn comes on top
    own_ms       our own CPU in one of the last turns, milliseconds
    read_bytes   of DynamoDB's answers in one of the last turns
    transitions  of the state machine, in the whole run
    state_bytes  the largest input of a state
    log_bytes    of all items and payloads of the run
    requests     by service and operation, of all functions in the whole run
    """

    turns: int
    seconds: float
    own_ms: float
    read_bytes: int
    transitions: int
    state_bytes: int
    log_bytes: int
    requests: Mapping[str, int]

    def row(self, short: "Figures") -> str:
        """Return the table's line: what each turn adds that a ``short`` run does not have."""

        def a_turn(long: float, short_: float) -> float:
            return (long - short_) / (self.turns - short.turns)

        requests = ", ".join(
            f"{name} {a_turn(count, short.requests.get(name, 0)):.2f}"
            for name, count in sorted(self.requests.items())
            if name != BY_THE_CLOCK and count != short.requests.get(name, 0)
        )
        return (
            f"{self.turns:>6}{a_turn(self.seconds, short.seconds) * 1_000:>9.1f}"
            f"{self.own_ms:>12.2f}{self.read_bytes:>12}"
            f"{a_turn(self.transitions, short.transitions):>13.2f}"
            f"{self.state_bytes:>13}{a_turn(self.log_bytes, short.log_bytes):>16.0f}  {requests}"
        )

    @property
    def whole(self) -> str:
        """The line of a whole run."""
        cost = self.transitions * TRANSITION_MICROUSD
        requests = ", ".join(f"{name} {count}" for name, count in sorted(self.requests.items()))
        return (
            f"       (the whole run of {self.turns}: {self.transitions} transitions, {cost} micro-dollars of "
            f"orchestration; {requests})"
        )


class Meter:
    """Requests, our own CPU and the bytes that were read, invocation by invocation of the functions that take turns.

    A function works in a thread of its own; what the AWS SDK does there, and moto behind it, is not our own.
    """

    def __init__(self) -> None:
        self._here = threading.local()
        #: Requests of all functions, by service and operation.
        self.requests: Counter[str] = Counter()
        self.own_s: dict[str, list[float]] = {name: [] for name in STEPS}
        self.read: dict[str, list[int]] = {name: [] for name in STEPS}

    def begins(self, function: str, _: Any) -> None:
        """Take note that an invocation begins, in its thread. Nothing is collected until it has ended."""
        gc.disable()
        self._here.sdk_s, self._here.read, self._here.began_s = 0.0, 0, time.thread_time()

    def ended(self, function: str, _: Any, __: Any) -> None:
        """Take note that it is over."""
        gc.enable()
        if function in STEPS:
            self.own_s[function].append(time.thread_time() - self._here.began_s - self._here.sdk_s)
            self.read[function].append(self._here.read)

    def asked(self, event_name: str, **_: Any) -> None:
        """Take note of a request to AWS."""
        self.requests[event_name.removeprefix("before-send.")] += 1

    def answered(self, http_response: Any, **_: Any) -> None:
        """Take note of what DynamoDB answered."""
        self._here.read = getattr(self._here, "read", 0) + len(http_response.content)

    @property
    def last(self) -> tuple[float, int]:
        """The CPU milliseconds and the bytes of one of the last turns; it begins to count anew."""
        own_ms = sum(statistics.median(found[-LAST:]) for found in self.own_s.values()) * 1_000
        read = sum(statistics.median(found[-LAST:]) for found in self.read.values())
        for step in STEPS:
            self.own_s[step].clear()
            self.read[step].clear()
        return own_ms, int(read)

    @contextmanager
    def running(self, cloud: LocalCloud) -> Iterator[None]:
        """Measure what the functions of ``cloud`` do meanwhile."""
        collects = gc.isenabled()
        called = vars(BaseClient)["_make_api_call"]

        def calls(client: BaseClient, *args: Any, **named: Any) -> Any:
            began_s = time.thread_time()
            try:
                return called(client, *args, **named)
            finally:
                self._here.sdk_s = getattr(self._here, "sdk_s", 0.0) + time.thread_time() - began_s

        cloud.before_invoke.append(self.begins)
        cloud.after_invoke.append(self.ended)
        for function in STEPS:
            cloud.runtime(function).client("dynamodb").meta.events.register_last("after-call", self.answered)
        try:
            with patch.object(BaseClient, "_make_api_call", calls):
                yield
        finally:
            (gc.enable if collects else gc.disable)()


@contextmanager
def cloud_with(model: Source, parameters: Mapping[str, str] = ROOMY) -> Iterator[tuple[LocalCloud, Meter]]:
    """Open a local cloud; yield it with the meter of what its functions do."""
    meter = Meter()
    with (
        ConverseServer(model) as double,
        LocalCloud(playbook=PLAYBOOK, model_endpoint_url=double.url, parameters=parameters) as cloud,
        meter.running(cloud),
    ):
        for function in FUNCTIONS:
            for service in ("dynamodb", "s3", "sqs", "stepfunctions"):
                cloud.runtime(function).client(service).meta.events.register_first("before-send", meter.asked)
        yield cloud, meter


def measure(cloud: LocalCloud, meter: Meter, turns: int, *, name: str = "turns") -> Figures:
    """Play one run of so many turns. Raises ``NotMeasured`` unless it read as often and was answered."""
    require(turns > 0, f"A run of {turns} turns measures nothing.")
    meter.requests.clear()
    started = time.perf_counter()
    run_id = cloud.start(RunRequest(request_id=f"{name}-{turns}", text=str(turns)))
    execution = cloud.wait(run_id, 600)
    seconds = time.perf_counter() - started
    # A refused run succeeds as an execution: what became of it is in its output.
    ended = (execution.status, execution.output and (execution.output["status"], execution.output.get("by")))
    reason = execution.output or f"{execution.error}: {execution.cause}"
    require(ended == ("SUCCEEDED", ("answered", "agent")), f"The run of {turns} turns was not answered: {reason}")
    requests = dict(meter.requests)
    events, history = cloud.events(run_id), cloud.history(run_id)
    reads = sum(event.name == "call.settled" and event.body["status"] == "ok" for event in events)
    require(reads == turns, f"The run of {turns} turns made {reads} reads.")
    require(sum(requests.values()) >= turns, f"The run of {turns} turns sent {sum(requests.values())} requests.")
    own_ms, read_bytes = meter.last
    return Figures(
        turns=turns,
        seconds=seconds,
        own_ms=own_ms,
        read_bytes=read_bytes,
        transitions=sum(event["type"].endswith("StateEntered") for event in history),
        state_bytes=_state_bytes(history),
        log_bytes=sum(map(_item_bytes, events)),
        requests=requests,
    )


def _state_bytes(history: Sequence[Mapping[str, Any]]) -> int:
    entered = (event["stateEnteredEventDetails"] for event in history if "stateEnteredEventDetails" in event)
    return max(len(details.get("input", "")) for details in entered)


def _item_bytes(event: Event) -> int:
    item, payload = encode(event, event.body)
    stored = len(payload or b"")
    for name, content in item.items():
        stored += len(name) + (
            len(content) if isinstance(content, bytes) else len(canonical(json.loads(json.dumps(content))))
        )
    return stored


def table(wanted: Sequence[int], rounds: int = 1) -> Iterator[str]:
    """Yield the table, when all rounds of all lengths are played. Raises ``NotMeasured``."""
    require(rounds > 0, f"{rounds} rounds measure nothing.")
    for turns in wanted:
        require(turns > SHORT, f"A run of {turns} turns adds none to the shortest.")
    found: dict[int, list[Figures]] = {}
    with cloud_with(CallableModel(fetches)) as (cloud, meter):
        measure(cloud, meter, 3, name="warm")
        for at in range(rounds):
            for turns in (SHORT, *wanted):
                found.setdefault(turns, []).append(measure(cloud, meter, turns, name=f"turn{at}"))
    short, *figures = (min(found[turns], key=lambda one: one.own_ms) for turns in (SHORT, *wanted))
    yield HEADINGS
    yield short.whole
    for one in figures:
        yield one.row(short)


def main() -> int:
    """Measure and print the table; 1 where a run did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", action="extend", help="(10 50 200)")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    try:
        for line in table(wanted.turns or [10, 50, 200], wanted.rounds):
            print(line, flush=True)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
