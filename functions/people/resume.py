"""Let the waiting run go on with an answer, and know whether it has it.

The answer is in the log before the run is told. A token is good for one telling, and for none once its attempt at the
state has failed; the attempt after it has another. Whoever comes last tells the newest::

    answered, recorded ── SendTaskSuccess ── taken ──▶ resumed_at, if the table still has that token
                            │                            └ it has a newer one: tell that
                            └ no such token: does the table have a newer one, or the log what followed?
                                a newer token ─▶ tell that                 the run went on ─▶ resumed_at, "answered"
                                it has ended otherwise ─▶ EscalationClosed      neither yet ─▶ NotYetResumed
    opened again ── the log has the answer ─▶ tell the new token at once
    died between recording and telling ─▶ Remind tells
    died before recording ─▶ Remind opens it again, for anybody: only who takes answers may sign one

So every token that was kept after the answer is told by who kept it, and every one before by who answered.
"""

from dataclasses import dataclass, replace
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import ExitReason, Planner, PlanSummary
from ballast.contracts.task import LAST_TURN
from ballast.contracts.wire import canonical
from ballast.errors import BallastError, EscalationClosed, NotYetResumed, RetryLater
from ballast.log.event import GARBLED, Event
from ballast.log.events import (
    ApprovalAnswered,
    ApprovalRequested,
    EscalationAnswered,
    EscalationOpened,
    PlanDecided,
    RunEnded,
)
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.run import Run
from ballast.runtime import Runtime
from ballast.table import equals
from functions.people.question import Question
from functions.people.table import EscalationsTable

#: So many newer tokens may come while one is told.
_TRIES = 5


#: People's answer, of whatever they were asked.
Answered = EscalationAnswered | ApprovalAnswered


@dataclass(frozen=True)
class Resumption:
    """Tells waiting runs."""

    log: RunLog
    table: EscalationsTable
    stepfunctions: Any
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Resumption":
        """Put it together for who takes answers; once per runtime."""
        return cls._by(runtime, runtime.get(Signatures.signing))

    @classmethod
    def verifying(cls, runtime: Runtime) -> "Resumption":
        """Put it together for who tells what others have taken; once per runtime."""
        return cls._by(runtime, runtime.get(Signatures.of))

    @classmethod
    def _by(cls, runtime: Runtime, signatures: Signatures) -> "Resumption":
        from botocore.config import Config

        # One attempt a call: where the first was lost on the way back, a second would find its token used.
        client = runtime.client("stepfunctions", config=Config(retries={"total_max_attempts": 1, "mode": "standard"}))
        return cls(RunLog.of(runtime, signatures=signatures), runtime.get(EscalationsTable.of), client, runtime)

    def resume(self, question: Question, answered: Answered, *, claimed: bool) -> None:
        """Tell the run that waits behind ``question``, by its newest token.

        ``claimed``: the log lets nothing but this answer decide, so the run goes on with it whether it
        still waits for its token or has just given up waiting. Raises ``EscalationClosed`` and ``NotYetResumed``.
        """
        question = self._tell_newest(question, answered)
        if question.resumed:
            return
        run = self.log.read(question.run_id)
        if went_on(run, question):
            self._note(question)
        elif run.has_ended:
            raise closed(question)
        elif not claimed:
            raise NotYetResumed(
                f"{question.escalation_id}: the answer is on record, and the run does not wait for it at this moment. "
                "It goes on with it when it asks again, or ends. Send the same answer again to learn which."
            )

    def deliver(self, escalation_id: str) -> bool | None:
        """Tell the run of an answer that is on record; False where nobody waits for it any more.

        None where the run may wait, and nothing is on record: whoever took the answer died, or was hindered.
        """
        question = self.table.find(escalation_id)
        answered = self._recorded(question)
        if answered is not None:
            return self._tell_newest(question, answered).resumed
        seq, ended = seq_of_answer(question), RunEnded.key()
        found = self.log.read_keys([(question.run_id, seq), (question.run_id, ended)])
        # What was forged in its place stays there, so no answer can be recorded.
        return False if found or any(event.seq == seq for event in self.log.unsigned(question.run_id)) else None

    def deliver_to(self, question: Question) -> bool:
        """The same with the token of ``question``, whatever came since: whoever keeps a newer one tells that."""
        answered = self._recorded(question)
        return answered is not None and self._tell(question, answered)

    def _recorded(self, question: Question) -> Answered | None:
        """Return people's answer as the log has it, signed; None where nobody has answered."""
        key = question.run_id, seq_of_answer(question)
        found = self.log.read_keys([key]).get(key)
        fact = found.fact if found is not None else None
        assert fact is None or isinstance(fact, Answered)
        return None if isinstance(fact, ApprovalAnswered) and fact.approve is None else fact

    def _tell(self, question: Question, answered: Answered) -> bool:
        """Tell that one token; say whether the run took it, and nobody keeps a newer one."""
        client = self.stepfunctions
        with consequences("Step Functions"):
            try:
                client.send_task_success(taskToken=question.task_token, output=canonical(_output(answered)))
            except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist, client.exceptions.InvalidToken):
                return False
        return self._note(question)

    def _tell_newest(self, question: Question, answered: Answered) -> Question:
        """Tell until no newer token comes; return the question as it is then: resumed, or nobody waits by its token."""
        for _ in range(_TRIES):
            if question.resumed:
                return question
            if self._tell(question, answered):
                return replace(question, resumed=True)
            newest = self.table.find(question.escalation_id)
            if newest.task_token == question.task_token:
                return newest
            question = newest
        raise RetryLater(f"{question.escalation_id}: it is opened again and again; try again.")

    def _note(self, question: Question) -> bool:
        """Note that the run has the answer; False where it waits by a newer token now."""
        no_newer_one = equals("task_token", question.task_token)
        to = {"resumed_at": self.runtime.clock().isoformat()}
        noted = self.table.change(question.escalation_id, to, remove=["due", "due_at"], only_if=no_newer_one)
        return noted is not None


