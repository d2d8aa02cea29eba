"""An event is written once and read back as it was, whatever it holds and however large it is."""

import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballast.contracts import ExitReason
from ballast.log.codec import CLAIM_CHECK_OVER_BYTES, COMPRESS_OVER_BYTES
from ballast.log.event import order
from tests.functions.log.broken import BUCKET, NOW, BrokenLog
from tests.support.random_runs import runs
from tests.support.runs import Story
from tests.unit.contracts.test_event import WORK

SEQ = "0001.call.1.settled"
#: Text that no compression makes much smaller.
NOISE = random.Random(1).randbytes(6_000_000).hex()


def test_an_event_is_read_back_as_it_was_appended(aws: BrokenLog) -> None:
    appended = aws.log.write(aws.run_id, SEQ, {"status": "ok", "result": {"id": "O-1"}})

    assert aws.log.read(aws.run_id) == (appended,)
    assert (appended.run_id, appended.seq, appended.at) == (aws.run_id, SEQ, NOW.isoformat())


def test_a_run_that_nobody_started_has_an_empty_log(aws: BrokenLog) -> None:
    assert aws.log.read("run-nobody") == ()


def test_what_append_returns_is_json_as_any_later_read_returns_it(aws: BrokenLog) -> None:
    appended = aws.log.write(aws.run_id, SEQ, {"calls": (1, 2), "reason": ExitReason.DEADLINE, "by": {1: "one"}})

    assert appended.body == {"calls": [1, 2], "reason": "deadline", "by": {"1": "one"}}
    assert type(appended.body["reason"]) is str
    assert aws.log.read(aws.run_id) == (appended,)


def test_a_second_append_returns_the_first_event_and_changes_nothing(aws: BrokenLog) -> None:
    first = aws.log.write(aws.run_id, SEQ, {"status": "ok"})
    stored = aws.item(SEQ)

    second = aws.log.write(aws.run_id, SEQ, {"status": "failed"})

    assert second == first
    assert aws.item(SEQ) == stored


def test_of_two_large_bodies_the_first_is_returned_from_s3(aws: BrokenLog) -> None:
    first = aws.log.write(aws.run_id, SEQ, {"text": NOISE[:200_000]})

    second = aws.log.write(aws.run_id, SEQ, {"text": NOISE[200_000:400_000]})

    assert second == first


def test_of_many_appends_at_the_same_moment_one_wins_and_all_get_it(aws: BrokenLog) -> None:
    together = threading.Barrier(8)
    logs = [aws.with_environ().log for _ in range(8)]

    def append(number: int) -> Any:
        together.wait()
        return logs[number].write(aws.run_id, SEQ, {"by": number})

    with ThreadPoolExecutor(8) as threads:
        returned = list(threads.map(append, range(8)))

    assert len({event.digest for event in returned}) == 1
    assert aws.log.read(aws.run_id) == (returned[0],)


@pytest.mark.parametrize(
    "size",
    [
        *(COMPRESS_OVER_BYTES + more for more in (-20, -11, -10, 0)),
        *(2 * CLAIM_CHECK_OVER_BYTES + more for more in (-4_000, -200, 0, 200, 4_000)),
        400 * 1024,
        5_000_000,
    ],
)
def test_a_body_of_any_size_is_read_back(aws: BrokenLog, size: int) -> None:
    appended = aws.log.write(aws.run_id, SEQ, {"text": NOISE[:size]})

    assert aws.log.read(aws.run_id) == (appended,)
    assert appended.body["text"] == NOISE[:size]


def test_a_short_body_can_be_read_in_the_table_by_a_person(aws: BrokenLog) -> None:
    aws.log.write(aws.run_id, SEQ, {"status": "ok"})

    assert aws.item(SEQ)["body"] == {"S": '{"status":"ok"}'}


@pytest.mark.parametrize(("size", "stored_as"), [(900, "body"), (20_000, "packed"), (200_000, "payload")])
def test_an_item_stays_far_below_what_dynamodb_takes(aws: BrokenLog, size: int, stored_as: str) -> None:
    aws.log.write(aws.run_id, SEQ, {"text": NOISE[:size]})

    item = aws.item(SEQ)

    assert {"body", "packed", "payload"} & item.keys() == {stored_as}
    assert sum(len(next(iter(value.values()))) for value in item.values()) < CLAIM_CHECK_OVER_BYTES + 1_000


