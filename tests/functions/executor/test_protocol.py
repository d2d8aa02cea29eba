"""A write happens once or is recorded as unknown, and is never repeated blindly: deaths, repeats, false errors."""

import itertools
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ballast.errors import AttemptInProgress, EffectUnknown, RetryLater
from functions.executor import downstream
from tests.functions.cloud import LEDGER
from tests.functions.stack import LambdaContext, LambdaDied, Stack, client_error, once
from tests.functions.writes import add, at, leases_are_over, tools_have_ended

RESOLVABLE = ("keyed_add", "verified_add")
ALL = ("plain_add", *RESOLVABLE)


def proposed(stack: Stack, tool: str, how: str = "well", **arguments: Any) -> str:
    """Propose one call and return the run id."""
    run_id = stack.open()
    stack.propose(run_id, add(tool, how, **arguments))
    return run_id


def until_it_ends(stack: Stack, run_id: str) -> str:
    """Attempt the call in ever new processes, with each lease over, until its outcome is recorded."""
    for _ in range(8):
        leases_are_over()
        try:
            return stack.execute(run_id, runtime=stack.cold("executor"))
        except EffectUnknown:
            return "unknown"
        except RetryLater:
            continue
    raise AssertionError("It never ended.")


def settled(stack: Stack, run_id: str) -> dict[str, Any]:
    return stack.body(run_id, "0001.call.1.settled")


# A run that is cut


def test_no_write_begins_once_the_run_has_its_ending(writes: Stack) -> None:
    run_id = proposed(writes, "keyed_add")

    def cut(params: dict[str, Any]) -> None:
        if params["Item"].get("seq") == {"S": "0001.call.1.intended"}:
            writes.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "failed"})

    writes.on("executor", "dynamodb", "PutItem", cut)

    assert writes.execute(run_id) == "failed"

    assert writes.count("n-1") == 0
    assert settled(writes, run_id)["message"] == "The run has ended; nothing was done."


def test_a_write_that_begins_while_the_run_is_cut_is_told_of(writes: Stack) -> None:
    """It began after Settle had looked at the log, and before the ending was on record."""
    run_id = proposed(writes, "keyed_add")
    begun: list[str] = []

    def begin(params: dict[str, Any]) -> None:
        if params["Item"].get("seq") == {"S": "9999.run.ended"}:
            begun.append(writes.execute(run_id))

    told: list[dict[str, Any]] = []
    writes.on("settle", "dynamodb", "PutItem", begin)
    writes.on("settle", "events", "PutEvents", told.append)

    writes.invoke("settle", {"run_id": run_id, "turn": 1, "ending": "failed"})

    assert begun == ["ok"]
    assert writes.count("n-1") == 1
    assert json.loads(told[0]["Entries"][0]["Detail"])["effects"] == "frozen"


# Death before and after every request

#: By moment: before or after which request, and whether a tool that can tell nothing is in doubt then.
MOMENTS = {
    "before the lease": ("on", "PutItem", "idempotency", False),
    "after the lease": ("after", "PutItem", "idempotency", False),
    "before intended": ("on", "PutItem", "intended", False),
    "after intended": ("after", "PutItem", "intended", True),
    "before the effect": ("on", "effect", "notes", True),
    "after the effect": ("after", "effect", "notes", True),
    "before the outcome is kept": ("on", "UpdateItem", "idempotency", True),
    "after the outcome is kept": ("after", "UpdateItem", "idempotency", False),
    "before settled": ("on", "PutItem", "settled", False),
    "after settled": ("after", "PutItem", "settled", False),
}


@pytest.mark.sampled(15)
@pytest.mark.parametrize(("tool", "moment"), list(itertools.product(ALL, MOMENTS)))
def test_killed_at_any_moment_a_write_happens_once_or_is_unknown(writes: Stack, tool: str, moment: str) -> None:
    when, operation, what, doubtful = MOMENTS[moment]
    run_id = proposed(writes, tool)
    if operation == "effect":
        operation = "UpdateItem" if tool == "plain_add" else "TransactWriteItems"
    seq = f"0001.call.1.{what}"
    do = at(what, LambdaDied()) if what in ("idempotency", "notes") else once(LambdaDied(), seq=seq)
    (writes.on if when == "on" else writes.after)("executor", "dynamodb", operation, do)
    with pytest.raises(LambdaDied):
        writes.execute(run_id)

    status = until_it_ends(writes, run_id)

    if tool == "plain_add" and doubtful:
        assert status == settled(writes, run_id)["status"] == "unknown"
        assert writes.count("n-1") == (0 if moment in ("after intended", "before the effect") else 1)
    else:
        assert status == settled(writes, run_id)["status"] == "ok"
        assert settled(writes, run_id)["result"] == {"note_id": "n-1"}
        assert writes.count("n-1") == 1


