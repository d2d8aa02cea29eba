"""Validator and serializer methods of an argument model are tried with the whole model."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field, RootModel, create_model, field_serializer, field_validator, model_validator
from pydantic.dataclasses import dataclass

from ballast.errors import PlaybookInvalid
from ballast.playbook.arguments.form import Form
from ballast.playbook.arguments.load_check import require_json_form


class Checked(BaseModel):
    a: str | None = None
    b: str | None = None

    @model_validator(mode="before")
    @classmethod
    def one_of_them(cls, data: Any) -> Any:
        if isinstance(data, dict) and not (data.get("a") or data.get("b")):
            raise ValueError("a or b")
        return data


class Renamed(BaseModel):
    order_id: str

    @model_validator(mode="before")
    @classmethod
    def old_name(cls, data: Any) -> Any:
        return {"order_id": data["order"]} if isinstance(data, dict) and "order" in data else data


class Short(BaseModel):
    a: str = "k"

    @model_validator(mode="before")
    @classmethod
    def of_text(cls, data: Any) -> Any:
        return {"a": data} if isinstance(data, str) else data


class Wrapped(BaseModel):
    a: str

    @model_validator(mode="wrap")
    @classmethod
    def lower(cls, data: Any, handler: Callable[[Any], Any]) -> Any:
        return handler({name.lower(): one for name, one in data.items()} if isinstance(data, dict) else data)


@dataclass
class Made:
    a: str = "x"

    @model_validator(mode="before")
    @classmethod
    def as_it_is(cls, data: Any) -> Any:
        return data


class Inherits(Short):
    n: int = 0


class Holds(BaseModel):
    one: Short
    more: list[Short] = Field(default_factory=list)
    made: Made | None = None


def write_with(write: Callable[[Any], Any], kind: Any, default: Any = ..., **how: Any) -> type[BaseModel]:
    def method(self: Any, value: Any) -> Any:
        return write(value)

    methods: Any = {"as_text": field_serializer("value", **how)(method)}
    return create_model("Args", __validators__=methods, value=(kind, default))


class Root(RootModel[Decimal]):
    @field_serializer("root")
    def as_text(self, value: Decimal) -> str:
        return str(value)


class HasRoot(BaseModel):
    amount: Root


class OfAnother(BaseModel):
    zone: str
    amount: Decimal

    @field_serializer("amount")
    def as_text(self, value: Decimal) -> str:
        return str(value) if self.zone else ""


class Wraps(BaseModel):
    at: datetime

    @field_serializer("at", mode="wrap")
    def as_text(self, value: datetime, handler: Callable[[Any], Any]) -> Any:
        return handler(value)


@pytest.mark.parametrize("model", [Checked, Renamed, Short, Wrapped, Inherits, Holds])
def test_a_validator_around_a_models_fields_is_tried_at_the_model(model: type[BaseModel]) -> None:
    require_json_form(Form(model), "a tool")


@pytest.mark.parametrize(
    "model",
    [
        write_with(datetime.isoformat, datetime),
        write_with(lambda value: f"{value:f}", Decimal),
        write_with(lambda value: f"{value:.2f}", Decimal, Decimal("0.00")),
        write_with(str, Decimal, when_used="json"),
        write_with(lambda value: None if value is None else str(value), date | None, None),
        write_with(lambda value: value, list[str], Field(default_factory=list)),
        write_with(lambda value: value, str, Field(alias="valueOf")),
        *(HasRoot, OfAnother, Wraps),
    ],
)
def test_a_method_that_writes_a_field_is_tried_within_its_model(model: type[BaseModel]) -> None:
    require_json_form(Form(model), "a tool")


class Counts(BaseModel):
    seen: int

    @model_validator(mode="before")
    @classmethod
    def one_more(cls, data: Any) -> Any:
        return {**data, "seen": data["seen"] + 1} if isinstance(data, dict) and "seen" in data else data


class Drops(BaseModel):
    at: datetime

    @field_serializer("at")
    def only_the_day(self, value: datetime) -> str:
        return value.date().isoformat()


class Enters(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def one_more(cls, value: int) -> int:
        return value + 1


@pytest.mark.parametrize(
    "model",
    [
        *(Counts, Drops, Enters),
        write_with(lambda value: "x", int),
        write_with(lambda value: "x", int, 1),
        write_with(lambda value: value.upper(), str),
        write_with(str, Decimal | None, None),
        write_with(lambda value: value[:1], list[str], Field(default_factory=list)),
    ],
)
def test_what_such_a_method_loses_is_refused_at_load(model: type[BaseModel]) -> None:
    with pytest.raises(PlaybookInvalid, match=r"does not survive|not stable"):
        require_json_form(Form(model), "a tool")
