"""Lambda: open an escalation: keep its task token, record it and send it to the people.

If the people have answered before the token was kept, resume the run with that answer.
"""

import base64
import hashlib
from typing import Any

from ballast.contracts import HandOver, OpenTask, ToolCall
from ballast.contracts.wire import canonical, parse, sha256
from ballast.edge import guarded
from ballast.folds.calls import CallState
from ballast.log.event import Event
from ballast.log.events import ApprovalNeeded, ApprovalRequested, EscalationOpened
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.signature import SignatureSettings
from ballast.metrics import metric_line
from ballast.outbox import Announcements
from ballast.run import Run
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.values import dataclass
from functions.people.escalations_table import RESUMED_WITHIN, EscalationsSettings, EscalationsTable
from functions.people.messages import Messages, MessageSchedule, QueueSettings
from functions.people.resume import Resumption
from functions.people.rights import guides_of, proposer


class OpenSettings(LogSettings, SignatureSettings, EscalationsSettings, QueueSettings):
    """The environment of OpenEscalation.

    run_log_table, payload_bucket, retention_days  the log (``LogSettings``)
    answer_key_arn        verifies answers that came before the token (``SignatureSettings``)
    escalations_table     the escalations and their tokens (``EscalationsSettings``)
    escalation_queue_url  the queue to the people (``QueueSettings``)
    """


@dataclass(frozen=True)
class Escalations:
    """Opens escalations."""

    log: RunLog
    announcements: Announcements
    messages: Messages
    table: EscalationsTable
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Escalations":
        """Return the escalations of ``runtime``'s function."""
        return cls(
            runtime.get(RunLog.of),
            runtime.get(Announcements.of),
            runtime.get(Messages.of),
            runtime.get(EscalationsTable.of),
            runtime,
        )

    def open(self, task: OpenTask) -> dict[str, Any]:
        """Keep the escalation with its token, record it and tell the people.

        Opening again (a retried task has a new token) renews the token and may tell people twice, under the same
        escalation id; if people have answered by then, the run goes on at once. An attempt that the workflow has
        given up, and that runs after its own retry, does nothing: the run waits for the retry's token.
        """
        run = self.log.read(task.run_id)
        is_clarification = task.kind == "question"
        seq = EscalationOpened.key(task.turn)
        if task.index is not None and task.kind == "approval":
            seq = ApprovalRequested.key(task.turn, task.index, task.round)
        now = self.runtime.clock()
        schedule = MessageSchedule.opened(now, timeout_s=task.timeout_s, asks_people=not is_clarification)
        escalation_id = escalation_id_of(task.run_id, seq)
        # The execution's input says who asked, and for whom; the log could be changed to say something else.
        tenant = task.tenant or run.opening.request.tenant
        decision, call_sha256 = _proposed(run, task)
        facts: dict[str, Any] = {
            "escalation_id": escalation_id,
            "kind": task.kind,
            "reason": task.reason,
            "summary": (_question(run, task.turn - 1) if is_clarification else "") or run.summary(task.reason),
            "proposed_decision": decision,
            "answer_by": schedule.answer_by.isoformat(),
        }
        if task.kind == "approval":
            facts |= _approval_facts(run, task)
        kept = self.table.keep(
            task,
            facts | {"tenant": tenant, "call_sha256": call_sha256},
            _parties(run, task),
            now=now,
            remind_at=schedule.remind_at,
            look_at=schedule.next_look(now),
        )
        if kept is None:
            return {"escalation_id": escalation_id}
        if not is_clarification:
            facts["may_not_answer"] = kept.may_not_answer
        recorded = self._record(task, facts)
        if not is_clarification and seq not in run.by_seq:
            self.runtime.emit(metric_line({"Escalations": 1}))
        # Later answers use this token; an earlier answer may have used a token that is dead.
        may_be_answered = kept.status == "answered" or kept.answer_key in run.by_seq
        if may_be_answered and self.runtime.get(Resumption.verifying).deliver_to(kept):
            return {"escalation_id": escalation_id}
        if kept.status == "answered":  # the function that took the answer is at work on it, or has died
            self.table.postpone(escalation_id, now + RESUMED_WITHIN)
        if not is_clarification and kept.status == "open":
            message = kept.message(kept.with_changes(decision), sent=1)
            self.messages.send(message, now, look_at=schedule.after_message(now).next_look(now))
        self._announce(run if seq in run.by_seq else run.with_event(recorded))
        return {"escalation_id": escalation_id}

    def _record(self, task: OpenTask, facts: dict[str, Any]) -> Event:
        cut = task.handed_over
        if cut is not None:  # recorded whole, with an error that is None
            cut = cut.model_copy(update={"error": cut.error})
        opened: EscalationOpened | ApprovalRequested
        if task.index is not None and task.kind == "approval":
            opened = ApprovalRequested(turn=task.turn, index=task.index, round=task.round, handed_over=cut, **facts)
        else:
            opened = EscalationOpened(turn=task.turn, handed_over=cut, **facts)
        return self.log.append(task.run_id, opened)

    def _announce(self, run: Run) -> None:
        """Announce the escalation on EventBridge, once. A failure is logged only: the people have the message."""
        try:
            for mark, notice in run.to_announce:
                self.announcements.send(run, mark, notice)
        except Exception as problem:
            # Settle sends what is missing when the run ends.
            why = f"{type(problem).__name__}: {problem}"
            self.runtime.emit(canonical({"level": "WARNING", "message": self.runtime.masked(why)}))