def seq_of_answer(question: Question) -> str:
    """Return the key of people's answer in the log."""
    if question.kind == "approval":
        return ApprovalAnswered.key(question.turn, question.index, question.round)
    return EscalationAnswered.key(question.turn)


def other_one(question: Question, run: Run) -> BallastError:
    """Return what somebody is told who answers what another one has answered.

    As long as nothing is on record that may still be forgotten: then they may answer.
    """
    if question.status == "answered" and seq_of_answer(question) not in run.by_seq and not run.has_ended:
        return RetryLater(
            f"{question.escalation_id}: somebody else's answer is being recorded. Try again in a few minutes: "
            "if that failed, it is open again."
        )
    return EscalationClosed(f"{question.escalation_id} was answered already, in another way.")


def _output(answered: Answered) -> dict[str, Any]:
    """Return what the workflow goes on with: of what is recorded."""
    if isinstance(answered, ApprovalAnswered):
        return {}
    summary = PlanSummary.of(answered.decision)
    return {
        "decision": summary.model_dump(mode="json"),
        "agent_until_ms": answered.agent_until_ms,
        "deadline_ms": answered.deadline_ms,
    }


def went_on(run: Run, question: Question) -> bool:
    """Say whether the log shows that the run went on with the people's answer to ``question``."""
    turn = question.turn
    if question.kind == "approval":
        rounds = {one.number: one for one in run.approvals(turn, question.index)}
        asked = rounds.get(question.round)
        if asked is None or asked.answer is None or asked.unanswered:
            return False
        acted = (one for one in run if (one.turn, one.index) == (turn, question.index))
        return bool(asked.void) or any(_of_the_call_itself(one) for one in acted)
    later = [event for event in run if turn < event.turn < LAST_TURN]
    if question.kind == "question":  # without a reply the run goes on, too: with the rollback
        return any(event.turn == later[0].turn and _of_the_agent(event) for event in later)
    if _answered_in(run) == turn:
        return True
    return bool(later) or any(event.turn == turn and event.name.startswith("call.") for event in run)


def _answered_in(run: Run) -> int | None:
    """Return the turn whose answer the run ended with; None where there is none, or its ending cannot be read."""
    try:
        ended = run.ending
    except GARBLED:
        return None
    return ended.answer_turn if isinstance(ended, RunEnded) and ended.status == "answered" else None


def _of_the_call_itself(event: Event) -> bool:
    return event.name.startswith("call.") and not event.name.startswith("call.approval_")


def _of_the_agent(event: Event) -> bool:
    """Whether the event shows that the agent was in charge, which only a reply has it be after a question."""
    if event.name.startswith("model."):
        return True
    fact = event.fact
    if isinstance(fact, PlanDecided) and fact.planner is Planner.AGENT:
        return True
    cut = fact.handed_over if isinstance(fact, PlanDecided | EscalationOpened | ApprovalRequested) else None
    return cut is not None and cut.planner is Planner.AGENT and cut.reason is not ExitReason.REQUESTER_SILENT


def closed(question: Question) -> EscalationClosed:
    """Nobody waits for an answer to it any more."""
    return EscalationClosed(
        f"{question.escalation_id}: the run {question.run_id} no longer waits for it. Its log says how it went on."
    )
