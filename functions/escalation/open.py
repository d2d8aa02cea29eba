"""Lambda: tell the people, and keep the task token where only the answer can find it."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ballast.contracts import Event, HandOver, OpenTask
from ballast.contracts.event import call_seq, escalation_seq
from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical, parse
from ballast.folds import find_call, opening, proposals, proposed, summary, to_announce
from ballast.log import RunLog
from ballast.log.aws_errors import consequences
from ballast.metrics import metric_line
from ballast.outbox import Announcements
from ballast.runtime import Runtime, Settings, lambda_runtime

#: A proposed decision larger than this is left to the log, so that the message stays small.
MAX_PROPOSED_BYTES = 64 * 1024


class OpenSettings(Settings):
    """escalations_table: one item an escalation, with its token. escalation_queue_url: to the people."""

    escalations_table: str
    escalation_queue_url: str


@dataclass(frozen=True)
class Escalations:
    """Opens escalations and requests for approval."""

    log: RunLog
    announcements: Announcements
    dynamodb: Any
    sqs: Any
    settings: OpenSettings
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Escalations":
        """Put it together; once per runtime."""
        return cls(
            runtime.get(RunLog.of),
            runtime.get(Announcements.of),
            runtime.client("dynamodb"),
            runtime.client("sqs"),
            OpenSettings.of(runtime),
            runtime,
        )

    def open(self, task: OpenTask) -> dict[str, Any]:
        """Record the escalation, keep its token, tell the people.

        Opening again (a retried task has a new token) renews the token and may tell them twice,
        under the same escalation id.
        """
        events = self.log.read(task.run_id)
        is_approval = task.kind == "approval" and task.index is not None
        index = task.index or 1
        seq = call_seq(task.turn, index, "approval_requested") if is_approval else escalation_seq(task.turn, "opened")
        escalation_id = escalation_id_of(task.run_id, seq)
        decision: Any = proposed(events)
        if is_approval and (state := find_call(events, task.turn, index)):
            decision = {"kind": "call_tools", "calls": [state.call.model_dump(mode="json")]}
        if decision is not None and len(canonical(decision)) > MAX_PROPOSED_BYTES:
            decision = None
        question = asked(events, task.turn - 1) if task.kind == "question" else None
        now, tenant = self.runtime.clock(), opening(events).request.tenant
        facts = {
            "escalation_id": escalation_id,
            "kind": task.kind,
            "reason": task.reason,
            "summary": question or summary(events, task.reason),
            "proposed_decision": decision,
            "answer_by": (now + timedelta(seconds=task.timeout_s)).isoformat(),
        }
        self._keep(task, tenant, facts, now.isoformat())
        handed_over = task.handed_over.model_dump(mode="json", by_alias=True) if task.handed_over else None
        opened = self.log.append(task.run_id, seq, facts | {"handed_over": handed_over})
        if task.kind != "question":
            if not any(event.seq == seq for event in events):
                self.runtime.emit(metric_line({"Escalations": 1}))
            self._tell_people(EscalationMessage(run_id=task.run_id, tenant=tenant, opened_at=now.isoformat(), **facts))
        self._announce((*events, opened))
        return {"escalation_id": escalation_id}

    def _tell_people(self, message: EscalationMessage) -> None:
        body = canonical(message.model_dump(mode="json"))
        with consequences(f"Queue {self.settings.escalation_queue_url} (ESCALATION_QUEUE_URL)"):
            self.sqs.send_message(QueueUrl=self.settings.escalation_queue_url, MessageBody=body)

    def _announce(self, events: Sequence[Event]) -> None:
        """Tell of an escalation, once. The people have it already: whatever is wrong, no event is worth the run."""
        try:
            for mark, notice in to_announce(events):
                self.announcements.send(events, mark, notice)
        except Exception as problem:
            # Settle makes up for it when the run ends.
            self.runtime.emit(canonical({"level": "WARNING", "message": f"{type(problem).__name__}: {problem}"}))

    def _keep(self, task: OpenTask, tenant: str, facts: dict[str, Any], now: str) -> None:
        values = {
            ":run_id": {"S": task.run_id},
            ":tenant": {"S": tenant},
            ":turn": {"N": str(task.turn)},
            ":index": {"N": str(task.index or 0)},
            ":kind": {"S": task.kind},
            ":reason": {"S": task.reason},
            ":summary": {"S": facts["summary"]},
            ":answer_by": {"S": facts["answer_by"]},
            ":now": {"S": now},
            ":open": {"S": "open"},
            ":token": {"S": task.task_token},
        }
        with consequences(f"Table {self.settings.escalations_table} (ESCALATIONS_TABLE)"):
            self.dynamodb.update_item(
                TableName=self.settings.escalations_table,
                Key={"escalation_id": {"S": facts["escalation_id"]}},
                # An answer that came before the retry stays; the token is renewed, and the run waits again.
                UpdateExpression=(
                    "SET run_id = :run_id, tenant = :tenant, turn = :turn, "
                    "call_index = :index, kind = :kind, reason = :reason, "
                    "summary = :summary, answer_by = :answer_by, task_token = :token, "
                    "opened_at = if_not_exists(opened_at, :now), #status = if_not_exists(#status, :open) "
                    "REMOVE resumed_at"
                ),
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=values,
            )


def asked(events: Sequence[Event], turn: int) -> str:
    """Return the question that the decision of ``turn`` puts to the requester."""
    made = proposals(events).get(turn)
    return made.decision.guidance if made is not None and isinstance(made.decision, HandOver) else ""


def escalation_id_of(run_id: str, seq: str) -> str:
    """Return the id: the same for every attempt at opening the same escalation."""
    digest = hashlib.sha256(f"{run_id}\0{seq}".encode()).digest()
    return "esc-" + base64.b32encode(digest[:10]).decode("ascii").lower()


def lambda_handler(event: dict[str, Any], context: Any, *, runtime: Runtime | None = None) -> dict[str, Any]:
    """Open the escalation of ``event`` (an ``OpenTask``)."""
    task = parse(OpenTask, event, what="OpenTask")
    return (runtime or lambda_runtime()).get(Escalations.of).open(task)
