"""Runs with late, repeated or partial answers."""

from typing import Any

import pytest

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, ToolCall
from ballast.contracts.task import LAST_TURN
from ballast.errors import LogCorrupt
from ballast.folds.conversation import rebuild
from ballast.run import Run
from tests.support.runs import STARTED_MS, Story, asked_in, says, wants

REFUND = ("refund_order", {"order_id": "O-1"})
BACK = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Refund it in full.", add_budget_microusd=70_000)


def text_of(message: dict[str, Any]) -> str:
    return " ".join(block.get("text", "") for block in message["content"])


def escalated() -> Story:
    """Return a run whose agent used two turns before a person handed back to it."""
    story = Story().opened()
    story.replies(story.asks(1), wants(("look_up_order", {})))
    story.executes(1, 1)
    story.replies(story.asks(2), says("", "guardrail_intervened"))
    story.escalates(3)
    story.person(3, BACK)
    return story


def test_a_lone_surrogate_from_the_model_leaves_every_fold_able_to_read_the_run() -> None:
    """Once, one half of an emoji in an argument made the log of its run unreadable for every planner."""
    story = Story().opened()
    story.replies(story.asks(1), wants(("look_up_order", {"name": "half \ud83d"})))
    story.executes(1, 1, "refused")

    (state,) = story.run.calls

    assert state.call.arguments == {"name": "half \ud83d"}
    assert "refused" in story.run.summary("deadline")
    assert story.asks(2).body["after"] == "0001.model.responded"


def test_arguments_nested_too_deep_are_a_malformed_turn_and_not_an_unreadable_log() -> None:
    story = Story().opened()
    deep: Any = {}
    for _ in range(220):
        deep = {"a": deep}

    decision = story.replies(story.asks(1), wants(("look_up_order", deep)))

    assert decision == HandOver(to=Planner.FALLBACK, reason=ExitReason.MALFORMED_TOOL_USE)
    assert story.run.proposals[1].decision == decision


def test_a_completion_sorts_behind_the_attempt_that_brought_it() -> None:
    story = Story().opened()
    story.breaks(story.asks(1))
    second = story.asks(1)

    story.replies(second, says("Yes."))

    assert [event.seq for event in story.events][-2:] == [second.seq, "0001.model.responded"]
    assert rebuild(story.run, asked_in(second)).messages == story.run.prompt.messages[:-1]


def test_the_first_of_two_completions_stands_and_both_are_paid() -> None:
    story = Story().opened()
    first, second = story.asks(1), story.asks(1)

    story.replies(second, says("The second one."), cost=3_000)
    stands = story.replies(first, says("The first one."), cost=2_000)

    assert stands == Answer(text="The second one.")
    assert story.run.usage.spent_microusd == 5_000
    assert story.run.usage.reserved_microusd == 0


def test_a_completion_that_came_after_the_hand_over_is_part_of_the_conversation_when_the_agent_is_back() -> None:
    story = Story().opened()
    late = story.asks(1)
    story.escalates(2)
    story.replies(late, wants(REFUND))
    story.person(2, BACK)

    asked = story.asks(3)

    *_, said, answer = rebuild(story.run, asked_in(asked)).messages
    assert said["role"] == "assistant"
    (result,) = [block["toolResult"] for block in answer["content"] if "toolResult" in block]
    assert "Not executed" in text_of(result)
    assert "Refund it in full." in text_of(answer)


def test_a_completion_that_came_after_the_agent_went_on_is_covered_but_not_said() -> None:
    story = Story().opened()
    late = story.asks(1)
    story.escalates(2)
    story.person(2, BACK)
    story.replies(story.asks(3), wants(("look_up_order", {})))
    story.executes(3, 1)
    story.replies(late, says("Too late."))

    prompt = rebuild(story.run, asked_in(story.asks(4)))

    assert "0001.model.responded" in prompt.covers
    assert not [message for message in prompt.messages if "Too late." in text_of(message)]


def test_a_late_call_is_neither_undone_nor_does_it_keep_the_rollback_busy() -> None:
    story = Story().opened()
    late = story.asks(1)
    story.decides(2, Planner.ROLLBACK, HandOver(to=Planner.FALLBACK, reason=ExitReason.ROLLED_BACK))
    story.replies(late, wants(REFUND))

    assert story.run.to_undo == ()
    assert [state.status for state in story.run.calls] == ["proposed"]


def test_a_person_s_grant_counts_turns_and_calls_anew_and_adds_to_the_money() -> None:
    story = escalated()
    spent = story.run.usage.spent_microusd

    story.replies(story.asks(4), wants(("look_up_order", {}), ("look_up_order", {})))

    used = story.run.usage
    assert (used.turns, used.tool_calls, used.model_calls) == (1, 2, 3)
    assert used.spent_microusd == spent + 4_000
    assert story.ceiling == story.limits.cost_microusd + 70_000
    assert story.run.opening.granted_turn == 3


