"""The people of a local run: they read the escalation queue and answer through the deployed function.

A scripted person answers at once; a person at another terminal answers through the mailbox.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ballast.errors import InvalidInput
from cli.asked import as_it_stands, lines
from cli.commands.answer import what_to_type
from cli.mailbox import Mailbox, Notice
from cli.output import Screen

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


class People(Protocol):
    """Whoever answers escalations. ``attend`` looks once whether there is something to do and never waits."""

    def attend(self) -> None:
        """Take new messages from the queue and deliver answers."""

    def leave(self) -> None:
        """Nobody answers any more."""


class Nobody:
    """Nobody answers here."""

    def attend(self) -> None:
        """Nothing to do."""

    def leave(self) -> None:
        """Nothing is held."""


class ScriptedPeople:
    """Answers each escalation with the next of ``answers``, which are payloads without the escalation's id.

    Raises ``InvalidInput`` where an escalation comes that nobody was scripted for.
    """

    def __init__(self, cloud: "LocalCloud", answers: Iterable[dict[str, Any]]) -> None:
        self._cloud, self._queue = cloud, EscalationQueue(cloud)
        self._answers = deque(answers)

    def attend(self) -> None:
        """Answer what is in the queue."""
        for message in self._queue.received():
            if not self._answers:
                raise InvalidInput(
                    f"The run asks for a person ({message['reason']}), and the scenario has no answer left. "
                    "Add one under `people:`."
                )
            answer = {"escalation_id": message["escalation_id"], **self._answers.popleft()}
            self._cloud.invoke("AnswerEscalationFunction", answer)

    def leave(self) -> None:
        """Nothing is held."""


class PeopleElsewhere:
    """Says what to type, and waits for ``ballast answer`` in another terminal.

    ``queue`` is where the messages come from; by default they are taken out of the queue.
    """

    def __init__(self, cloud: "LocalCloud", mailbox: Mailbox, screen: Screen, queue: "Messages | None" = None) -> None:
        self._cloud, self._queue = cloud, queue or EscalationQueue(cloud)
        self._mailbox, self._screen = mailbox, screen
        self._waiting: dict[str, None] = {}

    def attend(self) -> None:
        """Post what is new in the queue; pass on what was answered."""
        for message in self._queue.received():
            self._post(message)
        for escalation_id in list(self._waiting):
            answer = self._mailbox.take(escalation_id)
            if answer is not None:
                self._deliver(escalation_id, answer)

    def leave(self) -> None:
        """Take the notices away: an answer would come too late."""
        self._waiting.clear()
        self._mailbox.close_all()

    def withdraw_what_is_closed(self) -> None:
        """Take away the notices of what was answered elsewhere, or whose run no longer waits."""
        if not self._waiting:
            return
        keys = [{"escalation_id": escalation_id} for escalation_id in self._waiting]
        for item in self._cloud.table("EscalationsTable").batch_get(keys):
            if item["status"] != "open" or self._cloud.status(item["run_id"]) != "RUNNING":
                self._forget(item["escalation_id"])

    def _forget(self, escalation_id: str) -> None:
        self._mailbox.close(escalation_id)
        self._waiting.pop(escalation_id, None)

    def _post(self, message: dict[str, Any]) -> None:
        escalation_id = str(message["escalation_id"])
        if escalation_id in self._waiting:  # the queue delivers at least once, and people are reminded
            self._renew(escalation_id, message)
            return
        self._mailbox.post(Notice(escalation_id, message))
        self._waiting[escalation_id] = None
        self._screen.line()
        until = str(message.get("answer_by", ""))[:16].replace("T", " ")
        self._screen.line(f"This run waits for a person, until {until} UTC.", "bold magenta")
        self._screen.line(str(message.get("summary", "")))
        for told in lines(message):
            self._screen.line(told)
        self._screen.line("Type one of these in another terminal, in this folder:", "bold")
        for typing in what_to_type(escalation_id, message):
            self._screen.line(f"  {typing}")
        self._screen.line()

    def _deliver(self, escalation_id: str, answer: dict[str, Any]) -> None:
        from localcloud.cloud import FunctionError

        payload = {name: value for name, value in answer.items() if name != "nonce"}
        try:
            taken = self._cloud.invoke("AnswerEscalationFunction", payload | {"escalation_id": escalation_id})
        except FunctionError as problem:
            result = {"ok": False, "error": problem.name, "message": problem.message}
            self._screen.line(f"  an answer was not accepted: {problem.message}", "red")
            self._mailbox.report(escalation_id, answer, result)
            return
        self._mailbox.report(escalation_id, answer, {"ok": True, **taken})
        if taken.get("still_needed"):
            self._renew(escalation_id, as_it_stands(self._cloud, self._mailbox.find(escalation_id).message))
        else:
            self._forget(escalation_id)

    def _renew(self, escalation_id: str, message: dict[str, Any]) -> None:
        """Let the next who answers see how it stands now."""
        if self._mailbox.find(escalation_id).message != message:
            self._mailbox.close(escalation_id)
            self._mailbox.post(Notice(escalation_id, message))


class Messages(Protocol):
    """Where the messages to people come from."""

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of those that are new."""


class OverheardQueue:
    """What is sent to the queue that people read: seen when it is sent, and left for whoever consumes the queue."""

    def __init__(self, cloud: "LocalCloud") -> None:
        self._name = cloud.physical_id("EscalationQueue").rpartition("/")[2]
        self._new: deque[str] = deque()
        cloud.message_sent.append(self._sent)

    def _sent(self, queue: str, body: str) -> None:
        if queue == self._name:
            self._new.append(body)

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of the messages that were sent since the last call; no request is made."""
        while self._new:
            body: dict[str, Any] = json.loads(self._new.popleft())
            yield body


class EscalationQueue:
    """The queue that people read."""

    def __init__(self, cloud: "LocalCloud") -> None:
        self._sqs = cloud.session.client("sqs")
        self._url = cloud.physical_id("EscalationQueue")

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of the messages that are there now; each is deleted once it was dealt with."""
        for message in self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            body: dict[str, Any] = json.loads(message["Body"])
            yield body
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
