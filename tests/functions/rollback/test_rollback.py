"""The rollback: recorded undos, newest first, one a turn, through the same gate."""

from typing import Any

import pytest

from tests.functions.stack import LambdaContext, LambdaDied, Stack, once


def write(stack: Stack, run_id: str, turn: int, note_id: str) -> None:
    """Let the agent write a note in that turn."""
    call = {"tool": "write_note", "arguments": {"note_id": note_id, "text": "x"}}
    stack.propose(run_id, call, turn=turn)
    assert stack.execute(run_id, turn) == "ok"


def roll_back(stack: Stack, run_id: str, turn: int, **more: Any) -> dict[str, Any]:
    """Ask the rollback for the decision of that turn and return it as it is recorded."""
    stack.plan(run_id, turn, by="rollback", **more)
    decision: dict[str, Any] = stack.body(run_id, f"{turn:04d}.plan.decided")["decision"]
    return decision


def test_effects_are_undone_newest_first_and_then_the_next_planner_is_named(stack: Stack) -> None:
    run_id = stack.open(intent="tidy")
    for turn, note_id in ((1, "n-1"), (2, "n-2"), (3, "n-3")):
        write(stack, run_id, turn, note_id)

    undone = []
    for turn in (4, 5, 6):
        [call] = roll_back(stack, run_id, turn)["calls"]
        undone.append((call["tool"], call["arguments"]["note_id"]))
        assert stack.execute(run_id, turn) == "ok"
    last = roll_back(stack, run_id, 7)

    assert undone == [("erase_note", "n-3"), ("erase_note", "n-2"), ("erase_note", "n-1")]
    assert (last["to"], last["reason"]) == ("fallback", "rolled_back")
    assert [stack.count(note_id, "erasures") for note_id in ("n-1", "n-2", "n-3")] == [1, 1, 1]


def test_only_what_happened_and_has_an_undo_is_undone(stack: Stack) -> None:
    run_id = stack.open()
    stack.wrote(run_id, 1, undo=None)
    stack.propose(run_id, {"tool": "read_note", "arguments": {"note_id": "n-1"}}, turn=2)
    stack.execute(run_id, 2)
    stack.propose(run_id, {"tool": "write_note", "arguments": {}}, turn=3)
    stack.execute(run_id, 3)

    decision = roll_back(stack, run_id, 4)

    assert (decision["kind"], decision["to"], decision["reason"]) == ("hand_over", "human", "rolled_back")


@pytest.mark.parametrize(("intent", "to"), [("tidy", "fallback"), ("no_script", "human"), (None, "human")])
def test_with_nothing_to_undo_it_names_the_successor(stack: Stack, intent: str | None, to: str) -> None:
    run_id = stack.open(intent=intent)

    assert roll_back(stack, run_id, 1)["to"] == to


def test_a_fallback_that_had_its_turn_is_not_tried_again(stack: Stack) -> None:
    run_id = stack.open(intent="tidy")
    stack.plan(run_id, 1, by="fallback")

    assert roll_back(stack, run_id, 2)["to"] == "human"


def test_an_undo_that_fails_goes_to_a_person_who_is_told_which(stack: Stack) -> None:
    run_id = stack.open(intent="tidy")
    write(stack, run_id, 1, "n-666")
    roll_back(stack, run_id, 2)
    assert stack.execute(run_id, 2) == "failed"

    decision = roll_back(stack, run_id, 3)

    assert (decision["to"], decision["reason"]) == ("human", "rollback_incomplete")
    assert stack.body(run_id, "0003.plan.decided")["note"] == "erase_note failed: The note is locked."


def test_an_undo_that_fails_stops_the_undoing_of_what_came_before(stack: Stack) -> None:
    run_id = stack.open()
    write(stack, run_id, 1, "n-1")
    write(stack, run_id, 2, "n-666")
    roll_back(stack, run_id, 3)
    stack.execute(run_id, 3)

    assert roll_back(stack, run_id, 4)["reason"] == "rollback_incomplete"
    assert stack.count("n-1", "erasures") == 0


