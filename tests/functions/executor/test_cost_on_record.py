"""The executor's own record of a write has its cost, so whoever settles the call charges the same."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ballast.errors import EffectUnknown, RetryLater
from ballast.playbook import Tool
from ballast.runtime import Runtime
from functions.executor import effect
from functions.executor.downstream import NothingDone
from functions.executor.record import CallOutcome
from tests.functions.cloud import LEDGER, client
from tests.functions.stack import LambdaDied, Stack
from tests.functions.writes import leases_are_over
from tests.support.sampling import examples

POSTAGE = Path(__file__).parents[1] / "playbooks" / "postage"
WRITES = ("by_key", "verified", "blindly")
#: What a call reports, and its charge.
REPORTS: list[tuple[dict[str, Any], int]] = [
    ({}, 5_000),
    ({"reports": [0]}, 0),
    ({"reports": [3, 4]}, 7),
    ({"reports": [9_000]}, 9_000),
    ({"goes": "badly"}, 5_000),
    ({"goes": "badly", "reports": [2]}, 2),
]
SETTLED, INTENDED = "0001.call.1.settled", "0001.call.1.intended"
OPERATIONS = ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query")
#: So many random runs; more with COST_RUNS=500.
RUNS = int(os.environ.get("COST_RUNS", examples(20, 60)))


@dataclass
class First:
    """The first attempt at a call, in a process that dies.

    ran, is_on_record  how often the tool had run when it was dead, and whether its outcome was on record
    """

    process: Runtime
    ran: int = 0
    is_on_record: bool = False


#: Lets the first attempt at a call begin and die, then another attempt at it end; returns the status.
Ends = Callable[[Stack, str, First], str]


@pytest.fixture
def stack(stack: Stack) -> Stack:
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(POSTAGE)
    stack.cloud.tables.emptied("idempotency")
    return stack


def proposed(stack: Stack, tool: str, *, ceiling: int = 50_000, **arguments: Any) -> str:
    run_id = stack.open(limited={"cost_microusd": ceiling})
    stack.propose(run_id, {"tool": tool, "arguments": arguments})
    return run_id


def charged(stack: Stack, run_id: str) -> tuple[int, int]:
    """Return what is spent and what is reserved."""
    used = stack.events(run_id).usage
    return used.spent_microusd, used.reserved_microusd


def dies(stack: Stack, *, seq: str = "", before: int = -1) -> First:
    """Return an attempt that dies before it writes ``seq``, or before its request of that number."""
    process, number = stack.cloud.process(stack.environs["executor"]), count()

    def die(params: dict[str, Any], **_: Any) -> None:
        mine = next(number) == before
        if mine or (seq and params.get("Item", {}).get("seq", {}).get("S") == seq):
            raise LambdaDied

    for operation in OPERATIONS:
        process.client("dynamodb").meta.events.register(f"before-parameter-build.dynamodb.{operation}", die)
    return First(process)


def begins(stack: Stack, run_id: str, first: First, turn: int = 1) -> None:
    """Execute the call in a process that may die, and let the lease of that attempt be over."""
    with suppress(LambdaDied, EffectUnknown, RetryLater):
        stack.execute(run_id, turn, runtime=first.process)
    found = client("dynamodb").scan(TableName="idempotency")["Items"]
    first.is_on_record = any(item["status"]["S"] == "COMPLETED" for item in found)
    first.ran = stack.count("n-7")
    leases_are_over()


def retried(stack: Stack, run_id: str, first: First) -> str:
    """Let the first attempt die, and the call be tried again."""
    begins(stack, run_id, first)
    return until_it_ends(stack, run_id)


def given_up(stack: Stack, run_id: str, first: First) -> str:
    """Let the first attempt die, and the call be given up."""
    begins(stack, run_id, first)
    return until_it_ends(stack, run_id, given_up="Runtime.ExitError")


def delivered_twice(stack: Stack, run_id: str, first: First) -> str:
    """Let a second delivery read the call before the first one's intention, and go on after its death."""
    return late(stack, run_id, first)


def given_up_late(stack: Stack, run_id: str, first: First) -> str:
    """Let the call be given up by a process that read it before the first attempt's intention."""
    return late(stack, run_id, first, given_up="Runtime.ExitError")


def late(stack: Stack, run_id: str, first: First, **more: Any) -> str:
    second, left = stack.cloud.process(stack.environs["executor"]), [first]

    def meanwhile(params: dict[str, Any], **_: Any) -> None:
        if left and (params["TableName"] == "idempotency" or params["Item"]["seq"]["S"] == INTENDED):
            begins(stack, run_id, left.pop())

    second.client("dynamodb").meta.events.register("before-parameter-build.dynamodb.PutItem", meanwhile)
    try:
        return stack.execute(run_id, runtime=second, **more)
    except EffectUnknown:
        return "unknown"
    except RetryLater:
        return until_it_ends(stack, run_id, **more)


