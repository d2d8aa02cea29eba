"""A run has a deadline and a time for its agent; a caller who waits may shorten both."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import Limits, RunRequest
from ballast.contracts.limits import LimitsPatch
from ballast.run import Run
from functions.lifecycle.admit import LEAST_S, Deadline, deadline
from tests.functions.cloud import NOON
from tests.functions.stack import Stack

NOON_MS = int(NOON.timestamp() * 1000)


def request(deadline_s: int | None = None) -> RunRequest:
    limits = None if deadline_s is None else LimitsPatch(deadline_s=deadline_s)
    return RunRequest(request_id="r", text="x", limits=limits)


@given(
    deadline_s=st.integers(1, 10_000),
    reserve_s=st.integers(0, 10_000),
    waits_s=st.none() | st.integers(0, 30),
    late_ms=st.integers(0, 40_000),
    has_fallback=st.booleans(),
    asked=st.booleans(),
)
def test_the_agent_has_half_of_the_time_at_least_and_nobody_gets_more_than_the_limits(
    deadline_s: int, reserve_s: int, waits_s: int | None, late_ms: int, has_fallback: bool, asked: bool
) -> None:
    until = deadline(
        Limits(deadline_s=deadline_s, fallback_reserve_s=reserve_s),
        request(deadline_s if asked else None),
        now=NOON,
        came=NOON - timedelta(milliseconds=late_ms),
        answer_within_s=waits_s,
        has_fallback=has_fallback,
    )

    length, agent = until.deadline_ms - NOON_MS, until.agent_until_ms - NOON_MS
    left = None if waits_s is None else waits_s * 1000 - late_ms
    hurried = left is not None and left >= LEAST_S * 1000 and has_fallback and not asked
    assert length == (min(deadline_s * 1000, left or 0) if hurried else deadline_s * 1000)
    assert agent * 2 >= length
    assert length - agent <= reserve_s * 1000


@pytest.mark.parametrize(
    ("waits_s", "has_fallback", "asked", "ends_s"),
    [
        (20, True, None, 20),
        (20, False, None, 100),  # nobody could answer in time but the agent
        (20, True, 90, 90),  # it has said itself by when it wants the answer
        (LEAST_S, True, None, LEAST_S),
        (LEAST_S - 1, True, None, 100),  # it gets the run's address
        (200, True, None, 100),
    ],
)
def test_a_caller_who_waits_shortens_the_time_only_where_a_fallback_can_answer(
    waits_s: int, has_fallback: bool, asked: int | None, ends_s: int
) -> None:
    limits = Limits(deadline_s=asked or 100, fallback_reserve_s=10)
    sent = request(asked)

    until = deadline(limits, sent, now=NOON, came=NOON, answer_within_s=waits_s, has_fallback=has_fallback)

    assert until.deadline_ms == NOON_MS + ends_s * 1000


def admit(stack: Stack, name: str, **how: Any) -> dict[str, Any]:
    sent = {"request_id": name, "agent": "tester", "text": "Tidy.", "intent": "tidy"}
    return dict(stack.invoke("admit", {"request": sent, **how}))


def test_the_callers_time_counts_from_when_it_came_and_a_repeat_has_the_first_deadline(stack: Stack) -> None:
    came = NOON.isoformat()
    stack.clock.advance(2)

    first = admit(stack, "hurries", answer_within_s=20, entered_at=came)
    stack.clock.advance(5)

    assert Deadline(first["agent_until_ms"], first["deadline_ms"]) == Deadline(NOON_MS + 11_000, NOON_MS + 20_000)
    assert admit(stack, "hurries", answer_within_s=5, entered_at=came) == first


def test_the_limits_stay_what_they_are_so_that_a_persons_answer_gives_all_of_the_time(stack: Stack) -> None:
    run_id = admit(stack, "renews", answer_within_s=10)["run_id"]

    assert Run.of(stack.events(run_id)).opening.limits.deadline_s == 100


def test_for_a_request_that_has_waited_too_long_for_room_nobody_waits_any_more(stack: Stack) -> None:
    came = NOON.isoformat()
    stack.clock.advance(60)

    assert admit(stack, "late", answer_within_s=20, entered_at=came)["deadline_ms"] == NOON_MS + 160_000
