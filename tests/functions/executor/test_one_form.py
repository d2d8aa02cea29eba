"""The call that is shown, approved, undone, repeated and handed on is the one that is executed, in one JSON form."""

import json
from pathlib import Path
from typing import Any

import pytest

from ballast.contracts import Effects
from ballast.errors import ApprovalRequired, InvalidInput
from ballast.log.event import Event
from tests.functions.approvals import answered, asks
from tests.functions.cloud import client
from tests.functions.stack import Stack
from tests.support.log_items import encode

FORMS = Path(__file__).parents[1] / "playbooks" / "forms"
#: More digits than a double has.
ACCOUNT = 9_007_199_254_740_993
PAYER = {"class": "ann", "_id": ACCOUNT}
SENT: dict[str, Any] = {"labels": ["b", "a"], "amount": "7.50", "from": PAYER}
FORM = {"from": PAYER, "to": None, "amount": "7.50", "on": None, "labels": ["a", "b"], "urgency": "low"}


@pytest.fixture
def forms(stack: Stack) -> Stack:
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(FORMS)
    return stack


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments}


def transfer(tool: str = "transfer", **more: Any) -> dict[str, Any]:
    return call(tool, **{**SENT, **more})


def done(stack: Stack, *calls: dict[str, Any]) -> str:
    """Execute the calls, a turn each, and return the run id."""
    run_id = stack.open()
    for turn, one in enumerate(calls, start=1):
        stack.propose(run_id, one, turn=turn)
        stack.execute(run_id, turn)
    return run_id


def test_a_call_is_recorded_and_executed_in_its_form(forms: Stack) -> None:
    run_id = done(forms, transfer())

    assert forms.body(run_id, "0001.call.1.intended")["arguments"] == FORM
    settled = forms.body(run_id, "0001.call.1.settled")
    assert settled["result"] | {"labels": sorted(settled["result"]["labels"])} == FORM
    assert settled["undo"] == {"tool": "take_back", "arguments": FORM, "call_id": ""}


@pytest.mark.parametrize(
    "sent", ["NaN", "nan", "Infinity", "-Infinity", "99", "1e999", True, [1], {"amount": 1}, None, 10**100]
)
def test_what_is_no_number_never_slips_past_an_approval(forms: Stack, sent: Any) -> None:
    run_id = forms.open()
    forms.propose(run_id, call("charge", amount=sent))

    assert forms.execute(run_id) == "refused"

    assert forms.body(run_id, "0001.call.1.refused")["error"] == "SchemaViolation"
    assert "amount" in forms.body(run_id, "0001.call.1.refused")["message"]


@pytest.mark.parametrize("sent", [100.5, 101, 1e300])
def test_what_is_one_asks_for_it(forms: Stack, sent: float) -> None:
    run_id = forms.open()
    forms.propose(run_id, call("charge", amount=sent))

    with pytest.raises(ApprovalRequired):
        forms.execute(run_id)


@pytest.mark.parametrize(("tool", "amount"), [("transfer", "7.50"), ("transfer_for_half", "3.75")])
def test_an_effect_with_an_alias_is_undone(forms: Stack, tool: str, amount: str) -> None:
    run_id = done(forms, transfer(tool))

    assert forms.plan(run_id, 2, by="rollback")["kind"] == "call_tools"
    assert forms.execute(run_id, 2) == "ok"

    assert forms.body(run_id, "0002.call.1.intended")["arguments"] == FORM | {"amount": amount}
    assert not forms.events(run_id).standing.effects
    assert forms.plan(run_id, 3, by="rollback")["kind"] == "hand_over"


def test_an_undo_that_the_agent_wrote_in_its_own_way_is_one(forms: Stack) -> None:
    again = {"to": None, "amount": 7.5, "labels": ["a", "b", "a"], "from": PAYER}

    run_id = done(forms, transfer(amount=7.5), call("take_back", **again))

    assert not forms.events(run_id).standing.effects
    assert forms.events(run_id).effects("answered") is Effects.UNDONE


