"""Every caller against every resource: another tenant's resource is answered as one that does not exist."""

from itertools import count
from typing import Any

import pytest

from tests.functions.cloud import Cloud
from tests.functions.http import ACME, GLOBEX, OPERATOR, REVIEWER, ask, event, token
from tests.functions.people.waiting import Waiting, create_workflow
from tests.functions.stack import Stack, client_error

CALLERS: dict[str, Any] = {
    "operator": OPERATOR,
    "acme by role": ACME,
    "acme by token": token("acme"),
    "globex by role": GLOBEX,
    "globex by token": token("globex"),
}
#: (function, method, path, body): each is about a run or an escalation of the tenant acme.
RESOURCES = [
    ("api", "GET", "/runs/{run}", None),
    ("api", "GET", "/runs/{run}/events", None),
    ("api", "GET", "/runs/{run}/timeline", None),
    ("api", "GET", "/runs/{run}/why", None),
    ("api", "POST", "/runs/{run}/cancel", None),
    ("people", "GET", "/escalations/{escalation}", None),
    ("people", "POST", "/runs/{run}/messages", {"text": "Nobody asked."}),
    ("people", "POST", "/escalations/{escalation}", {"decision": {"kind": "answer", "text": "Done."}}),
]


_SECONDS = count(1)


@pytest.fixture(scope="module")
def workflow(cloud: Cloud) -> str:
    return create_workflow()


@pytest.fixture
def about_acme(stack: Stack, workflow: str) -> Any:
    """A run of acme's that waits for people."""
    waiting = Waiting.begin(workflow)
    stack.clock.advance(next(_SECONDS))  # newer than those of the tests before
    run_id = stack.open(tenant="acme")
    task = {"run_id": run_id, "turn": 1, "kind": "escalation", "reason": "guidance", "timeout_s": 600}
    opened = stack.invoke("open", task | {"task_token": waiting.token})
    yield {"run": run_id, "escalation": opened["escalation_id"]}
    waiting.stop()


@pytest.mark.sampled(20)
@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("function", "method", "path", "body"), RESOURCES)
def test_only_its_tenant_and_operators_see_a_resource(
    stack: Stack, about_acme: dict[str, str], caller: str, function: str, method: str, path: str, body: Any
) -> None:
    if path.endswith("cancel"):
        stack.on("api", "stepfunctions", "StopExecution", _stopped)

    reply = ask(stack, function, event(method, path.format(**about_acme), who=CALLERS[caller], body=body))

    if caller.startswith("globex"):
        assert reply.status == 404
        assert "acme" not in reply.text
    elif method == "POST" and path.startswith("/escalations") and caller != "operator":
        assert reply.status == 403  # they are no reviewers
    else:
        # Cancelling is throttled here, and this run asks its requester nothing.
        assert reply.status == {"cancel": 503, "messages": 409}.get(path.rpartition("/")[2], 200), reply.text


def _stopped(params: dict[str, Any]) -> None:
    raise client_error("ThrottlingException")


@pytest.mark.parametrize(("caller", "tenants"), [(ACME, {"acme"}), (GLOBEX, {"globex"}), (token("acme"), {"acme"})])
def test_a_list_holds_the_callers_own(stack: Stack, about_acme: Any, caller: Any, tenants: set[str]) -> None:
    stack.open(tenant="globex")

    runs = ask(stack, "api", event("GET", "/runs", who=caller)).body["runs"]
    questions = ask(stack, "people", event("GET", "/escalations", who=caller)).body["escalations"]

    assert {run["tenant"] for run in runs} == tenants
    assert {question["tenant"] for question in questions} == tenants - {"globex"}


def test_an_operator_lists_any_tenant_and_everybodys_questions(stack: Stack, about_acme: dict[str, str]) -> None:
    runs = ask(stack, "api", event("GET", "/runs", query={"tenant": "acme"})).body["runs"]
    questions = ask(stack, "people", event("GET", "/escalations")).body["escalations"]

    assert about_acme["run"] in {run["run_id"] for run in runs}
    assert about_acme["escalation"] in {question["escalation_id"] for question in questions}


