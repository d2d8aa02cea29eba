"""An escalation is the same on every screen: in the API, in ``ballast escalations`` and ``answer``, in a message."""

import json
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from ballast.contracts.notice import EscalationMessage
from ballast.errors import InvalidInput
from ballast.escalations import ShownEscalations
from ballast.log.event import Event
from ballast.table import Table
from cli.commands.answer import payload_of
from cli.escalations import commands_to_type, details, open_escalations
from cli.parser import parser
from functions.people.remind import RemindIncomplete
from tests.functions.approvals import asks
from tests.functions.cloud import STACK_NAME, client
from tests.functions.http import ask, event
from tests.functions.people.test_remind import received
from tests.functions.stack import Stack
from tests.functions.test_rights import ASKING, CLAIMS, guided
from tests.support.log_items import encode

_NUMBERS = count(1)
_TURN = {"timeout_s": 600, "task_token": "t" * 20}
#: What the API says of the caller, and not of the escalation.
_OF_THE_CALLER = ("you_may", "you_may_not", "you_may_grant_usd")


@pytest.fixture
def stack(stack: Stack) -> Iterator[Stack]:
    stack.environs["people"].update(CLAIMS)
    for function in ("admit", "executor", "answer", "people", "open"):
        if "PLAYBOOK_DIR" in stack.environs[function]:
            stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    # The tables outlive a test. Only this one's escalations are open and due.
    table = {"TableName": "escalations"}
    for found in client("dynamodb").scan(**table)["Items"]:
        client("dynamodb").delete_item(**table, Key={"escalation_id": found["escalation_id"]})
    return stack


