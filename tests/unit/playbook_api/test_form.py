"""A call's arguments have one JSON form, used to compare, undo, pass on, show and execute it."""

import uuid
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ImportString,
    Json,
    PlainSerializer,
    PrivateAttr,
    Secret,
    SecretBytes,
    SecretStr,
    StringConstraints,
    ValidationError,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
)

from ballast.contracts import Planner, RunRequest, ToolCall
from ballast.contracts.wire import canonical
from ballast.errors import PlaybookInvalid, SchemaViolation
from ballast.playbook import AgentConfig, CallLimits, Playbook, Tool, ToolContext, Write, tool
from ballast.playbook.gate import admit_call
from tests.support.tool_models import CLOSED, MODELS, Known, Level, Mixed, Tree, respelled

REQUEST = RunRequest(request_id="r", text="x")
AGENT = AgentConfig.model_validate({"name": "a", "model": "m", "instructions": "x", "limits": {}})


def of(model: type[BaseModel]) -> Tool:
    def act(args: BaseModel, ctx: ToolContext) -> None:
        """Act."""

    act.__annotations__["args"] = model
    return tool(effect=Write(), limits=CallLimits(argument_bytes=10**6, depth=60))(act)


def admitted(playbook: Playbook, made: Tool, arguments: Any) -> BaseModel:
    call = ToolCall(tool=made.name, arguments=arguments)
    return admit_call(playbook, call, REQUEST, Planner.AGENT, lambda: None)[1]  # type: ignore[arg-type,return-value]


def with_tool(made: Tool) -> Playbook:
    return Playbook(Path(), AGENT, {made.name: made}, {})


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(known=MODELS, data=st.data(), chance=st.randoms(use_true_random=False))
def test_every_way_to_a_call_ends_in_one_form(known: Known, data: st.DataObject, chance: Any) -> None:
    made = of(known.type)
    playbook = with_tool(made)
    sent = data.draw(known.sent)

    args = admitted(playbook, made, sent)

    form = made.form.write(args)
    again = admitted(playbook, made, form)
    assert again == args
    assert canonical(made.form.write(again)) == canonical(form)
    assert canonical(made.form.write(admitted(playbook, made, respelled(sent, chance)))) == canonical(form)
    # A fallback, and an undo, give what Python has, or the form itself.
    fields = {name: getattr(args, name) for name in type(args).model_fields}
    assert canonical(made.call(**fields).arguments) == canonical(form)
    assert canonical(made.call(**form).arguments) == canonical(form)
    calls = [ToolCall(tool=made.name, arguments=one) for one in (sent, form, respelled(sent, chance))]
    assert len({playbook.identity(call) for call in calls}) == 1


def model(kind: Any, *, config: dict[str, Any] | None = None, **field: Any) -> type[BaseModel]:
    return create_model("Sent", __config__={**CLOSED, **(config or {})}, x=(kind, Field(**field)))


def form_of(kind: Any, sent: Any, **more: Any) -> Any:
    made = of(model(kind, **more))
    return made.form.write(admitted(with_tool(made), made, {"x": sent}))["x"]


