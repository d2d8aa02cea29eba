"""Responders: messages in the queue reach people, and each answer reaches the function once."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ballast.contracts.notice import binding_shown
from ballast.contracts.timeline import Approval, Call, Timeline, Turn
from ballast.errors import InvalidInput
from ballast.escalations import ShownEscalations
from ballast.log.event import Event
from ballast.log.events import ApprovalRequested
from ballast.table import Table
from cli.escalation_files import EscalationFiles, NobodyWaits
from cli.responders import ScriptedResponder, SentMessages, TerminalResponder
from cli.screen import Screen
from localcloud.cloud import FunctionError
from localcloud.scenarios import people as scenario_people
from localcloud.scenarios.people import NoAnswerLeft

MESSAGE = {
    "escalation_id": "esc-a", "run_id": "run-x", "kind": "approval", "reason": "approval_required",
    "summary": "Look \x1b[2J here.",
}  # fmt: skip

#: An approval's item in the table, as it is after one person has changed the call and another has approved.
ITEM = {
    "escalation_id": {"S": "esc-aaaaaaaaaaaaaaaa"},
    "run_id": {"S": f"run-{'a' * 24}"},
    "tenant": {"S": "acme"},
    "kind": {"S": "approval"},
    "status": {"S": "open"},
    "opened_at": {"S": "2026-11-28T01:00:00+00:00"},
    "answer_by": {"S": "2999-01-01T00:00:00+00:00"},
    "turn": {"N": "2"},
    "call_index": {"N": "1"},
    "approvals_needed": {"N": "2"},
    "given": {"S": '[{"by": "Lee", "at": "", "sha256": "", "comment": "", "number": 2}]'},
    "binding": {"S": "b" * 64},
    "arguments": {"S": '{"times": 2}'},
    "requested_by": {"S": "mia"},
    "changed_by": {"S": "pat"},
    "guided_by": {"S": '["rae"]'},
}


class Cloud:
    """A local cloud, as far as people see it: a queue that delivers at least once, and one function."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.queue = list(messages)
        self.invoked: list[dict[str, Any]] = []
        self.refuses: FunctionError | None = None
        self.still_needed = 0
        self.item: dict[str, Any] = {}
        self.session = self

    def events(self, _run_id: str) -> Any:
        return SimpleNamespace(timeline=lambda: SimpleNamespace(turns=()))

    def escalations(self) -> ShownEscalations:
        log: Any = self
        return ShownEscalations(log, Table(self, "escalations", "Table escalations"), lambda: datetime.now(UTC))

    def read_keys(self, keys: Any, _unreadable: Any) -> dict[tuple[str, str], Event]:
        body = {"proposed_decision": {"kind": "call_tools", "calls": [{"tool": "t", "arguments": {}}]}}
        at = "2026-11-28T01:00:00+00:00"
        opened = [key for key in keys if key[1] == ApprovalRequested.key(2, 1, 1)]
        return {key: Event(run_id=key[0], seq=key[1], at=at, body=body) for key in opened}

    def client(self, service: str) -> "Cloud":
        return self

    def physical_id(self, logical_id: str) -> str:
        return logical_id

    def receive_message(self, **_: Any) -> dict[str, Any]:
        return {"Messages": [{"Body": json.dumps(body), "ReceiptHandle": "r"} for body in self.queue]}

    def delete_message(self, **_: Any) -> None:
        del self.queue[0]

    def invoke(self, function: str, payload: dict[str, Any]) -> dict[str, Any]:
        self.invoked.append(payload)
        if self.refuses:
            raise self.refuses
        return {"run_id": "run-x", "status": "answered", "still_needed": self.still_needed}

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": self.item}


Elsewhere = Callable[[Any], tuple[TerminalResponder, io.StringIO]]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    def make(cloud: Any) -> tuple[TerminalResponder, io.StringIO]:
        printed = io.StringIO()
        return TerminalResponder(cloud, EscalationFiles(tmp_path), Screen(Console(file=printed))), printed

    return make


