"""A sample leaves no case out; FULL=1 leaves no combination out."""

import pytest

from tests.support.sampling import dealt, sampled


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
