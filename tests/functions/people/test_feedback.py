"""People say whether a run did right: once each, after its end, by right, and without any effect on the run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.errors import InvalidInput
from ballast.folds.feedback import feedback_in, verdict_of
from ballast.http.identity import Caller
from ballast.http.problem import Problem
from ballast.log.event import Event
from ballast.log.events import RunEnded, RunFeedback
from functions.people.feedback import EACH, FOR_OPERATORS, MOST, FeedbackTaker
from tests.functions.front.test_api_read import answered, everything
from tests.functions.http import ACME, GLOBEX, OPERATOR, REVIEWER, Reply, ask, event, token
from tests.functions.stack import Stack

pytestmark = pytest.mark.usefixtures("workflow")
REVIEWER_OF_TWICE = "arn:aws:iam::123456789012:user/ballast-reviewer-twice/rae"
ASKED_FOR_IT = "123456789012:assumed-role/ballast-tenant-acme"


def say(stack: Stack, run_id: str, verdict: Any, note: str = "", who: Any = REVIEWER) -> Reply:
    """Give feedback."""
    body = {"verdict": verdict, "note": note}
    return ask(stack, "people", event("POST", f"/runs/{run_id}/feedback", who=who, body=body))


def shown(stack: Stack, run_id: str) -> tuple[Any, list[tuple[str, str, str]]]:
    """Return the run's verdict, and what its timeline says of feedback."""
    run = ask(stack, "api", event("GET", f"/runs/{run_id}")).body
    timeline = ask(stack, "api", event("GET", f"/runs/{run_id}/timeline")).body
    return run["feedback"], [
        (one["verdict"], one["by"].rpartition("/")[2], one["note"]) for one in timeline["feedback"]
    ]


def listed(stack: Stack, tenant: str, verdict: str) -> list[str]:
    """Return the runs that are listed with that verdict, on pages of any size."""
    asked = {"tenant": tenant, "feedback": verdict}
    one_by_one, at_once = (everything(stack, "/runs", "runs", "next", **asked, limit=most) for most in (1, 50))
    assert one_by_one == at_once
    return [one["run_id"] for one in at_once]


def test_feedback_is_recorded_in_the_callers_name_and_shown_everywhere(stack: Stack) -> None:
    run_id = answered(stack, tenant="acme", request_id="feedback-1")
    assert shown(stack, run_id) == (None, [])

    reply = say(stack, run_id, "wrong", "The order was another one.")

    by = "123456789012:user/ballast-reviewer-acme/rae"
    told = {"run_id": run_id, "verdict": "wrong", "note": "The order was another one.", "by": by, "role": "reviewer"}
    assert (reply.status, reply.body) == (200, told)
    assert shown(stack, run_id) == ("wrong", [("wrong", "rae", "The order was another one.")])
    assert listed(stack, "acme", "wrong") == [run_id]


def test_the_same_words_again_are_harmless_and_other_words_replace_them(stack: Stack) -> None:
    run_id = answered(stack, tenant="acme", request_id="feedback-2")
    first, again = say(stack, run_id, "wrong", "No."), say(stack, run_id, "wrong", "No.")
    assert first.body == again.body
    assert [one.name for one in stack.log.read(run_id)].count("run.feedback") == 1

    say(stack, run_id, "right", "I was mistaken.")

    assert shown(stack, run_id) == ("right", [("right", "rae", "I was mistaken.")])
    assert run_id not in listed(stack, "acme", "wrong")
    assert run_id in listed(stack, "acme", "right")


def test_one_person_who_says_wrong_makes_the_run_wrong_and_it_is_listed_once(stack: Stack) -> None:
    run_id = answered(stack, tenant="twice", request_id="feedback-3")
    say(stack, run_id, "right", who=OPERATOR)
    say(stack, run_id, "wrong", who=REVIEWER_OF_TWICE)
    assert shown(stack, run_id)[0] == "wrong"
    say(stack, run_id, "wrong", who=OPERATOR)

    assert shown(stack, run_id)[0] == "wrong"
    assert listed(stack, "twice", "wrong") == [run_id]
    assert listed(stack, "twice", "right") == []


@pytest.mark.parametrize(
    ("who", "status"), [(ACME, 200), (REVIEWER, 200), (OPERATOR, 200), (GLOBEX, 404), (token("acme"), 403)]
)
def test_only_who_asked_for_the_run_and_reviewers_give_it(stack: Stack, who: Any, status: int) -> None:
    request = {"request_id": f"feedback-of-{len(str(who))}", "agent": "tester", "text": "x", "tenant": "acme"}
    run_id = stack.invoke("admit", {"request": request, "requested_by": ASKED_FOR_IT})["run_id"]
    stack.log.write(run_id, "0001.plan.decided", {"planner": "fallback", "decision": {"kind": "answer", "text": "x"}})
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})

    assert say(stack, run_id, "right", who=who).status == status


