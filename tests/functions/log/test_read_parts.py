"""Parts of logs: single keys of many runs, whole turns of a long one; and what indexes find an event by."""

from collections.abc import Callable
from typing import Any

import pytest

from ballast.errors import RetryLater
from ballast.log.event import order
from tests.functions.log.broken import TABLE, BrokenLog

SEQ = "0001.call.1.settled"


def test_an_event_is_found_by_attributes_that_its_digest_does_not_cover(aws: BrokenLog) -> None:
    plain = aws.log.write(aws.run_id, SEQ, {"status": "ok"})
    found = aws.log.write(aws.run_id, "0002.call.1.settled", {"status": "ok"}, index={"tenant": "acme"})

    item = aws.item("0002.call.1.settled")
    assert (item["tenant"], item["digest"]) == ({"S": "acme"}, {"S": found.digest})
    assert aws.item(SEQ).keys() == item.keys() - {"tenant"}
    assert aws.log.read(aws.run_id) == (plain, found)


def test_keys_are_read_at_once_and_those_that_are_not_there_are_left_out(aws: BrokenLog) -> None:
    runs = [f"{aws.run_id}-{number}" for number in range(130)]
    for run_id in runs[::2]:
        aws.log.write(run_id, SEQ, {"of": run_id})

    found = aws.log.read_keys([(run_id, SEQ) for run_id in runs])

    assert {key: event.body["of"] for key, event in found.items()} == {(run_id, SEQ): run_id for run_id in runs[::2]}
    assert aws.log.read_keys([]) == {}


@pytest.fixture
def batches(aws: BrokenLog) -> list[dict[str, Any]]:
    """What DynamoDB says it left unread, batch by batch; nothing where the list is empty."""
    left: list[dict[str, Any]] = []

    def leave(parsed: dict[str, Any], **_: Any) -> None:
        if left:
            parsed.update(left.pop(0))

    name = "after-call.dynamodb.BatchGetItem"
    aws.log._table.client.meta.events.register(name, leave)
    return left


def _unread(run_id: str) -> dict[str, Any]:
    key = {"run_id": {"S": run_id}, "seq": {"S": SEQ}}
    return {"Responses": {TABLE: []}, "UnprocessedKeys": {TABLE: {"Keys": [key]}}}


def test_what_was_left_unread_is_asked_for_again(aws: BrokenLog, batches: list[dict[str, Any]]) -> None:
    appended = aws.log.write(aws.run_id, SEQ, {"status": "ok"})
    batches += [_unread(aws.run_id)] * 2

    assert aws.log.read_keys([(aws.run_id, SEQ)]) == {(aws.run_id, SEQ): appended}


def test_what_stays_unread_may_be_tried_again_later(aws: BrokenLog, batches: list[dict[str, Any]]) -> None:
    batches += [_unread(aws.run_id)] * 10

    with pytest.raises(RetryLater):
        aws.log.read_keys([(aws.run_id, SEQ)])


@pytest.mark.parametrize("at_least", [1, 2, 5, 100])
@pytest.mark.parametrize("size", [10, 30_000])
def test_turns_are_read_whole_and_from_where_one_likes(aws: BrokenLog, at_least: int, size: int) -> None:
    for turn in range(1, 6):
        for index in range(1, 4):
            aws.log.write(aws.run_id, f"{turn:04d}.call.{index}.settled", {"result": "x" * size})
    log = aws.log.read(aws.run_id)

    found: list[Any] = []
    more, turn = True, 2
    while more:
        events, more = aws.log.read_turns(aws.run_id, turn, at_least)
        assert events == tuple(sorted(events, key=order))
        assert len(events) >= min(at_least, 1)
        found += events
        turn = events[-1].turn + 1 if events else turn + 1

    assert found == [event for event in log if event.turn >= 2]


def test_no_more_of_a_long_run_is_read_than_was_asked_for(aws: BrokenLog) -> None:
    for turn in range(1, 60):
        aws.log.write(aws.run_id, f"{turn:04d}.call.1.settled", {"result": 1})

    events, more = aws.log.read_turns(aws.run_id, 1, 10)

    assert more
    assert [event.turn for event in events] == list(range(1, 11))


@pytest.mark.parametrize("read", [lambda log: log.read_keys([("r", SEQ)]), lambda log: log.read_turns("r", 0, 1)])
def test_a_throttle_means_try_again_later(aws: BrokenLog, read: Callable[[Any], Any]) -> None:
    with pytest.raises(RetryLater):
        read(aws.failing("dynamodb", "ThrottlingException").log)
