"""``ballast check`` of schemas: bounds that contradict each other are told, and no schema that has a value."""

from typing import Any

import pytest

from cli.checks.schemas import why_nothing_fits

NUMBER = {"type": "integer"}


def holding(schema: Any, **around: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"n": schema}, "required": ["n"], **around}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (holding(NUMBER | {"minimum": 5, "maximum": 3}), "n: no whole number has minimum 5, maximum 3"),
        (holding(NUMBER | {"exclusiveMinimum": 3, "maximum": 3.5}), "n: no whole number has exclusiveMinimum 3"),
        (holding({"type": "number", "minimum": 3, "exclusiveMaximum": 3}), "n: no number has minimum 3"),
        (holding({"type": "string", "minLength": 10, "maxLength": 5}), "n: minLength 10 is above maxLength 5"),
        (holding({"type": "string", "enum": [1, True]}), "n: none of its values (1, True)"),
        (holding({"type": "array", "minItems": 2, "maxItems": 1}), "n: minItems 2"),
        (holding({"type": "array", "minItems": 1, "items": False}), "n[]: no value is allowed"),
        (holding({"type": "array", "minItems": 2, "prefixItems": [{}], "items": False}), "n[]: no value is allowed"),
        (holding({"type": "number", "allOf": [NUMBER | {"minimum": 5, "maximum": 3}]}), "n: no whole number"),
        (False, "the whole: no value is allowed"),
        (holding({"anyOf": [{"type": "string", "minLength": 2, "maxLength": 1}, False]}), "n: minLength 2"),
        (holding({"allOf": [{"type": "string"}, {"enum": []}]}), "n: none of its values"),
        (holding(holding(False)), "n.n: no value is allowed"),
        (holding({"$ref": "#/$defs/N"}, **{"$defs": {"N": holding(False)}}), "n.n: no value is allowed"),
        (holding(NUMBER, required=["m"], additionalProperties=False), "m: it is required, and `properties` lacks it"),
        ({"type": "string"}, "the whole: it is of the type string, and must be of object"),
    ],
)
def test_a_schema_that_no_object_fits_says_where_and_why(schema: dict[str, Any] | bool, told: str) -> None:
    assert str(why_nothing_fits(schema)).startswith(told)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        holding(NUMBER | {"minimum": 3, "maximum": 3}),
        holding(NUMBER | {"exclusiveMinimum": 2, "exclusiveMaximum": 4}),
        holding({"type": ["integer", "null"], "minimum": 5, "maximum": 3}),
        holding({"minimum": 5, "maximum": 3}),  # a text has neither
        holding({"type": "array", "items": False}),
        holding({"type": "array", "minItems": 1, "prefixItems": [{"type": "string"}], "items": False}),
        holding({"type": "number", "allOf": [NUMBER]}),
        holding(NUMBER | {"allOf": [{"type": "number"}]}),
        holding({"type": "integer", "enum": [1, "a"]}),
        holding({"anyOf": [False, {"type": "string"}]}),
        holding(NUMBER, required=["m"]),
        holding(NUMBER, required=["m"], additionalProperties=False, patternProperties={"m": {}}),
        {"type": "object", "properties": {"n": False}},  # it may be left out
        {"$defs": {"N": holding({"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]})}, "$ref": "#/$defs/N"},
    ],
)
def test_a_schema_that_an_object_fits_is_not_blamed(schema: dict[str, Any] | bool) -> None:
    assert why_nothing_fits(schema) is None
