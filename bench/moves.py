"""``python -m bench.moves``: many runs at once that pay, against the ceilings on the business's own money.

The real functions of ``functions/executor`` and ``functions/lifecycle`` on tables in memory whose transactions are
DynamoDB's (a test compares them with moto's). Each run makes one to four payments to one of 40 customers; above 100 per
day and customer they need a person. Before and after each request a process may die; a transaction may meet another
one; a payment may fail, or lose its answer; a third of the runs is aborted, and half of those aborts send no event.

Must be zero: what is moved beyond any window at any moment, payments made twice, what a customer got
beyond 100 without an approval, and the difference between the windows and the logs (with what an
executor had begun when it finally died: only the executor returns that).
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ballast.contracts import RunRequest
from ballast.errors import ApprovalRequired, AttemptInProgress, EffectUnknown, RetryLater, RunEnded
from ballast.folds.effects import Moved
from ballast.log.events import ApprovalAnswered, PlanDecided
from ballast.money.moves import call_window, units
from ballast.playbook import load_playbook
from ballast.run import Run
from bench import NotMeasured, require
from tests.functions.lifecycle.world import Died, World
from tests.support.attributes import Schema
from tests.support.tables_in_memory import PLATFORM, Tables

TENANT, CUSTOMERS = "acme", 40
PLAYBOOK = Path(__file__).resolve().parent / "paying"
ROOM = {f"{whose}_{what}": "1000000" for whose in ("TENANT", "ACCOUNT") for what in ("HOUR_USD", "DAY_USD", "RUNS")}
ASKED_ABOVE = 100 * 10**6
#: Probabilities: of a process's death at one moment, of a conflict.
DEATH, CONFLICT = 0.01, 0.02
_TRIES = 200


class Peaks(Tables):
    """Tables that record the maximum that any window counted, and every payment."""

    def __init__(self, conflicts: Callable[[], bool]) -> None:
        super().__init__(conflicts, PLATFORM | {"notes": Schema(("note_id", None))})
        self.peaks: dict[tuple[str, str], int] = {}
        self.paid: Counter[str] = Counter()

    def _store(self, change: Any) -> None:
        super()._store(change)
        item = change.after
        if item is not None and "moved" in item:
            key = item["account"]["S"], item["window"]["S"]
            self.peaks[key] = max(self.peaks.get(key, 0), int(item["moved"]["N"]))
        if item is not None and "amount" in item:
            self.paid[item["note_id"]["S"]] += 1


@dataclass
class Figures:
    """The result of a measurement. Amounts in micro-units."""

    runs: int
    threads: int
    payments: int = 0
    asked: int = 0
    refused: int = 0
    unknown: int = 0
    deaths: int = 0
    cut: int = 0
    peak: int = 0
    beyond: int = 0
    twice: int = 0
    unasked: int = 0
    windows: int = 0
    logs: int = 0
    different: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything that must be zero is zero."""
        return not (self.beyond or self.twice or self.unasked or self.different) and self.windows == self.logs

    def lines(self) -> Iterator[str]:
        """Yield the printed lines."""
        limits = f"{units(_CEILINGS.run)} a run, {units(_CEILINGS.customer_day)} a customer"
        yield f"{self.runs} runs over {self.threads} threads, {CUSTOMERS} customers"
        yield f"  ceilings: {limits}, {units(_CEILINGS.tenant_day)} the tenant"
        yield f"  payments {self.payments}, people asked {self.asked}, refused {self.refused}, unknown {self.unknown}"
        yield f"  deaths of processes {self.deaths}, runs cut from outside {self.cut}, {self.seconds:.1f} s"
        yield f"  most ever in the tenant's day        {units(self.peak):>9}"
        yield f"  moved beyond any window              {units(self.beyond):>9}"
        yield f"  payments made twice                  {self.twice:>9}"
        yield f"  beyond 100 with nobody asked         {units(self.unasked):>9}"
        yield f"  in the tenant's day at last          {units(self.windows):>9}"
        yield f"  by the logs                          {units(self.logs):>9}"
        yield f"  windows that differ from the logs    {self.different:>9}"


