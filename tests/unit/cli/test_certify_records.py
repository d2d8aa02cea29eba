"""Records that a double tells of are compared alike in a list and in an object, in whatever order they came."""

import json
from typing import Any

import pytest

from cli.certify.records import in_any_order, is_undone

OTHER, PAID, VOID = ({"key": "o", "state": "paid"}, {"key": "k", "state": "paid"}, {"key": "k", "state": "void"})


def in_a_list(*records: dict[str, str]) -> Any:
    return {"paid": list(records)}


def by_key(*records: dict[str, str]) -> Any:
    return {"paid": {one["key"]: one for one in records}}


def at_the_top(*records: dict[str, str]) -> Any:
    return {one["key"]: one for one in records}


@pytest.mark.parametrize("told", [in_a_list, by_key, at_the_top])
@pytest.mark.parametrize(
    ("now", "undone"),
    [
        ([OTHER], True),
        ([OTHER, VOID], True),
        ([OTHER, PAID], False),
        ([OTHER | {"state": "void"}, PAID], False),
        ([OTHER | {"state": "void"}, VOID], False),
        ([VOID], False),
        ([OTHER, VOID, {"key": "k2", "state": "void"}], False),
    ],
)
def test_a_record_that_the_call_made_may_stay_if_its_undo_has_changed_it(
    told: Any, now: list[dict[str, str]], undone: bool
) -> None:
    assert is_undone(told(OTHER), told(*now), told(OTHER, PAID)) is undone


def test_a_name_of_traces_may_stay_changed() -> None:
    before, now, made = ({"a": [{"n": 1, "version": v}]} for v in (1, 3, 2))

    assert is_undone(before, now, made, {"version"})
    assert not is_undone(before, now, made)


def test_the_order_of_arrival_is_no_difference() -> None:
    one, other = in_any_order(in_a_list(OTHER, PAID)), in_any_order(in_a_list(PAID, OTHER))

    assert json.dumps(one) == json.dumps(other)
    assert one != in_any_order(in_a_list(PAID, OTHER, PAID))
