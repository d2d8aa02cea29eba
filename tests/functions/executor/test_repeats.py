"""With ``once`` the same call acts once in a run; a repeat gets the recorded result, and a notice says so."""

from typing import Any

import pytest

from ballast.errors import ApprovalRequired, EffectUnknown
from tests.functions.stack import LambdaDied, Stack, once
from tests.functions.writes import add


def twice(
    stack: Stack, first: dict[str, Any], second: dict[str, Any], *, by: str = "agent", intent: str | None = None
) -> str:
    """Propose ``first`` and execute it, propose ``second`` in the next turn, and return the run id."""
    run_id = stack.open(intent=intent)
    stack.propose(run_id, first)
    stack.execute(run_id)
    stack.propose(run_id, second, turn=2, by=by)
    return run_id


@pytest.mark.parametrize(
    "again",
    [
        add("keyed_add"),
        add("keyed_add", by=1),
        add("keyed_add", by=1.0),
        {"tool": "keyed_add", "arguments": {"text": "", "how": "well", "note_id": "n-1"}},
    ],
)
def test_the_same_arguments_however_they_are_written_act_once(writes: Stack, again: dict[str, Any]) -> None:
    run_id = twice(writes, add("keyed_add"), again)

    assert writes.execute(run_id, 2) == "ok"

    settled = writes.body(run_id, "0002.call.1.settled")
    assert settled["result"] == {"note_id": "n-1"}
    assert settled["repeat_of"] == [1, 1]
    assert "Not executed again" in settled["notice"]
    assert "0002.call.1.intended" not in writes.seqs(run_id)
    assert writes.count("n-1") == 1


@pytest.mark.parametrize(
    "other", [add("keyed_add", by=2), add("keyed_add", text="1"), add("keyed_add", text=" "), add("verified_add")]
)
def test_other_arguments_or_another_tool_are_no_repeat(writes: Stack, other: dict[str, Any]) -> None:
    run_id = twice(writes, add("keyed_add"), other)

    assert writes.execute(run_id, 2) == "ok"
    assert writes.count("n-1") == 2


def test_within_one_reply_as_well(writes: Stack) -> None:
    run_id = writes.open()
    writes.propose(run_id, add("keyed_add"), add("keyed_add"), add("keyed_add"))

    statuses = [writes.execute(run_id, index=index) for index in (1, 2, 3)]

    assert statuses == ["ok"] * 3
    assert writes.body(run_id, "0001.call.3.settled")["repeat_of"] == [1, 1]
    assert writes.count("n-1") == 1


@pytest.mark.parametrize("by", ["agent", "fallback", "human"])
def test_whoever_proposes_it_again(writes: Stack, by: str) -> None:
    its = add("keyed_add", by=1.0, text="")  # as the script for ``clean`` asks for it
    run_id = twice(writes, its, its, by=by, intent="clean")

    assert writes.execute(run_id, 2) == "ok"
    assert writes.count("n-1") == 1


def test_in_another_run_it_is_no_repeat(writes: Stack) -> None:
    for _ in range(2):
        run_id = writes.open()
        writes.propose(run_id, add("keyed_add"))
        writes.execute(run_id)

    assert writes.count("n-1") == 2


def test_allowed_repeats_act(writes: Stack) -> None:
    run_id = twice(writes, add("letter"), add("letter"))

    assert writes.execute(run_id, 2) == "ok"
    assert writes.count("n-1") == 2


@pytest.mark.parametrize("how", ["no", "nothing_done"])
def test_what_failed_may_be_tried_again(writes: Stack, how: str) -> None:
    run_id = twice(writes, add("plain_add", how), add("plain_add", how))

    writes.execute(run_id, 2)

    assert "0002.call.1.intended" in writes.seqs(run_id)