@pytest.mark.parametrize("when", ["on", "after"])
def test_asked_again_for_a_turn_it_says_the_same_even_where_it_died(stack: Stack, when: str) -> None:
    run_id = stack.open()
    write(stack, run_id, 1, "n-1")
    fault = stack.on if when == "on" else stack.after
    fault("rollback", "dynamodb", "PutItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        roll_back(stack, run_id, 2)

    first = roll_back(stack, run_id, 2, runtime=stack.cold("rollback"))
    stack.execute(run_id, 2)
    second = roll_back(stack, run_id, 2)

    assert first == second
    assert stack.execute(run_id, 2) == "ok"
    assert stack.count("n-1", "erasures") == 1


# Per tool: undo, keep or freeze


def done(stack: Stack, run_id: str, *tools: str, note_id: str = "n-1") -> None:
    """Let the agent call each of the tools, a turn each from the first on."""
    for turn, tool in enumerate(tools, start=1):
        stack.propose(run_id, {"tool": tool, "arguments": {"note_id": note_id}}, turn=turn)
        assert stack.execute(run_id, turn) == "ok"


def test_what_the_tool_says_to_keep_is_kept(writes: Stack) -> None:
    run_id = writes.open(intent="clean")
    done(writes, run_id, "keyed_add", "letter")

    [call] = roll_back(writes, run_id, 3)["calls"]
    writes.execute(run_id, 3)
    last = roll_back(writes, run_id, 4)

    assert call["tool"] == "take_away"
    assert (last["to"], last["reason"]) == ("fallback", "rolled_back")
    assert writes.count("n-1", "erasures") == 1


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ("announce", "a person must judge announce in turn 2."),
        ("with_doubtful_undo", "a person must judge with_doubtful_undo in turn 2."),
        ("take_away", "a person must judge take_away in turn 2."),
    ],
)
def test_what_is_for_a_person_to_judge_freezes_everything(writes: Stack, tool: str, why: str) -> None:
    run_id = writes.open(intent="clean")
    done(writes, run_id, "letter", tool)
    writes.propose(run_id, {"tool": "keyed_add", "arguments": {"note_id": "n-2"}}, turn=3)
    writes.execute(run_id, 3)

    decision = roll_back(writes, run_id, 4)

    assert (decision["to"], decision["reason"]) == ("human", "effect_frozen")
    assert why in writes.body(run_id, "0004.plan.decided")["note"]
    assert writes.count("n-2", "erasures") == 0


@pytest.mark.parametrize("settled", [True, False])
def test_an_effect_of_which_nobody_knows_freezes_everything(writes: Stack, settled: bool) -> None:
    run_id = writes.open(intent="clean")
    done(writes, run_id, "keyed_add")
    writes.propose(run_id, {"tool": "plain_add", "arguments": {"note_id": "n-2"}}, turn=2)
    writes.after("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0002.call.1.intended"))
    with pytest.raises(LambdaDied):
        writes.execute(run_id, 2)
    if settled:
        writes.settled(run_id, 2, {"status": "unknown", "message": "The bank did not answer."})

    decision = roll_back(writes, run_id, 3)

    assert (decision["to"], decision["reason"]) == ("human", "effect_frozen")
    assert "it is unknown whether plain_add in turn 2 took effect" in writes.body(run_id, "0003.plan.decided")["note"]
    assert writes.count("n-1", "erasures") == 0


def test_a_fallback_that_goes_on_from_what_was_done_gets_it(writes: Stack) -> None:
    run_id = writes.open(intent="goes_on")
    done(writes, run_id, "keyed_add")

    decision = roll_back(writes, run_id, 2)

    assert (decision["to"], decision["reason"]) == ("fallback", "effects_kept")
    writes.plan(run_id, 3, by="fallback")
    assert writes.execute(run_id, 3) == "ok"
    assert writes.body(run_id, "0003.call.1.settled")["repeat_of"] == [1, 1]
    assert writes.count("n-1") == 1


def test_a_fallback_that_starts_clean_does_anew_what_was_undone(writes: Stack) -> None:
    run_id = writes.open(intent="clean")
    done(writes, run_id, "keyed_add")
    roll_back(writes, run_id, 2)
    writes.execute(run_id, 2)
    assert roll_back(writes, run_id, 3)["to"] == "fallback"

    writes.plan(run_id, 4, by="fallback")

    assert writes.execute(run_id, 4) == "ok"
    assert (writes.count("n-1"), writes.count("n-1", "erasures")) == (2, 1)


def test_what_a_person_did_is_not_undone(writes: Stack) -> None:
    run_id = writes.open()
    writes.propose(run_id, {"tool": "keyed_add", "arguments": {"note_id": "n-1"}}, by="human")
    writes.execute(run_id)

    assert roll_back(writes, run_id, 2)["reason"] == "rolled_back"


@pytest.mark.parametrize("moment", ["0002.call.1.intended", "0002.call.1.settled"])
def test_a_dead_undo_is_resolved_and_undoes_once(writes: Stack, moment: str) -> None:
    run_id = writes.open()
    done(writes, run_id, "keyed_add")
    roll_back(writes, run_id, 2)
    writes.after("executor", "dynamodb", "PutItem", once(LambdaDied(), seq=moment))
    with pytest.raises(LambdaDied):
        writes.execute(run_id, 2, context=LambdaContext(remaining_ms=0))

    assert writes.execute(run_id, 2, runtime=writes.cold("executor")) == "ok"

    assert roll_back(writes, run_id, 3)["reason"] == "rolled_back"
    assert writes.count("n-1", "erasures") == 1


def test_an_undo_is_not_undone_and_not_repeated(stack: Stack) -> None:
    run_id = stack.open()
    write(stack, run_id, 1, "n-1")
    roll_back(stack, run_id, 2)
    stack.execute(run_id, 2)
    assert roll_back(stack, run_id, 3)["reason"] == "rolled_back"

    assert roll_back(stack, run_id, 4)["reason"] == "rolled_back"
    assert stack.count("n-1", "erasures") == 1


def test_what_the_workflow_says_of_the_planner_before_is_kept(stack: Stack) -> None:
    run_id = stack.open()

    roll_back(stack, run_id, 1, handed_over={"from": "agent", "reason": "planner_failed", "error": "LogCorrupt"})

    kept = stack.body(run_id, "0001.plan.decided")["handed_over"]
    assert kept == {"from": "agent", "reason": "planner_failed", "error": "LogCorrupt"}