def test_the_same_large_body_is_in_s3_once(aws: BrokenLog) -> None:
    for index in (1, 2):
        aws.log.write(aws.run_id, f"0001.call.{index}.settled", {"same": NOISE[1_000_000:1_200_000]})

    pointers = {aws.item(f"0001.call.{index}.settled")["payload"]["S"] for index in (1, 2)}
    stored = {found["Key"] for found in aws.s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert len(pointers) == 1
    assert pointers <= stored


@pytest.mark.sampled
@pytest.mark.parametrize("size", [1, 20_000, 200_000], ids=["in the table", "compressed", "in S3"])
@pytest.mark.parametrize(
    "value",
    [
        "half \ud83d",
        "☂ \N{PILE OF POO} \0 \u2028",
        {"half \udc00": ["\ud83d"]},
        10**4_000,
        -(2**63) - 1,
        0.1,
        5e-324,
        -0.0,
        1e308,
        None,
        [[[[]]]],
        {"": {"": ""}},
    ],
    ids=repr,
)
def test_a_body_is_read_back_exactly(aws: BrokenLog, value: Any, size: int) -> None:
    appended = aws.log.write(aws.run_id, SEQ, {"value": value, "text": NOISE[:size]})

    (read,) = aws.log.read(aws.run_id)

    assert repr(read.body["value"]) == repr(value)
    assert read == appended


def test_a_body_that_is_no_json_is_refused_before_anything_is_written(aws: BrokenLog) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        aws.log.write(aws.run_id, SEQ, {"value": float("nan")})

    assert aws.log.read(aws.run_id) == ()


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shuffled=st.permutations(WORK))
def test_a_log_is_read_in_the_order_of_the_work_however_it_was_written(aws: BrokenLog, shuffled: list[str]) -> None:
    aws = aws.for_another_run()
    for seq in shuffled:
        aws.log.write(aws.run_id, seq, {"text": "x"})

    assert [event.seq for event in aws.log.read(aws.run_id)] == WORK


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=runs(max_turns=4), seed=st.integers())
def test_a_whole_run_appended_twice_in_any_order_is_the_run(aws: BrokenLog, story: Story, seed: int) -> None:
    log = aws.log
    again = [*story.written, *story.written]
    random.Random(seed).shuffle(again)

    for event in again:
        log.write(event.run_id, event.seq, event.body)

    read = log.read(story.request.run_id)
    assert [(event.seq, event.body) for event in read] == [(event.seq, event.body) for event in story.events]
    assert list(read) == sorted(read, key=order)


def test_a_log_larger_than_a_page_is_read_whole(aws: BrokenLog) -> None:
    """A query answers with at most 1 MB."""
    log = aws.log
    for turn in range(1, 42):
        log.write(aws.run_id, f"{turn:04d}.call.1.settled", {"text": NOISE[turn * 50_000 : (turn + 1) * 50_000]})

    read = log.read(aws.run_id)

    assert "LastEvaluatedKey" in aws.first_page()
    assert [event.turn for event in read] == list(range(1, 42))


@pytest.mark.parametrize(("days", "expires"), [("0", None), ("41", 41 * 86_400), ("365", 365 * 86_400)])
def test_an_event_expires_after_the_days_that_it_is_kept(aws: BrokenLog, days: str, expires: int | None) -> None:
    aws.with_environ(RETENTION_DAYS=days).log.write(aws.run_id, SEQ, {"status": "ok"})

    found = aws.item(SEQ).get("expires_at")

    assert found == (None if expires is None else {"N": str(int(NOW.timestamp()) + expires)})


def test_a_turn_is_read_with_the_opening_and_nothing_else(aws: BrokenLog) -> None:
    log = aws.log
    for seq in WORK:
        log.write(aws.run_id, seq, {"at": seq})

    for turn in (1, 2, 3, 10):
        read = [event.seq for event in log.read_turn(aws.run_id, turn)]

        assert read == ["0000.run.opened", *(seq for seq in WORK if seq.startswith(f"{turn:04d}."))]


def test_a_turn_that_was_read_before_the_run_was_opened_hides_no_opening(aws: BrokenLog) -> None:
    log = aws.log
    assert log.read_turn(aws.run_id, 1) == ()

    opened = log.write(aws.run_id, "0000.run.opened", {})

    assert log.read_turn(aws.run_id, 1) == (opened,)