def until_it_ends(stack: Stack, run_id: str, **more: Any) -> str:
    for _ in range(3):
        leases_are_over()
        try:
            return stack.execute(run_id, runtime=stack.cold("executor"), **more)
        except EffectUnknown:
            return "unknown"
        except RetryLater:
            continue
    raise AssertionError("It does not end.")


def own_record() -> dict[str, Any]:
    """Return the executor's own record of the only call."""
    (item,) = client("dynamodb").scan(TableName="idempotency")["Items"]
    return dict(item)


def of_an_older_version() -> None:
    """Take the cost out of the executor's own record of the only call."""
    item = own_record()
    data = json.loads(item["data"]["S"])
    del data["cost_microusd"]
    client("dynamodb").put_item(TableName="idempotency", Item=item | {"data": {"S": json.dumps(data)}})


# Between the record and the log


@pytest.mark.sampled
@pytest.mark.parametrize(("arguments", "cost"), REPORTS)
@pytest.mark.parametrize("tool", WRITES)
@pytest.mark.parametrize("ends", [retried, given_up, delivered_twice, given_up_late])
def test_who_settles_a_call_from_its_record_charges_what_it_cost(
    stack: Stack, ends: Ends, tool: str, arguments: dict[str, Any], cost: int
) -> None:
    run_id = proposed(stack, tool, **arguments)

    assert ends(stack, run_id, dies(stack, seq=SETTLED)) == ("failed" if "goes" in arguments else "ok")

    assert stack.count("n-7") == 1
    assert stack.body(run_id, SETTLED)["cost_microusd"] == cost
    assert charged(stack, run_id) == (cost, 0)


@pytest.mark.parametrize(("arguments", "cost"), [({}, 0), ({"reports": [70]}, 70)])
@pytest.mark.parametrize("ends", [retried, given_up, delivered_twice, given_up_late])
def test_a_cost_that_was_not_declared_is_on_record_too(
    stack: Stack, ends: Ends, arguments: dict[str, Any], cost: int
) -> None:
    run_id = proposed(stack, "undeclared", **arguments)

    ends(stack, run_id, dies(stack, seq=SETTLED))

    assert json.loads(own_record()["data"]["S"])["cost_microusd"] == (cost or None)
    assert ("cost_microusd" in stack.body(run_id, SETTLED)) == bool(arguments)
    assert charged(stack, run_id) == (cost, 0)


def test_the_call_of_an_undo_is_charged_from_its_record(stack: Stack) -> None:
    run_id = proposed(stack, "by_key", reports=[10])
    stack.execute(run_id)
    stack.plan(run_id, 2, by="rollback")
    begins(stack, run_id, dies(stack, seq="0002.call.1.settled"), turn=2)

    assert stack.execute(run_id, 2, runtime=stack.cold("executor")) == "ok"

    assert stack.body(run_id, "0002.call.1.settled")["tool"] == "recall"
    assert charged(stack, run_id) == (20, 0)  # its arguments are those of the letter


def test_a_call_that_is_not_allowed_any_more_is_charged_what_its_record_says(stack: Stack) -> None:
    run_id = proposed(stack, "by_key", reports=[9_000])
    begins(stack, run_id, dies(stack, seq=SETTLED))
    stack.environs["executor"]["PLAYBOOK_DIR"] = str(LEDGER)  # a playbook without the tool was deployed

    with pytest.raises(EffectUnknown, match="is not allowed any more"):
        stack.execute(run_id, runtime=stack.cold("executor"))

    assert charged(stack, run_id) == (9_000, 0)


def test_a_call_that_is_not_allowed_any_more_is_charged_in_full_without_a_record(stack: Stack) -> None:
    run_id = proposed(stack, "by_key", reports=[3])
    begins(stack, run_id, once_sent(stack))
    stack.environs["executor"]["PLAYBOOK_DIR"] = str(LEDGER)

    with pytest.raises(EffectUnknown, match="is not allowed any more"):
        stack.execute(run_id, runtime=stack.cold("executor"))

    assert charged(stack, run_id) == (5_000, 0)


# Records of an older version


