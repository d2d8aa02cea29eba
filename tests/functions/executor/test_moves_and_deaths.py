"""Attempts that die or overlap: no money moves twice, and every window is right."""

from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from ballast.errors import ApprovalRequired, EffectUnknown, RetryLater
from ballast.runtime import Runtime
from tests.functions.moves import aborted, adds_up, pay, run, window
from tests.functions.stack import LambdaDied, Stack
from tests.functions.writes import leases_are_over
from tests.support.sampling import FULL, examples


def dies_at(stack: Stack, number: int) -> list[int]:
    """Let the executor die at its ``number``-th moment: each request has one before it and one after it."""
    left = [number]

    def burn(_: Any) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise LambdaDied

    stack.alone("executor")
    stack.forget("executor")
    for operation in ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query"):
        stack.on("executor", "dynamodb", operation, burn)
        stack.after("executor", "dynamodb", operation, burn)
    return left


@pytest.mark.sampled
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize(
    "call", [pay("90", "pay"), pay("90", how="no"), pay("150", "pay"), pay("301"), pay("90", "pay_blindly")]
)
def test_a_death_at_any_request_moves_nothing_twice_and_loses_nothing(
    purse: Stack, call: dict[str, Any], ends: bool
) -> None:
    for number in count():
        if not FULL and number // 2 % 2 != ends:  # each request has a death before it and after it, and one of the ends
            continue
        purse.cloud.tables.emptied("moves", "notes", "idempotency")
        run_id = run(purse, call)
        left = dies_at(purse, number)
        with suppress(LambdaDied, ApprovalRequired, EffectUnknown, RetryLater):
            purse.execute(run_id)
        died = left[0] < 0
        purse.forget("executor")
        leases_are_over()
        if ends:
            aborted(purse, run_id)
        else:
            for _ in range(2):
                with suppress(ApprovalRequired, EffectUnknown, RetryLater):
                    purse.execute(run_id)
        adds_up(purse, run_id, cut=ends)
        assert purse.count("C-1") <= 1
        assert window(run_id) >= (purse.count("C-1") * Decimal(call["arguments"]["amount"]))
        if not died:
            return
        assert number < 80


@pytest.mark.parametrize(
    ("call", "first_death"), [(pay("90", "pay"), 0), (pay("90", how="no"), 1), (pay("90", "pay_blindly"), 0)]
)
def test_a_second_delivery_that_read_the_call_before_the_first_one_began_it_moves_nothing_twice(
    purse: Stack, call: dict[str, Any], first_death: int
) -> None:
    for number in count(0 if FULL else first_death, examples(2, 1)):  # or before each request, or after it
        purse.cloud.tables.emptied("moves", "notes", "idempotency")
        run_id, left = run(purse, call), dies_at(purse, number)
        second, first = purse.cloud.process(purse.environs["executor"]), [purse.runtime("executor")]

        def meanwhile(params: dict[str, Any], first: list[Runtime] = first, run_id: str = run_id, **_: Any) -> None:
            if first and params["TableName"] == "idempotency":
                with suppress(LambdaDied, ApprovalRequired, EffectUnknown, RetryLater):
                    purse.execute(run_id, runtime=first.pop())
                leases_are_over()

        second.client("dynamodb").meta.events.register("before-parameter-build.dynamodb.PutItem", meanwhile)
        for _ in range(2):
            with suppress(ApprovalRequired, EffectUnknown, RetryLater):
                purse.execute(run_id, runtime=second)

        died = left[0] < 0
        purse.forget("executor")
        assert not first
        adds_up(purse, run_id)
        assert purse.count("C-1") <= 1
        assert window(run_id) >= (purse.count("C-1") * Decimal(call["arguments"]["amount"]))
        if not died:
            return
        assert number < 80


@pytest.mark.parametrize("tool", ["pay", "pay_freely"])
def test_a_death_at_any_request_of_an_undo_gives_back_once_and_no_less(purse: Stack, tool: str) -> None:
    for number in count():
        purse.cloud.tables.emptied("moves", "notes", "idempotency")
        run_id = run(purse, pay("90", tool))
        purse.execute(run_id)
        purse.plan(run_id, 2, by="rollback")
        left = dies_at(purse, number)
        with suppress(LambdaDied):
            purse.execute(run_id, 2)
        died = left[0] < 0
        purse.forget("executor")
        leases_are_over()
        if number % 2:
            purse.execute(run_id, 2)
        aborted(purse, run_id)
        adds_up(purse, run_id, cut=not number % 2)
        if not died:
            return


def test_a_run_that_ended_reserves_nothing_any_more(purse: Stack) -> None:
    run_id = run(purse, pay("90"))
    aborted(purse, run_id)

    with pytest.raises(Exception, match="has ended, so its calls may not move money"):
        purse.execute(run_id)
    assert window("account") == 0


@pytest.mark.parametrize(("ceiling", "other"), [(300, "ok"), (0, "refused")])
def test_an_attempt_that_lost_its_reservation_to_another_one_does_not_act(
    purse: Stack, ceiling: int, other: str
) -> None:
    run_id = run(purse, pay("90"))
    another, seen = purse.cold("executor"), []

    def meanwhile(params: dict[str, Any]) -> None:
        if params["TableName"] == "idempotency" and not seen:
            order = {"tenant": "default", "customer": "C-1", "moves_hour": ceiling * 1_000_000}
            purse.invoke("command", {"command": "budget"} | order)
            purse.clock.advance(3600)  # the other one finds other windows, and gives back what this one holds
            done = purse.invoke("executor", {"run_id": run_id, "turn": 1, "index": 1}, runtime=another)
            seen.append(done["status"])

    purse.on("executor", "dynamodb", "PutItem", meanwhile)

    with suppress(RetryLater):
        purse.execute(run_id)

    assert seen == [other]
    assert purse.count("C-1") == (other == "ok")
    assert window("C-1") == 90 * (other == "ok")
    adds_up(purse, run_id)
