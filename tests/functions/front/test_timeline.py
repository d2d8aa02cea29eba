"""``GET /runs/{run_id}/timeline``: pages that fit Lambda's response, for callers who may see the run."""

import json
from typing import Any

import pytest

from ballast.contracts.timeline import Timeline
from ballast.http.paging import PAGE_BYTES
from functions.front.runs import timeline_page
from tests.functions.front.test_api_read import answered, get, waits
from tests.functions.front.test_corrupt import LAMBDA_BYTES, WAYS, corrupt
from tests.functions.http import ACME, GLOBEX, ask, event
from tests.functions.stack import Stack
from tests.support.sampling import examples, sampled

pytestmark = pytest.mark.usefixtures("waiting_workflow")


def story(stack: Stack, run_id: str, **query: Any) -> Any:
    """Return the whole story, read page by page: the header of the last page, all turns."""
    turns: list[Any] = []
    for _ in range(200):
        reply = get(stack, f"/runs/{run_id}/timeline", **query)
        assert reply.status == 200
        assert len(json.dumps({"body": reply.text})) < LAMBDA_BYTES
        turns += reply.body["turns"]
        if reply.body["next"] is None:
            return reply.body | {"turns": turns}
        query["after"] = reply.body["next"]
    raise AssertionError("the pages have no end")


def proposed(stack: Stack, turns: int) -> str:
    run_id = stack.open()
    for turn in range(1, turns + 1):
        stack.propose(run_id, {"tool": "read_note", "arguments": {"note": turn}}, turn=turn)
        stack.settled(run_id, turn, {"status": "ok", "result": turn})
    return run_id


def test_it_says_what_the_run_says(stack: Stack) -> None:
    for make in (answered, waits, Stack.open):
        run_id = make(stack)
        run = get(stack, f"/runs/{run_id}").body

        made = story(stack, run_id)

        assert made["version"] == 1
        assert (made["run_id"], made["tenant"], made["intent"]) == (run_id, run["tenant"], run["intent"] or "")
        assert made["status"] == {"running": "open"}.get(run["status"], run["status"])
        assert (made["by"], made["answer"]) == (run["by"] or "", run["answer"] or "")
        assert made["degraded"] is (run["degraded"] is True)
        assert (run["escalation_id"] or "") in made["ending"]


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
def test_the_pages_of_a_story_are_the_story_and_its_header_is_on_each(stack: Stack, limit: int) -> None:
    run_id = proposed(stack, 5)
    wanted = stack.log.read(run_id).timeline()

    made = story(stack, run_id, limit=limit)

    assert made == json.loads(wanted.to_json()) | {"next": None}
    first = get(stack, f"/runs/{run_id}/timeline", limit=limit).body
    assert {**first, "turns": [], "next": None} == {**made, "turns": []}


def test_a_run_whose_log_is_empty_yet_has_a_story_without_turns(stack: Stack) -> None:
    started = ask(stack, "api", event("POST", "/runs", body={"text": "Soon.", "agent": "tester"})).body

    made = story(stack, started["run_id"])

    assert (made["status"], made["turns"], made["run_id"]) == ("open", [], started["run_id"])


def test_a_run_that_is_not_there_has_no_story(stack: Stack) -> None:
    for run_id in ("run-" + "a" * 24, "run-x", "x"):
        assert get(stack, f"/runs/{run_id}/timeline").status == 404


@pytest.mark.parametrize("after", ["", "x", "-1", "9999", "0001.call.1.settled"])
def test_only_a_turn_is_gone_on_after(stack: Stack, after: str) -> None:
    reply = get(stack, f"/runs/{stack.open()}/timeline", after=after)

    assert (reply.status, reply.wrong) == (422, {"after"})


@pytest.mark.parametrize("how", WAYS)
def test_what_cannot_be_read_is_named_where_it_belongs_and_hides_nothing_else(stack: Stack, how: Any) -> None:
    run_id = answered(stack, "Tidied.", intent="tidy", tenant="acme")
    corrupt(stack, run_id, "0001.plan.decided", how)

    made = ask(stack, "api", event("GET", f"/runs/{run_id}/timeline", who=ACME)).body

    assert (made["status"], made["answer"], made["intent"]) == ("answered", "Tidied.", "tidy")
    assert [(one["seq"], one["turn"], one["partly"]) for one in made["unreadable"]] == [("0001.plan.decided", 1, False)]
    assert ask(stack, "api", event("GET", f"/runs/{run_id}/timeline", who=GLOBEX)).status == 404


def test_half_a_character_from_a_model_is_no_harm(stack: Stack) -> None:
    run_id = stack.open()
    stack.log.write(run_id, "0001.model.failed", {"cost_microusd": 0, "attempt": 1, "error": "\ud83d \U0001f600"})

    reply = get(stack, f"/runs/{run_id}/timeline")

    reply.text.encode()
    assert reply.body["turns"][0]["attempts"][0]["error"] == "\ufffd \U0001f600"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("letter", sampled(["x", "漢", "😀", '"'], ["x", "漢"]))
def test_a_page_of_a_story_is_full_by_its_bytes(stack: Stack, letter: str) -> None:
    run_id = stack.open()
    for turn in range(1, 12):
        stack.settled(run_id, turn, {"status": "ok", "result": letter * 150_000})
    stack.settled(run_id, 12, {"status": "ok", "result": letter * PAGE_BYTES})

    made = story(stack, run_id)

    assert [turn["turn"] for turn in made["turns"]] == list(range(1, 13))
    calls = [turn["calls"][0] for turn in made["turns"]]
    assert [bool(call["left_out"]) for call in calls] == [False] * 11 + [True]
    assert calls[-1]["result"] is None
    assert calls[0]["result"] == letter * 150_000


@pytest.mark.parametrize("letter", sampled(["x", "😀"], ["😀"]))
def test_a_header_and_a_turn_of_any_size_fit_into_an_answer(letter: str) -> None:
    much = letter * examples(1_000_000, 3_000_000)
    names = [f"{number:06d}" for number in range(15_000)]
    piece = {"role": "user", "kind": "text", "text": much}
    attempt = {"attempt": 1, "state": "open", "prompt": [piece]}
    made = Timeline.model_validate(
        {
            "run_id": "run-x",
            "status": "open",
            "ending": much,
            "answer": much,
            "request": dict.fromkeys(names, letter),
            "unknown": names,
            "unreadable": [{"seq": name, "why": much[:50]} for name in names],
            "money": {"models": [{"name": name, "attempts": 1} for name in names]},
            "turns": [
                {"turn": 1, "planner": "agent", "attempts": [attempt]},
                {
                    "turn": 2,
                    "planner": "agent",
                    "spent_microusd": 5,
                    "attempts": [{"attempt": 1, "state": "open"}] * 15_000,
                },
            ],
        }
    )

    first, second = timeline_page(made, 0, 1), timeline_page(made, 1, 1)

    for page in (first, second):
        assert len(json.dumps({"body": json.dumps(page.model_dump())})) < LAMBDA_BYTES
    said = first.turns[0].attempts[0].prompt[0]
    assert len(said.text) + said.left_out == len(much)
    assert said.left_out > 0
    assert (second.turns[0].attempts, second.turns[0].spent_microusd) == ((), 5)
    assert second.turns[0].left_out > PAGE_BYTES
    assert (first.next, second.next) == (1, None)
