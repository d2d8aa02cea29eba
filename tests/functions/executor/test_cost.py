"""A call that costs money is reserved within the run's ceiling before it is made, and settled by what it reports."""

from typing import Any

import pytest

from ballast.errors import RetryLater, RunEnded
from tests.functions.endpoint import Endpoint, calls
from tests.functions.stack import LambdaDied, Stack, once


def proposed(stack: Stack, tool: str, *, ceiling: int = 20_000, by: str = "agent", **arguments: Any) -> str:
    """Propose one call in a run that may spend ``ceiling``, and return the run id."""
    run_id = stack.open(limited={"cost_microusd": ceiling})
    stack.propose(run_id, {"tool": tool, "arguments": {"pages": 5} | arguments}, by=by)
    return run_id


def charged(stack: Stack, run_id: str) -> tuple[int, int]:
    """Return what is spent and what is reserved."""
    used = stack.events(run_id).usage
    return used.spent_microusd, used.reserved_microusd


@pytest.mark.parametrize(("ceiling", "status"), [(4_999, "refused"), (5_000, "ok"), (5_001, "ok")])
@pytest.mark.parametrize("tool", ["paid_search", "paid_letter"])
def test_a_call_is_made_only_where_its_worst_case_can_be_afforded(
    stack: Stack, tool: str, ceiling: int, status: str
) -> None:
    run_id = proposed(stack, tool, ceiling=ceiling)

    assert stack.execute(run_id) == status

    assert stack.count("n-7") == (status == "ok")
    if status == "refused":
        refused = stack.body(run_id, "0001.call.1.refused")
        assert refused["error"] == "Unaffordable"
        assert refused["message"].startswith(f"{tool} may cost $0.005, and $0.004999 are left")
        assert charged(stack, run_id) == (0, 0)


@pytest.mark.parametrize("by", ["fallback", "human"])
def test_nobody_else_may_pass_the_ceiling_either(stack: Stack, by: str) -> None:
    assert stack.execute(proposed(stack, "paid_search", ceiling=4_999, by=by)) == "refused"


@pytest.mark.parametrize(
    ("arguments", "cost"),
    [
        ({}, 5_000),  # it says nothing: the worst case
        ({"reports": [0]}, 0),
        ({"reports": [3]}, 3),
        ({"reports": [3, 4]}, 7),
        ({"reports": [9_000]}, 9_000),  # more than was promised is charged as it is
        ({"goes": "badly"}, 5_000),  # it may have cost all the same
        ({"goes": "badly", "reports": [2]}, 2),
        ({"reports": [-1]}, 5_000),  # a report that is none
    ],
)
def test_a_call_is_settled_by_what_it_reports_or_by_what_was_reserved(
    stack: Stack, arguments: dict[str, Any], cost: int
) -> None:
    run_id = proposed(stack, "paid_search", **arguments)

    stack.execute(run_id)

    assert stack.body(run_id, "0001.call.1.intended")["reserved_microusd"] == 5_000
    assert stack.body(run_id, "0001.call.1.settled")["cost_microusd"] == cost
    assert charged(stack, run_id) == (cost, 0)
    assert stack.events(run_id).usage.tools_microusd == cost


def test_a_cost_that_was_not_declared_is_charged_all_the_same(stack: Stack) -> None:
    run_id = proposed(stack, "free_search", reports=[70])

    stack.execute(run_id)

    assert charged(stack, run_id) == (70, 0)


@pytest.mark.parametrize("pages", [0, -1])
def test_a_call_whose_cost_cannot_be_told_is_not_made(stack: Stack, pages: int) -> None:
    run_id = proposed(stack, "paid_search", pages=pages)

    assert stack.execute(run_id) == "refused"

    assert stack.count("n-7") == 0
    assert "its cost is unknown" in stack.body(run_id, "0001.call.1.refused")["message"]


