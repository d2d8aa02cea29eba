"""Marks are found in any place: nested, in lists, in unions, in Annotated within Annotated."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, StringConstraints

from ballast.playbook.arguments.form import Form as JsonForm
from ballast.validation import FreeText, Grounded, Kind, Untrusted, has_mark
from ballast.validation.marks import is_choice, leaves, leaves_with_defaults, undeclared

Short = Annotated[str, StringConstraints(max_length=10)]


class Address(BaseModel):
    street: Annotated[str, Grounded]
    country: str = "US"


class Line(BaseModel):
    sku: Annotated[Short, Grounded] = Field(description="x")
    count: int = 1


class Order(BaseModel):
    """Every way to mark a field, and fields that are not marked."""

    order_id: Annotated[str, Grounded]
    amount: Annotated[Decimal, Grounded(kind=Kind.AMOUNT)] = Decimal(1)
    email: Annotated[str, Grounded] | None = None
    phone: Annotated[str | None, Grounded] = None
    reason: str = "other"
    codes: tuple[Annotated[str, Grounded], ...] = ()
    tags: Annotated[list[str], Grounded] = Field(default_factory=list)
    lines: list[Line] = Field(default_factory=list)
    address: Address | None = None
    home: Annotated[Address | None, Grounded] = None
    prices: dict[str, Annotated[int, Grounded]] = Field(default_factory=dict)
    either: Address | Line | None = None
    pair: tuple[str, Annotated[str, Grounded]] | None = None


def marked(**fields: Any) -> list[str]:
    order = Order.model_validate({"order_id": "O-1", **fields})
    return [found.path for found in leaves(Order, order, Grounded) if found.mark]


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({}, []),
        ({"amount": "2.50"}, ["amount"]),
        ({"email": "a@b.c", "phone": "1", "reason": "x"}, ["email", "phone"]),
        ({"email": None, "phone": None}, []),
        ({"codes": ["a", "b"], "tags": ["c"]}, ["codes.0", "codes.1", "tags.0"]),
        ({"lines": [{"sku": "s", "count": 2}]}, ["lines.0.sku"]),
        ({"address": {"street": "s", "country": "DE"}}, ["address.street"]),
        ({"home": {"street": "s", "country": "DE"}}, ["home.street", "home.country"]),
        ({"prices": {"a secret": 2}}, ["prices.*"]),
        ({"either": {"street": "s"}}, ["either.street"]),
        ({"either": {"sku": "s"}}, ["either.sku"]),
        ({"pair": ["a", "b"]}, ["pair.1"]),
    ],
)
def test_a_mark_is_found(fields: dict[str, Any], paths: list[str]) -> None:
    assert marked(**fields) == ["order_id", *paths]


def test_the_kind_comes_with_the_mark() -> None:
    order = Order.model_validate({"order_id": "O-1", "amount": "2.50"})

    assert [found.mark for found in leaves(Order, order, Grounded)] == [Grounded(), Grounded(Kind.AMOUNT)]


class Note(BaseModel):
    author: str
    text: Annotated[str, Untrusted]
    answers: list["Note"] = Field(default_factory=list)


def test_untrusted_fields_are_found_in_json_however_deep() -> None:
    inner = {"author": "b", "text": "evil", "answers": []}
    note = {"author": "a", "text": "bad", "answers": [inner | {"answers": [inner]}]}

    found = {one.path: one.mark is not None for one in leaves(list[Note] | None, [note], Untrusted)}

    assert found == {
        "0.author": False,
        "0.text": True,
        "0.answers.0.author": False,
        "0.answers.0.text": True,
        "0.answers.0.answers.0.author": False,
        "0.answers.0.answers.0.text": True,
    }


class Other(BaseModel):
    text: str


def test_a_field_that_one_branch_of_a_union_marks_is_marked() -> None:
    assert [one.mark for one in leaves(Other | Note, {"text": "x"}, Untrusted)] == [Untrusted()]


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (Order, True),
        (Line, True),
        (list[Line], True),
        (Other, False),
        (str, False),
        (Annotated[str, Grounded()], True),
        (Note, False),
    ],
)
def test_whether_a_type_has_a_mark_at_all(annotation: Any, found: bool) -> None:
    assert has_mark(annotation, Grounded) is found


def test_marks_leave_the_schema_alone() -> None:
    class Plain(BaseModel):
        street: str
        country: str = "US"

    assert Address.model_json_schema() == Plain.model_json_schema() | {"title": "Address"}


class Colour(StrEnum):
    RED = "red"


class Nested(BaseModel):
    marked: Annotated[str, Grounded]
    spare: str = ""


class Form(BaseModel):
    """Every way to declare an argument, and every way to leave it."""

    order_id: Annotated[str, Grounded]
    remark: Annotated[str, FreeText] = ""
    own: Annotated[str | None, FreeText(quotes=False)] = None
    either: Annotated[str, Grounded] | None = None
    colour: Colour = Colour.RED
    when: Literal["now", "later"] | None = None
    sure: bool | None = False
    whole: Annotated[Nested | None, Grounded] = None
    text: str = ""
    count: int | None = None
    parts: list[str] = []
    by_name: dict[str, Annotated[int, Grounded]] = {}
    nested: Nested | None = None
    many: tuple[Nested, ...] = ()
    notes: list["Note"] = []
    anything: Any = None


def test_what_nobody_has_declared_is_listed_by_its_path() -> None:
    assert list(dict.fromkeys(undeclared(Form))) == [
        "text",
        "count",
        "parts.*",
        "by_name.*",
        "nested.spare",
        "many.*.spare",
        "notes.*.author",
        "notes.*.text",
        "anything",
    ]


@pytest.mark.parametrize(
    ("annotation", "choice"),
    [
        (Literal["a"], True),
        (Colour, True),
        (bool | None, True),
        (Annotated[Literal["a"] | None, Field(description="x")], True),
        (str, False),
        (Literal["a"] | str, False),
        (Any, False),
    ],
)
def test_a_choice_can_only_be_what_its_type_lists(annotation: Any, choice: bool) -> None:
    assert is_choice(annotation) is choice


class Parcel(BaseModel):
    sku: str
    unit: Annotated[str, Grounded] = "piece"
    labels: tuple[str, ...] = ("fragile",)


class Shipment(BaseModel):
    parcels: tuple[Parcel, ...] = ()
    by_name: dict[str, Parcel] = {}
    first: Parcel | None = None
    unit: str = "piece"


A, B, BOX = {"sku": "A"}, {"sku": "B"}, {"sku": "B", "unit": "box"}


@pytest.mark.parametrize(
    ("sent", "said", "row"),
    [
        ({"parcels": [A, B]}, ["parcels.0.sku", "parcels.1.sku"], []),
        ({"parcels": [A | {"unit": "piece"}]}, ["parcels.0.sku"], []),
        ({"parcels": [A, BOX]}, ["parcels.0.sku", "parcels.1.sku", "parcels.1.unit"], ["parcels.0.unit"]),
        ({"by_name": {"a": A}}, ["by_name.*", "by_name.*.sku"], []),
        ({"by_name": {"a": A, "b": BOX}}, ["by_name.*", "by_name.*.sku"] * 2 + ["by_name.*.unit"], ["by_name.*.unit"]),
        (
            {"parcels": [A, B | {"labels": ["x"]}]},
            ["parcels.0.sku", "parcels.1.sku", "parcels.1.labels.0"],
            ["parcels.0.labels.0"],
        ),
        ({"first": A}, ["first.sku"], []),
        ({"first": A | {"unit": "box"}, "unit": "piece"}, ["first.sku", "first.unit"], []),
    ],
)
def test_a_default_is_the_tools_own_word_and_a_part_of_a_row_that_has_others(
    sent: dict[str, Any], said: list[str], row: list[str]
) -> None:
    args = JsonForm(Shipment).read(sent)  # the form has every default

    assert [one.path for one in leaves(Shipment, args, Grounded)] == said
    assert sorted(one.path for one in leaves_with_defaults(Shipment, args, Grounded)) == sorted([*said, *row])