@pytest.mark.parametrize("tool", ALL)
def test_an_unknown_effect_stays_unknown_however_late_it_is_tried_again(writes: Stack, tool: str) -> None:
    run_id = proposed(writes, tool)
    writes.settled(run_id, 1, {"status": "unknown", "message": "Nobody knows."})

    for _ in range(2):
        with pytest.raises(EffectUnknown, match="Nobody knows"):
            writes.execute(run_id, runtime=writes.cold("executor"))

    assert writes.count("n-1") == 0


@pytest.mark.parametrize("tool", ALL)
def test_a_late_retry_of_what_is_settled_does_nothing(writes: Stack, tool: str) -> None:
    run_id = proposed(writes, tool)

    statuses = [writes.execute(run_id, runtime=writes.cold("executor")) for _ in range(3)]

    assert statuses == ["ok"] * 3
    assert writes.count("n-1") == 1


@pytest.mark.parametrize("tool", ALL)
def test_nobody_resolves_an_effect_whose_attempt_may_still_be_at_work(writes: Stack, tool: str) -> None:
    run_id = proposed(writes, tool)
    writes.after("executor", "dynamodb", "PutItem", once(LambdaDied(), seq="0001.call.1.intended"))
    with pytest.raises(LambdaDied):
        writes.execute(run_id, context=LambdaContext(remaining_ms=30_000))

    with pytest.raises(AttemptInProgress):
        writes.execute(run_id, runtime=writes.cold("executor"))

    assert "0001.call.1.settled" not in writes.seqs(run_id)


def test_a_call_that_was_begun_and_that_the_gate_refuses_now_is_unknown_and_not_refused(writes: Stack) -> None:
    run_id = proposed(writes, "keyed_add")
    writes.after("executor", "dynamodb", "TransactWriteItems", once(LambdaDied()))
    with pytest.raises(LambdaDied):
        writes.execute(run_id, context=LambdaContext(remaining_ms=0))
    writes.environs["executor"]["PLAYBOOK_DIR"] = str(LEDGER)  # a playbook without the tool was deployed

    for _ in range(2):
        with pytest.raises(EffectUnknown, match="was begun, and is not allowed any more"):
            writes.execute(run_id, runtime=writes.cold("executor"))

    assert settled(writes, run_id)["status"] == "unknown"
    assert writes.count("n-1") == 1


# An answer that was lost


@pytest.mark.parametrize("how", ["outage_before", "outage_after"])
@pytest.mark.parametrize("tool", RESOLVABLE)
def test_an_outage_of_the_downstream_is_resolved(writes: Stack, tool: str, how: str) -> None:
    run_id = proposed(writes, tool, how)

    assert until_it_ends(writes, run_id) == "ok"

    assert writes.count("n-1") == 1


@pytest.mark.parametrize(("how", "count"), [("outage_before", 0), ("outage_after", 1)])
def test_an_outage_behind_a_tool_that_can_tell_nothing_is_unknown_at_once(writes: Stack, how: str, count: int) -> None:
    run_id = proposed(writes, "plain_add", how)

    with pytest.raises(EffectUnknown, match="connection reset"):
        writes.execute(run_id)

    assert until_it_ends(writes, run_id) == "unknown"
    assert writes.count("n-1") == count


@pytest.mark.parametrize("lost", ["InternalServerError", "ThrottlingException"])
def test_a_lost_answer_of_aws_is_not_taken_for_nothing_done(writes: Stack, lost: str) -> None:
    run_id = proposed(writes, "plain_add")
    writes.after("executor", "dynamodb", "UpdateItem", at("notes", client_error(lost)))

    with pytest.raises(EffectUnknown, match=lost):
        writes.execute(run_id)

    assert writes.count("n-1") == 1