def test_a_script_answers_each_escalation_with_its_next_answer() -> None:
    cloud: Any = Cloud(MESSAGE, MESSAGE | {"escalation_id": "esc-b"})

    ScriptedResponder(cloud, [{"by": "Lee", "approve": True}, {"by": "Dana", "approve": False}]).poll()

    assert cloud.invoked == [
        {"escalation_id": "esc-a", "by": "Lee", "approve": True},
        {"escalation_id": "esc-b", "by": "Dana", "approve": False},
    ]
    assert cloud.queue == []


def refusing(*names: str) -> Any:
    """Return a cloud that does not let these people answer."""
    cloud: Any = Cloud(MESSAGE)
    plain = cloud.invoke

    def invoke(function: str, payload: dict[str, Any]) -> dict[str, Any]:
        if payload["by"] in names:
            raise FunctionError("MayNotAnswer", f"{payload['by']} asked for this run.", [])
        return dict(plain(function, payload))

    cloud.invoke = invoke
    return cloud


def test_who_must_not_be_let_answer_is_followed_by_somebody_who_may() -> None:
    cloud = refusing("Mia")
    people = ScriptedResponder(
        cloud, [{"by": "Mia", "approve": True, "refused": True}, {"by": "Dana", "approve": True, "refused": False}]
    )

    people.poll()

    assert cloud.invoked == [{"escalation_id": "esc-a", "by": "Dana", "approve": True}]
    assert people.people.wrong == []


def test_an_answer_that_is_refused_is_named_with_what_to_write_if_it_must_be() -> None:
    with pytest.raises(InvalidInput, match=r"people\.0: the answer of Mia was refused: MayNotAnswer: .*refused: true"):
        ScriptedResponder(refusing("Mia"), [{"by": "Mia", "approve": True}]).poll()


def test_another_error_of_an_answer_is_not_the_refusal_that_was_expected() -> None:
    cloud: Any = Cloud(MESSAGE)
    cloud.refuses = FunctionError("InvalidInput", "decision: is missing.", [])

    with pytest.raises(InvalidInput, match=r"people\.0: the answer of Mia was refused: InvalidInput: decision"):
        ScriptedResponder(cloud, [{"by": "Mia", "approve": True, "refused": True}]).poll()


def test_an_answer_that_should_have_been_refused_is_told() -> None:
    people = ScriptedResponder(refusing(), [{"by": "Mia", "approve": True, "refused": True}])

    people.poll()

    assert people.people.wrong == [
        "people.0: the answer of Mia was accepted, and should have been refused (refused: true)"
    ]


def test_an_escalation_that_nobody_was_scripted_for_is_an_error() -> None:
    cloud: Any = Cloud(MESSAGE)

    with pytest.raises(InvalidInput, match=r"asks for a person .approval_required., and the scenario has no answer"):
        ScriptedResponder(cloud, []).poll()


def test_an_approval_that_is_asked_for_once_more_says_what_had_changed() -> None:
    cloud: Any = Cloud(MESSAGE)
    rounds = (Approval(escalation_id="esc-0", void=("cost", "state")), Approval(round=2, escalation_id="esc-a"))
    _run_with(cloud, Call(index=1, tool="pay", outcome="waiting", approvals=rounds))

    with pytest.raises(InvalidInput, match=r"once more, since cost, state had changed, and the scenario has no answer"):
        ScriptedResponder(cloud, []).poll()


