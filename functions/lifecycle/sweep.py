"""Lambda, on a schedule: settle the leases of runs whose execution has ended.

Usually the workflow's last state settles a run, or the event of an execution that was cut off. Either can be lost: by a
deployment that broke Settle, by a dead letter that nobody reads, or by an admission that died between its lease and
its log. A sparse index has each held lease under the time of its next check::

    leased ── grace ── checked ── still running ── checked again in an hour ── …
                          │
                          └ ended ── settled by the worst case of its log, with its ending recorded

Leases that one invocation does not reach are the first ones of the next invocation.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from ballast.aws_errors import consequences
from ballast.contracts.wire import canonical
from ballast.edge import guarded
from ballast.errors import BallastError
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass
from functions.lifecycle.budgets_table import SHARDS, BudgetsTable, Due
from functions.lifecycle.settle import Settlement, SettleSettings

#: The most leases of each shard that one invocation checks.
PER_SHARD = 50
#: A run that still runs, or cannot be settled, is checked again after this time.
AGAIN_AFTER = timedelta(hours=1)
#: With less time left than this, no further lease is checked.
_RESERVE_MS = 5_000

EndedStatus = Literal["failed", "aborted", "timed_out"]
#: A run without an ending whose execution succeeded, or is not known any more, has failed.
_GONE: dict[str, EndedStatus] = {"ABORTED": "aborted", "TIMED_OUT": "timed_out"}


class SweepSettings(SettleSettings):
    """Sweep's environment: Settle's, and state_machine_arn, whose executions the runs are."""

    state_machine_arn: str


class SweepIncomplete(BallastError):
    """Some leases could not be settled; the function's log has a line for each."""


@dataclass(frozen=True)
class Sweeper:
    """Settles the leases of runs whose execution has ended."""

    settlement: Settlement
    budgets: BudgetsTable
    stepfunctions: Any
    state_machine_arn: str
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Sweeper:
        return cls(
            runtime.get(Settlement.of),
            runtime.get(BudgetsTable.of),
            runtime.client("stepfunctions"),
            SweepSettings.of(runtime).state_machine_arn,
            runtime,
        )

    def sweep(self, left_ms: Callable[[], int]) -> dict[str, int]:
        """Check the leases that are due, while ``left_ms`` returns enough time. Return counts.

        Raises ``SweepIncomplete`` at the end if some could not be settled; the others are settled.
        """
        now = self.runtime.clock()
        counts = {"settled": 0, "running": 0, "failed": 0, "left": 0}
        for shard in range(SHARDS):
            for due in self.budgets.due(shard, now, PER_SHARD):
                if left_ms() < _RESERVE_MS:
                    counts["left"] += 1
                    continue
                counts[self._look(due)] += 1
        if counts["failed"]:
            raise SweepIncomplete(f"{counts['failed']} leases could not be settled; see this function's log.")
        return counts

    def _look(self, due: Due) -> Literal["settled", "running", "failed"]:
        # Postponed first, so that a lease that cannot be settled does not block the others for ever.
        self.budgets.postpone(due.run_id, self.runtime.clock() + AGAIN_AFTER)
        try:
            gone = self._gone(due.run_id)
            if gone is None:
                return "running"
            self.settlement.sweep(due.run_id, gone)
        except Exception as problem:
            why = self.runtime.masked(f"{type(problem).__name__}: {problem}")
            line = {"level": "ERROR", "message": f"Lease not settled: {why}", "run_id": due.run_id, "due": due.look_at}
            self.runtime.emit(canonical(line))
            return "failed"
        return "settled"

    def _gone(self, run_id: str) -> EndedStatus | None:
        """Return how the run's execution ended; None while it runs."""
        arn = f"{self.state_machine_arn.replace(':stateMachine:', ':execution:')}:{run_id}"
        with consequences(f"State machine {self.state_machine_arn} (STATE_MACHINE_ARN)"):
            try:
                status = self.stepfunctions.describe_execution(executionArn=arn)["status"]
            except self.stepfunctions.exceptions.ExecutionDoesNotExist:
                return "failed"  # Step Functions forgets an execution 90 days after its end
        return None if status in ("RUNNING", "PENDING_REDRIVE") else _GONE.get(status, "failed")


@made_at_init(Sweeper.of, "dynamodb")
@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> dict[str, int]:  # noqa: ARG001
    """Sweep once; the schedule's ``event`` is not used."""
    return (runtime or lambda_runtime()).get(Sweeper.of).sweep(context.get_remaining_time_in_millis)
