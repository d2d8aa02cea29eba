"""Ids can be copied from the screen: no list, trace or table breaks one, at any width, in a terminal or a pipe."""

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import RenderableType
from rich.text import Text

from ballast.log.event import Event
from cli.cost.explain import explained
from cli.cost.render import render as render_costs
from cli.trace.layout import Columns, Labelled, Plain
from cli.trace.render import headline
from cli.trace.text import brief, clipped, cut_short
from tests.support.runs import Story, says, wants
from tests.support.terminal import Terminal, screen_on
from tests.unit.cli.test_trace_render import run

RUN, ESCALATION = "run-" + "k4" * 12, "esc-" + "q7" * 8
WIDTHS = (40, 60, 79, 80, 81, 100, 160)


def lines_of(drawn: RenderableType, width: int, terminal: bool) -> list[str]:
    out = Terminal() if terminal else io.StringIO()
    screen_on(out, width, coloured=terminal).show(drawn)
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.getvalue().splitlines()]


def story(number: int) -> Story:
    made = Story().opened()
    made.replies(made.asks(1), wants(("look_up_order_with_a_rather_long_name", {"order_id": "O-1"})), cost=4_001)
    made.replies(made.asks(2), says("It is on its way."), cost=1_001)
    return made.ends()


def logs(count: int) -> list[tuple[Event, ...]]:
    found = []
    for number in range(count):
        run_id = f"run-{number:024d}"
        found.append(tuple(event.model_copy(update={"run_id": run_id}) for event in story(number).events))
    return found


@pytest.mark.sampled
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_costs_have_every_run_on_a_line_of_its_own(width: int, terminal: bool) -> None:
    drawn = lines_of(render_costs(explained(logs(12))), width, terminal)

    for number in range(12):
        assert any(f"run-{number:024d}" in line for line in drawn)
    if terminal:
        assert max(map(len, drawn)) <= max(width, 79)


def test_in_a_pipe_costs_are_rows_that_a_program_can_read() -> None:
    drawn = lines_of(render_costs(explained(logs(30))), 80, terminal=False)

    table = drawn[drawn.index("by run") + 2 :][:30]
    assert [line.split()[0] for line in table] == [f"run-{number:024d}" for number in range(30)]
    assert {len(line.split()) for line in table} == {6}
    assert all(line.split()[5] == "0.005002" for line in table)
    assert {len(line) for line in table} == {len(table[0])}
    assert not any("more" in line for line in drawn)


def test_the_rows_of_costs_by_turn_are_named_by_their_number_alone_and_in_its_order() -> None:
    made = Story().opened()
    for turn in range(1, 12):
        made.replies(made.asks(turn), wants(("look_up_order", {"order_id": "O-1"})), cost=1_000)

    by_turn = explained([made.events]).as_data()["by"]["turn"]

    assert [row["name"] for row in by_turn] == [str(turn) for turn in range(1, 12)]


def test_what_was_charged_beyond_the_ceiling_is_said_so() -> None:
    made = replace(explained(logs(1)), ceiling=1_000)

    drawn = "\n".join(lines_of(render_costs(made), 80, terminal=False))

    assert "$0.004002 more than the ceiling was charged" in drawn
    assert "$-" not in drawn


@pytest.mark.parametrize("width", WIDTHS)
def test_the_list_of_runs_has_one_line_a_run_in_a_pipe_and_whole_ids_in_a_terminal(width: int) -> None:
    made = run(run_id=RUN, status="unanswered", degraded=True, reason="model_context_window_exceeded")
    for terminal in (False, True):
        out = Terminal() if terminal else io.StringIO()
        screen = screen_on(out, width, coloured=terminal)

        screen.row(Text("2026-11-28 01:02:03Z  ").append_text(headline(made)), "run with http://localhost:1/v1#m")

        plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
        assert any(RUN in line for line in plain.splitlines())
        assert "http://localhost:1/v1#m" in plain
        if not terminal:
            assert plain.count("\n") == 1


words = st.lists(
    st.sampled_from(["a", "word", '{"id":', "(", "x" * 30, "小明", RUN, ESCALATION, f'"{RUN}",{ESCALATION}'])
)


@settings(max_examples=75)
@given(words, st.sampled_from([" ", ",", ""]), st.integers(40, 120), st.booleans())
def test_no_line_of_a_trace_breaks_an_id(parts: list[str], between: str, width: int, terminal: bool) -> None:
    text = between.join(f"«{part}»" for part in parts)

    for drawn in (Labelled("label", Text(text)), Plain(Text(text))):
        joined = "\n".join(lines_of(drawn, width, terminal))
        for one in (RUN, ESCALATION):
            assert joined.count(one) == text.count(one)


@settings(max_examples=75)
@given(words, st.sampled_from([" ", ",", "\n"]), st.integers(5, 200))
def test_what_is_shortened_has_an_id_whole_or_not_at_all(parts: list[str], between: str, limit: int) -> None:
    text = between.join(parts)

    for short in (clipped(text, limit), cut_short(text, limit), brief(parts, limit)):
        rest = short.replace(RUN, "").replace(ESCALATION, "")
        assert not re.search(r"(run|esc)-\w+|\w{5,}(k4|q7)+", rest), short


def test_a_table_that_is_too_wide_for_a_terminal_has_its_numbers_below_the_name() -> None:
    table = Columns("by run", ("run", "charged $"), [(RUN, "0.01")], piped=[(RUN, "0.01")])

    assert lines_of(table, 30, terminal=True)[3:] == [RUN, "       0.01"]
    assert lines_of(table, 30, terminal=False)[2:] == [f"{RUN}       0.01"]