def test_a_waiting_run_says_what_to_type_once_however_often_the_queue_delivers(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    people, printed = elsewhere(Cloud(MESSAGE, MESSAGE))

    people.poll()

    assert printed.getvalue().count("ballast answer esc-a --approve\n") == 1
    assert r"Look \x1b[2J here." in printed.getvalue()
    assert EscalationFiles(tmp_path).find("esc-a").message == MESSAGE


def test_an_answer_from_elsewhere_reaches_the_function_and_is_confirmed(elsewhere: Elsewhere, tmp_path: Path) -> None:
    cloud = Cloud(MESSAGE)
    people, _ = elsewhere(cloud)
    people.poll()
    receipt = EscalationFiles(tmp_path).send("esc-a", {"by": "Lee", "approve": True, "escalation_id": "esc-other"})

    people.poll()

    assert cloud.invoked == [{"escalation_id": "esc-a", "by": "Lee", "approve": True}]
    assert EscalationFiles(tmp_path).wait_for("esc-a", receipt, timeout_s=5)["ok"] is True
    assert EscalationFiles(tmp_path).waiting() == []


def test_an_answer_that_the_function_refuses_is_reported_and_the_run_still_waits(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    cloud = Cloud(MESSAGE)
    cloud.refuses = FunctionError("InvalidInput", "by: too long", [])
    people, printed = elsewhere(cloud)
    people.poll()
    receipt = EscalationFiles(tmp_path).send("esc-a", {"approve": True})

    people.poll()

    expected = {"ok": False, "error": "InvalidInput", "message": "by: too long"}
    assert EscalationFiles(tmp_path).wait_for("esc-a", receipt, timeout_s=5) == expected
    assert "an answer was not accepted: by: too long" in printed.getvalue()
    assert [notice.escalation_id for notice in EscalationFiles(tmp_path).waiting()] == ["esc-a"]


def test_after_the_run_nobody_waits_any_more(elsewhere: Elsewhere, tmp_path: Path) -> None:
    people, _ = elsewhere(Cloud(MESSAGE))
    people.poll()

    people.close()

    with pytest.raises(NobodyWaits):
        EscalationFiles(tmp_path).find("esc-a")


def test_what_an_approval_is_about_is_said_in_full(elsewhere: Elsewhere) -> None:
    call = {"tool": "refund_order", "arguments": {"amount_usd": "480.00"}}
    facts = {"why": ["it is much"], "approvals_needed": 2, "approvals_given": ["Lee"], "may_not_answer": ["user/ann"]}
    decision = {"kind": "call_tools", "calls": [call]}
    people, printed = elsewhere(Cloud(MESSAGE | facts | {"proposed_decision": decision}))

    people.poll()

    for words in (
        'refund_order {"amount_usd": "480.00"}',
        "Asked because it is much.",
        "Approved by 1 of 2 people (Lee).",
        "May not approve: user/ann",
        "--approve --arguments JSON",
    ):
        assert words in printed.getvalue()


def test_who_may_approve_is_said_with_what_to_type(elsewhere: Elsewhere) -> None:
    people, printed = elsewhere(Cloud(MESSAGE | {"approvers": "finance", "may_not_answer": ["mia", "pat"]}))

    people.poll()

    for words in (
        "Only members of finance may approve it: --group finance.",
        "May not approve: mia, pat, who asked for the run, proposed or changed the call, or guided the agent to it.",
        "ballast answer esc-a --approve --group finance",
        "ballast answer esc-a --reject --group finance",
    ):
        assert words in printed.getvalue()


def test_of_a_decision_too_it_is_said_who_does_not_take_it(elsewhere: Elsewhere) -> None:
    people, printed = elsewhere(Cloud(MESSAGE | {"kind": "escalation", "may_not_answer": ["mia"]}))

    people.poll()

    assert "May not decide: mia, who asked for the run." in printed.getvalue()


def test_after_one_of_several_the_next_person_sees_how_it_stands(elsewhere: Elsewhere, tmp_path: Path) -> None:
    sent = MESSAGE | {"escalation_id": ITEM["escalation_id"]["S"]}
    cloud = Cloud(sent | {"proposed_decision": {"kind": "call_tools", "calls": [{"tool": "t", "arguments": {}}]}})
    cloud.still_needed = 1
    cloud.item = ITEM
    people, _ = elsewhere(cloud)
    people.poll()
    receipt = EscalationFiles(tmp_path).send(sent["escalation_id"], {"by": "Lee", "approve": True})

    people.poll()

    assert EscalationFiles(tmp_path).wait_for(sent["escalation_id"], receipt, timeout_s=5)["still_needed"] == 1
    [notice] = EscalationFiles(tmp_path).waiting()
    assert notice.message["approvals_given"] == ["Lee"]
    assert notice.message["changed_by"] == "pat"
    assert notice.message["may_not_answer"] == ["mia", "pat", "rae"]
    assert notice.message["proposed_decision"]["calls"][0]["arguments"] == {"times": 2}
    assert notice.message["binding"] == binding_shown("b" * 64, {"times": 2})


def test_what_is_overheard_is_posted_and_left_in_the_queue(tmp_path: Path) -> None:
    cloud: Any = Cloud()
    cloud.message_sent = []
    cloud.physical_id = lambda name: f"https://sqs.eu-west-1.amazonaws.com/123456789012/its-{name}"
    people = TerminalResponder(
        cloud, EscalationFiles(tmp_path), Screen(Console(file=io.StringIO())), SentMessages(cloud)
    )
    (sent,) = cloud.message_sent
    cloud.receive_message = cloud.delete_message = None  # nothing is taken out of a queue

    sent("its-EscalationQueue", json.dumps(MESSAGE))
    sent("another-queue", json.dumps(MESSAGE | {"escalation_id": "esc-b"}))
    people.poll()

    assert [notice.escalation_id for notice in EscalationFiles(tmp_path).waiting()] == ["esc-a"]
    people.close()


def test_the_people_that_one_approval_needs_answer_it_one_after_another_and_who_is_never_asked_is_told() -> None:
    cloud: Any = Cloud(MESSAGE)
    plain = cloud.invoke
    needs = {"Lee": 2, "Dana": 1}
    cloud.invoke = lambda name, payload: {**plain(name, payload), "still_needed": needs.get(payload["by"], 0)}
    names = ("Lee", "Dana", "Mia", "Kim")

    people = ScriptedResponder(cloud, [{"by": name, "approve": True} for name in names])
    people.poll()

    assert [(one["escalation_id"], one["by"]) for one in cloud.invoked] == [("esc-a", name) for name in names[:3]]
    assert people.people.unmet() == [
        "people.3: the run asked nobody any more, so the answer of Kim was not needed. Is an approval lost? "
        "Where the run need not ask, write `if_asked: true`"
    ]


def test_whoever_comes_after_a_change_of_the_call_approves_what_it_is_then() -> None:
    cloud: Any = Cloud(MESSAGE | {"escalation_id": ITEM["escalation_id"]["S"], "binding": "a" * 64})
    cloud.item, plain, needs = ITEM, cloud.invoke, {"pat": 2, "Lee": 1, "Kim": 0}
    cloud.invoke = lambda name, payload: {**plain(name, payload), "still_needed": needs[payload["by"]]}
    answers = [{"by": "pat", "approve": True, "arguments": {"times": 2}}, {"by": "Lee", "approve": True}]
    ScriptedResponder(cloud, [*answers, {"by": "Kim", "approve": True}]).poll()

    changed = binding_shown("b" * 64, {"times": 2})
    assert [(one["by"], one.get("binding")) for one in cloud.invoked] == [
        ("pat", None),
        ("Lee", changed),
        ("Kim", changed),
    ]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (
            {"approve": True, "arguments": {"times": 2}},
            "Lee. changed the arguments, so .*anew; 1 more approval",
        ),
        (
            {"approve": True},
            "Lee. approved; 1 more approval of somebody else needed",
        ),
    ],
)
def test_a_run_that_waits_for_another_person_with_nobody_left_does_not_wait(first: dict[str, Any], said: str) -> None:
    cloud: Any = Cloud(MESSAGE)
    cloud.still_needed = 1
    cloud.item = ITEM

    with pytest.raises(NoAnswerLeft, match=said):
        ScriptedResponder(cloud, [{"by": "Lee", **first}]).poll()


