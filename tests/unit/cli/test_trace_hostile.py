"""Hostile text in the log: a trace only shows it."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ballast.contracts.timeline import (
    Approval,
    Call,
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
from cli.trace.text import brief, clean, clipped
from tests.support.terminal import screen_on

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m[bold]x[/bold][/]\u202egnp\u2028\x7f\r\ud800"


def drawn(timeline: Timeline, *, terminal: bool = False, full: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, color_system="truecolor" if terminal else None)
    console.print(render(timeline, full=full), crop=False)
    return out.getvalue()


def hostile_run() -> Timeline:
    call = Call(
        index=1,
        tool=HOSTILE,
        arguments={HOSTILE: HOSTILE},
        outcome="ok",
        effect=HOSTILE,
        result=HOSTILE,
        error=HOSTILE,
        message=HOSTILE,
        undo=Proposal(tool=HOSTILE),
    )
    asked = Approval(escalation_id=HOSTILE, approve=False, by=HOSTILE, comment=HOSTILE)
    refused = call.model_copy(update={"index": 2, "outcome": "refused", "approvals": (asked,)})
    pieces = (Piece(role=HOSTILE, kind="text", text=HOSTILE), Piece(role="user", kind="reasoning", text=HOSTILE))
    attempt = ModelAttempt(
        attempt=1,
        state="responded",
        model=HOSTILE,
        prompt=pieces,
        completion=pieces,
        stop_reason=HOSTILE,
        exit_reason=HOSTILE,
        error=HOSTILE,
    )
    turn = Turn(
        turn=1,
        planner="agent",
        attempts=(attempt, attempt.model_copy(update={"state": "failed"})),
        calls=(call, refused),
        escalation=TurnEscalation(
            escalation_id=HOSTILE, reason=HOSTILE, summary=HOSTILE, proposed={"x": HOSTILE}, by=HOSTILE
        ),
        decided=Decided(kind="answer", text=HOSTILE, to=HOSTILE, reason=HOSTILE, note=HOSTILE, guidance=HOSTILE),
        pivot=Pivot(giver=HOSTILE, taker=HOSTILE, reason=HOSTILE, error=HOSTILE),
    )
    return Timeline(
        run_id=HOSTILE,
        status="answered",
        ending=HOSTILE,
        turns=(turn,),
        by=HOSTILE,
        reason=HOSTILE,
        request={"text": HOSTILE, "intent": HOSTILE, "context": {HOSTILE: [HOSTILE]}},
        agent=HOSTILE,
        model=HOSTILE,
    )


@pytest.mark.parametrize("full", [False, True])
def test_nothing_in_a_log_can_steer_the_terminal_or_vanish_as_markup(full: bool) -> None:
    seen = drawn(hostile_run(), full=full)

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\ud800-\udfff]", seen)
    assert "[bold]x[/bold][/]" in seen
    assert r"\x1b[2J" in seen


def test_in_a_terminal_only_our_own_colours_are_escape_sequences() -> None:
    seen = drawn(hostile_run(), terminal=True)

    left = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert "\x1b" not in left


def test_json_of_a_hostile_log_is_ascii_and_keeps_the_text_exactly() -> None:
    printed = hostile_run().to_json()

    assert not re.search(r"[^\x20-\x7e\n]", printed)
    assert json.loads(printed)["ending"] == HOSTILE


@given(st.text(), st.integers(min_value=20, max_value=200))
def test_clipping_never_shows_more_than_asked_for_and_keeps_short_text(text: str, limit: int) -> None:
    shown = clipped(text, limit)

    assert shown == text if len(text) <= limit else len(shown.rpartition(" … (")[0]) <= limit


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_cleaned_text_can_always_be_printed(text: str) -> None:
    cleaned = clean(text)

    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert all(char == "\n" or char.isprintable() or char.isspace() or ord(char) > 0x2000 for char in cleaned)


def test_clean_keeps_the_words_of_people_as_they_are() -> None:
    words = "Zoë Ångström-Nuñez 王小明 👩‍🔧 नमस्ते “quoted”"

    assert clean(words) == words


def test_a_long_result_is_shortened_field_by_field_so_that_every_field_is_seen() -> None:
    result = {"customer_note": None, "lines": [{"name": "mat " * 50}], "order_id": "O-1002", "status": "paid"}

    shown = brief(result, 120)

    assert '"order_id": "O-1002", "status": "paid"' in shown
    assert '"lines": [{"name": "mat mat' in shown
    assert "customer_note" not in shown
    assert len(shown) < 240


@pytest.mark.parametrize(
    "text",
    ["::error::x", "a\n  ::stop-commands::t", "a ##vso[task.setvariable]x", "##[error]x", "##TeamCity[message]"],
)
def test_nothing_commands_the_ci_system_that_shows_a_log(text: str) -> None:
    for lines in (True, False):
        shown = clean(text, lines=lines)
        assert not re.search(r"^\s*::\S|##(?:vso|teamcity)?\[", shown, re.MULTILINE | re.IGNORECASE)
        assert clean(shown, lines=lines) == shown
    assert clean("a::b ## c [d] # e", lines=False) == "a::b ## c [d] # e"


@pytest.mark.parametrize("coloured", [False, True])
def test_in_a_pipe_no_line_of_a_trace_begins_with_what_a_run_says(coloured: bool) -> None:
    told = "It said: " + " ".join(f"::error::{number} {'x' * (number % 7)}" for number in range(60))
    made = hostile_run().model_copy(update={"reason": told, "request": {"text": told}})
    out = io.StringIO()

    screen_on(out, 40, coloured=coloured).trace(made, full=True)

    assert told in out.getvalue()
    assert not [line for line in out.getvalue().splitlines() if line.strip().startswith("::")]