@pytest.mark.parametrize("ends", [retried, given_up, delivered_twice])
def test_without_a_cost_on_record_the_reservation_is_charged(
    stack: Stack, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, first = proposed(stack, "by_key", reports=[3]), dies(stack, seq=SETTLED)
    kept = CallOutcome.kept
    monkeypatch.setattr(CallOutcome, "kept", lambda outcome, tool: _without_cost(kept(outcome, tool)))

    assert ends(stack, run_id, first) == "ok"

    assert stack.count("n-7") == 1
    assert charged(stack, run_id) == (5_000, 0)


def _without_cost(kept: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kept.items() if name != "cost_microusd"}


def test_the_reservation_in_the_log_counts_and_not_what_the_tool_would_say_now(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, worst = proposed(stack, "by_key"), [1_000, 5_000]  # the second delivery asks the tool first
    kept = CallOutcome.kept
    monkeypatch.setattr(CallOutcome, "kept", lambda outcome, tool: _without_cost(kept(outcome, tool)))
    monkeypatch.setattr(Tool, "worst_cost", lambda *_: worst.pop(0))

    assert delivered_twice(stack, run_id, dies(stack, seq=SETTLED)) == "ok"

    assert (worst, charged(stack, run_id)) == ([], (5_000, 0))


def test_where_neither_the_record_nor_the_log_has_a_cost_the_declared_one_is_charged(stack: Stack) -> None:
    run_id = proposed(stack, "by_key", reports=[3])
    begins(stack, run_id, dies(stack, seq=SETTLED))
    of_an_older_version()
    client("dynamodb").delete_item(TableName="run-log", Key={"run_id": {"S": run_id}, "seq": {"S": INTENDED}})

    assert stack.execute(run_id, runtime=stack.cold("executor")) == "ok"

    assert stack.count("n-7") == 1
    assert charged(stack, run_id) == (5_000, 0)


# Without a record


def once_sent(stack: Stack) -> First:
    """Return an attempt that dies between the effect and its record."""
    process = stack.cloud.process(stack.environs["executor"])

    def die(params: dict[str, Any], **_: Any) -> None:
        if params["TableName"] == "idempotency":
            raise LambdaDied

    process.client("dynamodb").meta.events.register("before-parameter-build.dynamodb.UpdateItem", die)
    return First(process)


@pytest.mark.parametrize("ends", [retried, given_up, delivered_twice, given_up_late])
@pytest.mark.parametrize(("tool", "status"), [("verified", "ok"), ("blindly", "unknown")])
def test_what_an_earlier_attempt_may_have_spent_is_charged_as_reserved(
    stack: Stack, ends: Ends, tool: str, status: str
) -> None:
    run_id = proposed(stack, tool, reports=[3])

    assert ends(stack, run_id, once_sent(stack)) == status

    assert stack.count("n-7") == 1
    assert charged(stack, run_id) == (5_000, 0)


def test_a_read_whose_second_delivery_cannot_be_afforded_stays_charged(stack: Stack) -> None:
    run_id = proposed(stack, "look_up", ceiling=9_999)

    assert delivered_twice(stack, run_id, dies(stack, seq=SETTLED)) == "failed"

    assert stack.count("n-7") == 1
    assert "may cost $0.005" in stack.body(run_id, SETTLED)["message"]
    assert charged(stack, run_id) == (5_000, 0)


def test_a_second_attempt_at_a_read_that_was_not_begun_costs_nothing_and_the_first_stays_charged(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = proposed(stack, "look_up")
    begins(stack, run_id, dies(stack, seq=SETTLED))
    monkeypatch.setattr(effect, "run_tool", lambda *_: NothingDone("Its circuit is open.", rested=True))

    assert stack.execute(run_id, runtime=stack.cold("executor")) == "failed"

    assert charged(stack, run_id) == (0, 5_000)


# Anywhere


@pytest.mark.sampled(8)
@pytest.mark.parametrize("seed", range(RUNS))
def test_wherever_the_first_attempt_dies_the_call_is_charged_as_without_a_death(stack: Stack, seed: int) -> None:
    chance = Random(seed)
    tool, ends = chance.choice(WRITES), chance.choice([retried, given_up, delivered_twice, given_up_late])
    arguments, _ = chance.choice(REPORTS)
    undisturbed = proposed(stack, tool, **arguments)
    until_it_ends(stack, undisturbed)
    stack.cloud.tables.emptied("notes", "idempotency")
    run_id, first = proposed(stack, tool, **arguments), dies(stack, before=chance.randrange(24))

    ends(stack, run_id, first)

    known = first.is_on_record or stack.count("n-7") > first.ran
    reserved = 5_000 if INTENDED in stack.seqs(run_id) else 0
    assert charged(stack, run_id) == (charged(stack, undisturbed) if known else (reserved, 0))
