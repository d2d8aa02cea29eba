"""An error's text has no value that pydantic quotes, however long or wrapped."""

from typing import Literal

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError, field_validator

from ballast.contracts.wire import Wire, complaints, parse
from ballast.errors import InvalidInput, ProcessEnds
from ballast.masking import error_text, without_inputs

LONG = "Meyer-Lübbenau, 4711 open sesame,\n, input_type=str] Hauptstraße 12, 10115 Berlin, behind the stairs"


class Order(BaseModel):
    number: int
    kind: Literal["a", "b"] = "a"
    inner: "Order | None" = None

    @field_validator("number", mode="before")
    @classmethod
    def no_long_one(cls, value: object) -> object:
        if isinstance(value, list):
            raise ValueError(f"{'x' * 650}{value[0]}")
        return value


class Wired(Wire):
    number: int


class Panic(BaseException):
    """As a panic in Rust is: no ``Exception``."""


class Mute(Exception):
    def __init__(self, breaks: type[BaseException]) -> None:
        self.breaks = breaks

    def __str__(self) -> str:
        raise self.breaks


@pytest.mark.parametrize("breaks", [ValueError, Panic, SystemExit, GeneratorExit])
def test_what_cannot_be_said_is_no_error_of_its_own(breaks: type[BaseException]) -> None:
    assert error_text(Mute(breaks)) == "(its text cannot be read)"


@pytest.mark.parametrize("ends", [KeyboardInterrupt, ProcessEnds])
def test_the_end_of_the_process_is(ends: type[BaseException]) -> None:
    with pytest.raises(ends):
        error_text(Mute(ends))


def refused(data: object) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        Order.model_validate(data)
    return raised.value


def has(text: str) -> list[str]:
    parts = [LONG[at : at + 6] for at in range(len(LONG) - 6)]
    return [one for one in parts if one in text and "inp" not in one and one not in ", input_type=str]"]


DATA: list[object] = [
    {"number": LONG},
    LONG,
    {"number": 1, "kind": LONG},
    {"number": 1, "inner": {"number": [LONG]}},
    {"number": 1, "inner": LONG},
    {"number": {"deep": [LONG]}},
    {"number": LONG, "kind": LONG},
]


@pytest.mark.parametrize("data", DATA, ids=[str(number) for number in range(len(DATA))])
def test_no_value_is_quoted(data: object) -> None:
    problem = refused(data)

    assert has(str(problem)) or isinstance(data, dict)
    assert has(error_text(problem)) == []
    assert has(complaints(problem)) == []


@pytest.mark.parametrize("data", [one for one in DATA if "deep" not in str(one) and "[" not in str(one)][:3])
def test_nor_where_another_error_has_its_text(data: object) -> None:
    problem = refused(data)

    for text in (f"it broke: {problem}", repr(str(problem)), f"[{problem}]", " ".join(str(problem).split())):
        assert has(without_inputs(text)) == []
        assert "validation error" in without_inputs(text)


def test_the_field_and_the_reason_are_said() -> None:
    assert error_text(refused({"number": "x"})) == (
        "number: Input should be a valid integer, unable to parse string as an integer"
    )


def test_what_is_too_long_is_left_out_whole() -> None:
    name = "4111 1111 1111 1111" * 20

    with pytest.raises(ValidationError) as raised:
        TypeAdapter(dict[str, int]).validate_python({name: "x"})
    assert complaints(raised.value).startswith("(380 characters): ")
    assert complaints(refused({"number": [LONG]})) == "number: value_error"


def test_a_text_without_such_a_value_is_the_very_same() -> None:
    for text in ("", "input_value", "input_value=", "see input_value=1, but no type"):
        assert without_inputs(text) == text


def test_a_contract_says_no_value() -> None:
    with pytest.raises(InvalidInput) as raised:
        parse(Wired, {"number": LONG}, what="Wired")
    assert has(str(raised.value)) == []


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_without_words_says_so() -> None:
    assert error_text(Speechless()) == "(its text cannot be read)"
    assert error_text(ValueError("\ud800")) == "?"
