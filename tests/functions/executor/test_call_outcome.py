"""The executor's own record of a call is read back unchanged, and holds no more than the outcome does."""

from dataclasses import replace
from typing import Any

import pytest

from ballast.contracts import ToolCall
from ballast.log.events import LeftOut
from functions.executor.record import CallOutcome, UndoFacts

UNDO = ToolCall(tool="erase", arguments={"n": 1}, call_id="")
KEPT: list[tuple[CallOutcome, dict[str, Any]]] = [
    (CallOutcome("ok", result=None), {"status": "ok", "result": None}),
    (CallOutcome("failed", message=""), {"status": "failed", "message": ""}),
    (
        CallOutcome.without_effect("denied", "No."),
        {"status": "denied", "message": "No.", "undo": None},
    ),
    (
        CallOutcome("failed", message="It broke.", defect=True),
        {"status": "failed", "message": "It broke.", "defect": True},
    ),
    (
        CallOutcome("ok", result={"n": [1]}, undo=UNDO, undo_made=True, undo_facts=UndoFacts("undo", True, (3, 1))),
        {
            "status": "ok",
            "result": {"n": [1]},
            "undo": {"tool": "erase", "arguments": {"n": 1}, "call_id": ""},
            "aside": {"on_rollback": "undo", "gives_back": True, "undoes": "0003.1"},
        },
    ),
    (
        CallOutcome("ok", undo_made=True, left_out=LeftOut(bytes=9, sha256="ab"), message="Done.", notice="Done."),
        {
            "status": "ok",
            "result": None,
            "undo": None,
            "left_out": {"bytes": 9, "sha256": "ab"},
            "message": "Done.",
            "notice": "Done.",
        },
    ),
    (
        CallOutcome("failed", message="No.", cost_microusd=7, cost_known=True),
        {"status": "failed", "message": "No.", "cost_microusd": 7},
    ),
    (
        CallOutcome("failed", message="No.", cost_known=True),
        {"status": "failed", "message": "No.", "cost_microusd": None},
    ),
]


@pytest.mark.parametrize(("outcome", "kept"), KEPT)
def test_what_is_kept_is_what_was_said_and_is_read_back(outcome: CallOutcome, kept: dict[str, Any]) -> None:
    assert outcome.kept("write") == {"tool": "write", **kept}
    read = CallOutcome.read(outcome.kept("write"))
    assert read.kept("another") == outcome.kept("write")
    assert (read.status, read.message, read.undo, read.undo_facts, read.cost_microusd, read.cost_known) == (
        outcome.status,
        outcome.message,
        outcome.undo,
        outcome.undo_facts,
        outcome.cost_microusd,
        outcome.cost_known,
    )


def test_the_log_has_no_word_of_what_only_the_executor_keeps() -> None:
    outcome = CallOutcome("ok", result=1, undo_made=True, undo_facts=UndoFacts("keep"), latency_ms=7, cost_microusd=0)

    settled = outcome.settled((3, 1), "write")

    assert settled.seq == "0003.call.1.settled"
    assert settled.body == {
        "tool": "write",
        "status": "ok",
        "result": 1,
        "undo": None,
        "latency_ms": 7,
        "cost_microusd": 0,
    }
    assert "cost_microusd" not in replace(outcome, cost_microusd=None, cost_known=True).settled((3, 1), "write").body