@pytest.mark.parametrize("caller", [ACME, token("acme")])
@pytest.mark.parametrize(
    "request_",
    [
        {"method": "POST", "body": {"text": "x", "tenant": "globex"}},
        {"method": "GET", "query": {"tenant": "globex"}},
    ],
)
def test_naming_another_tenant_is_forbidden(stack: Stack, caller: Any, request_: dict[str, Any]) -> None:
    assert ask(stack, "api", event(path="/runs", who=caller, **request_)).status == 403


@pytest.mark.parametrize("function", ["api", "people"])
@pytest.mark.parametrize("path", ["/runs", "/escalations", "/nothing"])
@pytest.mark.parametrize(
    ("who", "status"),
    [
        (None, 401),
        ({}, 401),
        ({"iam": {}}, 401),
        ({"iam": {"userArn": ""}}, 401),
        ({"iam": {"userArn": None}}, 401),
        ({"lambda": {"tenant": "acme"}}, 401),
        ({"jwt": {"claims": {"sub": "a"}}}, 403),
        ({"jwt": {"claims": {"tenant": "acme"}}}, 403),
        ({"jwt": {"claims": {"sub": "a", "tenant": ""}}}, 403),
        ({"jwt": {"claims": {"sub": "a", "tenant": "a/b"}}}, 403),
        ({"jwt": {"claims": {"sub": "a", "tenant": ["acme"]}}}, 403),
        ({"jwt": {"claims": {"sub": "a", "tenant": "acme\n"}}}, 403),
        ("arn:aws:sts::1:assumed-role/ballast-tenant--x/s", 403),
    ],
)
def test_who_has_no_identity_gets_nothing(stack: Stack, function: str, path: str, who: Any, status: int) -> None:
    assert ask(stack, function, event("GET", path, who=who)).status == status


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:role/ballast-tenant-acme/x",
        "arn:aws:sts::123456789012:assumed-role/my-ballast-tenant-acme/x",
        "arn:aws:sts::123456789012:assumed-role/ballast-tenant-/x",
        "arn:aws:sts::123456789012:assumed-role/admin/:assumed-role",
        "arn:aws:sts::123456789012:assumed-role/Ballast-Tenant-acme/x",
        "arn:aws:sts::123456789012:assumed-role/ballast_tenant-acme/x",
        "arn:aws:sts::123456789012:assumed-role/ballast-tenants-acme/x",
        "arn:aws:sts::123456789012:assumed-role/ballast-tenant-acme corp/x",
        "arn:aws:sts::123456789012:assumed-role/ballast-operators/x",
        "arn:aws:sts::123456789012:assumed-role/x/ballast-operator",
        "arn:aws:sts::123456789012:assumed-role/x/:assumed-role/ballast-operator/x",
        "arn:aws:sts::123456789012:federated-user/:user/ballast-operator/x",
        "arn:aws:iam::123456789012:user/ann",
        "arn:aws:iam::123456789012:root",
    ],
)
def test_an_arn_that_only_resembles_one_is_nobodys(stack: Stack, arn: str) -> None:
    for function, path in (("api", "/runs"), ("people", "/escalations"), ("budget-api", "/breaker")):
        reply = ask(stack, function, event("GET", path, who=arn))

        assert reply.status == 403
        assert "Check the name of the role" in reply.body["detail"]


def test_a_session_cannot_be_named_so_that_it_is_another_tenants(stack: Stack) -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/ballast-tenant-acme/ballast-tenant-globex"

    assert ask(stack, "api", event("GET", "/runs", who=arn, query={"tenant": "globex"})).status == 403


@pytest.mark.parametrize("path", ["/console", "/console/app.js", "/openapi.json"])
def test_the_console_and_the_description_are_public_and_hold_no_data(stack: Stack, path: str) -> None:
    reply = ask(stack, "api", event("GET", path, who=None))

    assert reply.status == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["..", "../api.py", "api.py", ".", "nothing.js", "%2e%2e%2fapi.py", "__pycache__"])