@pytest.mark.parametrize("status", ["unknown", "intended"])
def test_what_may_have_happened_is_not_repeated(writes: Stack, status: str) -> None:
    run_id = writes.open()
    writes.propose(run_id, add("plain_add"))
    writes.after("executor", "dynamodb", "UpdateItem", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        writes.execute(run_id)
    if status == "unknown":
        writes.settled(run_id, 1, {"status": "unknown", "message": "Nobody knows."})
    writes.propose(run_id, add("plain_add"), turn=2)

    assert writes.execute(run_id, 2, runtime=writes.cold("executor")) == "refused"

    refused = writes.body(run_id, "0002.call.1.refused")
    assert refused["error"] == "RepeatRefused"
    assert "nobody knows whether that happened" in refused["message"]
    assert writes.count("n-1") == 1


def test_a_person_who_has_looked_may_propose_it_again(writes: Stack) -> None:
    run_id = writes.open()
    writes.propose(run_id, add("plain_add", "outage_before"))
    with pytest.raises(EffectUnknown):
        writes.execute(run_id)
    writes.propose(run_id, add("plain_add", "outage_before"), turn=2, by="agent")
    assert writes.execute(run_id, 2) == "refused"
    writes.propose(run_id, add("plain_add", "outage_before"), turn=3, by="human")

    with pytest.raises(EffectUnknown):
        writes.execute(run_id, 3)

    assert "0003.call.1.intended" in writes.seqs(run_id)


def test_what_the_rollback_undid_may_act_again_and_be_undone_again(writes: Stack) -> None:
    run_id = twice(writes, add("keyed_add"), add("keyed_add"), by="fallback")
    writes.plan(run_id, 3, by="rollback")
    writes.execute(run_id, 3)
    assert writes.plan(run_id, 4, by="rollback")["reason"] == "rolled_back"
    writes.propose(run_id, add("keyed_add"), turn=5)
    assert writes.execute(run_id, 5) == "ok"

    writes.plan(run_id, 6, by="rollback")

    assert writes.body(run_id, "0006.plan.decided")["undoes"] == [5, 1]
    assert writes.execute(run_id, 6) == "ok"
    assert (writes.count("n-1"), writes.count("n-1", "erasures")) == (2, 2)


def test_two_effects_with_the_same_undo_are_two_undos(writes: Stack) -> None:
    run_id = twice(writes, add("keyed_add", by=1), add("keyed_add", by=2))
    writes.execute(run_id, 2)

    for turn in (3, 4):
        assert writes.plan(run_id, turn, by="rollback")["kind"] == "call_tools"
        assert writes.execute(run_id, turn) == "ok"

    assert writes.plan(run_id, 5, by="rollback")["reason"] == "rolled_back"
    assert (writes.count("n-1"), writes.count("n-1", "erasures")) == (2, 2)


def test_an_attempt_that_goes_on_is_no_repeat_of_itself(writes: Stack) -> None:
    run_id = writes.open()
    writes.propose(run_id, add("keyed_add"))
    writes.on("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.settled"))
    with pytest.raises(LambdaDied):
        writes.execute(run_id)

    assert writes.execute(run_id, runtime=writes.cold("executor")) == "ok"

    assert "repeat_of" not in writes.body(run_id, "0001.call.1.settled")


def test_a_read_that_says_once_is_read_once(writes: Stack) -> None:
    call = {"tool": "read_once", "arguments": {"note_id": "n-1"}}
    run_id = twice(writes, call, call)

    assert writes.execute(run_id, 2) == "ok"

    state = writes.events(run_id).call(2, 1)
    assert state is not None
    assert (state.result, state.repeat_of) == (1.0, (1, 1))
    assert writes.count("n-1") == 1


# A person is asked


def test_where_the_tool_says_ask_only_the_repeat_waits_for_a_person(writes: Stack) -> None:
    run_id = twice(writes, add("announce"), add("announce"))

    with pytest.raises(ApprovalRequired):
        writes.execute(run_id, 2)

    assert writes.count("n-1") == 1


def test_a_person_who_proposes_the_repeat_needs_another_one(writes: Stack) -> None:
    run_id = twice(writes, add("announce"), add("announce"), by="human")

    with pytest.raises(ApprovalRequired):
        writes.execute(run_id, 2)

    assert writes.count("n-1") == 1
