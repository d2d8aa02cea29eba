"""Timelines of whole logs, cut-off logs, and logs with strange content."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import ExitReason
from ballast.contracts.meaning import REASONS
from ballast.log.event import Event
from tests.support.timelines import timeline

RUN = "run-" + "a" * 24
OPENED = datetime(2025, 6, 1, 3, 0, tzinfo=UTC)
LOOK_UP = {"tool": "look_up_order", "arguments": {"order_id": "O-1002"}}
CANCEL = {"tool": "cancel_order", "arguments": {"order_id": "O-1002"}}
REINSTATE = {"tool": "reinstate_order", "arguments": {"order_id": "O-1002"}}


def at(ms: int, seq: str, **body: Any) -> Event:
    return Event(run_id=RUN, seq=seq, at=(OPENED + timedelta(milliseconds=ms)).isoformat(), body=body)


def opened() -> Event:
    limits = {"turns": 12, "tool_calls": 24, "cost_microusd": 150_000, "deadline_s": 60}
    return at(0, "0000.run.opened", request={"text": "Cancel it"}, limits=limits, agent="support", model="m")


def asked(ms: int, seq: str, reserved: int = 9_000, messages: Any = ()) -> Event:
    return at(ms, seq, messages=list(messages), reserved_microusd=reserved, **{"gen_ai.request.model": "m"})


def replied(ms: int, turn: int, decision: dict[str, Any], cost: int = 1_000, content: Any = ()) -> Event:
    tokens = {"gen_ai.usage.input_tokens": 500, "gen_ai.usage.output_tokens": 40}
    message = {"role": "assistant", "content": list(content)}
    body = {"message": message, "stop_reason": "tool_use", "exit_reason": "tool_use", "decision": decision}
    return at(ms, f"{turn:04d}.model.responded", **body, cost_microusd=cost, latency_ms=300, parallel=False, **tokens)


def calls(*proposed: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "call_tools", "calls": list(proposed)}


def rolled_back_run() -> list[Event]:
    """The agent cancels an order and hangs; the rollback takes it back; a person answers."""
    return [
        opened(),
        asked(10, "0001.model.requested"),
        replied(310, 1, calls(CANCEL)),
        at(320, "0001.call.1.intended", **CANCEL, effect="write", planner="agent", undo=REINSTATE),
        at(330, "0001.call.1.settled", tool="cancel_order", status="ok", result={}, latency_ms=8, undo=REINSTATE),
        asked(340, "0002.model.requested"),
        at(
            2_000,
            "0003.plan.decided",
            planner="rollback",
            decision=calls(REINSTATE),
            undoes=[1, 1],
            handed_over={"from": "agent", "reason": "model_timeout"},
        ),
        at(2_010, "0003.call.1.intended", **REINSTATE, effect="write", planner="rollback", undo=None),
        at(2_020, "0003.call.1.settled", tool="reinstate_order", status="ok", result={}, latency_ms=9),
        at(2_030, "0004.plan.decided", planner="rollback", decision=over("human", "rolled_back")),
        at(2_040, "0005.escalation.opened", escalation_id="esc-1", reason="rolled_back", summary="Look."),
        at(9_000, "0005.escalation.answered", escalation_id="esc-1", by="Dana", decision=answer("Done by hand.")),
        at(9_010, "9999.run.ended", status="answered", by="human", degraded=True, answer="Done by hand."),
    ]


def over(to: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"kind": "hand_over", "to": to, "reason": reason, **more}


def answer(text: str) -> dict[str, Any]:
    return {"kind": "answer", "text": text}


def test_each_turn_has_its_planner_also_where_a_planner_died_without_an_entry() -> None:
    made = timeline(rolled_back_run())

    assert [turn.planner for turn in made.turns] == ["agent", "agent", "rollback", "rollback", "human"]


def test_a_turn_without_any_entry_is_shown_with_the_planner_that_was_taken_out_of_charge() -> None:
    why = {"from": "agent", "reason": "planner_failed", "error": "KeyError"}
    events = [opened(), at(900, "0002.plan.decided", planner="fallback", decision=answer("x"), handed_over=why)]

    first = timeline(events).turns[0]

    assert (first.planner, first.attempts, first.calls) == ("agent", (), ())
    assert first.pivot is not None
    assert (first.pivot.giver, first.pivot.taker, first.pivot.reason) == ("agent", "fallback", "planner_failed")
    assert first.pivot.error == "KeyError"


def test_hand_overs_of_a_planner_and_of_the_workflow_stand_at_the_turn_that_they_end() -> None:
    pivots = [turn.pivot for turn in timeline(rolled_back_run()).turns]

    assert [(p.giver, p.taker, p.reason) if p else None for p in pivots] == [
        None,
        ("agent", "rollback", "model_timeout"),
        None,
        ("rollback", "human", "rolled_back"),
        None,
    ]


def test_a_rollbacks_call_says_which_call_it_takes_back() -> None:
    made = timeline(rolled_back_run())

    assert made.turns[2].calls[0].undoes == (1, 1)
    assert made.turns[0].calls[0].undoes is None
    assert made.turns[0].calls[0].undo is not None
    assert made.turns[0].calls[0].undo.tool == "reinstate_order"


def test_the_ending_names_the_person_and_why_the_agent_was_stopped() -> None:
    made = timeline(rolled_back_run())

    assert made.ending == (
        "Dana, a person, answered after 5 turns, because the agent was stopped: the model did not answer in time."
    )
    assert (made.status, made.by, made.degraded, made.reason) == ("answered", "human", True, "model_timeout")
    assert made.answer == "Done by hand."
    assert made.duration_ms == 9_010


def test_money_adds_up_and_an_attempt_without_an_outcome_stays_reserved() -> None:
    made = timeline(rolled_back_run())

    assert [turn.spent_microusd for turn in made.turns] == [1_000] * 5
    assert [turn.reserved_microusd for turn in made.turns] == [0, 9_000, 9_000, 9_000, 9_000]
    assert (made.spent_microusd, made.reserved_microusd) == (1_000, 9_000)
    assert made.turns[1].attempts[0].state == "open"


def test_a_persons_grant_raises_the_ceiling_from_that_turn_on() -> None:
    granted = over("agent", "guidance", guidance="Try again", add_budget_microusd=50_000)
    events = [
        opened(),
        at(10, "0001.plan.decided", planner="agent", decision=over("human", "cost_limit")),
        at(20, "0002.escalation.opened", escalation_id="esc-1", reason="cost_limit", summary=""),
        at(30, "0002.escalation.answered", escalation_id="esc-1", by="Dana", decision=granted),
        asked(40, "0003.model.requested"),
    ]

    made = timeline(events)

    assert [turn.cost_ceiling_microusd for turn in made.turns] == [150_000, 200_000, 200_000]
    assert made.ceilings.cost_microusd == 200_000
    assert made.turns[1].decided is not None
    assert made.turns[1].decided.guidance == "Try again"


def test_an_agent_that_answers_with_a_persons_help_is_not_degraded_and_names_the_person() -> None:
    events = [
        opened(),
        at(10, "0001.plan.decided", planner="agent", decision=over("human", "cost_limit")),
        at(20, "0002.escalation.opened", escalation_id="esc-1", reason="cost_limit", summary=""),
        at(30, "0002.escalation.answered", escalation_id="esc-1", by="dana", decision=over("agent", "guidance")),
        replied(40, 3, answer("Done.")),
        at(50, "9999.run.ended", status="answered", by="agent", degraded=False, answer="Done."),
    ]

    made = timeline(events)

    assert made.ending == "The agent answered after 3 turns, with the help of dana."
    assert (made.degraded, made.reason) == (False, "")


def test_attempts_of_one_turn_are_kept_apart() -> None:
    events = [
        opened(),
        asked(10, "0001.model.requested"),
        at(20, "0001.model.failed", exit_reason="model_throttled", error="ThrottlingException", cost_microusd=0),
        asked(30, "0001.model.2.requested"),
        at(40, "0001.model.responded", attempt=2, message={}, cost_microusd=700, decision=answer("Hi")),
    ]

    first, second = timeline(events).turns[0].attempts

    assert (first.state, first.exit_reason, first.error) == ("failed", "model_throttled", "ThrottlingException")
    assert (second.attempt, second.state, second.cost_microusd) == (2, "responded", 700)


def test_what_others_were_told_after_the_end_is_no_turn_and_takes_no_time() -> None:
    events = [*rolled_back_run(), at(60_000, "9999.run.announced", event_id="evt-1", detail_type="RunAnswered")]

    assert timeline(events) == timeline(rolled_back_run())


def test_a_refused_run_says_why_and_that_nothing_was_spent() -> None:
    made = timeline([at(0, "0000.run.refused", request={}, reason="NotAdmitted", message="agent 'x' is not deployed.")])

    assert (made.status, made.reason, made.turns) == ("refused", "NotAdmitted", ())
    assert made.ending == "Not admitted, nothing was spent: agent 'x' is not deployed."


def test_an_empty_log_is_no_timeline() -> None:
    with pytest.raises(ValueError, match="no entry"):
        timeline([])


def test_the_prompt_holds_only_what_was_new_and_marks_failed_results() -> None:
    result = {"toolUseId": "t", "status": "error", "content": [{"json": {"error": "UnknownTool"}}, {"text": "mend"}]}
    messages = [{"role": "user", "content": [{"toolResult": result}, {"text": "and this"}, {"image": {}}]}]

    prompt = timeline([opened(), asked(10, "0001.model.requested", messages=messages)]).turns[0].attempts[0].prompt

    assert [(piece.kind, piece.error) for piece in prompt] == [("tool_result", True), ("text", False), ("other", False)]
    assert prompt[0].text == '{"error": "UnknownTool"} mend'


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("0001.call.1.settled", '{"order_id": "O-1002"}'),
        ("0009.call.1.settled", '{"result_of": "0009.call.1.settled"}'),  # it is not in the log
        ("0001.model.requested", '{"result_of": "0001.model.requested"}'),
        ("nonsense", '{"result_of": "nonsense"}'),
    ],
)
def test_a_result_that_the_prompt_names_is_told_in_full_or_by_its_name(named: str, told: str) -> None:
    result = {"toolUseId": "t", "status": "success", "content": [{"result_of": named}]}
    messages = [{"role": "user", "content": [{"toolResult": result}]}]
    events = [
        opened(),
        asked(10, "0001.model.requested"),
        replied(310, 1, calls(LOOK_UP)),
        at(330, "0001.call.1.settled", tool="look_up_order", status="ok", result={"order_id": "O-1002"}, latency_ms=8),
        asked(340, "0002.model.requested", messages=messages),
    ]

    [piece] = timeline(events).turns[-1].attempts[0].prompt

    assert (piece.kind, piece.text) == ("tool_result", told)


def test_the_order_in_which_entries_arrive_does_not_matter() -> None:
    events = rolled_back_run()

    assert timeline(reversed(events)) == timeline(events)


@given(st.integers(min_value=1, max_value=13))
def test_any_beginning_of_a_log_has_a_timeline_that_json_can_carry(length: int) -> None:
    made = timeline(rolled_back_run()[:length])

    assert json.loads(made.to_json())["run_id"] == RUN


STRANGE = st.sampled_from(
    [None, True, 7, -1, "", "x", [], ["a"], {}, {"kind": "call_tools", "calls": [3]}, {"from": 1, "tool": None},
     {"content": [{"toolResult": {"content": 5}}, {"toolUse": []}, {"reasoningContent": {}}]}]
)  # fmt: skip
KEYS = st.sampled_from(
    ["request", "limits", "messages", "message", "decision", "undo", "undoes", "handed_over", "planner", "status",
     "tool", "arguments", "result", "cost_microusd", "reserved_microusd", "latency_ms", "approve", "by"]
)  # fmt: skip
SEQS = st.sampled_from([event.seq for event in rolled_back_run()])


@settings(max_examples=60)
@given(st.dictionaries(SEQS, st.dictionaries(KEYS, STRANGE, max_size=6), min_size=1))
def test_a_log_with_strange_bodies_still_has_a_timeline(entries: dict[str, dict[str, Any]]) -> None:
    made = timeline(at(position, seq, **body) for position, (seq, body) in enumerate(entries.items()))

    assert made.to_json().isascii()


def test_every_exit_reason_has_words_of_its_own() -> None:
    assert {reason.value for reason in ExitReason} <= set(REASONS)
    assert len(set(REASONS.values())) == len(REASONS)
