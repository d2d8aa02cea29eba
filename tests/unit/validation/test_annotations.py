"""A mark in any type finds its values in JSON, or the tool is refused with the field's name."""

import dataclasses
import json
import typing
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, NewType, Optional, TypeVar, Union

import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    TypeAdapter,
    computed_field,
    field_serializer,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from ballast.errors import PlaybookInvalid
from ballast.masking import MASK, Finder, masked
from ballast.playbook import Read, Sensitive, ToolContext, Untrusted, load_playbook, tool
from ballast.playbook.sensitive import _sensitive_fields as sensitive_in
from ballast.validation import Grounded, has_mark, ineffective_marks
from ballast.validation.marks import leaves

ROOT = Path(__file__).parents[3]

Pin = Annotated[str, Sensitive]
T = TypeVar("T")
Typed = NewType("Typed", Pin)
Alias = typing_extensions.TypeAliasType("Alias", Annotated[str, Sensitive])
ListOf = typing_extensions.TypeAliasType("ListOf", list[T], type_params=(T,))


class Model(BaseModel):
    pin: Pin
    hint: str = "clear"


class Aliased(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)

    card_pin: Pin


class Chosen(BaseModel):
    pin: Pin = Field(validation_alias=AliasChoices("thePin", "pin"), serialization_alias="outPin")


@dataclasses.dataclass
class Data:
    pin: Pin
    hint: str = "clear"


@pydantic.dataclasses.dataclass
class PydanticData:
    pin: Pin = pydantic.Field(serialization_alias="pinCode")


class Typing(TypedDict):
    pin: Pin


class TypingTotal(TypedDict, total=False):
    pin: typing.NotRequired[Annotated[int, Sensitive]]


class Extended(typing_extensions.TypedDict):
    pin: typing_extensions.Required[Annotated[str, Sensitive()]]


class Tuple(NamedTuple):
    hint: str
    pin: Pin


class Root(RootModel[Pin]):
    pass


class RootList(RootModel[list[Annotated[str, Sensitive]]]):
    pass


class Generic1(BaseModel, Generic[T]):
    item: T


@dataclasses.dataclass
class Generic2(Generic[T]):
    item: T
    items: list[T] = dataclasses.field(default_factory=list)


class Computed(BaseModel):
    number: int = 1

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pin(self) -> Annotated[str, Sensitive]:
        return SECRET


class Nested(BaseModel):
    one: Model | None = None
    many: list[Data] = []
    named: dict[str, Tuple] = {}
    whole: Annotated[Typing | None, Sensitive] = None


SECRET = "zebra-4711-quagga"
#: A type, a value of it, and how often the secret is in it.
WORK: list[tuple[Any, Any]] = [
    (Pin, SECRET),
    (Annotated[str, Field(min_length=1), Sensitive()], SECRET),
    (Pin | None, SECRET),
    (Optional[Pin], SECRET),  # noqa: UP045
    (Union[int, Pin], SECRET),  # noqa: UP007
    (Typed, SECRET),
    (Alias, SECRET),
    (ListOf[Pin], [SECRET]),
    (Model, {"pin": SECRET}),
    (Aliased, {"card_pin": SECRET}),
    (Chosen, {"thePin": SECRET}),
    (Data, Data(SECRET)),
    (PydanticData, {"pin": SECRET}),
    (Typing, {"pin": SECRET}),
    (Extended, {"pin": SECRET}),
    (Tuple, Tuple("clear", SECRET)),
    (Root, SECRET),
    (RootList, [SECRET]),
    (Generic1[Pin], {"item": SECRET}),
    (Generic1[list[Model]], {"item": [{"pin": SECRET}]}),
    (Generic2[Pin], Generic2(SECRET, [SECRET])),
    (Computed, {}),
    (Nested, Nested(one=Model(pin=SECRET), many=[Data(SECRET)], named={"a": Tuple("clear", SECRET)})),
    (Nested, Nested(whole={"pin": SECRET})),
    (list[Model], [{"pin": SECRET}]),
    (tuple[str, Pin], ("clear", SECRET)),
    (tuple[Pin, ...], (SECRET,)),
    (set[Pin], {SECRET}),
    (frozenset[Pin], frozenset({SECRET})),
    (deque[Pin], deque([SECRET])),
    (Sequence[Pin], [SECRET]),
    (dict[str, Pin], {"clear": SECRET}),
    (dict[Pin, int], {SECRET: 1}),
    (Mapping[str, Model], {"clear": {"pin": SECRET}}),
    (OrderedDict[str, Pin], OrderedDict(clear=SECRET)),
    (Counter[Pin], Counter({SECRET: 1})),
    (Annotated[dict[str, Any], Sensitive], {"clear": [SECRET]}),
    (Annotated[Model, Sensitive], {"pin": SECRET, "hint": SECRET}),
    (Model | Data | int, {"pin": SECRET}),
]


@pytest.mark.parametrize(("annotation", "value"), WORK, ids=[str(number) for number in range(len(WORK))])
def test_a_mark_that_is_taken_is_heard(annotation: Any, value: Any) -> None:
    heard(annotation, value)


