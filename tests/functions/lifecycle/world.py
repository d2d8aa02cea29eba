"""Runs over the budgets table: the real handlers of money on tables in memory; a process may die at any request.

Used by the stateful test of the leases and by ``bench/leases.py``.
"""
# ruff: noqa: N803  parameters are named as boto3 names them

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from typing import Any

from ballast.budget_items import lease_of
from ballast.contracts import LimitsPatch, RunRequest
from ballast.contracts.decision import recorded_decision
from ballast.errors import ProcessEnds
from ballast.folds.usage import charged_at_last
from ballast.log.events import EscalationAnswered, ModelFailed, ModelRequested, RunSettled
from ballast.log.evidence import vouched_for
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.money.lease import Lease, settlement
from ballast.runtime import Runtime
from ballast.table import plain
from functions.breaker import command
from functions.executor import handler as execute
from functions.lifecycle import admit, extend, settle, sweep
from tests.functions.cloud import ENVIRONS as USUAL
from tests.functions.cloud import LOG, NOON, WINDOW_LIMITS
from tests.support.attributes import Item
from tests.support.mac_key import MacKey
from tests.support.tables_in_memory import Tables

ARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:agent"
BUDGETS = {"BUDGETS_TABLE": "budgets", "REPLY_QUEUE_PREFIX": "reply-"}


class Died(ProcessEnds):
    """The process is gone; no handler of ours catches it."""


@dataclass
class Fuse:
    """Lets something happen at a process's n-th moment: each request has one before it is sent and one after it.

    ``what`` is done then, by another process; None: the process dies.
    """

    left: int | None = None
    what: Callable[[], object] | None = None

    def burn(self) -> None:
        """Let one moment pass."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                if self.what is None:
                    raise Died
                self.what()


class Perilous:
    """A client whose process may die before and after each request."""

    def __init__(self, client: Any, burn: Callable[[], None]) -> None:
        self._client, self._burn = client, burn
        self.exceptions = client.exceptions

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def request(**parameters: Any) -> Any:
            self._burn()
            answer = getattr(self._client, name)(**parameters)
            self._burn()
            return answer

        return request


class Bus:
    """EventBridge, which takes everything."""

    exceptions = None

    def put_events(self, *, Entries: list[Item]) -> Item:
        """Take them."""
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"} for _ in Entries]}


class Executions:
    """Step Functions, as far as it is asked whether a run's execution is gone."""

    class exceptions:  # noqa: N801  as boto3 has it
        """As boto3 has them."""

        class ExecutionDoesNotExist(Exception):
            """As boto3 names it."""

    def __init__(self) -> None:
        self.status: dict[str, str] = {}

    def describe_execution(self, *, executionArn: str) -> Item:
        """Say how it stands."""
        run_id = executionArn.rsplit(":", 1)[-1]
        if run_id not in self.status:
            raise self.exceptions.ExecutionDoesNotExist
        return {"status": self.status[run_id]}


@dataclass
class Clock:
    """A clock that is told what time it is."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


class Session:
    """The clients of one process."""

    def __init__(self, clients: Mapping[str, Any], burn: Callable[[], None]) -> None:
        self._clients = {name: Perilous(client, burn) for name, client in clients.items()}

    def client(self, service: str, **_: Any) -> Any:
        """Return one."""
        return self._clients[service]


class Context:
    """Lambda's second argument, as far as it is read."""

    _numbers = count(1)

    def __init__(self, remaining_ms: int = 30_000) -> None:
        self.aws_request_id = f"invocation-{next(self._numbers)}"
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        """There is always time."""
        return self._remaining_ms


