"""Each field of each contract refuses what is wrong and says which field it is."""

import re
from typing import Any

import pytest

import ballast.contracts
from ballast.contracts.wire import Wire
from ballast.errors import InvalidInput
from tests.unit.contracts.bad_input import CONTRACTS, Contract

NAMED = {contract.model.__name__: contract for contract in CONTRACTS}
FIELDS = [(name, field) for name, contract in NAMED.items() for field in contract.bad]
REQUIRED = [(name, field) for name, contract in NAMED.items() for field in contract.required]


def test_every_contract_is_tested() -> None:
    exported = [getattr(ballast.contracts, name) for name in ballast.contracts.__all__]
    models = {one.__name__ for one in exported if isinstance(one, type) and issubclass(one, Wire)}

    assert models <= NAMED.keys()


@pytest.mark.parametrize("name", NAMED)
def test_every_field_of_a_contract_has_bad_input_and_a_good_example(name: str) -> None:
    contract = NAMED[name]

    assert contract.bad.keys() == contract.fields
    assert contract.good.keys() == contract.fields
    assert all(values for field, values in contract.bad.items() if field != "kind" or name == "OpenTask")


@pytest.mark.parametrize("name", NAMED)
def test_the_good_example_is_read_and_written_back(name: str) -> None:
    contract = NAMED[name]

    read = contract.read(contract.good)

    assert isinstance(read, contract.model)
    assert contract.read(read.model_dump(mode="json", by_alias=True)) == read


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_bad_value_of_a_field_is_refused_by_its_name(name: str, field: str) -> None:
    contract = NAMED[name]

    wrong = [wrong for value in contract.bad[field] if (wrong := wrong_about(contract, field, value))]

    assert wrong == []


def wrong_about(contract: Contract, field: str, value: Any) -> str | None:
    """Return what is wrong with how the contract takes a bad value, or None."""
    try:
        contract.read(contract.good | {field: value})
    except InvalidInput as refused:
        said = str(refused)
    else:
        return f"{shown(value)} is accepted"
    complaint, _, _ = said.partition(" Send ")  # what comes after it names every field
    if not re.search(rf"\b{field}\b", complaint) or "\n" in said or len(said) >= 2_500:
        return f"{shown(value)} is refused with {said[:200]!r}"
    return None


def shown(value: Any) -> str:
    """Return a value as it may be printed; Python prints no number of 5,000 digits."""
    return "a huge number" if isinstance(value, int) and value > 10**20 else repr(value)[:80]


@pytest.mark.parametrize(("name", "field"), REQUIRED)
def test_a_missing_field_is_named(name: str, field: str) -> None:
    contract = NAMED[name]
    without = {key: value for key, value in contract.good.items() if key != field}

    with pytest.raises(InvalidInput, match=rf"\b{field}: Field required"):
        contract.read(without)


@pytest.mark.parametrize("name", NAMED)
def test_an_extra_field_is_named(name: str) -> None:
    contract = NAMED[name]

    with pytest.raises(InvalidInput, match=r"surprise: Extra inputs are not permitted"):
        contract.read(contract.good | {"surprise": 1})


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("data", [None, [], "x", 1, b"{}"], ids=repr)
def test_what_is_no_object_is_refused(name: str, data: Any) -> None:
    with pytest.raises(InvalidInput):
        NAMED[name].read(data)


@pytest.mark.parametrize("name", NAMED)
def test_a_contract_is_a_value(name: str) -> None:
    contract = NAMED[name]
    read = contract.read(contract.good)

    with pytest.raises(ValueError, match="frozen"):
        setattr(read, next(iter(contract.model.model_fields)), "other")


def test_a_complaint_is_one_short_line_whatever_the_sender_made_up() -> None:
    hostile = {f"a\nb{number}" + "x" * 500: 1 for number in range(500)}

    with pytest.raises(InvalidInput) as refused:
        NAMED["RunRequest"].read(NAMED["RunRequest"].good | hostile)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 2_500
    assert "and 492 more" in str(refused.value)
