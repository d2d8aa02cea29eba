"""An event's key holds its position, and sorts a run's events into the order of the work."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.log.event import Event, order
from ballast.log.events import (
    ApprovalGiven,
    ApprovalRequested,
    EscalationOpened,
    ModelFailed,
    ModelRequested,
    ModelResponded,
    PlanDecided,
    RunAnnounced,
    RunEnded,
    RunOpened,
    RunRefused,
)

#: A run in which much happened, in the order of the work.
WORK = [
    "0000.run.opened",
    "0001.model.requested",
    "0001.model.failed",
    "0001.model.2.requested",
    "0001.model.2.failed",
    "0001.model.10.requested",
    "0001.model.responded",
    "0001.call.1.approval_needed",
    "0001.call.1.approval_requested",
    "0001.call.1.approval_given.1.1",
    "0001.call.1.approval_given.1.10",
    "0001.call.1.approval_answered",
    "0001.call.1.approval_void",
    "0001.call.1.approval_needed.2",
    "0001.call.1.approval_requested.2",
    "0001.call.1.approval_given.2.1",
    "0001.call.1.approval_answered.2",
    "0001.call.1.intended",
    "0001.call.1.settled",
    "0001.call.2.refused",
    "0001.call.10.intended",
    "0001.call.10.doubted",
    "0001.call.10.doubted.2",
    "0001.call.10.doubted.10",
    "0001.call.10.settled",
    "0002.model.requested",
    "0002.plan.decided",
    "0003.escalation.opened",
    "0003.escalation.announced",
    "0003.escalation.answered",
    "0003.call.1.intended",
    "0010.plan.decided",
    "0010.call.1.settled",
    "9999.run.ended",
    "9999.run.announced",
    "9999.run.replied",
]


def event(seq: str, **body: Any) -> Event:
    return Event(run_id="run-1", seq=seq, at="2026-11-01T00:00:00+00:00", body=body)


@given(seed=st.integers())
def test_events_are_put_into_the_order_of_the_work(seed: int) -> None:
    shuffled = [event(seq) for seq in WORK]
    random.Random(seed).shuffle(shuffled)

    assert [one.seq for one in sorted(shuffled, key=order)] == WORK


def test_an_entry_of_a_later_version_sorts_into_its_turn() -> None:
    at = WORK.index("0002.model.requested")
    later = [*WORK[:at], "0001.note.added", *WORK[at:]]

    assert [one.seq for one in sorted(map(event, reversed(later)), key=order)] == later


@pytest.mark.parametrize(
    ("seq", "turn", "name", "index"),
    [
        (RunOpened.key(), 0, "run.opened", 1),
        (RunRefused.key(), 0, "run.refused", 1),
        (RunEnded.key(), 9999, "run.ended", 1),
        (RunAnnounced.key(), 9999, "run.announced", 1),
        (ModelRequested.key(3, 1), 3, "model.requested", 1),
        (ModelRequested.key(3, 2), 3, "model.requested", 2),
        (ModelFailed.key(3, 2), 3, "model.failed", 2),
        (ModelResponded.key(3), 3, "model.responded", 1),
        (PlanDecided.key(12), 12, "plan.decided", 1),
        (ApprovalRequested.key(3, 11), 3, "call.approval_requested", 11),
        (ApprovalRequested.key(3, 11, 2), 3, "call.approval_requested", 11),
        (ApprovalGiven.key(3, 11, 2, 3), 3, "call.approval_given", 11),
        (EscalationOpened.key(4), 4, "escalation.opened", 1),
    ],
)
def test_a_key_is_read_as_it_was_made(seq: str, turn: int, name: str, index: int) -> None:
    made = event(seq)

    assert (made.turn, made.name, made.index) == (turn, name, index)


def test_an_approval_that_is_asked_again_has_keys_of_its_own() -> None:
    rounds = [event(ApprovalRequested.key(3, 1, number)) for number in (1, 2, 3)]

    assert [one.round for one in rounds] == [1, 2, 3]
    assert rounds[0].seq == "0003.call.1.approval_requested"  # as it was before there were rounds
    assert len({one.seq for one in rounds}) == 3


def test_a_turn_has_one_completion_whichever_attempt_brought_it() -> None:
    decision = {"kind": "answer", "text": "Done.", "confidence": "1"}
    first, second = (ModelResponded(turn=3, attempt=attempt, cost_microusd=0, decision=decision) for attempt in (1, 2))

    assert first.seq == second.seq
    assert ModelFailed.key(3, 1) != ModelFailed.key(3, 2)


def test_the_digest_covers_the_run_the_key_and_the_body() -> None:
    one = event("0001.plan.decided", a=1, b=[1, 2])
    touched = [{"run_id": "run-2"}, {"seq": "0002.plan.decided"}, {"body": {"a": 1, "b": [2, 1]}}]

    assert event("0001.plan.decided", b=[1, 2], a=1).digest == one.digest
    assert all(one.model_copy(update=changes).digest != one.digest for changes in touched)


def test_the_digest_takes_what_models_write() -> None:
    assert len(event("0001.plan.decided", text="half \ud83d", number=10**400, small=5e-324).digest) == 64
