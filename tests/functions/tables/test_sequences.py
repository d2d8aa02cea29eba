"""The functions' own sequences of requests: moto and the tables in memory answer alike and hold the same."""

from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.budget_items import changed, key_of
from ballast.errors import AttemptInProgress
from ballast.money.lease import Lease, Part, settlement
from ballast.money.windows import ACCOUNT, WindowLimits, day_of, hour_of, money_claims, of_tenant, run_claim
from ballast.runtime import Runtime
from ballast.table import Query, Table, Update, at_most, equals
from functions.executor.record import Once
from functions.lifecycle.budgets_table import SHARDS, Items, iso, shard_name, shard_of
from tests.functions.cloud import NOON, Cloud, client
from tests.functions.stack import LambdaContext, LambdaDied, Stack
from tests.functions.tables.both import Both
from tests.support.sampling import examples

LIMITS = WindowLimits(hour_microusd=100, day_microusd=150, runs=3)
ITEMS = Items(30)
runs = st.sampled_from(["run-a", "run-b", "run-c"])
amounts = st.integers(0, 120)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), runs, amounts, st.integers(0, 2)),
        st.tuples(st.just("extend"), runs, amounts, st.integers(0, 2)),
        st.tuples(st.just("settle"), runs, amounts, st.integers(0, 2)),
        st.tuples(st.just("bar"), runs, amounts, st.integers(0, 2)),
        st.tuples(st.just("postpone"), runs, amounts, st.integers(0, 2)),
        st.tuples(st.just("due"), runs, amounts, st.integers(0, 2)),
    ),
    max_size=12,
)


def do(both: Any, step: tuple[str, str, int, int]) -> Any:
    """Send one request, which both answer alike, and return what came of it."""
    kind, run_id, amount, hours = step
    now = NOON + timedelta(hours=hours)
    part = Part(amount, hour_of(now), day_of(now))
    lease = Lease(run_id, "acme", "sha", {0: part})
    claims = [claim for name in (ACCOUNT, of_tenant("acme")) for claim in money_claims(name, now, amount, LIMITS)]
    places = [run_claim(name, LIMITS) for name in (ACCOUNT, of_tenant("acme"))]
    table = Table(both, "budgets", "BUDGETS_TABLE", sleep=lambda _: None, random=lambda: 0.0)
    if kind == "lease":
        return table.transact([ITEMS.put_lease(lease, now, now), *map(ITEMS.claimed, [*claims, *places])])
    if kind == "extend":
        return table.transact([ITEMS.add_part(run_id, hours + 1, part), *map(ITEMS.claimed, claims)])
    if kind == "settle":
        changes = [changed(change) for change in settlement(lease, amount // 2)]
        return table.transact_with(ITEMS.settled(lease, amount // 2, now), changes)
    if kind == "bar":
        return table.write(ITEMS.forbid_lease(lease, now))
    if kind == "postpone":
        held = equals("held", shard_of(run_id))
        return table.write(Update(key_of("lease", run_id), set={"look_at": iso(now)}, only_if=held))
    return [
        [(item["window"], item["look_at"]) for item in table.page(Query(due, index="by_look", limit=2)).items]
        for shard in range(SHARDS)
        if shard_name(shard) == shard_of(run_id)
        for due in [equals("held", shard_name(shard)) & at_most("look_at", iso(now))]
    ]


@pytest.fixture(scope="module")
def both_of_file(cloud: Cloud) -> Both:
    # Within the cloud's moto, whose other services an escalation needs.
    return Both()


@given(steps)
@settings(max_examples=examples(6, 12))
def test_leases_and_windows_of_the_budgets(both_of_file: Both, made: list[tuple[str, str, int, int]]) -> None:
    both_of_file.empty()

    for step in made:
        do(both_of_file, step)

    both_of_file.items()


@pytest.fixture
def once(both: Both) -> Once:
    client: Any = both
    return Once(lambda: DynamoDBPersistenceLayer(table_name="idempotency", boto3_client=client), "idempotency")


def raising(problem: BaseException) -> Any:
    def effect() -> dict[str, Any]:
        raise problem

    return effect


def test_an_attempt_its_record_and_the_next_one(once: Once, both: Both) -> None:
    def nested() -> dict[str, Any]:
        with pytest.raises(AttemptInProgress):
            once.run("key-1", lambda: {"n": 2}, LambdaContext())
        return {"n": 1}

    assert once.run("key-1", nested, LambdaContext()) == {"n": 1}
    assert once.run("key-1", lambda: {"n": 3}, LambdaContext()) == {"n": 1}

    assert len(both.items()["idempotency"]) == 1
    assert {"put_item", "update_item"} <= set(both.asked)


def test_an_attempt_that_failed_and_one_that_died(once: Once, both: Both) -> None:
    with pytest.raises(ValueError, match="no"):
        once.run("key-1", raising(ValueError("no")), LambdaContext())
    assert both.items()["idempotency"] == []
    assert "delete_item" in both.asked

    with pytest.raises(LambdaDied):
        once.run("key-1", raising(LambdaDied()), LambdaContext(remaining_ms=60_000))
    with pytest.raises(AttemptInProgress):
        once.run("key-1", lambda: {"n": 1}, LambdaContext())
    with pytest.raises(LambdaDied):
        once.run("key-2", raising(LambdaDied()), LambdaContext(remaining_ms=-1))  # its lease is over
    assert once.run("key-2", lambda: {"n": 1}, LambdaContext()) == {"n": 1}

    assert len(both.items()["idempotency"]) == 2


def test_an_escalation_that_is_opened_twice(both: Both, stack: Stack) -> None:
    class Session:
        def client(self, service: str, **_: Any) -> Any:
            return both if service == "dynamodb" else client(service)

    run_id = stack.open()
    for event in client("dynamodb").scan(TableName="run-log")["Items"]:
        both.put_item(TableName="run-log", Item=event)
    runtime = Runtime(stack.environs["open"], session=Session(), clock=stack.clock, stdout=stack.stdout)  # type: ignore[arg-type]
    task = {"run_id": run_id, "turn": 2, "kind": "escalation", "reason": "effect_unknown", "timeout_s": 60}

    for token in ("token-1", "token-2"):
        stack.invoke("open", task | {"task_token": token}, runtime=runtime)
        stack.clock.advance(5)

    (item,) = both.items()["escalations"]
    assert item["task_token"] == {"S": "token-2"}
    assert item["opened_at"] != item["answer_by"]
