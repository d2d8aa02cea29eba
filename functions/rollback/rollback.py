"""Lambda: one decision of the rollback, the log read backwards.

::

    read the log ─▶ decided already? ─yes─▶ same decision
       │no
       ▼
    an undo that did not work? ─yes─▶ hand over to a person
       │no
       ▼
    a fallback that goes on from the effects? ─yes─▶ hand over to it
       │no
       ▼
    an effect that may not be undone? no room in the history? ─yes─▶ hand over to a person
       │no
       ▼
    an effect left? ─yes─▶ the undo of the newest one
       │no
       ▼
    hand over to the fallback, or to a person
"""

from typing import Any

from ballast.contracts import CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.limits import HistoryUsed
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.folds.calls import CallState
from ballast.log.events import PlanDecided
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal, SealSettings
from ballast.playbook import CallFailed, Playbook, load_playbook
from ballast.playbook.agents import requested_agent
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass


class RollbackSettings(LogSettings, SealSettings):
    """The rollback's environment.

    run_log_table      table of the run log
    payload_bucket     bucket of the log's large bodies
    retention_days     days after which DynamoDB's TTL removes an event; 0 keeps it for ever
    sensitive_key_arn  KMS key of sensitive values; "" if the playbook marks none
    playbook_dir       folder of the playbook
    """

    playbook_dir: str


@dataclass(frozen=True)
class RollbackPlanner:
    """The planner that proposes the recorded undos, newest first, one a turn."""

    log: RunLog
    playbook: Playbook

    @classmethod
    def of(cls, runtime: Runtime) -> "RollbackPlanner":
        """Return the planner of ``runtime``."""
        playbook = load_playbook(RollbackSettings.of(runtime).playbook_dir, check_models=False)
        return cls(RunLog.of(runtime, Seal.of(runtime, playbook)), playbook)

    def plan(self, task: PlanTask) -> PlanSummary:
        """Record and return this turn's decision; a retry returns the recorded one."""
        run = self.log.read(task.run_id)
        known = run.proposals.get(task.turn)
        if known is not None and known.planner is Planner.ROLLBACK:
            return PlanSummary.of(known.decision, parallel=known.parallel)
        decided = self._decide(task, run, HistoryUsed(events=task.history))
        if task.handed_over:
            decided = decided.model_copy(update={"handed_over": task.handed_over})
        stands = self.log.record(task.run_id, decided)
        return PlanSummary.of(stands.decision, parallel=stands.parallel)

    def _decide(self, task: PlanTask, run: Run, history: HistoryUsed) -> PlanDecided:
        failed = [state for state in run.calls if state.planner is Planner.ROLLBACK and state.status != "ok"]
        if failed:
            # After a failed undo only a person can judge the state.
            note = str(CallFailed(failed[-1].call.tool, failed[-1].status, failed[-1].message))
            return _decided(task, HandOver(to=Planner.PERSON, reason=ExitReason.ROLLBACK_INCOMPLETE), note=note)
        intent = run.opening.request.intent
        to = run.successor(Planner.ROLLBACK, has_fallback=intent in self.playbook.fallbacks)
        if to is Planner.FALLBACK and not requested_agent(self.playbook, run).agent.starts_clean(intent):
            return _decided(task, HandOver(to=to, reason=ExitReason.EFFECTS_KEPT))
        if run.frozen:
            # Checked before the first undo: a run that is half undone is harder to judge.
            note = f"Nothing else is undone: {'; '.join(_why_frozen(state) for state in run.frozen)}"
            return _decided(task, HandOver(to=Planner.PERSON, reason=ExitReason.EFFECT_FROZEN), note=note)
        left = run.to_undo
        if left and not history.script_has_room():
            note = f"{_effects(len(left))} left to undo, and the execution's history has no room for more calls."
            return _decided(task, HandOver(to=Planner.PERSON, reason=ExitReason.HISTORY_LIMIT), note=note)
        if left and left[0].undo is not None:
            return _decided(task, CallTools(calls=(left[0].undo,)), undoes=left[0].position)
        return self._done(task, run, to)

    def _done(self, task: PlanTask, run: Run, to: Planner) -> PlanDecided:
        """Hand over, with nothing left to undo.

        The reason is ``rolled_back``. For a person, and if nothing was undone, it is the reason that stopped the agent.
        A note counts the undos.
        """
        undone = sum(state.planner is Planner.ROLLBACK and state.status == "ok" for state in run.calls)
        why = task.handed_over.reason if task.handed_over else run.why_it_stopped
        reason = ExitReason.ROLLED_BACK if why is None or (undone and to is not Planner.PERSON) else why
        note = {"note": f"Undone: {_effects(undone)}."} if undone else {}
        return _decided(task, HandOver(to=to, reason=reason), **note)


def _decided(task: PlanTask, decision: CallTools | HandOver, **more: Any) -> PlanDecided:
    return PlanDecided(turn=task.turn, planner=Planner.ROLLBACK, decision=decision, **more)


def _effects(count: int) -> str:
    return f"{count} effect" if count == 1 else f"{count} effects"


def _why_frozen(state: CallState) -> str:
    call = f"{state.call.tool} in turn {state.turn}"
    if state.status == "ok":
        return f"a person must judge {call}."
    return f"it is unknown whether {call} took effect. {state.message}".strip()


@made_at_init(RollbackPlanner.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    planner = (runtime or lambda_runtime()).get(RollbackPlanner.of)
    task = parse(PlanTask, event, what="PlanTask")
    return planner.plan(task).model_dump(mode="json")
