"""The people's API: escalations are shown without their task tokens and answered once."""

from typing import Any

import pytest

from tests.functions.approvals import asks
from tests.functions.http import ACME, OPERATOR, Reply, ask, event
from tests.functions.people.waiting import Waiting
from tests.functions.stack import Stack
from tests.support.events import sample

ANSWER = {"decision": {"kind": "answer", "text": "It is on its way."}}


def opened(stack: Stack, token: str = "t" * 20, **fields: Any) -> tuple[str, str]:
    """Open a run that asks people, and return (run id, escalation id)."""
    kind, timeout_s = fields.pop("kind", "escalation"), fields.pop("timeout_s", 600)
    run_id = stack.open(**fields)
    task = {"run_id": run_id, "turn": 1, "kind": kind, "reason": "guidance", "timeout_s": timeout_s}
    if kind == "approval":
        stack.propose(run_id, {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x", "stars": 500}})
        asks(stack, run_id)
        task |= {"index": 1, "reason": "approval_required"}
    return run_id, stack.invoke("open", task | {"task_token": token})["escalation_id"]


def get(stack: Stack, path: str, who: Any = OPERATOR, **query: Any) -> Reply:
    """Ask for ``path``."""
    return ask(stack, "people", event("GET", path, who=who, query={name: str(value) for name, value in query.items()}))


def post(stack: Stack, escalation_id: str, body: Any, who: Any = OPERATOR) -> Reply:
    """Answer an escalation."""
    return ask(stack, "people", event("POST", f"/escalations/{escalation_id}", who=who, body=body))


def listed(stack: Stack, **query: Any) -> list[str]:
    """Return the ids on all the pages."""
    found: list[str] = []
    for _ in range(50):
        page = get(stack, "/escalations", **query).body
        found += [one["escalation_id"] for one in page["escalations"]]
        if page["next"] is None:
            return found
        query["next"] = page["next"]
    raise AssertionError("the pages have no end")


def test_a_question_is_shown_with_what_it_takes_to_decide_and_without_its_token(stack: Stack) -> None:
    run_id, escalation_id = opened(stack, token="secret-token-of-a-task", tenant="shows", text="Where is it?")

    reply = get(stack, f"/escalations/{escalation_id}")

    shown = reply.body
    assert (shown["run_id"], shown["tenant"], shown["kind"], shown["status"]) == (run_id, "shows", "escalation", "open")
    assert "Where is it?" in shown["summary"]
    assert "secret-token" not in reply.text + get(stack, "/escalations").text


def test_an_approval_shows_the_call_that_it_is_about(stack: Stack) -> None:
    _, escalation_id = opened(stack, kind="approval")

    shown = get(stack, f"/escalations/{escalation_id}").body

    (call,) = shown["proposed_decision"]["calls"]
    assert (call["tool"], call["arguments"]) == ("write_note", {"note_id": "n-1", "text": "x", "stars": 500})


def test_an_answer_resumes_the_run_in_the_callers_name(stack: Stack, waiting: Waiting) -> None:
    run_id, escalation_id = opened(stack, waiting.token)

    reply = post(stack, escalation_id, ANSWER)

    assert (reply.status, reply.body) == (
        200,
        {"escalation_id": escalation_id, "run_id": run_id, "status": "answered", "still_needed": 0},
    )
    assert waiting.output()["decision"]["kind"] == "answer"
    assert stack.body(run_id, "0001.escalation.answered")["by"] == "123456789012:user/ballast-operator/ann"
    shown = get(stack, f"/escalations/{escalation_id}").body
    assert (shown["status"], shown["answered_by"]) == ("answered", "123456789012:user/ballast-operator/ann")


def test_the_filed_event_lists_open_questions(stack: Stack) -> None:
    _, escalation_id = opened(stack)

    reply = ask(stack, "people", sample("list-escalations-by-an-operator"))

    assert escalation_id in reply.text


def test_the_same_answer_again_is_harmless_and_another_is_refused(stack: Stack, waiting: Waiting) -> None:
    _, escalation_id = opened(stack, waiting.token)

    first, again = post(stack, escalation_id, ANSWER), post(stack, escalation_id, ANSWER)
    another = post(stack, escalation_id, {"decision": {"kind": "answer", "text": "Lost."}})

    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert (another.status, another.body["type"]) == (409, "urn:ballast:problem:escalation-closed")


def test_an_answer_that_comes_too_late_is_refused(stack: Stack, waiting: Waiting) -> None:
    run_id, escalation_id = opened(stack, waiting.token)
    waiting.stop()
    early = post(stack, escalation_id, ANSWER)
    stack.log.write(run_id, "9999.run.ended", {"status": "unanswered", "by": None, "degraded": True})

    late = post(stack, escalation_id, ANSWER)

    assert (early.status, early.body["title"]) == (503, "Not yet resumed")
    assert "is on record" in early.body["detail"]
    assert late.status == 409


def test_approving_is_recorded_with_its_comment(stack: Stack, waiting: Waiting) -> None:
    run_id, escalation_id = opened(stack, waiting.token, kind="approval")

    reply = post(stack, escalation_id, {"approve": False, "comment": "too much"})

    assert reply.status == 200
    answer = stack.body(run_id, "0001.call.1.approval_answered")
    assert (answer["approve"], answer["comment"]) == (False, "too much")


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("escalation", {}, "(body)"),
        ("escalation", ANSWER | {"approve": True}, "(body)"),
        ("escalation", {"approve": True}, "decision"),
        ("escalation", {"approve": "yes"}, "approve"),
        ("escalation", {"decision": {}}, "decision"),
        ("escalation", {"decision": "yes"}, "decision"),
        ("escalation", {"decision": {"kind": "answer"}}, "decision"),
        ("escalation", {"decision": {"kind": "hand_over", "to": "human", "reason": "guidance"}}, "decision.to"),
        ("escalation", {"decision": {"kind": "call_tools", "calls": []}}, "decision"),
        ("escalation", ANSWER | {"comment": "x" * 2_001}, "comment"),
        ("escalation", ANSWER | {"by": "somebody else"}, "by"),
        ("escalation", [ANSWER], "(body)"),
        ("approval", ANSWER, "approve"),
    ],
)
def test_an_answer_that_is_none_is_named_and_changes_nothing(stack: Stack, kind: str, body: Any, field: str) -> None:
    run_id, escalation_id = opened(stack, kind=kind)
    before = stack.seqs(run_id)

    reply = post(stack, escalation_id, body)

    assert (reply.status, reply.wrong) == (422, {field})
    assert stack.seqs(run_id) == before
    assert get(stack, f"/escalations/{escalation_id}").body["status"] == "open"