# What JSON's types are


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        *((int, one) for one in ("5", True, False, 1.5, "4.0", None, [1], "1e2", 10**100, -(10**100))),
        *((float, one) for one in ("1.5", True, "NaN", "Infinity", "-inf", "nan", float("nan"), float("inf"), 10**100)),
        *((bool, one) for one in (1, 0, "true", "yes", 1.0, "on", None)),
        *((Decimal, one) for one in (True, "NaN", "Infinity", "sNaN", "1E+999999", "1E-999999", "1E+5000", 10**100)),
        (Decimal, "9" * 101),
        (Decimal, "0." + "1" * 101),
        *((str, one) for one in (1, True, None, 1.5)),
        *((date, one) for one in (0, 86_400, True, 1.0)),
        *((datetime, one) for one in (0, 1_700_000_000, 1.5, True)),
        *((timedelta, one) for one in (1, 1.5, True)),
        *((time, one) for one in (1, 1.5, True)),
        *((Level, one) for one in (True, "1", 1.5, "LOW")),
        *((Mixed, one) for one in (1.5, 0, False)),
        *((Literal[1, "a"], one) for one in (True, 1.5, "1")),
        *((Literal[True], one) for one in (1, 1.0, "true")),
        *((int | None, one) for one in ("5", True)),
        *((list[int], one) for one in (["5"], [True], 5, "[5]", {"0": 5})),
        *((dict[str, float], one) for one in ({"a": "1"}, {"a": True}, [["a", 1]])),
        *((dict[int, str], one) for one in ({"05": "a"}, {"+5": "a"}, {" 5": "a"}, {"5.0": "a"}, {"a": "a"})),
        (set[int], ["5"]),
        (tuple[int, str], ["5", "a"]),
        (Annotated[int, Field(ge=0)], True),
        (Annotated[float, AfterValidator(lambda value: value)], "NaN"),
        (Tree, {"name": "a"}),
        (Tree, {"class": "a", "weight": True}),
        (Tree, {"class": "a", "below": [{"class": "b", "weight": "NaN"}]}),
    ],
)
def test_what_is_of_another_type_is_refused(kind: Any, sent: Any) -> None:
    with pytest.raises((SchemaViolation, ValidationError)):
        form_of(kind, sent)


@pytest.mark.parametrize(
    ("kind", "sent", "form"),
    [
        (int, 4.0, 4),
        (int, 10**40, 10**40),
        (int, -(10**99), -(10**99)),
        (float, 3, 3.0),
        (float | int, 3, 3),
        (int | float, 3.0, 3.0),
        (int | float, 3, 3),
        (Decimal, "40.00", "40.00"),
        (Decimal, "1.5", "1.5"),
        (Decimal, 7, "7"),
        (Decimal, 0.1, "0.1"),
        (Decimal, "12345678901234567.89", "12345678901234567.89"),
        (str, " a\tb\n", " a\tb\n"),
        (str, "e\u0301", "e\u0301"),
        (str, "NaN", "NaN"),
        (str, "1E+999999", "1E+999999"),
        (int | str, "5", "5"),
        (int | str, 5, 5),
        (date | str, "2026-01-02", "2026-01-02"),
        (datetime, "2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05+02:00"),
        (set[str], ["b", "a", "b"], ["a", "b"]),
        (frozenset[Decimal], ["2", "1.50"], ["1.50", "2"]),
        (dict[int, str], {"5": "a"}, {"5": "a"}),
        (dict[date, int], {"2026-01-02": 1}, {"2026-01-02": 1}),
        (Level, 2, 2),
        (Level, 2.0, 2),
        (Any, {"a": [1, 1.0, "1", True, None]}, {"a": [1, 1.0, "1", True, None]}),
        (Json[list[int]], "[1, 2]", "[1,2]"),
        (Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)], " A ", "a"),
        (Annotated[int, BeforeValidator(lambda value: value)], "5", 5),
        (Annotated[SecretStr, PlainSerializer(lambda one: one.get_secret_value())], "pin", "pin"),
        (Tree, {"class": "a"}, {"class": "a", "weight": None, "below": [], "by_name": {}}),
    ],
)
def test_what_is_sent_is_what_is_done(kind: Any, sent: Any, form: Any) -> None:
    assert canonical(form_of(kind, sent)) == canonical(form)


@pytest.mark.parametrize(
    "more", [{"strict": False}, {"config": {"strict": False}}], ids=["the field says so", "its model says so"]
)
@pytest.mark.parametrize(
    ("kind", "sent", "form"), [(int, "5", 5), (int, True, 1), (float, "1.5", 1.5), (bool, 1, True)]
)
def test_a_model_may_say_that_texts_are_numbers(kind: Any, sent: Any, form: Any, more: dict[str, Any]) -> None:
    assert form_of(kind, sent, **more) == form


