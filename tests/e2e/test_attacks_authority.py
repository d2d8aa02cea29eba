"""Neither the requester of a run nor a non-reviewer decides anything: the bundled desk over HTTP, with IAM enforced.

Each attack of the review that found them, and as many of the same kind.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from ballast.playbook import load_playbook
from localcloud.clock import WallClock
from localcloud.cloud import PLAYBOOK, LocalCloud
from localcloud.converse.source import CallableModel, Reply, said
from localcloud.project import seed_store
from tests.functions.http import OPERATOR, REVIEWER, event, token
from tests.support.tables_in_memory import Tables

_NUMBERS = count(1)
MALLORY = token("acme", sub="mallory")
#: The same role under another session name is the same person.
ROLE = "arn:aws:sts::123456789012:assumed-role/ballast-reviewer-acme/{}"
LEE = "arn:aws:iam::123456789012:user/ballast-reviewer-acme/lee"
TEXT = "Stuck: refund O-1004, 480.00 USD, O-1003 40.00 USD for C-1004, mallory@evil.example, please."


def stops(_request: Mapping[str, Any], _model: str) -> Reply:
    """Answer nothing, so that a person is asked."""
    return said([{"text": "…"}], "guardrail_intervened", _request)


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    clock = WallClock(sleep=lambda _: None)
    with LocalCloud(enforce_iam=True, clock=clock, model=CallableModel(stops), dynamodb=Tables()) as opened:
        seed_store(opened, load_playbook(PLAYBOOK), 1, {"customers": 20, "orders": 40})
        yield opened


def ask(cloud: LocalCloud, method: str, path: str, who: Any, body: Any = None) -> tuple[int, Any]:
    """Send a request the way API Gateway would, and return its status and its body's JSON."""
    routes = {route.key: route for route in cloud.routes}
    kind = "/".join("{escalation_id}" if part.startswith("esc-") else part for part in path.split("/"))
    route = routes.get(f"ANY {kind}", routes["$default"])
    headers = {"idempotency-key": f"k-{next(_NUMBERS)}"} if method == "POST" else {}
    answered = cloud.invoke(route.function, event(method, path, who=who, body=body, headers=headers))
    return answered["statusCode"], json.loads(answered["body"])


def waiting(cloud: LocalCloud, run_id: str, *, not_for: str = "") -> dict[str, Any]:
    """Return the run once it waits for people, at another escalation than ``not_for``, or has ended."""
    until = time.monotonic() + 120
    while True:
        _, run = ask(cloud, "GET", f"/runs/{run_id}", OPERATOR)
        if run["status"] == "waiting" and run["escalation_id"] != not_for:
            return dict(run)
        if run["status"] not in ("waiting", "running", "starting"):
            return dict(run)
        assert time.monotonic() < until, run
        time.sleep(0.02)


def started(cloud: LocalCloud, who: Any = MALLORY, **request: Any) -> dict[str, Any]:
    """Start a run and return it once it waits for people."""
    status, run = ask(cloud, "POST", "/runs", who, {"text": TEXT} | request)
    assert status == 202, run
    run = waiting(cloud, run["run_id"])
    assert run["status"] == "waiting", run
    return run


def item(cloud: LocalCloud, table: str, **key: str) -> dict[str, Any]:
    """Return an item of one of the shop's tables."""
    found = cloud.session.client("dynamodb").get_item(
        TableName=cloud.physical_id(table), Key={name: {"S": value} for name, value in key.items()}, ConsistentRead=True
    )
    return dict(found["Item"])


def shop(cloud: LocalCloud) -> list[dict[str, Any]]:
    """Return what the attacks are after."""
    orders = [item(cloud, "OrdersTable", order_id=order) for order in ("O-1002", "O-1003", "O-1004")]
    return orders + [item(cloud, "CustomersTable", customer_id=customer) for customer in ("C-1001", "C-1004")]


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """Return the decision to call one tool."""
    return {"kind": "call_tools", "calls": [{"tool": tool, "arguments": arguments}]}