def test_an_operator_gives_it_by_iam_in_their_own_name(stack: Stack) -> None:
    run_id = answered(stack, tenant="iam")
    said = {"run_id": run_id, "verdict": "wrong", "note": "No.", "by": "ann"}

    taken = stack.invoke("answer", said)

    assert taken == {**said, "role": "operator"}
    assert shown(stack, run_id) == ("wrong", [("wrong", "ann", "No.")])
    assert listed(stack, "iam", "wrong") == [run_id]


@pytest.mark.parametrize("note", ["my password is hunter2-Zx9", "the API key was sk-abc", "PIN 4711"])
def test_a_note_with_a_secret_is_refused_at_every_door_and_is_not_in_the_log(stack: Stack, note: str) -> None:
    run_id = answered(stack, tenant="acme", request_id=f"feedback-secret-{len(note)}")

    reply = say(stack, run_id, "wrong", note)
    with pytest.raises(InvalidInput, match=r"note: looks as if it held a secret, .* say it without"):
        stack.invoke("answer", {"run_id": run_id, "verdict": "wrong", "note": note, "by": "ann"})

    assert (reply.status, [one["field"] for one in reply.body["errors"]]) == (422, ["note"])
    assert "say it without" in reply.body["errors"][0]["message"]
    assert note not in str(reply.body)
    assert shown(stack, run_id) == (None, [])
    assert say(stack, run_id, "wrong", "My password was asked for twice.").status == 200


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"verdict": "good"}, "verdict"),
        ({"verdict": None}, "verdict"),
        ({"run_id": "run-x"}, "run_id"),
        ({"run_id": "run-" + "a" * 24}, "run_id: there is no run"),
        ({"by": ""}, "by"),
        ({"by": "x" * 257}, "by"),
        ({"note": "x" * 2_001}, "note"),
        ({"escalation_id": "esc-1"}, "escalation_id"),
        ({}, "has not ended"),
    ],
)
def test_what_is_no_feedback_by_iam_is_refused_by_its_field(stack: Stack, change: Any, complaint: str) -> None:
    said = {"run_id": stack.open(tenant="acme"), "verdict": "right", "by": "ann"}

    with pytest.raises(InvalidInput, match=complaint):
        stack.invoke("answer", said | change)


def test_a_run_that_goes_on_takes_none(stack: Stack) -> None:
    run_id = stack.open(tenant="acme")

    reply = say(stack, run_id, "right")

    assert (reply.status, reply.body["title"]) == (409, "Run goes on")
    assert [one.name for one in stack.log.read(run_id)] == ["run.opened"]


@pytest.mark.parametrize(
    "body", [{}, {"verdict": "good"}, {"verdict": ["right"]}, {"verdict": "right", "note": "x" * 2_001}, {"note": "x"}]
)
def test_what_is_no_feedback_is_refused_by_its_field(stack: Stack, body: Any) -> None:
    run_id = answered(stack, tenant="acme")

    reply = ask(stack, "people", event("POST", f"/runs/{run_id}/feedback", who=REVIEWER, body=body))

    assert reply.status == 422
    assert reply.wrong & {"verdict", "note"}


def test_nobody_takes_the_room_of_others(stack: Stack) -> None:
    request = {"request_id": "feedback-room", "agent": "tester", "text": "x", "tenant": "acme"}
    run_id = stack.invoke("admit", {"request": request, "requested_by": ASKED_FOR_IT})["run_id"]
    stack.log.write(run_id, "0001.plan.decided", {"planner": "fallback", "decision": {"kind": "answer", "text": "x"}})
    stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})

    said = [say(stack, run_id, "right", f"{number}", who=ACME).status for number in range(60)]

    assert said == [200] * EACH + [409] * (60 - EACH)
    assert say(stack, run_id, "right", f"{EACH - 1}", who=ACME).status == 200  # a repeat needs no room
    assert say(stack, run_id, "wrong", "It paid twice.", who=REVIEWER).status == 200
    for number in range(EACH + 2, MOST - FOR_OPERATORS + 1):
        stack.log.write(run_id, RunFeedback.key(number), {"verdict": "right", "by": f"p{number}", "note": ""})
    refused = say(stack, run_id, "wrong", "Again.", who=REVIEWER)
    assert (refused.status, refused.body["title"]) == (409, "Too much feedback")
    assert "an operator" in refused.body["detail"]
    assert say(stack, run_id, "wrong", "It did.", who=OPERATOR).status == 200
    assert shown(stack, run_id)[0] == "wrong"


