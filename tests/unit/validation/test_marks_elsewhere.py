"""A mark in any type that pydantic accepts works, or is refused with its place."""

import dataclasses
import typing
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import pydantic
import pytest
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    Tag,
    computed_field,
    field_serializer,
    model_serializer,
)

from ballast.validation import FreeText, Grounded, Sensitive, Untrusted, has_mark, ineffective_marks
from ballast.validation.marks import leaves

Pin = Annotated[str, Sensitive]
T = TypeVar("T")
Bound = TypeVar("Bound", bound=Pin)
OneOf = TypeVar("OneOf", Pin, int)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Pin]

    known: str = ""


class OpenOf(BaseModel, Generic[T]):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, T]


class Inherited(OpenOf[Pin]):
    known: int = 1


class Bounded(BaseModel, Generic[Bound]):
    pin: Bound


class Constrained(BaseModel, Generic[OneOf]):
    pin: OneOf


class Left(BaseModel):
    pin: Pin


class Right(BaseModel):
    other: str


Either = Annotated[
    Annotated[Left, Tag("left")] | Annotated[Right, Tag("right")],
    Discriminator(lambda one: "left" if "pin" in one else "right"),
]


@pydantic.dataclasses.dataclass
class Computing:
    seed: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pin(self) -> Pin:
        return "zebra"


class Inside(BaseModel):
    root: RootModel[list[OpenOf[Pin]]]


HEARD: list[tuple[Any, Any]] = [
    (Open, {"x": "zebra"}),
    (Open, Open(x="zebra")),
    (OpenOf[Pin], {"x": "zebra"}),
    (OpenOf[list[Pin]], {"x": ["zebra"]}),
    (OpenOf[Left], {"x": {"pin": "zebra"}}),
    (Inherited, Inherited(x="zebra")),
    (list[Open], [{"x": "zebra"}]),
    (dict[str, Open | None], {"a": {"x": "zebra"}}),
    (Inside, {"root": [{"x": "zebra"}]}),
    (Bounded, {"pin": "zebra"}),
    (Constrained, {"pin": "zebra"}),
    (Either, {"pin": "zebra"}),
    (Computing, {"pin": "zebra"}),
    (Json[Pin], "zebra"),
    (RootModel[Pin], "zebra"),
]


@pytest.mark.parametrize(("annotation", "value"), HEARD, ids=[str(number) for number in range(len(HEARD))])
def test_a_mark_is_heard(annotation: Any, value: Any) -> None:
    assert ineffective_marks(annotation) == []
    assert {one.value for one in leaves(annotation, value, Sensitive) if one.mark} == {"zebra"}


def test_what_is_known_of_an_open_model_is_not_marked_and_a_name_of_others_is_data() -> None:
    found = [(one.value, one.mark is not None, one.field) for one in leaves(Open, {"known": "a", "x": "b"}, Sensitive)]

    assert found == [("a", False, "known"), ("x", False, ""), ("b", True, "x")]


class Plain(BaseModel):
    model_config = ConfigDict(extra="allow")


def test_a_model_that_says_nothing_of_its_extras_is_as_it_was() -> None:
    assert not has_mark(Plain, Sensitive)
    assert [one.value for one in leaves(Plain, {"x": "b"}, Sensitive)] == ["x", "b"]
    assert [one.value for one in leaves(Plain, Plain(x="b"), Grounded)] == ["x", "b"]


class Closed(BaseModel):
    __pydantic_extra__: dict[str, Pin]


class Private(BaseModel):
    _pin: Pin = PrivateAttr("x")


class OfTheClass(BaseModel):
    pin: ClassVar[Pin] = "x"


class Excluded(BaseModel):
    pin: Pin = Field(exclude=True)


@pydantic.dataclasses.dataclass
class ExcludedData:
    pin: Pin = Field(exclude=True)


class OfASerializer(BaseModel):
    pin: str

    @field_serializer("pin")
    def form(self, pin: str) -> Pin:
        return pin


class OfTheWhole(BaseModel):
    pin: str

    @model_serializer
    def form(self) -> dict[str, Pin]:
        return {"pin": self.pin}


class Beside(BaseModel):
    pin: Annotated[str, PlainSerializer(lambda pin: pin, return_type=Pin)]


class Before(BaseModel):
    pin: Annotated[str, BeforeValidator(lambda pin: pin, json_schema_input_type=Pin)]


@dataclasses.dataclass
class Initial:
    pin: dataclasses.InitVar[Pin]


LOST: list[tuple[Any, str]] = [
    (Closed, "*"),
    (Private, "_pin"),
    (OfTheClass, "pin"),
    (Excluded, "pin"),
    (ExcludedData, "pin"),
    (OfASerializer, "form()"),
    (OfTheWhole, "form()"),
    (Beside, "pin"),
    (Before, "pin"),
    (Initial, "pin"),
    (Secret[Pin], "the type itself"),
    (typing.Iterator[Pin], "the type itself"),
    (list[Excluded], "pin"),
    (OpenOf[Private], "*._pin"),
]


@pytest.mark.parametrize(("annotation", "place"), LOST, ids=[str(number) for number in range(len(LOST))])
def test_a_mark_that_would_say_nothing_is_refused_with_its_place(annotation: Any, place: str) -> None:
    assert {one.split(", ")[0] for one in ineffective_marks(annotation)} == {f"{place} (Sensitive"}


@pytest.mark.parametrize("mark", [Grounded, FreeText, Untrusted, Sensitive])
def test_each_mark_is_looked_for(mark: Any) -> None:
    class Marked(BaseModel):
        model_config = ConfigDict(extra="allow")
        __pydantic_extra__: dict[str, Annotated[str, mark]]

    class Lost(BaseModel):
        pin: Annotated[str, mark] = Field(exclude=True)

    assert [one.value for one in leaves(Marked, Marked(x="zebra"), mark) if one.mark] == ["zebra"]
    assert ineffective_marks(Lost) == [f"pin ({mark.__name__}, it is excluded from serialization)"]
