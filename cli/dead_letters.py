"""The dead letters of the run-request queue: look at them, and put mended ones back.

Looking is receiving: while one looks, a letter is hidden from others for ``HOLD_S`` at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ballast.contracts.requested import requested
from ballast.errors import InvalidInput

#: So long is a letter hidden from others while somebody looks at it.
HOLD_S = 60
#: So long SQS looks for letters that it did not find at once; without, it asks only some of its servers.
WAIT_S = 1
#: More letters than this are not looked at in one go.
MOST = 1_000


@dataclass(frozen=True)
class DeadLetter:
    """A request that started no run.

    message_id  its id in the dead-letter queue
    reason      the error's name; empty where it was tried in vain until the queue gave it up
    why         what to mend
    receipt     with which it can be deleted
    """

    message_id: str
    body: str
    reason: str
    why: str
    receipt: str


@dataclass(frozen=True)
class Desk:
    """Both queues, and who works on them."""

    sqs: Any
    queue_url: str
    dead_letter_queue_url: str

    def take(self) -> list[DeadLetter]:
        """Receive the letters there are, and hide them from others until ``release`` or ``HOLD_S``."""
        letters: dict[str, DeadLetter] = {}
        while len(letters) < MOST:
            received = self.sqs.receive_message(
                QueueUrl=self.dead_letter_queue_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=HOLD_S,
                WaitTimeSeconds=WAIT_S,
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not received:
                break
            letters |= {message["MessageId"]: _letter(message) for message in received}
        return list(letters.values())

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """Let others see the letters again."""
        for letter in letters:
            self.sqs.change_message_visibility(
                QueueUrl=self.dead_letter_queue_url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )

    def put_back(self, letter: DeadLetter, body: str | None = None) -> str:
        """Queue the request of ``letter`` again, with ``body`` in place of its own; return the run's id.

        Raises ``InvalidInput`` where that would be a dead letter at once. It is sent before the letter is
        deleted: whoever dies in between has one request twice, which is one run.
        """
        text = letter.body if body is None else body
        run_id = requested(text).run_id
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=text)
        self.sqs.delete_message(QueueUrl=self.dead_letter_queue_url, ReceiptHandle=letter.receipt)
        return run_id


def find(letters: Sequence[DeadLetter], prefix: str) -> DeadLetter:
    """Return the letter whose id is ``prefix``, or the only one that begins so. Raises ``InvalidInput``."""
    found = [letter for letter in letters if prefix and letter.message_id.startswith(prefix)]
    if len(found) != 1:
        raise InvalidInput(
            f"--message {prefix!r} fits {len(found)} dead letters. Without --message, redrive lists them; "
            f"one that somebody else looks at is hidden for up to {HOLD_S} s."
        )
    return found[0]


def _letter(message: dict[str, Any]) -> DeadLetter:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    return DeadLetter(
        message_id=message["MessageId"],
        body=message["Body"],
        reason=attributes.get("reason", attributes.get("ERROR_CODE", "")),  # EventBridge's own has the second
        why=attributes.get("message", attributes.get("ERROR_MESSAGE", "")),
        receipt=message["ReceiptHandle"],
    )
