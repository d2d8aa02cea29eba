"""Hypothesis strategies for argument models as authors write them, and for JSON that a model sends for them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, Union

from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, create_model

CLOSED = ConfigDict(extra="forbid", frozen=True)
#: Names that are valid in JSON and not in Python.
ALIASES = ("from", "class", "Content-Type", "_id", "schema", "größe")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    YES = True
    NAME = "name"
    ONE = 7


class Tree(BaseModel):
    model_config = CLOSED

    name: str = Field(alias="class")
    weight: Decimal | None = None
    below: list[Tree] = []
    by_name: dict[str, Tree] = {}


@dataclass(frozen=True)
class Known:
    """A type, and the JSON that a model sends for its values."""

    type: Any
    sent: st.SearchStrategy[Any]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3)


def _written(of: Any) -> Callable[[Any], Any]:
    return lambda value: TypeAdapter(of).dump_python(value, mode="json")


LEAVES = [
    Known(str, TEXT),
    Known(int, st.integers(-(10**30), 10**30)),
    Known(float, FINITE | st.integers(-1000, 1000)),
    Known(bool, st.booleans()),
    Known(Decimal, DECIMALS.map(str) | st.integers(-1000, 1000) | st.sampled_from(["1.50", "1.5", "40.00", "1E+2"])),
    Known(date, st.dates().map(_written(date))),
    Known(datetime, st.datetimes(timezones=st.sampled_from([UTC])).map(_written(datetime))),
    Known(datetime, st.datetimes().map(_written(datetime))),
    Known(time, st.times().map(_written(time))),
    Known(timedelta, st.timedeltas(timedelta(days=-999), timedelta(days=999)).map(_written(timedelta))),
    Known(uuid.UUID, st.uuids().map(str)),
    Known(bytes, TEXT),
    Known(Colour, st.sampled_from(["red", "blue"])),
    Known(Level, st.sampled_from([1, 2])),
    Known(Mixed, st.sampled_from([True, "name", 7])),
    Known(Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    Known(Any, st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | FINITE | TEXT, st.lists, max_leaves=4)),
    Known(
        Tree,
        st.recursive(
            st.fixed_dictionaries({"class": TEXT}, optional={"weight": st.none() | DECIMALS.map(str)}),
            lambda inner: st.fixed_dictionaries(
                {"class": TEXT},
                optional={"below": st.lists(inner, max_size=2), "by_name": st.dictionaries(TEXT, inner, max_size=2)},
            ),
            max_leaves=4,
        ),
    ),
]


def _of(container: Any, *inside: Any) -> Any:
    return container[inside]


def _inside(known: Known) -> st.SearchStrategy[Known]:
    kind, sent = known.type, known.sent
    made = [
        Known(kind | None, st.none() | sent),
        Known(_of(list, kind), st.lists(sent, max_size=3)),
        Known(_of(tuple, kind, ...), st.lists(sent, max_size=3)),
        Known(_of(tuple, kind, str), st.tuples(sent, TEXT).map(list)),
        Known(_of(dict, str, kind), st.dictionaries(TEXT, sent, max_size=3)),
        Known(_of(dict, int, kind), st.dictionaries(st.integers(-99, 99).map(str), sent, max_size=3)),
    ]
    if kind in (str, int, bool, Decimal, date, uuid.UUID, Colour, Level):
        made += [Known(_of(one, kind), st.lists(sent, max_size=4)) for one in (set, frozenset)]
    return st.sampled_from(made)


def _or(one: Known, other: Known) -> Known:
    return Known(Union[one.type, other.type], one.sent | other.sent)  # noqa: UP007


def _same(value: Any) -> Any:
    return value


def _checked(kind: Any) -> st.SearchStrategy[Any]:
    """Return the type, sometimes behind an author's validator that changes nothing or strips a text."""
    made = [kind, kind, Annotated[kind, AfterValidator(_same)]]
    if kind is str:
        made.append(Annotated[str, StringConstraints(strip_whitespace=True)])
    return st.sampled_from(made)


def respelled(value: Any, chance: Any) -> Any:
    """Return the same JSON with objects in another order."""
    if isinstance(value, list):
        return [respelled(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    items = list(value.items())
    chance.shuffle(items)
    return {name: respelled(one, chance) for name, one in items}


@st.composite
def _model(draw: st.DrawFn, inner: st.SearchStrategy[Known]) -> Known:
    fields: dict[str, Any] = {}
    sent: dict[str, st.SearchStrategy[Any]] = {}
    left_out: dict[str, st.SearchStrategy[Any]] = {}
    for position, known in enumerate(draw(st.lists(inner, min_size=1, max_size=4))):
        alias = draw(st.sampled_from([None, ALIASES[position]]))
        name = f"field_{position}"
        default = draw(st.sampled_from([None, None, "none", "value"]))
        kind = known.type | None if default == "none" else known.type
        made: Any = Field(alias=alias)
        if default == "none":
            made = Field(default=None, alias=alias)
        elif default == "value":
            value = TypeAdapter(kind).validate_json(json.dumps(draw(known.sent)))
            made = Field(default=value, alias=alias)
        fields[name] = (draw(_checked(kind)), made)
        (left_out if default else sent)[alias or name] = known.sent
    model = create_model("Sent", __config__=CLOSED, **fields)
    return Known(model, st.fixed_dictionaries(sent, optional=left_out))


KNOWN = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: inner.flatmap(_inside) | st.builds(_or, inner, inner) | _model(inner),
    max_leaves=4,
)
#: A closed model of arguments, with the JSON sent for it.
MODELS = _model(KNOWN)
