"""Let the waiting run go on with an answer, and know whether it has it.

The answer is in the log before the run is told, and a token is good for one telling::

    SendTaskSuccess ── taken ──▶ resumed_at
      │ crash here: the run has the answer, and nobody noted it
      ▼ the same answer again
    SendTaskSuccess ── no such token ──▶ did the run go on? the log says so ─▶ resumed_at, "answered"
                                          it has ended otherwise           ─▶ EscalationClosed
                                          neither yet                      ─▶ RetryLater
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts.task import LAST_TURN
from ballast.contracts.wire import canonical
from ballast.errors import EscalationClosed, RetryLater
from ballast.folds import approval_rounds, ending
from ballast.log.aws_errors import consequences
from ballast.log.event import Event
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.runtime import Runtime
from functions.escalation.question import Question
from functions.escalation.table import EscalationsTable


@dataclass(frozen=True)
class Resumption:
    """Tells waiting runs."""

    log: RunLog
    table: EscalationsTable
    stepfunctions: Any
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Resumption":
        """Put it together; once per runtime."""
        from botocore.config import Config

        # One attempt a call: where the first was lost on the way back, a second would find its token used.
        client = runtime.client("stepfunctions", config=Config(retries={"total_max_attempts": 1, "mode": "standard"}))
        log = RunLog.of(runtime, signatures=runtime.get(Signatures.signing))
        return cls(log, runtime.get(EscalationsTable.of), client, runtime)

    def resume(self, question: Question, output: dict[str, Any], *, claimed: bool) -> None:
        """Tell the run that waits behind ``question``.

        ``claimed``: the log lets nothing but this answer decide, so the run goes on with it whether it
        still waits for its token or has just given up waiting. Raises ``EscalationClosed`` and ``RetryLater``.
        """
        if question.resumed:
            return
        if not self._told(question, output) and not claimed:
            self._has_it(question)
        now = {"now": self.runtime.clock().isoformat()}
        self.table.change(question.escalation_id, "SET resumed_at = :now", "", now)

    def _told(self, question: Question, output: dict[str, Any]) -> bool:
        client = self.stepfunctions
        with consequences("Step Functions"):
            try:
                client.send_task_success(taskToken=question.task_token, output=canonical(output))
            except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist, client.exceptions.InvalidToken):
                return False
        return True

    def _has_it(self, question: Question) -> None:
        """Return where the run is known to have the answer, though its token was good for nothing."""
        now, events = self.table.find(question.escalation_id), self.log.read(question.run_id)
        if now.resumed or went_on(events, question):
            return
        if ending(events) is None and now.attempts > 1:
            raise RetryLater(f"{question.escalation_id}: the run was told before, and has not gone on yet; try again.")
        raise closed(question)


def went_on(events: Sequence[Event], question: Question) -> bool:
    """Say whether the log shows that the run went on with the people's answer to ``question``."""
    turn, ended = question.turn, ending(events)
    if question.kind == "approval":
        rounds = approval_rounds(events, turn, question.index)
        return any(one.number == question.round and one.answer and not one.unanswered for one in rounds)
    by_that_answer = ended is not None and ended.body.get("turn") == turn
    later = any(turn < event.turn < LAST_TURN for event in events)
    return by_that_answer or later or any(event.turn == turn and event.name.startswith("call.") for event in events)


def closed(question: Question) -> EscalationClosed:
    """Nobody waits for an answer to it any more."""
    return EscalationClosed(
        f"{question.escalation_id}: the run {question.run_id} no longer waits for it. Its log says how it went on."
    )
