"""A write that no attempt began has failed once nobody retries it: without its rules, with their last error."""

import json
from typing import Any

import pytest

from ballast.errors import RetryLater
from ballast.moves_table import MovesTable
from tests.functions.executor.test_harmless import HARMLESS, TRIES, proposed
from tests.functions.stack import LambdaContext, LambdaDied, Stack, once
from tests.functions.writes import leases_are_over


@pytest.fixture
def stack(stack: Stack) -> Stack:
    for function in ("admit", "executor", "planner", "answer"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(HARMLESS)
    return stack


def cause_of(problem: BaseException, **more: Any) -> str:
    """Return what the workflow is told with an error: Lambda's report as JSON."""
    return json.dumps({"errorMessage": str(problem), "errorType": type(problem).__name__, **more})


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        *(("act", {"where": where, "what": "later"}) for where in ("validate", "approval.if_", "precondition")),
        *(("look", {"where": where, "what": "later"}) for where in ("validate", "approval.if_", "precondition")),
        *(("act", {"where": where, "what": "later"}) for where in ("cost", "moves")),
        *(("act", {"where": "moves_key", "what": "busy"}), ("act", {"touched": 15}), ("look", {"touched": 15})),
    ],
)
def test_a_call_whose_rule_is_down_for_good_has_failed_and_says_what_the_rule_said(
    stack: Stack, tool: str, arguments: dict[str, Any]
) -> None:
    run_id = proposed(stack, tool, **arguments)
    for _ in range(TRIES):
        with pytest.raises(RetryLater) as raised:
            stack.execute(run_id)
        assert type(raised.value).__name__ == "RetryLater"

    assert stack.execute(run_id, given_up="RetryLater", cause=cause_of(raised.value)) == "failed"

    settled = stack.body(run_id, "0001.call.1.settled")
    assert "othing was done" in settled["message"]
    assert str(raised.value) in settled["message"]
    assert settled["defect"] is True
    assert stack.seqs(run_id)[-2:] == ["0001.plan.decided", "0001.call.1.settled"]
    assert stack.notes() == {}


def test_nobody_asks_a_rule_of_a_write_that_was_never_begun(stack: Stack) -> None:
    run_id = proposed(stack, "act", where="validate", what="KeyError")

    assert stack.execute(run_id, given_up="Sandbox.Timedout") == "failed"
    assert "validate" not in stack.body(run_id, "0001.call.1.settled")["message"]


def test_who_settles_it_and_dies_settles_it_all_the_same_the_next_time(stack: Stack) -> None:
    run_id = proposed(stack, "act", where="validate", what="later")
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, given_up="RetryLater")

    assert stack.execute(run_id, runtime=stack.cold("executor"), given_up="RetryLater") == "failed"


def test_what_was_reserved_for_it_is_given_back(stack: Stack) -> None:
    run_id = proposed(stack, "act")
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.intended"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))
    leases_are_over()
    moves = stack.runtime("executor").get(MovesTable.of)
    held = moves.find(run_id, 1, 1)
    assert held is not None
    assert held.status == "begun"

    assert stack.execute(run_id, runtime=stack.cold("executor"), given_up="Runtime.ExitError") == "failed"

    left = moves.find(run_id, 1, 1)
    assert left is not None
    assert left.status == "returned"
    assert stack.body(run_id, "0001.call.1.settled")["cost_microusd"] == 0


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (json.dumps({"errorMessage": 'a "quoted" \n \ud800 line'}), 'a "quoted" \n ? line'),
        ('{"errorMessage": "cut in the mid', ""),
        ('{"errorMessage": "whole", "stackTrace": ["cut', "whole"),
        ("no JSON", ""),
        ("", ""),
        (None, ""),
        ('{"errorMessage": 5}', ""),
        (json.dumps({"errorMessage": "\\" * 10_000}), "\\" * 300),
    ],
)
def test_whatever_the_cause_is_the_call_is_settled(stack: Stack, cause: str | None, says: str) -> None:
    run_id = proposed(stack, "act", where="validate", what="later")

    assert stack.execute(run_id, given_up="RetryLater", cause=cause) == "failed"

    message = stack.body(run_id, "0001.call.1.settled")["message"]
    assert says in message
    assert ("Its last error" in message) is bool(says)
    assert len(message) <= 600
