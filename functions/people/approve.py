"""Take answers to a request for approval: from several people where several must, and with changed arguments.

::

    open ─approve─▶ given 1 of 2 ─approve, by another─▶ answered: approved
      │               └ somebody changes the arguments ─▶ given 0 of 2: theirs is a proposal, which others approve
      └ reject, by anybody, at any time ─▶ answered: rejected
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ballast.contracts.wire import canonical
from ballast.errors import CallRefused, EscalationClosed, InvalidInput, RetryLater, whatever_it_raises
from ballast.folds.opening import renewed
from ballast.http.identity import Caller
from ballast.log.events import ApprovalAnswered, ApprovalGiven, Approved
from ballast.log.run_log import RunLog
from ballast.log.signature import Signatures
from ballast.playbook import Playbook, RunSoFar, load_playbook
from ballast.playbook.gate import admit_call
from ballast.run import Run
from ballast.runtime import Runtime, Settings
from ballast.table import Item, absent, equals
from functions.people.due import DUE, TOLD_WITHIN
from functions.people.persons_answer import PersonsAnswer
from functions.people.question import Given, Question, as_text
from functions.people.resume import Resumption, closed, other_one
from functions.people.table import EscalationsTable

#: So many people may answer at the same moment before one of them has to try again.
_TRIES = 5


class ApproveSettings(Settings):
    """playbook_dir: folder of the playbook, whose gate changed arguments must pass. Nothing of it is executed."""

    playbook_dir: str


def gates_playbook(runtime: Runtime) -> Playbook:
    """Return the playbook; once per runtime."""
    return load_playbook(ApproveSettings.of(runtime).playbook_dir)


@dataclass(frozen=True)
class Approvals:
    """Takes approvals and rejections."""

    log: RunLog
    table: EscalationsTable
    resumption: Resumption
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Approvals":
        """Put it together; once per runtime."""
        log = RunLog.of(runtime, signatures=runtime.get(Signatures.signing))
        return cls(log, runtime.get(EscalationsTable.of), runtime.get(Resumption.of), runtime)

    def take(self, question: Question, answer: PersonsAnswer, caller: Caller, run: Run) -> int:
        """Take the caller's answer and return how many more must approve: 0 where the run goes on.

        The same answer again is harmless. Raises ``InvalidInput`` and ``EscalationClosed``.
        """
        wanted = wants(question, run, self.runtime.get(gates_playbook))
        for _ in range(_TRIES):
            question = wanted.of(question)
            known = question.given_by(answer.by)
            if answer.sha256 in (question.answer_sha256, known and known.sha256):
                repeated = self._looked_after(question)
                if repeated is not None:
                    return self._finish(wanted.of(repeated), answer, run)  # complete what it began
                question = self.table.find(question.escalation_id)
                continue
            if question.status != "open":
                raise other_one(question, run)
            if changed_to(question, answer):
                self._record_change(question, answer)  # a repeat, too
                return question.approvals_needed - len(question.given)
            if known is not None and answer.approve:
                raise EscalationClosed(f"{question.escalation_id}: {answer.by} has approved already.")
            arguments = self._changed(question, answer, run)
            taken = self._consume(question, answer, caller, arguments)
            if taken is not None:
                return self._finish(wanted.of(taken), answer, run)
            question = self.table.find(question.escalation_id)
        raise RetryLater(f"{question.escalation_id}: too many people answer at once; try again.")

    def in_form(self, question: Question, answer: PersonsAnswer, run: Run) -> PersonsAnswer:
        """Return the answer with its arguments in their one form; what the tool cannot read stays as it is."""
        state = run.call(question.turn, question.index) if answer.arguments is not None else None
        tool = self.runtime.get(gates_playbook).tools.get(state.call.tool) if state is not None else None
        if tool is None or tool.marks_arguments:
            return answer
        with whatever_it_raises():  # in a validator of the author's: the gate says so
            form = tool.form.write(tool.form.read(answer.arguments))
            return answer.model_copy(update={"arguments": form})
        return answer

    def _changed(self, question: Question, answer: PersonsAnswer, run: Run) -> dict[str, Any] | None:
        """Return the changed arguments, None where they are as people see them. Raises ``InvalidInput``."""
        if answer.binding not in (None, question.shown):
            raise EscalationClosed(f"{question.escalation_id}: it has changed since you looked. Look again.")
        if answer.approve and answer.binding is None and question.arguments is not None:
            raise InvalidInput(
                "binding: somebody has changed the arguments. Look again, and send the binding of what you saw."
            )
        state = run.call(question.turn, question.index)
        if answer.arguments is None or state is None:
            return None
        current = state.as_admitted.arguments if question.arguments is None else question.arguments
        if canonical(answer.arguments) == canonical(current):
            return None
        playbook = self.runtime.get(gates_playbook)
        tool = playbook.tools.get(state.call.tool)
        if tool is not None and tool.marks_arguments:
            raise InvalidInput(
                f"arguments: some of {tool.name} are sensitive, and masked where you look, so they cannot be changed "
                "here. Reject with a comment that says what to do instead; the escalation stays open."
            )
        call = state.call.model_copy(update={"arguments": answer.arguments})
        try:
            so_far = partial(RunSoFar.before, run, question.turn, question.index)
            operates = run.decided_by_operator(question.turn)
            admit_call(playbook, call, run.opening.request, state.planner, so_far, by_operator=operates, changed=True)
        except CallRefused as refused:
            raise InvalidInput(f"arguments: {refused} Nothing was answered; the escalation stays open.") from None
        return answer.arguments

    def _consume(
        self, question: Question, answer: PersonsAnswer, caller: Caller, arguments: dict[str, Any] | None
    ) -> Question | None:
        """Take the answer, once; None where another one was faster."""
        at = self.runtime.clock()
        now = at.isoformat()
        group = question.approvers if question.approvers in caller.groups else None
        mine = Given(answer.by, now, answer.sha256, answer.comment, question.answers + 1, group)
        given = question.given
        if answer.approve:  # who approved other arguments has not approved these, and who changed them proposes them
            given = () if arguments is not None else (*given, mine)
        nobody_answered_since = equals("answers", question.answers) if question.answers else absent("answers")
        to: Item = {"answers": question.answers + 1, "given": as_text(given)}
        if arguments is not None:
            to |= {"arguments": canonical(arguments), "changed_by": answer.by}
        if not answer.approve or len(given) >= question.approvals_needed:
            to |= {"status": "answered", "answer_sha256": answer.sha256, "answered_by": answer.by, "answered_at": now}
            to |= {"answer_comment": answer.comment, "due": DUE, "due_at": (at + TOLD_WITHIN).isoformat()}
        else:  # the others have to see what is new
            to |= {"due": DUE, "due_at": now, "changed_at": now}
        it_is_open = equals("status", "open")
        return self.table.change(question.escalation_id, to, only_if=it_is_open & nobody_answered_since)

    def _finish(self, question: Question, answer: PersonsAnswer, run: Run) -> int:
        """Record what the table has taken, and let the run go on where that decides. Repeatable."""
        if question.status == "open":
            if changed_to(question, answer):
                self._record_change(question, answer)
            self._record_one(question, answer)
            return question.approvals_needed - len(question.given)
        if not question.resumed:
            self.resumption.resume(question, self._record_all(question, run), claimed=True)
        return 0

    def _looked_after(self, question: Question) -> Question | None:
        """Have Remind look after an answered question, should this process die, until its run has the answer.

        None where it is not as it was read: the run has the answer, or Remind has opened it again.
        """
        if question.status == "open" or question.resumed:
            return question
        now = self.runtime.clock()
        to = {"answered_at": now.isoformat(), "due": DUE, "due_at": (now + TOLD_WITHIN).isoformat()}
        it_is_as_it_was = absent("resumed_at") & equals("answer_sha256", question.answer_sha256)
        return self.table.change(question.escalation_id, to, only_if=it_is_as_it_was)

    def _record_one(self, question: Question, answer: PersonsAnswer) -> None:
        mine = question.given_by(answer.by)
        if mine is None:
            return
        given = _given(question, mine.number, mine.by, mine.comment, len(question.given))
        if question.arguments is not None:
            given = given.model_copy(update={"arguments": question.arguments})
        self.log.append(question.run_id, given)

    def _record_change(self, question: Question, answer: PersonsAnswer) -> None:
        """Record who changed the arguments, under the number of that answer."""
        given = _given(question, question.answers, answer.by, answer.comment, 0)
        changed = {"changed": True, "arguments": question.arguments}
        self.log.append(question.run_id, given.model_copy(update=changed))

    def _record_all(self, question: Question, run: Run) -> ApprovalAnswered:
        """Record the answer that decides, and return what is on record.

        Raises ``EscalationClosed`` where the run no longer waited for one.
        """
        approved = len(question.given) >= question.approvals_needed
        answered = ApprovalAnswered(
            turn=question.turn,
            index=question.index,
            round=question.round,
            escalation_id=question.escalation_id,
            by=question.answered_by,
            approve=approved,
            comment=question.comment,
            approvals=tuple(_signed(one) for one in question.given),
            binding=question.binding,
        )
        more: dict[str, Any] = {} if question.call_sha256 is None else {"call_sha256": question.call_sha256}
        if approved and question.arguments is not None:
            more |= {"arguments": question.arguments, "shown": question.shown}
        more |= renewed(run.opening.limits, self.runtime.clock())
        recorded = self.log.record(question.run_id, answered.model_copy(update=more))
        if recorded.approve is None:
            raise closed(question)
        return recorded


@dataclass(frozen=True)
class Wanted:
    """What the playbook wants of those who approve a call: members of which group, and how many."""

    approvers: str | None = None
    approvals: int = 1

    def of(self, question: Question) -> Question:
        """Return the question as the playbook has it; its item was written by what the log said of it."""
        needed = max(question.approvals_needed, self.approvals)
        return replace(question, approvers=self.approvers or question.approvers, approvals_needed=needed)


def wants(question: Question, run: Run, playbook: Playbook) -> Wanted:
    """Return what the tool of the call behind ``question`` wants. Of what is no approval: nothing."""
    state = run.call(question.turn, question.index) if question.kind == "approval" else None
    tool = playbook.tools.get(state.call.tool) if state is not None else None
    return Wanted() if tool is None else Wanted(tool.approval.approvers, tool.approval.people)


def _given(question: Question, number: int, by: str, comment: str, given: int) -> ApprovalGiven:
    """Return an answer that does not decide alone, ``given`` being the approvals that count with it."""
    return ApprovalGiven(
        turn=question.turn,
        index=question.index,
        round=question.round,
        number=number,
        escalation_id=question.escalation_id,
        by=by,
        comment=comment,
        given=given,
        needed=question.approvals_needed,
        binding=question.shown,
    )


def _signed(one: Given) -> Approved:
    """Return what is signed of one person's approval."""
    signed = Approved(by=one.by, at=one.at, comment=one.comment)
    return signed.model_copy(update={"group": one.group}) if one.group else signed


def changed_to(question: Question, answer: PersonsAnswer) -> bool:
    """Whether the answer is the change of the arguments that the table holds now, and nobody has answered since."""
    mine = question.changed_by == answer.by and not question.given and answer.arguments is not None
    return mine and question.arguments is not None and canonical(answer.arguments) == canonical(question.arguments)
