"""moto's SQS: look into a queue without a request, and observe what is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localcloud.moto_seams.replaced import replaced


@contextmanager
def messages_told_to(sent: Callable[[str, str], None]) -> Iterator[None]:
    """Call ``sent`` (the queue's name, the body) for each message sent to a queue; the message stays there.

    Relies on ``Queue.add_message(message)`` being the only way into a queue, and on ``Message.body``.
    """
    from moto.sqs.models import Queue

    def add_message(self: Any, message: Any) -> None:
        before(self, message)
        sent(self.name, message.body)

    with replaced(Queue, "add_message", add_message) as before:
        yield


def waits(account: str, region: str, queue: str) -> bool:
    """Return whether the queue has a receivable message; a request for it costs a thousand times as much.

    Relies on ``sqs_backends[account][region].queues[name]._messages``, and on ``Message.visible`` and ``.delayed``.
    """
    from moto.sqs.models import sqs_backends

    messages = sqs_backends[account][region].queues[queue]._messages
    return any(message.visible and not message.delayed for message in tuple(messages))
