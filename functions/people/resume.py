"""Resume the waiting run with the people's answer, and tell whether the run has it.

The answer is in the log before the run is resumed. A task token works once, and not at all after its attempt at the
state has failed; the next attempt has another token. The function that runs last uses the newest token::

    answered, recorded ── SendTaskSuccess ── taken ──▶ resumed_at, if the table still has that token
                            │                            └ it has a newer one: use that
                            └ no such token: does the table have a newer one, or the log what followed?
                                a newer token ─▶ use that                  the run went on ─▶ resumed_at, "answered"
                                it has ended otherwise ─▶ EscalationClosed      neither yet ─▶ NotYetResumed
    opened again ── the log has the answer ─▶ use the new token at once
    died between recording and resuming ─▶ Remind resumes
    died before recording ─▶ Remind opens it again for anybody: only the functions that take answers sign them

So OpenEscalation uses a token that it stores after the answer; the function that took the answer uses a token that was
stored before.
"""

from dataclasses import replace
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts import ExitReason, Planner, PlanSummary
from ballast.contracts.task import LAST_TURN
from ballast.contracts.wire import canonical
from ballast.errors import BallastError, EscalationClosed, NotYetResumed, RetryLater
from ballast.escalations import Escalation
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
from ballast.values import dataclass
from functions.people.escalations_table import EscalationsTable

#: Newer tokens that may come while one is used.
_TRIES = 5

#: What a person has decided: an escalation or an approval.
Answered = EscalationAnswered | ApprovalAnswered


@dataclass(frozen=True)
class Resumption:
    """Resumes waiting runs."""

    log: RunLog
    table: EscalationsTable
    stepfunctions: Any
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Resumption":
        """For a function that takes answers, and so signs them."""
        return cls._by(runtime, runtime.get(Signatures.signing))

    @classmethod
    def verifying(cls, runtime: Runtime) -> "Resumption":
        """For a function that delivers answers that others have taken: it verifies their signatures."""
        return cls._by(runtime, runtime.get(Signatures.of))

    @classmethod
    def _by(cls, runtime: Runtime, signatures: Signatures) -> "Resumption":
        from botocore.config import Config

        # One attempt a call: if the first one's response was lost, a second would find the token used.
        client = runtime.client("stepfunctions", config=Config(retries={"total_max_attempts": 1, "mode": "standard"}))
        return cls(RunLog.of(runtime, signatures=signatures), runtime.get(EscalationsTable.of), client, runtime)

    def resume(self, escalation: Escalation, answered: Answered, *, claimed: bool) -> None:
        """Resume the run that waits behind ``escalation``, by its newest token.

        claimed  this answer is the only one that the log accepts, so the run goes on with it whether it still waits for
                 its token or has just given up waiting

        Raises ``EscalationClosed`` and ``NotYetResumed``.
        """
        escalation = self._use_newest_token(escalation, answered)
        if escalation.resumed:
            return
        run = self.log.read(escalation.run_id)
        if went_on(run, escalation):
            self._note_resumed(escalation)
        elif run.has_ended:
            raise no_longer_waits(escalation)
        elif not claimed:
            raise NotYetResumed(
                f"{escalation.escalation_id}: the answer is on record, but the run does not wait for it at this "
                "moment. It goes on with the answer when it asks again, or it ends. Send it again to learn which."
            )

    def deliver(self, escalation_id: str) -> bool | None:
        """Resume the run with the answer that is on record; False if the run no longer waits for it.

        None if the run may wait and no answer is on record: the function that took the answer died or failed.
        """
        escalation = self.table.find(escalation_id)
        answered = self._recorded(escalation)
        if answered is not None:
            return self._use_newest_token(escalation, answered).resumed
        run_id, ended = escalation.run_id, RunEnded.key()
        found = self.log.read_keys([(run_id, escalation.answer_key), (run_id, ended)])
        # A forged answer stays under that key, so no answer can be recorded any more.
        return False if found or any(one.seq == escalation.answer_key for one in self.log.unsigned(run_id)) else None

    def deliver_to(self, escalation: Escalation) -> bool:
        """Resume the run with the answer that is on record, by this token only; say whether the run has it.

        A newer token is used by the function that keeps it.
        """
        answered = self._recorded(escalation)
        return answered is not None and self._use_token(escalation, answered)

    def _recorded(self, escalation: Escalation) -> Answered | None:
        """Return the people's signed answer from the log; None if nobody has answered."""
        key = escalation.run_id, escalation.answer_key
        found = self.log.read_keys([key]).get(key)
        fact = found.fact if found is not None else None
        assert fact is None or isinstance(fact, Answered)
        return None if isinstance(fact, ApprovalAnswered) and fact.approve is None else fact

    def _use_token(self, escalation: Escalation, answered: Answered) -> bool:
        """Send the answer to that token; say whether the run took it and the table has no newer token."""
        client = self.stepfunctions
        with consequences("Step Functions"):
            try:
                client.send_task_success(taskToken=escalation.task_token, output=canonical(_output(answered)))
            except (client.exceptions.TaskTimedOut, client.exceptions.TaskDoesNotExist, client.exceptions.InvalidToken):
                return False
        return self._note_resumed(escalation)

    def _use_newest_token(self, escalation: Escalation, answered: Answered) -> Escalation:
        """Try tokens until no newer one comes; return the escalation then: resumed, or its token is not waited for."""
        for _ in range(_TRIES):
            if escalation.resumed:
                return escalation
            if self._use_token(escalation, answered):
                return replace(escalation, resumed=True)
            newest = self.table.find(escalation.escalation_id)
            if newest.task_token == escalation.task_token:
                return newest
            escalation = newest
        raise RetryLater(f"{escalation.escalation_id}: the workflow opens it again and again; try again.")

    def _note_resumed(self, escalation: Escalation) -> bool:
        """Note that the run has the answer; False if it waits by a newer token now."""
        no_newer_token = equals("task_token", escalation.task_token)
        to = {"resumed_at": self.runtime.clock().isoformat()}
        noted = self.table.change(escalation.escalation_id, to, remove=["due", "due_at"], only_if=no_newer_token)
        return noted is not None


