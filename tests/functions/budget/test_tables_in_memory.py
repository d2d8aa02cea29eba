"""The tables in memory do with the books' requests what moto does, whichever come in whatever order."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.money.lease import Lease, Part, settlement
from ballast.money.windows import ACCOUNT, WindowLimits, day_of, hour_of, money_claims, of_tenant, run_claim
from functions.budget.items import SHARDS, Items, iso, key_of, shard_name, shard_of
from tests.functions.cloud import NOON, Cloud, client, create_table
from tests.support.tables_in_memory import Tables

LIMITS = WindowLimits(hour_microusd=100, day_microusd=150, runs=3)
ITEMS = Items("budgets", 30)
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


def do(tables: Any, step: tuple[str, str, int, int]) -> Any:
    """Send one request and return what came of it."""
    kind, run_id, amount, hours = step
    now = NOON + timedelta(hours=hours)
    part = Part(amount, hour_of(now), day_of(now))
    lease = Lease(run_id, "acme", "sha", {0: part})
    claims = [claim for name in (ACCOUNT, of_tenant("acme")) for claim in money_claims(name, now, amount, LIMITS)]
    places = [run_claim(name, LIMITS) for name in (ACCOUNT, of_tenant("acme"))]
    if kind == "lease":
        items = [ITEMS.put_lease(lease, now, now), *map(ITEMS.claimed, [*claims, *places])]
        return outcome(lambda: tables.transact_write_items(TransactItems=items))
    if kind == "extend":
        items = [ITEMS.add_part(run_id, hours + 1, part), *map(ITEMS.claimed, claims)]
        return outcome(lambda: tables.transact_write_items(TransactItems=items))
    if kind == "settle":
        items = [ITEMS.settled(lease, amount // 2, now), *map(ITEMS.changed, settlement(lease, amount // 2))]
        return outcome(lambda: tables.transact_write_items(TransactItems=items))
    if kind == "bar":
        put = {"Item": ITEMS.bar(lease, now), "ConditionExpression": "attribute_not_exists(account)"}
        return outcome(lambda: tables.put_item(TableName="budgets", **put))
    if kind == "postpone":
        values = {":shard": {"S": shard_of(run_id)}, ":until": {"S": iso(now)}}
        return outcome(
            lambda: tables.update_item(
                TableName="budgets",
                Key=key_of("lease", run_id),
                UpdateExpression="SET look_at = :until",
                ConditionExpression="held = :shard",
                ExpressionAttributeValues=values,
            )
        )
    return [
        [
            (item["window"]["S"], item["look_at"]["S"])
            for item in tables.query(
                TableName="budgets",
                IndexName="by_look",
                KeyConditionExpression="held = :shard AND look_at <= :until",
                ExpressionAttributeValues={":shard": {"S": shard_name(shard)}, ":until": {"S": iso(now)}},
                Limit=2,
            )["Items"]
        ]
        for shard in range(SHARDS)
        if shard_name(shard) == shard_of(run_id)
    ]


def outcome(request: Callable[[], Any]) -> Any:
    try:
        request()
    except ClientError as problem:
        reasons = problem.response.get("CancellationReasons", [])
        return problem.response["Error"]["Code"], [reason["Code"] for reason in reasons]
    return "done"


def everything(items: list[dict[str, Any]]) -> list[str]:
    return sorted(str(sorted((name, str(value)) for name, value in item.items())) for item in items)


@given(steps)
@settings(max_examples=10)
def test_they_answer_and_hold_what_moto_does(cloud: Cloud, made: list[tuple[str, str, int, int]]) -> None:
    dynamodb, tables = client("dynamodb"), Tables()
    dynamodb.delete_table(TableName="budgets")
    create_table("budgets")

    for step in made:
        assert do(tables, step) == do(dynamodb, step), step

    assert everything(tables.scan("budgets")) == everything(dynamodb.scan(TableName="budgets")["Items"])
