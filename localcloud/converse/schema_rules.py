"""Rules for JSON Schemas of tools and answers, by a model's card: its dialect, and what a provider can enforce.

A provider that holds a model to a schema compiles it into a grammar: it refuses what no grammar expresses, objects that
are not closed, and schemas that are too large together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ballast.models.card import ModelCard
from localcloud.converse.asked import Asked, Rule, card_rule

_GUIDE = "docs.aws.amazon.com/bedrock/latest/userguide/"


# The dialect


def _root_keys(asked: Asked, card: ModelCard) -> Iterator[str]:
    allowed = card.tool_schema.root_keys
    extra = [
        f"#/toolConfig/tools/{at}/toolSpec/inputSchema/json: extraneous key [{key}] is not permitted"
        for at, spec in asked.specs
        for key in spec["inputSchema"]["json"]
        if allowed is not None and key not in allowed
    ]
    if extra:
        yield f"Malformed input request: {''.join(extra)}, please reformat your input and try again."


def _forms_at_the_root(asked: Asked, card: ModelCard) -> Iterator[str]:
    for at, spec in asked.specs:
        if card.vendor == "Anthropic" and spec["inputSchema"]["json"].keys() & {"oneOf", "allOf", "anyOf"}:
            yield (
                f"tools.{at}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
            )


def _keywords(asked: Asked, card: ModelCard) -> Iterator[str]:
    dialect = card.tool_schema
    unsupported = {*dialect.unsupported, *(() if dialect.refs else ("$ref",))}
    if not dialect.additional_properties:
        unsupported.add("additionalProperties")
    for at, spec in asked.specs:
        if found := sorted(unsupported & set(_keywords_of(spec["inputSchema"]["json"]))):
            yield f"toolConfig.tools.{at}.toolSpec.inputSchema.json: unsupported keywords: {', '.join(found)}"


def _keywords_of(schema: Any) -> Iterator[str]:
    """Yield the keywords of a JSON Schema at any depth. The names of properties are none."""
    if isinstance(schema, list):
        for one in schema:
            yield from _keywords_of(one)
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        yield key
        if key in ("properties", "$defs", "definitions", "patternProperties") and isinstance(value, dict):
            yield from _keywords_of(list(value.values()))
        elif key not in ("const", "default", "enum", "examples"):
            yield from _keywords_of(value)


# What is enforced


_MOST_STRICT, _MOST_OPTIONAL, _MOST_UNIONS = 20, 24, 16
#: Keywords that constrained decoding does not take, by the type of the value.
_NOT_HELD = {
    "number": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "integer": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "array": ("maxItems", "uniqueItems"),
    "object": ("maxProperties", "minProperties", "patternProperties", "propertyNames"),
}


def _strict_schemas(asked: Asked, _: ModelCard) -> Iterator[str]:
    held = [(at, spec["inputSchema"]["json"]) for at, spec in asked.specs if spec.get("strict")]
    if len(held) > _MOST_STRICT:
        yield (
            f"Too many strict tools ({len(held)}). The maximum number of strict tools supported is {_MOST_STRICT}. "
            "Try reducing the number of strict tools."
        )
    for at, schema in held:
        yield from (f"tools.{at}.custom: {problem}" for problem in _not_held(schema, schema))
    parts = [one for _, schema in held for one in _schemas_in(schema)]
    fields = [one.get("properties", {}) for one in parts]
    optional = sum(len(one.get("properties", {}).keys() - {*one.get("required", ())}) for one in parts)
    values = [value for one in fields for value in one.values() if isinstance(value, dict)]
    unions = sum("anyOf" in value or isinstance(value.get("type"), list) for value in values)
    for what, count, most in (("optional", optional, _MOST_OPTIONAL), ("union-type", unions, _MOST_UNIONS)):
        if count > most:
            yield (
                f"Schemas contain too many {what} parameters ({count}), which would make grammar compilation "
                f"inefficient. Reduce their number in your tool schemas (limit: {most})."
            )


def _answer_schema(asked: Asked, _: ModelCard) -> Iterator[str]:
    form = (asked.request.get("outputConfig") or {}).get("textFormat") or {}
    if not form:
        return
    try:
        schema = json.loads(form["structure"]["jsonSchema"]["schema"])
    except ValueError:
        schema = None
    if not isinstance(schema, dict):
        yield "output_config.format.schema: Input should be a valid JSON Schema"
        return
    yield from (f"output_config.format.schema: {problem}" for problem in _not_held(schema, schema))


def _schemas_in(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and those inside it. The names of properties are no keywords."""
    if isinstance(schema, list):
        for one in schema:
            yield from _schemas_in(one)
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key in ("properties", "$defs", "definitions", "patternProperties"):
                yield from _schemas_in(list(value.values()))
            elif key not in ("const", "default", "enum", "examples", "required"):
                yield from _schemas_in(value)


def _not_held(schema: Any, root: Mapping[str, Any]) -> Iterator[str]:
    """Yield what constrained decoding does not take in a schema."""
    for one in _schemas_in(schema):
        kinds = one.get("type", ())
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            if found := [key for key in _NOT_HELD.get(kind, ()) if key in one]:
                yield f"For '{kind}' type, properties {', '.join(found)} are not supported"
            if kind == "array" and one.get("minItems", 0) > 1:
                yield f"For 'array' type, 'minItems' values other than 0 or 1 are not supported ({one['minItems']})"
            if kind == "object" and one.get("additionalProperties") is not False:
                yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
        for word in ("oneOf", "not", "if", "prefixItems"):
            if word in one:
                yield f"Schema type '{word}' is not supported"
        if not one.keys() & {"type", "enum", "const", "anyOf", "allOf", "oneOf", "$ref"}:
            yield "Schema must have a type"
    for name in root.get("$defs", {}):
        if _reaches(name, name, root["$defs"], set()):
            yield f"Circular reference detected in schema definitions: {name}"


def _reaches(goal: str, name: str, definitions: Mapping[str, Any], seen: set[str]) -> bool:
    inner = {str(one["$ref"]).rpartition("/")[2] for one in _schemas_in(definitions.get(name)) if "$ref" in one}
    return goal in inner or any(_reaches(goal, one, definitions, seen | {one}) for one in inner - seen)


_OURS: Mapping[str, Any] = {"words": "described"}
_MODEL: Mapping[str, Any] = {"by_model": True}

SCHEMA_RULES: tuple[Rule, ...] = (
    card_rule("keys of a schema", "lastmile-ai/mcp-agent#126", _root_keys, **_MODEL),
    card_rule(
        "forms at a schema's root", "trycua/cua#3303, abhigyanpatwari/GitNexus#2487", _forms_at_the_root, **_MODEL
    ),
    card_rule("keywords of a schema", "pydantic/pydantic-ai#1623", _keywords, **_OURS, **_MODEL),
    card_rule(
        "schemas of strict tools",
        "earendil-works/pi#9953, strands-agents/harness-sdk#2664, datarobot-oss/datarobot-genai#547",
        _strict_schemas,
        **_MODEL,
    ),
    card_rule("schema of an answer", f"{_GUIDE}structured-output.html", _answer_schema, **_OURS, **_MODEL),
)
