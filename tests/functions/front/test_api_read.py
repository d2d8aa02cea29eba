"""GET /runs, its pages, a run and its log; POST /runs/{id}/cancel."""

import base64
import json
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballast.contracts import RunRequest
from ballast.log.event import Event, order
from functions.front.contract import SEQ
from tests.functions.cloud import client
from tests.functions.http import Reply, ask, event, key
from tests.functions.stack import Stack, client_error, once
from tests.support.sampling import examples

pytestmark = pytest.mark.usefixtures("waiting_workflow")


def get(stack: Stack, path: str, **query: Any) -> Reply:
    """Ask for ``path`` as an operator."""
    return ask(stack, "api", event("GET", path, query={name: str(value) for name, value in query.items()}))


def everything(stack: Stack, path: str, holds: str, parameter: str, **query: Any) -> list[Any]:
    """Return what all the pages hold."""
    found: list[Any] = []
    for _ in range(50):
        reply = get(stack, path, **query)
        assert reply.status == 200, reply.text
        found += reply.body[holds]
        if reply.body["next"] is None:
            return found
        query[parameter] = reply.body["next"]
    raise AssertionError("the pages have no end")


def answered(stack: Stack, text: str = "Done.", **fields: Any) -> str:
    """Open a run and answer it."""
    run_id = stack.open(**fields)
    decision = {"kind": "answer", "text": text}
    stack.log.write(run_id, "0001.plan.decided", {"planner": "fallback", "decision": decision})
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})
    return run_id


def waits(stack: Stack, **fields: Any) -> str:
    """Open a run that asks people."""
    run_id = stack.open(**fields)
    stack.log.write(run_id, "0001.plan.decided", {"planner": "agent", "decision": HAND_OVER})
    stack.log.write(run_id, "0001.escalation.opened", {"escalation_id": "esc-x", "reason": "guidance"})
    return run_id


HAND_OVER = {"kind": "hand_over", "to": "human", "reason": "guidance"}


def test_a_run_shows_where_it_stands(stack: Stack) -> None:
    run_id = stack.open(text="Tidy up.", context={"a": 1}, tenant="shown")

    run = get(stack, f"/runs/{run_id}").body

    assert (run["status"], run["text"], run["tenant"], run["turns"]) == ("running", "Tidy up.", "shown", 0)
    assert run["opened_at"] == stack.clock().isoformat() < run["deadline_at"]
    assert (run["cost_usd"], run["ended_at"], run["answer"]) == ("0.00", None, None)
    assert float(run["ceiling_usd"]) > 0


def test_a_run_that_waits_for_people_names_the_question(stack: Stack) -> None:
    run = get(stack, f"/runs/{waits(stack)}").body

    assert (run["status"], run["escalation_id"], run["reason"]) == ("waiting", "esc-x", "guidance")


def test_a_run_that_waits_for_its_requester_shows_the_question(stack: Stack) -> None:
    run_id = stack.open()
    decision = HAND_OVER | {"to": "requester", "reason": "question", "guidance": "Which order?"}
    stack.log.write(run_id, "0001.plan.decided", {"planner": "agent", "decision": decision})
    task = {"run_id": run_id, "turn": 2, "kind": "question", "reason": "question", "timeout_s": 60}
    opened = stack.invoke("open", task | {"task_token": "t"})

    run = get(stack, f"/runs/{run_id}").body

    assert (run["status"], run["question"], run["escalation_id"]) == (
        "waiting",
        "Which order?",
        opened["escalation_id"],
    )
    people = ask(stack, "people", event("GET", "/escalations")).body["escalations"]
    assert opened["escalation_id"] not in {one["escalation_id"] for one in people}


def test_an_answered_run_says_by_whom(stack: Stack) -> None:
    run = get(stack, f"/runs/{answered(stack, 'Tidied.')}").body

    assert (run["status"], run["by"], run["degraded"], run["answer"]) == ("answered", "fallback", True, "Tidied.")
    assert run["deadline_at"] is None


def test_a_refused_run_says_why(stack: Stack) -> None:
    request = {"request_id": key(), "agent": "nobody", "text": "x"}
    with pytest.raises(Exception, match="nobody"):
        stack.invoke("admit", {"request": request})

    run = get(stack, f"/runs/{RunRequest(**request).run_id}").body

    assert (run["status"], run["reason"], run["opened_at"], run["cost_usd"]) == ("refused", "NotAdmitted", None, "0.00")
    assert "nobody" in run["message"]


def test_a_run_is_there_before_its_log_is(stack: Stack) -> None:
    started = ask(stack, "api", event("POST", "/runs", body={"text": "Soon.", "agent": "tester"})).body

    run = get(stack, f"/runs/{started['run_id']}").body

    assert run == started
    assert get(stack, f"/runs/{started['run_id']}/events").body == {"events": [], "next": None}