@dataclass
class Crowd:
    """The runs of one measurement."""

    seed: int
    dice: threading.local = field(default_factory=threading.local)
    deaths: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self._counting = threading.Lock()
        self.tables = Peaks(lambda: self.chance(CONFLICT))
        self.world = World(self._burn, ROOM, tables=self.tables, playbook=str(PLAYBOOK))

    def chance(self, probability: float) -> bool:
        """Draw from this thread's random numbers; outside of a run nothing fails."""
        thrown: random.Random | None = getattr(self.dice, "of_run", None)
        return thrown is not None and thrown.random() < probability

    def _burn(self) -> None:
        if self.chance(DEATH):
            with self._counting:
                self.deaths += 1
            raise Died

    def again(self, do: Callable[[], Any]) -> Any:
        """Repeat until it succeeds, as the workflow's retries do."""
        for _ in range(_TRIES):
            try:
                return do()
            except AttemptInProgress:
                time.sleep(0.002)
            except (Died, RetryLater):
                continue
        raise RuntimeError("it never came to its end")

    def run(self, number: int) -> str:
        """Run one run and return its outcome."""
        dice = self.dice.of_run = random.Random(f"{self.seed} {number}")  # noqa: S311  no secret
        request = RunRequest(request_id=f"r-{number}", agent="tester", text="Pay.", tenant=TENANT)
        run_id, world = request.run_id, self.world
        try:
            self.again(lambda: world.admit(request))
            planned = [_payment(dice) for _ in range(dice.randint(1, 4))]
            decision = {"kind": "call_tools", "calls": planned}
            world.log.write(run_id, PlanDecided.key(1), {"planner": "agent", "decision": decision})
            cut_at = dice.randint(1, len(planned)) if dice.random() < 1 / 3 else 0
            for index in range(1, len(planned) + 1):
                if index == cut_at:
                    return self._cut(run_id, index, dice)
                self.again(partial(self._pay, run_id, index, dice))
            self.again(lambda: world.settle(run_id, "unanswered"))
            world.executions.status[run_id] = "SUCCEEDED"
            return "settled"
        finally:
            self.dice.of_run = None

    def _pay(self, run_id: str, index: int, dice: random.Random) -> None:
        try:
            with suppress(EffectUnknown):
                self.world.execute(run_id, 1, index)
        except ApprovalRequired:
            with self._counting:
                self.asked += 1
            self._answer(run_id, index, approve=dice.random() < 3 / 4)
            with suppress(EffectUnknown, ApprovalRequired):
                self.world.execute(run_id, 1, index)

    def _answer(self, run_id: str, index: int, *, approve: bool) -> None:
        needed = [e for e in self.world.log.read(run_id) if e.name == "call.approval_needed" and e.index == index]
        body = {"escalation_id": "esc-x", "by": "ann", "approve": approve, "comment": ""}
        body |= {"binding": needed[-1].body["binding"]["sha256"]}
        self.world.log.write(run_id, ApprovalAnswered.key(1, index, needed[-1].round), body)

    def _cut(self, run_id: str, index: int, dice: random.Random) -> str:
        """Start one attempt, and abort the run before, during or after it."""
        with suppress(Died, RetryLater, ApprovalRequired, EffectUnknown, RunEnded):
            self.world.execute(run_id, 1, index)
        self.world.executions.status[run_id] = "ABORTED"
        if dice.random() < 1 / 2:
            with suppress(Died, RetryLater):
                self.world.told_that_it_was_aborted(run_id)
        return "cut"


def _payment(dice: random.Random) -> dict[str, Any]:
    blind, how = dice.random() < 1 / 5, "well"
    if dice.random() < 1 / 5:
        how = "lost" if blind else "no"
    amount = f"{dice.randint(1, 9_900) / 100:.2f}"
    arguments = {"customer": f"C-{dice.randint(1, CUSTOMERS)}", "amount": amount, "how": how}
    return {"tool": "pay_blindly" if blind else "pay", "arguments": arguments}


