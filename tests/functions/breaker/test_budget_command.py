"""An operator sees and sets limits; they hold from the next admission on."""

from typing import Any

import pytest

from ballast.errors import InvalidInput, TooManyRuns, WindowFull
from tests.functions.cloud import WINDOW_LIMITS
from tests.functions.lifecycle.world import World

DEFAULTS = WINDOW_LIMITS | {
    "TENANT_HOUR_USD": "0.5",
    "TENANT_DAY_USD": "2",
    "TENANT_RUNS": "3",
    "ACCOUNT_HOUR_USD": "9",
}


@pytest.fixture
def world() -> World:
    return World(lambda: None, DEFAULTS)


def limits(shown: dict[str, Any]) -> tuple[int, int, int]:
    """Return hour, day and runs."""
    hour, day = (window["limit_microusd"] for window in shown["windows"])
    return hour, day, shown["runs"]["limit"]


def test_without_an_order_the_stacks_parameters_are_shown_with_what_is_taken(world: World) -> None:
    world.admit_one("a", 400)
    spent = world.admit_one("b", 300)
    world.reserve(spent, 1, 100)
    world.settle(spent)

    shown = world.budget({"tenant": "acme"})

    assert shown == {
        "tenant": "acme",
        "windows": [
            {
                "window": "hour#2026-03-01T12",
                "limit_microusd": 500_000,
                "taken_microusd": 500,
                "settled_microusd": 100,
            },
            {"window": "day#2026-03-01", "limit_microusd": 2_000_000, "taken_microusd": 500, "settled_microusd": 100},
        ],
        "runs": {"limit": 3, "now": 1},
        "set": [],
    }


def test_the_budget_of_all_together_is_another(world: World) -> None:
    assert limits(world.budget({}))[0] == 9_000_000


def test_what_is_set_holds_at_once_for_that_tenant_and_no_other(world: World) -> None:
    shown = world.budget({"tenant": "acme", "hour_microusd": 1_000, "runs": 1})

    assert (limits(shown), shown["set"]) == ((1_000, 2_000_000, 1), ["hour_microusd", "runs"])
    with pytest.raises(WindowFull):
        world.admit_one("over", 1_001)
    world.admit_one("within", 1_000)
    with pytest.raises(TooManyRuns):
        world.admit_one("one-more", 0)
    world.admit_one("another-tenants", 100_000, tenant="zenith")


def test_what_was_leased_before_stays_leased_under_a_lower_limit(world: World) -> None:
    world.admit_one("before", 400)

    world.budget({"tenant": "acme", "hour_microusd": 100})

    assert world.budget({"tenant": "acme"})["windows"][0]["taken_microusd"] == 400
    with pytest.raises(WindowFull):
        world.admit_one("after", 1)


def test_a_limit_that_is_forgotten_is_the_stacks_again(world: World) -> None:
    world.budget({"tenant": "acme", "hour_microusd": 1_000, "day_microusd": 5_000})

    shown = world.budget({"tenant": "acme", "runs": 7, "forget": ["hour_microusd"]})

    assert (limits(shown), shown["set"]) == ((500_000, 5_000, 7), ["day_microusd", "runs"])


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a#b"}, "tenant"),
        ({"hour_microusd": -1}, "hour_microusd"),
        ({"day_microusd": 1.5}, "day_microusd"),
        ({"runs": "3"}, "runs"),
        ({"forget": ["everything"]}, "forget"),
        ({"hour": 3}, "hour"),
        ({"runs": 3, "forget": ["runs"]}, "forget"),
    ],
)
def test_an_order_that_is_none_names_the_field_and_changes_nothing(
    world: World, asked: dict[str, Any], names: str
) -> None:
    with pytest.raises(InvalidInput, match=names):
        world.budget(asked)

    assert world.tables.items["budgets"] == {}
