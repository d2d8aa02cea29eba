"""Send questions to the people's queue, and note in their table that it was done.

The table is the truth: a message that was lost, or was never sent, is sent by ``remind`` from what it says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ballast.aws_errors import consequences
from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical
from ballast.runtime import Runtime, Settings
from functions.escalation.due import DUE
from functions.escalation.table import Forgetting

#: Of an item, all but the task token, which who sends messages has no use for.
_READ = (
    *("escalation_id", "run_id", "tenant", "kind", "status", "turn", "call_index", "round", "opened_at", "answer_by"),
    *("remind_at", "reminded_at", "sent", "sent_at", "changed_at", "given", "approvals_needed", "binding", "arguments"),
    *("call_sha256", "resumed_at"),
)


class MessagesSettings(Settings):
    """escalations_table: where a message is noted. escalation_queue_url: to the people."""

    escalations_table: str
    escalation_queue_url: str


@dataclass(frozen=True)
class Messages:
    """The way to the people."""

    dynamodb: Any
    sqs: Any
    settings: MessagesSettings
    forgetting: Forgetting

    @classmethod
    def of(cls, runtime: Runtime) -> "Messages":
        """Put it together; once per runtime."""
        clients = runtime.client("dynamodb"), runtime.client("sqs")
        return cls(*clients, MessagesSettings.of(runtime), runtime.get(Forgetting.of))

    def send(self, message: EscalationMessage, now: datetime, *, look_at: datetime) -> None:
        """Send ``message``, then note it. A crash in between has it sent again, under the same escalation id.

        ``look_at`` is when somebody shall see whether it was answered.
        """
        body = canonical(message.model_dump(mode="json"))
        with consequences(f"Queue {self.settings.escalation_queue_url} (ESCALATION_QUEUE_URL)"):
            self.sqs.send_message(QueueUrl=self.settings.escalation_queue_url, MessageBody=body)
        values = {":now": {"S": now.isoformat()}, ":sent": {"N": str(message.sent)}, **_due(look_at)}
        reminded = ", reminded_at = :now" if message.reminder else ""
        self._update(message.escalation_id, f"SET sent_at = :now, sent = :sent{reminded}, {_IS_DUE}", values)

    def postpone(self, escalation_id: str, look_at: datetime) -> None:
        """Look at it again at another time."""
        self._update(escalation_id, f"SET {_IS_DUE}", _due(look_at))

    def close(self, escalation_id: str) -> None:
        """Nobody waits for an answer any more: it is expired, unless somebody has just answered it."""
        values = {":open": {"S": "open"}, ":expired": {"S": "expired"}}
        nobody_answered = "#status = :open"
        try:
            self._update(escalation_id, "SET #status = :expired REMOVE due, due_at", values, nobody_answered)
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            self.forget(escalation_id)

    def forget(self, escalation_id: str) -> None:
        """There is nothing more to look after."""
        self._update(escalation_id, "REMOVE due, due_at", {})

    def item(self, escalation_id: str) -> dict[str, Any] | None:
        """Return the question's item without its token, strongly consistent; None where there is none."""
        names = {f"#{name}": name for name in _READ}
        with consequences(self._table):
            found = self.dynamodb.get_item(
                TableName=self.settings.escalations_table,
                Key={"escalation_id": {"S": escalation_id}},
                ConsistentRead=True,
                ProjectionExpression=", ".join(names),
                ExpressionAttributeNames=names,
            )
        item: dict[str, Any] | None = found.get("Item")
        return item

    def _update(self, escalation_id: str, update: str, values: Mapping[str, Any], only_if: str = "") -> None:
        update, values = self.forgetting.into(update, values)
        request: dict[str, Any] = {
            "TableName": self.settings.escalations_table,
            "Key": {"escalation_id": {"S": escalation_id}},
            "UpdateExpression": update,
        }
        if values:
            request["ExpressionAttributeValues"] = values
        if only_if:
            request |= {"ConditionExpression": only_if, "ExpressionAttributeNames": {"#status": "status"}}
        with consequences(self._table):
            self.dynamodb.update_item(**request)

    @property
    def _table(self) -> str:
        return f"Table {self.settings.escalations_table} (ESCALATIONS_TABLE)"


_IS_DUE = "due = :due, due_at = :due_at"


def _due(look_at: datetime) -> dict[str, Any]:
    return {":due": {"S": DUE}, ":due_at": {"S": look_at.isoformat()}}
