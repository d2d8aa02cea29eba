"""Lambda: lease the budget that a person added to a run, before the run may spend it.

::

    0004.escalation.answered (a person adds 5 cents) ── windows and lease ── 0004.lease.extended ── the agent goes on
                                                     │                    └ dies here: the retry finds the part of
                                                     │                      turn 4 in the lease, and records it
                                                     └ no room: ``WindowFull``; the workflow asks the people again

Only ``lease.extended`` raises the run's ceiling.
"""

from __future__ import annotations

from typing import Any

from ballast.budget_items import BudgetsTableSettings, WindowSettings
from ballast.contracts import HandOver, Planner
from ballast.contracts.task import RunId, Turn
from ballast.contracts.wire import Wire, parse
from ballast.edge import guarded
from ballast.errors import InvalidInput, RunEnded, WindowFull
from ballast.log.events import EscalationAnswered, LeaseExtended
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.signature import Signatures, SignatureSettings
from ballast.money.lease import MAX_PARTS
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass
from functions.lifecycle.budgets_table import BudgetsTable
from functions.lifecycle.leases import Leases


class ExtendSettings(LogSettings, SignatureSettings, BudgetsTableSettings, WindowSettings):
    """Extend's environment.

    run_log_table, payload_bucket, retention_days  the log: see ``LogSettings``
    answer_key_arn                      the KMS key that verifies people's answers
    budgets_table                       windows and leases
    account_hour_usd, account_day_usd   limits of all tenants together in US dollars, unless an operator set others
    tenant_hour_usd, tenant_day_usd     the same for each tenant
    """


class ExtendTask(Wire):
    """Lease the budget that a person's answer in this turn added."""

    run_id: RunId
    turn: Turn


@dataclass(frozen=True)
class Extension:
    """Extends leases."""

    log: RunLog
    leases: Leases

    @classmethod
    def of(cls, runtime: Runtime) -> Extension:
        settings = ExtendSettings.of(runtime)
        limits = settings.account_limits(), settings.tenant_limits()
        leases = Leases(runtime.get(BudgetsTable.of), runtime.clock, *limits)
        return cls(RunLog.of(runtime, signatures=runtime.get(Signatures.of)), leases)

    def extend(self, task: ExtendTask) -> dict[str, Any]:
        """Extend the lease and record it, once a turn.

        Raises ``WindowFull``, and ``RunEnded`` if the run has ended.
        """
        run = self.log.read(task.run_id)
        added = run.fact(EscalationAnswered, task.turn)
        decision = added.decision if added else None
        if not isinstance(decision, HandOver) or decision.to is not Planner.AGENT:
            raise InvalidInput(f"{task.run_id} turn {task.turn}: nobody added a budget there.")
        lease = self.leases.table.find(task.run_id)
        if run.has_ended or lease is None or not lease.held:
            raise RunEnded(f"{task.run_id} has ended; no budget can be added to it.")
        if task.turn not in lease.parts:
            if len(lease.parts) >= MAX_PARTS:
                raise WindowFull(f"{task.run_id}: its lease has {MAX_PARTS} parts; no more can be added to it.")
            lease = self.leases.extend(lease, task.turn, decision.add_budget_microusd)
        if task.turn not in lease.parts:
            raise RunEnded(f"{task.run_id} has ended; no budget can be added to it.")
        part = lease.parts[task.turn]
        extended = LeaseExtended(turn=task.turn, microusd=part.microusd, hour=part.hour, day=part.day)
        self.log.append(task.run_id, extended)
        return {"run_id": task.run_id, "turn": task.turn, "leased_microusd": lease.leased_microusd}


@made_at_init(Extension.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Extend the lease of ``event``'s run (an ``ExtendTask``)."""
    task = parse(ExtendTask, event, what="ExtendTask")
    return (runtime or lambda_runtime()).get(Extension.of).extend(task)
