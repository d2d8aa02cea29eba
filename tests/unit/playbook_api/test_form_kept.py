"""Arguments that lose a part or vary between readings are refused, at load or with the field's name."""

import functools
import itertools
import os
import random
import time as clock
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyAddress,
    Json,
    PastDate,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from typing_extensions import TypedDict as ExtendedTypedDict

from ballast.errors import PlaybookInvalid, SchemaViolation, TooLarge
from tests.unit.playbook_api.test_form import form_of, model, of


def refuses(kind: Any, sent: Any, **more: Any) -> str:
    with pytest.raises((SchemaViolation, ValidationError)) as refused:
        form_of(kind, sent, **more)
    return str(refused.value)


# Dates and times

NUMERIC = ("20260102", "1700000000", "86400", "0", "1", "1.5", "-1", "1e9", "20260102T030405Z", "\uff12026-01-02", "")


@pytest.mark.sampled
@pytest.mark.parametrize("sent", NUMERIC)
@pytest.mark.parametrize(
    "kind",
    [
        *(date, datetime, time, timedelta, AwareDatetime, PastDate, date | None, datetime | int, date | datetime),
        *(list[date], dict[str, datetime], tuple[date, ...], Annotated[date, AfterValidator(lambda value: value)]),
        Annotated[datetime, BeforeValidator(lambda value: value)],
    ],
)
def test_a_numeric_text_is_no_time(kind: Any, sent: str) -> None:
    value: Any = {list[date]: [sent], tuple[date, ...]: [sent], dict[str, datetime]: {"a": sent}}.get(kind, sent)

    refuses(kind, value)


@pytest.mark.parametrize(
    "kind", [date | str, str | date, datetime | str, time | str, timedelta | str, date | str | None]
)
@pytest.mark.parametrize("sent", NUMERIC[:6])
def test_beside_a_text_it_is_that_text(kind: Any, sent: str) -> None:
    assert form_of(kind, sent) == sent
    assert form_of(dict[kind, int], {sent: 1}) == {sent: 1}


@pytest.mark.parametrize("kind", [date, datetime])
def test_a_numeric_key_is_no_time(kind: Any) -> None:
    for sent in ("0", "86400", "20260102"):
        refuses(dict[kind, int], {sent: 1})


@pytest.mark.parametrize(
    ("kind", "sent", "form"),
    [
        (date, "2026-01-02", "2026-01-02"),
        (date, "2026-01-02T00:00:00", "2026-01-02"),
        (datetime, "2026-01-02 03:04", "2026-01-02T03:04:00"),
        (datetime, "2026-01-02T03:04:05.1234560Z", "2026-01-02T03:04:05.123456Z"),
        (datetime | date, "2026-01-02", "2026-01-02"),
        (datetime | date, "2026-01-02T00:00:00", "2026-01-02T00:00:00"),
        (date | datetime, "2026-01-02T00:00:00", "2026-01-02T00:00:00"),
        (date | str, "2026-01-02", "2026-01-02"),
        (time, "03:04", "03:04:00"),
        (timedelta, "P1D", "P1D"),
        (timedelta, "-PT1H", "-PT1H"),
        (timedelta, "1:00:00", "PT1H"),
    ],
)
def test_iso_8601_is_a_time(kind: Any, sent: str, form: str) -> None:
    assert form_of(kind, sent) == form


def test_a_date_before_a_text_in_a_union_is_a_date() -> None:
    made = of(model(date | str))

    assert made.read({"x": "2026-01-02"}).x == date(2026, 1, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "sent"),
    [(datetime, "2026-01-02T03:04:05.123456789Z"), (time, "03:04:05.1234567"), (timedelta, "PT1.1234567S")],
)
def test_parts_of_a_second_are_not_cut_off(kind: Any, sent: str) -> None:
    refuses(kind, sent)


def test_a_field_may_take_seconds_where_it_says_so() -> None:
    assert form_of(datetime, 0, strict=False) == "1970-01-01T00:00:00Z"


# Digits


