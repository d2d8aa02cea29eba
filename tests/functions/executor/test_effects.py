"""A write happens once, whenever the executor dies and whoever retries; an unknown outcome is recorded as unknown."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from ballast.errors import AttemptInProgress, EffectUnknown, RetryLater, SettingInvalid
from tests.functions.cloud import client
from tests.functions.stack import LambdaContext, LambdaDied, Stack, client_error, once

WRITE = {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x"}}
READ = {"tool": "read_note", "arguments": {"note_id": "n-1"}}


def trouble(stack: Stack, kind: str, *, tool: str = "trouble_writing") -> str:
    """Propose a call of a tool that goes wrong in that way, and return the run id."""
    run_id = stack.open()
    stack.propose(run_id, {"tool": tool, "arguments": {"kind": kind}})
    return run_id


def idempotency_records() -> list[dict[str, Any]]:
    """Return what is in the idempotency table."""
    items: list[dict[str, Any]] = client("dynamodb").scan(TableName="idempotency")["Items"]
    return items


# The normal case


def test_a_write_is_intended_with_its_undo_then_done_then_settled(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)

    assert stack.execute(run_id) == "ok"

    assert stack.seqs(run_id)[2:] == ["0001.call.1.intended", "0001.call.1.settled"]
    intended, settled = stack.body(run_id, "0001.call.1.intended"), stack.body(run_id, "0001.call.1.settled")
    assert intended["effect"] == "write"
    assert intended["undo"]["tool"] == "erase_note"
    assert intended["idempotency_key"] == f"{run_id}.0001.1"
    assert settled["undo"]["arguments"] == {"note_id": "n-1"}
    assert settled["result"] == {"note_id": "n-1", "text": "x", "price": "1.50", "written": "2026-01-02"}


def test_executing_again_does_nothing_and_says_the_same(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)

    statuses = [stack.execute(run_id), stack.execute(run_id, runtime=stack.cold("executor"))]

    assert statuses == ["ok", "ok"]
    assert stack.count("n-1") == 1


def test_the_same_call_twice_in_one_turn_is_two_calls(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE, WRITE)

    statuses = [stack.execute(run_id, index=1), stack.execute(run_id, index=2)]

    assert statuses == ["ok", "ok"]
    assert stack.count("n-1") == 2


def test_the_same_position_in_two_runs_is_two_calls(stack: Stack) -> None:
    for _ in range(2):
        run_id = stack.open()
        stack.propose(run_id, WRITE)
        stack.execute(run_id)

    assert stack.count("n-1") == 2


# Dying half way

MOMENTS = {
    "before intended": ("on", "PutItem", "0001.call.1.intended"),
    "after intended": ("after", "PutItem", "0001.call.1.intended"),
    "before the effect": ("on", "TransactWriteItems", ""),
    "after the effect": ("after", "TransactWriteItems", ""),
    "before settled": ("on", "PutItem", "0001.call.1.settled"),
    "after settled": ("after", "PutItem", "0001.call.1.settled"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_whenever_the_executor_dies_the_next_attempt_finishes_and_the_effect_is_there_once(
    stack: Stack, moment: str
) -> None:
    when, operation, seq = MOMENTS[moment]
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    fault = stack.on if when == "on" else stack.after
    fault("executor", "dynamodb", operation, once(LambdaDied(), seq=seq))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))  # its lease is over when it is dead

    status = stack.execute(run_id, runtime=stack.cold("executor"))

    assert status == "ok"
    assert stack.count("n-1") == 1
    assert stack.body(run_id, "0001.call.1.settled")["status"] == "ok"


def test_while_the_dead_attempts_lease_lasts_the_next_one_waits(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    stack.after("executor", "dynamodb", "TransactWriteItems", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        stack.execute(run_id, context=LambdaContext(remaining_ms=30_000))

    with pytest.raises(AttemptInProgress):
        stack.execute(run_id, runtime=stack.cold("executor"))

    assert stack.count("n-1") == 1


@pytest.mark.parametrize("lost", ["InternalServerError", "ThrottlingException"])
def test_an_effect_whose_answer_was_lost_happens_once(stack: Stack, lost: str) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    stack.after("executor", "dynamodb", "TransactWriteItems", once(client_error(lost)))
    with pytest.raises(RetryLater):
        stack.execute(run_id)

    assert stack.execute(run_id) == "ok"
    assert stack.count("n-1") == 1


def test_a_throttled_table_of_a_tool_means_try_again_later(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    throttle = once(client_error("ProvisionedThroughputExceededException"))
    stack.on("executor", "dynamodb", "TransactWriteItems", throttle)

    with pytest.raises(RetryLater, match="write_note"):
        stack.execute(run_id)

    assert stack.notes() == {}
    assert "0001.call.1.settled" not in stack.seqs(run_id)
    assert stack.execute(run_id) == "ok"


def test_a_missing_table_of_a_tool_is_named(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, READ)
    stack.environs["executor"]["NOTES_TABLE"] = "gone"

    with pytest.raises(SettingInvalid, match="read_note"):
        stack.execute(run_id)


def test_a_missing_idempotency_table_is_named_and_nothing_is_done(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    stack.environs["executor"]["IDEMPOTENCY_TABLE"] = "gone"

    with pytest.raises(SettingInvalid, match="IDEMPOTENCY_TABLE"):
        stack.execute(run_id)

    assert stack.notes() == {}


def throttle_idempotency(stack: Stack, operation: str) -> None:
    """Let the first such request to the idempotency table be throttled."""
    left = [client_error("ThrottlingException")]

    def throttle(params: dict[str, Any]) -> None:
        if params["TableName"] == "idempotency" and left:
            raise left.pop()

    stack.on("executor", "dynamodb", operation, throttle)


def test_an_idempotency_table_that_is_throttled_before_the_effect_means_try_again_later(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    throttle_idempotency(stack, "PutItem")
    with pytest.raises(RetryLater, match="IDEMPOTENCY_TABLE"):
        stack.execute(run_id, context=LambdaContext(remaining_ms=0))

    assert "0001.call.1.intended" not in stack.seqs(run_id)
    assert stack.execute(run_id) == "ok"
    assert stack.count("n-1") == 1


def test_an_outcome_that_is_known_is_recorded_though_the_idempotency_table_is_throttled_after_it(
    stack: Stack,
) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    throttle_idempotency(stack, "UpdateItem")

    assert stack.execute(run_id) == "ok"

    assert stack.body(run_id, "0001.call.1.settled")["status"] == "ok"
    assert stack.count("n-1") == 1


# Side by side


def test_while_one_attempt_runs_another_is_told_to_wait(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    in_the_tool, go_on = Event(), Event()

    def wait(_: dict[str, Any]) -> None:
        in_the_tool.set()
        go_on.wait(300)

    stack.on("executor", "dynamodb", "TransactWriteItems", wait)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(stack.execute, run_id)
        assert in_the_tool.wait(300)
        with pytest.raises(AttemptInProgress):
            stack.execute(run_id, runtime=stack.cold("executor"))
        go_on.set()
        status = first.result(300)

    assert (status, stack.execute(run_id)) == ("ok", "ok")
    assert stack.count("n-1") == 1


def test_calls_of_one_turn_may_be_executed_side_by_side(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE, WRITE, {"tool": "trouble_reading", "arguments": {"kind": "none"}}, READ)

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda index: stack.execute(run_id, index=index), (1, 2, 3)))

    assert statuses == ["ok", "ok", "ok"]
    assert stack.count("n-1") == 2
    assert [seq for seq in stack.seqs(run_id) if seq.startswith("0001.call.4")] == []


def test_of_two_outcomes_the_first_recorded_one_stands(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, WRITE)
    done = {"status": "unknown", "message": "The other attempt saw it break."}
    stack.on("executor", "dynamodb", "TransactWriteItems", lambda _: stack.settled(run_id, 1, done))

    with pytest.raises(EffectUnknown, match="The other attempt saw it break"):
        stack.execute(run_id)


# Tools that go wrong


@pytest.mark.parametrize("tool", ["trouble_reading", "trouble_writing"])
def test_what_the_business_says_no_to_has_failed_and_is_not_tried_again(stack: Stack, tool: str) -> None:
    run_id = trouble(stack, "business", tool=tool)

    statuses = [stack.execute(run_id), stack.execute(run_id)]

    assert statuses == ["failed", "failed"]
    assert stack.body(run_id, "0001.call.1.settled")["message"] == "The shop is closed on Sundays."
    assert stack.body(run_id, "0001.call.1.settled")["undo"] is None
    assert stack.count("n-0") == 1


@pytest.mark.parametrize(
    ("kind", "says"), [("bug", "ZeroDivisionError"), ("wrong_type", "not what"), ("nan", "not what")]
)
def test_a_read_that_breaks_has_failed_and_the_planner_may_go_on(stack: Stack, kind: str, says: str) -> None:
    run_id = trouble(stack, kind, tool="trouble_reading")

    assert stack.execute(run_id) == "failed"
    assert says in stack.body(run_id, "0001.call.1.settled")["message"]


@pytest.mark.parametrize(
    ("kind", "says"), [("bug", "ZeroDivisionError"), ("wrong_type", "not what"), ("nan", "not what")]
)
def test_a_write_that_breaks_is_unknown_each_time_and_never_repeated(stack: Stack, kind: str, says: str) -> None:
    run_id = trouble(stack, kind)

    for _ in range(3):
        with pytest.raises(EffectUnknown, match=says):
            stack.execute(run_id)

    assert stack.count("n-0") == 1
    assert stack.body(run_id, "0001.call.1.settled")["status"] == "unknown"


@pytest.mark.parametrize("kind", ["bug", "wrong_type", "nan"])
def test_a_write_that_breaks_is_not_repeated_even_if_nobody_recorded_that_it_broke(stack: Stack, kind: str) -> None:
    run_id = trouble(stack, kind)
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id)

    with pytest.raises(EffectUnknown):
        stack.execute(run_id, runtime=stack.cold("executor"))

    assert stack.count("n-0") == 1


def test_an_effect_whose_undo_cannot_be_made_is_recorded_as_done(stack: Stack) -> None:
    run_id = trouble(stack, "no_undo")

    assert stack.execute(run_id) == "ok"

    settled = stack.body(run_id, "0001.call.1.settled")
    assert "erase_note could not be made: KeyError" in settled["message"]
    [left] = stack.events(run_id).to_undo  # the rollback proposes what was intended; the gate refuses it
    assert left.undo is not None
    assert left.undo.arguments == {}


# Reads


def test_reads_leave_no_trace_in_the_idempotency_table(stack: Stack) -> None:
    before = len(idempotency_records())
    run_id = stack.open()
    stack.propose(run_id, READ, READ, WRITE)

    stack.execute(run_id, index=1)
    stack.execute(run_id, index=2)
    assert len(idempotency_records()) == before

    stack.execute(run_id, index=3)
    assert len(idempotency_records()) == before + 1


def test_a_read_that_was_begun_is_read_again_and_the_first_recorded_outcome_stands(stack: Stack) -> None:
    run_id = trouble(stack, "none", tool="trouble_reading")
    stack.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        stack.execute(run_id)

    assert stack.execute(run_id) == "ok"

    assert stack.count("n-0") == 2
    state = stack.events(run_id).call(1, 1)
    assert state is not None
    assert (state.status, state.result) == ("ok", 1.0)