@pytest.mark.parametrize("sent", ["NaN", "inf", "9" * 101])
def test_not_even_then_a_number_is_endless(sent: str) -> None:
    for kind in (int, float):
        with pytest.raises(SchemaViolation):
            form_of(kind, sent, strict=False)


def test_true_is_no_number_where_a_validator_stands_before() -> None:
    with pytest.raises(SchemaViolation):
        form_of(Annotated[int, BeforeValidator(lambda value: value)], True)


def test_a_number_is_bounded_before_anything_computes_with_it() -> None:
    seen: list[Decimal] = []

    def computed(value: Decimal) -> Decimal:
        seen.append(value)
        return value

    bounded = Annotated[Decimal, AfterValidator(computed)]
    made = of(model(bounded))
    seen.clear()

    for sent in ("1E+999999", "NaN", "1E+101"):
        with pytest.raises(SchemaViolation, match="x: "):
            made.read({"x": sent})

    assert seen == []


# Names


def test_a_refusal_names_what_the_model_must_send() -> None:
    made = of(create_model("Sent", __config__=CLOSED, from_=(int, Field(alias="from")), to=(str, ...)))

    with pytest.raises(SchemaViolation, match=r"act: from: Input should be a valid integer.*arguments are: from, to\."):
        made.read({"from": "x", "to": "y"})


def test_a_model_that_holds_itself_has_names_too() -> None:
    assert of(Tree).argument_names == ("class", "weight", "below", "by_name")


@pytest.mark.parametrize("names", [{"from": 1}, {"from_": 1}])
def test_a_fallback_may_use_either_name(names: dict[str, int]) -> None:
    made = of(create_model("Sent", __config__=CLOSED, from_=(int, Field(alias="from"))))

    assert made.call(**names).arguments == {"from": 1}


# What has no form


@dataclass(eq=False)
class NoEqual:
    a: int


class Pair(NamedTuple):
    a: int


class Tuples(Enum):
    A = (1, 2)


class Decimals(Enum):
    A = Decimal("1.0")


class Renamed(BaseModel):
    a: int

    @model_serializer
    def written(self) -> dict[str, int]:
        return {"b": self.a}


class Drawn(BaseModel):
    _drawn: str = PrivateAttr(default_factory=lambda: str(uuid.uuid4()))


class Doubled(BaseModel):
    a: int

    @field_serializer("a")
    def twice(self, value: int) -> int:
        return 2 * value


