"""A loop in the trace: described in words, at the call where it was detected."""

import io
from typing import Any

import pytest
from rich.console import Console

from ballast.log.event import Event
from cli.trace import render
from tests.support.timelines import timeline

RUN = "run-" + "a" * 24
CALL = {"tool": "search_docs", "arguments": {"query": "late order"}}


def sign(step: str, kind: str, count: int = 2, **more: Any) -> dict[str, Any]:
    return {"index": 1, "step": step, "kind": kind, "count": count, "same_as": [1, 1], "answer": False} | more


def run_of(*entries: tuple[str, dict[str, Any]]) -> list[Event]:
    return [Event(run_id=RUN, seq=seq, at="2026-11-01T09:00:00+00:00", body=body) for seq, body in entries]


def shown(events: list[Event]) -> str:
    printed = io.StringIO()
    Console(file=printed, width=200).print(render(timeline(events)))
    return printed.getvalue()


def proposed(turn: int, *signs: Any) -> tuple[str, dict[str, Any]]:
    decision = {"kind": "call_tools", "calls": [CALL]}
    return f"{turn:04d}.model.responded", {"decision": decision, "despair": list(signs)}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (sign("notice", "same_call"), "the same call as turn 1 call 1, 2 times by now: the agent is told"),
        (
            sign("forbid", "cycle", 3),
            "the same calls round and round since turn 1 call 1, lap 3: the tool is forbidden",
        ),
        (sign("notice", "near_equal"), "nearly the same as turn 1 call 1, 2 times by now: the agent is told"),
    ],
)
def test_what_was_noticed_as_a_call_was_proposed_stands_at_the_call(found: dict[str, Any], words: str) -> None:
    assert words in shown(run_of(proposed(1), proposed(2, found)))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("same_error", "failed in the same way since turn 1 call 1, 3 times in a row: the agent is told"),
        ("unchanged_result", "the same result for different calls since turn 1 call 1, 3 in a row: the agent is told"),
    ],
)
def test_what_was_noticed_of_an_outcome_stands_at_its_call_and_not_at_the_next(kind: str, words: str) -> None:
    told = ("0003.model.requested", {"after": "0002.model.responded", "despair": [sign("notice", kind, 3)]})

    made = timeline(run_of(proposed(1), proposed(2), told, proposed(3)))

    assert [said.words if (said := turn.calls[0].signal) else "" for turn in made.turns] == ["", words, ""]


def test_the_hand_over_says_why() -> None:
    decision = {"kind": "hand_over", "to": "fallback", "reason": "loop"}

    printed = shown(run_of(proposed(1), ("0002.plan.decided", {"planner": "agent", "decision": decision})))

    assert "agent → fallback: it went round in circles, was told so, and went on (loop)" in printed


@pytest.mark.parametrize(
    "odd", [None, 7, "x", [7], [{}], [sign("what", "ever", same_as="x", count="y")], [{"index": "1"}]]
)
def test_odd_entries_stop_no_trace(odd: Any) -> None:
    entry = ("0001.model.responded", {"decision": {"kind": "call_tools", "calls": [CALL]}, "despair": odd})

    assert "search_docs" in shown(run_of(entry, ("0002.model.requested", {"after": 5, "despair": odd})))
