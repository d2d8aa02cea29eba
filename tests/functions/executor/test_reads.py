"""A read that costs nothing is recorded once, with its outcome; every other call is intended first."""

from typing import Any

import pytest

from ballast.errors import RetryLater
from tests.functions.cloud import client
from tests.functions.executor.test_taint import EVIL, MAIL, READ, Post
from tests.functions.stack import LambdaDied, Stack, once


def names(stack: Stack, run_id: str) -> list[str]:
    """Return the keys of the call's events, without its position."""
    return [seq.removeprefix("0001.call.1.") for seq in stack.seqs(run_id) if seq.startswith("0001.call.1.")]


def proposed(stack: Stack, tool: str, **arguments: Any) -> str:
    client("dynamodb").put_item(TableName="notes", Item={"note_id": {"S": "n-1"}, "text": {"S": "milk"}})
    run_id = stack.open()
    stack.propose(run_id, {"tool": tool, "arguments": arguments})
    return run_id


def test_a_free_read_is_one_event_and_two_requests(stack: Stack) -> None:
    run_id = proposed(stack, "read_note", note_id="n-1")
    asked: list[str] = []
    for operation in ("Query", "PutItem", "TransactWriteItems", "UpdateItem"):
        stack.on("executor", "dynamodb", operation, lambda _, name=operation: asked.append(name))  # type: ignore[misc]

    assert stack.execute(run_id) == "ok"

    assert names(stack, run_id) == ["settled"]
    assert asked == ["Query", "Query", "PutItem"]  # the opening, the turn; the outcome


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("write_note", {"note_id": "n-1", "text": "milk"}), ("paid_search", {"pages": 5}), ("paid_letter", {"pages": 5})],
)
def test_what_costs_or_writes_is_intended_first(stack: Stack, tool: str, arguments: dict[str, Any]) -> None:
    run_id = proposed(stack, tool, **arguments)

    assert stack.execute(run_id) == "ok"

    assert names(stack, run_id) == ["intended", "settled"]
    assert "effect" not in stack.body(run_id, "0001.call.1.settled")


def test_the_run_knows_the_read_as_if_it_had_been_intended(stack: Stack) -> None:
    run_id = proposed(stack, "read_note", note_id="n-1")
    stack.execute(run_id)

    (state,) = stack.events(run_id).calls

    assert (state.status, state.effect, state.as_admitted.arguments) == ("ok", "read", {"note_id": "n-1"})


@pytest.mark.parametrize("problem", [LambdaDied("Runtime.ExitError"), RetryLater("no room")], ids=["dies", "no room"])
def test_a_read_that_ends_half_way_is_read_again(stack: Stack, problem: BaseException) -> None:
    run_id = proposed(stack, "read_note", note_id="n-1")
    stack.on("executor", "dynamodb", "PutItem", once(problem, seq="0001.call.1.settled"))
    with pytest.raises(type(problem)):
        stack.execute(run_id)
    assert names(stack, run_id) == []

    assert stack.execute(run_id) == "ok"
    assert stack.execute(run_id) == "ok"  # delivered twice

    assert names(stack, run_id) == ["settled"]


def test_a_read_that_took_its_value_from_untrusted_text_still_taints_what_it_returns(stack: Stack) -> None:
    post = Post(stack, MAIL)

    status = post.run(READ, ("change_text", {"text": EVIL, "how": "as it is"}), ("set_address", {"to": EVIL}))

    assert status == "refused"

    assert [name for name in stack.seqs(post.run_id) if "intended" in name] == []
    assert client("dynamodb").get_item(TableName="notes", Key={"note_id": {"S": "n-1"}}).get("Item") is None