@dataclass
class World:
    """All tables, executions and processes. ``burn`` is called before and after each request of the functions."""

    burn: Callable[[], None]
    limits: Mapping[str, str] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)
    clock: Clock = field(default_factory=Clock)
    playbook: str = USUAL["admit"]["PLAYBOOK_DIR"]

    def __post_init__(self) -> None:
        self.executions = Executions()
        clients = {"dynamodb": self.tables, "events": Bus(), "stepfunctions": self.executions, "kms": MacKey()}
        environs = {
            "admit": USUAL["admit"] | WINDOW_LIMITS | dict(self.limits) | {"PLAYBOOK_DIR": self.playbook},
            "extend": USUAL["extend"] | WINDOW_LIMITS | dict(self.limits),
            "command": USUAL["command"] | WINDOW_LIMITS | dict(self.limits) | {"PLAYBOOK_DIR": self.playbook},
            "executor": USUAL["executor"] | {"PLAYBOOK_DIR": self.playbook},
            "settle": USUAL["settle"],
            "sweep": USUAL["sweep"],
        }
        self._printed = {name: StringIO() for name in environs}
        self._runtimes = {
            name: self._process(environ, Session(clients, self.burn), self._printed[name])
            for name, environ in environs.items()
        }
        #: As the world knows it, which does not die.
        people = self._process(LOG, Session(clients, lambda: None), StringIO())
        self.log = RunLog.of(people, signatures=Signatures.signing(people))

    def _process(self, environ: Mapping[str, str], session: Any, stdout: StringIO) -> Runtime:
        return Runtime(environ, session=session, clock=self.clock, stdout=stdout)

    # What the workflow does

    def admit(self, request: RunRequest) -> Any:
        """Ask for admission, as the state Admit does."""
        self.executions.status.setdefault(request.run_id, "RUNNING")
        event = {"request": request.model_dump(mode="json"), "entered_at": NOON.isoformat()}
        return admit.lambda_handler(_json(event), Context(), runtime=self._runtimes["admit"])

    def admit_one(self, name: str, ceiling: int, tenant: str = "acme") -> str:
        """Have a run of that ceiling admitted, and return its id."""
        limits = LimitsPatch(cost_microusd=ceiling)
        request = RunRequest(request_id=name, agent="tester", intent="tidy", text="Tidy.", tenant=tenant, limits=limits)
        return str(self.admit(request)["run_id"])

    def budget(self, asked: Item) -> Any:
        """Show or set a budget, as ``ballast budget`` does."""
        event = {"command": "budget"} | asked
        return command.lambda_handler(event, Context(), runtime=self._runtimes["command"])

    def extend(self, run_id: str, turn: int) -> Any:
        """Lease what was added in that turn."""
        event = {"run_id": run_id, "turn": turn}
        return extend.lambda_handler(event, Context(), runtime=self._runtimes["extend"])

    def settle(self, run_id: str, ending: str = "answer") -> Any:
        """Settle, as the workflow's last state does."""
        event = {"run_id": run_id, "turn": 1, "ending": ending}
        return settle.lambda_handler(event, Context(), runtime=self._runtimes["settle"])

    def execute(self, run_id: str, turn: int, index: int) -> str:
        """Execute a call. The lease of a dead attempt is over at once: the next one need not wait for it."""
        event = {"run_id": run_id, "turn": turn, "index": index}
        done = execute.lambda_handler(event, Context(remaining_ms=1), runtime=self._runtimes["executor"])
        return str(done["status"])

    def told_that_it_was_aborted(self, run_id: str) -> Any:
        """Settle, as EventBridge has it done."""
        event = {
            "detail-type": "Step Functions Execution Status Change",
            "detail": {"name": run_id, "status": "ABORTED"},
        }
        return settle.lambda_handler(event, Context(), runtime=self._runtimes["settle"])

    def sweep(self) -> Any:
        """Sweep once."""
        return sweep.lambda_handler({}, Context(), runtime=self._runtimes["sweep"])

    def process(self, function: str) -> Runtime:
        """Return the function's process."""
        return self._runtimes[function]

    def printed(self, function: str) -> str:
        """Return what the function wrote to standard output."""
        return self._printed[function].getvalue()

    # What planners and people do

    def reserve(self, run_id: str, turn: int, microusd: int) -> int:
        """Reserve for a model attempt what the run can afford of ``microusd``; return how much, 0 for nothing."""
        run = self.log.read(run_id)
        if not run.is_open:
            return 0
        left = run.opening.cost_ceiling_microusd - run.usage.charged_microusd
        reserved = min(left, microusd)
        if reserved > 0:
            self.log.append(run_id, ModelRequested(turn=turn, attempt=1, reserved_microusd=reserved))
        return max(0, reserved)

    def respond(self, run_id: str, turn: int, microusd: int) -> None:
        """Record what the attempt cost."""
        body = {"attempt": 1, "cost_microusd": microusd, "exit_reason": "model_unavailable", "error": ""}
        self.log.write(run_id, ModelFailed.key(turn, 1), body)  # also a cost that is no amount

    def grant(self, run_id: str, turn: int, microusd: int) -> None:
        """Record that a person hands back to the agent with more budget."""
        decision = {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": microusd}
        until = int((self.clock.now + timedelta(hours=1)).timestamp() * 1000)
        answered = EscalationAnswered(
            turn=turn,
            escalation_id="esc-x",
            by="ann",
            decision=recorded_decision(decision),
            kind="escalation",
            agent_until_ms=until,
            deadline_ms=until,
        )
        self.log.append(run_id, answered)

    # What the budgets table says

    def leases(self) -> dict[str, Lease]:
        """Return every lease, by run; those that were refused have no parts."""
        items = self.tables.items["budgets"].get("lease", {})
        return {run_id: lease_of(plain(item)) for run_id, item in items.items()}

    def windows(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return what is taken from each window and what of it is settled."""
        return {
            (account, window): (_number(item, "taken_microusd"), _number(item, "settled_microusd"))
            for account, windows in self.tables.items["budgets"].items()
            for window, item in windows.items()
            if window.startswith(("hour#", "day#"))
        }

    def running(self) -> dict[str, int]:
        """Return the counts of runs at once."""
        return {
            account: _number(windows["running"], "runs")
            for account, windows in self.tables.items["budgets"].items()
            if "running" in windows
        }

    def charged(self, run_id: str) -> int | None:
        """Return what the log says that the run was charged; None where it was not settled.

        Once its lease is settled for good: by what came since as well.
        """
        run = self.log.read(run_id)
        settled = run.fact(RunSettled)
        if settled is None:
            return None
        charged = settled.charged_microusd
        if not self.settled_for_good(run_id):
            return charged
        return min(charged, charged_at_last(run, vouched_for(run)))

    def settled_for_good(self, run_id: str) -> bool:
        """Say whether no outcome that comes now is charged any more."""
        item = self.tables.items["budgets"].get("lease", {}).get(run_id)
        return item is not None and item["status"]["S"] == "settled" and "held" not in item

    def explained(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return what ``windows`` has to return, added up from leases and logs alone."""
        sums: dict[tuple[str, str], list[int]] = {}
        for run_id, lease in self.leases().items():
            for part in lease.parts.values():
                for account in ("account", f"tenant#{lease.tenant}"):
                    for window in (part.hour, part.day):
                        sums.setdefault((account, window), [0, 0])[0] += part.microusd
            if lease.parts and not lease.held:
                for change in settlement(lease, self.charged(run_id) or 0):
                    if change.window != "running":
                        sums[change.account, change.window][0] += change.taken
                        sums[change.account, change.window][1] += change.settled
        return {key: (taken, settled) for key, (taken, settled) in sums.items()}


def _number(item: Item, name: str) -> int:
    return int(item.get(name, {"N": "0"})["N"])


def _json(event: Any) -> Any:
    return json.loads(json.dumps(event))


@contextmanager
def may_die() -> Iterator[list[bool]]:
    """Within the block the process may die; the list then has an entry."""
    died: list[bool] = []
    try:
        yield died
    except Died:
        died.append(True)


def at(hour: int, minute: int = 0) -> datetime:
    """Return a time of the tests' day."""
    return datetime(2026, 3, 1, hour, minute, tzinfo=UTC)
