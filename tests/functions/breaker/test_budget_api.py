"""GET /budget: a tenant sees its own windows, hour by hour, and the limits that hold."""

from datetime import timedelta
from typing import Any

import pytest

from ballast.budget_items import key_of
from ballast.money.windows import ACCOUNT, LIMITS, day_of, hour_of, of_tenant
from ballast.table import wire
from tests.functions.cloud import client
from tests.functions.http import ACME, GLOBEX, OPERATOR, Reply, ask, event, token
from tests.functions.stack import Stack


def get(stack: Stack, who: Any = OPERATOR, **query: str) -> Reply:
    return ask(stack, "budget-api", event("GET", "/budget", who=who, query=query))


def put(account: str, window: str, **numbers: int) -> None:
    client("dynamodb").put_item(TableName="budgets", Item=wire(key_of(account, window) | numbers))


@pytest.fixture
def spent(stack: Stack) -> Stack:
    """A day of acme's, in a day of all tenants'."""
    now = stack.clock()
    for account, times in ((of_tenant("acme"), 1), (ACCOUNT, 10)):
        put(account, hour_of(now), taken_microusd=1_500_000 * times, settled_microusd=250_000 * times)
        put(account, hour_of(now - timedelta(hours=23)), taken_microusd=40_000 * times, settled_microusd=40_000 * times)
        put(account, hour_of(now - timedelta(hours=24)), taken_microusd=9, settled_microusd=9)
        put(account, day_of(now), taken_microusd=3_000_000 * times, settled_microusd=2_000_000 * times)
    return stack


@pytest.mark.parametrize("who", [ACME, token("acme")])
def test_a_tenant_sees_its_own_windows_of_the_last_24_hours(spent: Stack, who: Any) -> None:
    reply = get(spent, who)

    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    body = reply.body
    assert (body["tenant"], body["hour_limit_usd"], body["day_limit_usd"]) == ("acme", "20.00", "100.00")
    assert body["day"] == {"since": "2026-03-01T00:00:00+00:00", "taken_usd": "3.00", "spent_usd": "2.00"}
    assert len(body["hours"]) == 24
    assert body["hours"][0] == {"since": "2026-02-28T13:00:00+00:00", "taken_usd": "0.04", "spent_usd": "0.04"}
    assert body["hours"][-1] == {"since": "2026-03-01T12:00:00+00:00", "taken_usd": "1.50", "spent_usd": "0.25"}
    assert {hour["taken_usd"] for hour in body["hours"][1:-1]} == {"0.00"}


def test_an_operator_sees_all_tenants_together_or_one(spent: Stack) -> None:
    together, one = get(spent).body, get(spent, tenant="acme").body

    assert (together["tenant"], together["hour_limit_usd"], together["day_limit_usd"]) == (None, "50.00", "250.00")
    assert together["hours"][-1]["taken_usd"] == "15.00"
    assert (one["tenant"], one["hours"][-1]["taken_usd"]) == ("acme", "1.50")


def test_a_tenant_asks_for_itself_only(spent: Stack) -> None:
    assert get(spent, ACME, tenant="acme").status == 200
    assert get(spent, ACME, tenant="globex").status == 403
    assert get(spent, GLOBEX).body["hours"][-1]["taken_usd"] == "0.00"


def test_limits_of_their_own_are_those_that_are_shown(spent: Stack) -> None:
    put(of_tenant("acme"), LIMITS, hour_microusd=7_000_000)

    body = get(spent, ACME).body

    assert (body["hour_limit_usd"], body["day_limit_usd"]) == ("7.00", "100.00")
