"""Rights over HTTP: every caller at every action, with tokens and with roles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ballast.log.events import EscalationAnswered, PlanDecided
from tests.functions.approvals import asks
from tests.functions.cloud import Cloud
from tests.functions.http import ask, event
from tests.functions.people.waiting import Waiting, create_workflow
from tests.functions.stack import Stack, client_error

ASKING = Path(__file__).parent / "playbooks" / "asking"
PEOPLE = ("nobody", "member", "requester", "reviewer", "proposer", "operator", "foreigner")
#: The claims that this stack's parameters name.
CLAIMS = {"REVIEWER_CLAIM": "scope=ballast/review", "OPERATOR_CLAIM": "groups=operators", "GROUP_CLAIM": "groups"}
_IAM = "arn:aws:iam::123456789012:user"
_SECONDS = count(1)


def by_token(person: str) -> Any:
    claims: dict[str, Any] = {"sub": person, "tenant": "globex" if person == "foreigner" else "acme"}
    if person in ("reviewer", "proposer", "foreigner"):
        claims["scope"] = "openid ballast/review"
    if person == "operator":
        claims |= {"groups": "[staff operators]"}
    return None if person == "nobody" else {"jwt": {"claims": claims, "scopes": None}}


def by_role(person: str) -> Any:
    tenants = "arn:aws:sts::123456789012:assumed-role/ballast-tenant"
    arns = {
        "member": f"{tenants}-acme/s",
        "requester": "arn:aws:sts::123456789012:assumed-role/ballast-reviewer-acme/anything",
        "reviewer": f"{_IAM}/ballast-reviewer-acme/rae",
        "proposer": f"{_IAM}/ballast-reviewer-acme/pat",
        "operator": f"{_IAM}/ballast-operator/ann",
        "foreigner": f"{_IAM}/ballast-reviewer-globex/gil",
    }
    return arns.get(person)


def principal(who: Any) -> str:
    """Return how the log names a caller."""
    if isinstance(who, dict):
        return str(who["jwt"]["claims"]["sub"])
    name = who.split(":", 4)[-1]
    return name.rpartition("/")[0] if ":assumed-role/" in name else name


WAYS = {"token": by_token, "role": by_role}

#: By action, the people who may, and what everybody else is told. Whoever sees nothing of a tenant is told 404.
MAY: dict[str, set[str]] = {
    "start": {"member", "requester", "reviewer", "proposer", "operator", "foreigner"},  # each for their own tenant
    "read": {"member", "requester", "reviewer", "proposer", "operator"},
    "answer": {"reviewer", "proposer", "operator"},
    "approve": {"reviewer", "operator"},
    "reply": {"requester", "reviewer", "proposer", "operator"},
    "grant within bounds": {"reviewer", "proposer", "operator"},
    "grant beyond bounds": {"operator"},
    "undo": {"operator"},
    "breaker": {"operator"},
    "see the breaker": {"member", "requester", "reviewer", "proposer", "operator", "foreigner"},  # what holds for them
    "see the budget": {"member", "requester", "reviewer", "proposer", "operator", "foreigner"},  # their own
    "count the day's runs": {"member", "requester", "reviewer", "proposer", "operator", "foreigner"},  # their own
    "cancel": {"member", "requester", "reviewer", "proposer", "operator"},
}


@pytest.fixture(scope="module")
def workflow(cloud: Cloud) -> str:
    return create_workflow()


@pytest.fixture
def waiting(stack: Stack, workflow: str) -> Iterator[Waiting]:
    for function in ("people", "api", "budget-api"):
        stack.environs[function].update(CLAIMS)
    for function in ("admit", "executor", "answer", "people", "open"):
        if "PLAYBOOK_DIR" in stack.environs[function]:
            stack.environs[function]["PLAYBOOK_DIR"] = str(ASKING)
    stack.clock.advance(next(_SECONDS))
    made = Waiting.begin(workflow)
    yield made
    made.stop()


def opened(
    stack: Stack, waiting: Waiting, kind: str, requester: str, proposer: str, tool: str = "stamp"
) -> tuple[str, str]:
    """Open a run of acme's that waits for people, and return its id and the escalation's.

    An approval is about a call of ``tool`` that ``proposer`` has proposed as a person.
    """
    request = {"request_id": f"rights-{next(_SECONDS)}", "agent": "tester", "text": "Stamp n-1.", "tenant": "acme"}
    run_id = stack.invoke("admit", {"request": request, "requested_by": requester})["run_id"]
    task: dict[str, Any] = {"run_id": run_id, "turn": 1, "kind": kind, "reason": "guidance"}
    if kind == "approval":
        decision = {"kind": "call_tools", "calls": [{"tool": tool, "arguments": {"note_id": "n-1", "times": 3}}]}
        body = {
            "escalation_id": "esc-x",
            "kind": "escalation",
            "by": proposer,
            "role": "reviewer",
            "decision": decision,
        }
        stack.log.write(run_id, EscalationAnswered.key(1), body)
        asks(stack, run_id)
        task |= {"index": 1, "reason": "approval_required"}
    if kind == "question":
        decision = {"kind": "hand_over", "to": "requester", "reason": "question", "guidance": "Which note?"}
        stack.log.write(run_id, PlanDecided.key(1), {"planner": "agent", "decision": decision})
        task |= {"turn": 2, "reason": "question"}
    made = stack.invoke("open", task | {"timeout_s": 600, "task_token": waiting.token})
    return run_id, made["escalation_id"]


def guided(**more: Any) -> dict[str, Any]:
    return {"decision": {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "Go on.", **more}}


#: By action: the kind of escalation that the run waits with, the function, the method, the path and the body.
ACTIONS: dict[str, tuple[str, str, str, str, Any]] = {
    "start": ("escalation", "api", "POST", "/runs", {"text": "Hello."}),
    "read": ("escalation", "people", "GET", "/escalations/{escalation}", None),
    "answer": ("escalation", "people", "POST", "/escalations/{escalation}", guided()),
    "approve": ("approval", "people", "POST", "/escalations/{escalation}", {"approve": True}),
    "reply": ("question", "people", "POST", "/runs/{run}/messages", {"text": "n-1."}),
    "grant within bounds": (
        "escalation",
        "people",
        "POST",
        "/escalations/{escalation}",
        guided(add_budget_microusd=1_000),
    ),
    "grant beyond bounds": (
        "escalation",
        "people",
        "POST",
        "/escalations/{escalation}",
        guided(add_budget_microusd=10**9),
    ),
    "undo": (
        "escalation",
        "people",
        "POST",
        "/escalations/{escalation}",
        {"decision": {"kind": "call_tools", "calls": [{"tool": "unstamp", "arguments": {"note_id": "n-1"}}]}},
    ),
    "breaker": ("escalation", "budget-api", "POST", "/breaker", {"mode": "normal"}),
    "see the breaker": ("escalation", "budget-api", "GET", "/breaker", None),
    "see the budget": ("escalation", "budget-api", "GET", "/budget", None),
    "count the day's runs": ("escalation", "api", "GET", "/activity", None),
    "cancel": ("escalation", "api", "POST", "/runs/{run}/cancel", None),
}


def _stopped(params: dict[str, Any]) -> None:
    raise client_error("ThrottlingException")


@pytest.mark.sampled
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_caller_at_every_action(stack: Stack, waiting: Waiting, way: str, action: str) -> None:
    kind, function, method, path, body = ACTIONS[action]
    requester, proposer = (principal(WAYS[way](person)) for person in ("requester", "proposer"))
    stack.on("api", "stepfunctions", "StopExecution", _stopped)

    seen = {}
    for person in PEOPLE:
        run_id, escalation_id = opened(stack, waiting, kind, requester, proposer)
        filled = path.format(run=run_id, escalation=escalation_id)
        seen[person] = ask(stack, function, event(method, filled, who=WAYS[way](person), body=body)).status

    wanted = {person: "may" if person in MAY[action] else 403 for person in PEOPLE} | {"nobody": 401}
    if action not in ("start", "breaker", "see the breaker", "see the budget", "count the day's runs"):
        wanted["foreigner"] = 404
    got = {person: "may" if status not in (401, 403, 404) else status for person, status in seen.items()}
    assert got == wanted, seen
