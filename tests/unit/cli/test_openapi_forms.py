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
    ],
)
def test_a_discriminator_is_a_constant_in_each_form(
    tmp_path: Path, schemas: Any, body: Any, right: list[Any], wrong: list[Any]
) -> None:
    tool = tool_of(tmp_path, schemas, body)

    assert [fits(tool, call) for call in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


def test_an_answer_of_several_forms_may_fit_more_than_one(tmp_path: Path) -> None:
    output = tool_of(tmp_path, PETS, {"type": "object"}, one_of(NAMED)).output

    assert output is not None
    assert not OutputForm(output).complaints({"kind": "cat"})


ID = {"type": "integer", "readOnly": True}
ITEM = {"type": "object", "required": ["id", "name"], "properties": {"id": ID, "name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schemas", "body"),
    [
        ({}, ITEM),
        ({}, {"type": "array", "items": ITEM}),
        ({"Item": ITEM}, {"oneOf": [ref("Item")]}),
        ({"Id": ID}, {**ITEM, "properties": {"id": ref("Id"), "name": {}}}),
        (
            {"Item": {"type": "object", "properties": {"id": ID, "name": {}}}},
            {"allOf": [ref("Item"), {"required": ["id", "name"]}]},
        ),
    ],
)
def test_what_is_only_read_is_not_required(tmp_path: Path, schemas: Any, body: Any) -> None:
    tool, several = tool_of(tmp_path, schemas, body), body.get("type") == "array"

    calls: list[dict[str, Any]] = [{"name": "x"}, {}]
    assert [fits(tool, [one] if several else one) for one in calls] == [True, False]


def test_what_is_only_read_is_required_of_an_answer(tmp_path: Path) -> None:
    output = tool_of(tmp_path, {}, ITEM, ITEM).output

    assert output is not None
    assert output["required"] == ["id", "name"]