def test_words_of_one_person_at_the_same_moment_are_both_recorded(stack: Stack) -> None:
    run_id = answered(stack, tenant="acme", request_id="feedback-at-once")
    taker, ann = FeedbackTaker(stack.log), Caller("ann", None, "operator")
    before = stack.log.read(run_id)  # both have read it before either writes

    first, second, again = (taker.take(before, "wrong", note, ann) for note in ("first", "second", "second"))

    assert (first.note, second.note, again.note) == ("first", "second", "second")
    assert [event.body["note"] for event in stack.log.read(run_id) if event.name == RunFeedback.NAME] == [
        "first",
        "second",
    ]


def test_the_room_holds_for_those_who_write_at_the_same_moment(stack: Stack) -> None:
    run_id = answered(stack, tenant="acme", request_id="feedback-room-at-once")
    taker, before = FeedbackTaker(stack.log), stack.log.read(run_id)  # all have read it before any writes

    def refused(caller: Caller, note: str) -> bool:
        try:
            taker.take(before, "right", note, caller)
        except Problem:
            return True
        return False

    mia, rae = (Caller(name, None, "operator") for name in ("mia", "rae"))
    assert [refused(mia, str(number)) for number in range(EACH + 2)] == [False] * EACH + [True] * 2
    assert [refused(rae, str(number)) for number in range(EACH + 2)] == [False] * EACH + [True] * 2
    for number in range(2 * EACH + 1, MOST - 1):
        stack.log.write(run_id, RunFeedback.key(number), {"verdict": "right", "by": f"p{number}", "note": ""})
    before = stack.log.read(run_id)

    said = [refused(Caller(f"o{number}", None, "operator"), "late") for number in range(4)]

    assert said == [False, False, True, True]
    assert sum(event.name == RunFeedback.NAME for event in stack.log.read(run_id)) == MOST


@pytest.mark.parametrize(
    "body", [{}, {"verdict": "right"}, {"verdict": "odd", "by": "eve"}, {"verdict": 1, "by": "eve"}]
)
def test_what_no_person_gives_hides_nothing_and_is_passed_by(stack: Stack, body: dict[str, Any]) -> None:
    run_id = answered(stack, tenant=f"odd-{len(str(body))}")
    stack.log.write(run_id, RunFeedback.key(1), body)
    assert shown(stack, run_id) == (None, [])

    say(stack, run_id, "wrong", who=OPERATOR)

    assert shown(stack, run_id) == ("wrong", [("wrong", "ann", "")])


def test_a_forged_one_before_the_end_ends_nothing(stack: Stack) -> None:
    run_id = stack.open(tenant="early")
    stack.log.write(run_id, RunFeedback.key(1), {"verdict": "wrong", "by": "eve"})

    assert ask(stack, "api", event("GET", f"/runs/{run_id}")).body["status"] == "running"


def test_feedback_and_a_status_are_not_asked_for_together(stack: Stack) -> None:
    query = {"tenant": "acme", "feedback": "wrong", "status": "answered"}

    reply = ask(stack, "api", event("GET", "/runs", query=query))

    assert reply.status == 422
    assert reply.wrong == {"feedback"}


_PEOPLE = st.sampled_from(["ann", "rae", "shop"])
_SAID = st.lists(st.tuples(_PEOPLE, st.sampled_from(["right", "wrong"]), st.text(max_size=5)), max_size=12)


@given(_SAID)
def test_the_newest_words_of_each_person_count(said: list[tuple[str, str, str]]) -> None:
    events = [Event(run_id="run-1", seq=RunEnded.key(), at="", body={})]
    for number, (by, verdict, note) in enumerate(said, 1):
        one = RunFeedback(number=number, verdict=verdict, by=by, note=note)
        events.append(Event(run_id="run-1", seq=one.seq, at="", body=one.body))

    found = feedback_in(reversed(events))

    newest = {by: (verdict, note) for by, verdict, note in said}
    assert {one.by: (one.verdict, one.note) for one in found} == newest
    wanted = None if not newest else "wrong" if any(verdict == "wrong" for verdict, _ in newest.values()) else "right"
    assert verdict_of(found) == wanted
