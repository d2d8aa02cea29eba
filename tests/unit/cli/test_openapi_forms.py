"""The imported schema of an operation fits the calls that its OpenAPI document means, and no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ballast.playbook.servers.form import OutputForm, SchemaForm
from cli.declaration_file import ImportedTool
from cli.openapi_document import imported


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def of_kind(value: str, field: str) -> dict[str, Any]:
    fields = {"kind": {"type": "string", "enum": [value]}, field: {"type": "integer"}}
    return {"type": "object", "required": ["kind"], "properties": fields}


def with_pet(name: str, **fields: Any) -> dict[str, Any]:
    return {"allOf": [ref(name), {"type": "object", "properties": fields}]}


NAMED = {"propertyName": "kind", "mapping": {"cat": "#/components/schemas/Cat", "dog": "Dog"}}
BY_SCHEMA = {"propertyName": "kind"}
PET = {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}
PETS: dict[str, Any] = {"Pet": PET, "Cat": with_pet("Pet", lives={}), "Dog": with_pet("Pet", bark={})}
ENUMS = {"Cat": of_kind("cat", "lives"), "Dog": of_kind("dog", "bark")}
HEIRS: dict[str, Any] = {
    "Pet": {**PET, "discriminator": {"propertyName": "kind", "mapping": {"cat": "Cat", "lion": "Lion"}}},
    "Cat": with_pet("Pet", lives={}),
    "Dog": with_pet("Pet", bark={}),
    "Lion": with_pet("Cat", mane={}),
}
DATA = {"type": "x", "nullable": True}
ROARING = {"kind": "lion", "lives": 3, "mane": 1}
LION = {"Lion": with_pet("Cat", mane={})}
CAT, DOG, LIVING_DOG = {"kind": "cat", "lives": 3}, {"kind": "dog", "bark": "w"}, {"kind": "dog", "lives": 3}


def one_of(discriminator: Any, **more: Any) -> dict[str, Any]:
    return {"oneOf": [ref("Cat"), ref("Dog")], "discriminator": discriminator, **more}


def base(discriminator: Any, **others: Any) -> dict[str, Any]:
    return {**PETS, "Pet": {**PET, "discriminator": discriminator}, **others}


def tool_of(
    folder: Path, schemas: Mapping[str, Any], body: Mapping[str, Any], answered: Mapping[str, Any] = {}
) -> ImportedTool:
    sent = {"required": True, "content": {"application/json": {"schema": body}}}
    answer = {"200": {"description": "Done.", "content": {"application/json": {"schema": answered}}}}
    document = {
        "openapi": "3.0.3",
        "servers": [{"url": "https://pets.example"}],
        "components": {"schemas": schemas},
        "paths": {"/pets": {"post": {"operationId": "add", "requestBody": sent, "responses": answer}}},
    }
    file = folder / "pets.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return imported(file).tools[0]


def fits(tool: ImportedTool, call: Any) -> bool:
    arguments = {"body": call} if "body" in tool.schema["properties"] else call
    return not SchemaForm(tool.schema, {}, frozenset()).complaints(arguments)


@pytest.mark.parametrize(
    ("schemas", "body", "right", "wrong"),
    [
        (PETS, one_of(NAMED), [CAT, DOG, {"kind": "dog"}], [LIVING_DOG, {"kind": "cow"}, {"lives": 3}]),
        (PETS, one_of(NAMED, nullable=True), [CAT, None], [LIVING_DOG]),
        (PETS, one_of(BY_SCHEMA), [{"kind": "Cat", "lives": 3}], [CAT]),
        (ENUMS, one_of(BY_SCHEMA), [CAT], [LIVING_DOG]),
        (base(NAMED), one_of(NAMED), [CAT, DOG], [LIVING_DOG]),
        (base(NAMED), one_of(BY_SCHEMA), [CAT, DOG], [LIVING_DOG, {"kind": "Cat", "lives": 3}]),
        (base(NAMED), ref("Pet"), [CAT, DOG, {"kind": "dog"}], [LIVING_DOG, {"kind": "cow"}, {"lives": 3}]),
        (base(NAMED), {"type": "array", "items": ref("Pet")}, [[CAT, DOG]], [[LIVING_DOG]]),
        (base(BY_SCHEMA), ref("Pet"), [{"kind": "Cat", "lives": 3}, {"kind": "Pet"}], [{"kind": "Dog", "lives": 3}]),
        (
            base(BY_SCHEMA, **LION, Cat={**with_pet("Pet", lives={}), "discriminator": BY_SCHEMA}),
            ref("Pet"),
            [{"kind": "Lion", "mane": 1, "lives": 1}, {"kind": "Cat", "lives": 1}],
            [{"kind": "Cat", "mane": 1}],
        ),
        ({"Pet": {**PET, "discriminator": NAMED}}, ref("Pet"), [{"kind": "any"}], [CAT]),
        (HEIRS, ref("Pet"), [CAT, ROARING, {"kind": "Dog", "bark": 1}], [{"kind": "cat", "mane": 1}, LIVING_DOG]),
        (HEIRS, ref("Cat"), [CAT, ROARING], [{"kind": "cat", "mane": 1}, {"kind": "Dog", "lives": 3}]),
        (HEIRS, ref("Lion"), [ROARING], [CAT, {**ROARING, "kind": "Lion"}]),
        (base(BY_SCHEMA), one_of(NAMED), [CAT, DOG], [LIVING_DOG, {"kind": "Cat", "lives": 3}]),
        (base(BY_SCHEMA, Pet={**PET, "required": [], "discriminator": NAMED}), ref("Cat"), [CAT, {"lives": 3}], [DOG]),
        (base(NAMED, Other=ref("Pet")), ref("Other"), [CAT], [LIVING_DOG]),
        (
            {},
            {"properties": {"a": {"enum": [{"type": "x", "nullable": True}]}}},
            [{"a": {"type": "x", "nullable": True}}],
            [],
        ),
    ],
)
def test_a_discriminator_is_a_constant_in_each_form(
    tmp_path: Path, schemas: Any, body: Any, right: list[Any], wrong: list[Any]
) -> None:
    tool = tool_of(tmp_path, schemas, body)

    assert [fits(tool, call) for call in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


@pytest.mark.parametrize("answered", [one_of(NAMED), {"oneOf": [ref("Cat"), ref("Dog")]}])
def test_an_answer_of_several_forms_may_fit_more_than_one(tmp_path: Path, answered: Any) -> None:
    output = tool_of(tmp_path, PETS, {"type": "object"}, answered).output

    assert output is not None
    assert not OutputForm(output).complaints({"kind": "cat"})


def items(mark: str) -> list[tuple[Any, Any]]:
    """Return bodies in which ``name`` is required, and ``id`` is too, but for its mark."""
    one, name = {"type": "integer", mark: True}, {"type": "string"}
    both, free = ["id", "name"], {"type": "object", "properties": {"id": one, "name": name}}
    item = {**free, "required": both}
    refs, bare = {"Id": one, "Item": item, "Free": free}, {**item, "properties": {"id": {}, "name": name}}
    fields = [
        ref("Id"),
        {"allOf": [ref("Id")]},
        {"anyOf": [one, {"type": "null"}]},
        {"oneOf": [ref("Id")]},
        {"$ref": "#/components/schemas/Integer", mark: True},
    ]
    return [
        ({}, item),
        ({}, {"type": "array", "items": item}),
        (refs, {"oneOf": [ref("Item")]}),
        *(({**refs, "Integer": {}}, {**item, "properties": {"id": field, "name": name}}) for field in fields),
        (refs, {"allOf": [ref("Free"), {"required": both}]}),
        (refs, {"required": both, "oneOf": [ref("Free")]}),
        ({"Bare": bare}, {"allOf": [ref("Bare"), {"properties": {"id": {mark: True}}}]}),
        (
            {"Bare": bare, "Over": {"allOf": [ref("Bare"), {"properties": {"more": {}}}]}},
            {"allOf": [ref("Over"), {"properties": {"id": {mark: True}}}]},
        ),
    ]


@pytest.mark.parametrize(("schemas", "body"), items("readOnly"))
def test_what_is_only_read_is_not_required(tmp_path: Path, schemas: Any, body: Any) -> None:
    tool, several = tool_of(tmp_path, schemas, body), body.get("type") == "array"

    calls: list[dict[str, Any]] = [{"name": "x"}, {}]
    assert [fits(tool, [one] if several else one) for one in calls] == [True, False]


@pytest.mark.parametrize(("schemas", "body"), items("writeOnly"))
def test_what_is_only_written_is_not_required_of_an_answer(tmp_path: Path, schemas: Any, body: Any) -> None:
    output, several = tool_of(tmp_path, schemas, {"type": "object"}, body).output, body.get("type") == "array"

    assert output is not None
    answers: list[dict[str, Any]] = [{"name": "x"}, {}]
    assert [bool(OutputForm(output).complaints([one] if several else one)) for one in answers] == [False, True]


def test_another_body_with_the_same_base_requires_what_one_of_them_reads(tmp_path: Path) -> None:
    schemas, body = next(one for one in items("readOnly") if "Bare" in one[0])
    both = {"properties": {"a": ref("Bare"), "b": body}}

    tool = tool_of(tmp_path, schemas, both)

    named: dict[str, Any] = {"name": "x"}
    assert [fits(tool, one) for one in ({"b": named}, {"a": named}, {"a": {**named, "id": 1}})] == [True, False, True]


ID = {"type": "integer", "readOnly": True}
ITEM = {"type": "object", "required": ["id", "name"], "properties": {"id": ID, "name": {"type": "string"}}}


def test_what_is_only_read_is_required_of_an_answer(tmp_path: Path) -> None:
    output = tool_of(tmp_path, {}, ITEM, ITEM).output

    assert output is not None
    assert output["required"] == ["id", "name"]
