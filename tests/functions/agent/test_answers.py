"""Refused answers: sent back to the model once, then handed over; no invented value is ever sent."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.functions import desk as shop
from tests.functions.cloud import LEDGER
from tests.functions.desk import Call, Desk
from tests.functions.endpoint import Endpoint, says
from tests.functions.stack import Stack

LOOK_UP: Call = ("look_up_order", {"order_id": "O-1003"})
REFUND: Call = ("refund_order", {"order_id": "O-1003", "amount_usd": "12.50"})


@pytest.fixture(scope="module", autouse=True)
def tables(cloud: object) -> None:
    shop.create_tables()


@pytest.fixture
def desk(stack: Stack, model: Endpoint) -> Desk:
    return Desk.of(stack, model)


def answers(
    desk: Desk, *texts: str, calls: tuple[Call, ...] = (LOOK_UP,), **fields: Any
) -> tuple[str, list[dict[str, Any]]]:
    """Let the model make ``calls``, then answer with each of ``texts``; return the run id and the decision."""
    ran = desk.run("Order O-1003 is broken, please refund 12.50 USD.", *([call] for call in calls), **fields)
    assert [status for [status] in ran.statuses] == ["ok"] * len(calls)
    desk.model.replies.clear()
    desk.model.will(*(says(text) for text in texts))
    first = len(calls) + 1
    return ran.run_id, [desk.stack.plan(ran.run_id, first + number) for number in range(len(texts))]


def test_a_known_amount_and_a_known_id_are_sent(desk: Desk) -> None:
    _, [sent] = answers(desk, "Of the 40.00 USD for O-1003, 12.50 go back; 27.50 USD stay.")

    assert sent["kind"] == "answer"


def test_an_invented_amount_goes_back_to_the_model_with_what_to_mend(desk: Desk) -> None:
    run_id, [refused, sent] = answers(desk, "45 USD go back for O-1004.", "12.50 USD go back for O-1003.")

    assert (refused["kind"], refused["to"], refused["reason"]) == ("hand_over", "agent", "answer_invalid")
    assert sent["kind"] == "answer"
    told = desk.model.requests[-1]["messages"][-1]
    assert told["role"] == "user"
    assert "the amount 45 usd" in told["content"][0]["text"]
    assert "O-1004" in told["content"][0]["text"]
    body = desk.stack.body(run_id, "0002.model.responded")
    assert len(body["refused_answer"]) == 2
    assert body["message"]["content"] == [{"text": "45 USD go back for O-1004."}]


def test_an_answer_that_is_refused_twice_is_for_others(desk: Desk) -> None:
    _, [_, given_up] = answers(desk, "45 USD.", "46 USD.", intent="order_status")

    assert (given_up["kind"], given_up["to"], given_up["reason"]) == ("hand_over", "fallback", "answer_invalid")


def test_where_something_was_done_a_person_finds_the_words_and_nothing_is_rolled_back(desk: Desk) -> None:
    _, [_, given_up] = answers(desk, "45 USD.", "46 USD.", calls=(LOOK_UP, REFUND), intent="refund")

    assert (given_up["to"], given_up["reason"]) == ("human", "answer_invalid")


def test_after_a_persons_guidance_it_may_be_mended_once_more(desk: Desk) -> None:
    run_id, _ = answers(desk, "45 USD.", "46 USD.")
    guidance = {"kind": "hand_over", "to": "agent", "reason": "guidance", "guidance": "You may give 46 USD."}
    desk.stack.answered(run_id, 4, guidance)
    desk.model.will(says("47 USD."), says("46 USD."))

    decided = [desk.stack.plan(run_id, turn) for turn in (5, 6)]

    assert [one["kind"] for one in decided] == ["hand_over", "answer"]
    assert decided[0]["to"] == "agent"


def test_a_retry_finds_the_refusal_as_it_was_recorded(desk: Desk) -> None:
    run_id, [refused] = answers(desk, "45 USD.")
    asked = len(desk.model.requests)

    assert desk.stack.plan(run_id, 2) == refused
    assert len(desk.model.requests) == asked


# A schema for the intent

SCHEMA = """
  tidy:
    answer_schema:
      type: object
      required: [status]
      properties: {status: {enum: [done, failed]}, text: {type: string}}
"""


@pytest.fixture
def formal(stack: Stack, tmp_path: Path) -> Stack:
    """The ledger, with an answer schema for the intent ``tidy``."""
    folder = tmp_path / "formal"
    shutil.copytree(LEDGER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    config = folder / "agent.yaml"
    text = config.read_text(encoding="utf-8")
    assert "  tidy: {limits: {turns: 2}}\n" in text
    config.write_text(text.replace("  tidy: {limits: {turns: 2}}\n", SCHEMA.lstrip("\n")), encoding="utf-8")
    for environ in stack.environs.values():
        if "PLAYBOOK_DIR" in environ:
            environ["PLAYBOOK_DIR"] = str(folder)
    return stack


def test_the_model_is_told_the_form_and_its_data_is_recorded(formal: Stack, model: Endpoint) -> None:
    model.will(says('{"status": "done", "text": "All tidy."}'))
    run_id = formal.open(intent="tidy")

    assert formal.plan(run_id)["kind"] == "answer"

    assert "JSON Schema" in model.requests[0]["system"][1]["text"]
    decision = formal.body(run_id, "0001.model.responded")["decision"]
    assert (decision["text"], decision["data"]["status"]) == ("All tidy.", "done")


def test_another_intent_is_free(formal: Stack, model: Endpoint) -> None:
    model.will(says("All tidy."))
    run_id = formal.open(intent="silent")

    assert formal.plan(run_id)["kind"] == "answer"
    assert len(model.requests[0]["system"]) == 1


def test_what_does_not_fit_goes_back_once(formal: Stack, model: Endpoint) -> None:
    model.will(says("All tidy."), says('{"status": "perfect"}'))
    run_id = formal.open(intent="tidy")

    first, second = formal.plan(run_id, 1), formal.plan(run_id, 2)

    assert (first["to"], first["reason"]) == ("agent", "answer_invalid")
    assert "one JSON object" in model.requests[1]["messages"][-1]["content"][0]["text"]
    assert (second["to"], second["reason"]) == ("fallback", "answer_invalid")


def test_a_scripts_answer_that_does_not_fit_is_for_a_person(formal: Stack) -> None:
    run_id = formal.open(intent="tidy")
    formal.log.write(run_id, "0001.plan.decided", {"planner": "fallback", "decision": {"kind": "call_tools", "calls": [
        {"tool": "read_note", "arguments": {"note_id": "n-1"}}]}})  # fmt: skip
    note = {"note_id": "n-1", "text": "x", "price": "1.50", "written": "2026-01-02"}
    formal.settled(run_id, 1, {"status": "ok", "result": note})
    formal.log.write(run_id, "0002.plan.decided", {"planner": "fallback", "decision": {"kind": "call_tools", "calls": [
        {"tool": "write_note", "arguments": {"note_id": "n-2", "text": "copy of x", "stars": 0}}]}})  # fmt: skip
    formal.settled(run_id, 2, {"status": "ok", "result": note | {"text": "copy of x"}})

    decided = formal.plan(run_id, 3, by="fallback")

    assert (decided["to"], decided["reason"]) == ("human", "answer_invalid")
    assert "not JSON" in formal.body(run_id, "0003.plan.decided")["note"]
