"""A turn's calls in the trace: proposed, refused, waiting, done; and the agent's questions to the requester."""

import io
from typing import Any

import pytest
from rich.console import Console

from ballast.log.event import Event
from cli.screen import Screen
from tests.support.timelines import timeline

RUN = "run-" + "a" * 24
LOOK_UP = {"tool": "look_up_order", "arguments": {"order_id": "O-1002"}}


def at(ms: int, seq: str, **body: Any) -> Event:
    return Event(run_id=RUN, seq=seq, at=f"2025-06-01T03:00:00.{ms:03d}+00:00", body=body)


def opened() -> Event:
    return at(0, "0000.run.opened", request={"text": "Cancel it"})


def replied(ms: int, decision: dict[str, Any]) -> Event:
    return at(ms, "0001.model.responded", message={}, stop_reason="tool_use", decision=decision, cost_microusd=0)


def calls(*proposed: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "call_tools", "calls": list(proposed)}


def test_a_refused_call_keeps_what_was_to_be_mended_and_its_neighbour_its_result() -> None:
    events = [
        opened(),
        replied(10, calls({"tool": "find_order", "arguments": "not json"}, LOOK_UP)),
        at(20, "0001.call.1.refused", tool="find_order", arguments="not json", error="UnknownTool", message="Use …"),
        at(30, "0001.call.2.settled", tool="look_up_order", status="ok", result={"status": "paid"}, latency_ms=3),
    ]

    refused, done = timeline(events).turns[0].calls

    assert (refused.outcome, refused.error, refused.message) == ("refused", "UnknownTool", "Use …")
    assert refused.arguments == "not json"
    assert (done.outcome, done.result, done.latency_ms) == ("ok", {"status": "paid"}, 3)
    assert timeline(events).refused_calls == 1


def test_a_repeat_names_the_call_whose_result_it_got_and_the_ending_says_what_became_of_the_effects() -> None:
    events = [
        opened(),
        replied(10, calls(LOOK_UP)),
        at(20, "0001.call.1.settled", tool="look_up_order", status="ok", result={}, repeat_of=[1, 2]),
        at(30, "9999.run.ended", status="answered", by="agent", degraded=False, answer="Done.", effects="kept"),
    ]

    assert timeline(events).turns[0].calls[0].repeats == (1, 2)
    assert timeline(events).effects == "kept"


def test_a_proposed_call_without_entries_is_open() -> None:
    call = timeline([opened(), replied(10, calls(LOOK_UP))]).turns[0].calls[0]

    assert (call.outcome, call.tool, call.arguments) == ("open", "look_up_order", {"order_id": "O-1002"})


def test_a_run_that_waits_for_an_approval_says_so_and_names_the_escalation() -> None:
    events = [
        opened(),
        replied(10, calls({"tool": "refund_order", "arguments": {}})),
        at(20, "0001.call.1.approval_requested", escalation_id="esc-2"),
    ]

    made = timeline(events)

    assert made.status == "waiting"
    assert made.ending == "Waits for a person: an approval of refund_order is wanted (escalation esc-2)."


@pytest.mark.parametrize(
    ("answered", "outcome", "approve"),
    [([], "waiting", None), ([True], "open", True), ([False], "open", False)],
)
def test_an_approval_is_shown_as_asked_for_and_as_answered(
    answered: list[bool], outcome: str, approve: bool | None
) -> None:
    events = [
        opened(),
        replied(10, calls({"tool": "refund_order", "arguments": {}})),
        at(20, "0001.call.1.approval_requested", escalation_id="esc-2"),
        *(
            at(30, "0001.call.1.approval_answered", escalation_id="esc-2", approve=yes, by="Lee", comment="ok")
            for yes in answered
        ),
    ]

    call = timeline(events).turns[0].calls[0]

    assert call.outcome == outcome
    [approval] = call.approvals
    assert (approval.escalation_id, approval.approve) == ("esc-2", approve)