class Asked:
    """One escalation, and what each reader says of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        request = {"request_id": f"s-{next(_NUMBERS)}", "agent": "tester", "text": "Stamp n-1.", "tenant": "acme"}
        self.run_id = str(stack.invoke("admit", {"request": request, "requested_by": "mia"})["run_id"])
        self.id = self.opening = ""
        self.opened: Event | None = None

    def escalation(self, turn: int = 1) -> "Asked":
        task = {"run_id": self.run_id, "turn": turn, "kind": "escalation", "reason": "guidance"}
        self.id = self.stack.invoke("open", task | _TURN)["escalation_id"]
        self.opening = f"{turn:04d}.escalation.opened"
        return self

    def approval(self, tool: str = "stamp", turn: int = 1) -> "Asked":
        self.stack.propose(self.run_id, {"tool": tool, "arguments": {"note_id": "n-5", "times": 77}}, turn=turn)
        asks(self.stack, self.run_id, turn=turn)
        task = {"run_id": self.run_id, "turn": turn, "index": 1, "kind": "approval", "reason": "approval_required"}
        self.id = self.stack.invoke("open", task | _TURN)["escalation_id"]
        self.opening = f"{turn:04d}.call.1.approval_requested"
        return self

    def question(self) -> "Asked":
        decision = {"kind": "hand_over", "to": "requester", "reason": "question", "guidance": "Which note?"}
        self.stack.log.write(self.run_id, "0001.plan.decided", {"planner": "agent", "decision": decision})
        task = {"run_id": self.run_id, "turn": 2, "kind": "question", "reason": "question"}
        self.id = self.stack.invoke("open", task | _TURN)["escalation_id"]
        return self

    def answer(self, by: str, **more: Any) -> "Asked":
        with suppress(Exception):  # no execution waits for a decision here; the answer is on record
            self.stack.invoke("answer", {"escalation_id": self.id, "by": by} | more)
        return self

    def forge(self, proposed: Any) -> "Asked":
        """Write another proposed decision over the one in the log."""
        self.opened = self.opened or next(one for one in self.stack.log.read(self.run_id) if one.seq == self.opening)
        opened = self.opened
        changed = opened.model_copy(update={"body": opened.body | {"proposed_decision": proposed}})
        item, _ = encode(changed, changed.body)
        client("dynamodb").put_item(TableName=self.stack.environs["api"]["RUN_LOG_TABLE"], Item=item)
        return self

    # Readers

    def by_http(self) -> dict[str, Any]:
        reply = ask(self.stack, "people", event("GET", f"/escalations/{self.id}", who=_operator()))
        assert reply.status == 200, reply.text
        return {name: value for name, value in reply.body.items() if name not in _OF_THE_CALLER}

    def listed(self) -> list[dict[str, Any]]:
        reply = ask(self.stack, "people", event("GET", "/escalations", who=_operator()))
        return [dict(one) for one in reply.body["escalations"]]

    def by_the_command(self) -> list[dict[str, Any]]:
        return [dict(one) for one in open_escalations(self)]  # type: ignore[arg-type]

    def escalations(self) -> ShownEscalations:
        table = Table(client("dynamodb"), "escalations", "Table escalations")
        return ShownEscalations(self.stack.log, table, self.stack.clock)

    def by_message(self) -> dict[str, Any]:
        """Return the last message of the queue, reminders included."""
        self.stack.clock.advance(301)
        with suppress(RemindIncomplete):
            self.stack.invoke("remind", {})
        return received(self.run_id)[-1]


def _operator() -> Any:
    return {"jwt": {"claims": {"sub": "ann", "tenant": "acme", "groups": "[operators]"}, "scopes": None}}


def _approves() -> Namespace:
    """Return what ``ballast answer ID --approve`` is parsed to."""
    return parser().parse_args(["answer", "esc-a", "--approve"])


def _guided(stack: Stack) -> Asked:
    asked = Asked(stack)
    asked.escalation().answer("rae", **guided(guidance="Stamp n-5 with 77 stamps."))
    return asked.approval(turn=2)


CHANGED = {"approve": True, "arguments": {"note_id": "n-5", "times": 76}}
OTHER = {"kind": "call_tools", "calls": [{"tool": "stamp", "arguments": {"note_id": "n-6", "times": 99}}]}

#: By kind: how it comes to be, and texts that the command prints of it.
KINDS: dict[str, tuple[Callable[[Stack], Asked], list[str]]] = {
    "escalation": (lambda stack: Asked(stack).escalation(), ["May not decide: mia"]),
    "approval": (
        lambda stack: Asked(stack).approval(),
        ['stamp {"note_id": "n-5", "times": 77}', "May not approve: mia"],
    ),
    "changed": (
        lambda stack: Asked(stack).approval().answer("lee", **CHANGED),
        ['"times": 76', "as changed by lee", "May not approve: mia, lee"],
    ),
    "several": (
        lambda stack: Asked(stack).approval("stamp_with_two").answer("lee", approve=True),
        ["Approved by 1 of 2 people (lee)."],
    ),
    "guided": (_guided, ["May not approve: mia, rae"]),
    "forged": (lambda stack: Asked(stack).approval().forge(OTHER), ["NOT SHOWN", "changed in the log after people"]),
    "forged after a change": (
        lambda stack: Asked(stack).approval().answer("lee", **CHANGED).forge({"kind": "answer", "text": "Done."}),
        ["NOT SHOWN", "as changed by lee"],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_says_the_same_of_an_escalation(stack: Stack, kind: str) -> None:
    begin, printed = KINDS[kind]
    asked = begin(stack)

    http = asked.by_http()
    [command] = asked.by_the_command()
    [listed] = asked.listed()

    assert {name: value for name, value in command.items() if name not in _OF_THE_CALLER} == http
    assert listed.items() <= http.items()
    shown = "\n".join([*details(command), *commands_to_type(asked.id, command)])
    assert [text for text in printed if text not in shown] == []
    assert (http["corrupt"] is not None, http["proposed_decision"] is None) == (
        "forged" in kind,
        "forged" in kind or kind == "escalation",
    )
    if command["kind"] == "approval" and not http["corrupt"]:
        assert payload_of(_approves(), command, by="kim")["binding"] == http["binding"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "forged" not in kind])
def test_a_message_says_what_the_api_says(stack: Stack, kind: str) -> None:
    begin, _ = KINDS[kind]
    asked = begin(stack)

    message = asked.by_message()

    http = asked.by_http()
    both = EscalationMessage.model_fields.keys() & http.keys()
    assert len(both) > 10
    assert {name: message[name] for name in both} == {name: http[name] for name in both}
    assert message["look_with"] == f"ballast --stack {STACK_NAME} why {asked.run_id}"


def test_the_first_message_after_a_change_has_the_change(stack: Stack) -> None:
    asked = Asked(stack).approval().answer("lee", **CHANGED)
    received(asked.run_id)

    asked.approval()  # the workflow asks again, with another token

    [message] = received(asked.run_id)
    http = asked.by_http()
    assert message["proposed_decision"] == http["proposed_decision"]
    assert message["proposed_decision"]["calls"][0]["arguments"]["times"] == 76
    assert (message["binding"], message["changed_by"]) == (http["binding"], "lee")
    assert message["may_not_answer"] == ["mia", "lee"]


def test_a_question_is_the_requesters_on_every_screen(stack: Stack) -> None:
    asked = Asked(stack).question()

    assert (asked.listed(), asked.by_the_command()) == ([], [])
    shown = asked.by_http()
    assert (shown["asked"], shown["may_not_answer"], shown["summary"]) == (["mia"], [], "Which note?")


def test_a_call_that_is_not_shown_is_not_approved_by_the_command(stack: Stack) -> None:
    asked = Asked(stack).approval().forge(OTHER)

    [command] = asked.by_the_command()

    assert [line.split()[3] for line in commands_to_type(asked.id, command)] == ["--reject"]
    assert "n-6" not in json.dumps(command)
    with pytest.raises(InvalidInput, match="the call is not shown"):
        payload_of(_approves(), command, by="kim")


#: Every kind of JSON.
VALUES: list[Any] = [None, True, False, 0, -1.5, 2**70, "", "x", [], [[]], [None], {}, {"a": None}, {"kind": "x"}]


def forged(value: Any) -> Iterator[Any]:
    """Yield decisions that have ``value`` at each level."""
    call = {"tool": "stamp", "arguments": {"note_id": "n-5", "times": 77}, "call_id": ""}
    yield value
    yield {"kind": value}
    yield {"kind": "call_tools", "calls": value}
    yield {"kind": "call_tools", "calls": [value]}
    yield {"kind": "call_tools", "calls": [call, value]}
    yield {"kind": "call_tools", "calls": [call], "more": value}
    for name in call:
        yield {"kind": "call_tools", "calls": [call | {name: value}]}
    yield {"kind": "call_tools", "calls": [call | {"more": value}]}
    yield {"kind": "call_tools", "calls": [{"tool": "stamp", "arguments": {"note_id": value}}]}
    yield {"kind": "answer", "text": value}
    yield {"kind": "answer", "text": "Done.", "data": value}
    yield {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": value}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["escalation", "approval", "changed"])
def test_a_forged_proposal_stops_no_reader_and_is_told_alike(stack: Stack, kind: str) -> None:
    begin, _ = KINDS[kind]
    asked = begin(stack)
    other = Asked(stack).approval()
    shown = 0

    for proposed in (one for value in VALUES for one in forged(value)):
        asked.forge(proposed)

        http = asked.by_http()
        command = {one["escalation_id"]: one for one in asked.by_the_command()}

        assert {name: value for name, value in command[asked.id].items() if name not in _OF_THE_CALLER} == http, (
            proposed
        )
        details(command[asked.id])
        commands_to_type(asked.id, command[asked.id])
        assert command[other.id]["proposed_decision"] is not None
        assert http["proposed_decision"] is None or http["corrupt"] is None
        shown += http["proposed_decision"] is not None
        if kind != "escalation":
            assert http["proposed_decision"] is None or proposed["calls"][0]["arguments"] == {
                "note_id": "n-5",
                "times": 77,
            }
    assert shown > 0


def test_a_forged_proposal_is_an_error_of_its_own_reminder_only(stack: Stack) -> None:
    asked, other = Asked(stack).approval().forge([5]), Asked(stack).approval()
    received(other.run_id)
    stack.clock.advance(301)

    with pytest.raises(RemindIncomplete, match="1 escalations"):
        stack.invoke("remind", {})

    assert [message["escalation_id"] for message in received(other.run_id)] == [other.id]
    assert asked.by_http()["status"] == "open"


def test_a_lone_surrogate_in_a_call_is_shown_and_told(stack: Stack) -> None:
    asked = Asked(stack).escalation()
    asked.forge({"kind": "call_tools", "calls": [{"tool": "stamp", "arguments": {"note_id": "a\ud800b"}}]})

    [command] = asked.by_the_command()

    assert {name: command[name] for name in asked.by_http()} == asked.by_http()
    assert asked.by_http()["proposed_decision"] == asked.by_message()["proposed_decision"] is not None
