"""Response time for a caller who waits N seconds: hung model, slow tool, throttle storm.

    python -m bench.deadline [--wait 5] [--runs 8] [--at-once 4]

Each case is a number of runs with ``Prefer: wait=N`` in one local cloud, over its real API handler. The answer is
the agent's, the fallback's (degraded), or 202 with the run's address. It must arrive within N
seconds plus the API's own latency, which requests without a wait measure. Exits with 1 if not.
"""

import argparse
import json
import math
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import NotMeasured, require
from localcloud.cloud import LocalCloud
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, ModelError, Reply, said, turns_taken
from localcloud.gateway import Served, serve
from localcloud.gateway.identity import operator

PLAYBOOK = Path(__file__).resolve().parent / "hurry"
#: Who finally answers each case, in time or later.
CASES = {"healthy": "agent", "hung model": "fallback", "throttle storm": "fallback", "slow tool": "fallback"}


def model(request: Mapping[str, Any], _: str) -> Reply:
    """A model that behaves as the request's text says: ``CASE SECONDS``."""
    case, _, seconds = request["messages"][0]["content"][0]["text"].rpartition(" ")
    if case == "hung model":
        raise ModelError("ModelTimeoutException", "Nobody is there.", wait_s=2 * float(seconds))
    if case == "throttle storm":
        raise ModelError("ThrottlingException", "Too many.")
    if case == "slow tool" and not turns_taken(request):
        call = {"toolUseId": "c", "name": "slow_page", "input": {"seconds": 2 * float(seconds)}}
        return said([{"toolUse": call}], "tool_use", request)
    return said([{"text": "The page."}], "end_turn", request)


HEADINGS = f"{'case':<16}{'p50 s':>8}{'p99 s':>8}{'p100 s':>8}{'overhead s':>12}{'limit s':>9}  answers"


@dataclass(frozen=True)
class Answer:
    """One answer: seconds, kind and run."""

    seconds: float
    what: str
    run_id: str


def ask(served: Served, case: str, number: int, prefer: int, wait_s: int) -> Answer:
    """Start one run as a caller who waits ``prefer`` seconds; return its answer."""
    sent = urllib.request.Request(  # noqa: S310  our own loopback address
        f"{served.url}/runs",
        method="POST",
        data=json.dumps({"text": f"{case} {wait_s}", "intent": "page"}).encode(),
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": f"{case}-{prefer}-{number}".replace(" ", "-"),
            "Prefer": f"wait={prefer}",
        },
    )
    started = time.monotonic()
    with urllib.request.urlopen(sent, timeout=60) as reply:  # noqa: S310
        body = json.loads(reply.read())
        return Answer(time.monotonic() - started, f"{reply.status} {body['by'] or body['status']}", body["run_id"])


def percentile(times: Sequence[float], percent: int) -> float:
    """Return the percentile of ``times``, which are sorted."""
    return times[max(0, math.ceil(len(times) * percent / 100) - 1)]


def measure(served: Served, case: str, runs: int, at_once: int, prefer: int, wait_s: int) -> list[Answer]:
    """Send several requests in parallel."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda number: ask(served, case, number, prefer, wait_s), range(runs)))


def play(case: str, runs: int, at_once: int, wait_s: int) -> tuple[list[Answer], float]:
    """Run one case in its own cloud, so that the circuits that a storm opens do not affect the next case.

    Return its answers, and the API's longest time for a request without a wait. Raises ``NotMeasured``
    if a run was not answered in the end, or not by the expected planner.
    """
    require(runs > 0, f"{runs} runs measure nothing.")
    with (
        ConverseServer(CallableModel(model)) as double,
        LocalCloud(PLAYBOOK, double.url) as cloud,
        serve(cloud, authorizer=operator("bench")) as served,
    ):
        measure(served, "healthy", 1, 1, 20, wait_s)  # warm up what is made at the first request
        unhurried = measure(served, "healthy", runs, at_once, 0, wait_s)
        answers = measure(served, case, runs, at_once, wait_s, wait_s)
        by = [("healthy", answer) for answer in unhurried] + [(case, answer) for answer in answers]
        for kind, answer in by:  # runs that were answered 202 still run; the cloud stays open for them
            ended = cloud.wait(answer.run_id, 60)
            who = ended.output and (ended.output["status"], ended.output.get("by"))
            what = ended.output or f"{ended.error}: {ended.cause}"
            require(who == ("answered", CASES[kind]), f"A run of {kind} was not answered by the {CASES[kind]}: {what}")
    return answers, max(answer.seconds for answer in unhurried)


def row(case: str, answers: Sequence[Answer], overhead: float, wait_s: int) -> str:
    """Return the table's line."""
    times = sorted(answer.seconds for answer in answers)
    kinds = ", ".join(f"{many} x {what}" for what, many in Counter(one.what for one in answers).most_common())
    columns = "".join(f"{percentile(times, percent):>8.2f}" for percent in (50, 99, 100))
    return f"{case:<16}{columns}{overhead:>12.2f}{wait_s + overhead:>9.2f}  {kinds}"


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wait", type=int, default=5)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=4)
    wanted = parser.parse_args()
    late = []
    print(f"Prefer: wait={wanted.wait}, {wanted.runs} runs, {wanted.at_once} at once\n")
    print(HEADINGS)
    for case in CASES:
        try:
            answers, overhead = play(case, wanted.runs, wanted.at_once, wanted.wait)
        except NotMeasured as problem:
            print(problem, file=sys.stderr)
            return 1
        print(row(case, answers, overhead, wanted.wait), flush=True)
        if max(answer.seconds for answer in answers) > wanted.wait + overhead:
            late.append(case)
    if late:
        print(f"\nToo late: {', '.join(late)}.")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
