"""When a question wants to be looked at next, and what is to be done then. Pure.

::

    opened ─ 2 min ─ not sent yet? send ─ 30 min ─ send again ─ 30 min ─ send again ─ … half of the time ─ remind
                                                                                  … answer_by + 1 h ─ close

An answer ends it, once the run is known to have it: if not, it is looked at two minutes later, and what is not on
record is open again. Consumers tell one
question from another by its ``escalation_id``, however often it comes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

#: The one partition of the sparse index of open questions, under the time of the next look.
DUE = "open"
#: Who opens a question sends it at once; after this time something went wrong.
SENT_WITHIN = timedelta(minutes=2)
#: Who takes an answer records it and tells the run at once; after this time something went wrong, and they are no more
#: at work: it is longer than their functions live (``Timeout`` in template.yaml).
TOLD_WITHIN = timedelta(minutes=2)
#: A question that nobody answered is sent again after this time, so often at most; the reminder comes besides.
AGAIN_AFTER, MOST_SENT = timedelta(minutes=30), 3
#: Step Functions' own clock ends the waiting; this one only tidies up.
CLOSED_AFTER = timedelta(hours=1)

Step = Literal["send", "again", "remind", "close"]


@dataclass(frozen=True)
class Telling:
    """How far people have been told of one question.

    changed      somebody has approved, or changed the arguments, since it was sent
    asks_people  false for a question to the requester, who sees it in the run
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
    def of(cls, item: Mapping[str, Any]) -> "Telling":
        """Read an item of the table."""
        sent_at, opened_at = item.get("sent_at"), datetime.fromisoformat(item["opened_at"])
        answer_by = datetime.fromisoformat(item["answer_by"])
        remind_at, changed_at = item.get("remind_at"), item.get("changed_at")
        return cls(
            opened_at=opened_at,
            answer_by=answer_by,
            remind_at=datetime.fromisoformat(remind_at) if remind_at else opened_at + (answer_by - opened_at) / 2,
            sent=item.get("sent", 0),
            sent_at=datetime.fromisoformat(sent_at) if sent_at else None,
            reminded="reminded_at" in item,
            changed=changed_at is not None and sent_at is not None and changed_at >= sent_at,
            asks_people=item["kind"] != "question",
        )

    def told(self, now: datetime, *, reminder: bool = False) -> "Telling":
        """Return how far it is once people were told of it ``now``."""
        reminded = self.reminded or reminder
        return replace(self, sent=self.sent + 1, sent_at=now, reminded=reminded, changed=False)

    def step(self, now: datetime) -> Step | None:
        """Return what is to be done now; None where it is too early for anything."""
        if now >= self.answer_by + CLOSED_AFTER:
            return "close"
        if not self.asks_people or now >= self.answer_by:
            return None
        if not self.reminded and now >= self.remind_at:
            return "remind"
        if self.sent == 0 or self.sent_at is None:
            return "send" if now >= self.opened_at + SENT_WITHIN else None
        if self.changed or (self._plain < MOST_SENT and now >= self.sent_at + AGAIN_AFTER):
            return "again"
        return None

    def next_look(self, now: datetime) -> datetime:
        """Return when it wants to be looked at next, were nothing to change."""
        looks = [self.answer_by + CLOSED_AFTER]
        if self.asks_people and now < self.answer_by:
            if not self.reminded:
                looks.append(self.remind_at)
            if self.sent == 0 or self.sent_at is None:
                looks.append(max(now, self.opened_at) + SENT_WITHIN)
            elif self.changed:
                looks.append(now)
            elif self._plain < MOST_SENT:
                looks.append(self.sent_at + AGAIN_AFTER)
        return max(min(looks), now)

    @property
    def _plain(self) -> int:
        return self.sent - self.reminded
