"""Lambda: one decision of the rollback, the log read backwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import CallTools, Event, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.event import plan_seq
from ballast.contracts.wire import parse
from ballast.folds import calls, opening, proposals, successor, to_undo
from ballast.log import RunLog
from ballast.playbook import Playbook, load_playbook
from ballast.runtime import Runtime, Settings, lambda_runtime


class RollbackSettings(Settings):
    """The rollback's environment. playbook_dir: folder of the playbook."""

    playbook_dir: str


@dataclass(frozen=True)
class RollbackPlanner:
    """One planner: proposes the recorded undos, newest first, one a turn, through the same gate."""

    log: RunLog
    playbook: Playbook

    @classmethod
    def of(cls, runtime: Runtime) -> "RollbackPlanner":
        """Put the planner together; once per runtime."""
        return cls(RunLog.of(runtime), load_playbook(RollbackSettings.of(runtime).playbook_dir))

    def plan(self, task: PlanTask) -> PlanSummary:
        """Return this turn's decision, recorded; a retry returns the recorded one."""
        events = self.log.read(task.run_id)
        decided = proposals(events).get(task.turn)
        if decided is None or decided.planner is not Planner.ROLLBACK:
            body = self._decide(events)
            if task.handed_over:
                body["handed_over"] = task.handed_over.model_dump(mode="json", by_alias=True)
            recorded = self.log.append(task.run_id, plan_seq(task.turn), body)
            decided = proposals([*events, recorded])[task.turn]
        return PlanSummary.of(decided.decision, parallel=decided.parallel)

    def _decide(self, events: Sequence[Event]) -> dict[str, Any]:
        left = to_undo(events)
        failed = [state for state in calls(events) if state.planner is Planner.ROLLBACK and state.status != "ok"]
        if failed:
            # An undo that did not work leaves a state that only a person can judge.
            decision: CallTools | HandOver = HandOver(to=Planner.HUMAN, reason=ExitReason.ROLLBACK_INCOMPLETE)
            return {
                "planner": Planner.ROLLBACK,
                "decision": decision.model_dump(mode="json"),
                "note": f"{failed[-1].call.tool} was {failed[-1].status}: {failed[-1].message}",
            }
        if left and left[0].undo is not None:
            return {
                "planner": Planner.ROLLBACK,
                "decision": CallTools(calls=(left[0].undo,)).model_dump(mode="json"),
                "undoes": [left[0].turn, left[0].index],
            }
        has_fallback = opening(events).request.intent in self.playbook.fallbacks
        to = successor(Planner.ROLLBACK, events, has_fallback=has_fallback)
        decision = HandOver(to=to, reason=ExitReason.ROLLED_BACK)
        return {"planner": Planner.ROLLBACK, "decision": decision.model_dump(mode="json")}


def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    planner = (runtime or lambda_runtime()).get(RollbackPlanner.of)
    return planner.plan(parse(PlanTask, event, what="PlanTask")).model_dump(mode="json")
