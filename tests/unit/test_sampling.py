"""A sample leaves no case out; FULL=1 leaves no combination out."""

from itertools import product

import pytest

from tests.support.sampling import FULL, covering, dealt, sampled


@pytest.mark.parametrize(("cases", "others"), [("abc", range(7)), ("abcdefg", range(3)), ("ab", range(2)), ("", "")])
def test_each_case_and_each_of_the_others_is_dealt(cases: str, others: range) -> None:
    pairs = dealt(cases, others, full=False)

    assert ({one for one, _ in pairs}, {other for _, other in pairs}) == (set(cases), set(others))
    assert len(pairs) == max(len(cases), len(others))
    assert len(set(dealt(cases, others, full=True))) == len(cases) * len(others)


def test_a_sample_is_of_the_cases() -> None:
    assert sampled("abc", "ac", full=False) == "ac"
    assert sampled("abc", "ac", full=True) == "abc"
    with pytest.raises(AssertionError):
        sampled("abc", "ax", full=False)


@pytest.mark.parametrize("sides", [(3, 5), (1, 1), (4, 2, 3), (7,), ()])
def test_each_value_of_each_parameter_is_covered_by_few_cases(sides: tuple[int, ...]) -> None:
    cases = [dict(zip("abc", values, strict=False)) for values in product(*map(range, sides))]

    chosen = covering(cases)

    assert {pair for at in chosen for pair in cases[at].items()} == {pair for case in cases for pair in case.items()}
    assert len(chosen) == max(sides, default=0)


def test_values_take_turns() -> None:
    cases = [{"how": how, "by": by} for by in "ab" for how in range(6)]

    chosen = [cases[at]["by"] for at in covering(cases)]

    assert chosen.count("a") == chosen.count("b") == 3


def test_the_fewest_are_spread_over_all() -> None:
    cases = [{"a": value} for value in range(10)]

    assert covering(cases, 1) == [0]
    assert covering(cases, 3) == [0, 4, 9]
    assert covering(cases, 99) == list(range(10))


@pytest.mark.sampled
@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize("other", range(3))
def test_the_suite_plays_the_sample_of_what_is_marked(request: pytest.FixtureRequest, case: int, other: int) -> None:
    named = any("[" in name for name in request.config.args)
    assert case == other or FULL or named
