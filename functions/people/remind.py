"""Lambda, on a schedule: send open escalations again, remind people, and resume runs whose answer got stuck.

A message in the queue may be lost: a consumer that deletes it and dies, a crash between table and queue, fourteen
days. The table is the truth. What is not done in one invocation is the first work of the next.

An answered escalation stays due until its run is known to have the answer, because the function that took the answer
may have died. If the answer is on record, the run is resumed. If it is not, only the functions that sign answers may
record it; so the answer is forgotten once no function can be at work on it, and the escalation is open again::

    open ─ answered, in the table ─ signed, in the log ─ the run is resumed
      ▲        │ 2 min: not in the log            │ 2 min: not resumed
      └────────┘ and people are told              └─▶ resumed by Remind
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ballast.contracts.wire import canonical
from ballast.edge import guarded
from ballast.errors import BallastError
from ballast.escalations import Escalation
from ballast.log.events import RunEnded
from ballast.log.run_log import LogSettings, RunLog
from ballast.log.signature import SignatureSettings
from ballast.runtime import Runtime, lambda_runtime, made_at_init
from ballast.table import Item
from ballast.values import dataclass
from functions.people.escalations_table import RESUMED_WITHIN, EscalationsSettings, EscalationsTable
from functions.people.messages import Messages, MessageSchedule, QueueSettings
from functions.people.resume import Resumption

#: Escalations looked at in one invocation, at most.
MOST_LOOKS = 200
#: With less time left no further escalation is looked at.
_RESERVE_MS = 5_000
#: If its message cannot be made or sent, an escalation is looked at again after this time.
_TRY_AGAIN_AFTER = timedelta(minutes=15)


class RemindSettings(LogSettings, SignatureSettings, EscalationsSettings, QueueSettings):
    """The environment of Remind.

    run_log_table, payload_bucket, retention_days  the log (``LogSettings``)
    answer_key_arn        verifies the answers that it delivers (``SignatureSettings``)
    escalations_table     the escalations and their tokens (``EscalationsSettings``)
    escalation_queue_url  the queue to the people (``QueueSettings``)
    """


class RemindIncomplete(BallastError):
    """Some escalations could not be checked; the function's log has a line for each."""


@dataclass(frozen=True)
class Reminders:
    """Looks after open escalations, and after answers that their runs may not have."""

    log: RunLog
    table: EscalationsTable
    messages: Messages
    resumption: Resumption
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> "Reminders":
        """Return the reminders of ``runtime``'s function."""
        return cls(
            runtime.get(RunLog.of),
            runtime.get(EscalationsTable.of),
            runtime.get(Messages.of),
            runtime.get(Resumption.verifying),
            runtime,
        )

    def sweep(self, left_ms: Callable[[], int]) -> dict[str, int]:
        """Look at what is due while ``left_ms`` leaves time. Return the number of each step taken.

        Raises ``RemindIncomplete`` at the end if some escalations could not be checked; the others are.
        """
        now = self.runtime.clock()
        done: dict[str, int] = {}
        for escalation_id in self.table.due(now, MOST_LOOKS):
            if left_ms() < _RESERVE_MS:
                break
            try:
                step = self._look(escalation_id, now)
            except Exception as problem:
                why = self.runtime.masked(f"{type(problem).__name__}: {problem}")
                line = {"level": "ERROR", "message": f"Not looked after: {why}", "escalation_id": escalation_id}
                self.runtime.emit(canonical(line))
                self.table.postpone(escalation_id, now + _TRY_AGAIN_AFTER)
                step = "failed"
            done[step] = done.get(step, 0) + 1
        if done.get("failed"):
            raise RemindIncomplete(
                f"{done['failed']} escalations could not be checked; this function's log has a line for each."
            )
        return done

    def _look(self, escalation_id: str, now: datetime) -> str:
        item = self.table.item(escalation_id)
        if item is not None and item["status"] == "open":
            return self._tell_people(item, now)
        if item is not None and item["status"] == "answered" and "resumed_at" not in item:
            return self._resume_run(item, now)
        self.table.clear_due(escalation_id)
        return "answered"

    def _tell_people(self, item: Item, now: datetime) -> str:
        """Take the step that is due about an open escalation, and return its name."""
        escalation, schedule = Escalation.of(item), MessageSchedule.of(item)
        run_id, seq, ended = escalation.run_id, escalation.opened_key, RunEnded.key()
        events = self.log.read_keys([(run_id, seq), (run_id, ended)])
        step = "close" if (run_id, ended) in events else schedule.step(now)
        opened = events.get((run_id, seq))
        if step == "close":
            self.table.close(escalation.escalation_id)
        elif step is None or opened is None:  # not recorded: the opening is tried again, or has failed
            self.table.postpone(escalation.escalation_id, max(schedule.next_look(now), now + timedelta(minutes=1)))
            return "early"
        else:
            after = schedule.after_message(now, reminder=step == "remind")
            message = escalation.message(escalation.proposal(opened), sent=after.sent, reminder=step == "remind")
            self.messages.send(message, now, look_at=after.next_look(now))
        return step

    def _resume_run(self, item: Item, now: datetime) -> str:
        """Resume the run that may not have its answer. If its token is dead, the next attempt at opening resumes it.

        If the answer is not on record and no function can be at work on it any more, the escalation is open again.
        """
        escalation = Escalation.of(item)
        resumed = self.resumption.deliver(escalation.escalation_id)
        if resumed is not None:
            if not resumed:
                self.table.clear_due(escalation.escalation_id)
            return "resumed" if resumed else "answered"
        at_work_until = datetime.fromisoformat(escalation.answered_at or escalation.opened_at) + RESUMED_WITHIN
        if now < at_work_until:
            self.table.postpone(escalation.escalation_id, at_work_until)
            return "early"
        if self.table.reopen(escalation, now):
            reopened = self.table.item(escalation.escalation_id)
            if reopened is not None and reopened["status"] == "open":
                self._tell_people(reopened, now)
        return "reopened"


@made_at_init(Reminders.of, "dynamodb")
@guarded
def lambda_handler(event: Any, context: Any, *, runtime: Runtime | None = None) -> dict[str, int]:  # noqa: ARG001
    """Sweep once; the schedule's ``event`` holds nothing of use."""
    return (runtime or lambda_runtime()).get(Reminders.of).sweep(context.get_remaining_time_in_millis)