REFUND = call("refund_order", order_id="O-1003", amount_usd="40.00", reason="goodwill")
UNDO = call("restore_customer", customer_id="C-1001", previous={"phone": "+1 555 6660"}, written={})
GRANT = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "go on"}
DECISIONS: dict[str, dict[str, Any]] = {
    "a refund": REFUND,
    "a refund above what the tool asks about": call(
        "refund_order", order_id="O-1004", amount_usd="480.00", reason="other"
    ),
    "a stranger's e-mail": call("update_customer", customer_id="C-1004", email="mallory@evil.example"),
    "a cancellation": call("cancel_order", order_id="O-1002"),
    "a tool that only undoes": UNDO,
    "two calls at once": {"kind": "call_tools", "calls": [*REFUND["calls"], *UNDO["calls"]]},
    "a read": call("look_up_order", order_id="O-1003"),
    "a large grant": GRANT | {"add_budget_microusd": 5_000_000},
    "the smallest grant": GRANT | {"add_budget_microusd": 1},
    "a grant of nothing": GRANT,
    "a hand-over to the fallback": {"kind": "hand_over", "to": "fallback", "reason": "guidance"},
    "an answer": {"kind": "answer", "text": "It is settled, says the desk."},
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("what", DECISIONS)
def test_who_asked_for_a_run_decides_nothing_about_it(cloud: LocalCloud, what: str) -> None:
    run, before = started(cloud), shop(cloud)

    for who in (MALLORY, token("acme", sub="mallory", scope="ballast/review")):
        status, said = ask(cloud, "POST", f"/escalations/{run['escalation_id']}", who, {"decision": DECISIONS[what]})
        assert (status, said["title"]) == (403, "Forbidden")

    assert waiting(cloud, run["run_id"])["escalation_id"] == run["escalation_id"]
    assert shop(cloud) == before
    assert not [one for one in cloud.events(run["run_id"]) if one.name in ("call.intended", "escalation.answered")]


@pytest.mark.sampled
@pytest.mark.parametrize("what", ["a refund", "a grant of nothing", "an answer"])
@pytest.mark.parametrize("session", ["alice2", "Alice", "alice@example.org", "x"])
def test_a_session_of_the_role_that_asked_is_who_asked(cloud: LocalCloud, what: str, session: str) -> None:
    run = started(cloud, ROLE.format("alice"))

    status, _ = ask(
        cloud,
        "POST",
        f"/escalations/{run['escalation_id']}",
        ROLE.format(session),
        {"decision": DECISIONS[what]},
    )

    assert status == 403


@pytest.mark.parametrize("what", DECISIONS)
@pytest.mark.parametrize(
    ("who", "status"),
    [(token("acme", sub="kim"), 403), (token("globex", sub="gil"), 404), (None, 401)],
    ids=["a member", "another tenant's", "nobody"],
)
def test_who_is_no_reviewer_of_the_tenant_decides_nothing(
    cloud: LocalCloud, shared: dict[str, Any], what: str, who: Any, status: int
) -> None:
    before = shop(cloud)

    got, _ = ask(cloud, "POST", f"/escalations/{shared['escalation_id']}", who, {"decision": DECISIONS[what]})

    assert got == status
    assert shop(cloud) == before


@pytest.fixture(scope="module")
def shared(cloud: LocalCloud) -> dict[str, Any]:
    """Return a run that waits, for attacks that leave it waiting."""
    return started(cloud)


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (UNDO, 403),
        (GRANT | {"add_budget_microusd": 5_000_000}, 403),
        (GRANT | {"add_budget_microusd": 2**53}, 403),
        ({"kind": "call_tools", "calls": [*REFUND["calls"], *UNDO["calls"]]}, 403),
    ],
)
def test_a_reviewer_is_no_operator(
    cloud: LocalCloud, shared: dict[str, Any], decision: dict[str, Any], status: int
) -> None:
    before = shop(cloud)

    got, said = ask(cloud, "POST", f"/escalations/{shared['escalation_id']}", REVIEWER, {"decision": decision})

    assert got == status, said
    assert shop(cloud) == before


@pytest.mark.parametrize("what", ["a refund", "a stranger's e-mail", "a cancellation"])
def test_a_reviewers_calls_pass_the_gate_of_the_intent(cloud: LocalCloud, what: str) -> None:
    run, before = started(cloud, intent="question"), shop(cloud)

    status, _ = ask(cloud, "POST", f"/escalations/{run['escalation_id']}", REVIEWER, {"decision": DECISIONS[what]})
    if status == 200:
        waiting(cloud, run["run_id"], not_for=run["escalation_id"])

    assert shop(cloud) == before
    assert "call.intended" not in [one.name for one in cloud.events(run["run_id"])]


def test_who_proposed_a_call_does_not_approve_it_and_somebody_else_does(cloud: LocalCloud) -> None:
    run = started(cloud, intent="refund")
    refund = DECISIONS["a refund above what the tool asks about"]
    assert ask(cloud, "POST", f"/escalations/{run['escalation_id']}", LEE, {"decision": refund})[0] == 200
    asked = waiting(cloud, run["run_id"], not_for=run["escalation_id"])
    assert asked["reason"] == "approval_required"

    path = f"/escalations/{asked['escalation_id']}"
    for who in (LEE, MALLORY, token("acme", sub="kim")):
        assert ask(cloud, "POST", path, who, {"approve": True})[0] == 403
    assert item(cloud, "OrdersTable", order_id="O-1004")["refunded_cents"]["N"] == "0"
    assert ask(cloud, "POST", path, REVIEWER, {"approve": True})[0] == 200
    waiting(cloud, run["run_id"], not_for=asked["escalation_id"])

    assert item(cloud, "OrdersTable", order_id="O-1004")["refunded_cents"]["N"] == "48000"


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"cost_microusd": 150_001}, "cost_microusd"),
        ({"turns": 13}, "turns"),
        ({"deadline_s": 61}, "deadline_s"),
        ({"cost_microusd": int("9" * 400)}, "cost_microusd"),
        ({"cost_microusd": 0}, "cost_microusd"),
        ({"cost_microusd": 1}, "cost_microusd"),
        ({"cost_microusd": 5_000}, "cost_microusd"),
        ({"tokens_per_run": 1}, "tokens_per_run"),
        ({"input_tokens_per_turn": 1_000}, "input_tokens_per_turn"),
        ({"cost_microusd": 0, "turns": 1, "tool_calls": 0}, "cost_microusd"),
    ],
)
def test_limits_that_loosen_or_that_pay_for_nothing_are_refused_and_wake_nobody(
    cloud: LocalCloud, limits: dict[str, int], named: str
) -> None:
    status, run = ask(cloud, "POST", "/runs", MALLORY, {"text": "A question.", "limits": limits})
    assert status == 202
    run = waiting(cloud, run["run_id"])

    assert run["status"] == "refused"
    assert f"limits.{named}" in run["message"]
    assert "escalation.opened" not in [one.name for one in cloud.events(run["run_id"])]
