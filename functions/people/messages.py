"""Messages to the people's queue: when to send the next one about an escalation, and sending it.

The table is the truth: a message that was lost, or never sent, is sent again from what the table and the log say::

    opened ─ 2 min ─ not sent yet? send ─ 30 min ─ send again ─ 30 min ─ send again ─ … half of the time ─ remind
                                                                                  … answer_by + 1 h ─ close

Consumers recognise an escalation by its ``escalation_id``, however often it is sent.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from ballast.aws_errors import consequences
from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical
from ballast.runtime import Runtime, Settings
from ballast.values import dataclass
from functions.people.escalations_table import EscalationsTable

#: An escalation is sent when it is opened; if not after this time, something went wrong.
SENT_WITHIN = timedelta(minutes=2)
#: An open escalation is sent again after this time, ``MAX_SENT`` times in all; the reminder is not counted.
SENT_AGAIN_AFTER, MAX_SENT = timedelta(minutes=30), 3
#: Step Functions' own clock ends the wait; this one only tidies up.
CLOSED_AFTER = timedelta(hours=1)


class QueueSettings(Settings):
    """escalation_queue_url: the queue to the people."""

    escalation_queue_url: str


def _half_way(opened_at: datetime, answer_by: datetime) -> datetime:
    """Return when people are reminded."""
    return opened_at + (answer_by - opened_at) / 2


@dataclass(frozen=True)
class MessageSchedule:
    """When to send the next message about one escalation. Pure.

    sent, sent_at  how many messages were sent, reminders included, and when the last one
    changed      somebody has approved or changed the arguments since the last message
    asks_people  false for a clarification: the requester sees it in the run
    """

    opened_at: datetime
    answer_by: datetime
    remind_at: datetime
    sent: int = 0
    sent_at: datetime | None = None
    reminded: bool = False
    changed: bool = False
    asks_people: bool = True

    @classmethod
    def opened(cls, now: datetime, *, timeout_s: int, asks_people: bool) -> "MessageSchedule":
        """Return the schedule of an escalation that is opened ``now`` and waits for ``timeout_s`` seconds."""
        answer_by = now + timedelta(seconds=timeout_s)
        return cls(now, answer_by, remind_at=_half_way(now, answer_by), asks_people=asks_people)

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "MessageSchedule":
        """Read an item of the table."""
        sent_at, opened_at = item.get("sent_at"), datetime.fromisoformat(item["opened_at"])
        answer_by = datetime.fromisoformat(item["answer_by"])
        remind_at, changed_at = item.get("remind_at"), item.get("changed_at")
        return cls(
            opened_at=opened_at,
            answer_by=answer_by,
            remind_at=datetime.fromisoformat(remind_at) if remind_at else _half_way(opened_at, answer_by),
            sent=item.get("sent", 0),
            sent_at=datetime.fromisoformat(sent_at) if sent_at else None,
            reminded="reminded_at" in item,
            changed=changed_at is not None and sent_at is not None and changed_at >= sent_at,
            asks_people=item["kind"] != "question",
        )

    def after_message(self, now: datetime, *, reminder: bool = False) -> "MessageSchedule":
        """Return the schedule once a message was sent ``now``."""
        reminded = self.reminded or reminder
        return replace(self, sent=self.sent + 1, sent_at=now, reminded=reminded, changed=False)

    def step(self, now: datetime) -> Literal["send", "again", "remind", "close"] | None:
        """Return the step that is due; None if it is too early for any."""
        if now >= self.answer_by + CLOSED_AFTER:
            return "close"
        if not self.asks_people or now >= self.answer_by:
            return None
        if not self.reminded and now >= self.remind_at:
            return "remind"
        if self.sent == 0 or self.sent_at is None:
            return "send" if now >= self.opened_at + SENT_WITHIN else None
        if self.changed or (self._not_reminders < MAX_SENT and now >= self.sent_at + SENT_AGAIN_AFTER):
            return "again"
        return None

    def next_look(self, now: datetime) -> datetime:
        """Return when the next step is due if nothing changes."""
        looks = [self.answer_by + CLOSED_AFTER]
        if self.asks_people and now < self.answer_by:
            if not self.reminded:
                looks.append(self.remind_at)
            if self.sent == 0 or self.sent_at is None:
                looks.append(max(now, self.opened_at) + SENT_WITHIN)
            elif self.changed:
                looks.append(now)
            elif self._not_reminders < MAX_SENT:
                looks.append(self.sent_at + SENT_AGAIN_AFTER)
        return max(min(looks), now)

    @property
    def _not_reminders(self) -> int:
        return self.sent - self.reminded


@dataclass(frozen=True)
class Messages:
    """Sends messages to the people's queue."""

    table: EscalationsTable
    sqs: Any
    queue_url: str
    stack: str

    @classmethod
    def of(cls, runtime: Runtime) -> "Messages":
        """Return the queue of ``runtime``'s function."""
        queue_url = QueueSettings.of(runtime).escalation_queue_url
        return cls(runtime.get(EscalationsTable.of), runtime.client("sqs"), queue_url, runtime.stack)

    def send(self, message: EscalationMessage, now: datetime, *, look_at: datetime) -> None:
        """Send ``message``, then note it. After a crash in between it is sent again, under the same escalation id.

        look_at  when ``remind`` looks whether it was answered
        """
        look_with = f"ballast --stack {self.stack} why {message.run_id}"
        body = canonical(message.model_dump(mode="json") | {"look_with": look_with})
        with consequences(f"Queue {self.queue_url} (ESCALATION_QUEUE_URL)"):
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)
        self.table.note_sent(message, now, look_at=look_at)
