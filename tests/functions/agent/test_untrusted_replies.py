"""Untrusted replies: each ends in a decision or a named reason, and the run's log stays readable."""

import json
from typing import Any

import pytest

from tests.functions.agent.legal import complaints
from tests.functions.endpoint import Endpoint, Reply, calls, reads, reply, says
from tests.functions.stack import Stack

SERVER_SIDE = [
    {"toolUse": {"toolUseId": "srv_1", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": "x"}}},
    {"toolResult": {"toolUseId": "srv_1", "type": "nova_grounding_result", "content": [{"text": "found"}]}},
]
READ = {"toolUse": {"toolUseId": "tooluse_1", "name": "read_note", "input": {"note_id": "n-1"}}}


def go_on(stack: Stack, model: Endpoint, run_id: str, *, turn: int = 2) -> dict[str, Any]:
    """Execute nothing, plan the next turn, and return the request that the agent sent."""
    model.will(says("Done."))
    assert stack.plan(run_id, turn)["kind"] == "answer"
    return model.requests[-1]


# Calls that are not executed


def test_a_server_side_tool_is_neither_executed_nor_counted(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open(limits={"tool_calls": 1})
    model.will(reply(*SERVER_SIDE, READ, stop="tool_use"))

    summary = stack.plan(run_id)

    assert summary["calls"] == [1]
    assert stack.body(run_id, "0001.model.responded")["decision"]["calls"][0]["tool"] == "read_note"


def test_a_server_side_tool_whose_result_is_still_to_come_is_not_executed_either(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reply(SERVER_SIDE[0], READ, stop="tool_use"))
    assert stack.plan(run_id)["calls"] == [1]

    request = go_on(stack, model, run_id)

    assert stack.body(run_id, "0001.model.responded")["decision"]["calls"][0]["tool"] == "read_note"
    assert complaints(request) == []


def test_a_server_side_tool_and_an_answer_are_an_answer(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reply(*SERVER_SIDE, {"text": "It is found."}))

    assert stack.plan(run_id)["kind"] == "answer"


@pytest.mark.parametrize("server_id", ["srv_1", "", "tooluse_1"])
def test_a_server_side_tool_is_sent_back_legally_whatever_its_id(stack: Stack, model: Endpoint, server_id: str) -> None:
    run_id = stack.open()
    use, result = SERVER_SIDE[0]["toolUse"], SERVER_SIDE[1]["toolResult"]
    server_side = [{"toolUse": use | {"toolUseId": server_id}}, {"toolResult": result | {"toolUseId": server_id}}]
    model.will(reply(*server_side, *server_side, READ, stop="tool_use"))
    assert stack.plan(run_id)["calls"] == [1]

    request = go_on(stack, model, run_id)

    assert complaints(request) == []
    sent = request["messages"][1]["content"]
    assert [next(iter(block)) for block in sent] == ["toolUse", "toolResult", "toolUse", "toolResult", "toolUse"]
    assert sent[0]["toolUse"]["toolUseId"] == sent[1]["toolResult"]["toolUseId"] != sent[2]["toolUse"]["toolUseId"]


def test_a_call_that_came_with_its_result_was_executed_by_the_provider(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    result = {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "found"}]}}
    model.will(reply(READ, result, {"text": "It is found."}))

    assert stack.plan(run_id)["kind"] == "answer"


# Ids


@pytest.mark.parametrize("ids", [("", ""), ("call_0", "call_0"), ("t0001c2", "t0001c1"), (None, 7)])
def test_a_calls_id_is_no_identity(stack: Stack, model: Endpoint, ids: tuple[Any, Any]) -> None:
    run_id = stack.open()
    first, second = ids
    for _ in range(2):  # the same ids again in the next turn
        model.will(
            calls(
                {"name": "read_note", "input": {"note_id": "n-1"}, "toolUseId": first},
                {"name": "read_note", "input": {"note_id": "n-2"}, "toolUseId": second},
            )
        )
    assert stack.plan(run_id, 1)["calls"] == stack.plan(run_id, 2)["calls"] == [1, 2]

    request = go_on(stack, model, run_id, turn=3)

    assert complaints(request) == []
    for turn, at in ((1, 1), (2, 3)):
        uses = [block["toolUse"] for block in request["messages"][at]["content"]]
        assert [(use["toolUseId"], use["input"]["note_id"]) for use in uses] == [
            (f"t000{turn}c1", "n-1"),
            (f"t000{turn}c2", "n-2"),
        ]


# Names and arguments


@pytest.mark.parametrize(
    ("name", "sent_back"),
    [("a tool?", "a_tool_"), ("../../etc", "______etc"), ("läuft", "l_uft"), ("n" * 200, "n" * 64), ("", "unnamed")],
)
def test_an_illegal_name_reaches_the_gate_as_it_is_and_the_model_in_legal_form(
    stack: Stack, model: Endpoint, name: str, sent_back: str
) -> None:
    run_id = stack.open()
    model.will(calls({"name": name}))
    assert stack.plan(run_id)["kind"] == "call_tools"

    status, request = stack.execute(run_id), go_on(stack, model, run_id)

    assert status == "refused"
    assert stack.body(run_id, "0001.call.1.refused")["tool"] == name
    assert request["messages"][1]["content"][0]["toolUse"]["name"] == sent_back
    assert complaints(request) == []


@pytest.mark.parametrize("name", [None, 5, "n" * 300, "read_note\ud800"])
def test_a_name_that_is_none_is_refused_by_the_executor_and_shown_to_the_model(
    stack: Stack, model: Endpoint, name: Any
) -> None:
    run_id = stack.open()
    model.will(calls({"name": name}))
    assert stack.plan(run_id)["kind"] == "call_tools"

    status, request = stack.execute(run_id), go_on(stack, model, run_id)

    assert status == "refused"
    assert complaints(request) == []


@pytest.mark.parametrize(
    "arguments", ['{"note_id": "n-1"}', "read n-1", ["n-1"], 7, None, {"note_id": "\ud800"}, {"$bytes": "?"}]
)
def test_arguments_that_are_no_object_are_refused_by_the_executor_and_shown_to_the_model(
    stack: Stack, model: Endpoint, arguments: Any
) -> None:
    run_id = stack.open()
    model.will(calls({"name": "read_note", "input": arguments}))
    assert stack.plan(run_id)["kind"] == "call_tools"

    status, request = stack.execute(run_id), go_on(stack, model, run_id)

    assert status == "refused"
    assert complaints(request) == []
    answer = request["messages"][2]["content"][0]["toolResult"]
    assert answer["status"] == "error"
    assert "note_id" in answer["content"][0]["text"]


def test_of_a_repeated_key_the_last_one_counts(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    body = json.loads(reads("n-1").body)
    raw = json.dumps(body).replace('{"note_id": "n-1"}', '{"note_id": "n-1", "note_id": "n-2"}')
    model.will(Reply(raw.encode()))

    stack.plan(run_id)

    decided = stack.body(run_id, "0001.model.responded")["decision"]
    assert decided["calls"][0]["arguments"] == {"note_id": "n-2"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_have_never_reaches_a_tool_as_a_number(
    stack: Stack, model: Endpoint, number: str
) -> None:
    run_id = stack.open()
    arguments = {"note_id": "n-1", "text": "x", "stars": "?"}
    raw = calls({"name": "write_note", "input": arguments}).body.replace(b'"?"', number.encode())
    model.will(Reply(raw))
    stack.plan(run_id)

    status, request = stack.execute(run_id), go_on(stack, model, run_id)

    assert status == "refused"
    assert complaints(request) == []


@pytest.mark.parametrize("depth", [70, 200, 300, 900, 20_000])
def test_arguments_nested_without_end_are_no_call(stack: Stack, model: Endpoint, depth: int) -> None:
    run_id = stack.open()
    raw = calls({"name": "read_note", "input": {"deep": "?"}}).body
    model.will(Reply(raw.replace(b'"?"', b'{"a":' * depth + b"1" + b"}" * depth)))

    summary = stack.plan(run_id)

    assert summary["reason"] in ("malformed_tool_use", "malformed_model_output")
    assert stack.plan(run_id) == summary


def test_more_calls_than_a_turn_may_have_are_malformed(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reads(*(f"n-{n}" for n in range(51))))

    assert stack.plan(run_id)["reason"] == "malformed_tool_use"


# Texts


@pytest.mark.parametrize("content", [[], [{"text": ""}], [{"text": " \n\t"}], [{"text": 5}], [{"text": ""}] * 3])
def test_an_answer_without_words_hands_over(stack: Stack, model: Endpoint, content: list[Any]) -> None:
    run_id = stack.open()
    model.will(reply(*content))

    assert stack.plan(run_id)["reason"] == "empty_answer"


def test_blank_texts_are_left_out_of_the_answer_and_of_what_is_sent_back(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reply({"text": " "}, READ, {"text": "\n"}, stop="tool_use"))
    stack.plan(run_id)
    model.will(reply({"text": ""}, {"text": "One."}, {"text": " "}, {"text": "Two."}))

    stack.plan(run_id, 2)

    assert complaints(model.requests[-1]) == []
    assert stack.body(run_id, "0002.model.responded")["decision"]["text"] == "One.\n\nTwo."


def test_half_a_character_does_not_make_the_run_unreadable(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(says("Half an emoji: \ud83d"))

    summary = stack.plan(run_id)

    assert summary["kind"] == "answer"
    assert stack.body(run_id, "0001.model.responded")["decision"]["text"] == "Half an emoji: \ufffd"
    assert stack.plan(run_id) == summary
    settled = stack.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "answer"})
    assert settled["status"] == "answered"


# Blocks


def test_encrypted_reasoning_survives_the_log_and_is_sent_back_as_bytes(stack: Stack, model: Endpoint) -> None:
    stack.environs["planner"]["MODEL_ID"] = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"  # it must get it back
    run_id = stack.open()
    redacted = {"reasoningContent": {"redactedContent": "AAH/c2VjcmV0"}}
    signed = {"reasoningContent": {"reasoningText": {"text": "Look first.", "signature": "c2ln"}}}
    model.will(reply(redacted, signed, READ, stop="tool_use"))
    stack.plan(run_id)

    request = go_on(stack, model, run_id)

    assert request["messages"][1]["content"][:2] == [redacted, signed]


def test_a_block_of_a_kind_that_is_not_known_yet_is_not_sent_back(stack: Stack, model: Endpoint) -> None:
    run_id = stack.open()
    model.will(reply({"hologram": {"beam": 1}}, READ, stop="tool_use"))
    assert stack.plan(run_id)["kind"] == "call_tools"

    request = go_on(stack, model, run_id)

    assert [next(iter(block)) for block in request["messages"][1]["content"]] == ["toolUse"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b'"text"',
        b"[1]",
        b"<html>",
        b"{}",
        b"\xff\xfe",
        b'{"output": "text"}',
        b'{"output": {"message": "text"}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": "text"}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": ["text"]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{}]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"text": "a", "image": {}}]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "end_turn", "usage": [1]}',
        b'{"output": {"message": {"content": [{"text": "a"}]}}, "usage": {"inputTokens": NaN, "outputTokens": 1}}',
    ],
)
def test_a_body_that_is_no_reply_is_malformed_output_and_stays_charged(
    stack: Stack, model: Endpoint, body: bytes
) -> None:
    run_id = stack.open()
    model.will(Reply(body))

    summary = stack.plan(run_id)

    assert (summary["kind"], summary["reason"]) == ("hand_over", "malformed_model_output")
    ended = [event for event in stack.events(run_id) if event.name in ("model.responded", "model.failed")]
    reserved = stack.body(run_id, "0001.model.requested")["reserved_microusd"]
    assert [event.body["cost_microusd"] for event in ended] == [reserved]


# Digits


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("12345678901234567.89", "12345678901234567.89"),
        ("0.12345678901234567890", "0.12345678901234567890"),
        ("1.10", 1.1),
        ("0.1", 0.1),
        ("9007199254740993", 9_007_199_254_740_993),
        ("1.0", 1.0),
    ],
)
def test_a_number_comes_with_the_digits_that_were_sent(
    stack: Stack, model: Endpoint, written: str, read: int | float | str
) -> None:
    run_id = stack.open()
    made = calls({"name": "read_note", "input": {"note_id": "n-1", "of": ["@", {"x": "@"}]}})
    model.will(Reply(made.body.replace(b'"@"', written.encode())))

    stack.plan(run_id)

    [call] = stack.body(run_id, "0001.model.responded")["decision"]["calls"]
    assert call["arguments"] == {"note_id": "n-1", "of": [read, {"x": read}]}
    assert type(call["arguments"]["of"][0]) is type(read)
