"""Outbox: send each notice once, as an event on EventBridge or a message in the caller's own queue.

A mark in the log records that a notice was sent, so it is not sent again::

    read the log ── marked ──▶ nothing to do
      │ not marked
      ▼
    send ── crash ──▶ the retry sends it again, under the same event_id: the only case that
      │               receivers must deduplicate
      ▼
    mark (``9999.run.announced``)

Imports ``ballast.log``, ``ballast.runtime`` and what is below them.
"""

from typing import Any, Self

from ballast.aws_errors import consequences
from ballast.contracts.notice import SOURCE, Notice
from ballast.contracts.request import may_reply_to
from ballast.errors import RetryLater, SettingInvalid
from ballast.log.events import EscalationAnnounced, RunAnnounced, RunReplied
from ballast.log.keys import Key
from ballast.log.run_log import RunLog
from ballast.metrics import metric_line
from ballast.run import Run
from ballast.runtime import Runtime, Settings
from ballast.values import dataclass


@dataclass(frozen=True)
class Announcements:
    """Puts events on the account's default bus."""

    log: RunLog
    runtime: Runtime

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        """Return the outbox of ``runtime``'s function."""
        return cls(runtime.get(RunLog.of), runtime)

    def send(self, run: Run, mark: str, notice: Notice) -> None:
        """Send ``notice`` and record the mark, unless ``run`` has it already. Raises ``RetryLater``.

        mark  the key of a ``RunAnnounced``, or of a turn's ``EscalationAnnounced``
        """
        if mark in run.by_seq:
            return
        detail = notice.of_stack(self.runtime.stack).detail
        entry = {"Source": SOURCE, "DetailType": notice.detail_type, "Detail": detail}
        with consequences("EventBridge's default bus"):
            sent = self.runtime.client("events").put_events(Entries=[entry])
        if sent["FailedEntryCount"]:
            code = sent["Entries"][0].get("ErrorCode", "no error code")
            raise RetryLater(f"EventBridge did not take {notice.detail_type} of {notice.run_id}: {code}; try again.")
        key, told = Key.of(mark), {"event_id": notice.event_id, "detail_type": notice.detail_type}
        of_the_run = key.name == RunAnnounced.NAME
        self.log.append(
            notice.run_id, RunAnnounced(**told) if of_the_run else EscalationAnnounced(turn=key.turn, **told)
        )


class ReplySettings(Settings):
    """reply_queue_prefix: prefix of the queues that a caller may name in ``reply_to``."""

    reply_queue_prefix: str


@dataclass(frozen=True)
class Replies:
    """Sends the outcome to the queue that the caller named."""

    log: RunLog
    runtime: Runtime
    prefix: str

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        """Return the outbox of ``runtime``'s function."""
        return cls(runtime.get(RunLog.of), runtime, ReplySettings.of(runtime).reply_queue_prefix)

    def send(self, run: Run, queue_url: str | None, notice: Notice) -> None:
        """Send ``notice`` once. If the queue refuses it, record and report that; there is no retry.

        Raises ``RetryLater`` on throttles and outages.
        """
        if queue_url is None or RunReplied.key() in run.by_seq:
            return
        if not may_reply_to(self.prefix, queue_url, run.request.tenant):
            return
        problem = self._refused(queue_url, notice.of_stack(self.runtime.stack))
        self.log.append(notice.run_id, RunReplied(event_id=notice.event_id, reply_to=queue_url, error=problem))
        if problem is not None:
            about = {"run_id": notice.run_id, "reply_to": queue_url, "error": problem}
            self.runtime.emit(metric_line({"RepliesNotSent": 1}, fields=about))

    def _refused(self, queue_url: str, notice: Notice) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError

        message: dict[str, Any] = {"QueueUrl": queue_url, "MessageBody": notice.detail}
        if queue_url.endswith(".fifo"):
            message |= {"MessageGroupId": notice.run_id, "MessageDeduplicationId": notice.event_id}
        else:
            kind = {"DataType": "String", "StringValue": notice.detail_type}
            message["MessageAttributes"] = {"detail-type": kind}
        try:
            with consequences(f"Queue {queue_url} (reply_to)"):
                self.runtime.client("sqs").send_message(**message)
        except (SettingInvalid, ClientError, BotoCoreError) as problem:
            return f"{type(problem).__name__}: {problem}"[:500]
        return None
