"""The breaker over HTTP: a tenant sees its own mode and nothing else, and only operators set it."""

from typing import Any

import pytest

from ballast.money.breaker import Mode
from tests.functions.breakers import by_hand, held, trip
from tests.functions.http import ACME, GLOBEX, OPERATOR, Reply, ask, event, token
from tests.functions.stack import Stack, client_error, once

NOBODY = {"since": None, "by": None, "reason": None, "until": None}


def get(stack: Stack, who: Any = OPERATOR, **query: str) -> Reply:
    return ask(stack, "budget-api", event("GET", "/breaker", who=who, query=query))


def post(stack: Stack, body: Any, who: Any = OPERATOR) -> Reply:
    return ask(stack, "budget-api", event("POST", "/breaker", who=who, body=body))


def test_a_closed_breaker(stack: Stack) -> None:
    reply = get(stack)

    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    assert reply.body == {"mode": "normal", "state": "closed", "tenant": None, "tenants": []} | NOBODY


def test_an_operator_sees_who_and_why_and_tenants_with_a_mode_of_their_own(stack: Stack) -> None:
    trip(stack, Mode.FALLBACK_ONLY, "hourly-cost")
    by_hand(stack, Mode.STOPPED, tenant="acme")

    shown, of_acme = get(stack).body, get(stack, tenant="acme").body

    assert (shown["mode"], shown["by"], shown["reason"]) == ("fallback_only", "hourly-cost", "a test")
    assert (shown["since"], shown["until"]) == ("2026-03-01T12:00:00+00:00", "2026-03-01T12:10:00+00:00")
    assert [(one["tenant"], one["mode"], one["by"]) for one in shown["tenants"]] == [("acme", "stopped", "ann")]
    assert (of_acme["mode"], of_acme["tenant"]) == ("stopped", "acme")


@pytest.mark.parametrize("who", [ACME, token("acme")])
def test_a_tenant_sees_the_mode_that_holds_for_it_and_nothing_of_others(stack: Stack, who: Any) -> None:
    by_hand(stack, Mode.CHEAPER)
    by_hand(stack, Mode.STOPPED, tenant="globex")

    reply = get(stack, who)

    assert (reply.body["mode"], reply.body["state"]) == ("cheaper", "open")
    assert (reply.body["by"], reply.body["reason"], reply.body["tenants"]) == (None, None, [])
    assert "ann" not in reply.text
    assert "globex" not in reply.text
    assert get(stack, GLOBEX).body["mode"] == "stopped"


def test_a_tenant_asks_for_itself_only(stack: Stack) -> None:
    assert get(stack, ACME, tenant="acme").status == 200
    assert get(stack, ACME, tenant="globex").status == 403


@pytest.mark.parametrize("tenant", [None, "acme"])
def test_an_operator_sets_it_in_its_own_name(stack: Stack, tenant: str | None) -> None:
    reply = post(stack, {"mode": "stopped", "tenant": tenant, "for_minutes": 30, "reason": "a loop"})

    assert reply.status == 200
    assert (reply.body["mode"], reply.body["tenant"]) == ("stopped", tenant)
    hand = held(tenant).hand
    assert hand is not None
    assert (hand.by, hand.reason) == ("123456789012:user/ballast-operator/ann", "a loop")


def test_setting_everyones_reports_the_mode(stack: Stack) -> None:
    post(stack, {"mode": "stopped"})

    assert stack.lines()[-1]["BreakerMode"] in (3, [3.0])


@pytest.mark.parametrize("who", [ACME, token("acme")])
@pytest.mark.parametrize("body", [{"mode": "stopped"}, {"mode": "normal", "tenant": "acme"}])
def test_a_tenant_sets_nothing(stack: Stack, who: Any, body: Any) -> None:
    assert post(stack, body, who).status == 403
    assert (held().version, held("acme").version) == (0, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "mode"),
        ({"mode": "off"}, "mode"),
        ({"mode": None}, "mode"),
        ({"mode": "stopped", "for_minutes": 0}, "for_minutes"),
        ({"mode": "stopped", "for_minutes": 43_201}, "for_minutes"),
        ({"mode": "stopped", "for_minutes": "30"}, "for_minutes"),
        ({"mode": "stopped", "tenant": "a b"}, "tenant"),
        ({"mode": "stopped", "reason": "x" * 501}, "reason"),
        ({"mode": "stopped", "by": "somebody else"}, "by"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(stack: Stack, body: Any, field: str) -> None:
    reply = post(stack, body)

    assert (reply.status, reply.wrong) == (422, {field})
    assert held().version == 0


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/breaker", 405), ("GET", "/breakers", 404)])
def test_what_does_not_exist_is_a_problem_too(stack: Stack, method: str, path: str, status: int) -> None:
    assert ask(stack, "budget-api", event(method, path)).status == status


def test_without_an_identity_nothing_is_shown(stack: Stack) -> None:
    assert get(stack, None).status == 401


def test_a_throttled_table_means_try_again(stack: Stack) -> None:
    stack.on("budget-api", "dynamodb", "GetItem", once(client_error("ThrottlingException")))

    assert post(stack, {"mode": "stopped"}).status == 503
