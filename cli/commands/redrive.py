"""``ballast redrive``: list a deployed stack's dead run requests, and put corrected ones back.

Listing receives the messages: it hides them from other consumers for at most ``HOLD_S`` seconds.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ballast.contracts.run_requested import requested
from ballast.errors import InvalidInput
from cli.deployed_stack import output, stack_outputs, users_session
from cli.exits import Exit
from cli.screen import Screen

_SHOWN_CHARS = 300


def redrive(typed: Namespace) -> int:
    """List or put back dead letters; return 0, or with ``--all`` 2 if some had to stay. Raises ``InvalidInput``."""
    if typed.stack is None:
        raise InvalidInput("--stack: name the deployed stack, as in `ballast redrive --stack ballast-dev`.")
    if typed.body is not None and typed.message is None:
        raise InvalidInput("--body is the corrected text of one dead letter. Name the letter with --message ID.")
    session, screen = users_session(typed), Screen()
    outputs = stack_outputs(session, typed.stack)
    queue, dead = output(outputs, "RunRequestQueueUrl"), output(outputs, "RunRequestDeadLetterQueueUrl")
    letters_queue = DeadLetterQueue(session.client("sqs"), queue, dead)
    body = None if typed.body is None else _text(typed.body)
    letters = letters_queue.take()
    left = list(letters)
    try:
        if typed.message is not None:
            letter = find(letters, typed.message)
            screen.line(f"Put back: {letter.message_id}. Its run is {letters_queue.put_back(letter, body)}.")
            left.remove(letter)
        elif typed.all:
            left = [letter for letter in letters if not _put_back(letters_queue, letter, screen)]
            return Exit.USAGE if left else Exit.OK
        else:
            _list(letters, screen)
    finally:
        letters_queue.release(left)
    return Exit.OK


def _put_back(letters_queue: DeadLetterQueue, letter: DeadLetter, screen: Screen) -> bool:
    try:
        run_id = letters_queue.put_back(letter)
    except InvalidInput as refusal:
        screen.line(f"Stays: {letter.message_id}. {refusal}")
        return False
    screen.line(f"Put back: {letter.message_id}. Its run is {run_id}.")
    return True


def _list(letters: list[DeadLetter], screen: Screen) -> None:
    if not letters:
        screen.line("There are no dead letters.")
    for letter in letters:
        screen.line(f"{letter.message_id}  {letter.reason or 'failed too often'}", "bold")
        if letter.why:
            screen.line(f"  {letter.why}")
        cut = "…" if len(letter.body) > _SHOWN_CHARS else ""
        screen.line(f"  {' '.join(letter.body[:_SHOWN_CHARS].split())}{cut}")


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidInput(f"--body {file}: cannot be read: {problem}") from None


#: Seconds for which a received letter is hidden from other consumers.
HOLD_S = 60
#: Seconds that SQS may take to find letters. Without a wait it asks only some of its servers.
WAIT_S = 1
#: The most letters that one command receives.
MOST = 1_000


@dataclass(frozen=True)
class DeadLetter:
    """A request that started no run.

    message_id  its id in the dead-letter queue
    reason      the error's name; empty if SQS moved it here after too many failed deliveries
    why         what is wrong with it
    receipt     the SQS receipt handle
    """

    message_id: str
    body: str
    reason: str
    why: str
    receipt: str


@dataclass(frozen=True)
class DeadLetterQueue:
    """The run-request queue's dead letters, and the queue itself."""

    sqs: Any
    queue_url: str
    dead_letter_queue_url: str

    def take(self) -> list[DeadLetter]:
        """Receive all letters; they are hidden from other consumers until ``release`` or for ``HOLD_S``."""
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
        """Make the letters visible to other consumers again."""
        for letter in letters:
            self.sqs.change_message_visibility(
                QueueUrl=self.dead_letter_queue_url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )

    def put_back(self, letter: DeadLetter, body: str | None = None) -> str:
        """Queue the request of ``letter`` again, or ``body`` instead; return the run's id.

        Raises ``InvalidInput`` for a text that would be a dead letter at once. The request is sent before the letter
        is deleted: a crash in between leaves the request twice, which is still one run.
        """
        text = letter.body if body is None else body
        run_id = requested(text).run_id
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=text)
        self.sqs.delete_message(QueueUrl=self.dead_letter_queue_url, ReceiptHandle=letter.receipt)
        return run_id


def find(letters: Sequence[DeadLetter], prefix: str) -> DeadLetter:
    """Return the letter with the id ``prefix``, or the only one that starts with it. Raises ``InvalidInput``."""
    found = [letter for letter in letters if prefix and letter.message_id.startswith(prefix)]
    if len(found) != 1:
        raise InvalidInput(
            f"--message {prefix!r} matches {len(found)} dead letters. Without --message, redrive lists them. "
            f"A letter that somebody else has received is hidden for up to {HOLD_S} s."
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
