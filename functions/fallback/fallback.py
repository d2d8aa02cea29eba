"""Lambda: one decision of the fallback, the playbook's script for the run's intent.

::

    read the log ─▶ decided already? ─yes─▶ same decision
       │no
       ▼
    script for the intent? ─none─▶ hand over to a person
       │
       ▼
    replay it over the recorded outcomes ─▶ its next calls │ its answer, if it may be sent │ hand over to a person
"""

from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.limits import HistoryUsed
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.log.events import PlanDecided
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal, SealSettings
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.fallback import next_decision
from ballast.playbook.gate import check_answer
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass

#: Characters of the reason for a script's end that are recorded.
_NOTE_CHARS = 2_000


class FallbackSettings(LogSettings, SealSettings):
    """The fallback's environment.

    run_log_table      table of the run log
    payload_bucket     bucket of the log's large bodies
    retention_days     days after which DynamoDB's TTL removes an event; 0 keeps it for ever
    sensitive_key_arn  KMS key of sensitive values; "" if the playbook marks none
    playbook_dir       folder of the playbook
    """

    playbook_dir: str


@dataclass(frozen=True)
class FallbackPlanner:
    """The planner that replays the playbook's script for the intent from the log."""

    log: RunLog
    playbook: Playbook

    @classmethod
    def of(cls, runtime: Runtime) -> "FallbackPlanner":
        """Return the planner of ``runtime``."""
        playbook = load_playbook(FallbackSettings.of(runtime).playbook_dir, check_models=False)
        return cls(RunLog.of(runtime, Seal.of(runtime, playbook)), playbook)

    def plan(self, task: PlanTask) -> PlanSummary:
        """Record and return this turn's decision; a retry returns the recorded one."""
        run = self.log.read(task.run_id)
        known = run.proposals.get(task.turn)
        if known is not None and known.planner is Planner.FALLBACK:
            return PlanSummary.of(known.decision, parallel=known.parallel)
        decision, note = self._decide(run, task)
        decided = PlanDecided(
            turn=task.turn,
            planner=Planner.FALLBACK,
            decision=decision,
            parallel=isinstance(decision, CallTools)
            and self.playbook.side_by_side(call.tool for call in decision.calls),
            **({"note": self.log.cut(task.run_id, note, most=_NOTE_CHARS)} if note else {}),
            **({"handed_over": task.handed_over} if task.handed_over else {}),
        )
        stands = self.log.record(task.run_id, decided)
        return PlanSummary.of(stands.decision, parallel=stands.parallel)

    def _decide(self, run: Run, task: PlanTask) -> tuple[CallTools | Answer | HandOver, str | None]:
        """Return the decision, and a note for people."""
        request = run.opening.request
        script = self.playbook.fallbacks.get(request.intent or "")
        if script is None:
            note = f"The playbook has no fallback for the intent {request.intent!r}."
            return HandOver(to=Planner.PERSON, reason=ExitReason.NO_FALLBACK), note
        decision, why = next_decision(self.playbook, script, request, run)
        room = HistoryUsed(events=task.history)
        if isinstance(decision, CallTools) and not room.script_has_room(len(decision.calls)):
            return HandOver(to=Planner.PERSON, reason=ExitReason.HISTORY_LIMIT), None
        if isinstance(decision, Answer):
            return self._sendable(run, task.turn, decision)
        return decision, why

    def _sendable(self, run: Run, turn: int, answer: Answer) -> tuple[Answer | HandOver, str | None]:
        """Return the script's answer, or a hand-over to a person if it may not be sent."""
        read = check_answer(run, self.playbook, turn, answer)
        if not read.complaints:
            return read.answer, None
        return HandOver(to=Planner.PERSON, reason=ExitReason.ANSWER_INVALID), "; ".join(read.complaints)


@made_at_init(FallbackPlanner.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    planner = (runtime or lambda_runtime()).get(FallbackPlanner.of)
    task = parse(PlanTask, event, what="PlanTask")
    return planner.plan(task).model_dump(mode="json")
