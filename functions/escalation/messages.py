"""Send questions to the people's queue, and note in their table that it was done.

The table is the truth: a message that was lost, or was never sent, is sent by ``remind`` from what it says.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical
from ballast.log.aws_errors import consequences
from ballast.runtime import Runtime, Settings


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

    @classmethod
    def of(cls, runtime: Runtime) -> "Messages":
        """Put it together; once per runtime."""
        return cls(runtime.client("dynamodb"), runtime.client("sqs"), MessagesSettings.of(runtime))

    def send(self, message: EscalationMessage, now: datetime) -> None:
        """Send ``message``, then note it. A crash in between has it sent again, under the same escalation id."""
        body = canonical(message.model_dump(mode="json"))
        with consequences(f"Queue {self.settings.escalation_queue_url} (ESCALATION_QUEUE_URL)"):
            self.sqs.send_message(QueueUrl=self.settings.escalation_queue_url, MessageBody=body)
        reminded = ", reminded_at = :now" if message.reminder else ""
        with consequences(f"Table {self.settings.escalations_table} (ESCALATIONS_TABLE)"):
            self.dynamodb.update_item(
                TableName=self.settings.escalations_table,
                Key={"escalation_id": {"S": message.escalation_id}},
                UpdateExpression=f"SET sent_at = :now{reminded} ADD sent :one",
                ExpressionAttributeValues={":now": {"S": now.isoformat()}, ":one": {"N": "1"}},
            )
