"""The rights that the API shows are the rights that it enforces: of the caller, and at each escalation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballast.errors import MayNotAnswer
from ballast.http.identity import Caller, Callers
from ballast.http.problem import Problem
from ballast.money import micro_dollars
from ballast.runtime import Runtime
from tests.functions.cloud import Cloud
from tests.functions.http import ask, event
from tests.functions.people.waiting import Waiting, create_workflow
from tests.functions.stack import Stack
from tests.functions.test_rights import (
    ACTIONS,
    ASKING,
    CLAIMS,
    MAY,
    PEOPLE,
    WAYS,
    by_token,
    guided,
    opened,
    principal,
)

MEMBERS = ["start", "read", "cancel", "reply"]
ROLES = {
    "member": ("member", "acme", MEMBERS),
    "reviewer": ("reviewer", "acme", [*MEMBERS, "decide"]),
    "operator": ("operator", None, [*MEMBERS, "decide", "operate"]),
    "foreigner": ("reviewer", "globex", [*MEMBERS, "decide"]),
}
#: By action of the matrix, the kind of escalation and the act that the API names for it.
ACTS = {
    "answer": "decide",
    "approve": "approve",
    "reply": "reply",
    "grant within bounds": "grant",
    "undo": "undo",
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
    stack.clock.advance(3_600)
    made = Waiting.begin(workflow)
    yield made
    made.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("person", ROLES)
def test_callers_are_told_who_they_are(stack: Stack, way: str, person: str) -> None:
    stack.environs["api"].update(CLAIMS)
    who = WAYS[way](person)
    role, tenant, rights = ROLES[person]

    me = ask(stack, "api", event("GET", "/me", who=who)).body

    assert me["principal"] == principal(who)
    assert (me["role"], me["tenant"], me["you_may"]) == (role, tenant, rights)


def test_nobody_acts_for_a_tenant_that_is_not_theirs(stack: Stack) -> None:
    stack.environs["api"].update(CLAIMS)
    asked = {
        (person, tenant): ask(stack, "api", event("GET", "/me", who=by_token(person), query={"tenant": tenant})).status
        for person in ("member", "operator", "foreigner")
        for tenant in ("acme", "globex")
    }

    assert [asked["member", "acme"], asked["foreigner", "globex"]] == [200, 200]
    assert [asked["member", "globex"], asked["foreigner", "acme"]] == [403, 403]
    assert [asked["operator", "acme"], asked["operator", "globex"]] == [200, 200]


def test_groups_are_named_and_nobody_is_told_nothing(stack: Stack) -> None:
    stack.environs["api"].update(CLAIMS)
    who = {"jwt": {"claims": {"sub": "fay", "tenant": "acme", "groups": "[it finance]"}, "scopes": None}}

    assert ask(stack, "api", event("GET", "/me", who=who)).body["groups"] == ["finance", "it"]
    assert ask(stack, "api", event("GET", "/me", who=None)).status == 401
    stranger = "arn:aws:iam::123456789012:user/ballast-oprator/ann"
    assert ask(stack, "api", event("GET", "/me", who=stranger)).status == 403


#: A reviewer's role that names a group, behind the tenant; and an operator's.
PATTERNS = {
    "IAM_REVIEWER_PATTERN": r":(assumed-role|user)/ballast-reviewer-(?P<tenant>[a-z0-9]+)(-(?P<group>[a-z0-9]+))?/",
    "IAM_OPERATOR_PATTERN": r":(assumed-role|user)/ballast-operator(-(?P<group>[a-z0-9]+))?/",
}


def in_group(role: str, *groups: str) -> dict[str, Any]:
    """Return the authorizers of somebody in those groups: by token, and where it is one at most, by role."""
    claims = {"sub": "gia", "tenant": "acme", "groups": f"[{' '.join(groups)}]"}
    claims |= {"reviewer": {"scope": "ballast/review"}, "operator": {"groups": f"[operators {' '.join(groups)}]"}}[role]
    made: dict[str, Any] = {"token": {"jwt": {"claims": claims, "scopes": None}}}
    if len(groups) <= 1:
        of = "-".join([{"reviewer": "ballast-reviewer-acme", "operator": "ballast-operator"}[role], *groups])
        made |= {"user": f"arn:aws:iam::123456789012:user/{of}/gia"}
        made |= {"role": f"arn:aws:sts::123456789012:assumed-role/{of}/finance"}  # a session's name is no group
    return made


@pytest.mark.sampled
@pytest.mark.parametrize("role", ["reviewer", "operator"])
@pytest.mark.parametrize(
    ("groups", "may"),
    [((), False), (("it",), False), (("finance",), True), (("financee",), False), (("it", "finance"), True)],
)
def test_only_the_group_that_the_tool_names_approves(
    stack: Stack, waiting: Waiting, role: str, groups: tuple[str, ...], may: bool
) -> None:
    for function in ("people", "api"):
        stack.environs[function].update(PATTERNS)
    for who in in_group(role, *groups).values():
        _, escalation_id = opened(stack, waiting, "approval", "mia", "pat", "stamp_for_finance")
        me = ask(stack, "api", event("GET", "/me", who=who)).body
        shown = ask(stack, "people", event("GET", f"/escalations/{escalation_id}", who=who)).body
        sent = event("POST", f"/escalations/{escalation_id}", who=who, body={"approve": True})
        reply = ask(stack, "people", sent)

        assert shown["approvers"] == "finance"
        assert ("finance" in me["groups"], "approve" in shown["you_may"], reply.status == 200) == (may, may, may)
        if not may:
            assert shown["you_may_not"] == "Only members of finance approve this call."
            assert (reply.status, "only members of finance" in reply.body["detail"]) == (403, True)


def test_who_invokes_the_answering_function_names_the_group(stack: Stack, waiting: Waiting) -> None:
    answer = {"by": "fay", "approve": True}
    _, escalation_id = opened(stack, waiting, "approval", "mia", "pat", "stamp_for_finance")
    answer |= {"escalation_id": escalation_id}

    with pytest.raises(MayNotAnswer, match="only members of finance"):
        stack.invoke("answer", answer)
    assert stack.invoke("answer", answer | {"groups": ["it", "finance"]})["still_needed"] == 0


@pytest.mark.sampled
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("action", ACTS)
def test_what_is_shown_is_what_is_taken(stack: Stack, waiting: Waiting, way: str, action: str) -> None:
    kind, function, method, path, body = ACTIONS[action]
    requester, proposer = (principal(WAYS[way](person)) for person in ("requester", "proposer"))

    for person in (one for one in PEOPLE if one not in ("nobody", "foreigner")):
        run_id, escalation_id = opened(stack, waiting, kind, requester, proposer)
        who = WAYS[way](person)
        shown = ask(stack, "people", event("GET", f"/escalations/{escalation_id}", who=who)).body
        sent = event(method, path.format(run=run_id, escalation=escalation_id), who=who, body=body)
        taken = ask(stack, function, sent).status != 403

        assert (ACTS[action] in shown["you_may"]) is taken is (person in MAY[action]), (person, shown)
        assert (shown["you_may"] == []) is (shown["you_may_not"] is not None), (person, shown)


def test_the_bound_of_a_grant_is_shown_and_shrinks(stack: Stack, waiting: Waiting) -> None:
    stack.environs["people"].update(CLAIMS)

    def shown(person: str, escalation_id: str) -> Any:
        found = ask(stack, "people", event("GET", f"/escalations/{escalation_id}", who=by_token(person))).body
        return found["you_may_grant_usd"]

    def send(person: str, escalation_id: str, micro: int) -> int:
        body = guided(add_budget_microusd=micro)
        return ask(
            stack, "people", event("POST", f"/escalations/{escalation_id}", who=by_token(person), body=body)
        ).status

    run_id, first = opened(stack, waiting, "escalation", "requester", "proposer")
    assert shown("operator", first) is None
    assert shown("requester", first) is None
    micro = micro_dollars(shown("reviewer", first), what="shown")
    assert send("reviewer", first, micro + 1) == 403
    assert send("reviewer", first, micro - 100) == 200

    task = {"run_id": run_id, "turn": 3, "kind": "escalation", "reason": "guidance", "timeout_s": 600}
    second = stack.invoke("open", task | {"task_token": waiting.token})["escalation_id"]
    assert shown("reviewer", second) == "0.0001"
    assert send("reviewer", second, 101) == 403


# The examples of docs/http.md


def documented(parameter: str) -> list[str]:
    """Return the values that the page's examples give a parameter."""
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    commands = re.findall(r"^sam deploy .*?(?:[^\\]$)", page, re.DOTALL | re.MULTILINE)
    words = [word for command in commands for word in shlex.split(command)]
    return [word.partition("=")[2] for word in words if word.startswith(f"{parameter}=")]


