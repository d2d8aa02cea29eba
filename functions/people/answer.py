"""Lambda: take a person's answer: check it, record it, then resume the waiting run with it.

An approval may need several people, and somebody may change the call's arguments::

    open ─approve─▶ given 1 of 2 ─approve, by another─▶ answered: approved
      │               └ somebody changes the arguments ─▶ given 0 of 2: theirs is a proposal, which others approve
      └ reject, by anybody, at any time ─▶ answered: rejected
"""

from dataclasses import replace
from functools import partial
from typing import Any

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, parse_decision
from ballast.contracts.wire import canonical, parse
from ballast.edge import guarded
from ballast.errors import (
    CallRefused,
    EscalationClosed,
    InvalidInput,
    RetryLater,
    SettingInvalid,
    whatever_it_raises,
)
from ballast.escalations import Approval, Escalation
from ballast.folds.opening import renewed
from ballast.http.identity import Caller
from ballast.log.events import ApprovalAnswered, ApprovalGiven, Approved, EscalationAnswered
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.seal import Seal, SealSettings
from ballast.log.signature import Signatures, SignatureSettings
from ballast.playbook import Playbook, RunSoFar, load_playbook
from ballast.playbook.gate import admit_call
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.table import Item, absent, equals
from ballast.validation import answer_too_large
from ballast.values import dataclass
from functions.people.contract import PersonsAnswer
from functions.people.escalations_table import (
    RESUMED_WITHIN,
    EscalationsSettings,
    EscalationsTable,
    approvals_text,
    due_at,
)
from functions.people.resume import Resumption, answered_otherwise, no_longer_waits, went_on
from functions.people.rights import check, check_decision, granted_microusd

#: People who may answer at the same moment before one of them has to try again.
_TRIES = 5


class AnswerSettings(LogSettings, SealSettings, SignatureSettings, EscalationsSettings):
    """The environment of AnswerEscalation.

    run_log_table, payload_bucket, retention_days  the log (``LogSettings``)
    sensitive_key_arn  seals the sensitive arguments of a call that a person makes (``SealSettings``)
    answer_key_arn     signs answers (``SignatureSettings``)
    escalations_table  the escalations and their tokens (``EscalationsSettings``)
    playbook_dir       folder of the playbook: its gate checks changed arguments; nothing of it is executed
    model_id           model to ask instead of those of the playbook's agents; "" keeps them
    """

    playbook_dir: str
    model_id: str = ""


def playbook_of(runtime: Runtime) -> Playbook:
    """Return the playbook; once per runtime."""
    return load_playbook(AnswerSettings.of(runtime).playbook_dir, check_models=False)


