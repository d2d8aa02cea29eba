"""The supported part of JSON Schema agrees with JSON Schema, and the rest is refused."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballast.validation import schema_complaint
from ballast.validation.schema import complaints_of
from tests.support.sampling import examples

SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, -2.5]) | st.text("ab1", max_size=3)
)
NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
TYPES = st.sampled_from(["object", "array", "string", "boolean", "null", "number", "integer"])
SMALL = st.integers(0, 3)


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        nested: dict[str, st.SearchStrategy[Any]] = {
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        }
        return st.tuples(flat, st.fixed_dictionaries({}, optional=nested)).map(lambda both: both[0] | both[1])

    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans(),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minLength": SMALL,
        "maxLength": SMALL,
        "pattern": st.sampled_from(["a", "^1", "b$"]),
        "minimum": st.integers(-2, 2),
        "maximum": st.integers(-2, 2),
        "minItems": SMALL,
        "maxItems": SMALL,
        "description": st.just("x"),
    }
    flat = st.fixed_dictionaries({}, optional=keywords)
    return st.recursive(flat, larger, max_leaves=4)


@given(schemas(), VALUES)
@settings(max_examples=examples(50, 150), deadline=None)
def test_it_decides_as_json_schema_does(schema: dict[str, Any], value: Any) -> None:
    assert schema_complaint(schema) is None

    fits = jsonschema.Draft202012Validator(schema).is_valid(value)

    assert (not list(complaints_of(value, schema))) is fits


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ([], "a schema must be a mapping"),
        ({"type": "text"}, "type"),
        ({"type": []}, "type"),
        ({"oneOf": [{}]}, "oneOf is not supported"),
        ({"$ref": "#/x"}, "$ref is not supported"),
        ({"properties": {"a": {"minLength": -1}}}, "a: minLength"),
        ({"properties": {"a": {"items": {"pattern": "("}}}}, "a[]: pattern"),
        ({"properties": {"a": []}}, "a: a schema must be a mapping"),
        ({"anyOf": [{}, {"maximum": "9"}]}, "[1]: maximum"),
        ({"required": "a"}, "required"),
        ({"enum": []}, "enum"),
        ({"minLength": True}, "minLength"),
    ],
)
def test_a_schema_that_would_not_do_what_it_says_is_refused(schema: Any, says: str) -> None:
    assert says in str(schema_complaint(schema))


ORDER = {
    "type": "object",
    "required": ["order_id", "lines"],
    "additionalProperties": False,
    "properties": {
        "order_id": {"type": "string", "pattern": "^O-"},
        "lines": {"type": "array", "maxItems": 2, "items": {"type": "object", "required": ["sku"]}},
        "status": {"enum": ["paid", "shipped"]},
    },
}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("SECRET", ["(whole): must be object"]),
        ({}, ["order_id: is required", "lines: is required"]),
        ({"order_id": "SECRET", "lines": []}, ["order_id: must match ^O-"]),
        (
            {"order_id": "O-1", "lines": [{}, {"sku": 1}, {"sku": 2}]},
            ["lines: must have at most 2", "lines[0].sku: is req"],
        ),
        ({"order_id": "O-1", "lines": [], "SECRET": 1}, ["allowed are order_id, lines, status"]),
        ({"order_id": "O-1", "lines": [], "status": "SECRET"}, ["status: must be one of 'paid', 'shipped'"]),
    ],
)
def test_a_complaint_names_the_field_and_what_is_allowed_and_repeats_no_value(value: Any, says: list[str]) -> None:
    complaints = list(complaints_of(value, ORDER))

    assert len(complaints) == len(says)
    assert [part for part, complaint in zip(says, complaints, strict=True) if part not in complaint] == []
    assert "SECRET" not in json.dumps(complaints)
