"""POST /runs: one run a key, waited for where that is preferred."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ballast.contracts import RunRequest
from tests.functions.cloud import client
from tests.functions.http import ACME, Reply, ask, event, key
from tests.functions.stack import LambdaContext, Stack, client_error, once
from tests.support.events import sample

pytestmark = pytest.mark.usefixtures("waiting_workflow")
BODY = {"text": "Tidy my notes.", "agent": "tester"}


def post(stack: Stack, body: Any = BODY, name: str | None = None, **more: Any) -> Reply:
    """Post a request for a run under the key ``name``, or one of its own."""
    headers = {"idempotency-key": name or key()} | more.pop("headers", {})
    passed = {kept: more.pop(kept) for kept in ("context", "sleep", "new_id") if kept in more}
    if "sleep" in passed:  # it takes no time, and nothing else does
        passed["monotonic"] = lambda: 0.0
    return ask(stack, "api", event("POST", "/runs", body=body, headers=headers, **more), **passed)


def executions() -> list[str]:
    """Return the names of all executions."""
    arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:agent"
    pages = client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=arn)
    return [execution["name"] for page in pages for execution in page["executions"]]


def ends(stack: Stack, run_id: str, after_s: float) -> Callable[[float], None]:
    """Return a sleep during which, once so many seconds were slept, the run ends; it takes no time."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) >= after_s and not any(event.name == "run.ended" for event in stack.events(run_id)):
            stack.log.write(run_id, "0001.plan.decided", ANSWER)
            stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})

    return sleep


ANSWER = {"planner": "agent", "decision": {"kind": "answer", "text": "Done."}}


def test_a_run_is_started_and_found_under_its_location(stack: Stack) -> None:
    reply = post(stack, name="starts")

    run_id = RunRequest(request_id="starts", **BODY).run_id
    assert reply.status == 202
    assert (reply.headers["location"], reply.headers["idempotency-key"]) == (f"/runs/{run_id}", "starts")
    assert (reply.body["run_id"], reply.body["status"], reply.body["tenant"]) == (run_id, "running", "default")
    assert run_id in executions()
    assert ask(stack, "api", event("GET", reply.headers["location"])).body["request_id"] == "starts"


@pytest.mark.parametrize(
    ("meaning", "tenant"),
    [
        ("start-run-by-an-operator", "default"),
        ("start-run-by-a-tenants-role", "acme"),
        ("start-run-by-a-tenants-token", "acme"),
        ("start-run-with-a-binary-body", "default"),
    ],
)
def test_the_filed_events_start_runs_for_the_identitys_tenant(stack: Stack, meaning: str, tenant: str) -> None:
    reply = ask(stack, "api", sample(meaning))

    assert (reply.status, reply.body["tenant"]) == (202, tenant)


def test_without_a_key_each_request_is_a_run_of_its_own(stack: Stack) -> None:
    request = event("POST", "/runs", body=BODY)

    first, second = ask(stack, "api", request), ask(stack, "api", request, new_id=lambda: "made-up")

    assert second.headers["idempotency-key"] == second.body["request_id"] == "made-up"
    assert first.body["run_id"] != second.body["run_id"]


def test_the_same_key_again_is_the_same_run(stack: Stack) -> None:
    first, again = post(stack, name="again"), post(stack, dict(reversed(BODY.items())), name="again")

    assert (again.status, again.headers["location"]) == (202, first.headers["location"])
    assert executions().count(first.body["run_id"]) == 1


def test_the_same_key_with_another_body_is_a_conflict(stack: Stack) -> None:
    first = post(stack, name="conflict")

    second = post(stack, BODY | {"text": "Burn my notes."}, name="conflict")

    assert (second.status, second.body["type"]) == (409, "urn:ballast:problem:request-conflict")
    assert executions().count(first.body["run_id"]) == 1


def test_two_tenants_may_use_the_same_key(stack: Stack) -> None:
    mine, yours = post(stack, name="popular"), post(stack, name="popular", who=ACME)

    assert (mine.status, yours.status) == (202, 202)
    assert mine.body["run_id"] != yours.body["run_id"]


def test_200_posts_at_once_of_50_keys_start_50_runs(stack: Stack) -> None:
    stack.runtime("api").client("stepfunctions")  # boto3 makes clients one at a time
    names = [f"crowd-{number % 50}" for number in range(200)]

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda name: post(stack, BODY | {"context": {"n": name}}, name=name), names))

    assert {reply.status for reply in replies} == {202}
    assert [reply.body["request_id"] for reply in replies] == names
    runs = {reply.body["run_id"] for reply in replies}
    assert len(runs) == 50
    started = executions()
    assert all(started.count(run) == 1 for run in runs)