def test_a_fallback_hands_on_what_python_has(forms: Stack) -> None:
    run_id = forms.open(intent="pay")

    forms.plan(run_id, by="fallback")
    assert forms.execute(run_id) == "ok"
    summary = forms.plan(run_id, 2, by="fallback")

    assert summary["kind"] == "answer"
    assert forms.body(run_id, "0001.call.1.intended")["arguments"] == FORM | {"on": "2026-01-02"}
    assert forms.body(run_id, "0002.plan.decided")["decision"]["text"] == f"Moved 7.50 from {ACCOUNT}."


@pytest.mark.parametrize(
    "again",
    [
        transfer(),
        transfer(amount="7.5"),
        transfer(amount=7.5, to=None),
        transfer(labels=["a", "b", "b"], urgency="low"),
        transfer(**{"from": {"_id": ACCOUNT, "class": "ann"}}),
    ],
)
def test_the_same_call_in_another_writing_acts_once(forms: Stack, again: dict[str, Any]) -> None:
    run_id = done(forms, transfer(), again)

    assert forms.body(run_id, "0002.call.1.settled")["repeat_of"] == [1, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (transfer(), transfer(amount="7.51")),
        (transfer(), transfer(**{"from": {"class": "ann", "_id": ACCOUNT - 1}})),
        (transfer(), transfer(labels=["a", " b"])),
        (call("write_file", path="a.py", content="if x:\ny"), call("write_file", path="a.py", content="if x:\n    y")),
        (call("write_file", path="a", content="x"), call("write_file", path="a", content="x\n")),
        (call("write_file", path="a", content="\u00e9"), call("write_file", path="a", content="e\u0301")),
        (call("write_file", path="a", content="x  y"), call("write_file", path="a", content="x y")),
    ],
)
def test_another_value_is_another_call(forms: Stack, one: dict[str, Any], other: dict[str, Any]) -> None:
    run_id = done(forms, one, other)

    assert "repeat_of" not in forms.body(run_id, "0002.call.1.settled")
    assert "0002.call.1.intended" in forms.seqs(run_id)


def test_people_are_asked_about_the_form_and_it_is_done(forms: Stack) -> None:
    run_id = forms.open()
    forms.propose(run_id, transfer(amount=1e3))
    form = FORM | {"amount": "1000.0"}

    needed = asks(forms, run_id)
    opened = forms.invoke(
        "open",
        {
            "run_id": run_id,
            "turn": 1,
            "index": 1,
            "kind": "approval",
            "reason": "approval_required",
            "timeout_s": 600,
            "task_token": "gone",
        },
    )
    queue = client("sqs")
    messages = queue.receive_message(QueueUrl=forms.environs["open"]["ESCALATION_QUEUE_URL"], MaxNumberOfMessages=10)
    told = [json.loads(one["Body"]) for one in messages["Messages"]]
    [mine] = [one for one in told if one["run_id"] == run_id]
    forms.invoke("answer", {"escalation_id": opened["escalation_id"], "by": "ann", "approve": True})
    assert forms.execute(run_id, asked=1) == "ok"

    assert needed["arguments"] == form
    assert mine["proposed_decision"]["calls"][0]["arguments"] == form
    assert str(ACCOUNT) in json.dumps(mine)
    assert forms.body(run_id, "0001.call.1.intended")["arguments"] == form


