"""Bounds on a tool's arguments and results: size, depth, and consistency with earlier results."""

from typing import Any

import pytest

from tests.functions.stack import LambdaContext, LambdaDied, Stack, once


def call(stack: Stack, tool: str, **arguments: Any) -> tuple[str, str]:
    """Make one call in a run of its own; return its status and the run id."""
    run_id = stack.open()
    stack.propose(run_id, {"tool": tool, "arguments": arguments})
    return stack.execute(run_id), run_id


def settled(stack: Stack, run_id: str) -> dict[str, Any]:
    return stack.body(run_id, "0001.call.1.settled")


def test_a_result_that_is_as_large_as_it_may_be_is_recorded(stack: Stack) -> None:
    status, run_id = call(stack, "list_words", count=136)

    assert (status, len(settled(stack, run_id)["result"]["words"])) == ("ok", 136)


@pytest.mark.parametrize(("count", "nested", "says"), [(150, False, "at most 1000"), (8, True, "at most 8")])
def test_a_read_whose_result_is_too_large_or_too_deep_has_failed(
    stack: Stack, count: int, nested: bool, says: str
) -> None:
    status, run_id = call(stack, "list_words", count=count, nested=nested)

    assert status == "failed"
    assert says in settled(stack, run_id)["message"]
    assert "result" not in settled(stack, run_id)


def test_a_write_whose_result_is_too_large_has_happened_and_can_be_undone(stack: Stack) -> None:
    status, run_id = call(stack, "print_words", count=90_000)

    assert status == "ok"
    assert stack.count("n-8") == 1
    body = settled(stack, run_id)
    assert body["result"] is None
    assert body["left_out"]["bytes"] > 600_000
    assert len(body["left_out"]["sha256"]) == 64
    [effect] = stack.events(run_id).to_undo
    assert effect.undo is not None
    assert effect.undo.arguments == {"note_id": "n-8"}


def test_it_happens_once_even_if_the_executor_dies_before_it_is_recorded(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, {"tool": "print_words", "arguments": {"count": 90_000}})
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))

    assert stack.execute(run_id, runtime=stack.cold("executor")) == "ok"

    assert stack.count("n-8") == 1
    assert settled(stack, run_id)["undo"]["arguments"] == {"note_id": "n-8"}


@pytest.mark.parametrize(("count", "error"), [(10**26, "SchemaViolation"), (10**40, "TooLarge")])
def test_arguments_are_limited_by_the_tool(stack: Stack, count: int, error: str) -> None:
    status, run_id = call(stack, "list_words", count=count)

    assert status == "refused"
    assert stack.body(run_id, "0001.call.1.refused")["error"] == error


def test_a_rule_looks_back_at_the_run(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, *({"tool": "give_stars", "arguments": {"stars": stars}} for stars in (6, 5, 4)))
    stack.propose(run_id, {"tool": "give_stars", "arguments": {"stars": 1}}, turn=2)

    statuses = [stack.execute(run_id, 1, index) for index in (1, 2, 3)] + [stack.execute(run_id, 2)]

    assert statuses == ["ok", "refused", "ok", "refused"]
    assert "stars: 4 are left." in stack.body(run_id, "0001.call.2.refused")["message"]
    assert stack.body(run_id, "0002.call.1.refused")["error"] == "RuleViolation"


def test_a_rule_of_another_run_is_none_of_its_business(stack: Stack) -> None:
    assert [call(stack, "give_stars", stars=10)[0] for _ in range(2)] == ["ok", "ok"]
