"""The checks of a proposed call, their order, and the refusal that the planner reads."""

from typing import Any

import pytest

from ballast.errors import ApprovalRequired, InvalidInput
from tests.functions.approvals import answered, asks
from tests.functions.cloud import client
from tests.functions.stack import Stack

SECRET = "S3CRET-VALUE"


def refusal(stack: Stack, tool: str, arguments: Any) -> dict[str, Any]:
    """Return how the executor refuses such a call."""
    run_id = stack.open()
    stack.propose(run_id, {"tool": tool, "arguments": arguments})
    assert stack.execute(run_id) == "refused"
    return stack.body(run_id, "0001.call.1.refused")


@pytest.mark.parametrize(
    ("tool", "arguments", "error", "says"),
    [
        ("wriet_note", {"note_id": "n-1"}, "UnknownTool", ["'wriet_note'", "write_note", "read_note"]),
        ("", {}, "UnknownTool", ["''", "write_note"]),
        ("write_note", f"note_id={SECRET}", "MalformedArguments", ["object", "str", "note_id, text, stars"]),
        ("write_note", [SECRET], "MalformedArguments", ["object", "list"]),
        ("write_note", None, "MalformedArguments", ["object", "NoneType"]),
        ("write_note", {"note_id": "n-1"}, "SchemaViolation", ["text: Field required"]),
        ("write_note", {"note_id": SECRET, "text": "x"}, "SchemaViolation", ["note_id: ", "^n-[0-9]+$"]),
        ("write_note", {"note_id": "n-1", "text": "x", "stars": SECRET}, "SchemaViolation", ["stars: ", "integer"]),
        ("write_note", {"note_id": "n-1", "text": "x", "stars": 5_000}, "SchemaViolation", ["stars: ", "1000"]),
        ("write_note", {"note_id": "n-1", "text": "x", "colour": SECRET}, "SchemaViolation", ["colour: ", "stars"]),
        ("write_note", {"note_id": "n-1", "text": f"rude {SECRET}"}, "RuleViolation", ["text: must not be rude"]),
        ("trouble_writing", {"kind": SECRET}, "SchemaViolation", ["kind: ", "'none'", "'bug'"]),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed_and_repeats_no_value(
    stack: Stack, tool: str, arguments: Any, error: str, says: list[str]
) -> None:
    refused = refusal(stack, tool, arguments)

    assert refused["error"] == error
    assert [part for part in says if part not in refused["message"]] == []
    assert SECRET not in refused["message"]
    assert (refused["tool"], refused["arguments"]) == (tool, arguments)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("Where is it?", "not JSON"),
        ('{"note_id": "n-1"', "not JSON"),
        ("", "not JSON"),
        ('{"note_id": "n-1"} and then some', "after the JSON"),
        ('{"note_id": "n-1", "note_id": "n-2"}', "a key occurs twice"),
        ('{"note_id": "n-1", "more": [{"a": 1, "a": 2}]}', "a key occurs twice"),
        ('["n-1"]', "not an object"),
        ('{"note_id": "n-1", "text": "x"}', "send the object itself"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_arguments_that_came_as_text_are_told_what_is_wrong_with_it(stack: Stack, arguments: str, why: str) -> None:
    refused = refusal(stack, "write_note", arguments)

    assert refused["error"] == "MalformedArguments"
    assert why in refused["message"]
    assert "n-1" not in refused["message"]


@pytest.mark.parametrize(("levels", "error"), [(16, "SchemaViolation"), (17, "TooLarge"), (60, "TooLarge")])
def test_arguments_may_not_be_nested_deeper_than_the_tool_says(stack: Stack, levels: int, error: str) -> None:
    arguments: Any = "x"
    for _ in range(levels):
        arguments = {"note_id": arguments}

    assert refusal(stack, "write_note", arguments)["error"] == error


def test_the_gate_asks_in_this_order_tool_json_schema_rule(stack: Stack) -> None:
    wrong_in_every_way = [
        ("no_such_tool", "rude"),
        ("write_note", "rude"),
        ("write_note", {"text": "rude", "note_id": "one"}),
        ("write_note", {"text": "rude", "note_id": "n-1", "stars": 500}),  # 500 stars need approval, too
    ]

    errors = [refusal(stack, tool, arguments)["error"] for tool, arguments in wrong_in_every_way]

    assert errors == ["UnknownTool", "MalformedArguments", "SchemaViolation", "RuleViolation"]
    assert stack.notes() == {}


def test_arguments_that_are_too_large_are_refused_without_being_read(stack: Stack) -> None:
    refused = refusal(stack, "write_note", {"note_id": "n-1", "text": "x" * 64 * 1024})

    assert refused["error"] == "TooLarge"
    assert "65536" in refused["message"]
    assert stack.notes() == {}


def test_arguments_as_large_as_they_may_be_are_not(stack: Stack) -> None:
    run_id = stack.open()
    overhead = len('{"note_id":"n-1","text":""}')
    stack.propose(run_id, {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x" * (65_536 - overhead)}})

    assert stack.execute(run_id) == "ok"


def test_a_refusal_is_final_and_keeps_nothing_but_its_record(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, {"tool": "write_note", "arguments": {}})
    before = client("dynamodb").scan(TableName="idempotency")["Count"]

    statuses = [stack.execute(run_id) for _ in range(2)]

    assert statuses == ["refused", "refused"]
    assert stack.seqs(run_id) == ["0000.run.opened", "0001.plan.decided", "0001.call.1.refused"]
    assert client("dynamodb").scan(TableName="idempotency")["Count"] == before + 1
    assert stack.notes() == {}


@pytest.mark.parametrize(("turn", "index"), [(1, 3), (2, 1)])
def test_a_call_that_nobody_proposed_is_not_executed(stack: Stack, turn: int, index: int) -> None:
    run_id = stack.open()
    call = {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x"}}
    stack.propose(run_id, call, call)

    with pytest.raises(InvalidInput, match=f"turn {turn} has no call {index}"):
        stack.execute(run_id, turn, index)

    assert stack.notes() == {}


# Approval

COSTLY = {"tool": "write_note", "arguments": {"note_id": "n-1", "text": "x", "stars": 101}}


@pytest.mark.parametrize(("stars", "asked"), [(100, False), (101, True)])
def test_the_tool_says_what_needs_approval(stack: Stack, stars: int, asked: bool) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY | {"arguments": COSTLY["arguments"] | {"stars": stars}})

    if asked:
        with pytest.raises(ApprovalRequired, match="write_note"):
            stack.execute(run_id)
    else:
        assert stack.execute(run_id) == "ok"

    assert stack.count("n-1") == (0 if asked else 1)


def test_until_it_is_answered_it_is_asked_again_and_nothing_is_done(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY)

    for _ in range(2):
        with pytest.raises(ApprovalRequired):
            stack.execute(run_id)

    assert stack.notes() == {}
    assert stack.seqs(run_id) == ["0000.run.opened", "0001.plan.decided", "0001.call.1.approval_needed"]


def test_an_approved_call_is_executed(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)

    assert stack.execute(run_id) == "ok"
    assert stack.count("n-1") == 1


def test_a_rejected_call_is_denied_with_the_persons_comment(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY)
    asks(stack, run_id)
    answered(stack, run_id, approve=False, comment="Too many stars.")

    statuses = [stack.execute(run_id), stack.execute(run_id, unanswered=True)]

    assert statuses == ["denied", "denied"]
    assert stack.body(run_id, "0001.call.1.settled")["message"] == "A person rejected it. Too many stars."
    assert stack.notes() == {}


def test_nobodys_answer_denies_it_and_says_that_it_was_no_rejection(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY)
    asks(stack, run_id)

    assert stack.execute(run_id, unanswered=True) == "denied"

    assert "nobody answered in time" in stack.body(run_id, "0001.call.1.settled")["message"]
    assert stack.notes() == {}


def test_an_approval_that_came_at_the_last_moment_counts(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)

    assert stack.execute(run_id, unanswered=True) == "ok"


def test_an_approval_is_for_one_call_only(stack: Stack) -> None:
    run_id = stack.open()
    stack.propose(run_id, COSTLY, COSTLY)
    asks(stack, run_id)
    answered(stack, run_id, approve=True)
    assert stack.execute(run_id, index=1) == "ok"

    with pytest.raises(ApprovalRequired):
        stack.execute(run_id, index=2)

    assert stack.count("n-1") == 1
