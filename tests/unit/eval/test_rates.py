"""Pass rates: the interval contains the true rate, and an eval in which nothing changed is not called worse."""

from fractions import Fraction
from math import comb
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.eval.rates import LEVEL, Rate, chance, shown, together
from localcloud.eval.results import CaseResult, EvalResult, ModelResult, Sample, compared

SHARES = [share / 40 for share in range(1, 40)]


def binomial(n: int, share: float) -> list[float]:
    return [comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize("n", [3, 5, 10, 30, 100])
def test_the_interval_contains_the_true_rate_as_often_as_it_says(n: int) -> None:
    inside = []
    for share in SHARES:
        bounds = [Rate(k, n).interval for k in range(n + 1)]
        inside.append(sum(p for p, (low, high) in zip(binomial(n, share), bounds, strict=True) if low <= share <= high))

    assert sum(inside) / len(inside) > 0.94
    assert min(inside) > 0.83  # Wilson's lowest, near 0 and 1


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share_and_mirrors(n: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, n))
    low, high = Rate(passed, n).interval

    assert 0 <= low <= passed / n <= high <= 1
    mirrored = Rate(n - passed, n).interval
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_the_interval_of_nothing_is_everything_and_known_ones_are_as_published() -> None:
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    assert Rate(0, 20).interval == pytest.approx((0.0, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("passed", "played"), [(-1, 3), (4, 3), (1, 0)])
def test_an_impossible_rate_is_refused(passed: int, played: int) -> None:
    with pytest.raises(ValueError, match="cannot have passed"):
        Rate(passed, played)


def test_the_chance_is_fishers() -> None:
    assert chance([(Rate(5, 5), Rate(0, 5))]) == pytest.approx(1 / 252)
    assert chance([(Rate(3, 5), Rate(3, 5))]) > 0.5
    assert chance([]) == 1.0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), max_size=3))
def test_the_chance_of_several_cases_is_that_of_every_way_to_deal_the_passes(numbers: list[tuple[int, ...]]) -> None:
    pairs = [(Rate(min(a, b), b), Rate(min(c, d), d)) for a, b, c, d in numbers]
    ways: dict[int, Fraction] = {0: Fraction(1)}
    for old, new in pairs:
        passed, played = old.passed + new.passed, old.played + new.played
        dealt: dict[int, Fraction] = {}
        for so_far, weight in ways.items():
            for count in range(new.played + 1):
                if count <= passed and new.played - count <= played - passed:
                    good = comb(passed, count) * comb(played - passed, new.played - count)
                    way = Fraction(good, comb(played, new.played))
                    dealt[so_far + count] = dealt.get(so_far + count, Fraction(0)) + weight * way
        ways = dealt
    found = sum(new.passed for _, new in pairs)

    assert chance(pairs) == pytest.approx(float(sum(way for count, way in ways.items() if count <= found)))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95])
def test_one_case_that_did_not_change_is_rarely_called_worse(n: int, share: float) -> None:
    chances = binomial(n, share)
    wrongly = sum(
        chances[old] * chances[new]
        for old in range(n + 1)
        for new in range(n + 1)
        if shown({"it": chance([(Rate(old, n), Rate(new, n))])})
    )

    assert wrongly <= LEVEL


def test_of_all_names_together_only_so_many_are_shown() -> None:
    assert shown({"a": 0.04}) == {"a"}
    assert shown({"a": 0.04, "b": 0.6}) == frozenset()  # 0.04 of two is more than 0.05 / 2
    assert shown({"a": 0.02, "b": 0.05}) == {"a", "b"}
    assert shown({}) == frozenset()


def flaky(random: Random, shares: list[float], samples: int) -> ModelResult:
    """Return the results of a model that passes each case with its share."""
    cases = []
    for at, share in enumerate(shares):
        played = [Sample(wrong=() if random.random() < share else ("no",)) for _ in range(samples)]
        cases.append(CaseResult.of(f"case-{at}", "0" * 64, played))
    return ModelResult(model="flaky", exact=False, cases=tuple(cases))


def stored(result: ModelResult) -> EvalResult:
    return EvalResult(at="2026-11-29T18:00:00+00:00", playbook="p", samples=1, models=(result,))


def test_a_flaky_model_is_within_its_interval_and_not_called_worse_than_itself() -> None:
    within, worse, evals = 0, 0, 400
    for seed in range(evals):
        random = Random(seed)
        shares = [random.uniform(0.05, 0.95) for _ in range(5)]
        first, second = (flaky(random, shares, 12) for _ in range(2))
        for case, share in zip(first.cases, shares, strict=True):
            low, high = case.rate.interval
            within += low <= share <= high
        worse += compared(second, stored(first)).is_worse

    assert within / (5 * evals) > 0.93
    assert worse / evals <= LEVEL


def test_a_model_that_became_worse_is_found() -> None:
    found_of_all, found_by_name = 0, 0
    for seed in range(50):
        random = Random(seed)
        before = flaky(random, [0.9] * 5, 20)
        everything, one_case = flaky(random, [0.6] * 5, 20), flaky(random, [0.9] * 4 + [0.0], 20)
        found_of_all += compared(everything, stored(before)).is_worse
        by_name = compared(one_case, stored(before))
        found_by_name += [one.case for one in by_name.differences if one.verdict == "worse"] == ["case-4"]

    assert found_of_all >= 45
    assert found_by_name >= 45


def test_rates_add_up_and_a_share_is_reached_exactly() -> None:
    assert together([Rate(1, 2), Rate(2, 3)]) == Rate(3, 5)
    assert Rate(9, 10).reaches(900)
    assert not Rate(8, 9).reaches(889)
    assert not Rate(0, 0).reaches(0)