def heard(annotation: Any, value: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    dumped = adapter.dump_python(adapter.validate_python(value), mode="json")
    for result in (dumped, adapter.dump_python(adapter.validate_python(value), mode="json", by_alias=True)):
        found = set(sensitive_in(annotation, result, "result", "look"))
        shown = masked({"tool": "look", "result": result}, Finder.of(found, frozenset({"look", "pin", "hint"})))
        assert ineffective_marks(annotation) == []
        assert has_mark(annotation, Sensitive)
        assert SECRET in json.dumps(result)
        assert SECRET not in json.dumps(shown)


NEST: list[Callable[[Any], Any]] = [
    lambda inner: list[inner],
    lambda inner: dict[str, inner],
    lambda inner: tuple[int, inner],
    lambda inner: inner | None,
    lambda inner: Generic1[inner],
    lambda inner: Generic2[inner],
    lambda inner: RootModel[inner],
    lambda inner: pydantic.create_model("Made", field=(inner, ...)),
    lambda inner: dataclasses.make_dataclass("Made", [("field", inner)]),
    lambda inner: TypedDict("Made", {"field": inner}),  # type: ignore[operator]
    lambda inner: NamedTuple("Made", [("field", inner)]),  # type: ignore[misc]
]
PUT: list[Callable[[Any], Any]] = [
    lambda value: [value],
    lambda value: {"clear": value},
    lambda value: (1, value),
    lambda value: value,
    lambda value: {"item": value},
    lambda value: {"item": value},
    lambda value: value,
    lambda value: {"field": value},
    lambda value: {"field": value},
    lambda value: {"field": value},
    lambda value: [value],
]


@given(st.sampled_from([Pin, Model, Data, Typing, Tuple]), st.lists(st.sampled_from(range(len(NEST))), max_size=4))
def test_marks_are_heard_in_any_nest_of_types(inner: Any, nest: list[int]) -> None:
    value: Any = ["clear", SECRET] if inner is Tuple else SECRET if inner is Pin else {"pin": SECRET}
    for one in nest:
        inner, value = NEST[one](inner), PUT[one](value)

    heard(inner, value)


class Custom(BaseModel):
    pin: Pin

    @model_serializer
    def form(self) -> dict[str, str]:
        return {"other": self.pin}


class Foreign:
    pin: Pin

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(dict[str, str])


class Deep(BaseModel):
    model: Model

    @field_serializer("model")
    def flat(self, model: Model) -> list[str]:
        return [model.pin]


class Pathed(BaseModel):
    pin: Pin = Field(validation_alias=AliasPath("card", "pin"))


Flat = Annotated[Model, PlainSerializer(lambda model: model.pin, return_type=str)]


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (Custom, "pin"),
        (list[Custom], "pin"),
        (Foreign, "pin"),
        (Generic1[Foreign], "item.pin"),
        (Deep, "model.pin"),
        (Pathed, "pin"),
        (Flat, "pin"),
        (Generic1[Flat], "item.pin"),
        (Callable[[Pin], int], "the type itself"),
    ],
)
def test_a_mark_that_would_say_nothing_is_refused_with_its_field(annotation: Any, field: str) -> None:
    assert [one.split(", ")[0] for one in ineffective_marks(annotation)] == [f"{field} (Sensitive"]


@pytest.mark.parametrize("mark", [Sensitive, Untrusted, Grounded])
def test_every_mark_is_looked_for(mark: Any) -> None:
    class Lost(BaseModel):
        pin: Annotated[str, mark] = Field(validation_alias=AliasPath("card", "pin"))

    assert ineffective_marks(Lost) == [f"pin ({mark.__name__}, its alias is a path)"]


def test_the_tool_is_refused_when_it_is_made_and_the_remedy_named() -> None:
    class Args(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

    def look(args: Args, ctx: ToolContext) -> Deep:
        """Look."""
        raise NotImplementedError

    with pytest.raises(PlaybookInvalid, match=r"look.*result's field model\.pin \(Sensitive.*Put the mark on"):
        tool(effect=Read())(look)


def test_a_serializer_on_the_marked_field_itself_keeps_the_mark() -> None:
    class Whole(BaseModel):
        model: Annotated[Model, Sensitive]

        @field_serializer("model")
        def flat(self, model: Model) -> list[str]:
            return [model.pin]

    found = set(sensitive_in(Whole, {"model": [SECRET]}, "result", "look"))

    assert {secret.value for secret in found} == {SECRET}


@pytest.mark.parametrize("value", [True, False, 0, 1, 1.5, Decimal("2.50"), "", None])
def test_a_marked_value_is_hidden_whatever_it_is(value: Any) -> None:
    class Any1(BaseModel):
        pin: Annotated[Any, Sensitive]

    result = TypeAdapter(Any1).dump_python(Any1(pin=value), mode="json")
    shown = masked(
        {"tool": "x", "result": result}, Finder.of(sensitive_in(Any1, result, "result", "x"), frozenset("x"))
    )

    assert shown["result"] == {"pin": value if value in ("", None) else MASK}


def test_an_instance_is_looked_into_as_its_json_is() -> None:
    value = Nested(one=Model(pin=SECRET), many=[Data(SECRET)], named={"a": Tuple("clear", SECRET)})

    marked = [found.path for found in leaves(Nested, value, Sensitive) if found.mark]

    assert marked == ["one.pin", "many.0.pin", "named.*.1"]


def test_the_names_of_a_playbook_are_its_tools_and_their_fields() -> None:
    names = load_playbook(ROOT / "layers" / "playbook" / "playbook").names

    assert {"refund_order", "order_id", "amount_usd", "status"} <= names
