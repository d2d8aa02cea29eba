"""The timeline agrees with the run's own folds, for any run and wherever its log ends."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ballast.contracts import Answer, CallTools, ExitReason, HandOver, Limits, Planner, ToolCall
from ballast.contracts.timeline import CallAttempt, Proposal, Spent, Timeline
from ballast.log.event import Event, order
from ballast.log.events import (
    CallDoubted,
    CallIntended,
    CallReserved,
    CallSettled,
    EscalationOpened,
    LeaseExtended,
    ModelResponded,
)
from ballast.run import Run
from cli.trace import render
from functions.front.contract import TimelinePage
from tests.support.random_runs import runs
from tests.support.runs import Story, says, wants
from tests.support.sampling import examples

ROOT = Path(__file__).parents[3]
REFUND = {"amount_usd": "12.50", "order_id": "O-1"}
LEASED = 100_000


def drawn(made: Timeline) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(render(made), crop=False)
    return out.getvalue()


def paid(*, cost: int | None = 12_000, again: bool = False) -> Story:
    """Return a run whose model asked for 900 micro-dollars for a call that costs as well; it may be tried twice."""
    story = Story(limits=Limits(cost_microusd=LEASED)).opened()
    story.replies(story.asks(1), wants(("refund_order", REFUND)), cost=900)
    story.record(CallIntended(turn=1, index=1, tool="refund_order", effect="write", reserved_microusd=15_000))
    if again:
        story.record(CallReserved(turn=1, index=1, tool="refund_order", reserved_microusd=15_000))
    if cost is not None:
        story.record(CallSettled(turn=1, index=1, tool="refund_order", status="ok", cost_microusd=cost))
    return story


def granted(story: Story, *, added: int, leased: int | None) -> Story:
    """Have a person add budget in turn 2; ``leased``: what the windows had room for, None where there are no leases."""
    if leased is not None:
        opened = story.written[0]
        story.written[0] = opened.model_copy(update={"body": opened.body | {"lease": {"microusd": LEASED}}})
    story.decides(1, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.COST_LIMIT))
    story.escalates(2, "cost_limit")
    again = HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE, guidance="Go on.", add_budget_microusd=added)
    story.person(2, again)
    if leased:
        story.record(LeaseExtended(turn=2, microusd=leased))
    return story


# ── what the trace and the console said wrongly before ───────────────────────────────────────────────────────────


def test_what_a_tool_cost_counts_beside_the_model_as_the_run_counts_it() -> None:
    run = paid().run

    made = run.timeline()

    assert made.spent_microusd == made.turns[0].spent_microusd == run.usage.spent_microusd == 12_900
    assert made.turns[0].calls[0].charged_microusd == 12_000
    assert made.money.charged_microusd == 12_900
    assert made.money.tools == (
        Spent(name="refund_order", attempts=1, reserved_microusd=15_000, charged_microusd=12_000),
    )
    assert "so far    $0.0129 of $0.10" in drawn(made)


@pytest.mark.parametrize(
    ("leased", "ceiling"), [(0, LEASED), (20_000, LEASED + 20_000), (60_000, LEASED + 50_000), (None, LEASED + 50_000)]
)
def test_budget_that_was_never_leased_raises_no_ceiling(leased: int | None, ceiling: int) -> None:
    run = granted(Story(limits=Limits(cost_microusd=LEASED)).opened(), added=50_000, leased=leased).run

    made = run.timeline()

    assert made.ceilings.cost_microusd == run.opening.cost_ceiling_microusd == ceiling
    assert [turn.cost_ceiling_microusd for turn in made.turns] == [LEASED, ceiling]
    decided = made.turns[1].decided
    assert decided is not None
    assert (decided.add_budget_microusd, decided.leased_microusd) == (50_000, ceiling - LEASED)
    assert made.money.leased_microusd == (None if leased is None else ceiling)


def test_what_was_proposed_stands_where_people_are_asked() -> None:
    story = Story().opened()
    calls = CallTools(calls=(ToolCall(tool="refund_order", arguments=REFUND),)).model_dump(mode="json")
    story.decides(1, Planner.AGENT, HandOver(to=Planner.PERSON, reason=ExitReason.COST_LIMIT))
    story.record(EscalationOpened(turn=2, escalation_id="esc-1", reason="cost_limit", proposed_decision=calls))

    made = story.run.timeline()

    assert made.turns[1].escalation is not None
    assert made.turns[1].escalation.proposed == calls
    assert 'refund_order(amount_usd="12.50", order_id="O-1")' in drawn(made)


def test_a_second_reservation_stands_before_the_outcome_and_not_after_it() -> None:
    backwards = paid(again=True).written[::-1]
    log = sorted(backwards, key=order)

    steps = [event.name for event in log if event.name.startswith("call.")]
    call = Run(log).timeline().turns[0].calls[0]

    assert steps == ["call.intended", "call.reserved", "call.settled"]
    assert call.attempts == (
        CallAttempt(attempt=1, outcome="open", reserved_microusd=15_000, charged_microusd=15_000),
        CallAttempt(attempt=2, outcome="ok", reserved_microusd=15_000, charged_microusd=12_000),
    )
    assert call.charged_microusd == 27_000


@pytest.mark.parametrize("cost", [12_000, 0, None])
@pytest.mark.parametrize("again", [False, True])
def test_what_each_attempt_at_a_call_cost_adds_up_to_what_the_run_counts(cost: int | None, again: bool) -> None:
    run = paid(cost=cost, again=again).run

    made = run.timeline()

    assert sum(one.charged_microusd for one in made.turns[0].calls[0].attempts) == run.usage.tools_microusd
    assert sum(one.charged_microusd for one in made.money.tools) == run.usage.tools_microusd
    assert made.money.charged_microusd == run.usage.charged_microusd
    assert made.reserved_microusd == run.usage.reserved_microusd


# ── it says what the run says ────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=examples(25, 80))
@given(runs(), st.data())
def test_any_run_wherever_its_log_ends_is_told_as_it_knows_itself(story: Story, data: st.DataObject) -> None:
    written = story.written[: data.draw(st.integers(1, len(story.written)))]
    run = Run(sorted(written, key=order))

    made = run.timeline()

    assert made.unreadable == ()
    last = made.turns[-1] if made.turns else None
    if last is not None:
        used = run.usage
        assert (last.spent_microusd, last.reserved_microusd) == (used.spent_microusd, used.reserved_microusd)
        assert (last.input_tokens, last.output_tokens) == (used.input_tokens, used.output_tokens)
        assert last.cost_ceiling_microusd == run.opening.cost_ceiling_microusd
    money = made.money
    assert money.charged_microusd == run.usage.charged_microusd
    assert sum(one.charged_microusd for one in (*money.models, *money.tools)) == money.charged_microusd
    told = {(turn.turn, call.index): call for turn in made.turns for call in turn.calls}
    assert told.keys() == {state.position for state in run.calls}
    for state in run.calls:
        if state.ended:
            assert told[state.position].outcome == state.status
    if not run.has_ended and run.progress.status == "waiting":
        assert made.status == "waiting"
        assert run.progress.escalation_id in made.ending
    assert json.loads(made.to_json())["run_id"] == run.run_id


def test_why_a_run_is_degraded_stands_in_its_header_in_words() -> None:
    story = Story().opened()
    story.decides(1, Planner.AGENT, HandOver(to=Planner.FALLBACK, reason=ExitReason.TURN_LIMIT))
    story.decides(2, Planner.FALLBACK, Answer(text="By the script."))
    story.ends(by="fallback")

    made = story.run.timeline()

    assert (made.by, made.degraded, made.reason, made.why) == (
        "fallback",
        True,
        "turn_limit",
        "its limit of turns was reached",
    )


def test_each_doubt_of_a_call_is_told_also_once_its_outcome_is_known() -> None:
    story = paid(cost=None)
    for number in (1, 2):
        story.record(CallDoubted(turn=1, index=1, round=number, message=f"No answer {number}.", ran=True))

    before = story.run.timeline().turns[0].calls[0]
    story.record(CallSettled(turn=1, index=1, tool="refund_order", status="unknown", message="Nobody knows."))
    after = story.run.timeline().turns[0].calls[0]

    assert [(one.attempt, one.message) for one in after.doubts] == [(1, "No answer 1."), (2, "No answer 2.")]
    assert (before.outcome, before.message) == ("open", "in doubt: No answer 2.")
    assert (after.outcome, after.message) == ("unknown", "Nobody knows.")


def test_it_shows_what_everybody_may_see() -> None:
    story = Story().opened()
    story.replies(story.asks(1), says("Your card is 4111."))
    masked = [
        event.with_shown(json.loads(json.dumps(event.body).replace("4111", "****"))) for event in story.ends().events
    ]

    printed = Run(masked).timeline().to_json()

    assert "Your card is ****." in printed
    assert "4111" not in printed


# ── a log that somebody changed ──────────────────────────────────────────────────────────────────────────────────


def garbled(run: Run, seq: str, **body: Any) -> Run:
    return Run(one.model_copy(update={"body": one.body | body}) if one.seq == seq else one for one in run)


def test_what_of_an_entry_can_be_read_is_told_and_the_entry_is_named() -> None:
    run = garbled(paid().run, ModelResponded.key(1), latency_ms="long", **{"gen_ai.usage.input_tokens": -0.5})

    made = run.timeline()

    [one] = made.unreadable
    assert (one.seq, one.turn, one.partly) == ("0001.model.responded", 1, True)
    assert "latency_ms" in one.why
    assert made.turns[0].unreadable == (one,)
    assert made.turns[0].spent_microusd == 12_900
    assert made.turns[0].calls[0].tool == "refund_order"
    assert "CORRUPT   0001.model.responded: " in drawn(made)


def test_a_decision_that_cannot_be_read_hides_no_call_that_was_made() -> None:
    made = garbled(paid().run, ModelResponded.key(1), decision={"kind": "call_tools", "calls": [7]}).timeline()

    [call] = made.turns[0].calls
    assert (call.tool, call.outcome, call.charged_microusd) == ("refund_order", "ok", 12_000)
    assert made.turns[0].decided is None
    assert made.spent_microusd == 12_900


def test_an_entry_that_was_not_read_is_named_where_it_belongs_and_a_lost_ending_is_corrupt() -> None:
    run = paid().run

    made = run.timeline({"0001.call.2.settled": "no digest", "9999.run.ended": "no digest", "odd": "no key"})

    assert [(one.seq, one.turn) for one in made.unreadable] == [
        ("0001.call.2.settled", 1),
        ("9999.run.ended", 0),
        ("odd", 0),
    ]
    assert [one.seq for one in made.turns[0].unreadable] == ["0001.call.2.settled"]
    assert made.status == "corrupt"


_STRANGE = st.recursive(
    st.sampled_from([None, True, 7, -1, 0.5, "", "x", "\ud800", "agent", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["kind", "calls", "a"]), inner),
    max_leaves=4,
)


@settings(max_examples=examples(25, 75))
@given(runs(max_turns=3), st.data())
def test_whatever_stands_in_the_bodies_of_a_log_it_has_a_story(story: Story, data: st.DataObject) -> None:
    def spoilt(event: Event) -> Event:
        names = sorted(event.body)
        if not names or data.draw(st.integers(0, 3)):
            return event
        changed = data.draw(st.dictionaries(st.sampled_from(names), _STRANGE, max_size=3))
        return event.model_copy(update={"body": event.body | changed})

    run = Run(spoilt(event) for event in story.events)

    made = run.timeline()

    assert "" not in {one.seq for one in made.unreadable}, made.unreadable  # it was told, and not given up
    assert made.to_json().isascii()
    assert drawn(made)


def test_a_run_of_which_nothing_is_recorded_yet_has_a_story_without_turns() -> None:
    made = Run().timeline(run_id="run-x")

    assert (made.status, made.turns, made.run_id) == ("open", (), "run-x")


def test_an_event_of_a_later_version_is_named() -> None:
    story = Story().opened()
    story.write("0001.call.1.something_new", {"a": 1})
    story.write("9999.run.something_new", {"a": 1})

    made = story.run.timeline()

    assert (made.unknown, made.turns[0].unknown) == (("9999.run.something_new",), ("0001.call.1.something_new",))


def test_the_files_of_a_result_are_listed_and_what_nobody_can_read_of_them_hides_nothing_else() -> None:
    whole = {"kind": "image", "format": "png", "name": "a.png", "bytes": 12_300, "sha256": "x", "key": "k"}
    story = Story().opened()
    story.decides(1, Planner.AGENT, scan := CallTools(calls=(ToolCall(tool="scan", arguments={}),)))
    story.intends(1, 1, scan.calls[0])
    settled = {"tool": "scan", "status": "ok", "result": "ok", "latency_ms": 3}
    story.write("0001.call.1.settled", settled | {"attachments": [whole, {"format": 7, "bytes": "x"}]})

    made = story.run.timeline()

    assert made.turns[0].calls[0].outcome == "ok"
    assert [one.model_dump() for one in made.turns[0].calls[0].files] == [
        {"kind": "image", "format": "png", "name": "a.png", "bytes": 12_300},
        {"kind": "image", "format": "7", "name": "", "bytes": None},
    ]
    assert "[image png 13 kB] a.png" in drawn(made)


def test_the_example_in_the_docs_is_one_and_has_every_field() -> None:
    example = json.loads((ROOT / "docs" / "timeline-example.json").read_text(encoding="utf-8"))

    read = TimelinePage.model_validate_json(json.dumps(example))

    assert json.loads(json.dumps(read.model_dump())) == example
    assert read.turns[0].calls[0].undo == Proposal(tool="cancel_refund", arguments={"refund": "R-1"})