def called(who: Any, **environ: str) -> Caller:
    return Runtime(environ).get(Callers.of).identify(who)


def by_arn(arn: str, **environ: str) -> Caller:
    return called({"iam": {"userArn": f"arn:aws:{arn}"}}, **environ)


def test_the_documented_role_with_a_group_is_read_as_said() -> None:
    pattern, _ = documented("IamReviewerPattern")
    roles = "sts::123456789012:assumed-role/ballast-reviewer-acme"

    plain, grouped = (by_arn(f"{role}/s", IAM_REVIEWER_PATTERN=pattern) for role in (roles, f"{roles}+finance"))

    assert (plain.role, plain.tenant, plain.groups) == ("reviewer", "acme", frozenset())
    assert (grouped.role, grouped.tenant, grouped.groups) == ("reviewer", "acme", frozenset({"finance"}))
    for other in (f"{roles}+/s", "sts::123456789012:assumed-role/x/ballast-reviewer-acme+finance/"):
        with pytest.raises(Problem, match="belongs to no tenant, reviewer"):
            by_arn(other, IAM_REVIEWER_PATTERN=pattern)


def test_the_documented_permission_sets_tell_people_apart_and_other_roles_do_not() -> None:
    _, pattern = documented("IamReviewerPattern")
    environ = {"IAM_REVIEWER_PATTERN": pattern, "IAM_PERSON_PATTERN": documented("IamPersonPattern")[0]}
    role = "sts::123456789012:assumed-role/AWSReservedSSO_ballast-reviewer-acme_0123456789abcdef"

    rae, pat = (by_arn(f"{role}/{name}@example.com", **environ) for name in ("rae", "pat"))
    shop = {by_arn(f"sts::123456789012:assumed-role/ballast-tenant-acme/{name}", **environ) for name in ("a", "b")}

    assert {rae.tenant, rae.role, pat.tenant, pat.role} == {"acme", "reviewer"}
    assert rae.principal != pat.principal
    assert len(shop) == 1


def test_the_documented_claims_are_read_as_said() -> None:
    names = ("TenantClaim", "ReviewerClaim", "OperatorClaim", "GroupClaim")
    environ = {re.sub(r"(?<=.)Claim", "_CLAIM", name).upper(): documented(name)[0] for name in names}

    def token(**claims: str) -> Caller:
        claims = {"sub": "gia"} | {name.replace("_", ":"): value for name, value in claims.items()}
        return called({"jwt": {"claims": claims, "scopes": None}}, **environ)

    assert token(custom_tenant="acme") == Caller("gia", "acme")
    reviewer = token(custom_tenant="acme", cognito_groups="[reviewers finance]")
    assert (reviewer.role, reviewer.tenant, "finance" in reviewer.groups) == ("reviewer", "acme", True)
    assert token(cognito_groups="[operators]").role == "operator"
    with pytest.raises(Problem, match="does not name a tenant"):
        token(cognito_groups="[reviewers]")