def _parties(run: Run, task: OpenTask) -> dict[str, str | None]:
    """Return the people who may not decide the escalation, as its item keeps them."""
    found: dict[str, str | None] = {"requested_by": task.requested_by or run.opening.requested_by}
    if task.index is None or task.kind != "approval":
        return found
    guides = guides_of(run, task.turn, task.index)
    found |= {"proposed_by": proposer(run, task.turn, task.index), "guided_by": canonical(guides) if guides else None}
    return found


def _proposed(run: Run, task: OpenTask) -> tuple[Any, str | None]:
    """Return the decision that people are shown, and of an approval the hash of its call."""
    state = run.call(task.turn, task.index) if task.index is not None and task.kind == "approval" else None
    if state is None:
        return run.proposed, None
    call = _call_shown(run, task, state).model_dump(mode="json")
    return {"kind": "call_tools", "calls": [call]}, sha256(canonical(call))


def _call_shown(run: Run, task: OpenTask, state: CallState) -> ToolCall:
    """Return the call as people see it: in its one form, if that was made of what is proposed now."""
    made_of = sha256(canonical(state.call.arguments))
    needed = _needed(run, task)
    return state.as_admitted if needed is not None and needed.proposed_sha256 == made_of else state.call


def _needed(run: Run, task: OpenTask) -> ApprovalNeeded | None:
    rounds = {one.number: one for one in run.approvals(task.turn, task.index or 1)}
    return rounds[task.round].needed if task.round in rounds else None


def _approval_facts(run: Run, task: OpenTask) -> dict[str, Any]:
    """Return the facts of an approval: why people must approve, how many, of which group, bound to what."""
    needed = _needed(run, task)
    return {
        "why": needed.why if needed else (),
        "approvals_needed": needed.approvals if needed else 1,
        "approvers": needed.approvers if needed else None,
        "binding": (needed.binding or {}).get("sha256") if needed else None,
    }


def _question(run: Run, turn: int) -> str:
    """Return the question that the decision of ``turn`` puts to the requester."""
    made = run.proposals.get(turn)
    return made.decision.guidance if made is not None and isinstance(made.decision, HandOver) else ""


def escalation_id_of(run_id: str, seq: str) -> str:
    """Return the escalation's id: the same for every attempt at opening it."""
    digest = hashlib.sha256(f"{run_id}\0{seq}".encode()).digest()
    return "esc-" + base64.b32encode(digest[:10]).decode("ascii").lower()


@made_at_init(Escalations.of, "dynamodb")
@guarded
def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Open the escalation of ``event`` (an ``OpenTask``)."""
    task = parse(OpenTask, event, what="OpenTask")
    return (runtime or lambda_runtime()).get(Escalations.of).open(task)
