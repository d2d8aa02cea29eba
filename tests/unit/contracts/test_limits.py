"""Limits can only be tightened."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.contracts import Limits, LimitsPatch
from ballast.errors import InvalidInput

counts = st.integers(1, 5_000)
limits = st.builds(Limits, **dict.fromkeys(Limits.model_fields, counts))


def patch_of(values: st.SearchStrategy[int]) -> st.SearchStrategy[LimitsPatch]:
    return st.builds(LimitsPatch, **dict.fromkeys(LimitsPatch.model_fields, st.none() | values))


@settings(max_examples=100)
@given(ceilings=limits, patch=patch_of(counts))
def test_a_patch_never_loosens_a_limit(ceilings: Limits, patch: LimitsPatch) -> None:
    wanted = patch.model_dump(exclude_none=True)
    looser = {name for name, value in wanted.items() if value > getattr(ceilings, name)}

    if looser:
        with pytest.raises(InvalidInput, match="|".join(rf"limits\.{name} is" for name in looser)):
            ceilings.tightened(patch, by="request")
    else:
        assert ceilings.tightened(patch, by="request").model_dump() == ceilings.model_dump() | wanted


@settings(max_examples=100)
@given(first=patch_of(st.integers(100, 200)), second=patch_of(st.integers(1, 100)))
def test_patches_one_after_the_other_only_go_down(first: LimitsPatch, second: LimitsPatch) -> None:
    ceilings = Limits(**dict.fromkeys(Limits.model_fields, 200))

    tightened = ceilings.tightened(first, by="intent").tightened(second, by="request")

    for name in LimitsPatch.model_fields:
        asked = [value for value in (getattr(first, name), getattr(second, name)) if value is not None]
        assert getattr(tightened, name) == min([200, *asked])


@pytest.mark.parametrize("name", LimitsPatch.model_fields)
def test_a_looser_limit_is_refused_by_its_name_with_what_to_send_instead(name: str) -> None:
    ceilings = Limits(**dict.fromkeys(Limits.model_fields, 5))
    patch = LimitsPatch.model_validate({name: 6})

    with pytest.raises(
        InvalidInput, match=rf"^request: limits\.{name} is 6, above the ceiling of 5\. .*send 5 or less"
    ):
        ceilings.tightened(patch, by="request")


@pytest.mark.parametrize("name", LimitsPatch.model_fields)
def test_a_patch_has_the_bounds_of_the_limit_that_it_patches(name: str) -> None:
    whole = Limits.model_json_schema()["properties"][name]
    patch = next(
        one for one in LimitsPatch.model_json_schema()["properties"][name]["anyOf"] if one["type"] == "integer"
    )

    bounds = {"minimum", "maximum"}
    assert {key: patch[key] for key in bounds & patch.keys()} == {key: whole[key] for key in bounds & whole.keys()}


def test_no_patch_changes_nothing() -> None:
    assert Limits().tightened(None, by="request") == Limits()
    assert Limits().tightened(LimitsPatch(), by="request") == Limits()


def test_the_part_of_the_time_that_is_the_fallback_s_is_no_business_of_a_caller() -> None:
    assert Limits.model_fields.keys() - LimitsPatch.model_fields.keys() == {"fallback_reserve_s"}
