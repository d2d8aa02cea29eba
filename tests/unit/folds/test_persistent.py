"""Lists and dictionaries that are added to and never changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.folds.append_only import PersistentDict, PersistentList

BATCHES = st.lists(st.lists(st.integers(0, 40), max_size=45), max_size=12)


@given(batches=BATCHES, at=st.integers(-600, 600), stop=st.integers(-600, 600), step=st.sampled_from((None, 1, -1, 3)))
def test_a_list_that_was_added_to_is_the_list_of_all(
    batches: list[list[int]], at: int, stop: int, step: int | None
) -> None:
    grown: PersistentList[int] = PersistentList()
    for batch in batches:
        grown = grown.with_more(batch)

    plain = tuple(item for batch in batches for item in batch)

    assert grown == plain
    assert len(grown) == len(plain)
    assert list(grown) == list(plain)
    assert grown[at:stop:step] == plain[at:stop:step]
    assert grown[at:] == plain[at:]
    assert [grown[place] for place in range(-len(plain), len(plain))] == [*plain, *plain]


@given(batches=BATCHES)
def test_a_mapping_that_was_added_to_has_the_newest_item_under_each_key(batches: list[list[int]]) -> None:
    grown: PersistentDict[int, int] = PersistentDict()
    plain: dict[int, int] = {}
    for number, batch in enumerate(batches):
        grown = grown.with_more(dict.fromkeys(batch, number))
        plain |= dict.fromkeys(batch, number)

    assert grown == plain
    assert len(grown) == len(plain)
    assert sorted(grown) == sorted(plain)
    assert all(key in grown for key in plain)
    assert -1 not in grown


@given(first=BATCHES, second=BATCHES)
def test_what_was_added_to_twice_is_two_values_and_stays_what_it_was(
    first: list[list[int]], second: list[list[int]]
) -> None:
    start = PersistentList(range(70))
    known = PersistentDict(dict.fromkeys(range(70), 0))
    for batches in (first, second):
        grown, more = start, known
        for batch in batches:
            grown, more = grown.with_more(batch), more.with_more(dict.fromkeys(batch, 1))
        assert grown == [*range(70), *(item for batch in batches for item in batch)]

    assert start == list(range(70))
    assert known == dict.fromkeys(range(70), 0)


@pytest.mark.parametrize("at", [40, -41])
def test_an_index_beyond_a_list_is_an_error(at: int) -> None:
    with pytest.raises(IndexError):
        PersistentList(range(40))[at]
