"""A tool's schema in the dialect of a model."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from ballast.models.card import Dialect
from ballast.models.tool_schema import NotInlinable, in_dialect

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
