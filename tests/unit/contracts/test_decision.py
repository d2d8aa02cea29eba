"""A decision is parsed from anything that a person, a script or a model sends."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import Answer, CallTools, HandOver, Planner, ToolCall, parse_decision
from ballast.contracts.decision import ExitReason, recorded_decision
from ballast.errors import InvalidInput, LogCorrupt

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
tool_calls = st.builds(ToolCall, tool=st.text(max_size=20), arguments=json_values, call_id=st.text(max_size=5))
decisions = st.one_of(
    st.builds(CallTools, calls=st.lists(tool_calls, min_size=1, max_size=3).map(tuple)),
    st.builds(
        Answer,
        text=st.text(min_size=1).filter(str.strip),
        confidence=st.none() | st.decimals(0, 1, places=3),
        data=st.none() | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    ),
    st.builds(
        HandOver,
        to=st.sampled_from(Planner),
        reason=st.sampled_from(ExitReason),
        guidance=st.text(max_size=20),
        add_budget_microusd=st.integers(0, 10**12),
    ),
)


@settings(max_examples=100)
@given(decision=decisions)
def test_a_decision_is_read_back_as_it_was_written(decision: CallTools | Answer | HandOver) -> None:
    written = decision.model_dump(mode="json")

    assert parse_decision(written) == decision
    assert recorded_decision(written) == decision


@settings(max_examples=100)
@given(data=json_values | st.dictionaries(st.sampled_from(["kind", "text", "calls", "to", "reason"]), json_values))
def test_whatever_is_sent_is_a_decision_or_refused(data: Any) -> None:
    try:
        outcome: Any = parse_decision(data)
    except InvalidInput as refused:
        outcome = refused

    # Where it is refused the remedy says what to send instead.
    assert isinstance(outcome, CallTools | Answer | HandOver) or "hand_over" in str(outcome)


def test_the_former_name_of_a_person_as_a_planner_is_read_and_written_alike() -> None:
    decision = HandOver(to=Planner.HUMAN, reason=ExitReason.NO_FALLBACK)

    assert Planner.HUMAN is Planner.PERSON
    assert decision.model_dump(mode="json")["to"] == "human"
    assert parse_decision(decision.model_dump(mode="json")) == decision


@pytest.mark.parametrize("kind", [None, 1, "", "stop", "ANSWER", ["answer"], "x" * 100_000])
def test_an_unknown_kind_is_refused_briefly(kind: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_decision({"kind": kind, "text": "x"})

    assert "kind" in str(refused.value).partition(" Send ")[0]
    assert len(str(refused.value)) < 500


def test_arguments_that_are_no_object_are_kept_for_the_executor_to_refuse() -> None:
    data = {"kind": "call_tools", "calls": [{"tool": "t", "arguments": '{"half": '}, {"tool": "t", "arguments": [1]}]}

    decision = parse_decision(data)

    assert isinstance(decision, CallTools)
    assert [call.arguments for call in decision.calls] == ['{"half": ', [1]]


def test_a_large_integer_in_arguments_stays_exact() -> None:
    data = {"kind": "call_tools", "calls": [{"tool": "t", "arguments": {"n": 10**4_000}}]}

    decision = parse_decision(data)

    assert isinstance(decision, CallTools)
    assert decision.calls[0].arguments == {"n": 10**4_000}


def test_a_confidence_is_exact() -> None:
    decision = parse_decision({"kind": "answer", "text": "Yes.", "confidence": 0.1})

    assert isinstance(decision, Answer)
    assert decision.confidence == Decimal("0.1")


def test_a_lone_surrogate_that_a_model_wrote_is_read_back_from_the_log() -> None:
    """Models cut emojis in half. The call is refused by the executor; the log must stay readable."""
    made = CallTools(calls=(ToolCall(tool="t", arguments={"name": "half \ud83d"}),))

    assert recorded_decision(made.model_dump(mode="json")) == made


@pytest.mark.parametrize("depth", [64, 200, 250])
def test_no_call_is_made_that_the_log_could_not_give_back(depth: int) -> None:
    """A parser of JSON text gives up at some 200 levels, the one of Python objects at 255."""
    arguments: Any = {}
    for _ in range(depth):
        arguments = {"a": arguments}

    with pytest.raises(ValueError, match="nested less than 64 levels deep"):
        ToolCall(tool="t", arguments=arguments)


def test_a_recorded_decision_that_somebody_broke_is_named_as_corrupt() -> None:
    with pytest.raises(LogCorrupt, match=r"answer\.text"):
        recorded_decision({"kind": "answer", "text": 5})
