"""Responders: who answers the escalations of a run in a local cloud, and how their messages arrive."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from cli.escalation_files import EscalationFiles, WaitingEscalation
from cli.escalations import commands_to_type, details, with_current_state
from cli.screen import Screen

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud


class Responder(Protocol):
    """Answers escalations. ``poll`` checks once for messages and answers; it never waits."""

    def poll(self) -> None:
        """Take new messages from the queue and deliver answers."""

    def close(self) -> None:
        """Stop answering."""


class NoResponder:
    """Answers nothing."""

    def poll(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class ScriptedResponder:
    """Answers each escalation for a scenario's ``people``: payloads without an escalation id.

    Raises ``NoAnswerLeft`` and ``NotAccepted``.

    queue  where messages come from; by default they are taken out of the escalation queue
    """

    def __init__(
        self, cloud: "LocalCloud", answers: Iterable[Mapping[str, Any]], queue: "Messages | None" = None
    ) -> None:
        from localcloud.scenarios.people import People

        self._queue = queue or EscalationQueue(cloud)
        self.people = People(cloud, answers)

    def poll(self) -> None:
        """Answer the messages in the queue."""
        for message in self._queue.received():
            while not self.people.answer(message):
                pass

    def close(self) -> None:
        """Do nothing."""


class TerminalResponder:
    """Prints each escalation with the commands that answer it, and waits for ``ballast answer`` in another terminal.

    ``queue``: where messages come from; by default they are taken out of the escalation queue.
    """

    def __init__(
        self, cloud: "LocalCloud", files: EscalationFiles, screen: Screen, queue: "Messages | None" = None
    ) -> None:
        self._cloud, self._queue = cloud, queue or EscalationQueue(cloud)
        self._files, self._screen = files, screen
        self._waiting: dict[str, None] = {}

    def poll(self) -> None:
        """Post new escalations; pass on answers."""
        for message in self._queue.received():
            self._post(message)
        for escalation_id in list(self._waiting):
            answer = self._files.take(escalation_id)
            if answer is not None:
                self._deliver(escalation_id, answer)

    def close(self) -> None:
        """Withdraw all escalations: an answer would come too late."""
        self._waiting.clear()
        self._files.close_all()

    def withdraw_closed(self) -> None:
        """Withdraw the escalations that were answered elsewhere or whose run no longer waits."""
        if not self._waiting:
            return
        keys = [{"escalation_id": escalation_id} for escalation_id in self._waiting]
        for item in self._cloud.table("EscalationsTable").batch_get(keys):
            if item["status"] != "open" or self._cloud.status(item["run_id"]) != "RUNNING":
                self._forget(item["escalation_id"])

    def _forget(self, escalation_id: str) -> None:
        self._files.close(escalation_id)
        self._waiting.pop(escalation_id, None)

    def _post(self, message: dict[str, Any]) -> None:
        escalation_id = str(message["escalation_id"])
        if escalation_id in self._waiting:  # the queue delivers at least once, and reminders are sent
            self._update(escalation_id, message)
            return
        self._files.post(WaitingEscalation(escalation_id, message))
        self._waiting[escalation_id] = None
        self._screen.line()
        until = str(message.get("answer_by", ""))[:16].replace("T", " ")
        self._screen.line(f"This run waits for a person, until {until} UTC.", "bold magenta")
        self._screen.line(str(message.get("summary", "")))
        for detail in details(message):
            self._screen.line(detail)
        self._screen.line("Type one of these in another terminal, in this folder:", "bold")
        for command in commands_to_type(escalation_id, message):
            self._screen.line(f"  {command}")
        self._screen.line()

    def _deliver(self, escalation_id: str, answer: dict[str, Any]) -> None:
        from localcloud.cloud import FunctionError

        payload = {name: value for name, value in answer.items() if name != "nonce"}
        try:
            taken = self._cloud.invoke("AnswerEscalationFunction", payload | {"escalation_id": escalation_id})
        except FunctionError as problem:
            result = {"ok": False, "error": problem.name, "message": problem.message}
            self._screen.line(f"  an answer was not accepted: {problem.message}", "red")
            self._files.report(escalation_id, answer, result)
            return
        self._files.report(escalation_id, answer, {"ok": True, **taken})
        if taken.get("still_needed"):
            self._update(escalation_id, with_current_state(self._cloud, self._files.find(escalation_id).message))
        else:
            self._forget(escalation_id)

    def _update(self, escalation_id: str, message: dict[str, Any]) -> None:
        """Show the escalation's current state to whoever answers next."""
        if self._files.find(escalation_id).message != message:
            self._files.close(escalation_id)
            self._files.post(WaitingEscalation(escalation_id, message))


class Messages(Protocol):
    """A source of messages to people."""

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of the new ones."""


class SentMessages:
    """Messages seen when they are sent to the escalation queue; they stay in the queue for its consumers."""

    def __init__(self, cloud: "LocalCloud") -> None:
        self._name = cloud.physical_id("EscalationQueue").rpartition("/")[2]
        self._new: deque[str] = deque()
        cloud.message_sent.append(self._sent)

    def _sent(self, queue: str, body: str) -> None:
        if queue == self._name:
            self._new.append(body)

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of the messages sent since the last call, without a request."""
        while self._new:
            body: dict[str, Any] = json.loads(self._new.popleft())
            yield body


class EscalationQueue:
    """Messages received from the escalation queue."""

    def __init__(self, cloud: "LocalCloud") -> None:
        self._sqs = cloud.session.client("sqs")
        self._url = cloud.physical_id("EscalationQueue")

    def received(self) -> Iterator[dict[str, Any]]:
        """Yield the bodies of the waiting messages; delete each once the caller has handled it."""
        for message in self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", []):
            body: dict[str, Any] = json.loads(message["Body"])
            yield body
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