def test_who_is_asked_about_a_call_in_doubt_is_told_what_its_last_attempt_said() -> None:
    broke, well = (SimpleNamespace(message=one) for one in ("AccessDenied: no PutItem", "slow"))
    calls = [SimpleNamespace(tool="label", outcome="open", doubts=(well, broke), approvals=())]
    calls += [SimpleNamespace(tool="look", outcome="ok", doubts=(well,), approvals=())]
    cloud: Any = Cloud(MESSAGE)
    cloud.events = lambda _: SimpleNamespace(timeline=lambda: SimpleNamespace(turns=[SimpleNamespace(calls=calls)]))

    with pytest.raises(NoAnswerLeft, match=r"In doubt: label: AccessDenied: no PutItem$"):
        ScriptedResponder(cloud, []).poll()


def test_an_answer_that_nobody_was_asked_for_is_told_and_one_that_may_go_unused_is_not() -> None:
    yes = {"by": "rae", "approve": True}
    refused, free = {**yes, "by": "mia", "refused": True}, {**yes, "by": "zoe", "if_asked": True}
    nobody = ScriptedResponder(Cloud(), [yes, refused, free])  # type: ignore[arg-type]
    asked = ScriptedResponder(Cloud(MESSAGE), [yes, refused, free])  # type: ignore[arg-type]
    nobody.poll()
    asked.poll()

    first, second = nobody.people.unmet()
    assert first.startswith("people.0: the run asked nobody, so the answer of rae was not needed.")
    assert second.startswith("people.1: the run asked nobody, so nobody knows whether mia would be refused")
    [only] = asked.people.unmet()
    assert only.startswith("people.1: the run asked nobody any more, so nobody knows whether mia would be refused")


