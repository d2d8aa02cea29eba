"""Lambda, on a schedule: send again questions that nobody answered, remind, and resume runs whose answer got stuck.

A message in the queue may be lost: a consumer that deletes it and dies, a crash between table and queue, fourteen
days. The table is the truth. An open question is in a sparse index under the time when it wants to be looked at
(``due``), so each look costs only what is due, and what was not done in one invocation is at the head of the next.

A question stays there when it is answered, until its run is known to have the answer: whoever took it may have died.
Where the answer is on record the run is told. Where it is not, nobody but the people's functions may record it, since
they sign; so it is forgotten once nobody can be at work on it, and the question is put again, for anybody to answer::

    open ─ answered, in the table ─ signed, in the log ─ the run is told
      ▲        │ 2 min: not in the log            │ 2 min: not told
      └────────┘ and people are told              └─▶ told by Remind
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ballast.contracts.notice import EscalationMessage
from ballast.contracts.wire import canonical
from ballast.edge import guarded
from ballast.errors import BallastError
from ballast.log.event import Event
from ballast.log.events import ApprovalRequested, EscalationOpened, RunEnded
from ballast.log.run_log import RunLog
from ballast.runtime import Runtime, lambda_runtime
from ballast.table import Item
from functions.people.due import TOLD_WITHIN, Telling
from functions.people.messages import Messages
from functions.people.question import Question, check_shown, in_a_message
from functions.people.resume import Resumption

#: So many questions are looked at in one invocation, at most.
MOST_LOOKS = 200
#: None is begun with so little time left.
_RESERVE_MS = 5_000
#: One whose message cannot be made or sent is tried again after this time.
_TRY_AGAIN_AFTER = timedelta(minutes=15)


class RemindIncomplete(BallastError):
    """Some questions could not be looked after; each has a line of its own in the function's log."""


@dataclass(frozen=True)
class Reminders:
    """Looks after questions that nobody answered yet, and answers that their runs may not have."""

    log: RunLog
    messages: Messages
    resumption: Resumption
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Reminders":
        """Put it together; once per runtime."""
        return cls(runtime.get(RunLog.of), runtime.get(Messages.of), runtime.get(Resumption.verifying), runtime)

    def sweep(self, left_ms: Callable[[], int]) -> dict[str, int]:
        """Look at what is due, as long as ``left_ms`` says that there is time. Return what was done, counted.

        Raises ``RemindIncomplete`` at the end where some could not be looked after; the others are.
        """
        now = self.runtime.clock()
        done: dict[str, int] = {}
        for escalation_id in self.messages.due(now, MOST_LOOKS):
            if left_ms() < _RESERVE_MS:
                break
            try:
                what = self._look(escalation_id, now)
            except Exception as problem:
                why = self.runtime.masked(f"{type(problem).__name__}: {problem}")
                line = {"level": "ERROR", "message": f"Not looked after: {why}", "escalation_id": escalation_id}
                self.runtime.emit(canonical(line))
                self.messages.postpone(escalation_id, now + _TRY_AGAIN_AFTER)
                what = "failed"
            done[what] = done.get(what, 0) + 1
        if done.get("failed"):
            raise RemindIncomplete(f"{done['failed']} questions could not be looked after; see this function's log.")
        return done

    def _look(self, escalation_id: str, now: datetime) -> str:
        item = self.messages.item(escalation_id)
        if item is not None and item["status"] == "open":
            return self._told(escalation_id, item, now)
        if item is not None and item["status"] == "answered" and "resumed_at" not in item:
            return self._resumed(escalation_id, item, now)
        self.messages.forget(escalation_id)
        return "answered"

    def _told(self, escalation_id: str, item: Item, now: datetime) -> str:
        """Tell people of an open question what they are to be told now."""
        question, telling = Question.of(item), Telling.of(item)
        seq = EscalationOpened.key(question.turn)
        if question.kind == "approval":
            seq = ApprovalRequested.key(question.turn, question.index, question.round)
        run_id, ended = question.run_id, RunEnded.key()
        events = self.log.read_keys([(run_id, seq), (run_id, ended)])
        step = "close" if (run_id, ended) in events else telling.step(now)
        opened = events.get((run_id, seq))
        if step == "close":
            self.messages.close(escalation_id)
        elif step is None or opened is None:  # without it the opening itself is tried again, or has failed
            self.messages.postpone(escalation_id, max(telling.next_look(now), now + timedelta(minutes=1)))
            return "early"
        else:
            told = telling.told(now, reminder=step == "remind")
            message = message_of(item, question, opened, sent=told.sent, reminder=step == "remind")
            self.messages.send(message, now, look_at=told.next_look(now))
        return step

    def _resumed(self, escalation_id: str, item: Item, now: datetime) -> str:
        """Tell the run of an answer that it may not have. Where it waits by no token, who opens it again tells it.

        Where the answer is not on record, and nobody can be at work on it any more, the question is open again.
        """
        told = self.resumption.deliver(escalation_id)
        if told is not None:
            if not told:
                self.messages.forget(escalation_id)
            return "resumed" if told else "answered"
        at_work_until = datetime.fromisoformat(item.get("answered_at") or item["opened_at"]) + TOLD_WITHIN
        if now < at_work_until:
            self.messages.postpone(escalation_id, at_work_until)
            return "early"
        if self.messages.reopen(item, now):
            again = self.messages.item(escalation_id)
            if again is not None and again["status"] == "open":
                self._told(escalation_id, again, now)
        return "reopened"


def message_of(
    item: dict[str, Any], question: Question, opened: Event, *, sent: int, reminder: bool
) -> EscalationMessage:
    """Return the message about an open question: what the log says it was opened with, and what was done since.

    Raises ``LogCorrupt`` where its call is another one by now.
    """
    fields = set(EscalationMessage.model_fields)
    facts = opened.fact.model_dump(mode="json", exclude_unset=True, include=fields)
    decision = facts.get("proposed_decision")
    check_shown(item, decision)
    if question.arguments is not None and decision:
        facts["proposed_decision"] = decision | {"calls": [decision["calls"][0] | {"arguments": question.arguments}]}
    facts |= {
        "proposed_decision": in_a_message(facts.get("proposed_decision")),
        "run_id": question.run_id,
        "tenant": item["tenant"],
        "opened_at": item["opened_at"],
        "answer_by": item["answer_by"],
        "approvals_needed": question.approvals_needed,
        "approvals_given": [one.by for one in question.given],
        "binding": question.shown,
        "reminder": reminder,
        "sent": sent,
    }
    return EscalationMessage.model_validate_json(canonical(facts))


@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> dict[str, int]:  # noqa: ARG001
    """Sweep once; ``event`` is the schedule's, and says nothing."""
    return (runtime or lambda_runtime()).get(Reminders.of).sweep(context.get_remaining_time_in_millis)