@pytest.mark.parametrize("sent", [2**53 + 1, -(2**53) - 1, 10**30, 123456789012345678901234567890, 10**99])
@pytest.mark.parametrize(
    "kind", [float, float | None, float | str, list[float], set[float], dict[str, float], float | bool]
)
def test_a_whole_number_that_a_float_does_not_hold_is_refused(kind: Any, sent: int) -> None:
    value: Any = {list[float]: [sent], set[float]: [sent], dict[str, float]: {"a": sent}}.get(kind, sent)

    assert "digits" in refuses(kind, value)


@pytest.mark.parametrize("sent", [2**53, -(2**53), 2**60, 3])
def test_a_whole_number_that_a_float_holds_is_taken(sent: int) -> None:
    assert form_of(float, sent) == sent


@pytest.mark.parametrize("sent", [1e23, 1e22, 1.2345678901234568e17, -1e16])
def test_a_float_that_may_have_lost_digits_is_no_integer(sent: float) -> None:
    assert "digits" in refuses(int, sent)
    refuses(int, sent, strict=False)


@pytest.mark.parametrize(
    ("kind", "sent", "form"),
    [
        (Json[Decimal], "12345678901234567.89", '"12345678901234567.89"'),
        (Json[list[Decimal]], "[12345678901234567.89, 1]", '["12345678901234567.89","1"]'),
        (Json[int], "9007199254740993", "9007199254740993"),
        (Json[dict[str, float]], '{"a": 0.1}', '{"a":0.1}'),
    ],
)
def test_embedded_json_keeps_its_digits(kind: Any, sent: str, form: str) -> None:
    assert form_of(kind, sent) == form


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        *(
            (Json, one)
            for one in ("[NaN]", "Infinity", "9" * 101, '{"a":1,"a":2}', "[" * 2000 + "]" * 2000, "{", "9" * 5000)
        ),
        *((Json[float], one) for one in ("12345678901234567.89", "1e999", "9007199254740993", '"1.5"', "true")),
        *((Json[int], one) for one in ("1e23", '"5"', "true")),
    ],
)
def test_embedded_json_is_json_of_finite_numbers(kind: Any, sent: str) -> None:
    refuses(kind, sent)


@pytest.mark.sampled
@pytest.mark.parametrize(
    "sent",
    ["1e-999999999", "1E-101", "0E-999999999", "0E+99999999999", "-0E-5000", "0E+101", "1E+999999", "9" * 5000],
)
@pytest.mark.parametrize(
    "kind",
    [
        *(Decimal, Decimal | None, Decimal | int, list[Decimal], Json[Decimal]),
        *(Annotated[Decimal, Field(max_digits=one)] for one in (5, 10**9, None)),
        *(Annotated[Decimal, Field(decimal_places=one)] for one in (2, 10**9, None)),
        Annotated[Decimal, Field(ge=0)],
        Annotated[Decimal, Field(max_digits=10**9, decimal_places=10**9)],
    ],
)
def test_an_amount_is_bounded_whatever_its_author_allows(kind: Any, sent: str) -> None:
    refuses(kind, {list[Decimal]: [sent], Json[Decimal]: f'"{sent}"'}.get(kind, sent))


# Entries and items


class Loose(BaseModel):
    a: int = 0


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    from_: int = Field(alias="from")


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")
    from_: int = Field(alias="from", default=0)


class Optioned(BaseModel):
    model_config = ConfigDict(extra="forbid")
    from_: int | None = Field(alias="from", default=None)


class Swapped(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="forbid")
    a: int = Field(alias="b")
    b: int = Field(alias="a")


class Typed(ExtendedTypedDict, total=False):
    a: int


@dataclass(frozen=True)
class Plain:
    a: int = 0
    b: list[int] = field(default_factory=list)


LOWER, STRIPPED = ConfigDict(str_to_lower=True), ConfigDict(str_strip_whitespace=True)