@pytest.mark.parametrize("escalation_id", ["esc-1", "esc-aaaaaaaaaaaaaaaa", "..", "ESC-aaaaaaaaaaaaaaaa"])
def test_a_question_that_is_not_there_is_not_found(stack: Stack, escalation_id: str) -> None:
    assert get(stack, f"/escalations/{escalation_id}").status == 404
    assert post(stack, escalation_id, ANSWER).status == 404


def test_open_questions_are_listed_newest_first_for_their_tenant(stack: Stack) -> None:
    made = []
    for tenant in ("acme", "globex", "acme", "acme"):
        made.append(opened(stack, tenant=tenant)[1])
        stack.clock.advance(1)

    own = [escalation_id for number, escalation_id in enumerate(made) if number != 1]
    assert listed(stack, who=ACME)[:3] == listed(stack, who=ACME, limit=1)[:3] == own[::-1]
    assert set(made) <= set(listed(stack)) == set(listed(stack, limit=2))


def test_a_question_for_whose_answer_nobody_waits_is_not_open(stack: Stack) -> None:
    _, expired = opened(stack, timeout_s=60)
    run_id, of_an_ended_run = opened(stack, timeout_s=3_600)
    stack.clock.advance(61)
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "unanswered"})

    assert not {expired, of_an_ended_run} & set(listed(stack))
    for escalation_id in (expired, of_an_ended_run):
        assert get(stack, f"/escalations/{escalation_id}").body["status"] == "expired"


@pytest.mark.parametrize("query", [{"status": "expired"}, {"limit": 0}, {"next": "x"}, {"next": ""}])
def test_a_query_that_is_wrong_is_refused(stack: Stack, query: dict[str, Any]) -> None:
    assert get(stack, "/escalations", **query).status == 422


def test_a_token_is_good_for_its_own_query_only(stack: Stack) -> None:
    for _ in range(2):
        opened(stack, tenant="acme")
    page = get(stack, "/escalations", who=ACME, limit=1).body["next"]

    assert get(stack, "/escalations", who=ACME, limit=1, next=page).status == 200
    assert get(stack, "/escalations", next=page).status == 422
    assert get(stack, "/escalations", who=ACME, status="answered", next=page).status == 422


def test_no_request_scans(stack: Stack) -> None:
    def never(params: dict[str, Any]) -> None:
        raise AssertionError("a scan")

    stack.on("people", "dynamodb", "Scan", never)
    _, escalation_id = opened(stack)

    assert {get(stack, path).status for path in ("/escalations", f"/escalations/{escalation_id}")} == {200}


@pytest.mark.parametrize(("method", "path", "status"), [("DELETE", "/escalations", 405), ("GET", "/nothing", 404)])
def test_what_does_not_exist_is_a_problem_too(stack: Stack, method: str, path: str, status: int) -> None:
    assert ask(stack, "people", event(method, path)).status == status
