"""Lambda: one decision of the fallback, the deterministic script for the run's intent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, PlanSummary, PlanTask
from ballast.contracts.history import HistoryUsed
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.folds import opening, proposals
from ballast.log.event import Event
from ballast.log.keys import plan_seq
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.playbook import Playbook, load_playbook
from ballast.playbook.answers import judged
from ballast.playbook.script import next_decision
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
        events = self.log.read(task.run_id)
        decided = proposals(events).get(task.turn)
        if decided is None or decided.planner is not Planner.FALLBACK:
            request = opening(events).request
            script = self.playbook.fallbacks.get(request.intent or "")
            if script is None:
                decision: Any = HandOver(to=Planner.HUMAN, reason=ExitReason.NO_FALLBACK)
                note: str | None = f"The playbook has no fallback for the intent {request.intent!r}."
            else:
                decision, note = next_decision(self.playbook, script, request, Run.of(events))
                room = HistoryUsed(events=task.history)
                if isinstance(decision, CallTools) and not room.script_has_room(len(decision.calls)):
                    decision, note = HandOver(to=Planner.HUMAN, reason=ExitReason.HISTORY_LIMIT), None
                if isinstance(decision, Answer):
                    decision, note = self._sendable(events, task.turn, decision)
            body: dict[str, Any] = {
                "planner": Planner.FALLBACK,
                "decision": decision.model_dump(mode="json"),
                "parallel": isinstance(decision, CallTools)
                and self.playbook.side_by_side(call.tool for call in decision.calls),
            }
            if note:
                body["note"] = self.log.cut(task.run_id, note, most=_NOTE_CHARS)
            if task.handed_over:
                body["handed_over"] = task.handed_over.model_dump(mode="json", by_alias=True)
            recorded = self.log.append(task.run_id, plan_seq(task.turn), body)
            decided = proposals([*events, recorded])[task.turn]
        return PlanSummary.of(decided.decision, parallel=decided.parallel)

    def _sendable(self, events: Sequence[Event], turn: int, answer: Answer) -> tuple[Answer | HandOver, str | None]:
        """Return the script's answer, or the hand-over to a person where it may not be sent."""
        read = judged(Run.of(events), self.playbook, turn, answer)
        if not read.complaints:
            return read.answer, None
        return HandOver(to=Planner.HUMAN, reason=ExitReason.ANSWER_INVALID), "; ".join(read.complaints)


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Propose one decision for ``event`` (a ``PlanTask``) and return its ``PlanSummary``."""
    planner = (runtime or lambda_runtime()).get(FallbackPlanner.of)
    task = parse(PlanTask, event, what="PlanTask")
    return planner.plan(task).model_dump(mode="json")