@dataclass(frozen=True)
class Answers:
    """Takes answers, each once."""

    log: RunLog
    table: EscalationsTable
    resumption: Resumption
    approvals: "Approvals"
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Answers":
        """Return the answers of ``runtime``'s function."""
        return cls(
            # A person's call may have sensitive arguments, which are sealed; what others wrote stays masked here.
            RunLog.of(
                runtime,
                Seal.of(runtime, runtime.get(playbook_of), opens=False),
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
        escalation = self.table.find(answer.escalation_id)
        run = self.log.read(escalation.run_id)
        answer = self.approvals.in_form(escalation, answer, run)
        decision = _decision_of(escalation, answer)
        if isinstance(decision, HandOver) and decision.agent is not None:
            _check_agent(decision.agent, run, self.runtime.get(playbook_of))
        escalation = ApprovalPolicy.of(escalation, run, self.runtime.get(playbook_of)).applied_to(escalation)
        # A repeat passed these checks when it came first.
        if not _is_repeat(escalation, answer) and not _is_latest_change(escalation, answer):
            check(escalation, caller, run)
            if decision is not None:
                before = partial(self.granted_microusd, escalation)
                check_decision(escalation, decision, caller, before, self.runtime.get(playbook_of))
                if isinstance(decision, HandOver) and decision.agent is not None and not run.has_ended:
                    self._check_asked(escalation, answer, decision, caller, run)
        still_needed = 0
        if run.has_ended:
            self._check_that_it_counted(escalation, answer, run)
        elif decision is None:
            still_needed = self.approvals.take(escalation, answer, caller, run)
        else:
            self._take(escalation, answer, decision, caller, run)
        return {
            "escalation_id": answer.escalation_id,
            "run_id": escalation.run_id,
            "status": "waiting" if still_needed else "answered",
            "still_needed": still_needed,
        }

    def _check_asked(
        self, escalation: Escalation, answer: PersonsAnswer, decision: HandOver, caller: Caller, run: Run
    ) -> None:
        """Raise ``InvalidInput`` if no model of the named agent can be asked with what ``run`` holds."""
        from ballast.playbook.hand_back import why_not_handed_back  # a usual answer reads no model card

        settings, region = AnswerSettings.of(self.runtime), self.runtime.region
        try:
            playbook = self.runtime.get(playbook_of).in_region(region)
            why = why_not_handed_back(
                playbook,
                run,
                _answered(escalation, answer, decision, caller),
                on=self.runtime.clock().date(),
                model_id=playbook.models.in_region(settings.model_id, region),
            )
        except SettingInvalid as cards:  # the playbook's models.yaml
            why = str(cards)
        if why is not None:
            raise InvalidInput(
                f"decision.agent: {decision.agent} cannot go on with this request: {why} Name another agent, or leave "
                "it out. Nothing was answered; the escalation stays open."
            )

    def granted_microusd(self, escalation: Escalation) -> int:
        """Return what people had added to the run's budget before this escalation, in micro-dollars.

        An answer to it that never reached the log is in the table only, and has added nothing.
        """
        run = self.log.read(escalation.run_id)
        granted = self.table.granted(escalation.run_id)
        kept = {turn: added for turn, added in granted.items() if turn != escalation.turn}
        return granted_microusd(run, kept, self.runtime.get(playbook_of))

    def reply(self, run_id: str, text: str, caller: Caller) -> dict[str, Any]:
        """Take the requester's ``text`` as the reply to the clarification that the run waits for.

        Raises ``EscalationClosed`` if the agent asks the requester nothing.
        """
        run = self.log.read(run_id)
        waiting = run.progress
        decision = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance=text)
        escalation_id = waiting.escalation_id if waiting.reason == ExitReason.QUESTION else None
        if escalation_id is None:  # a reply is on record: the same one again finishes what it began
            escalation_id = _latest_replied(run, caller.principal, decision)
        if escalation_id is None:
            raise EscalationClosed(
                f"{run_id} does not wait for the requester now. GET /runs/{run_id} shows its status."
            )
        said = decision.model_dump(mode="json")
        return self.take(PersonsAnswer(escalation_id=escalation_id, by=caller.principal, decision=said), caller)

    def _take(
        self,
        escalation: Escalation,
        answer: PersonsAnswer,
        decision: Answer | CallTools | HandOver,
        caller: Caller,
        run: Run,
    ) -> None:
        if escalation.resumed and _is_repeat(escalation, answer):
            return  # the run has this very answer already
        escalation = self._consume(answer, run)
        if not escalation.resumed:
            granted = decision.add_budget_microusd if isinstance(decision, HandOver) else 0
            if granted or escalation.reopened:  # a discarded answer may have granted something
                # Before the log has it: the grant counts even if the log's entry is changed later.
                self.table.grant(escalation.run_id, escalation.turn, granted)
            recorded = self._record(escalation, answer, decision, caller, run)
            self.resumption.resume(escalation, recorded, claimed=False)

    def _check_that_it_counted(self, escalation: Escalation, answer: PersonsAnswer, run: Run) -> None:
        """Raise ``EscalationClosed`` unless the run, which has ended, went on with this very answer."""
        if not _is_repeat(escalation, answer) or not (escalation.resumed or went_on(run, escalation)):
            raise no_longer_waits(escalation)

    def _consume(self, answer: PersonsAnswer, run: Run) -> Escalation:
        """Mark the escalation as answered, once; the same answer may come again to finish what it began."""
        nobody_answered = equals("status", "open")
        the_same_answer = equals("answer_sha256", answer.sha256)
        now = self.runtime.clock()
        to = {"status": "answered", "answer_sha256": answer.sha256, "answered_by": answer.by}
        # Due until the run is known to have it: if this process dies after recording it, Remind resumes the run.
        to |= {"answered_at": now.isoformat()} | due_at(now + RESUMED_WITHIN)
        answered = self.table.change(answer.escalation_id, to, only_if=nobody_answered | the_same_answer)
        if answered is None:
            raise answered_otherwise(self.table.find(answer.escalation_id), run)
        return answered

    def _record(
        self,
        escalation: Escalation,
        answer: PersonsAnswer,
        decision: Answer | CallTools | HandOver,
        caller: Caller,
        run: Run,
    ) -> EscalationAnswered:
        """Record the decision and return what is on record."""
        answered = _answered(escalation, answer, decision, caller)
        until = renewed(run.opening.limits, self.runtime.clock())
        return self.log.record(escalation.run_id, answered.model_copy(update=until))


@dataclass(frozen=True)
class Approvals:
    """Takes approvals and rejections of a call."""

    log: RunLog
    table: EscalationsTable
    resumption: Resumption
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Approvals":
        """Return the approvals of ``runtime``'s function."""
        log = RunLog.of(runtime, signatures=runtime.get(Signatures.signing))
        return cls(log, runtime.get(EscalationsTable.of), runtime.get(Resumption.of), runtime)

    def take(self, escalation: Escalation, answer: PersonsAnswer, caller: Caller, run: Run) -> int:
        """Take the caller's answer and return how many more must approve: 0 if the run goes on.

        The same answer again is harmless. Raises ``InvalidInput`` and ``EscalationClosed``.
        """
        policy = ApprovalPolicy.of(escalation, run, self.runtime.get(playbook_of))
        for _ in range(_TRIES):
            escalation = policy.applied_to(escalation)
            known = escalation.approval_of(answer.by)
            if answer.sha256 in (escalation.answer_sha256, known and known.sha256):
                repeated = self._kept_due(escalation)
                if repeated is not None:
                    return self._finish(policy.applied_to(repeated), answer, run)  # complete what it began
                escalation = self.table.find(escalation.escalation_id)
                continue
            if escalation.status != "open":
                raise answered_otherwise(escalation, run)
            if _is_latest_change(escalation, answer):
                self._record_change(escalation, answer)  # a repeat as well
                return escalation.approvals_needed - len(escalation.approvals)
            if known is not None and answer.approve:
                raise EscalationClosed(f"{escalation.escalation_id}: {answer.by} has approved already.")
            arguments = self._changed_arguments(escalation, answer, run)
            taken = self._consume(escalation, answer, caller, arguments)
            if taken is not None:
                return self._finish(policy.applied_to(taken), answer, run)
            escalation = self.table.find(escalation.escalation_id)
        raise RetryLater(f"{escalation.escalation_id}: too many people answer at once; try again.")

    def in_form(self, escalation: Escalation, answer: PersonsAnswer, run: Run) -> PersonsAnswer:
        """Return the answer with its arguments in their one form, or as they are if the tool cannot read them."""
        state = run.call(escalation.turn, escalation.index) if answer.arguments is not None else None
        tool = self.runtime.get(playbook_of).tools.get(state.call.tool) if state is not None else None
        if tool is None or tool.marks_arguments:
            return answer
        with whatever_it_raises():  # an author's validator may raise anything; the gate reports it
            form = tool.form.write(tool.form.read(answer.arguments))
            return answer.model_copy(update={"arguments": form})
        return answer

    def _changed_arguments(self, escalation: Escalation, answer: PersonsAnswer, run: Run) -> dict[str, Any] | None:
        """Return the changed arguments; None if they are as people see them. Raises ``InvalidInput``."""
        if answer.binding not in (None, escalation.shown):
            raise EscalationClosed(f"{escalation.escalation_id}: it has changed since you looked. Look again.")
        if answer.approve and answer.binding is None and escalation.arguments is not None:
            raise InvalidInput(
                "binding: somebody has changed the arguments. Look again, and send the binding of what you saw."
            )
        state = run.call(escalation.turn, escalation.index)
        if answer.arguments is None or state is None:
            return None
        current = state.as_admitted.arguments if escalation.arguments is None else escalation.arguments
        if canonical(answer.arguments) == canonical(current):
            return None
        playbook = self.runtime.get(playbook_of)
        tool = playbook.tools.get(state.call.tool)
        if tool is not None and tool.marks_arguments:
            raise InvalidInput(
                f"arguments: {tool.name} has sensitive arguments, which are masked here, so they cannot be changed. "
                "Reject with a comment that says what to do instead; the escalation stays open."
            )
        call = state.call.model_copy(update={"arguments": answer.arguments})
        try:
            so_far = partial(RunSoFar.before, run, escalation.turn, escalation.index)
            operates = run.decided_by_operator(escalation.turn)
            admit_call(playbook, call, run.opening.request, state.planner, so_far, by_operator=operates, changed=True)
        except CallRefused as refused:
            raise InvalidInput(f"arguments: {refused} Nothing was answered; the escalation stays open.") from None
        return answer.arguments

    def _consume(
        self, escalation: Escalation, answer: PersonsAnswer, caller: Caller, arguments: dict[str, Any] | None
    ) -> Escalation | None:
        """Take the answer, once; None if another one was faster."""
        now = self.runtime.clock()
        group = escalation.approvers if escalation.approvers in caller.groups else None
        mine = Approval(answer.by, now.isoformat(), answer.sha256, answer.comment, escalation.answers + 1, group)
        approvals = escalation.approvals
        if answer.approve:  # nobody has approved changed arguments yet, and the person who changed them proposes them
            approvals = () if arguments is not None else (*approvals, mine)
        nobody_answered_since = equals("answers", escalation.answers) if escalation.answers else absent("answers")
        to: Item = {"answers": escalation.answers + 1, "given": approvals_text(approvals)}
        if arguments is not None:
            to |= {"arguments": canonical(arguments), "changed_by": answer.by}
        if not answer.approve or len(approvals) >= escalation.approvals_needed:
            to |= {"status": "answered", "answer_sha256": answer.sha256, "answered_by": answer.by}
            to |= {"answered_at": now.isoformat(), "answer_comment": answer.comment} | due_at(now + RESUMED_WITHIN)
        else:  # the others have to see what is new
            to |= due_at(now) | {"changed_at": now.isoformat()}
        it_is_open = equals("status", "open")
        return self.table.change(escalation.escalation_id, to, only_if=it_is_open & nobody_answered_since)

    def _finish(self, escalation: Escalation, answer: PersonsAnswer, run: Run) -> int:
        """Record what the table has taken; resume the run if that decides. Repeatable."""
        if escalation.status == "open":
            if _is_latest_change(escalation, answer):
                self._record_change(escalation, answer)
            self._record_one(escalation, answer)
            return escalation.approvals_needed - len(escalation.approvals)
        if not escalation.resumed:
            self.resumption.resume(escalation, self._record_decision(escalation, run), claimed=True)
        return 0

    def _kept_due(self, escalation: Escalation) -> Escalation | None:
        """Keep an answered escalation due until its run has the answer, in case this process dies.

        None if it has changed since it was read: the run has the answer, or Remind has opened it again.
        """
        if escalation.status == "open" or escalation.resumed:
            return escalation
        now = self.runtime.clock()
        to = {"answered_at": now.isoformat()} | due_at(now + RESUMED_WITHIN)
        unchanged = absent("resumed_at") & equals("answer_sha256", escalation.answer_sha256)
        return self.table.change(escalation.escalation_id, to, only_if=unchanged)

    def _record_one(self, escalation: Escalation, answer: PersonsAnswer) -> None:
        mine = escalation.approval_of(answer.by)
        if mine is None:
            return
        given = _approval_given(escalation, mine.number, mine.by, mine.comment, len(escalation.approvals))
        if escalation.arguments is not None:
            given = given.model_copy(update={"arguments": escalation.arguments})
        self.log.append(escalation.run_id, given)

    def _record_change(self, escalation: Escalation, answer: PersonsAnswer) -> None:
        """Record who changed the arguments, under the number of that answer."""
        given = _approval_given(escalation, escalation.answers, answer.by, answer.comment, 0)
        changed = {"changed": True, "arguments": escalation.arguments}
        self.log.append(escalation.run_id, given.model_copy(update=changed))

    def _record_decision(self, escalation: Escalation, run: Run) -> ApprovalAnswered:
        """Record the answer that decides and return what is on record.

        Raises ``EscalationClosed`` if the run no longer waited for one.
        """
        approved = len(escalation.approvals) >= escalation.approvals_needed
        answered = ApprovalAnswered(
            turn=escalation.turn,
            index=escalation.index,
            round=escalation.round,
            escalation_id=escalation.escalation_id,
            by=escalation.answered_by,
            approve=approved,
            comment=escalation.comment,
            approvals=tuple(_signed(one) for one in escalation.approvals),
            binding=escalation.binding,
        )
        more: dict[str, Any] = {} if escalation.call_sha256 is None else {"call_sha256": escalation.call_sha256}
        if approved and escalation.arguments is not None:
            more |= {"arguments": escalation.arguments, "shown": escalation.shown}
        more |= renewed(run.opening.limits, self.runtime.clock())
        recorded = self.log.record(escalation.run_id, answered.model_copy(update=more))
        if recorded.approve is None:
            raise no_longer_waits(escalation)
        return recorded


@dataclass(frozen=True)
class ApprovalPolicy:
    """What a tool's author asks of the people who approve its calls: members of which group, and how many."""

    approvers: str | None = None
    people: int = 1

    @classmethod
    def of(cls, escalation: Escalation, run: Run, playbook: Playbook) -> "ApprovalPolicy":
        """Return the policy of the tool behind ``escalation``; the loosest one if that is no approval."""
        state = run.call(escalation.turn, escalation.index) if escalation.is_approval else None
        tool = playbook.tools.get(state.call.tool) if state is not None else None
        return cls() if tool is None else cls(tool.approval.approvers, tool.approval.people)

    def applied_to(self, escalation: Escalation) -> Escalation:
        """Return the escalation with the playbook's policy: its item was written from the log, which may be forged."""
        needed = max(escalation.approvals_needed, self.people)
        return replace(escalation, approvers=self.approvers or escalation.approvers, approvals_needed=needed)


def _decision_of(escalation: Escalation, answer: PersonsAnswer) -> Answer | CallTools | HandOver | None:
    """Return the answer's decision; None for an approval.

    Raises ``InvalidInput`` if it does not answer this escalation. ``rights`` checks who may give it.
    """
    if escalation.is_approval:
        if answer.approve is None or answer.decision is not None:
            raise InvalidInput("approve: this escalation asks for an approval; send only approve: true or false.")
        if answer.arguments is not None and not answer.approve:
            raise InvalidInput("arguments: send them only with approve: true; a rejected call is not executed.")
        return None
    if answer.arguments is not None or answer.binding is not None:
        name = "arguments" if answer.arguments is not None else "binding"
        raise InvalidInput(f"{name}: send it only with approve, to an escalation that asks for an approval.")
    if answer.decision is None or answer.approve is not None:
        raise InvalidInput("decision: this escalation asks for a decision; send an answer, calls or a hand-over.")
    decision = parse_decision(answer.decision)
    if isinstance(decision, Answer) and (long := answer_too_large(decision)):
        raise InvalidInput(f"decision.text: {long}. Shorten it, or say where the rest is.")
    if escalation.is_clarification:
        granted = isinstance(decision, HandOver) and decision.add_budget_microusd
        if not isinstance(decision, HandOver) or decision.to is not Planner.AGENT or granted or decision.agent:
            raise InvalidInput("decision: the agent asks the requester; their reply goes back to it as guidance.")
        return decision
    if isinstance(decision, HandOver) and decision.to is Planner.REQUESTER:
        raise InvalidInput("decision.to: a person cannot hand over to the requester; answer, or guide the agent.")
    if isinstance(decision, HandOver) and decision.to is Planner.PERSON:
        raise InvalidInput("decision.to: a person cannot hand over to a person; leave the escalation open instead.")
    return decision


def _answered(
    escalation: Escalation, answer: PersonsAnswer, decision: Answer | CallTools | HandOver, caller: Caller
) -> EscalationAnswered:
    """Return the decision as it is recorded, without the run's new deadlines."""
    return EscalationAnswered(
        turn=escalation.turn,
        escalation_id=answer.escalation_id,
        kind=escalation.kind,
        by=answer.by,
        role=caller.role,
        decision=decision,
    )


def _check_agent(name: str, run: Run, playbook: Playbook) -> None:
    """Raise ``InvalidInput`` if a person hands back to an agent that cannot go on with the request."""
    intent = run.opening.request.intent
    able = [agent for agent, config in playbook.agents.items() if config.knows(intent)]
    if name not in able:
        raise InvalidInput(
            f"decision.agent: there is no agent {name!r} that takes a request of the intent {intent!r}. "
            f"Leave it out, or name one of: {', '.join(able)}."
        )


def _latest_replied(run: Run, by: str, said: HandOver) -> str | None:
    """Return the latest clarification if that person replied to it with these very words; None otherwise."""
    replies = [one for one in run.facts(EscalationAnswered) if one.kind == ExitReason.QUESTION]
    if not replies or (replies[-1].by, replies[-1].decision) != (by, said):
        return None
    return replies[-1].escalation_id


def _is_repeat(escalation: Escalation, answer: PersonsAnswer) -> bool:
    """Whether this very answer was taken already: by the same person, word for word."""
    return answer.sha256 in (escalation.answer_sha256, *(one.sha256 for one in escalation.approvals))


def _is_latest_change(escalation: Escalation, answer: PersonsAnswer) -> bool:
    """Whether the answer is the change of arguments that the table holds, and nobody has answered since."""
    mine = escalation.changed_by == answer.by and not escalation.approvals and answer.arguments is not None
    return mine and escalation.arguments is not None and canonical(answer.arguments) == canonical(escalation.arguments)


def _approval_given(escalation: Escalation, number: int, by: str, comment: str, given: int) -> ApprovalGiven:
    """Return an answer that does not decide alone; ``given`` approvals count with it."""
    return ApprovalGiven(
        turn=escalation.turn,
        index=escalation.index,
        round=escalation.round,
        number=number,
        escalation_id=escalation.escalation_id,
        by=by,
        comment=comment,
        given=given,
        needed=escalation.approvals_needed,
        binding=escalation.shown,
    )


def _signed(one: Approval) -> Approved:
    """Return the signed part of one person's approval."""
    signed = Approved(by=one.by, at=one.at, comment=one.comment)
    return signed.model_copy(update={"group": one.group}) if one.group else signed


@made_at_init(Answers.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Take the answer in ``event`` (a ``PersonsAnswer``), or the feedback (a ``PersonsFeedback``).

    By IAM only an operator may invoke this function.
    """
    if "verdict" in event:
        from functions.people.feedback import taken_by_iam  # it needs this module

        return taken_by_iam(event, runtime or lambda_runtime())
    answer = parse(PersonsAnswer, event, what="Answer")
    caller = Caller(answer.by, None, "operator", frozenset(answer.groups))
    return (runtime or lambda_runtime()).get(Answers.of).take(answer, caller)