def test_half_a_character_from_a_model_is_no_harm(stack: Stack) -> None:
    run_id = stack.open()
    stack.log.write(run_id, "0001.model.failed", {"cost_microusd": 0, "attempt": 1, "error": "\ud83d \U0001f600"})

    reply = get(stack, f"/runs/{run_id}/events")

    reply.text.encode()
    assert reply.body["events"][1]["body"]["error"] == "\ufffd \U0001f600"


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
def test_the_pages_of_a_log_are_the_log_in_the_order_of_the_work(stack: Stack, limit: int) -> None:
    run_id = stack.open()
    for turn in (1, 2, 3):
        stack.propose(run_id, *({"tool": "read_note", "arguments": {}} for _ in range(turn)), turn=turn)
        for index in range(1, turn + 1):
            stack.settled(run_id, turn, {"status": "ok", "result": turn}, index=index)
    log = stack.events(run_id)

    found = everything(stack, f"/runs/{run_id}/events", "events", "after", limit=limit)

    assert [one["seq"] for one in found] == [one.seq for one in sorted(log, key=order)]
    assert [one["body"] for one in found] == [one.body for one in log]


def test_a_page_of_a_log_is_bounded_in_bytes(stack: Stack) -> None:
    run_id = stack.open()
    for turn in range(1, 5):
        stack.settled(run_id, turn, {"status": "ok", "result": "x" * 1_000_000})

    first = get(stack, f"/runs/{run_id}/events")

    assert first.status == 200
    assert 1_000_000 < len(first.text) < 3_000_000
    assert len(everything(stack, f"/runs/{run_id}/events", "events", "after")) == 5


@settings(max_examples=examples(30, 100))
@given(seq=st.from_regex(re.compile(SEQ, re.ASCII), fullmatch=True))
def test_whatever_the_api_takes_as_a_key_is_one(seq: str) -> None:
    event = Event(run_id="run-a", seq=seq, at="", body={})

    assert order(event)[-1] == seq


@pytest.mark.parametrize(
    "after",
    [
        *("", "1", "0001.call", "0001.call.1.settled;", "0001.call.1.settled\n", "9" * 40),
        *("0001.call.settled.2", "2063.xe.wj_ur.2.784", "0001.call.1.approval_given.1.2.3"),
    ],
)
def test_only_a_key_of_the_log_is_gone_on_after(stack: Stack, after: str) -> None:
    reply = get(stack, f"/runs/{stack.open()}/events", after=after)

    assert (reply.status, reply.wrong) == (422, {"after"})


def test_runs_are_listed_newest_first_by_tenant_and_status(stack: Stack) -> None:
    made = []
    for make in (answered, waits, Stack.open, answered):
        made.append(make(stack, tenant="lists"))
        stack.clock.advance(60)
    answered(stack, tenant="another")

    def ids(**query: Any) -> list[str]:
        return [run["run_id"] for run in everything(stack, "/runs", "runs", "next", tenant="lists", **query)]

    assert ids() == ids(limit=1) == ids(limit=3) == made[::-1]
    assert ids(status="answered") == ids(status="answered", limit=1) == [made[3], made[0]]
    assert (ids(status="waiting"), ids(status="running", limit=1), ids(status="failed")) == ([made[1]], [made[2]], [])
    noon = "2026-03-01T12:0"
    assert ids(since=f"{noon}1:00Z") == made[:0:-1]
    assert ids(since=f"{noon}1:00Z", until=f"{noon}2:30Z", limit=1) == [made[2], made[1]]
    assert ids(status="answered", until="2026-03-01T13:01:00.000+01:00") == [made[0]]


def test_a_run_in_a_list_says_what_the_run_itself_says(stack: Stack) -> None:
    for make in (answered, waits, Stack.open):
        make(stack, tenant="agrees")

    for summary in everything(stack, "/runs", "runs", "next", tenant="agrees"):
        run = get(stack, f"/runs/{summary['run_id']}").body

        assert summary == {name: run[name] for name in summary}


def test_a_token_is_good_for_its_own_query_only(stack: Stack) -> None:
    for _ in range(2):
        stack.open(tenant="tokens")
    page = get(stack, "/runs", tenant="tokens", limit=1).body["next"]

    for other in ({"tenant": "else"}, {"tenant": "tokens", "status": "running"}, {"tenant": "tokens", "since": NOW}):
        reply = get(stack, "/runs", next=page, **other)

        assert (reply.status, reply.wrong) == (422, {"next"})


NOW = "2026-03-01T12:00:00Z"


