"""A replay finds times that give the recorded deadlines, however long the caller waited."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import Limits, RunRequest
from ballast.log.events import RunOpened
from functions.lifecycle.admit import deadline
from localcloud.clock import NOON
from localcloud.replay.oracle import Hurry


@given(
    deadline_s=st.integers(4, 200),
    reserve_s=st.integers(0, 60),
    waits_s=st.none() | st.integers(0, 200),
    late_ms=st.integers(0, 30_000),
    written_ms=st.integers(0, 2_000),
)
def test_the_found_times_give_the_recorded_deadlines(
    deadline_s: int, reserve_s: int, waits_s: int | None, late_ms: int, written_ms: int
) -> None:
    limits = Limits(deadline_s=deadline_s, fallback_reserve_s=reserve_s)
    request = RunRequest(request_id="r", text="x")
    given: dict[str, Any] = {"now": NOON, "came": NOON - timedelta(milliseconds=late_ms), "answer_within_s": waits_s}
    recorded = deadline(limits, request, has_fallback=True, **given)
    at = NOON + timedelta(milliseconds=written_ms)
    opened = RunOpened(request={}, limits=limits.model_dump(mode="json"), **vars(recorded))

    hurry = Hurry.of(opened, at.isoformat())

    again = vars(hurry) if hurry else {"now": at, "came": at, "answer_within_s": None}
    assert again["came"] <= again["now"] <= at
    found = deadline(limits, request, has_fallback=True, **again)
    if hurry:
        assert found == recorded
    else:  # one reading moves both: the comparison takes it from the record
        moved = found.deadline_ms - recorded.deadline_ms
        assert moved == found.agent_until_ms - recorded.agent_until_ms <= 32_000