def test_a_run_that_ends_while_it_is_waited_for_is_the_answer(stack: Stack) -> None:
    run_id = stack.open(request_id="waited", text=BODY["text"])

    reply = post(stack, name="waited", headers={"prefer": "wait=5"}, sleep=ends(stack, run_id, after_s=2))

    assert (reply.status, reply.headers["preference-applied"]) == (200, "wait=5")
    assert (reply.body["status"], reply.body["answer"], reply.body["by"]) == ("answered", "Done.", "agent")


def test_a_run_that_does_not_end_in_time_is_still_accepted(stack: Stack) -> None:
    slept: list[float] = []

    reply = post(stack, headers={"prefer": "wait=5"}, sleep=slept.append)

    assert (reply.status, reply.body["status"]) == (202, "running")
    assert sum(slept) == pytest.approx(5)
    assert len(slept) < 12


@pytest.mark.parametrize(
    ("prefer", "remaining_s", "waits_s"),
    [
        ("wait=25", 30, 25),
        ("wait=600", 30, 25),
        ("wait=25", 10, 7),
        ("wait=25", 2, 0),
        ("wait=0", 30, 0),
        ("respond-async, wait=3", 30, 3),
        ('wait="3"', 30, 3),
        ("WAIT = 3;x=y", 30, 3),
        ("wait=-1", 30, None),
        ("wait=soon", 30, None),
        ("await=3", 30, None),
        ("wait=" + "9" * 40, 30, None),
        ("return=minimal", 30, None),
        ("", 30, None),
    ],
)
def test_waiting_is_bounded_and_what_is_not_understood_is_ignored(
    stack: Stack, prefer: str, remaining_s: int, waits_s: int | None
) -> None:
    slept: list[float] = []

    reply = post(stack, headers={"prefer": prefer}, context=LambdaContext(remaining_s * 1000), sleep=slept.append)

    assert reply.status == 202
    assert ("preference-applied" in reply.headers) == (waits_s is not None)
    assert sum(slept) == pytest.approx(waits_s or 0)


def test_the_time_that_looking_takes_is_waited_for_as_well(stack: Stack) -> None:
    seconds, slept = iter(range(1_000)), list[float]()
    headers = {"idempotency-key": key(), "prefer": "wait=5"}
    clock = {"sleep": slept.append, "monotonic": lambda: float(next(seconds))}  # each look takes a second

    reply = ask(stack, "api", event("POST", "/runs", body=BODY, headers=headers), **clock)

    assert reply.status == 202
    assert len(slept) == 3
    assert next(seconds) <= 7


@pytest.mark.parametrize(
    ("prefer", "within_s"),
    [
        ("wait=5", 5),
        ("wait=600", 25),
        ("wait=5, respond-async", None),
        ("respond-async; wait=5", None),
        ("wait=5, not-respond-async=1", 5),
        ("", None),
    ],
)
def test_whoever_only_waits_wants_the_answer_by_then(stack: Stack, prefer: str, within_s: int | None) -> None:
    run_id = post(stack, headers={"prefer": prefer}, sleep=lambda _: None).body["run_id"]

    assert sent_with(run_id).get("answer_within_s") == within_s


def sent_with(run_id: str) -> dict[str, Any]:
    """Return the input of the run's execution."""
    arn = f"arn:aws:states:eu-west-1:123456789012:execution:agent:{run_id}"
    found: dict[str, Any] = json.loads(client("stepfunctions").describe_execution(executionArn=arn)["input"])
    return found


def test_the_same_key_is_the_same_run_however_long_its_caller_waits(stack: Stack) -> None:
    first = post(stack, name="patient", headers={"prefer": "wait=5"}, sleep=lambda _: None)

    again = [post(stack, name="patient", headers=more, sleep=lambda _: None) for more in ({}, {"prefer": "wait=20"})]

    assert [reply.status for reply in again] == [202, 202]
    assert {reply.body["run_id"] for reply in again} == {first.body["run_id"]}
    assert sent_with(first.body["run_id"])["answer_within_s"] == 5


def test_a_throttle_is_said_to_be_one_and_the_same_post_starts_the_run(stack: Stack) -> None:
    stack.on("api", "stepfunctions", "StartExecution", once(client_error("ThrottlingException")))

    throttled = post(stack, name="throttled")

    assert (throttled.status, throttled.headers["retry-after"]) == (503, "1")
    assert post(stack, name="throttled").status == 202


def test_a_defect_tells_the_caller_nothing_but_where_to_look(stack: Stack) -> None:
    stack.on("api", "stepfunctions", "StartExecution", once(client_error("AccessDeniedException")))

    reply = post(stack)

    assert reply.status == 500
    assert "AccessDenied" not in reply.text
    (line,) = stack.lines()
    assert line["instance"] == reply.body["instance"]
    assert "AccessDeniedException" in line["trace"]
