"""Lambda: tell the people, and keep the task token where only their answer finds it; where it came before, go on."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ballast.contracts import HandOver, OpenTask, ToolCall
from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical, parse, sha256
from ballast.edge import guarded
from ballast.folds.calls import CallState
from ballast.log.events import ApprovalNeeded, ApprovalRequested, EscalationOpened
from ballast.log.run_log import RunLog
from ballast.metrics import metric_line
from ballast.outbox import Announcements
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime
from ballast.table import Table, Update, absent, at_most
from functions.people.due import DUE, TOLD_WITHIN, Telling
from functions.people.messages import Messages
from functions.people.question import Question, in_a_message
from functions.people.resume import Resumption, seq_of_answer
from functions.people.rights import guides_of, proposer
from functions.people.table import EscalationsSettings, Forgetting


@dataclass(frozen=True)
class Escalations:
    """Opens escalations and requests for approval."""

    log: RunLog
    announcements: Announcements
    messages: Messages
    table: Table
    forgetting: Forgetting
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Escalations":
        """Put it together; once per runtime."""
        return cls(
            runtime.get(RunLog.of),
            runtime.get(Announcements.of),
            runtime.get(Messages.of),
            EscalationsSettings.of(runtime).table(runtime),
            runtime.get(Forgetting.of),
            runtime,
        )

    def open(self, task: OpenTask) -> dict[str, Any]:
        """Record the escalation, keep its token, tell the people.

        Opening again (a retried task has a new token) renews the token and may tell them twice, under the same
        escalation id; where people have answered by then, the run goes on at once. An attempt that the workflow has
        given up, and that comes after its own retry, does nothing: the run waits for the retry's token.
        """
        run = self.log.read(task.run_id)
        is_approval = task.kind == "approval" and task.index is not None
        index = task.index or 1
        seq = EscalationOpened.key(task.turn)
        if is_approval:
            seq = ApprovalRequested.key(task.turn, index, task.round)
        escalation_id = escalation_id_of(task.run_id, seq)
        decision: Any = run.proposed
        call_sha256: str | None = None
        if is_approval and (state := run.call(task.turn, index)):
            decision = {"kind": "call_tools", "calls": [_asked_about(run, task, state).model_dump(mode="json")]}
            call_sha256 = sha256(canonical(decision["calls"][0]))
        question = asked(run, task.turn - 1) if task.kind == "question" else None
        now, opened_as = self.runtime.clock(), run.opening
        # The execution's input says who asked, and for whom; the log could be made to say something else.
        tenant = task.tenant or opened_as.request.tenant
        answer_by = now + timedelta(seconds=task.timeout_s)
        told: dict[str, Any] = {
            "escalation_id": escalation_id,
            "kind": task.kind,
            "reason": task.reason,
            "summary": question or run.summary(task.reason),
            "proposed_decision": decision,
            "answer_by": answer_by.isoformat(),
        }
        requested_by = task.requested_by or opened_as.requested_by
        proposed_by = proposer(run, task.turn, index) if is_approval else None
        guided_by = guides_of(run, task.turn, index) if is_approval else ()
        if task.kind != "question":
            parties = (requested_by, proposed_by, *guided_by)
            told["may_not_answer"] = tuple(dict.fromkeys(who for who in parties if who))
        if is_approval:
            told |= _asked_of(run, task)
        telling = Telling(
            opened_at=now,
            answer_by=answer_by,
            remind_at=now + timedelta(seconds=task.timeout_s / 2),
            asks_people=task.kind != "question",
        )
        who = {"requested_by": requested_by, "proposed_by": proposed_by}
        who |= {"guided_by": canonical(guided_by) if guided_by else None}
        kept = self._keep(task, tenant, told | {"call_sha256": call_sha256}, telling, who)
        if kept is None:
            return {"escalation_id": escalation_id}
        cut = task.handed_over
        if cut is not None:  # recorded whole, with the error that it has not
            cut = cut.model_copy(update={"error": cut.error})
        opened: EscalationOpened | ApprovalRequested
        if is_approval:
            opened = ApprovalRequested(turn=task.turn, index=index, round=task.round, handed_over=cut, **told)
        else:
            opened = EscalationOpened(turn=task.turn, handed_over=cut, **told)
        recorded = self.log.append(task.run_id, opened)
        if task.kind != "question" and seq not in run.by_seq:
            self.runtime.emit(metric_line({"Escalations": 1}))
        # Whoever answers from now on finds this token. Whoever did before may have found one that nobody waits by.
        may_be_answered = kept.status == "answered" or seq_of_answer(kept) in run.by_seq
        if may_be_answered and self.runtime.get(Resumption.verifying).deliver_to(kept):
            return {"escalation_id": escalation_id}
        if kept.status == "answered":  # by somebody who is at work on it, or died
            self.messages.postpone(escalation_id, now + TOLD_WITHIN)
        if task.kind != "question" and kept.status == "open":
            told["proposed_decision"] = in_a_message(decision)
            message = EscalationMessage(run_id=task.run_id, tenant=tenant, opened_at=now.isoformat(), **told)
            self.messages.send(message, now, look_at=telling.told(now).next_look(now))
        self._announce(run if seq in run.by_seq else run.with_event(recorded))
        return {"escalation_id": escalation_id}

    def _announce(self, run: Run) -> None:
        """Tell of an escalation, once. The people have it already: whatever is wrong, no event is worth the run."""
        try:
            for mark, notice in run.to_announce:
                self.announcements.send(run, mark, notice)
        except Exception as problem:
            # Settle makes up for it when the run ends.
            why = f"{type(problem).__name__}: {problem}"
            self.runtime.emit(canonical({"level": "WARNING", "message": self.runtime.masked(why)}))

    def _keep(
        self, task: OpenTask, tenant: str, facts: dict[str, Any], telling: Telling, parties: dict[str, str | None]
    ) -> Question | None:
        """Keep the question and its token, and return it as it is then; None where the table has a newer token."""
        now = telling.opened_at
        values: dict[str, str | int] = {
            "run_id": task.run_id,
            "tenant": tenant,
            "turn": task.turn,
            "call_index": task.index or 0,
            "round": task.round,
            "kind": task.kind,
            "reason": task.reason,
            "summary": facts["summary"],
            "answer_by": facts["answer_by"],
            "remind_at": telling.remind_at.isoformat(),
            "due": DUE,
            "due_at": telling.next_look(now).isoformat(),
            "task_token": task.task_token,
            "token_order": task.attempt.order,
            "approvals_needed": facts.get("approvals_needed", 1),
        }
        why = canonical(list(facts["why"])) if facts.get("why") else None
        more = parties | {"approvers": facts.get("approvers"), "binding": facts.get("binding"), "why": why}
        more |= {"call_sha256": facts["call_sha256"]}
        values |= {name: value for name, value in more.items() if value}
        nobody_kept_one_yet = absent("token_order")
        none_is_newer = at_most("token_order", task.attempt.order)
        # An answer that came before the retry stays; the token is renewed, and the run waits again.
        update = Update(
            {"escalation_id": facts["escalation_id"]},
            set=values,
            set_if_absent={"opened_at": now.isoformat(), "status": "open"},
            remove=["resumed_at", "reminded_at"],
            only_if=nobody_kept_one_yet | none_is_newer,
        )
        kept = self.table.write(self.forgetting.into(update), show=True).item
        return None if kept is None else Question.of(kept)


def _asked_about(run: Run, task: OpenTask, state: CallState) -> ToolCall:
    """Return the call as people see it: in its one form, where that was made of what is proposed now."""
    made_of = sha256(canonical(state.call.arguments))
    needed = _needed(run, task)
    return state.as_admitted if needed is not None and needed.proposed_sha256 == made_of else state.call


def _needed(run: Run, task: OpenTask) -> ApprovalNeeded | None:
    rounds = {one.number: one for one in run.approvals(task.turn, task.index or 1)}
    return rounds[task.round].needed if task.round in rounds else None


def _asked_of(run: Run, task: OpenTask) -> dict[str, Any]:
    """Return what the people are told of an approval besides: why, how many, of which group, bound to what."""
    needed = _needed(run, task)
    return {
        "why": needed.why if needed else (),
        "approvals_needed": needed.approvals if needed else 1,
        "approvers": needed.approvers if needed else None,
        "binding": (needed.binding or {}).get("sha256") if needed else None,
    }


def asked(run: Run, turn: int) -> str:
    """Return the question that the decision of ``turn`` puts to the requester."""
    made = run.proposals.get(turn)
    return made.decision.guidance if made is not None and isinstance(made.decision, HandOver) else ""


def escalation_id_of(run_id: str, seq: str) -> str:
    """Return the id: the same for every attempt at opening the same escalation."""
    digest = hashlib.sha256(f"{run_id}\0{seq}".encode()).digest()
    return "esc-" + base64.b32encode(digest[:10]).decode("ascii").lower()


@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Open the escalation of ``event`` (an ``OpenTask``)."""
    task = parse(OpenTask, event, what="OpenTask")
    return (runtime or lambda_runtime()).get(Escalations.of).open(task)