def test_what_verify_finds_settles_an_outage_in_the_same_attempt(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "outage_after")

    assert writes.execute(run_id) == "ok"

    assert settled(writes, run_id)["result"] == {"note_id": "n-1"}
    assert settled(writes, run_id)["undo"]["arguments"] == {"note_id": "n-1"}
    assert writes.count("n-1") == 1


def test_what_verify_does_not_find_yet_is_not_repeated_before_the_lease_is_over(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "outage_before")

    for _ in range(2):
        with pytest.raises(AttemptInProgress):
            writes.execute(run_id)

    assert writes.count("n-1") == 0
    assert until_it_ends(writes, run_id) == "ok"
    assert writes.count("n-1") == 1


def test_an_attempt_in_between_leaves_its_own_doubt(writes: Stack) -> None:
    """Else the log says an earlier end of what was sent, and a call is given up before that is over."""
    run_id, other = proposed(writes, "keyed_add", "always_down"), writes.cold("executor")
    between: list[str] = []

    def another(params: dict[str, Any]) -> None:
        if params.get("Item", {}).get("id", {}).get("S", "").startswith("call#") and not between:
            between.append("now")
            with pytest.raises(RetryLater):
                writes.execute(run_id, runtime=other)

    writes.on("executor", "dynamodb", "PutItem", another)
    with pytest.raises(RetryLater):
        writes.execute(run_id)

    assert between
    assert [seq for seq in writes.seqs(run_id) if "doubted" in seq] == ["0001.call.1.doubted", "0001.call.1.doubted.2"]


@pytest.mark.parametrize("tool", RESOLVABLE)
def test_a_tool_that_says_that_nothing_was_done_is_tried_again(writes: Stack, tool: str) -> None:
    run_id = proposed(writes, tool, "nothing_done")

    with pytest.raises(RetryLater, match="Somebody was in the way"):
        writes.execute(run_id)

    assert writes.execute(run_id) == "ok"
    assert writes.count("n-1") == 1


def test_a_tool_that_can_tell_nothing_later_has_failed_where_it_says_that_nothing_was_done(writes: Stack) -> None:
    run_id = proposed(writes, "plain_add", "nothing_done")

    assert writes.execute(run_id) == "failed"

    assert "may be called again" in settled(writes, run_id)["message"]
    assert writes.count("n-1") == 0


# A tool that breaks


def test_a_write_that_broke_after_its_effect_is_found_by_verify(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "defect")

    assert writes.execute(run_id) == "ok"
    assert writes.count("n-1") == 1


def test_a_write_that_broke_before_its_effect_is_made_when_nobody_can_be_at_work_any_more(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "defect_before")

    for _ in range(2):
        with pytest.raises(AttemptInProgress):
            writes.execute(run_id)

    assert writes.count("n-1") == 0
    assert until_it_ends(writes, run_id) == "ok"
    assert writes.count("n-1") == 1


def test_a_write_that_breaks_each_time_before_its_effect_has_failed_where_verify_says_so(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "always_down")

    assert until_it_ends(writes, run_id) == "failed"

    assert "It did not happen" in settled(writes, run_id)["message"]
    assert writes.count("n-1") == 0


def test_a_write_that_breaks_each_time_under_its_key_is_unknown(writes: Stack) -> None:
    run_id = proposed(writes, "keyed_add", "always_down")

    assert until_it_ends(writes, run_id) == "unknown"

    assert "tried 6 times under its key" in settled(writes, run_id)["message"]


@pytest.mark.parametrize("how", ["defect", "defect_before"])
def test_a_write_that_broke_is_made_again_under_its_key(writes: Stack, how: str) -> None:
    run_id = proposed(writes, "keyed_add", how)

    assert until_it_ends(writes, run_id) == "ok"
    assert writes.count("n-1") == 1


@pytest.mark.parametrize("how", ["defect", "defect_before", "odd"])
def test_a_write_that_broke_without_verify_is_unknown(writes: Stack, how: str) -> None:
    run_id = proposed(writes, "plain_add", how)

    with pytest.raises(EffectUnknown):
        writes.execute(run_id)


