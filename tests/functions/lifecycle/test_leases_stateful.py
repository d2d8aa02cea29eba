"""Leases under any interleaving of admissions, spending, grants, endings, deaths, retries, duplicates and sweeps.

Always: what is settled and what is leased stay within each window's limit, and add up to what leases and logs say.
In the end: every lease is settled, and the windows hold exactly what the logs say that was charged.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ballast.contracts import RunRequest
from ballast.errors import AtCapacity, BallastError, NotAdmitted, RunEnded
from ballast.run import Run
from tests.functions.lifecycle.world import Fuse, World, may_die
from tests.support.sampling import examples

#: In micro-dollars, small, so that they fill.
LIMITS = {
    "tenant": {"hour": 1_000, "day": 1_600, "runs": 4},
    "account": {"hour": 1_500, "day": 2_400, "runs": 6},
}
WINDOW_LIMITS = {
    f"{whose.upper()}_{window.upper()}{'' if window == 'runs' else '_USD'}": (
        str(limit) if window == "runs" else f"0.{limit:06d}"
    )
    for whose, windows in LIMITS.items()
    for window, limit in windows.items()
}
which = st.integers(0, 7)
#: What another process may do to the same run in the middle of a request of this one.
MEANWHILE = ["admit", "extend", "reserve", "settle", "abort", "sweep"]


@dataclass(frozen=True)
class Fate:
    """What happens at a moment of a process: nothing (None), its death, or what another one does meanwhile.

    ``again``: after it the same is tried once more, as the workflow or EventBridge would.
    """

    moment: int
    event: str | None
    again: bool


fates = st.builds(Fate, st.integers(0, 19), st.sampled_from([None, None, *["death"] * 6, *MEANWHILE]), st.booleans())


SAFE = Fate(0, None, again=False)


class Leases(RuleBasedStateMachine):
    """Up to eight runs of two tenants."""

    @initialize()
    def begin(self) -> None:
        self.fuse = Fuse()
        self.world = World(self.fuse.burn, WINDOW_LIMITS)
        self.requests: list[RunRequest] = []
        self.turns: dict[str, int] = {}
        #: Reservations whose attempt is under way: (run, turn) → what was reserved, and whether the model was asked.
        self.pending: dict[tuple[str, int], tuple[int, bool]] = {}
        self.grants: list[tuple[str, int]] = []
        self.late: dict[str, int] = {}
        self.cost: dict[str, int] = {}

    def run_of(self, number: int) -> RunRequest | None:
        return self.requests[number % len(self.requests)] if self.requests else None

    def number_of(self, run_id: str) -> int:
        return [request.run_id for request in self.requests].index(run_id)

    def next_turn(self, run_id: str) -> int:
        self.turns[run_id] = self.turns.get(run_id, 0) + 1
        return self.turns[run_id]

    def perilous(self, fate: Fate, number: int, do: Any, *expected: type[BallastError]) -> bool:
        """Do it, and say whether it came to its end. What it may refuse is no failure."""
        if fate.event is not None:
            meanwhile = None if fate.event == "death" else partial(self.meanwhile, fate.event, number)
            self.fuse.left, self.fuse.what = fate.moment, meanwhile
        with may_die() as died, suppress(*expected):
            do()
        self.fuse.left = None
        if fate.again:
            with suppress(*expected):
                do()
        return fate.again or not died

    def meanwhile(self, event: str, number: int) -> None:
        """Do what another process does, from its beginning to its end."""
        if event == "reserve":
            self.reserve(number, 100)
        elif event == "sweep":
            self.sweep(SAFE)
        elif event == "settle":
            self.settle(number, "failed", SAFE)
        elif event == "abort":
            self.abort(number, True, SAFE)
        elif event == "extend":
            self.extend(number, SAFE)
        else:
            self.admit(number, SAFE)

    # Admission

    @rule(
        tenant=st.sampled_from(["acme", "zenith"]),
        ceiling=st.integers(0, 700),
        waits=st.booleans(),
        fate=fates,
    )
    def request(self, tenant: str, ceiling: int, waits: bool, fate: Fate) -> None:
        if len(self.requests) == 8:
            return
        self.requests.append(
            RunRequest(
                request_id=f"r-{len(self.requests)}",
                agent="tester",
                text="Tidy.",
                intent="tidy",
                tenant=tenant,
                limits={"cost_microusd": ceiling},
                when_full="wait" if waits else "refuse",
            )
        )
        self.admit(len(self.requests) - 1, fate)

    @rule(number=which, fate=fates)
    def admit(self, number: int, fate: Fate) -> None:
        """The workflow tries again for as long as the execution runs; an attempt may outlive it by seconds."""
        request = self.run_of(number)
        if request is None or self.world.executions.status.get(request.run_id, "RUNNING") != "RUNNING":
            return
        self.perilous(fate, number, lambda: self.world.admit(request), NotAdmitted, AtCapacity)

    # Spending, by a planner that was cut and is still about as well

    @rule(number=which, amount=st.integers(1, 400))
    def reserve(self, number: int, amount: int) -> None:
        request = self.run_of(number)
        if request is None:
            return
        turn = self.next_turn(request.run_id)
        settled = self.world.charged(request.run_id) is not None
        if reserved := self.world.reserve(request.run_id, turn, amount):
            if settled:  # too late to be charged, and never asked for
                self.late[request.run_id] = self.late.get(request.run_id, 0) - reserved
            self.pending[request.run_id, turn] = (reserved, False)

    @rule(number=which)
    def ask(self, number: int) -> None:
        """Look for an ending, then ask the model: from here on it costs."""
        for (run_id, turn), (reserved, asked) in self.pending.items():
            request = self.run_of(number)
            if not asked and request is not None and run_id == request.run_id:
                if not self.world.log.has_ended(run_id):
                    self.pending[run_id, turn] = (reserved, True)
                    self.cost[run_id] = self.cost.get(run_id, 0) + reserved
                return

    @rule(number=which, part=st.integers(0, 100))
    def respond(self, number: int, part: int) -> None:
        """The completion comes, and is recorded, however late; or it never comes."""
        request = self.run_of(number)
        for (run_id, turn), (reserved, asked) in self.pending.items():
            if asked and request is not None and run_id == request.run_id:
                cost = reserved * part // 100
                self.cost[run_id] += cost - reserved
                if self.world.settled_for_good(run_id):  # later than any Lambda lives
                    self.late[run_id] = self.late.get(run_id, 0) + reserved - cost
                self.world.respond(run_id, turn, cost)
                del self.pending[run_id, turn]
                return

    # People

    @rule(number=which, amount=st.integers(1, 500), fate=fates)
    def grant(self, number: int, amount: int, fate: Fate) -> None:
        request = self.run_of(number)
        if request is None or not any(e.name == "run.opened" for e in self.world.log.read(request.run_id)):
            return
        turn = self.next_turn(request.run_id)
        self.world.grant(request.run_id, turn, amount)
        self.grants.append((request.run_id, turn))
        self.extend(len(self.grants) - 1, fate)

    @rule(number=which, fate=fates)
    def extend(self, number: int, fate: Fate) -> None:
        if self.grants:
            run_id, turn = self.grants[number % len(self.grants)]
            self.perilous(fate, self.number_of(run_id), lambda: self.world.extend(run_id, turn), NotAdmitted, RunEnded)

    # Endings

    @rule(number=which, ending=st.sampled_from(["answer", "unanswered", "failed"]), fate=fates)
    def settle(self, number: int, ending: str, fate: Fate) -> None:
        """The workflow's last state, for a run that was opened; also again."""
        request = self.run_of(number)
        if request is None or not self.world.log.read(request.run_id):
            return
        if self.perilous(fate, number, lambda: self.world.settle(request.run_id, ending)):
            self.world.executions.status[request.run_id] = "SUCCEEDED"

    @rule(number=which, told=st.booleans(), fate=fates)
    def abort(self, number: int, told: bool, fate: Fate) -> None:
        """Cut from outside; the event may be lost."""
        request = self.run_of(number)
        if request is None:
            return
        self.world.executions.status[request.run_id] = "ABORTED"
        if told:
            self.perilous(fate, number, lambda: self.world.told_that_it_was_aborted(request.run_id))

    @rule(fate=fates)
    def sweep(self, fate: Fate) -> None:
        self.perilous(fate, 0, self.world.sweep)

    @rule(minutes=st.sampled_from([1, 10, 20, 61, 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.world.clock.now += timedelta(minutes=minutes)

    # What holds

    @invariant()
    def no_window_is_overdrawn(self) -> None:
        for (account, window), (taken, settled) in self.world.windows().items():
            limit = LIMITS[account.partition("#")[0]][window.partition("#")[0]]
            assert 0 <= settled <= taken <= limit, (account, window)

    @invariant()
    def the_windows_are_what_leases_and_logs_add_up_to(self) -> None:
        assert self.world.windows() == self.world.explained()

    @invariant()
    def runs_at_once_are_the_leases_that_are_held(self) -> None:
        held = [lease.tenant for lease in self.world.leases().values() if lease.held]
        for account, runs in self.world.running().items():
            of_it = [tenant for tenant in held if account in ("account", f"tenant#{tenant}")]
            assert runs == len(of_it) <= LIMITS[account.partition("#")[0]]["runs"]

    @invariant()
    def no_run_is_open_without_a_lease_or_both_open_and_refused(self) -> None:
        leases = self.world.leases()
        for request in self.requests:
            names = {event.name for event in self.world.log.read(request.run_id)}
            assert "run.opened" not in names or leases[request.run_id].parts
            assert not {"run.opened", "run.refused"} <= names

    @invariant()
    def nothing_is_spent_beyond_what_was_charged(self) -> None:
        for run_id, cost in self.cost.items():
            charged = self.world.charged(run_id)
            assert cost <= (self.world.leases()[run_id].leased_microusd if charged is None else charged)

    def teardown(self) -> None:
        """Everything ends: what runs is cut, nobody is told, and the sweeper comes round."""
        if not hasattr(self, "world"):
            return
        for request in self.requests:
            if self.world.executions.status.get(request.run_id) == "RUNNING":
                self.world.executions.status[request.run_id] = "TIMED_OUT"
        for _ in range(3):
            self.world.clock.now += timedelta(hours=2)
            self.world.sweep()
        assert not [lease for lease in self.world.leases().values() if lease.held]
        assert not any(self.world.running().values())
        assert self.world.windows() == self.world.explained()
        for (account, window), (taken, settled) in self.world.windows().items():
            assert taken == settled, (account, window)
        for request in self.requests:
            events = self.world.log.read(request.run_id)
            if any(event.name == "run.opened" for event in events):
                late = self.late.get(request.run_id, 0)
                assert self.world.charged(request.run_id) == Run.of(events).usage.charged_microusd + late


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=examples(8, 60), stateful_step_count=40)
