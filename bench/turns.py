"""What a turn costs: time, transitions, bytes and AWS requests, at 10, 50 and 200 turns.

    python -m bench.turns [--turns 10 50 200]

One run for each number of turns, in one local cloud: each turn is one call of a read whose result
has 2 KB. Times are those of this machine and of moto; what matters is that a row does not grow.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest
from ballast.contracts.wire import canonical
from ballast.log.codec import encode
from local.cloud import LocalCloud
from local.converse.server import ConverseServer
from local.converse.source import CallableModel, Reply, said, turns_taken

PLAYBOOK = Path(__file__).resolve().parent / "playbook"
#: Step Functions' standard price of a state transition, in micro-dollars (US regions).
TRANSITION_MICROUSD = 25


def fetches(request: Mapping[str, Any], _: str) -> Reply:
    """A model that asks for one page a turn and answers after as many turns as the request says."""
    turns, done = int(request["messages"][0]["content"][0]["text"]), turns_taken(request)
    usage = {"inputTokens": 1_000, "outputTokens": 20, "totalTokens": 1_020}
    if done + 1 >= turns:
        return said([{"text": "Done."}], "end_turn", request, usage=usage)
    call = {"toolUse": {"toolUseId": f"c{done}", "name": "fetch_page", "input": {"number": done}}}
    return said([call], "tool_use", request, usage=usage)


def count_requests(cloud: LocalCloud, counts: Counter[str]) -> None:
    """Count every request that a function sends, by service and operation."""

    def count(event_name: str, **_: Any) -> None:
        counts[event_name.removeprefix("before-send.")] += 1

    for function in FUNCTIONS:
        for service in ("dynamodb", "s3", "sqs", "stepfunctions"):
            cloud.runtime(function).client(service).meta.events.register_first("before-send", count)


FUNCTIONS = ("AdmitFunction", "PlannerFunction", "ExecutorFunction", "SettleFunction")


def state_bytes(history: list[dict[str, Any]]) -> int:
    """Return the largest state input or set of variables that the history holds."""
    return max(
        (
            len(details.get("input", ""))
            for event in history
            if (details := event.get("stateEnteredEventDetails")) is not None
        ),
        default=0,
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", default=[10, 50, 200])
    wanted = parser.parse_args().turns
    counts: Counter[str] = Counter()
    with (
        ConverseServer(CallableModel(fetches)) as model,
        LocalCloud(playbook=PLAYBOOK, model_endpoint_url=model.url) as cloud,
    ):
        count_requests(cloud, counts)
        warm = cloud.start(RunRequest(request_id="warm", text="3"))
        cloud.wait(warm, 60)
        print(
            f"{'turns':>6}{'ms/turn':>9}{'transitions':>13}{'state bytes':>13}{'log bytes/turn':>16}  requests a turn"
        )
        for turns in wanted:
            counts.clear()
            started = time.perf_counter()
            run_id = cloud.start(RunRequest(request_id=f"turns-{turns}", text=str(turns)))
            execution = cloud.wait(run_id, 600)
            ms = (time.perf_counter() - started) * 1000 / turns
            assert execution.status == "SUCCEEDED", execution
            events = cloud.events(run_id)
            entered = [event for event in cloud.history(run_id) if event["type"].endswith("StateEntered")]
            log_bytes = sum(_item_bytes(*encode(event)) for event in events) / turns
            requests = ", ".join(f"{name} {count / turns:.2f}" for name, count in sorted(counts.items()))
            print(
                f"{turns:>6}{ms:>9.1f}{len(entered) / turns:>13.2f}{state_bytes(cloud.history(run_id)):>13}"
                f"{log_bytes:>16.0f}  {requests}"
            )
            if turns == wanted[0]:
                cost = len(entered) * TRANSITION_MICROUSD
                print(f"       ({turns} turns: {len(entered)} transitions, {cost} micro-dollars of orchestration)")


def _item_bytes(item: dict[str, Any], payload: bytes | None) -> int:
    stored = len(payload or b"")
    for name, value in item.items():
        content = next(iter(value.values()))
        stored += len(name) + (
            len(content) if isinstance(content, bytes) else len(canonical(json.loads(json.dumps(content))))
        )
    return stored


if __name__ == "__main__":
    main()