def test_an_approval_that_became_void_was_asked_again_and_given_by_two_with_other_arguments() -> None:
    events = [
        opened(),
        replied(10, calls({"tool": "refund_order", "arguments": {"amount": 5}})),
        at(11, "0001.call.1.approval_needed", why=["it is much"]),
        at(12, "0001.call.1.approval_requested", escalation_id="esc-1"),
        at(20, "0001.call.1.approval_answered", escalation_id="esc-1", approve=True, by="Lee", comment=""),
        at(21, "0001.call.1.approval_void", moved=["precondition"]),
        at(22, "0001.call.1.approval_needed.2", why=["it is much"]),
        at(23, "0001.call.1.approval_requested.2", escalation_id="esc-2"),
        at(24, "0001.call.1.approval_given.2.1", by="Lee", given=1, needed=2, arguments={"amount": 4}),
    ]
    both = [{"by": "Lee"}, {"by": "Kim"}]
    answer = {"escalation_id": "esc-2", "approve": True, "by": "Kim", "comment": "", "approvals": both}

    [waiting] = timeline(events).turns[0].calls
    [done] = (
        timeline([*events, at(30, "0001.call.1.approval_answered.2", **answer, arguments={"amount": 4})]).turns[0].calls
    )

    assert waiting.outcome == "waiting"
    first, again = waiting.approvals
    assert (first.approve, first.by, first.void) == (True, "Lee", ("precondition",))
    assert again.model_dump(exclude_defaults=True) == {
        "round": 2,
        "escalation_id": "esc-2",
        "why": ("it is much",),
        "given": ("Lee",),
        "changed": True,
        "asked_at": "2025-06-01T03:00:00.023+00:00",
    }
    assert waiting.arguments == {"amount": 4}
    answered = done.approvals[-1]
    assert (answered.approve, answered.by, answered.changed) == (True, "Lee, Kim", True)
    assert done.arguments == {"amount": 4}


def test_nobodys_answer_is_no_rejection() -> None:
    events = [
        opened(),
        replied(10, calls({"tool": "refund_order", "arguments": {}})),
        at(20, "0001.call.1.approval_requested", escalation_id="esc-2"),
        at(30, "0001.call.1.approval_answered", escalation_id="esc-2", approve=None, by=None, comment=""),
    ]

    call = timeline(events).turns[0].calls[0]

    [approval] = call.approvals
    assert (approval.approve, approval.silent) == (None, True)


def test_a_question_to_the_requester_is_a_turn_of_theirs_and_no_persons() -> None:
    question = {"kind": "hand_over", "to": "requester", "reason": "question", "guidance": "Which order?"}
    reply = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "O-1002"}
    asked = at(20, "0002.escalation.opened", kind="question", escalation_id="esc-3", reason="question")
    events = [opened(), replied(10, question), asked]

    waiting = timeline(events)
    replied_to = timeline([*events, at(30, "0002.escalation.answered", kind="question", by="me", decision=reply)])

    assert waiting.status == "waiting"
    assert waiting.ending.startswith("Waits for the requester")
    assert [turn.planner for turn in replied_to.turns] == ["agent", "requester"]
    assert replied_to.turns[1].decided is not None
    assert replied_to.turns[1].decided.guidance == "O-1002"


def test_an_undo_that_could_not_be_made_is_not_shown_and_the_log_says_why() -> None:
    intended = {"tool": "send", "effect": "write", "undo": {"tool": "take_back", "arguments": {}}}
    why = "Its undo take_back could not be made: KeyError: 'id'"
    events = [
        opened(),
        replied(10, calls({"tool": "send", "arguments": {}})),
        at(20, "0001.call.1.intended", **intended),
        at(30, "0001.call.1.settled", tool="send", status="ok", result=1, undo=None, message=why),
    ]

    made = timeline(events)
    drawn = io.StringIO()
    Screen(Console(file=drawn, width=120)).trace(made, full=True)

    assert made.turns[0].calls[0].undo is None
    assert "take_back()" not in drawn.getvalue()
    assert why in drawn.getvalue()
    assert timeline(events[:3]).turns[0].calls[0].undo is not None


def test_a_call_in_doubt_says_why_until_its_outcome_is_known() -> None:
    doubted = [
        opened(),
        replied(10, calls(LOOK_UP)),
        at(20, "0001.call.1.intended", tool="look_up_order", effect="write"),
        at(30, "0001.call.1.doubted", tool="look_up_order", message="It did not answer.", ran=True),
    ]
    settled = at(40, "0001.call.1.settled", tool="look_up_order", status="ok", result={})

    assert timeline(doubted).turns[0].calls[0].message == "in doubt: It did not answer."
    assert timeline(doubted).turns[0].calls[0].outcome == "open"
    assert timeline([*doubted, settled]).turns[0].calls[0].message == ""


def test_a_server_that_answered_otherwise_than_it_was_pinned_is_named() -> None:
    unlike = {"server": "letters", "kind": "openapi", "tool": "letters_sendLetter"}
    settled = {"tool": "look_up_order", "status": "unknown", "message": "Not as promised.", "unlike": unlike}
    out = io.StringIO()

    Screen(Console(file=out, width=100)).trace(
        timeline([opened(), replied(10, calls(LOOK_UP)), at(20, "0001.call.1.settled", **settled)])
    )

    assert "the server letters answered otherwise than it was pinned" in out.getvalue()
