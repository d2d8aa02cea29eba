"""Lambda: one decision of the rollback, the log read backwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.history import HistoryUsed
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.folds import CallState, calls, frozen, opening, proposals, successor, to_undo, why_it_stopped
from ballast.log.event import Event
from ballast.log.keys import plan_seq
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
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
        playbook = load_playbook(RollbackSettings.of(runtime).playbook_dir)
        return cls(RunLog.of(runtime, Seal.of(runtime, playbook)), playbook)

    def plan(self, task: PlanTask) -> PlanSummary:
        """Return this turn's decision, recorded; a retry returns the recorded one."""
        events = self.log.read(task.run_id)
        decided = proposals(events).get(task.turn)
        if decided is None or decided.planner is not Planner.ROLLBACK:
            body = self._decide(task, events, HistoryUsed(events=task.history))
            if task.handed_over:
                body["handed_over"] = task.handed_over.model_dump(mode="json", by_alias=True)
            recorded = self.log.append(task.run_id, plan_seq(task.turn), body)
            decided = proposals([*events, recorded])[task.turn]
        return PlanSummary.of(decided.decision, parallel=decided.parallel)

    def _decide(self, task: PlanTask, events: Sequence[Event], history: HistoryUsed) -> dict[str, Any]:
        failed = [state for state in calls(events) if state.planner is Planner.ROLLBACK and state.status != "ok"]
        if failed:
            # An undo that did not work leaves a state that only a person can judge.
            note = f"{failed[-1].call.tool} was {failed[-1].status}: {failed[-1].message}"
            return _decided(HandOver(to=Planner.HUMAN, reason=ExitReason.ROLLBACK_INCOMPLETE), note=note)
        intent = opening(events).request.intent
        to = successor(Planner.ROLLBACK, events, has_fallback=intent in self.playbook.fallbacks)
        if to is Planner.FALLBACK and not self.playbook.agent.starts_clean(intent):
            return _decided(HandOver(to=to, reason=ExitReason.EFFECTS_KEPT))
        stuck = frozen(events)
        if stuck:
            # Before the first undo: a run that is undone half way is harder to judge than one that is as it was.
            note = f"Nothing more is undone: {'; '.join(_why_frozen(state) for state in stuck)}"
            return _decided(HandOver(to=Planner.HUMAN, reason=ExitReason.EFFECT_FROZEN), note=note)
        left = to_undo(events)
        if left and not history.script_has_room():
            note = f"Of what was done, {len(left)} effects are still to be undone."
            return _decided(HandOver(to=Planner.HUMAN, reason=ExitReason.HISTORY_LIMIT), note=note)
        if left and left[0].undo is not None:
            return _decided(CallTools(calls=(left[0].undo,)), undoes=[left[0].turn, left[0].index])
        return self._done(task, events, to)

    def _done(self, task: PlanTask, events: Sequence[Event], to: Planner) -> dict[str, Any]:
        """Hand over, with nothing left to undo.

        A person is told what stopped the agent, and so is everybody where nothing was undone. That it was rolled back
        is a consequence; the note says it.
        """
        undone = sum(state.planner is Planner.ROLLBACK and state.status == "ok" for state in calls(events))
        why = task.handed_over.reason if task.handed_over else why_it_stopped(events)
        reason = ExitReason.ROLLED_BACK if why is None or (undone and to is not Planner.HUMAN) else why
        note = (
            {"note": f"What was done is undone: {undone} {'effect' if undone == 1 else 'effects'}."} if undone else {}
        )
        return _decided(HandOver(to=to, reason=reason), **note)


def _decided(decision: CallTools | HandOver, **more: Any) -> dict[str, Any]:
    return {"planner": Planner.ROLLBACK, "decision": decision.model_dump(mode="json"), **more}


def _why_frozen(state: CallState) -> str:
    where = f"{state.call.tool} in turn {state.turn}"
    if state.status == "ok":
        return f"{where} is for a person to judge."
    return f"whether {where} happened is unknown. {state.message}".strip()


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    planner = (runtime or lambda_runtime()).get(RollbackPlanner.of)
    task = parse(PlanTask, event, what="PlanTask")
    return planner.plan(task).model_dump(mode="json")
