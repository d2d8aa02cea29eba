"""The counts against the agent's limits, whatever the outcome of its attempts and calls."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import ToolCall
from ballast.folds.calls import identity
from ballast.folds.usage import INPUT_TOKENS, OUTPUT_TOKENS, Counts
from ballast.log.event import Event
from ballast.log.events import CallRefused, ModelFailed, ModelRequested, ModelResponded, PlanDecided
from ballast.run import Run

PROMISE = 1_000 + 200


def event(seq: str, **body: Any) -> Event:
    return Event(run_id="run-x", seq=seq, at="2026-03-01T12:00:00+00:00", body=body)


def requested(turn: int, attempt: int = 1) -> Event:
    seq = ModelRequested.key(turn, attempt)
    return event(seq, input_tokens_bound=1_000, reserved_microusd=5, **{"gen_ai.request.max_tokens": 200})


def failed(turn: int, cost: int, attempt: int = 1) -> Event:
    return event(ModelFailed.key(turn, attempt), attempt=attempt, cost_microusd=cost)


def answered(turn: int, cost: int = 5, **usage: int) -> Event:
    decision = {"kind": "answer", "text": "Done."}
    return event(ModelResponded.key(turn), attempt=1, cost_microusd=cost, decision=decision, **usage)


@pytest.mark.parametrize(
    ("outcome", "tokens"),
    [
        ([], PROMISE),  # it may have used all of it
        ([answered(1, **{INPUT_TOKENS: 300, OUTPUT_TOKENS: 20})], 320),
        ([answered(1)], PROMISE),  # no usage that could be trusted
        ([answered(1, cost=0)], PROMISE),  # of a model that costs nothing
        ([failed(1, cost=5)], PROMISE),
        ([failed(1, cost=0)], 0),
        ([failed(1, cost=0), requested(1, 2)], PROMISE),
        ([failed(1, cost=5), requested(1, 2), failed(1, cost=0, attempt=2)], PROMISE),
    ],
)
def test_an_attempt_uses_what_it_reports_or_what_it_was_promised(outcome: list[Event], tokens: int) -> None:
    assert Run.of([requested(1), *outcome]).counts.tokens == tokens


def proposes(turn: int, *calls: ToolCall, by: str = "agent") -> Event:
    decision = {"kind": "call_tools", "calls": [call.model_dump(mode="json") for call in calls]}
    return event(PlanDecided.key(turn), planner=by, decision=decision)


def call(tool: str = "look_up", **arguments: Any) -> ToolCall:
    return ToolCall(tool=tool, arguments=arguments)


def test_calls_are_counted_by_tool_and_by_what_they_ask() -> None:
    events = [
        proposes(1, call(a=1, b=2), call(b=2.0, a=1), call("note", a=1)),
        proposes(2, call(a=1, b=2), call(a=1, b=3)),
        proposes(3, call(a=1, b=2), by="fallback"),
    ]

    made = Run.of(events).counts

    assert (made.calls, made.tool_calls, made.repeated_calls) == ({"look_up": 4, "note": 1}, 5, 2)


def test_refusals_of_others_calls_are_not_the_agents() -> None:
    refused = {"tool": "x", "arguments": {}, "error": "UnknownTool", "message": "No."}
    events = [
        proposes(1, call()),
        event(CallRefused.key(1, 1), **refused),
        proposes(2, call(), by="fallback"),
        event(CallRefused.key(2, 1), **refused),
    ]

    assert Run.of(events).counts.refused_calls == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(arguments=st.dictionaries(st.text(), values, max_size=4))
def test_a_call_asks_the_same_in_whatever_order_it_was_written(arguments: dict[str, Any]) -> None:
    backwards = dict(reversed(arguments.items()))

    assert identity(call(x=arguments)) == identity(call(x=backwards))


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1, True), (0, None), ([], {}), (1, 1.5)])
def test_another_value_is_another_call(one: Any, other: Any) -> None:
    assert identity(call(a=one)) != identity(call(a=other))


def test_nothing_was_counted_of_nothing() -> None:
    assert Run.of([]).counts == Counts()