def test_what_earlier_calls_and_the_model_reserved_is_not_left(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limited={"cost_microusd": 38_000})
    used = {"inputTokens": 4_800, "outputTokens": 300}  # 18900 micro-dollars
    search = {"name": "paid_search", "input": {"pages": 10}}
    model.will(calls(search, search, usage=used))
    assert stack.plan(run_id)["parallel"] is False

    statuses = [stack.execute(run_id, index=index) for index in (1, 2)]

    assert statuses == ["ok", "refused"]
    assert charged(stack, run_id) == (28_900, 0)


def test_what_a_call_reserves_the_model_cannot_spend(stack: Stack, model: Endpoint) -> None:
    run_id = proposed(stack, "paid_search", pages=20)
    stack.execute(run_id)

    assert stack.plan(run_id, 2)["reason"] == "cost_limit"

    assert model.requests == []


def test_budget_that_a_person_adds_is_there_for_tools_too(stack: Stack) -> None:
    run_id = proposed(stack, "paid_search", ceiling=1_000)
    stack.answered(run_id, 2, {"kind": "hand_over", "to": "agent", "reason": "guidance", "add_budget_microusd": 4_000})
    stack.propose(run_id, {"tool": "paid_search", "arguments": {"pages": 5}}, turn=3)

    assert stack.execute(run_id, 3) == "ok"

    stack.propose(run_id, {"tool": "paid_search", "arguments": {"pages": 5}}, turn=4)
    assert stack.execute(run_id, 4) == "refused"


# Dying half way


def test_an_attempt_that_died_stays_charged_and_the_next_one_reserves_anew(stack: Stack) -> None:
    run_id = proposed(stack, "paid_search", ceiling=10_000, reports=[1_000])
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id)
    assert charged(stack, run_id) == (0, 5_000)

    assert stack.execute(run_id, runtime=stack.cold("executor")) == "ok"

    assert stack.count("n-7") == 2
    assert charged(stack, run_id) == (1_000, 5_000)


def test_where_the_second_attempt_cannot_be_afforded_it_is_not_made(stack: Stack) -> None:
    run_id = proposed(stack, "paid_search", ceiling=9_999)
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id)

    assert stack.execute(run_id, runtime=stack.cold("executor")) == "failed"

    assert stack.count("n-7") == 1
    assert "may cost $0.005" in stack.body(run_id, "0001.call.1.settled")["message"]
    assert charged(stack, run_id) == (5_000, 0)


def test_a_read_that_costs_is_tried_twice_at_most(stack: Stack) -> None:
    run_id = proposed(stack, "paid_search", goes="nowhere")
    for _ in range(2):
        with pytest.raises(RetryLater):
            stack.execute(run_id)

    assert stack.execute(run_id) == "failed"

    assert stack.count("n-7") == 2
    assert charged(stack, run_id) == (5_000, 5_000)


def test_a_write_costs_once_however_often_it_is_tried(stack: Stack) -> None:
    run_id = proposed(stack, "paid_letter")
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id)

    assert stack.execute(run_id, runtime=stack.cold("executor")) == "ok"

    assert stack.count("n-7") == 1
    assert charged(stack, run_id) == (5_000, 0)


@pytest.mark.parametrize("seq", ["0001.call.1.intended", "0001.call.1.reserved"])
def test_nothing_is_paid_for_a_run_that_ended_meanwhile(stack: Stack, seq: str) -> None:
    """What is reserved after the ending may have gone back to the windows already."""
    run_id = proposed(stack, "paid_search", reports=[1_000])
    if seq.endswith("reserved"):
        stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
        with pytest.raises(LambdaDied):
            stack.execute(run_id)
    before = stack.count("n-7")

    def cut(params: dict[str, Any]) -> None:
        if params["Item"]["seq"]["S"] == seq:
            stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "failed"})

    stack.on("executor", "dynamodb", "PutItem", cut)

    with pytest.raises(RunEnded):
        stack.execute(run_id)

    assert stack.count("n-7") == before
