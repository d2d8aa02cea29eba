"""The money that a stopped loop saved: turns left at the last turn's price, within the money left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.contracts import ExitReason, HandOver, Limits, Planner
from tests.support.random_runs import runs
from tests.support.runs import Story, wants

LOOP = HandOver(to=Planner.PERSON, reason=ExitReason.LOOP)


def looped(*costs: int, turns: int = 10, ceiling: int = 100_000) -> Story:
    story = Story(limits=Limits(turns=turns, cost_microusd=ceiling)).opened()
    for turn, cost in enumerate(costs, start=1):
        story.replies(story.asks(turn, reserved=cost), wants(("look_up_order", {"order_id": "O-1"})), cost=cost)
        story.executes(turn, 1)
    story.decides(len(costs) + 1, Planner.AGENT, LOOP)
    return story


@pytest.mark.parametrize(
    ("story", "microusd"),
    [
        (looped(1_000, 2_000, 3_000), 7 * 3_000),
        (looped(1_000, 2_000, 3_000, ceiling=20_000), 14_000),
        (looped(1_000, 2_000, 3_000, ceiling=6_000), 0),
        (looped(1_000, 2_000, 3_000, turns=3), 0),
    ],
)
def test_what_one_loop_would_have_burned(story: Story, microusd: int) -> None:
    assert [(stopped.turn, stopped.saved_microusd) for stopped in story.run.stopped_loops] == [(4, microusd)]


def test_all_attempts_of_the_last_turn_are_its_price() -> None:
    story = Story(limits=Limits(turns=10, cost_microusd=100_000)).opened()
    story.breaks(story.asks(1, reserved=500), charged=True)
    story.replies(story.asks(1), wants(("look_up_order", {})), cost=1_000)
    story.decides(2, Planner.AGENT, LOOP)

    assert story.run.stopped_loops[0].saved_microusd == 9 * 1_500


def test_each_loop_counts_with_what_was_left_then() -> None:
    story = looped(1_000, turns=3)
    story.escalates(3)
    story.person(3, HandOver(to=Planner.AGENT, reason=ExitReason.GUIDANCE))
    story.replies(story.asks(4), wants(("look_up_order", {})), cost=2_000)
    story.decides(5, Planner.AGENT, LOOP)

    assert [stopped.saved_microusd for stopped in story.run.stopped_loops] == [2 * 1_000, 2 * 2_000]


@given(runs())
def test_a_run_that_was_not_stopped_in_a_loop_saved_nothing(story: Story) -> None:
    assert story.run.stopped_loops == ()


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=9), st.integers(0, 100_000))
def test_nothing_is_saved_that_could_not_have_been_spent(costs: list[int], ceiling: int) -> None:
    story = looped(*costs, ceiling=ceiling)

    (stopped,) = story.run.stopped_loops

    left = story.run.opening.cost_ceiling_microusd - story.run.usage.charged_microusd
    assert 0 <= stopped.saved_microusd <= max(0, left)