def test_an_odd_result_is_replaced_by_what_verify_finds(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "odd")

    assert writes.execute(run_id) == "ok"
    assert settled(writes, run_id)["result"] == {"note_id": "n-1"}


def test_a_verify_that_breaks_leaves_the_effect_unknown(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "outage_after", text="cannot be verified")

    assert until_it_ends(writes, run_id) == "unknown"

    assert "could not be verified" in settled(writes, run_id)["message"]
    assert writes.count("n-1") == 1


def test_a_tool_that_returns_nothing_is_verified_as_well(writes: Stack) -> None:
    run_id = proposed(writes, "silent_add", "outage_after")

    assert writes.execute(run_id) == "ok"

    assert settled(writes, run_id)["result"] is None
    assert writes.count("n-1") == 1


def test_what_the_business_says_no_to_has_failed(writes: Stack) -> None:
    for tool in ALL:
        run_id = proposed(writes, tool, "no")

        assert writes.execute(run_id) == "failed"
        assert settled(writes, run_id)["message"] == "Not on Sundays."


# Time

#: Of a Lambda with so much time left a tool gets what the executor does not keep: 0.6 s.
SHORT = 5_600


class _Patient(threading.Thread):
    """Its time is over once its tool hangs, however long a busy machine takes until then."""

    def join(self, timeout: float | None = None) -> None:
        if timeout is None or timeout > 1:
            return super().join(timeout)
        while self.is_alive() and self.name != "tool that hangs":
            super().join(0.002)


@pytest.fixture
def _over_once_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downstream, "threading", SimpleNamespace(Thread=_Patient, Lock=threading.Lock))


@pytest.mark.usefixtures("_over_once_it_hangs")
def test_a_timeout_that_had_succeeded_is_found_by_verify(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "slow_after")

    assert writes.execute(run_id, context=LambdaContext(SHORT)) == "ok"

    tools_have_ended()
    assert writes.count("n-1") == 1


@pytest.mark.usefixtures("_over_once_it_hangs")
def test_a_timeout_that_had_succeeded_is_no_second_effect_under_the_same_key(writes: Stack) -> None:
    run_id = proposed(writes, "keyed_add", "slow_after")
    with pytest.raises(RetryLater, match=r"longer than 0\.6 s"):
        writes.execute(run_id, context=LambdaContext(SHORT))

    assert writes.execute(run_id) == "ok"

    tools_have_ended()
    assert writes.count("n-1") == 1


@pytest.mark.usefixtures("_over_once_it_hangs")
def test_a_timeout_is_unknown_where_nothing_can_tell(writes: Stack) -> None:
    run_id = proposed(writes, "plain_add", "slow_after")

    with pytest.raises(EffectUnknown, match=r"longer than 0\.6 s"):
        writes.execute(run_id, context=LambdaContext(SHORT))

    tools_have_ended()
    assert settled(writes, run_id)["status"] == "unknown"
    assert writes.count("n-1") == 1


@pytest.mark.usefixtures("_over_once_it_hangs")
def test_a_tool_that_was_given_up_begins_nothing_more(writes: Stack) -> None:
    run_id = proposed(writes, "verified_add", "slow_before")
    with pytest.raises(AttemptInProgress):
        writes.execute(run_id, context=LambdaContext(SHORT))

    tools_have_ended()

    assert writes.count("n-1") == 0
    assert until_it_ends(writes, run_id) == "ok"
    assert writes.count("n-1") == 1


@pytest.mark.usefixtures("_over_once_it_hangs")
def test_a_read_that_takes_too_long_has_failed_and_the_planner_may_go_on(writes: Stack) -> None:
    run_id = proposed(writes, "slow_read", "slow_after")

    assert writes.execute(run_id, context=LambdaContext(SHORT)) == "failed"

    tools_have_ended()
    assert "longer than" in settled(writes, run_id)["message"]


def test_a_process_that_dies_in_a_tool_with_a_timeout_is_dead(writes: Stack) -> None:
    run_id = proposed(writes, "plain_add")
    writes.on("executor", "dynamodb", "UpdateItem", at("notes", LambdaDied()))

    with pytest.raises(LambdaDied):
        writes.execute(run_id)
