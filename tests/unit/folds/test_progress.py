"""The status of a run, as displays show it."""

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Planner, ToolCall
from ballast.folds.progress import Progress
from ballast.run import Run
from tests.support.runs import Story, says, wants

REFUND = ("refund_order", {"order_id": "O-1"})
TO_PERSON = HandOver(to=Planner.PERSON, reason=ExitReason.NO_FALLBACK)
TO_AGENT = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Try again.")


def running(*calls: tuple[str, object]) -> Story:
    """Return a run whose agent has proposed ``calls`` in its first turn."""
    story = Story().opened()
    story.replies(story.asks(1), wants(*calls))
    return story


def test_an_empty_log_says_nothing() -> None:
    assert Run.of(()).progress == Progress(status="unknown")


def test_a_run_that_was_just_opened_is_the_agent_s() -> None:
    found = Story().opened().run.progress

    assert (found.status, found.turn, found.planner, found.pending) == ("running", 0, Planner.AGENT, ())


def test_a_refused_run_says_why() -> None:
    assert Run.of(Story().refused("RequestConflict").events).progress == Progress(
        status="refused", reason="RequestConflict"
    )


def test_calls_without_an_outcome_are_pending() -> None:
    story = running(("look_up_order", {}), REFUND)
    story.executes(1, 1)

    found = story.run.progress

    assert (found.status, found.turn) == ("running", 1)
    assert [(state.index, state.call.tool) for state in found.pending] == [(2, "refund_order")]
    assert found.committed == ()


def test_a_write_that_was_intended_may_have_happened() -> None:
    story = running(REFUND)
    story.intends(1, 1, ToolCall(tool="refund_order", arguments={}))

    found = story.run.progress

    assert [state.status for state in found.pending] == ["intended"]
    assert [state.call.tool for state in found.committed] == ["refund_order"]


def test_calls_of_a_turn_that_was_cut_are_not_waited_for() -> None:
    story = running(REFUND)
    story.decides(2, Planner.ROLLBACK, HandOver(to=Planner.FALLBACK, reason=ExitReason.ROLLED_BACK))

    found = story.run.progress

    assert (found.turn, found.planner, found.pending) == (2, Planner.FALLBACK, ())


def test_an_approval_that_nobody_answered_is_waited_for() -> None:
    story = running(("look_up_order", {}), REFUND, REFUND)
    story.executes(1, 1)
    escalation_id = story.asks_approval(1, 2)

    found = story.run.progress

    assert (found.status, found.escalation_id, found.reason) == ("waiting", escalation_id, "approval_required")
    assert [state.index for state in found.pending] == [2, 3]


def test_an_approval_that_was_given_is_waited_for_no_longer() -> None:
    story = running(REFUND)
    story.asks_approval(1, 1)
    story.approves(1, 1, True)

    assert (story.run.progress.status, story.run.progress.escalation_id) == ("running", None)


def test_an_approval_that_came_too_late_is_waited_for_no_longer() -> None:
    story = running(REFUND)
    story.asks_approval(1, 1)
    story.executes(1, 1, "denied")

    assert (story.run.progress.status, story.run.progress.pending) == ("running", ())


def test_an_open_escalation_waits_for_a_person() -> None:
    story = Story().opened()
    story.decides(1, Planner.FALLBACK, TO_PERSON)
    escalation_id = story.escalates(2, "no_fallback")

    found = story.run.progress

    assert (found.status, found.turn, found.planner) == ("waiting", 2, Planner.PERSON)
    assert (found.escalation_id, found.reason) == (escalation_id, "no_fallback")


def test_a_question_waits_for_the_requester_and_its_reply_is_the_agent_s() -> None:
    story = Story().opened()
    story.replies(story.asks(1), wants(("ask_requester", {"question": "Which order?"})))
    escalation_id = story.escalates(2, "question", kind="question")
    waiting = story.run.progress

    story.person(2, TO_AGENT, kind="question")

    assert (waiting.status, waiting.planner, waiting.reason) == ("waiting", Planner.REQUESTER, "question")
    assert waiting.escalation_id == escalation_id
    assert (story.run.progress.status, story.run.progress.planner) == ("running", Planner.AGENT)


def test_a_person_s_hand_over_puts_the_agent_in_charge() -> None:
    story = Story().opened()
    story.decides(1, Planner.FALLBACK, TO_PERSON)
    story.escalates(2)
    story.person(2, TO_AGENT)

    found = story.run.progress

    assert (found.status, found.planner, found.escalation_id) == ("running", Planner.AGENT, None)


def test_after_a_person_s_calls_the_planner_goes_on_that_was_in_charge_before() -> None:
    story = Story().opened()
    story.decides(1, Planner.ROLLBACK, TO_PERSON)
    story.escalates(2)
    story.person(2, CallTools(calls=(ToolCall(tool="send_letter"),)))

    found = story.run.progress

    assert (found.planner, [state.planner for state in found.pending]) == (Planner.ROLLBACK, [Planner.PERSON])


def test_an_ended_run_says_whose_answer_it_is() -> None:
    story = running(REFUND)
    story.executes(1, 1)
    story.decides(2, Planner.FALLBACK, Answer(text="It is refunded."))

    found = Run.of(story.ends(by="fallback").events).progress

    assert (found.status, found.by, found.degraded, found.reason) == ("ended", "fallback", True, None)
    assert (found.turn, len(found.committed), found.pending) == (2, 1, ())


def test_a_run_that_ended_while_it_waited_waits_no_longer() -> None:
    story = Story().opened()
    story.escalates(1)

    found = Run.of(story.ends("unanswered", by=None).events).progress

    assert (found.status, found.escalation_id, found.by, found.reason) == ("ended", None, None, "deadline")


def test_a_completion_that_nobody_waited_for_changes_nothing_of_where_the_run_stands() -> None:
    story = Story().opened()
    late = story.asks(1)
    story.decides(2, Planner.ROLLBACK, HandOver(to=Planner.FALLBACK, reason=ExitReason.ROLLED_BACK))
    before = story.run.progress

    story.replies(late, says("Never mind."))

    assert story.run.progress == before
