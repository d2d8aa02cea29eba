"""Lambda: one decision of the fallback, the deterministic script for the run's intent."""

from dataclasses import dataclass
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.history import HistoryUsed
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.log.events import PlanDecided
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.fallback import next_decision
from ballast.playbook.gate import check_answer
from ballast.run import Run
from ballast.runtime import Runtime, Settings, lambda_runtime

#: So many characters of why a script went no further are recorded.
_NOTE_CHARS = 2_000


class FallbackSettings(Settings):
    """The fallback's environment. playbook_dir: folder of the playbook."""

    playbook_dir: str


@dataclass(frozen=True)
class FallbackPlanner:
    """One planner: the playbook's script for the intent, replayed from the log."""

    log: RunLog
    playbook: Playbook

    @classmethod
    def of(cls, runtime: Runtime) -> "FallbackPlanner":
        """Put the planner together; once per runtime."""
        playbook = load_playbook(FallbackSettings.of(runtime).playbook_dir)
        return cls(RunLog.of(runtime, Seal.of(runtime, playbook)), playbook)

    def plan(self, task: PlanTask) -> PlanSummary:
        """Return this turn's decision, recorded; a retry returns the recorded one."""
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
            return HandOver(to=Planner.HUMAN, reason=ExitReason.NO_FALLBACK), note
        decision, why = next_decision(self.playbook, script, request, run)
        room = HistoryUsed(events=task.history)
        if isinstance(decision, CallTools) and not room.script_has_room(len(decision.calls)):
            return HandOver(to=Planner.HUMAN, reason=ExitReason.HISTORY_LIMIT), None
        if isinstance(decision, Answer):
            return self._sendable(run, task.turn, decision)
        return decision, why

    def _sendable(self, run: Run, turn: int, answer: Answer) -> tuple[Answer | HandOver, str | None]:
        """Return the script's answer, or the hand-over to a person where it may not be sent."""
        read = check_answer(run, self.playbook, turn, answer)
        if not read.complaints:
            return read.answer, None
        return HandOver(to=Planner.HUMAN, reason=ExitReason.ANSWER_INVALID), "; ".join(read.complaints)


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    planner = (runtime or lambda_runtime()).get(FallbackPlanner.of)
    task = parse(PlanTask, event, what="PlanTask")
    return planner.plan(task).model_dump(mode="json")