def test_a_person_s_answer_renews_the_time() -> None:
    story = escalated()

    opened = story.run.opening

    assert opened.deadline_ms == STARTED_MS + 3 * 3_600_000 + 120_000  # the person answered three hours later
    assert opened.agent_until_ms < opened.deadline_ms


def test_the_agent_is_told_once_what_others_did() -> None:
    story = escalated()
    first = story.asks(4)
    story.replies(first, wants(("look_up_order", {})))
    story.executes(4, 1)

    second = story.asks(5)

    assert "Refund it in full." in text_of(first.body["messages"][-1])
    assert "Refund it in full." not in text_of(second.body["messages"][-1])


def test_undos_are_newest_first_and_each_is_tried_once() -> None:
    story = Story().opened()
    story.replies(story.asks(1), wants(REFUND, ("send_letter", {}), REFUND, ("look_up_order", {})))
    for index, status in enumerate(["ok", "ok", "ok", "ok"], start=1):
        story.executes(1, index, status)
    assert [(state.turn, state.index) for state in story.run.to_undo] == [(1, 3), (1, 1)]

    undo = CallTools(calls=(ToolCall(tool="cancel_refund", arguments={"of": "1.3"}),))
    story.decides(2, Planner.ROLLBACK, undo, undoes=[1, 3])
    assert [(state.turn, state.index) for state in story.run.to_undo] == [(1, 3), (1, 1)]  # not done yet

    story.executes(2, 1, "failed")
    assert [(state.turn, state.index) for state in story.run.to_undo] == [(1, 1)]


@pytest.mark.parametrize(
    ("of", "wrote", "has_fallback", "tried", "to"),
    [
        (Planner.AGENT, True, True, False, Planner.ROLLBACK),
        (Planner.AGENT, True, False, False, Planner.ROLLBACK),
        (Planner.AGENT, False, True, False, Planner.FALLBACK),
        (Planner.AGENT, False, True, True, Planner.PERSON),
        (Planner.AGENT, False, False, False, Planner.PERSON),
        (Planner.ROLLBACK, False, True, False, Planner.FALLBACK),
        (Planner.ROLLBACK, False, True, True, Planner.PERSON),
        (Planner.ROLLBACK, True, True, False, Planner.FALLBACK),
        (Planner.FALLBACK, True, True, True, Planner.PERSON),
        (Planner.FALLBACK, False, True, True, Planner.PERSON),
    ],
)
def test_the_next_planner_is_the_first_that_can_still_help(
    of: Planner, wrote: bool, has_fallback: bool, tried: bool, to: Planner
) -> None:
    story = Story().opened()
    if wrote:
        story.replies(story.asks(1), wants(REFUND))
        story.executes(1, 1)
    if tried:
        story.decides(2, Planner.FALLBACK, HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP))

    assert story.run.successor(of, has_fallback=has_fallback) is to


def test_a_person_is_shown_the_calls_that_were_not_carried_out() -> None:
    story = Story().opened()
    story.replies(story.asks(1), wants(("look_up_order", {}), REFUND))
    story.executes(1, 1)
    waiting = story.run.proposed
    story.executes(1, 2)

    assert waiting is not None
    assert [call["tool"] for call in waiting["calls"]] == ["look_up_order", "refund_order"]  # type: ignore[attr-defined]
    assert story.run.proposed is None


def test_the_summary_says_what_a_person_must_know() -> None:
    story = Story().opened()
    story.replies(story.asks(1), wants(REFUND, ("invented", {})))
    story.executes(1, 1, "ok", {"refund_id": "R-1"})
    story.executes(1, 2, "refused")
    story.decides(2, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.DEADLINE), note="It was slow.")

    said = story.run.summary("deadline")

    for part in ("Reason: deadline.", "Where is my order O-1?", '"order_id":"O-1"', "refund_order (write)", "R-1"):
        assert part in said
    for part in ("invented", "No such tool.", "Note: It was slow.", "1 turns, 2 calls, $0.004 of $0.25"):
        assert part in said


def test_the_summary_of_a_long_run_stays_short() -> None:
    story = Story().opened()
    for turn in range(1, 40):
        story.decides(turn, Planner.FALLBACK, CallTools(calls=(ToolCall(tool="look_up_order"),)), note="x" * 5_000)
        story.executes(turn, 1, "ok", "y" * 5_000)

    said = story.run.summary("deadline")

    assert "Calls: 39, the last 12:" in said
    assert len(said) < 8_000


def test_a_log_without_its_opening_is_corrupt() -> None:
    with pytest.raises(LogCorrupt, match=r"no 0000\.run\.opened"):
        _ = Run.of(()).opening


def test_the_ending_is_no_turn() -> None:
    story = Story().opened().ends()

    assert story.events[-1].turn == LAST_TURN
    assert story.run.unseen == story.events[:-1]