class OfBytes(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    a: bytes


@pytest.mark.parametrize(
    "kind",
    [
        *(SecretStr, SecretBytes, Secret[int], SecretStr | None, list[SecretStr], dict[str, SecretStr]),
        *(complex, Iterable[int], type[int], Hashable, Pair, NoEqual, Tuples, Decimals, ImportString),
        *(Renamed, Drawn, Doubled, OfBytes, list[Renamed], Literal[b"x"]),
        Annotated[int, AfterValidator(lambda value: value + 1)],
        Annotated[str, AfterValidator(lambda value: f"ORD-{value}")],
        Annotated[list[str], BeforeValidator(lambda value: value.split(","))],
        Annotated[set[str], PlainSerializer(list)],
        Annotated[datetime, PlainSerializer(lambda value: value.date().isoformat())],
        Annotated[Decimal, PlainSerializer(lambda value: "***")],
        Annotated[Decimal, PlainSerializer(lambda value: f"{value:.0f}")],
        Annotated[str, PlainSerializer(lambda value: value[:1])],
    ],
)
def test_a_type_that_json_does_not_carry_is_refused_at_load_by_name(kind: Any) -> None:
    with pytest.raises(PlaybookInvalid, match=r"Tool act .*Sent\.x"):
        of(model(kind))


@pytest.mark.parametrize(
    "field",
    [
        {"validation_alias": "y"},
        {"serialization_alias": "y"},
        {"validation_alias": AliasChoices("y", "z")},
        {"validation_alias": AliasPath("y", 0)},
        {"exclude": True},
        {"default_factory": lambda: uuid.uuid4().int % 10**9},
        {"default": "a"},
        {"default": None},
        {"default": float("nan")},
    ],
)
def test_a_field_that_does_not_come_back_is_refused_at_load_by_name(field: dict[str, Any]) -> None:
    with pytest.raises(PlaybookInvalid, match=r"Sent\.x"):
        of(model(int, **field))


@pytest.mark.parametrize(
    "field",
    [
        {"alias": "from"},
        {"validation_alias": AliasChoices("y", "z"), "serialization_alias": "z"},
        {"validation_alias": "y", "serialization_alias": "y"},
        {"default_factory": lambda: 3},
        {"default": 1.0},
    ],
)
def test_a_field_that_comes_back_is_none(field: dict[str, Any]) -> None:
    assert of(model(int, **field)).argument_names


def test_what_no_sample_shows_is_refused_when_it_is_called() -> None:
    def other(value: str) -> str:
        return "changed again" if value.startswith("secret-") else value

    made = of(model(Annotated[str, PlainSerializer(other)]))

    with pytest.raises(SchemaViolation, match="act: x: changes when it is written"):
        made.read({"x": "secret-1"})


@pytest.mark.parametrize("before", [10, 180, 400])
def test_why_it_does_not_come_back_ends_in_no_part_of_a_value(before: int) -> None:
    value = "ZQJWZQJWZQJWZQJW"

    def refused(text: str) -> str:
        if text == "written":
            raise ValueError("x" * before + value)
        return text

    def other(text: str) -> str:
        return "written" if text == value else text

    made = of(model(Annotated[str, AfterValidator(refused), PlainSerializer(other)]))

    with pytest.raises(SchemaViolation, match=r"act: .* changes when it is written") as raised:
        made.read({"x": value})
    assert "Z" not in str(raised.value).replace(value, "")


def test_what_is_only_computed_is_no_part_of_the_form() -> None:
    class Sent(BaseModel):
        model_config = CLOSED
        a: int

        @computed_field
        def b(self) -> int:
            return self.a

    assert of(Sent).call(a=1).arguments == {"a": 1}


# Sameness


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        (Decimal, "1.50", "1.5", True),
        (Decimal, "1E+2", 100, True),
        (Decimal, "0.00", 0, True),
        (Decimal, "1.50", "1.51", False),
        (Decimal, f"0.{'1' * 40}1", f"0.{'1' * 40}2", False),
        (Decimal, "-0.0", "0", True),
        (float, 1, 1.0, True),
        (str, "a", " a", False),
        (str, "a  b", "a b", False),
        (str, "\u00e9", "e\u0301", False),
        (str, "1.50", "1.5", False),
        (Annotated[str, StringConstraints(strip_whitespace=True)], "a", " a", True),
        (set[str], ["a", "b"], ["b", "a"], True),
        (list[str], ["a", "b"], ["b", "a"], False),
        (Decimal | str, "1.50", "1.5", True),
        (datetime, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00", True),
    ],
)
def test_what_is_the_same_call_says_the_type_of_the_field(kind: Any, one: Any, other: Any, same: bool) -> None:
    made = of(model(kind))
    first, second = (with_tool(made).identity(ToolCall(tool="act", arguments={"x": sent})) for sent in (one, other))

    assert (first == second) is same


def test_the_names_of_json_come_before_those_of_python() -> None:
    aliased = create_model("Aliased", __config__=CLOSED, name=(str | None, Field(default=None, alias="from")))
    named = create_model("Named", __config__=CLOSED, name=(Level, ...))
    made = of(create_model("Sent", __config__=CLOSED, x=(aliased | named, ...)))  # type: ignore[operator]

    assert made.call(x={"name": 1}).arguments == {"x": {"name": 1}}