def test_an_answer_that_may_go_unused_is_passed_over_where_another_kind_is_asked_for() -> None:
    cloud: Any = Cloud(MESSAGE)
    decision = {"kind": "answer", "text": "Hm."}
    answers = [{"by": "zoe", "decision": decision, "if_asked": True}, {"by": "rae", "approve": True, "if_asked": True}]

    ScriptedResponder(cloud, answers).poll()

    assert cloud.invoked == [{"escalation_id": "esc-a", "by": "rae", "approve": True}]


# Somebody who answers whatever the others do not

PAY = MESSAGE | {
    "run_id": "run-x",
    "approvers": "finance",
    "may_not_answer": ["Mia", "anybody"],
    "proposed_decision": {"kind": "call_tools", "calls": [{"tool": "pay", "arguments": {}}]},
}


def _run_with(cloud: Any, *calls: Call) -> None:
    run = Timeline(
        run_id="run-x", status="open", ending="", reason="", turns=(Turn(turn=1, planner="agent", calls=calls),)
    )
    cloud.events = lambda _run_id: SimpleNamespace(timeline=lambda: run)


def test_who_answers_whenever_they_are_asked_may_answer_and_is_as_many_as_needed() -> None:
    cloud: Any = Cloud(PAY, PAY | {"escalation_id": "esc-b", "kind": "escalation"})
    decision = {"kind": "answer", "text": "Taken over."}
    responder = ScriptedResponder(
        cloud, [{"by": "anybody", "approve": True, "decision": decision, "whenever_asked": True}]
    )
    needed = iter((1, 0, 0))
    cloud.invoke = lambda _function, payload: cloud.invoked.append(payload) or {"still_needed": next(needed)}
    cloud.escalations = lambda: SimpleNamespace(
        get=lambda _id: SimpleNamespace(
            model_dump=lambda **_: {"approvals_given": [one["by"] for one in cloud.invoked]}
        )
    )

    responder.poll()

    said = [(one["by"], one["groups"], one.get("approve"), one.get("decision")) for one in cloud.invoked]
    assert said[:2] == [("anybody-2", ["finance"], True, None), ("anybody-3", ["finance"], True, None)]
    assert said[2][2:] == (None, decision)
    assert responder.people.unmet() == []


