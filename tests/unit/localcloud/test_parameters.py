"""Invalid values of the template's parameters are refused before anything is deployed."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.errors import InvalidInput
from cli.local_stack import parameters_of
from localcloud.parameters import complaints, typed
from localcloud.template import load_template

TEMPLATE = Path(__file__).resolve().parents[3] / "template.yaml"
DECLARED: dict[str, Any] = {
    "Number": {"Type": "Number", "Default": 1},
    "Bounded": {"Type": "Number", "Default": 1, "MinValue": 0.01, "MaxValue": 10},
    "OneOf": {"Type": "Number", "Default": 0, "AllowedValues": [0, 1, 3]},
    "Text": {"Type": "String", "Default": "", "MinLength": 2, "MaxLength": 4},
    "Stage": {"Type": "String", "Default": "dev", "AllowedValues": ["dev", "prod"]},
    "Pattern": {"Type": "String", "Default": "", "AllowedPattern": "[a-z]+", "ConstraintDescription": "small letters"},
    "Odd": {"Type": "String", "Default": "", "AllowedPattern": r"\p{Lower}+"},
    "Texts": {"Type": "CommaDelimitedList", "Default": "a", "AllowedValues": ["a", "b"]},
    "Numbers": {"Type": "List<Number>", "Default": "1", "MaxValue": 5},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Number", "0.50"),
        ("Number", "-3"),
        ("Number", "1e3"),
        ("Bounded", "0.01"),
        ("Bounded", "10"),
        ("OneOf", "3"),
        ("OneOf", "3.0"),
        ("Text", "ab"),
        ("Text", "abcd"),
        ("Stage", "prod"),
        ("Pattern", "abc"),
        ("Odd", "whatever"),
        ("Texts", "a, b"),
        ("Numbers", "1,5"),
    ],
)
def test_what_the_template_takes_is_taken(name: str, value: str) -> None:
    assert complaints(DECLARED, {name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Number", "abc", "'abc' is not a number"),
        ("Number", "", "'' is not a number"),
        ("Number", "NaN", "is not a number"),
        ("Number", "inf", "is not a number"),
        ("Number", "1_000", "is not a number"),
        ("Number", "٣x", "is not a number"),
        ("Number", "1,5", "is not a number"),
        ("Bounded", "0", "must be 0.01 or more"),
        ("Bounded", "10.000001", "must be 10 or less"),
        ("Bounded", "1e999", "must be 10 or less"),
        ("OneOf", "2", "may be 0, 1, 3"),
        ("OneOf", "x", "is not a number"),
        ("Text", "a", "length of 2 or more"),
        ("Text", "abcde", "length of 4 or less"),
        ("Stage", "test", "may be dev, prod"),
        ("Stage", "dev ", "may be dev, prod"),
        ("Pattern", "ABC", "does not fit [a-z]+. (small letters)"),
        ("Pattern", "abc1", "does not fit"),
        ("Texts", "a,c", "may be a, b"),
        ("Numbers", "1,6", "must be 5 or less"),
        ("Nobody", "1", "no parameter Nobody; it has Number, "),
    ],
)
def test_what_it_does_not_take_is_named_with_the_reason(name: str, value: str, why: str) -> None:
    (found,) = complaints(DECLARED, {name: value})

    assert name in found
    assert why in found


def test_a_parameter_without_a_default_has_to_be_given() -> None:
    declared = {"Vpc": {"Type": "AWS::EC2::VPC::Id"}}

    assert complaints(declared, {}) == ["Vpc: has no default; give it a value."]
    assert complaints(declared, {"Vpc": "vpc-1"}) == []


@pytest.mark.parametrize(
    ("words", "why"), [(["Number"], "write NAME=VALUE"), (["=1"], "NAME=VALUE"), (["Number=1", "Number=2"], "twice")]
)
def test_what_is_typed_is_a_name_and_a_value_once(words: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        typed(DECLARED, words)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"--parameter.*TenantHourUsd=abc.*Stage=test"):
        parameters_of(["TenantHourUsd=abc", "Stage=test"])


def test_every_default_of_the_template_is_taken() -> None:
    declared = load_template(TEMPLATE)["Parameters"]

    assert complaints(declared, {name: str(one["Default"]) for name, one in declared.items()}) == []


@given(st.text(max_size=20))
def test_any_text_is_taken_or_refused_and_never_breaks(text: str) -> None:
    for name in DECLARED:
        assert len(complaints(DECLARED, {name: text})) in (0, 1)
