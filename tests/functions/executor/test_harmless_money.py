"""A call that the run cannot afford is refused before a person is asked."""

import pytest

from ballast.errors import ApprovalRequired
from tests.functions.approvals import answered, asks
from tests.functions.executor.test_harmless import HARMLESS, proposed, refusal
from tests.functions.stack import Stack


@pytest.fixture
def stack(stack: Stack) -> Stack:
    for function in ("admit", "executor", "planner", "answer"):
        stack.environs[function]["PLAYBOOK_DIR"] = str(HARMLESS)
    return stack


def test_what_the_run_cannot_afford_is_refused_before_a_person_is_asked(stack: Stack) -> None:
    run_id = proposed(stack, "buy", microusd=2_600_000_000)

    assert stack.execute(run_id) == "refused"

    assert refusal(stack, run_id)["error"] == "Unaffordable"
    assert not [seq for seq in stack.seqs(run_id) if "approval" in seq]


def test_what_has_no_room_in_a_window_is_refused_before_a_person_is_asked(stack: Stack) -> None:
    run_id = proposed(stack, "buy", usd="400.01")

    assert stack.execute(run_id) == "refused"

    assert refusal(stack, run_id)["error"] == "MoveRefused"
    assert not [seq for seq in stack.seqs(run_id) if "approval" in seq]


def test_what_can_be_afforded_is_asked_for_and_checked_again_when_it_is_approved(stack: Stack) -> None:
    run_id = stack.open(limited={"cost_microusd": 1_000})
    stack.propose(run_id, *({"tool": "buy", "arguments": {"microusd": cost}} for cost in (600, 500)))
    for index in (1, 2):
        asks(stack, run_id, index)
        answered(stack, run_id, approve=True, index=index)

    assert [stack.execute(run_id, 1, index, asked=1) for index in (1, 2)] == ["ok", "refused"]
    assert stack.body(run_id, "0001.call.2.refused")["error"] == "Unaffordable"


def test_a_persons_no_stays_a_no_where_the_money_is_gone_meanwhile(stack: Stack) -> None:
    run_id = stack.open(limited={"cost_microusd": 1_000})
    stack.propose(run_id, *({"tool": "buy", "arguments": {"microusd": cost}} for cost in (600, 500)))
    for index, approve in ((1, True), (2, False)):
        asks(stack, run_id, index)
        answered(stack, run_id, approve=approve, index=index)

    assert [stack.execute(run_id, 1, index, asked=1) for index in (1, 2)] == ["ok", "denied"]


def test_people_who_are_asked_wait_on_where_the_money_is_gone_meanwhile(stack: Stack) -> None:
    run_id = stack.open(limited={"cost_microusd": 1_000})
    stack.propose(run_id, *({"tool": "buy", "arguments": {"microusd": cost}} for cost in (600, 500)))
    for index in (1, 2):
        asks(stack, run_id, index)
    answered(stack, run_id, approve=True, index=1)
    assert stack.execute(run_id, 1, 1, asked=1) == "ok"

    with pytest.raises(ApprovalRequired):
        stack.execute(run_id, 1, 2)