def forged(stack: Stack, **changes: Any) -> str:
    """Return a real token with changed contents."""
    for _ in range(2):
        stack.open(tenant="forged")
    page = get(stack, "/runs", tenant="forged", limit=1, until=NOW).body["next"]
    held = json.loads(base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)))
    held["key"] |= changes
    return base64.urlsafe_b64encode(json.dumps(held).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": "x"},
        {"run_id": None},
        {"seq": "0001.model.requested"},
        {"at": "now"},
        {"at": "2026-03-01T12:00:01+00:00"},
        {"tenant": "acme"},
    ],
)
def test_a_forged_token_is_refused(stack: Stack, changes: dict[str, Any]) -> None:
    reply = get(stack, "/runs", tenant="forged", until=NOW, next=forged(stack, **changes))

    assert (reply.status, reply.wrong) == (422, {"next"})


def test_a_token_that_was_forged_well_begins_elsewhere_in_the_same_list(stack: Stack) -> None:
    beginning = forged(stack, run_id="run-" + "7" * 24)

    runs = get(stack, "/runs", tenant="forged", until=NOW, next=beginning).body["runs"]

    assert {run["tenant"] for run in runs} <= {"forged"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(30, 100))
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_no_text_makes_a_token_fail(stack: Stack, text: str) -> None:
    assert get(stack, "/runs", next=text).status == 422


def test_no_request_scans(stack: Stack) -> None:
    def never(params: dict[str, Any]) -> None:
        raise AssertionError("a scan")

    stack.on("api", "dynamodb", "Scan", never)
    asked: list[dict[str, Any]] = []
    stack.on("api", "dynamodb", "Query", asked.append)
    run_id = answered(stack)

    replies = [
        get(stack, path) for path in ("/runs", f"/runs/{run_id}", f"/runs/{run_id}/events", f"/runs/{run_id}/timeline")
    ]
    replies += [get(stack, "/runs", status=status) for status in ("answered", "running", "waiting", "timed_out")]

    assert {reply.status for reply in replies} == {200}
    assert {query.get("IndexName") for query in asked} == {None, "by_tenant", "by_outcome"}


def test_a_throttled_list_may_be_asked_for_again(stack: Stack) -> None:
    stack.on("api", "dynamodb", "Query", once(client_error("ThrottlingException")))

    assert get(stack, "/runs").status == 503
    assert get(stack, "/runs").status == 200


def test_a_cancelled_run_is_stopped_in_its_callers_name(stack: Stack) -> None:
    started = ask(stack, "api", event("POST", "/runs", body={"text": "Long.", "agent": "tester"})).body
    once_begun(started["run_id"])

    reply = ask(stack, "api", event("POST", f"/runs/{started['run_id']}/cancel"))

    assert (reply.status, reply.headers["location"]) == (202, f"/runs/{started['run_id']}")
    assert once_stopped(started["run_id"])["status"] == "ABORTED"
    assert get(stack, f"/runs/{started['run_id']}").body["status"] == "aborted"


def arn_of(run_id: str) -> str:
    return f"arn:aws:states:eu-west-1:123456789012:execution:agent:{run_id}"


def once_begun(run_id: str) -> None:
    """Return once the execution has entered a state: moto loses an order to stop that comes before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(client("stepfunctions").get_execution_history(executionArn=arn_of(run_id))["events"]) > 1:
            return
        time.sleep(0.01)
    raise TimeoutError("it never began")


def once_stopped(run_id: str) -> dict[str, Any]:
    """Return the execution once it has ended: moto stops one a moment after it said so."""
    arn = arn_of(run_id)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        execution: dict[str, Any] = client("stepfunctions").describe_execution(executionArn=arn)
        if execution["status"] != "RUNNING":
            return execution
        time.sleep(0.01)
    raise TimeoutError("it was never stopped")


def test_a_run_that_is_refused_while_somebody_asks_says_why(stack: Stack) -> None:
    sent = {"text": "Long.", "agent": "tester"}
    run_id = ask(stack, "api", event("POST", "/runs", body=sent)).body["run_id"]
    ask(stack, "api", event("POST", f"/runs/{run_id}/cancel"))
    once_stopped(run_id)

    def refuse(_: Any) -> None:  # after the log was read, and before the execution is looked at
        request = RunRequest(request_id="r", agent="tester", text="Long.").model_dump(mode="json")
        body = {"request": request, "request_sha256": "x", "reason": "BreakerStopped", "message": "Stopped."}
        stack.log.write(run_id, "0000.run.refused", body)

    stack.on("api", "stepfunctions", "DescribeExecution", refuse)

    assert get(stack, f"/runs/{run_id}").body["reason"] == "BreakerStopped"


def test_a_run_that_has_ended_cannot_be_cancelled(stack: Stack) -> None:
    reply = ask(stack, "api", event("POST", f"/runs/{answered(stack)}/cancel"))

    assert (reply.status, reply.body["type"]) == (409, "urn:ballast:problem:run-ended")
