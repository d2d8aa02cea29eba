"""A drawn timeline: readable at any width, whatever the log's text contains."""

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from ballast.contracts.timeline import (
    Approval,
    Call,
    Ceilings,
    Decided,
    ModelAttempt,
    Piece,
    Pivot,
    Proposal,
    Timeline,
    Turn,
    TurnEscalation,
)
from cli.trace.render import render
from cli.trace.text import span, usd

LONG_ID = "a" * 120


def drawn(timeline: Timeline, *, width: int = 80, terminal: bool = False, full: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    console.print(render(timeline, full=full), crop=False)
    return out.getvalue()


def run(*turns: Turn, **more: Any) -> Timeline:
    made = Timeline(
        run_id="run-abc",
        status="answered",
        ending="The agent answered after 1 turn.",
        by="agent",
        ceilings=Ceilings(cost_microusd=150_000, turns=12, tool_calls=24),
        spent_microusd=1_250,
        duration_ms=2_100,
        turns=turns,
    )
    return made.model_copy(update=more)


def turn(**more: Any) -> Turn:
    return Turn(turn=1, planner="agent", at_ms=40, **more)


def test_the_headline_says_status_planner_and_money_first() -> None:
    lines = drawn(run(turn())).splitlines()

    assert lines[0] == "run-abc  ANSWERED by agent"
    assert lines[1] == "The agent answered after 1 turn."
    assert lines[2].startswith("$0.00125 of $0.15 · 1 turn")
    assert lines[-1] == lines[0]


def test_a_degraded_answer_and_money_that_is_still_reserved_are_named() -> None:
    seen = drawn(run(turn(), degraded=True, by="fallback", reserved_microusd=9_000, reason="turn_limit"))

    assert "ANSWERED by fallback  degraded  turn_limit" in seen
    assert "$0.009 still reserved" in seen


def test_a_refusal_stands_out_without_colour_and_says_what_to_mend() -> None:
    call = Call(
        index=1,
        tool="find_order",
        arguments={"id": "O-1"},
        outcome="refused",
        error="UnknownTool",
        message="Use look_up_order.",
    )

    seen = drawn(run(turn(calls=(call,))))

    assert 'call 1    find_order(id="O-1")' in seen
    assert "REFUSED UnknownTool: Use look_up_order." in seen


@pytest.mark.parametrize(
    ("outcome", "label"),
    [("ok", "ok "), ("failed", "failed "), ("denied", "DENIED "), ("unknown", "UNKNOWN "), ("waiting", "waits ")],
)
def test_each_outcome_of_a_call_has_a_label_of_its_own(outcome: Any, label: str) -> None:
    seen = drawn(run(turn(calls=(Call(index=1, tool="t", arguments={}, outcome=outcome, message="why"),))))

    assert re.search(rf"^    {label}", seen, re.MULTILINE)


def test_a_write_its_undo_and_what_a_rollback_takes_back_are_marked() -> None:
    cancel = Call(
        index=1,
        tool="cancel_order",
        arguments={},
        outcome="ok",
        effect="write",
        undo=Proposal(tool="reinstate_order", arguments={"id": 7}),
    )
    reinstate = Call(index=1, tool="reinstate_order", arguments={}, outcome="ok", effect="write", undoes=(1, 1))

    seen = drawn(run(turn(calls=(cancel,)), Turn(turn=2, planner="rollback", calls=(reinstate,))))

    assert "cancel_order()  writes" in seen
    assert "undo    reinstate_order(id=7)" in seen
    assert "reinstate_order()  writes  takes back turn 1 call 1" in seen


def test_a_repeat_says_whose_result_it_got() -> None:
    again = Call(index=1, tool="refund_order", arguments={}, outcome="ok", repeats=(1, 1))

    assert "refund_order()  repeats turn 1 call 1, not executed again" in drawn(run(turn(calls=(again,))), width=120)


@pytest.mark.parametrize(
    ("effects", "words"), [("kept", "effects kept"), ("undone", "effects undone"), ("frozen", "effects FROZEN")]
)
def test_how_the_effects_of_a_run_ended_stands_in_its_figures(effects: str, words: str) -> None:
    assert f" · {words} · 2.1 s" in drawn(run(turn(), effects=effects), width=200)


@pytest.mark.parametrize("effects", ["", "none"])
def test_a_run_that_never_wrote_says_nothing_of_effects(effects: str) -> None:
    assert "effects" not in drawn(run(turn(), effects=effects))


def test_a_hand_over_shows_from_to_and_why() -> None:
    seen = drawn(run(turn(pivot=Pivot(giver="agent", taker="fallback", reason="turn_limit", error="Boom"))))

    assert "hand-over agent → fallback: its limit of turns was reached (turn_limit) Boom" in seen


def test_a_hand_over_to_another_agent_is_one_line_with_both_names() -> None:
    pivot = Pivot(giver="agent", taker="agent", reason="another_agent", from_agent="triage", to_agent="billing")
    said = Decided(kind="hand_over", to="agent", reason="another_agent", guidance="It is inv-7.")

    seen = drawn(run(turn(by_agent="triage", decided=said, pivot=pivot)), width=120)

    assert "turn 1 · agent triage" in seen
    assert "note      It is inv-7." in seen
    assert "agent triage → agent billing: the agent handed over to another agent (another_agent)" in seen


def test_an_escalation_shows_what_was_asked_and_who_answered() -> None:
    asked = TurnEscalation(escalation_id="esc-1", reason="no_fallback", summary="Look at O-1.", by="Dana")

    seen = drawn(run(Turn(turn=1, planner="human", escalation=asked, decided=Decided(kind="answer", text="Done."))))

    assert "asked     no fallback serves this intent (esc-1)" in seen
    assert "answered  by Dana" in seen
    assert "answer    Done." in seen


@pytest.mark.parametrize(
    ("approve", "words"),
    [(None, "asked for (esc-1)"), (True, "approved by Lee: fine"), (False, "rejected by Lee: fine")],
)
def test_an_approval_is_shown_with_its_answer(approve: bool | None, words: str) -> None:
    call = Call(
        index=1,
        tool="refund_order",
        arguments={},
        approvals=(Approval(escalation_id="esc-1", approve=approve, by="Lee", comment="fine"),),
    )

    assert f"approval  {words}" in drawn(run(turn(calls=(call,))))


@pytest.mark.parametrize(
    ("approval", "words"),
    [
        (Approval(escalation_id="esc-1", silent=True), "nobody answered in time"),
        (Approval(escalation_id="esc-1", why=("it is much",)), "asked for (esc-1), because it is much"),
        (Approval(escalation_id="esc-1", given=("Lee",)), "asked for (esc-1); approved by Lee so far"),
        (
            Approval(escalation_id="esc-1", approve=True, by="Lee, Kim", changed=True),
            "approved by Lee, Kim, with other arguments",
        ),
        (
            Approval(escalation_id="esc-1", approve=True, by="Lee", why=("it is much", "it is late"), comment="fine"),
            "approved by Lee: fine (asked because it is much; it is late)",
        ),
        (
            Approval(escalation_id="esc-1", approve=False, by="Lee", why=("it is much",)),
            "rejected by Lee (asked because it is much)",
        ),
        (
            Approval(escalation_id="esc-1", silent=True, why=("it is much",)),
            "nobody answered in time (asked because it is much)",
        ),
        (
            Approval(escalation_id="esc-1", changed=True, changed_by="Lee", given=("Kim",)),
            "asked for (esc-1); Lee changed its arguments; approved by Kim so far",
        ),
        (
            Approval(escalation_id="esc-1", approvals=2, changed_by="Lee", silent=True, why=("it is much",)),
            "Lee changed its arguments, so all approvals were needed anew",
        ),
        (Approval(escalation_id="esc-2", void=("policy",)), "asked again, since policy had changed: asked for"),
    ],
)
def test_what_became_of_asking_is_shown(approval: Approval, words: str) -> None:
    call = Call(index=1, tool="refund_order", arguments={}, approvals=(approval,))

    assert f"approval  {words}" in drawn(run(turn(calls=(call,))))


@pytest.mark.parametrize(
    ("leased", "words"),
    [
        (50_000, "$0.05 more"),
        (20_000, "$0.02 more: that was leased of the $0.05 asked for"),
        (0, "none of the $0.05 asked for was leased"),
    ],
)
def test_budget_is_what_was_leased_of_what_was_asked_for(leased: int, words: str) -> None:
    decided = Decided(kind="hand_over", to="agent", add_budget_microusd=50_000, leased_microusd=leased)

    seen = drawn(run(Turn(turn=1, planner="human", decided=decided)))

    assert f"  budget    {words}\n" in seen


def test_an_attempt_that_failed_or_has_no_reply_is_not_silent() -> None:
    failed = ModelAttempt(attempt=1, state="failed", exit_reason="model_throttled", error="ThrottlingException")
    lost = ModelAttempt(attempt=2, state="open", reserved_microusd=9_000)

    seen = drawn(run(turn(attempts=(failed, lost))))

    assert "FAILED: the provider throttled the model · ThrottlingException" in seen
    assert "no reply recorded · $0.009 stays reserved" in seen


def test_a_truncated_completion_says_so_and_an_ordinary_one_does_not() -> None:
    cut = ModelAttempt(attempt=1, state="responded", stop_reason="max_tokens", exit_reason="max_tokens")
    ordinary = ModelAttempt(attempt=1, state="responded", stop_reason="tool_use", exit_reason="tool_use")

    assert "stopped" in drawn(run(turn(attempts=(cut,))))
    assert "stopped" not in drawn(run(turn(attempts=(ordinary,))))


def test_an_answer_is_shown_once_and_tool_results_of_a_prompt_only_as_a_number() -> None:
    results = tuple(Piece(role="user", kind="tool_result", text="RESULT", error=error) for error in (True, False))
    said = ModelAttempt(
        attempt=1,
        state="responded",
        prompt=results,
        completion=(Piece(role="assistant", kind="text", text="Your order is paid."),),
    )

    seen = drawn(run(turn(attempts=(said,), decided=Decided(kind="answer", text="Your order is paid."))))

    assert seen.count("Your order is paid.") == 1
    assert "2 tool results (1 of them an error)" in seen
    assert "RESULT" not in seen


def test_full_leaves_nothing_out_and_the_short_form_says_how_much_it_does() -> None:
    text = "word " * 400 + "END"
    long = run(
        turn(
            attempts=(
                ModelAttempt(
                    attempt=1, state="responded", completion=(Piece(role="assistant", kind="text", text=text),)
                ),
            )
        )
    )

    assert "END" in drawn(long, full=True)
    assert "END" not in drawn(long)
    assert re.search(r"… \(\+1,\d{3}", drawn(long))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_gets_no_line_that_is_wider_than_it(width: int) -> None:
    call = Call(
        index=1,
        tool="look_up_order",
        arguments={"order_id": LONG_ID},
        outcome="ok",
        result={"a": LONG_ID, "王": "小明" * 40},
    )
    request = {"text": "Please " * 60, "intent": "cancel_order", "context": {"order_id": "O-1001"}}

    seen = drawn(run(turn(calls=(call,)), request=request), width=width, terminal=True)

    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert max(cell_len(line) for line in plain.splitlines()) <= width


def test_a_pipe_gets_no_colour_no_padding_and_no_word_that_is_cut() -> None:
    call = Call(index=1, tool="look_up_order", arguments={"order_id": LONG_ID}, outcome="ok", result="fine")

    seen = drawn(run(turn(calls=(call,)), request={"text": "Please " * 60}))

    assert "\x1b" not in seen
    assert f'look_up_order(order_id="{LONG_ID}")' in seen
    assert all(line == line.rstrip() for line in seen.splitlines())
    assert set(" ".join(line[12:] for line in seen.splitlines() if "Please" in line).split()) == {"Please"}


@pytest.mark.parametrize(
    ("microusd", "shown"), [(0, "$0.00"), (1, "$0.000001"), (150_000, "$0.15"), (1_234_567_890, "$1234.56789")]
)
def test_money_is_exact(microusd: int, shown: str) -> None:
    assert usd(microusd) == shown


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(None, ""), (0, "0 ms"), (999, "999 ms"), (2_140, "2.1 s"), (59_990, "60.0 s"), (185_000, "3 min 05 s")],
)
def test_durations_are_said_as_people_say_them(ms: int | None, shown: str) -> None:
    assert span(ms) == shown


def test_an_approval_is_shown_with_what_people_did_in_the_rounds_before() -> None:
    rounds = (
        Approval(escalation_id="esc-1", approvals=2, given=("fay",), silent=True),
        Approval(round=2, escalation_id="esc-2", approvals=2, approve=True, by="fox, fiz", parked=True),
    )

    seen = drawn(run(turn(calls=(Call(index=1, tool="refund_order", arguments={}, approvals=rounds),))))

    assert "approved by fox, fiz (before: fay approved (1 of 2), nobody else answered in time)" in " ".join(
        seen.split()
    )
