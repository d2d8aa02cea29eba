"""Send questions to the people's queue, and note in their table that it was done.

The table is the truth: a message that was lost, or was never sent, is sent by ``remind`` from what it says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical
from ballast.runtime import Runtime, Settings
from ballast.table import Condition, Item, Query, Table, Update, absent, at_most, equals
from functions.people.due import DUE
from functions.people.question import Question, as_text
from functions.people.table import EscalationsSettings, Forgetting

#: Of an item, all but the task token, which who sends messages has no use for.
_READ = (
    *("escalation_id", "run_id", "tenant", "kind", "status", "turn", "call_index", "round", "opened_at", "answer_by"),
    *("remind_at", "reminded_at", "sent", "sent_at", "changed_at", "given", "approvals_needed", "binding", "arguments"),
    *("call_sha256", "resumed_at", "answered_at", "answered_by"),
)


class MessagesSettings(Settings):
    """escalation_queue_url: to the people."""

    escalation_queue_url: str


@dataclass(frozen=True)
class Messages:
    """The way to the people."""

    table: Table
    sqs: Any
    queue_url: str
    forgetting: Forgetting

    @classmethod
    def of(cls, runtime: Runtime) -> "Messages":
        """Put it together; once per runtime."""
        return cls(
            EscalationsSettings.of(runtime).table(runtime),
            runtime.client("sqs"),
            MessagesSettings.of(runtime).escalation_queue_url,
            runtime.get(Forgetting.of),
        )

    def send(self, message: EscalationMessage, now: datetime, *, look_at: datetime) -> None:
        """Send ``message``, then note it. A crash in between has it sent again, under the same escalation id.

        ``look_at`` is when somebody shall see whether it was answered.
        """
        body = canonical(message.model_dump(mode="json"))
        with consequences(f"Queue {self.queue_url} (ESCALATION_QUEUE_URL)"):
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)
        noted = {"sent_at": now.isoformat(), "sent": message.sent} | _due(look_at)
        self._update(message.escalation_id, noted | ({"reminded_at": now.isoformat()} if message.reminder else {}))

    def postpone(self, escalation_id: str, look_at: datetime) -> None:
        """Look at it again at another time."""
        self._update(escalation_id, _due(look_at))

    def close(self, escalation_id: str) -> None:
        """Nobody waits for an answer any more: it is expired, unless somebody has just answered it."""
        nobody_answered = equals("status", "open")
        if not self._update(escalation_id, {"status": "expired"}, remove=_IS_DUE, only_if=nobody_answered):
            self.forget(escalation_id)

    def forget(self, escalation_id: str) -> None:
        """There is nothing more to look after."""
        self._update(escalation_id, {}, remove=_IS_DUE)

    def reopen(self, item: Item, now: datetime) -> bool:
        """Forget the answer that the table has and the log has not: the question is open as it was before.

        False where whoever gave it has just sent it again, or somebody else has done this: nothing is changed then.
        """
        to: Item = {"status": "open", "reopened_at": now.isoformat(), "changed_at": now.isoformat()} | _due(now)
        if "given" in item:  # who decided it by approving has not approved it yet
            to["given"] = as_text(Question.of(item).given_before)
        answered_then = equals("answered_at", item["answered_at"]) if "answered_at" in item else absent("answered_at")
        it_is_as_it_was = equals("status", "answered") & absent("resumed_at") & answered_then
        return self._update(item["escalation_id"], to, remove=_ANSWER, only_if=it_is_as_it_was)

    def item(self, escalation_id: str) -> Item | None:
        """Return the question's item without its token, strongly consistent; None where there is none."""
        return self.table.get({"escalation_id": escalation_id}, only=_READ)

    def due(self, now: datetime, most: int) -> tuple[str, ...]:
        """Return the ids of at most so many questions that are due, longest overdue first."""
        it_is_due = equals("due", DUE) & at_most("due_at", now.isoformat())
        page = self.table.page(Query(it_is_due, index="by_due", limit=most))
        return tuple(item["escalation_id"] for item in page.items)

    def _update(
        self, escalation_id: str, to: Item, *, remove: Sequence[str] = (), only_if: Condition | None = None
    ) -> bool:
        update = Update({"escalation_id": escalation_id}, set=to, remove=remove, only_if=only_if)
        return self.table.write(self.forgetting.into(update)).written


_IS_DUE = ("due", "due_at")
_ANSWER = ("answered_at", "answered_by", "answer_sha256", "answer_comment")


def _due(look_at: datetime) -> Item:
    return {"due": DUE, "due_at": look_at.isoformat()}
