"""Stop reasons of Converse, and an unknown one: each ends in exactly one decision or reason."""

import pytest

from ballast.contracts import ExitReason
from ballast.contracts.decision import STOP_REASONS
from tests.functions.endpoint import Endpoint, calls, reads, reply, says
from tests.functions.stack import Stack

READ = [{"toolUse": {"toolUseId": "1", "name": "read_note", "input": {"note_id": "n-1"}}}]
#: Stop reason → (kind of the decision, reason) for a reply of one text.
OF_A_TEXT = {
    "end_turn": ("answer", None),
    "stop_sequence": ("answer", None),
    "tool_use": ("answer", None),
    "max_tokens": ("hand_over", "max_tokens"),
    "guardrail_intervened": ("hand_over", "guardrail_intervened"),
    "content_filtered": ("hand_over", "content_filtered"),
    "malformed_model_output": ("hand_over", "malformed_model_output"),
    "malformed_tool_use": ("hand_over", "malformed_tool_use"),
    "model_context_window_exceeded": ("hand_over", "model_context_window_exceeded"),
    "refusal": ("hand_over", "content_filtered"),
    "a_reason_of_next_year": ("hand_over", "malformed_model_output"),
}


def test_the_table_here_holds_every_stop_reason() -> None:
    assert set(OF_A_TEXT) - {"refusal", "a_reason_of_next_year"} == STOP_REASONS
    assert len(STOP_REASONS) == 9


@pytest.mark.parametrize("stop_reason", OF_A_TEXT)
def test_a_stop_reason_has_one_outcome_and_is_recorded_as_it_came(
    stack: Stack, model: Endpoint, stop_reason: str
) -> None:
    run_id = stack.open()
    model.will(says("Done.", stop=stop_reason))

    summary = stack.plan(run_id)

    assert (summary["kind"], summary["reason"]) == OF_A_TEXT[stop_reason]
    responded = stack.body(run_id, "0001.model.responded")
    assert responded["stop_reason"] == stop_reason
    assert responded["exit_reason"] in set(ExitReason)
    assert summary["to"] == (None if summary["kind"] == "answer" else "human")


def test_a_reply_with_calls_becomes_calls_in_their_order(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads("n-1", "n-2"))

    summary = stack.plan(run_id)

    assert {
        "kind": "call_tools",
        "calls": [1, 2],
        "parallel": True,
        "to": None,
        "reason": None,
    }.items() <= summary.items()
    decided = stack.body(run_id, "0001.model.responded")["decision"]
    assert [call["arguments"] for call in decided["calls"]] == [{"note_id": "n-1"}, {"note_id": "n-2"}]


def test_a_write_among_the_calls_makes_them_go_in_order(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(
        calls(
            {"name": "read_note", "input": {"note_id": "n-1"}},
            {"name": "write_note", "input": {"note_id": "n-1", "text": "x"}},
        )
    )

    assert stack.plan(run_id)["parallel"] is False


@pytest.mark.parametrize("stop_reason", ["end_turn", "stop_sequence"])
def test_a_reply_with_calls_that_says_it_is_done_makes_its_calls(
    stack: Stack, model: Endpoint, stop_reason: str
) -> None:
    run_id = stack.open()
    model.will(reply({"text": "I look it up."}, *READ, stop=stop_reason))

    summary = stack.plan(run_id)

    assert (summary["kind"], summary["calls"]) == ("call_tools", [1])
    responded = stack.body(run_id, "0001.model.responded")
    assert (responded["stop_reason"], responded["exit_reason"]) == (stop_reason, "tool_use")
    assert responded["message"]["content"][0] == {"text": "I look it up."}


@pytest.mark.parametrize(
    "stop_reason", ["max_tokens", "guardrail_intervened", "content_filtered", "model_context_window_exceeded"]
)
def test_a_call_in_a_reply_that_was_cut_or_stopped_is_not_executed(
    stack: Stack, model: Endpoint, stop_reason: str
) -> None:
    run_id = stack.open()
    model.will(reads("n-1", stop=stop_reason))

    summary = stack.plan(run_id)

    assert (summary["kind"], summary["calls"]) == ("hand_over", [])
    assert summary["reason"] == stop_reason


@pytest.mark.parametrize("stop_reason", [None, 7, ["end_turn"], "", "END_TURN", "\ud800"])
def test_a_stop_reason_that_is_none_is_malformed_output(stack: Stack, model: Endpoint, stop_reason: object) -> None:
    run_id = stack.open()
    model.will(reply({"text": "Done."}, stop=stop_reason))

    assert stack.plan(run_id)["reason"] == "malformed_model_output"
