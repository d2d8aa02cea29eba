"""Overhead of the checks and the protocol per call: microseconds and AWS requests, against the bare tool.

    python -m bench.overhead [--calls 200] [--turns 0 10 50]

The tool does nothing, so all measured time is Ballast's. Each row adds one thing. The upper part is pure code; the
lower part is the real executor on moto, whose own time is included: compare the requests there. ``--turns`` are turns
of the run before the call, each with a result of 2 KB; the call's values are in the oldest of them.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ballast.contracts import Planner, RunRequest, ToolCall
from ballast.log.event import Event
from ballast.log.events import CallIntended, CallSettled, PlanDecided
from ballast.log.run_log import RunLog
from ballast.playbook import RunSoFar, Tool, ToolContext, load_playbook
from ballast.playbook.gate import admit_call
from ballast.run import Run
from ballast.runtime import utc_now
from ballast.validation import ground, opening_sources, run_sources
from bench import NotMeasured, require
from localcloud.cloud import LocalCloud

PLAYBOOK = Path(__file__).resolve().parent / "checked"
ARGUMENTS: dict[str, Any] = {
    "order_id": "O-1003",
    "amount_usd": "40.00",
    "email": "maria@example.com",
    "reason": "damaged",
}
KNOWN = "Order O-1003 was 40 dollars; write to Maria@example.com."
FILLER = "The tent of the expedition was delivered on 2026-03-01 to 12 Wharf Street, Portland, for 480.00 USD. " * 20


def microseconds(work: Callable[[], Any], calls: int) -> float:
    """Return the median time of ``work`` over ``calls`` calls."""
    require(calls > 0, f"{calls} calls measure nothing.")
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2] * 1e6


def events(request: RunRequest, turns: int) -> Run:
    """Return a run of ``turns`` turns; the first result names what is paid later, the others something else."""
    log = []

    def add(seq: str, **body: Any) -> None:
        log.append(Event(run_id=request.run_id, seq=seq, at="2026-03-01T12:00:00+00:00", body=body))

    for turn in range(1, turns + 1):
        others = {"order_id": f"O-{turn + 2000}", "amount_usd": "1.00", "email": "desk@example.com"}
        call = {"tool": "quote_payment", "arguments": others}
        said = KNOWN if turn == 1 else FILLER
        result = {"order_id": said, "amount_usd": "480.00"}
        add(PlanDecided.key(turn), planner="agent", decision={"kind": "call_tools", "calls": [call]})
        add(CallIntended.key(turn, 1), tool="quote_payment", effect="read", planner="agent")
        add(CallSettled.key(turn, 1), tool="quote_payment", status="ok", result=result)
    return Run(log)


@dataclass(frozen=True)
class Row:
    """One line: microseconds of a call, and its AWS requests by service and operation, if any."""

    name: str
    microseconds: float
    requests: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        made = ", ".join(f"{name} {count:.1f}" for name, count in sorted(self.requests.items()))
        return f"{self.name:<44}{self.microseconds:>10.0f}" + (f"  {made}" if made else "")


def pure(calls: int, turns: Sequence[int]) -> Iterator[Row]:
    """Yield the rows of pure code."""
    playbook = load_playbook(PLAYBOOK)
    tool = playbook.tools["quote_payment"]
    request = RunRequest(request_id="pure", text="Please pay it.")
    args: Any = tool.arguments(**ARGUMENTS)
    context = ToolContext(
        run_id=request.run_id,
        turn=99,
        index=1,
        idempotency_key="k",
        request=request,
        now=utc_now(),
        environ={},
        client=_none,
    )
    named = RunRequest(request_id="named", text=KNOWN)
    works: list[tuple[str, Callable[[], Any]]] = [
        ("the bare tool", lambda: tool(args, context)),
        ("its arguments by pydantic alone", lambda: tool.arguments(**ARGUMENTS)),
        ("the gate: JSON, size, schema, rule", lambda: _gate(playbook, request)),
        ("its result, checked", lambda: tool.dump(tool(args, context))),
        ("grounding: 3 values, all in the request", lambda: _ground(named, tool, args, Run())),
    ]
    for name, work in works:
        yield Row(name, microseconds(work, calls))
    for count in turns:
        grounded = partial(_ground, request, tool, args, events(request, count))
        yield Row(f"grounding: in the oldest of {count} results", microseconds(grounded, max(5, calls // (1 + count))))


def _none(service: str) -> Any:
    raise LookupError(service)


def _gate(playbook: Any, request: RunRequest) -> None:
    call = ToolCall(tool="quote_payment", arguments=ARGUMENTS)
    admit_call(playbook, call, request, Planner.AGENT, lambda: RunSoFar.before(Run.of(()), 1, 1))


def _ground(request: RunRequest, tool: Tool, args: Any, run: Run) -> None:
    tools = {tool.name: tool}
    found = ground(args, opening_sources(request), lambda: run_sources(run, tools, before_turn=999))
    wanted = 3 if run or "O-1003" in request.text else 0
    require(len(found.known) == wanted, f"Grounding found {len(found.known)} values, not {wanted}.")


def executed(calls: int, turns: Sequence[int]) -> Iterator[Row]:
    """Yield the rows of the executor on moto."""
    with LocalCloud(playbook=PLAYBOOK) as cloud:
        counts: Counter[str] = Counter()
        runtime = cloud.runtime("ExecutorFunction")
        log = RunLog.of(runtime)

        def count(event_name: str, **_: Any) -> None:
            counts[event_name.removeprefix("before-send.")] += 1

        runtime.client("dynamodb").meta.events.register_first("before-send", count)
        for tool in ("quote_payment", "make_payment", "pay_out"):
            for before in turns:
                yield _executed(cloud, log, counts, tool, before, max(3, calls // 20))


def _executed(cloud: LocalCloud, log: RunLog, counts: Counter[str], tool: str, before: int, calls: int) -> Row:
    text = KNOWN if before == 0 else "Please pay it."
    request = RunRequest(request_id=f"{tool}-{before}", text=text)
    cloud.invoke("AdmitFunction", {"request": request.model_dump(mode="json")})
    opened = [event.name for event in log.read(request.run_id)]
    require(opened == ["run.opened"], f"The run of {tool} was not admitted: its log has {opened}.")
    for event in events(request, before):
        log.write(event.run_id, event.seq, event.body)
    turn = before + 1
    proposed = [{"tool": tool, "arguments": ARGUMENTS} for _ in range(calls + 1)]
    log.write(
        request.run_id,
        PlanDecided.key(turn),
        {"planner": "agent", "decision": {"kind": "call_tools", "calls": proposed}},
    )
    times = []
    for index in range(1, calls + 2):
        if index == 2:  # the first one was the warm-up
            counts.clear()
        started = time.perf_counter()
        done = cloud.invoke("ExecutorFunction", {"run_id": request.run_id, "turn": turn, "index": index})
        times.append(time.perf_counter() - started)
        require(done["status"] == "ok", f"Call {index} of {tool} came out otherwise: {done}")
    requests = {name: made / calls for name, made in counts.items()}
    require(bool(requests), f"The calls of {tool} sent no request.")
    where = "named in the request" if before == 0 else f"named {before} turns ago"
    return Row(f"{tool}, {where}", sorted(times[1:])[calls // 2] * 1e6, requests)


HEADINGS = f"{'a call':<44}{'µs':>10}  AWS requests"


def main() -> int:
    """Measure and print the table; return 1 if a call did not end correctly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--turns", type=int, nargs="+", action="extend", help="(0 10 50)")
    options = parser.parse_args()
    lengths = options.turns or [0, 10, 50]
    print(HEADINGS)
    try:
        for row in pure(options.calls, [count for count in lengths if count]):
            print(row, flush=True)
        for row in executed(options.calls, lengths):
            print(row, flush=True)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
