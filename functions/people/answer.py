"""Lambda: a person's answer. Recorded first, then the waiting run goes on with it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner
from ballast.contracts.wire import parse
from ballast.edge import guarded
from ballast.errors import EscalationClosed
from ballast.folds.opening import renewed
from ballast.http.identity import Caller
from ballast.log.events import EscalationAnswered
from ballast.log.run_log import RunLog
from ballast.log.seal import Seal
from ballast.log.signature import Signatures
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime
from ballast.table import equals
from functions.people.approve import Approvals, changed_to, gates_playbook, wants
from functions.people.due import DUE, TOLD_WITHIN
from functions.people.persons_answer import PersonsAnswer, checked
from functions.people.question import Question
from functions.people.resume import Resumption, closed, other_one, went_on
from functions.people.rights import check, check_decision, granted_microusd
from functions.people.table import EscalationsTable


@dataclass(frozen=True)
class Answers:
    """Takes answers, each once."""

    log: RunLog
    table: EscalationsTable
    resumption: Resumption
    approvals: Approvals
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Answers":
        """Put it together; once per runtime."""
        return cls(
            # What a person has a tool called with may be sensitive; what others wrote stays masked here.
            RunLog.of(
                runtime,
                Seal.of(runtime, runtime.get(gates_playbook), opens=False),
                runtime.get(Signatures.signing),
            ),
            runtime.get(EscalationsTable.of),
            runtime.get(Resumption.of),
            runtime.get(Approvals.of),
            runtime,
        )

    def take(self, answer: PersonsAnswer, caller: Caller) -> dict[str, Any]:
        """Record the caller's ``answer`` and let the run go on. The same answer again is harmless.

        Raises ``InvalidInput``, ``MayNotAnswer`` and ``EscalationClosed``.
        """
        question = self.table.find(answer.escalation_id)
        run = self.log.read(question.run_id)
        answer = self.approvals.in_form(question, answer, run)
        decision = checked(question, answer)
        question = wants(question, run, self.runtime.get(gates_playbook)).of(question)
        if not repeats(question, answer) and not changed_to(question, answer):  # else it was decided before
            check(question, caller, run)
            if decision is not None:
                before = partial(self.granted_microusd, question)
                check_decision(question, decision, caller, before, self.runtime.get(gates_playbook))
        still_needed = 0
        if run.has_ended:
            self._check_that_it_counted(question, answer, run)
        elif decision is None:
            still_needed = self.approvals.take(question, answer, caller, run)
        else:
            self._take(question, answer, decision, caller, run)
        return {
            "escalation_id": answer.escalation_id,
            "run_id": question.run_id,
            "status": "waiting" if still_needed else "answered",
            "still_needed": still_needed,
        }

    def granted_microusd(self, question: Question) -> int:
        """Return what people have added to the run's budget before ``question`` is answered, in micro-dollars.

        An answer to it that never came on record is in the table only, and has added nothing.
        """
        run = self.log.read(question.run_id)
        kept = {turn: added for turn, added in self.table.granted(question.run_id).items() if turn != question.turn}
        return granted_microusd(run, kept, self.runtime.get(gates_playbook))

    def reply(self, run_id: str, text: str, caller: Caller) -> dict[str, Any]:
        """Take the requester's ``text`` as the reply to the question that the run waits with.

        Raises ``EscalationClosed`` where it asks nothing.
        """
        run = self.log.read(run_id)
        waiting = run.progress
        decision = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance=text)
        asked = waiting.escalation_id if waiting.reason == ExitReason.QUESTION else None
        if asked is None:  # it has a reply on record: the same one again finishes what it began
            asked = _replied_last(run, caller.principal, decision)
        if asked is None:
            raise EscalationClosed(f"{run_id} asks the requester nothing now; see its status.")
        said = decision.model_dump(mode="json")
        return self.take(PersonsAnswer(escalation_id=asked, by=caller.principal, decision=said), caller)

    def _take(
        self,
        question: Question,
        answer: PersonsAnswer,
        decision: Answer | CallTools | HandOver,
        caller: Caller,
        run: Run,
    ) -> None:
        if question.resumed and repeats(question, answer):
            return  # the run has this very answer already
        question = self._consume(answer, run)
        if not question.resumed:
            granted = decision.add_budget_microusd if isinstance(decision, HandOver) else 0
            if granted or question.reopened:  # an answer that was forgotten may have granted something
                # Before the log has it: what was granted counts, whatever becomes of that entry.
                self.table.grant(question.run_id, question.turn, granted)
            recorded = self._record(question, answer, decision, caller, run)
            self.resumption.resume(question, recorded, claimed=False)

    def _check_that_it_counted(self, question: Question, answer: PersonsAnswer, run: Run) -> None:
        """Return where this very answer is one that the run, which has ended, went on with."""
        if not repeats(question, answer) or not (question.resumed or went_on(run, question)):
            raise closed(question)

    def _consume(self, answer: PersonsAnswer, run: Run) -> Question:
        """Mark the escalation as answered, once; the same answer may come again to finish what it began."""
        nobody_answered = equals("status", "open")
        the_same_answer = equals("answer_sha256", answer.sha256)
        now = self.runtime.clock()
        to = {"status": "answered", "answer_sha256": answer.sha256, "answered_by": answer.by}
        # Until the run is known to have it: should this process die once it is recorded, Remind tells the run.
        to |= {"answered_at": now.isoformat(), "due": DUE, "due_at": (now + TOLD_WITHIN).isoformat()}
        answered = self.table.change(answer.escalation_id, to, only_if=nobody_answered | the_same_answer)
        if answered is None:
            raise other_one(self.table.find(answer.escalation_id), run)
        return answered

    def _record(
        self,
        question: Question,
        answer: PersonsAnswer,
        decision: Answer | CallTools | HandOver,
        caller: Caller,
        run: Run,
    ) -> EscalationAnswered:
        """Record the decision and return what is on record."""
        answered = EscalationAnswered(
            turn=question.turn,
            escalation_id=answer.escalation_id,
            kind=question.kind,
            by=answer.by,
            role=caller.role,
            decision=decision,
        )
        until = renewed(run.opening.limits, self.runtime.clock())
        return self.log.record(question.run_id, answered.model_copy(update=until))


def _replied_last(run: Run, by: str, said: HandOver) -> str | None:
    """Return the question that was replied to last, where that person said these very words; None otherwise."""
    replies = [one for one in run.facts(EscalationAnswered) if one.kind == ExitReason.QUESTION]
    if not replies or (replies[-1].by, replies[-1].decision) != (by, said):
        return None
    return replies[-1].escalation_id


def repeats(question: Question, answer: PersonsAnswer) -> bool:
    """Whether this very answer was taken already: by the same person, word for word."""
    return answer.sha256 in (question.answer_sha256, *(one.sha256 for one in question.given))


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Take the answer in ``event`` (a ``PersonsAnswer``): who may invoke this function is an operator, by IAM."""
    answer = parse(PersonsAnswer, event, what="Answer")
    caller = Caller(answer.by, None, "operator", frozenset(answer.groups))
    return (runtime or lambda_runtime()).get(Answers.of).take(answer, caller)
