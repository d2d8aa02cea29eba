"""A run ends by its own rule before Step Functions ends its execution at 25,000 events."""

from pathlib import Path

import pytest

from ballast.contracts.limits import AGENT_STOPS, CALL, MOST_CALLS, MOST_TURNS, SCRIPTS_STOP, TURN, UNDO
from ballast.errors import PlaybookInvalid
from ballast.playbook.agent import read_agent
from tests.functions.endpoint import Endpoint, calls, reads, says
from tests.functions.stack import Stack

#: What a turn with one call takes of the agent's room.
ONE = TURN + CALL
LAST, SCRIPTS_LAST = AGENT_STOPS - ONE, SCRIPTS_STOP - ONE
TOO_MANY = [({"turns": MOST_TURNS + 1}, "turns"), ({"tool_calls": MOST_CALLS + 1}, "tool_calls")]


@pytest.mark.parametrize(("history", "reason"), [(0, None), (LAST, None), (LAST + 1, "history_limit")])
def test_the_agent_hands_over_where_another_turn_does_not_fit(
    stack: Stack, model: Endpoint, history: int, reason: str | None
) -> None:
    run_id = stack.open()
    model.will(says("Done."))

    summary = stack.plan(run_id, history=history)

    assert summary["reason"] == reason
    assert len(model.requests) == (0 if reason else 1)


@pytest.mark.parametrize(("fits", "kind"), [(True, "call_tools"), (False, "hand_over")])
def test_more_calls_than_fit_are_not_begun(stack: Stack, model: Endpoint, fits: bool, kind: str) -> None:
    run_id = stack.open()
    several = [{"name": "read_note", "input": {"note_id": f"n-{number}"}} for number in range(1, 4)]
    model.will(calls(*several))

    summary = stack.plan(run_id, history=AGENT_STOPS - TURN - 3 * CALL + (not fits))

    assert (summary["kind"], summary["reason"]) == (kind, None if fits else "history_limit")


@pytest.mark.parametrize(("room", "reason"), [(0, None), (1, "history_limit")])
def test_what_must_be_undone_keeps_its_room(stack: Stack, model: Endpoint, room: int, reason: str | None) -> None:
    run_id = stack.open()
    for turn in (1, 2):
        call = {"tool": "write_note", "arguments": {"note_id": f"n-{turn}", "text": "x"}}
        stack.propose(run_id, call, turn=turn)
        assert stack.execute(run_id, turn) == "ok"
    model.will(reads("n-1"))

    assert stack.plan(run_id, 3, history=AGENT_STOPS - ONE - 2 * UNDO + room)["reason"] == reason


@pytest.mark.parametrize(("history", "kind"), [(SCRIPTS_LAST, "call_tools"), (SCRIPTS_LAST + 1, "hand_over")])
@pytest.mark.parametrize("planner", ["rollback", "fallback"])
def test_rollback_and_fallback_stop_before_the_end(stack: Stack, planner: str, history: int, kind: str) -> None:
    run_id = stack.open(intent="tidy")
    call = {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "milk"}}
    stack.propose(run_id, call, turn=1)
    assert stack.execute(run_id, 1) == "ok"

    summary = stack.plan(run_id, 2, by=planner, history=history)

    assert summary["kind"] == kind
    if kind == "hand_over":
        assert (summary["to"], summary["reason"]) == ("human", "history_limit")


@pytest.mark.parametrize(
    ("limits", "field"), [({"turns": MOST_TURNS + 1}, "turns"), ({"tool_calls": MOST_CALLS + 1}, "tool_calls")]
)
def test_limits_that_no_run_can_reach_are_refused_with_the_most(
    tmp_path: Path, limits: dict[str, int], field: str
) -> None:
    file = tmp_path / "agent.yaml"
    text = "name: a\nmodel: m\ninstructions: x\nlimits: "

    file.write_text(text + str({field: limits[field] - 1}))
    assert getattr(read_agent(file).limits, field) == limits[field] - 1

    file.write_text(text + str(limits))
    with pytest.raises(PlaybookInvalid, match=f"limits.{field} is {limits[field]}.*Write {limits[field] - 1} or less"):
        read_agent(file)