@given(from_turn=st.integers(0, 11), at_least=st.integers(1, len(WORK) + 1))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_page_of_a_log_is_whole_turns_and_says_whether_there_are_more(
    aws: BrokenLog, from_turn: int, at_least: int
) -> None:
    for seq in WORK if not aws.log.read(aws.run_id) else ():
        aws.log.write(aws.run_id, seq, {})
    wanted = [seq for seq in WORK if int(seq[:4]) >= from_turn]

    page, more = aws.log.read_turns(aws.run_id, from_turn, at_least)

    read = [event.seq for event in page]
    assert read == wanted[: len(read)]
    assert more == (read != wanted)
    if more:
        assert len(read) >= at_least
        assert wanted[len(read)][:4] != read[-1][:4]


def test_events_are_read_by_their_keys_in_any_number(aws: BrokenLog) -> None:
    """DynamoDB takes a hundred keys at a time."""
    written = [aws.log.write(aws.run_id, f"{turn:04d}.plan.decided", {"at": turn}) for turn in range(1, 106)]
    keys = [(event.run_id, event.seq) for event in written]

    found = aws.log.read_keys([*keys, (aws.run_id, "0106.plan.decided"), ("run-nobody", "0000.run.opened")])

    assert found == dict(zip(keys, written, strict=True))


def test_the_openings_of_many_runs_are_not_mixed_up(aws: BrokenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ballast.log.run_log._KEPT_OPENINGS", 2)
    log = aws.log
    many = [f"{aws.run_id}-{number}" for number in range(5)]
    for run_id in many:
        log.write(run_id, "0000.run.opened", {"of": run_id})

    for run_id in many * 2:
        assert [event.body for event in log.read_turn(run_id, 1)] == [{"of": run_id}]


def test_two_runs_do_not_see_each_other(aws: BrokenLog) -> None:
    other = aws.for_another_run()
    aws.log.write(aws.run_id, SEQ, {"of": "one"})
    other.log.write(other.run_id, SEQ, {"of": "other"})

    assert [event.body for event in aws.log.read(aws.run_id)] == [{"of": "one"}]


STEPS = ("model.requested", "model.responded", "call.1.intended", "call.1.settled")


@given(data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_who_follows_a_run_reads_what_is_newer_and_misses_only_what_came_late(
    aws: BrokenLog, data: st.DataObject
) -> None:
    log, run_id = aws.log, f"run-{data.draw(st.uuids())}"
    log.write(run_id, "0000.run.opened", {})
    late: set[str] = set()
    for turn in range(1, 6):
        steps = data.draw(st.lists(st.sampled_from(STEPS), unique=True))
        for seq in sorted(f"{turn:04d}.{step}" for step in steps):
            log.write(run_id, seq, {"at": seq})
        if turn > 2 and data.draw(st.booleans()):  # an attempt at an earlier turn that had been given up
            late.add(log.write(run_id, f"{data.draw(st.integers(1, turn - 2)):04d}.model.2.failed", {}).seq)

        whole = log.read(run_id)
        assert set(whole.by_seq) - set(log.follow(run_id, turn).by_seq) <= late
        assert log.follow(run_id, turn).turn(turn).events == whole.turn(turn).events


def test_who_follows_a_run_asks_for_no_more_of_a_long_one(aws: BrokenLog) -> None:
    log, sizes = aws.log, []
    log.write(aws.run_id, "0000.run.opened", {})
    found = log._query
    log._query = lambda *asked: sizes.append(len(found(*asked))) or found(*asked)  # type: ignore[method-assign,func-returns-value]
    for turn in range(1, 30):
        for step in STEPS:
            log.write(aws.run_id, f"{turn:04d}.{step}", {"at": turn})
        assert len(log.follow(aws.run_id, turn + 1)) == 1 + 4 * turn

    assert max(sizes[1:]) <= 4


def test_threads_that_share_a_log_may_follow_their_own_runs(aws: BrokenLog) -> None:
    """A local cloud plays the invocations of one function in threads of one process."""
    log, names = aws.log, [f"run-{number}" for number in range(40)]
    opened = {name: (log.write(name, "0000.run.opened", {}),) for name in names}
    log._query = lambda run_id, *_: opened[run_id]  # type: ignore[method-assign,assignment]

    def follow(number: int) -> list[str]:
        rng = random.Random(number)
        return [name for name in rng.choices(names, k=1_000) if log.follow(name, 1).events != opened[name]]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(follow, range(4))) == [[]] * 4
    finally:
        sys.setswitchinterval(interval)