def answered_otherwise(escalation: Escalation, run: Run) -> BallastError:
    """Return the error for a person whose answer comes after another one.

    As long as the other answer is not on record it may still be forgotten: then this person may answer.
    """
    if escalation.status == "answered" and escalation.answer_key not in run.by_seq and not run.has_ended:
        return RetryLater(
            f"{escalation.escalation_id}: somebody else's answer is being recorded. Try again in a few minutes: "
            "if recording it failed, the escalation is open again."
        )
    return EscalationClosed(f"{escalation.escalation_id} was answered already, in another way.")


def no_longer_waits(escalation: Escalation) -> EscalationClosed:
    """Return the error for an answer that no run waits for."""
    return EscalationClosed(
        f"{escalation.escalation_id}: the run {escalation.run_id} no longer waits for it. Its log says how it went on."
    )


def _output(answered: Answered) -> dict[str, Any]:
    """Return the state's output for the workflow."""
    if isinstance(answered, ApprovalAnswered):
        return {}
    summary = PlanSummary.of(answered.decision)
    return {
        "decision": summary.model_dump(mode="json"),
        "agent_until_ms": answered.agent_until_ms,
        "deadline_ms": answered.deadline_ms,
    }


def went_on(run: Run, escalation: Escalation) -> bool:
    """Say whether the log shows that the run went on with the people's answer to it."""
    turn = escalation.turn
    if escalation.is_approval:
        rounds = {one.number: one for one in run.approvals(turn, escalation.index)}
        asked = rounds.get(escalation.round)
        if asked is None or asked.answer is None or asked.unanswered:
            return False
        acted = (one for one in run if (one.turn, one.index) == (turn, escalation.index))
        return bool(asked.void) or any(_of_the_call_itself(one) for one in acted)
    later = [event for event in run if turn < event.turn < LAST_TURN]
    if escalation.is_clarification:  # without a reply the run goes on as well: with the rollback
        return any(event.turn == later[0].turn and _of_the_agent(event) for event in later)
    if _answered_in(run) == turn:
        return True
    return bool(later) or any(event.turn == turn and event.name.startswith("call.") for event in run)


def _answered_in(run: Run) -> int | None:
    """Return the turn whose answer the run ended with; None if there is none or its ending cannot be read."""
    try:
        ended = run.ending
    except GARBLED:
        return None
    return ended.answer_turn if isinstance(ended, RunEnded) and ended.status == "answered" else None


def _of_the_call_itself(event: Event) -> bool:
    return event.name.startswith("call.") and not event.name.startswith("call.approval_")


def _of_the_agent(event: Event) -> bool:
    """Whether the event shows the agent in charge: after a clarification it is, only if the requester replied."""
    if event.name.startswith("model."):
        return True
    fact = event.fact
    if isinstance(fact, PlanDecided) and fact.planner is Planner.AGENT:
        return True
    cut = fact.handed_over if isinstance(fact, PlanDecided | EscalationOpened | ApprovalRequested) else None
    return cut is not None and cut.planner is Planner.AGENT and cut.reason is not ExitReason.REQUESTER_SILENT