def test_who_approves_the_expected_writes_approves_no_other_and_none_too_often() -> None:
    cloud: Any = Cloud(*(PAY | {"escalation_id": f"esc-{number}"} for number in range(3)))
    paid = Call(index=1, tool="pay", outcome="ok", effect="write")
    asked = [
        Call(index=number + 2, tool="pay", outcome="waiting", approvals=(Approval(escalation_id=f"esc-{number}"),))
        for number in range(3)
    ]
    _run_with(cloud, paid, *asked)

    who = {"by": "x", "approve": ["pay", "mail", "pay"], "whenever_asked": True}
    ScriptedResponder(cloud, [who]).poll()

    assert [one["approve"] for one in cloud.invoked] == [True, False, False]  # one was paid unasked
    cloud.queue.append(
        PAY | {"escalation_id": "esc-9", "proposed_decision": {"calls": [{"tool": "close", "arguments": {}}]}}
    )
    ScriptedResponder(cloud, [who]).poll()
    assert cloud.invoked[-1]["approve"] is False


def test_an_answer_that_need_not_be_asked_for_waits_for_what_it_is_about() -> None:
    close = PAY | {"escalation_id": "esc-b", "proposed_decision": {"calls": [{"tool": "close", "arguments": {}}]}}
    cloud: Any = Cloud(PAY, close)
    about_close = {"by": "fay", "approve": True, "tool": "close", "groups": ["finance"], "if_asked": True}
    of_another_group = {"by": "lee", "approve": True, "groups": ["sales"], "if_asked": True}
    who_asked = {"by": "Mia", "approve": True, "groups": ["finance"], "if_asked": True}

    people = [about_close, of_another_group, who_asked, {"by": "x", "approve": False, "whenever_asked": True}]
    ScriptedResponder(cloud, people).poll()

    assert [(one["by"], one["approve"]) for one in cloud.invoked] == [("x", False), ("fay", True)]


def test_an_answer_about_a_tool_is_given_to_no_call_of_another_one_and_is_left_over() -> None:
    cloud: Any = Cloud(PAY)
    close = {"by": "fay", "approve": True, "tool": "close", "groups": ["finance"]}
    responder = ScriptedResponder(cloud, [close, {"by": "Mia", "approve": False, "groups": ["finance"]}])

    responder.poll()

    assert [(one["by"], one["approve"]) for one in cloud.invoked] == [("Mia", False)]
    assert [one.partition(":")[0] for one in responder.people.unmet()] == ["people.0"]


def test_who_approves_up_to_a_sum_approves_no_call_that_goes_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks(number: int, tool: str, amount: int) -> dict[str, Any]:
        calls = [{"tool": tool, "arguments": {"amount": amount}}]
        return PAY | {"escalation_id": f"esc-{number}", "proposed_decision": {"calls": calls}}

    pays = SimpleNamespace(
        name="pay",
        moves=SimpleNamespace(micro=lambda _name, args, _request: args["amount"] * 1_000_000),
        read=lambda arguments: arguments,
    )
    tools = {"pay": pays, "mail": SimpleNamespace(name="mail", moves=None)}
    monkeypatch.setattr(scenario_people, "load_playbook", lambda _folder: SimpleNamespace(tools=tools))
    messages = [asks(2, "pay", 30), asks(3, "pay", 20), asks(4, "pay", 15), asks(5, "mail", 9), asks(6, "pay", 5)]
    cloud: Any = Cloud(*messages)
    cloud.playbook = "."
    calls = [
        Call(index=number, tool="pay", outcome="waiting", approvals=(Approval(escalation_id=f"esc-{number}"),))
        for number in range(2, 7)
    ]
    run = Timeline(
        run_id="run-x", status="open", ending="", reason="", turns=(Turn(turn=1, planner="agent", calls=calls),)
    )
    moved = [SimpleNamespace(turn=1, index=1, micro=10_000_000, counts=True)]
    moved += [SimpleNamespace(turn=1, index=9, micro=70_000_000, counts=False)]
    cloud.events = lambda _run_id: SimpleNamespace(timeline=lambda: run, moves=moved, request=None)

    ScriptedResponder(cloud, [{"by": "x", "approve": True, "moves_at_most": "50.00", "whenever_asked": True}]).poll()

    # 10 went out, 30 are granted and have not: 10 are left.
    assert [one["approve"] for one in cloud.invoked] == [True, False, False, True, True]
    assert all("moves_at_most" not in one for one in cloud.invoked)