@pytest.mark.parametrize(
    ("kind", "sent", "config"),
    [
        *((set[Any], one, {}) for one in ([1, True], [1, 1.0], [0, False])),
        (set[int | bool], [1, True], {}),
        (set[Literal[1, True]], [1, True], {}),
        (frozenset[float | int], [1, 1.0], {}),
        (set[Decimal], ["1.50", "1.5"], {}),
        (set[datetime], ["2026-01-02T03:04:05Z", "2026-01-02T04:04:05+01:00"], {}),
        (list[set[Any]], [[1, True]], {}),
        (dict[Decimal, int], {"1.50": 1, "1.5": 2}, {}),
        (dict[datetime, int], {"2026-01-02T03:04:05Z": 1, "2026-01-02T04:04:05+01:00": 2}, {}),
        (dict[str, int], {"a": 1, " a": 2}, STRIPPED),
        (dict[str, int], {"a": 1, "A": 2}, LOWER),
        (list[dict[str, int]], [{"a": 1, "A": 2}], LOWER),
        *((Loose, one, {}) for one in ({"a": 1, "b": 2}, {"b": 2})),
        (list[Loose], [{"b": 1}], {}),
        (dict[str, Loose], {"x": {"b": 1}}, {}),
        (Loose | None, {"b": 1}, {}),
        (Typed, {"z": 1}, {}),
        (Plain, {"z": 1}, {}),
        (Open, {"from": 1, "from_": 2}, {}),
        (ByName, {"from": 1, "from_": 2}, {}),
        (Optioned, {"from_": 2}, {}),
        (list[Optioned], [{"from_": 2}], {}),
        (dict[int, ByName], {"5": {"from": 1, "from_": 2}}, {}),
    ],
)
def test_what_would_be_dropped_is_refused(kind: Any, sent: Any, config: Any) -> None:
    assert "x" in refuses(kind, sent, config=config)