def measure(runs: int, threads: int, seed: int) -> Figures:
    """Run ``runs`` over ``threads``, then the sweeper, and add up."""
    require(runs > 0, f"{runs} runs measure nothing.")
    crowd = Crowd(seed)
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        became = list(pool.map(crowd.run, range(runs)))
    world, tables = crowd.world, crowd.tables
    for _ in range(-(-runs // 500) + 2):  # it handles 500 leases at a time
        world.clock.now += timedelta(hours=2)
        world.sweep()
    logged: Counter[tuple[str, str]] = Counter()
    states: Counter[str] = Counter()
    unasked: Counter[str] = Counter()
    payments = 0
    for run_id in world.leases():
        events = world.log.read(run_id)
        made = {(state.turn, state.index): state for state in Run.of(events).calls}
        states.update(state.error or state.status for state in made.values())
        for one in Run.of(events).moves:
            if one.counts:
                payments += 1
                logged.update(_counted(run_id, one))
                if not made[one.turn, one.index].approved_by:
                    unasked[str(one.customer)] += one.micro
        logged.update(_left_begun(tables.items["moves"].get(f"moves#{run_id}", {}), Run.of(events).moves))
    counted = {
        (account, window): int(item["moved"]["N"])
        for account, windows in tables.items["moves"].items()
        for window, item in windows.items()
        if int(item.get("moved", {"N": "0"})["N"])
    }
    day = (f"tenant#{TENANT}", "day#2026-03-01")
    found = Figures(
        runs=runs,
        threads=threads,
        payments=payments,
        asked=crowd.asked,
        refused=states["MoveRefused"],
        unknown=states["unknown"],
        deaths=crowd.deaths,
        cut=became.count("cut"),
        peak=tables.peaks[day],
        beyond=sum(max(0, most - _limit(account)) for (account, _), most in tables.peaks.items()),
        twice=sum(times - 1 for times in tables.paid.values()),
        unasked=sum(max(0, micro - ASKED_ABOVE) for micro in unasked.values()),
        windows=counted[day],
        logs=logged[day],
        different=len({place for place in counted.keys() | logged.keys() if counted.get(place, 0) != logged[place]}),
        seconds=time.perf_counter() - started,
    )
    told = f"Of {runs} runs came {payments} payments, {found.asked} approvals and {found.refused} refusals"
    require(payments > 0 and found.asked > 0, f"{told}; nothing was measured.")
    return found


def _left_begun(own: Mapping[str, Mapping[str, Any]], moved: Sequence[Moved]) -> Counter[tuple[str, str]]:
    """Return what the windows count for calls whose executor died before it could return the money."""
    counts = {call_window(one.turn, one.index) for one in moved if one.counts}
    left: Counter[tuple[str, str]] = Counter()
    for name, item in own.items():
        if not name.startswith("call#") or item["status"]["S"] != "begun" or name in counts:
            continue
        accounts = (item["customer"]["S"], f"tenant#{TENANT}", "account")
        places = [(account, item[window]["S"]) for account in accounts for window in ("hour", "day")]
        left.update(dict.fromkeys([(item["account"]["S"], "total"), *places], int(item["micro"]["N"])))
    return left


def _counted(run_id: str, one: Moved) -> dict[tuple[str, str], int]:
    accounts = (str(one.customer), f"tenant#{TENANT}", "account")
    places = [(account, window) for account in accounts for window in (one.hour, one.day)]
    return dict.fromkeys([(f"moves#{run_id}", "total"), *places], one.micro)


_CEILINGS = load_playbook(PLAYBOOK).agent.moves.ceilings


def _limit(account: str) -> int:
    limits = {"moves": _CEILINGS.run, "customer": _CEILINGS.customer_hour, "tenant": _CEILINGS.tenant_hour}
    return limits.get(account.partition("#")[0], _CEILINGS.all_hour)


def main() -> int:
    """Print the figures; return 1 if something that must be zero is not."""
    typed = argparse.ArgumentParser(description="Runs at once that pay, against the ceilings, with processes that die.")
    typed.add_argument("--runs", type=int, default=1_000)
    typed.add_argument("--threads", type=int, default=32)
    typed.add_argument("--seed", type=int, default=1)
    options = typed.parse_args()
    try:
        found = measure(options.runs, options.threads, options.seed)
    except NotMeasured as problem:
        print(problem, file=sys.stderr)
        return 1
    print(*found.lines(), sep="\n")
    return 0 if found.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
