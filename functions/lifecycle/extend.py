"""Lease the budget that a person added to a run, before the run may spend it.

::

    0004.escalation.answered (a person adds 5 cents) ── windows and lease ── 0004.lease.extended ── the agent goes on
                                                     │                    └ dies here: the retry finds the part of
                                                     │                      turn 4 in the lease, and records it
                                                     └ no room: ``WindowFull``; the workflow asks the people again
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ballast.contracts import HandOver, Planner
from ballast.contracts.task import RunId, Turn
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput, RunEnded, WindowFull
from ballast.log.events import EscalationAnswered, LeaseExtended
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.money.lease import MAX_PARTS
from ballast.runtime import Runtime
from functions.lifecycle.lending import Lending


class ExtendTask(Wire):
    """Lease what the person's answer in this turn added."""

    run_id: RunId
    turn: Turn


@dataclass(frozen=True)
class Extension:
    """Extends leases."""

    log: RunLog
    lending: Lending

    @classmethod
    def of(cls, runtime: Runtime) -> Extension:
        """Put it together; once per runtime."""
        return cls(RunLog.of(runtime, signatures=runtime.get(Signatures.of)), runtime.get(Lending.of))

    def extend(self, task: ExtendTask) -> dict[str, Any]:
        """Extend the lease and record it; doing it twice is doing it once.

        Raises ``WindowFull``, and ``RunEnded`` where there is nothing to extend any more.
        """
        run = self.log.read(task.run_id)
        added = run.fact(EscalationAnswered, task.turn)
        decision = added.decision if added else None
        if not isinstance(decision, HandOver) or decision.to is not Planner.AGENT:
            raise InvalidInput(f"{task.run_id} turn {task.turn}: nobody added a budget there.")
        lease = self.lending.books.find(task.run_id)
        if run.has_ended or lease is None or not lease.held:
            raise RunEnded(f"{task.run_id} has ended; no budget can be added to it.")
        if task.turn not in lease.parts:
            if len(lease.parts) >= MAX_PARTS:
                raise WindowFull(f"{task.run_id}: its lease has {MAX_PARTS} parts; no more can be added to it.")
            lease = self.lending.extend(lease, task.turn, decision.add_budget_microusd)
        if task.turn not in lease.parts:
            raise RunEnded(f"{task.run_id} has ended; no budget can be added to it.")
        part = lease.parts[task.turn]
        extended = LeaseExtended(turn=task.turn, microusd=part.microusd, hour=part.hour, day=part.day)
        self.log.append(task.run_id, extended)
        return {"run_id": task.run_id, "turn": task.turn, "leased_microusd": lease.leased_microusd}