def test_changed_arguments_are_kept_shown_and_done_in_their_form(forms: Stack) -> None:
    run_id = forms.open()
    forms.propose(run_id, transfer(amount="200"))
    asks(forms, run_id)
    task = {"run_id": run_id, "turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}
    opened = forms.invoke("open", task | {"timeout_s": 600, "task_token": "gone"})
    changed = {"from": PAYER, "amount": 150, "labels": ["z", "y"]}
    answer = {"escalation_id": opened["escalation_id"], "by": "ann", "approve": True, "arguments": changed}

    forms.invoke("answer", answer)
    forms.invoke("answer", answer)  # a repeat is harmless
    seen = [event.body["binding"] for event in forms.events(run_id) if event.name == "call.approval_given"][-1]
    yes = {"escalation_id": opened["escalation_id"], "by": "bob", "approve": True, "binding": seen}
    forms.invoke("answer", yes)
    assert forms.execute(run_id, asked=1) == "ok"

    form = FORM | {"amount": "150", "labels": ["y", "z"]}
    assert forms.body(run_id, "0001.call.1.approval_answered")["arguments"] == form
    assert forms.body(run_id, "0001.call.1.intended")["arguments"] == form


def test_an_approval_of_other_arguments_than_were_shown_is_void(forms: Stack) -> None:
    """Whoever may append changes what people will see, and leaves what it is bound to."""
    run_id = forms.open()
    forms.propose(run_id, transfer(amount="5000"))
    needed = asks(forms, run_id)
    key = {"run_id": {"S": run_id}, "seq": {"S": "0001.call.1.approval_needed"}}
    assert needed["arguments"]["amount"] == "5000"
    body = {name: value for name, value in needed.items() if name != "round"}
    harmless = body | {"arguments": body["arguments"] | {"amount": "101"}}
    forms.cloud.tables.put_item(TableName="run-log", Item=rewritten(forms, key, harmless))
    task = {"run_id": run_id, "turn": 1, "index": 1, "kind": "approval", "reason": "approval_required"}
    opened = forms.invoke("open", task | {"timeout_s": 600, "task_token": "gone"})
    forms.invoke("answer", {"escalation_id": opened["escalation_id"], "by": "ann", "approve": True})

    with pytest.raises(ApprovalRequired):
        forms.execute(run_id, asked=1)

    assert forms.body(run_id, "0001.call.1.approval_void")["moved"] == ["call"]


def rewritten(stack: Stack, key: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    run_id, seq = key["run_id"]["S"], key["seq"]["S"]
    return encode(Event(run_id=run_id, seq=seq, at=stack.clock().isoformat(), body=body), body)[0]


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1])
def test_a_fact_whose_digits_would_be_lost_on_the_way_is_refused(forms: Stack, number: int) -> None:
    request = {"request_id": "r-digits", "agent": "tester", "text": "x", "context": {"order": {"ids": [1, number]}}}

    with pytest.raises(InvalidInput, match=r"context\.order\.ids\.1: is a number above .* Send it as text"):
        forms.invoke("intake", request)


def test_a_read_of_the_log_of_an_older_version_goes_on(forms: Stack) -> None:
    """An approval that was asked for before calls had a form is asked for again, in it."""
    run_id = forms.open()
    forms.propose(run_id, transfer(amount=2e2))
    needed = asks(forms, run_id)
    key = {"run_id": {"S": run_id}, "seq": {"S": "0001.call.1.approval_needed"}}
    old = {name: value for name, value in needed.items() if name not in ("round", "proposed_sha256")}
    old["arguments"] = SENT | {"amount": 2e2}
    old["binding"] = needed["binding"] | {"sha256": "0" * 64}
    forms.cloud.tables.put_item(TableName="run-log", Item=rewritten(forms, key, old))
    answered(forms, run_id, approve=True)

    with pytest.raises(ApprovalRequired):
        forms.execute(run_id, asked=1)


@pytest.mark.parametrize("sent", [{}, {"currency": "USD"}, {"digits": 2}])
def test_a_default_is_the_authors_own_word(forms: Stack, sent: dict[str, Any]) -> None:
    run_id = done(forms, call("look_up_rate", **sent))

    assert forms.body(run_id, "0001.call.1.settled")["result"] == "USD"


@pytest.mark.parametrize("sent", [{"currency": "EUR"}, {"digits": 3}])
def test_any_other_value_needs_its_ground(forms: Stack, sent: dict[str, Any]) -> None:
    run_id = done(forms, call("look_up_rate", **sent))

    refused = forms.body(run_id, "0001.call.1.refused")
    assert (refused["error"], refused["sourceless"]) == ("Ungrounded", [*sent])
