"""Responders: who answers the escalations of a run in a local cloud, and how their messages arrive."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ballast.errors import InvalidInput
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


class NoAnswerLeft(InvalidInput):
    """The run asks a person, and the scenario has no answer for that."""


class ScriptedResponder:
    """Answers each escalation with the next of ``answers``: payloads without an escalation id.

    Where several people must approve, the next answer is for the same escalation, until no more are needed.
    An answer with ``refused`` must be refused because of who gives it; the next one then answers the same escalation.
    Raises ``NoAnswerLeft`` for an escalation after the last answer, and ``InvalidInput`` for one that is not accepted.

    queue  where messages come from; by default they are taken out of the escalation queue
    wrong  the answers that were accepted and should have been refused, one sentence each
    """

    def __init__(self, cloud: "LocalCloud", answers: Iterable[dict[str, Any]], queue: "Messages | None" = None) -> None:
        self._cloud, self._queue = cloud, queue or EscalationQueue(cloud)
        self._answers = deque(enumerate(answers))
        self._looked_at = ""
        self.wrong: list[str] = []

    def poll(self) -> None:
        """Answer the messages in the queue."""
        for message in self._queue.received():
            while not self._accepted(message):
                pass

    def _accepted(self, message: dict[str, Any]) -> bool:
        """Give the next answer; say whether it was accepted. Raises ``InvalidInput`` for one that should be."""
        from localcloud.functions import FunctionError

        if not self._answers:
            raise NoAnswerLeft(
                f"The run asks for a person ({message['reason']}), and the scenario has no answer left. "
                "Add one under `people:`."
            )
        number, given = self._answers.popleft()
        answer = {"escalation_id": message["escalation_id"], **given}
        if self._looked_at == message["escalation_id"]:
            answer.setdefault("binding", message["binding"])
        refused = answer.pop("refused", False)
        if "approve" in answer and "decision" in answer:  # it has one for each kind of escalation
            del answer["decision" if message["kind"] == "approval" else "approve"]
        who = f"people.{number}: the answer of {given.get('by', 'nobody')}"
        try:
            taken = self._cloud.invoke("AnswerEscalationFunction", answer)
        except FunctionError as problem:
            if refused and problem.name == "MayNotAnswer":
                return False
            hint = " If it must be, write `refused: true`." if problem.name == "MayNotAnswer" else ""
            raise InvalidInput(f"{who} was refused: {problem.name}: {problem.message}{hint}") from None
        if refused:
            self.wrong.append(f"{who} was accepted, and should have been refused (refused: true)")
        # One of several people: the next answer is for the same escalation. Without one the run waits for its time-out.
        if not (taken.get("still_needed") and self._answers):
            return True
        if "arguments" in given:  # whoever comes next has looked at the changed call
            self._looked_at = message["escalation_id"]
            message["binding"] = with_current_state(self._cloud, message).get("binding")
        return False

    def left_over(self) -> list[str]:
        """Return a sentence for each answer that nobody was asked for."""
        return [
            f"people.{number}: the answer of {given.get('by', 'nobody')} was never asked for. Remove it, or see why not"
            for number, given in self._answers
        ]

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
