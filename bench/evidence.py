"""Cost of the evidence in a run's ending: microseconds and bytes when a run is settled, and AWS requests.

    python -m bench.evidence [--turns 10 200]

Each turn is a call with a result of 2 KB. ``vouch`` makes the digest of all events, ``check`` compares them with it and
rebuilds every prompt; both happen once, when the run is settled. The requests are those of the real SettleFunction on
moto; the evidence is part of what it writes.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ballast.contracts import RunRequest
from ballast.contracts.wire import canonical
from ballast.log.codec import encode
from ballast.log.event import Event
from ballast.log.events import RunEnded
from ballast.log.evidence import EVIDENCE, check, vouching
from ballast.log.run_log import RunLog
from bench import NotMeasured, require
from localcloud.cloud import LocalCloud
from tests.support.runs import Story, says, wants

FILLER = "The tent of the expedition was delivered on 2026-03-01 to 12 Wharf Street, Portland, for 480.00 USD. " * 20


def played(turns: int) -> Story:
    """Return a run of ``turns`` turns and an answer."""
    made = Story(RunRequest(request_id=f"evidence-{turns}", text="Tell me all about my orders.")).opened()
    for turn in range(1, turns + 1):
        made.replies(made.asks(turn), wants(("look_up_order", {"order_id": f"O-{turn}"})))
        made.executes(turn, 1, "ok", {"order": turn, "text": FILLER})
    made.replies(made.asks(turns + 1), says("That is all."))
    return made


def microseconds(work: Callable[[], Any], times: int = 5) -> float:
    """Return the median time of ``work`` over ``times`` calls."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return sorted(took)[times // 2] * 1e6


def written_bytes(event: Event) -> int:
    """Return the size of the event's body as it is stored."""
    item, _ = encode(event, event.body)
    return len(item["packed"]) if "packed" in item else len(canonical(event.body))


def row(cloud: LocalCloud, log: RunLog, turns: int) -> str:
    """Return the line of one length."""
    made = played(turns)
    events = made.events
    body = {"status": "answered", "by": "agent", "degraded": False, "answer": "That is all.", "turn": turns + 1}
    bare = Event(run_id=events[0].run_id, seq=RunEnded.key(), at=events[-1].at, body=body)
    ended = vouching(bare, events)
    vouch_us = microseconds(lambda: vouching(bare, events))
    whole = (*events, ended)
    found = check(whole, settling=True)
    require((found.status, found.covered) == ("fits", len(whole)), f"The run of {turns} turns does not fit: {found}")
    check_us = microseconds(lambda: check(whole, settling=True))
    more = written_bytes(ended) - written_bytes(bare)
    require(EVIDENCE in ended.body, "The ending has no evidence.")
    return (
        f"{turns:>5}{len(whole):>8}{vouch_us:>12.0f}{check_us:>12.0f}{check_us / (turns + 1):>12.0f}{more:>12}"
        f"  {settled(cloud, log, made)}"
    )


def settled(cloud: LocalCloud, log: RunLog, made: Story) -> str:
    """Settle the run with the real function and return its requests."""
    request = made.request.model_dump(mode="json") | {"limits": {"cost_microusd": 100_000}}
    run_id = made.request.run_id
    cloud.invoke("AdmitFunction", {"request": request})
    for event in made.written[1:]:
        log.write(run_id, event.seq, event.body)
    counts: Counter[str] = Counter()

    def count(event_name: str, **_: Any) -> None:
        counts[event_name.removeprefix("before-send.")] += 1

    for service in ("dynamodb", "events", "s3"):
        cloud.runtime("SettleFunction").client(service).meta.events.register_first("before-send", count)
    turn = max(event.turn for event in made.written)
    done = cloud.invoke("SettleFunction", {"run_id": run_id, "turn": turn, "ending": "answer"})
    require(done["status"] == "answered", f"The run was not settled: {done}")
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))


HEADINGS = (
    f"{'turns':>5}{'events':>8}{'vouch µs':>12}{'check µs':>12}{'µs/turn':>12}{'more bytes':>12}  requests of Settle"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table; return 1 if a run does not verify."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", action="extend", help="(10 200)")
    options = parser.parse_args(argv)
    print(HEADINGS)
    try:
        for turns in options.turns or [10, 200]:
            with LocalCloud() as cloud:
                print(row(cloud, RunLog.of(cloud.runtime("AgentFunction")), turns), flush=True)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