@pytest.mark.parametrize(
    ("kind", "sent", "form"),
    [
        (set[str], ["b", "a", "b"], ["a", "b"]),
        (Open, {"from": 1, "z": 2}, {"from": 1, "z": 2}),
        (ByName, {"from_": 2}, {"from": 2}),
        (Swapped, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (Plain, {"a": 1}, {"a": 1, "b": []}),
        (Literal[1, True], 1.0, 1),
        (Literal[0, False], 0.0, 0),
        (Annotated[dict[str, int], AfterValidator(lambda value: {"a": 1, **value})], {"b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_what_was_sent_is_there(kind: Any, sent: Any, form: Any) -> None:
    assert form_of(kind, sent) == form


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "kind", [dict[Literal[1, 2], int], dict[tuple[int, int], int], dict[None, int], dict[Plain, int]]
)
def test_keys_that_no_name_is_are_refused_at_load(kind: Any) -> None:
    with pytest.raises(PlaybookInvalid, match=r"Sent\.x .*has keys that cannot be JSON names"):
        of(model(kind))


@pytest.mark.parametrize(
    "kind", [dict[Literal["a", "b"], int], dict[Number, int], dict[bool, int], dict[uuid.UUID, int]]
)
def test_keys_that_a_name_is_are_none(kind: Any) -> None:
    of(model(kind))


@pytest.mark.parametrize("sent", [True, 1, 16_909_060])
def test_an_address_is_a_text(sent: Any) -> None:
    refuses(IPvAnyAddress, sent)


# What the author's code hands on


class Nested(BaseModel):
    a: int
    b: float = 0.0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((int, one) for one in ("5", True, "1_000", 5.5, 10**120, Decimal("5.5"), b"5")),
        *((float, one) for one in ("1.5", True, "NaN", float("nan"), float("inf"), 2**53 + 1)),
        *((bool, one) for one in (1, 0, "yes", "off")),
        *((date, one) for one in (0, 86_400, "20260102", True, datetime(2026, 1, 2, 3, 4))),  # noqa: DTZ001
        *((datetime, one) for one in (1_700_000_000, "20260102")),
        *((timedelta, 5), (int | str, True), (Literal[1, 2], True), (str, 5), (str, True)),
        *((Decimal, one) for one in (True, "NaN", Decimal("NaN"), Decimal("1E+999999"), Decimal("0E-500"))),
        *(
            (list[int], ("5", True)),
            (list[int], {True}),
            (set[int], {True}),
            (set[int], ["5"]),
            (dict[str, int], {"a": True}),
        ),
        *(
            (Nested, {"a": "5"}),
            (Nested, {"a": True}),
            (Nested, Nested.model_construct(a=True)),
            (list[Nested], [{"a": "5"}]),
        ),
        (Nested, {"a": Decimal("5"), "b": True}),
    ],
)
def test_what_a_fallback_hands_on_is_coerced_no_more_than_what_a_model_sends(kind: Any, value: Any) -> None:
    with pytest.raises(SchemaViolation):
        of(model(kind)).call(x=value)


@pytest.mark.parametrize(
    ("kind", "value", "form"),
    [
        (int, Decimal(5), 5),
        (float, Decimal("1.5"), 1.5),
        (Decimal, Decimal("1.50"), "1.50"),
        (date, date(2026, 1, 2), "2026-01-02"),
        (datetime, datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),  # noqa: DTZ001
        (timedelta, timedelta(hours=1), "PT1H"),
        (uuid.UUID, uuid.UUID(int=1), str(uuid.UUID(int=1))),
        (bytes, b"a", "a"),
        (Number, Number.ONE, 1),
        (Literal[1], Number.ONE, 1),
        (set[date], {date(2026, 1, 2)}, ["2026-01-02"]),
        (list[str], {"a": 1}.keys(), ["a"]),
        (tuple[Decimal, ...], (Decimal(1), Decimal("2.0")), ["1", "2.0"]),
        (dict[date, int], {date(2026, 1, 2): 1}, {"2026-01-02": 1}),
        (list[Nested], [Nested(a=1), {"a": 2}], [{"a": 1, "b": 0.0}, {"a": 2, "b": 0.0}]),
        (ByName, ByName(from_=1), {"from": 1}),
        (Any, [Decimal("1.50"), date(2026, 1, 2)], ["1.50", "2026-01-02"]),
    ],
)
def test_what_python_has_and_json_has_not_is_written(kind: Any, value: Any, form: Any) -> None:
    assert of(model(kind)).call(x=value).arguments == {"x": form}


def test_a_fallback_loses_nothing_by_a_name_of_pythons() -> None:
    made = of(model(Optioned, alias="to"))

    assert made.call(x={"from_": 2}).arguments == {"to": {"from": 2}}
    assert made.call(x=Optioned.model_validate({"from": 2})).arguments == {"to": {"from": 2}}


def test_a_call_of_a_fallback_is_as_small_as_any_other() -> None:
    made = of(model(str))

    with pytest.raises(TooLarge, match=r"act: the validated arguments are .* bytes"):
        made.call(x="x" * 10**6)


# What is another value each time

DAY = [date(2026, 1, 2)]
counter = itertools.count()


def drawn() -> int:
    return random.randint(1, 9)


def indirect() -> int:
    return drawn()


class Made(BaseModel):
    at: int = Field(default_factory=lambda: int(clock.time()))


@pytest.mark.parametrize(
    "factory",
    [
        *(date.today, uuid.uuid4, clock.time, drawn, indirect, os.getcwd, counter.__next__, object),
        lambda: datetime.now().replace(second=0, microsecond=0),  # noqa: DTZ005
        lambda: datetime.now().date(),  # noqa: DTZ005
        lambda: date.fromtimestamp(clock.time()),  # noqa: DTZ012
        lambda: int(clock.time()),
        lambda: clock.time_ns() // 10**18,
        lambda: clock.gmtime().tm_year,
        lambda: random.Random(int(clock.time())).randint(1, 9),
        lambda: os.environ.get("X", "a"),
        lambda: next(counter),
        lambda: [date.today()],  # noqa: DTZ011
        lambda: (lambda: date.today())(),  # noqa: DTZ011, PLW0108
        lambda data: str(uuid.uuid4()),
        lambda data: data.get("y") or clock.time(),
        lambda: __import__("time").time(),
        lambda seconds=clock.time: seconds(),
        functools.partial(random.randint, 1, 9),
        functools.partial(indirect),
    ],
)
def test_a_default_of_a_clock_or_of_chance_is_refused_at_load(factory: Any) -> None:
    with pytest.raises(PlaybookInvalid, match=r"Sent\.x.*has a default that (may differ|differs) each time"):
        of(model(Any, default_factory=factory))


def test_so_is_one_inside_of_a_model() -> None:
    for kind in (Made, list[Made], Made | None):
        with pytest.raises(PlaybookInvalid, match=r"Sent\.x.*at .*differs? each time"):
            of(model(kind))


def constant() -> list[str]:
    return ["a", *sorted(("c", "b"))]


@pytest.mark.parametrize(
    ("kind", "factory"),
    [
        *((list[str], one) for one in (list, constant, lambda: ["a"], lambda: list(("a", "b")), ["a"].copy)),  # noqa: C410
        *((dict[str, int], one) for one in (dict, lambda: {"a": 1})),
        (date, lambda: DAY[0]),
        (date, lambda: date(2026, 1, 2)),
        (datetime, lambda: datetime.fromisoformat("2026-01-02T03:04:05")),
        (Decimal, lambda: Decimal("1.50")),
        (Number, lambda: Number.ONE),
        (Nested, functools.partial(Nested, a=1)),
        (Plain, Plain),
        (Nested, lambda: Nested(a=1)),
        (str, lambda data: "a"),
    ],
)
def test_a_default_of_constants_and_plain_types_is_none(kind: Any, factory: Any) -> None:
    assert of(model(kind, default_factory=factory)).argument_names == ("x",)


class PostInit(BaseModel):
    key: str | None = None

    def model_post_init(self, context: Any) -> None:
        if self.key is None:
            self.key = str(int(clock.time()))


class Before(BaseModel):
    key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def with_key(cls, data: Any) -> Any:
        return {"key": str(int(clock.time())), **data} if isinstance(data, dict) else data


class After(BaseModel):
    key: int | None = None

    @model_validator(mode="after")
    def with_key(self) -> "After":
        object.__setattr__(self, "key", self.key or int(clock.time()))
        return self


@dataclass
class DataclassPostInit:
    key: int = 0

    def __post_init__(self) -> None:
        self.key = self.key or int(clock.time())


class Private(BaseModel):
    _at: int = PrivateAttr(default_factory=lambda: int(clock.time()))


def relative(value: Any) -> Any:
    return date.today().isoformat() if value == "today" else value  # noqa: DTZ011


@pytest.mark.parametrize(
    "kind",
    [
        *(PostInit, Before, After, DataclassPostInit, Private, list[PostInit]),
        Annotated[str, BeforeValidator(lambda value: value or str(uuid.uuid4()))],
        Annotated[str, AfterValidator(lambda value: value if "-" in value else f"{value}-{uuid.uuid4()}")],
        Annotated[str, AfterValidator(lambda value: value if ":" in value else f"{value}:{next(counter)}")],
        Annotated[str, AfterValidator(lambda value: str(hash(value)) if len(value) == 7 else value)],
        Annotated[int, BeforeValidator(lambda value: value or int(clock.time()))],
        Annotated[int, BeforeValidator(lambda value: value or random.Random(int(clock.time())).random())],
        Annotated[date, BeforeValidator(relative)],
        Annotated[str, AfterValidator(functools.partial(lambda suffix, value: value or str(clock.time()), "x"))],
        Annotated[str, PlainSerializer(lambda value: value or str(int(clock.time())))],
    ],
)
def test_a_validator_that_puts_in_a_clock_or_chance_is_refused_at_load(kind: Any) -> None:
    with pytest.raises(
        PlaybookInvalid,
        match=r"Sent\.x.*(is not stable|(differs?|different value|is different) each time|does not survive)",
    ):
        of(model(kind))


def not_over(value: date) -> date:
    if value < date.today():  # noqa: DTZ011
        raise ValueError("is over")
    return value


class Checked(BaseModel):
    until: date

    @model_validator(mode="after")
    def lasts(self) -> "Checked":
        if self.until < datetime.now().date():  # noqa: DTZ005
            raise ValueError("is over")
        return self


@pytest.mark.parametrize(
    ("kind", "sent"), [(Annotated[date, AfterValidator(not_over)], "9999-01-02"), (Checked, {"until": "9999-01-02"})]
)
def test_a_validator_may_look_at_a_clock(kind: Any, sent: Any) -> None:
    assert form_of(kind, sent) == sent


def test_what_the_rules_do_not_see_is_refused_before_it_acts_by_name() -> None:
    class Odd:
        def __call__(self, value: str) -> str:
            return value if value != "odd" else "odd-" + str(next(globals()["counter"]))

    made = of(model(Annotated[str, AfterValidator(Odd())]))

    with pytest.raises(SchemaViolation, match="act: x: is read as a different value each time"):
        made.read({"x": "odd"})