def test_the_console_serves_its_own_files_only(stack: Stack, name: str) -> None:
    assert ask(stack, "api", event("GET", f"/console/{name}", who=None)).status in (401, 404)


def test_a_setting_without_which_nothing_can_be_answered_is_told_to_the_log_alone(stack: Stack) -> None:
    stack.environs["api"] = stack.environs["api"] | {"RUN_LOG_TABLE": ""}

    reply = ask(stack, "api", event("GET", "/runs"))

    assert (reply.status, "RUN_LOG_TABLE" in reply.text) == (500, False)


#: Expressions of which a change set cannot see that they are none, and some that it can.
UNUSABLE = [
    "[z-a](?P<tenant>a)",
    "(?P<tenant>a{2,1})",
    "(?P<tenant>a)(?P<tenant>b)",
    "(",
    "*",
    "(?P=nope)",
    "\\y",
    "no group",
]


def unusable(stack: Stack) -> list[tuple[str, str]]:
    """Return which settings were reported, and why."""
    return [(line["setting"], line["why"]) for line in stack.lines() if "SettingsUnusable" in line]


@pytest.mark.parametrize("pattern", UNUSABLE)
@pytest.mark.parametrize("function", ["api", "people"])
def test_a_pattern_that_cannot_be_used_knows_nobody_and_is_reported(stack: Stack, function: str, pattern: str) -> None:
    path = "/runs" if function == "api" else "/escalations"
    stack.environs[function] = stack.environs[function] | {"IAM_TENANT_PATTERN": pattern}

    member, reviewer, operator = (
        ask(stack, function, event("GET", path, who=who)) for who in (ACME, REVIEWER, OPERATOR)
    )

    assert (member.status, reviewer.status, operator.status) == (403, 200, 200)
    assert "IAM_TENANT_PATTERN of the stack cannot be used" in member.text
    [(setting, why), *others] = unusable(stack)
    assert setting == "IAM_TENANT_PATTERN"
    assert "it is not a regular expression" in why or "it has no group" in why
    assert len(others) == 2  # with each request, so that the alarm rings for as long as it matters


@pytest.mark.parametrize("name", ["IAM_REVIEWER_PATTERN", "IAM_OPERATOR_PATTERN", "IAM_PERSON_PATTERN"])
def test_another_pattern_that_cannot_be_used_takes_nothing_from_the_others(stack: Stack, name: str) -> None:
    stack.environs["api"] = stack.environs["api"] | {name: "[z-a]"}

    callers = {"IAM_REVIEWER_PATTERN": REVIEWER, "IAM_OPERATOR_PATTERN": OPERATOR, "IAM_PERSON_PATTERN": ""}
    status = {who: ask(stack, "api", event("GET", "/runs", who=who)).status for who in (ACME, REVIEWER, OPERATOR)}

    assert status == {who: 403 if who == callers[name] else 200 for who in status}
    assert {setting for setting, _ in unusable(stack)} == {name}


def test_an_empty_pattern_knows_nobody_and_is_no_mistake(stack: Stack) -> None:
    empty = dict.fromkeys(("IAM_TENANT_PATTERN", "IAM_REVIEWER_PATTERN", "IAM_PERSON_PATTERN"), "")
    stack.environs["api"] = stack.environs["api"] | empty

    status = [
        ask(stack, "api", event("GET", "/runs", who=who)).status for who in (ACME, REVIEWER, OPERATOR, token("acme"))
    ]

    assert status == [403, 403, 200, 200]
    assert unusable(stack) == []


@pytest.mark.parametrize("claim", ["REVIEWER_CLAIM", "OPERATOR_CLAIM"])
def test_a_claim_that_is_none_makes_nobody_more_than_a_member(stack: Stack, claim: str) -> None:
    stack.environs["api"] = stack.environs["api"] | {claim: "operators"}

    told = ask(stack, "api", event("GET", "/me", who=token("acme", operators="", **{"cognito:groups": "operators"})))

    assert (told.status, told.body["role"]) == (200, "member")
    assert unusable(stack) == [(claim, "it must be CLAIM=VALUE, or empty")]
