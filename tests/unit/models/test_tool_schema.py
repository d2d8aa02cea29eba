"""A tool's schema in the dialect of a model."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from ballast.models.card import Dialect
from ballast.models.tool_schema import (
    MOST_BYTES,
    NotInlinable,
    NotStrict,
    TooLarge,
    in_dialect,
    strict_form,
    strict_size,
)

WHOLE = Dialect(root_keys=None, refs=True, additional_properties=True)
NOVA = Dialect(root_keys=("type", "properties", "required"), refs=False, additional_properties=False)


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(Closed):
    """Where."""

    street: str
    title: str = Field(default="", description="Of a person.")


class Home(Closed):
    kind: Literal["home"]
    at: Place


class Shop(Closed):
    kind: Literal["shop"]
    properties: dict[str, Place]


class Move(Closed):
    """A move."""

    to: Home | Shop = Field(discriminator="kind")
    back: Place | None = None
    stops: list[Place] = []
    title: str = ""


class Tree(Closed):
    left: Tree | None = None


def keywords(schema: Any) -> set[str]:
    """Return the keywords of a schema, found by another way: the names of properties are taken out first."""
    if isinstance(schema, list):
        return {one for inner in schema for one in keywords(inner)}
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key, value in schema.items():
        inner = list(value.values()) if key in ("properties", "$defs") else value
        found |= keywords(inner) if key not in ("const", "default", "enum", "required") else set()
    return found


def test_a_model_that_reads_all_of_json_schema_gets_all_of_it() -> None:
    schema = Move.model_json_schema()

    assert in_dialect(schema, WHOLE) == schema


def test_nova_gets_three_keys_at_the_root_and_no_references() -> None:
    made = in_dialect(Move.model_json_schema(), NOVA)

    assert set(made) <= {"type", "properties", "required"}
    assert not keywords(made) & {"$ref", "$defs", "additionalProperties", "discriminator"}
    assert made["properties"]["stops"]["items"]["properties"]["street"] == {"title": "Street", "type": "string"}
    assert made["properties"]["back"]["anyOf"][0]["description"] == "Where."


@pytest.mark.parametrize("key", ["allOf", "anyOf", "oneOf"])
def test_the_root_is_one_object_and_no_choice_of_several(key: str) -> None:
    schema = {"type": "object", "properties": {"a": {key: [{"type": "string"}]}}, key: [{"required": ["a"]}]}

    assert in_dialect(schema, WHOLE) == {"type": "object", "properties": {"a": {key: [{"type": "string"}]}}}


def test_a_property_with_the_name_of_a_keyword_stays() -> None:
    dialect = NOVA.model_copy(update={"unsupported": ("title", "description")})

    made = in_dialect(Move.model_json_schema(), dialect)

    assert "title" in made["properties"]
    place = made["properties"]["back"]["anyOf"][0]
    assert sorted(place["properties"]) == ["street", "title"]
    assert not {"title", "description"} & (keywords(made) - set(place["properties"]))


def test_a_reference_keeps_what_stands_beside_it() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A", "description": "Mine."}},
        "$defs": {"A": {"type": "string", "description": "Of A."}},
    }

    assert in_dialect(schema, NOVA)["properties"]["a"] == {"type": "string", "description": "Mine."}


def test_a_model_that_holds_itself_is_not_inlined() -> None:
    with pytest.raises(NotInlinable, match="Tree in Tree"):
        in_dialect(Tree.model_json_schema(), NOVA)


def test_the_root_of_a_model_that_holds_itself_is_an_object() -> None:
    made = in_dialect(Tree.model_json_schema(), WHOLE)

    assert made["type"] == "object"
    assert "left" in made["properties"]


@given(st.permutations(sorted(Move.model_json_schema())), st.sampled_from([WHOLE, NOVA]))
def test_equal_schemas_give_equal_bytes(order: list[str], dialect: Dialect) -> None:
    schema = Move.model_json_schema()
    other = json.loads(json.dumps({name: schema[name] for name in order}))

    assert json.dumps(in_dialect(other, dialect)) == json.dumps(in_dialect(schema, dialect))


# What a provider can hold a model to


class Parcel(Closed):
    pieces: int = Field(ge=1, le=9)
    weight_kg: float = Field(gt=0)
    codes: list[str] = Field(min_length=2, max_length=5)
    label: str = Field(min_length=1, max_length=40, pattern="^[A-Z]+$")
    place: Place | None = None


def test_a_strict_tool_keeps_types_and_closed_objects_and_loses_bounds() -> None:
    made = strict_form(in_dialect(Parcel.model_json_schema(), WHOLE), WHOLE)

    assert made["properties"]["pieces"] == {"title": "Pieces", "type": "integer"}
    assert made["properties"]["weight_kg"] == {"title": "Weight Kg", "type": "number"}
    assert made["properties"]["codes"] == {"title": "Codes", "type": "array", "items": {"type": "string"}}
    assert made["properties"]["label"] == {"title": "Label", "type": "string", "pattern": "^[A-Z]+$"}
    assert made["$defs"]["Place"]["additionalProperties"] is False
    assert made["required"] == ["pieces", "weight_kg", "codes", "label"]


def test_without_strict_the_bounds_stay() -> None:
    made = in_dialect(Parcel.model_json_schema(), WHOLE)

    assert made["properties"]["pieces"] == {"maximum": 9, "minimum": 1, "title": "Pieces", "type": "integer"}


def test_one_of_several_forms_is_any_of_them() -> None:
    made = strict_form({"type": "object", "properties": {"a": {"oneOf": [{"type": "null"}]}}}, WHOLE)

    assert made["properties"] == {"a": {"anyOf": [{"type": "null"}]}}


@pytest.mark.parametrize("pattern", [r"^(?=.*a)b$", r"\bword\b", r"(a)\1", "(?i)a", r"^\p{L}+$", "^a+?$", r"\x41"])
def test_a_pattern_that_no_grammar_has_is_left_out(pattern: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}

    assert strict_form(schema, WHOLE)["properties"]["a"] == {"type": "string"}


def test_values_that_are_no_scalars_are_not_enumerated() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}, "enum": [["b"]]}}}

    assert "enum" not in strict_form(schema, WHOLE)["properties"]["a"]


def test_an_object_that_says_nothing_of_other_fields_is_closed() -> None:
    assert strict_form({"type": "object", "properties": {}}, WHOLE)["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ({"type": "object"}, "fields of any name"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "fields of any name"),
        ({"type": "object", "properties": {}, "additionalProperties": True}, "fields of any name"),
        ({"type": ["object", "null"]}, "fields of any name"),
        ({"description": "What you like."}, "a value of any kind"),
        ({"type": "array", "items": {}}, "a value of any kind"),
        ({"type": "array", "items": True}, "a value of any kind"),
        ({"anyOf": [{"type": "null"}, {"type": "object"}]}, "fields of any name"),
    ],
)
def test_a_schema_that_would_forbid_more_is_not_strict(field: dict[str, Any], why: str) -> None:
    with pytest.raises(NotStrict, match=why):
        strict_form({"type": "object", "properties": {"a": field}}, WHOLE)


def test_a_schema_that_holds_itself_is_not_strict() -> None:
    with pytest.raises(NotStrict, match="contain themselves"):
        strict_form(in_dialect(Tree.model_json_schema(), WHOLE), WHOLE)


def test_a_dialect_without_closed_objects_has_no_strict_form() -> None:
    with pytest.raises(NotStrict, match="closed"):
        strict_form(in_dialect(Place.model_json_schema(), NOVA), NOVA)


def test_fields_that_may_be_left_out_and_those_of_several_forms_are_counted_at_any_depth() -> None:
    assert strict_size(Move.model_json_schema()) == (4, 1)  # title of Place; back, stops, title; back or null


def doubled(levels: int, leaf: str = "") -> dict[str, Any]:
    """Return a schema that twice refers to one that twice refers to one, and so on."""
    named = {f"D{n}": two(f"D{n + 1}") for n in range(levels)}
    return {**two("D0"), "$defs": {**named, f"D{levels}": {"type": "string", "description": leaf}}}


def two(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {field: {"$ref": f"#/$defs/{name}"} for field in "ab"}}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (doubled(13), r"have \d+ bytes of schema"),
        (doubled(20), "bytes of schema"),
        (doubled(400), "more than 48 levels"),
        (doubled(2, "d" * 40_000), "have 2000.. bytes|have 320... bytes"),
        ({"type": "object", "properties": {"a": {"type": "string", "description": "d" * MOST_BYTES}}}, "bytes"),
    ],
)
def test_a_schema_that_would_be_too_large_in_a_dialect_is_refused_before_it_is_made(
    schema: dict[str, Any], says: str
) -> None:
    with pytest.raises(TooLarge, match=says):
        in_dialect(schema, NOVA)


def test_what_the_dialect_leaves_out_does_not_count() -> None:
    short = Dialect(root_keys=NOVA.root_keys, refs=False, unsupported=("description",), additional_properties=False)

    assert len(json.dumps(in_dialect(doubled(2, "d" * 40_000), short))) < 1_000
    assert in_dialect(doubled(40), WHOLE)["$defs"]
    assert in_dialect(doubled(6), NOVA)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (
            {"prefixItems": [{"type": "string"}, {"type": "integer"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        ({"prefixItems": [{"type": "string"}, {"type": "string"}]}, {"type": "string"}),
        (
            {"prefixItems": [{"type": "string"}], "items": {"type": "null"}},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
    ],
)
def test_a_tuple_is_held_to_the_forms_of_its_values(value: dict[str, Any], items: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", **value}}}

    assert strict_form(schema, Dialect())["properties"]["a"] == {"type": "array", "items": items}


def test_a_list_of_anything_cannot_be_held() -> None:
    with pytest.raises(NotStrict, match="a list of values of any kind"):
        strict_form({"type": "object", "properties": {"a": {"type": "array"}}}, Dialect())
