"""JSON Schemas of the files that a playbook's author writes, for editors: as the files are written, not as parsed.

::

    agent.schema.json          agent.yaml
    other-agent.schema.json    agents/NAME.yaml: without the stack's rules and without a name
    servers.schema.json        servers/NAME.yaml
    scenario.schema.json       scenarios/NAME/scenario.yaml
    script.schema.json         scenarios/NAME/script.yaml

A schema refuses what has a wrong name or type. What fields say of each other, the loading of the playbook checks.
"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, get_args

from pydantic import BaseModel

from ballast.contracts import Limits, LimitsPatch
from ballast.playbook.agent import OF_THE_STACK, AgentConfig
from ballast.playbook.money_rules import AllCeilings, CustomerCeilings, MovesConfig, TenantCeilings
from ballast.playbook.servers.declaration import Declaration
from localcloud.converse.script import Script
from localcloud.scenarios.scenario import Scenario

_AMOUNT: dict[str, Any] = {
    "type": ["string", "integer"],
    "pattern": r"^[0-9]+(\.[0-9]{1,6})?$",
    "minimum": 0,
    "maximum": 10**12,
}
_EFFECTS: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/ExpectedEffect"}]}},
        {"type": "null"},
    ]
}
#: Fields that are written in another form than the one that the model keeps, by model and field.
_AS_WRITTEN: dict[str, dict[str, dict[str, Any]]] = {
    "AgentConfig": {
        # YAML 1.1, which Ballast reads, has on and off as booleans; editors read YAML 1.2.
        "cache": {"anyOf": [{"$ref": "#/$defs/Caching"}, {"enum": [True, False, "on", "off"]}]},
        "temperature": {"type": ["number", "null"], "deprecated": True, "description": "Now under inference."},
    },
    "Inference": {
        "thinking": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                {"enum": ["adaptive", False, 0, "off", None]},
            ]
        }
    },
    **{
        model.__name__: dict.fromkeys(fields, _AMOUNT)
        for model, fields in (
            (CustomerCeilings, ("hour", "day")),
            (TenantCeilings, ("hour", "day")),
            (AllCeilings, ("hour", "day")),
            (MovesConfig, ("run",)),
        )
    },
    "Expected": {
        **{name: {"anyOf": [_AMOUNT, {"type": "null"}]} for name in ("moved", "costs_at_most")},
        "effects": _EFFECTS,
    },
    "Unlike": {"effects": _EFFECTS},
}
#: Fields that the reader of the file fills in.
_FILLED_IN = {"Scenario": {"name"}, "RunRequest": {"request_id"}}
#: A line of a model's docstring: fields, and what they are.
_LINE = re.compile(r"(\w+(?:, \w+)*) +(\S.*)")


def schemas() -> dict[str, dict[str, Any]]:
    """Return each schema by its file name."""
    agent = _schema(AgentConfig, "agent.yaml of a playbook")
    other = {**agent, "title": "agents/NAME.yaml of a playbook"}
    kept = {name: one for name, one in agent["properties"].items() if name not in OF_THE_STACK}
    other |= {"properties": kept, "required": [name for name in agent["required"] if name != "name"]}
    return {
        "agent.schema.json": agent,
        "other-agent.schema.json": _used(other),
        "servers.schema.json": _schema(Declaration, "servers/NAME.yaml of a playbook"),
        "scenario.schema.json": _schema(Scenario, "scenario.yaml of a playbook"),
        "script.schema.json": _schema(Script, "script.yaml of a playbook"),
    }


def models(top: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return a model and all models in its fields, by name."""
    found: dict[str, type[BaseModel]] = {}

    def add(model: type[BaseModel]) -> None:
        if found.setdefault(model.__name__, model) is model:
            for field in model.model_fields.values():
                for one in models_in(field.annotation):
                    if one.__name__ not in found:
                        add(one)

    add(top)
    return found


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from models_in(inside)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what a model's docstring says of its fields, by name."""
    lines: list[tuple[list[str], str]] = []
    for line in cleandoc(model.__doc__ or "").splitlines()[1:]:
        found, inside = _LINE.fullmatch(line), line[:1].isspace()
        if found and not inside and all(name in model.model_fields for name in found[1].split(", ")):
            lines.append((found[1].split(", "), found[2]))
        elif lines and inside:
            lines[-1] = lines[-1][0], f"{lines[-1][1]} {line.strip()}"
    return {name: text for names, text in lines for name in names}


def _schema(top: type[BaseModel], title: str) -> dict[str, Any]:
    made = top.model_json_schema(mode="validation")
    known = models(top)
    for name, part in [(top.__name__, made), *made.get("$defs", {}).items()]:
        if name in known:
            _finish(part, known[name])
    made.pop("description", None)
    return {**made, "title": title}


def _finish(part: dict[str, Any], model: type[BaseModel]) -> None:
    """Describe a model's fields, give defaults as they are written, and drop what the reader fills in."""
    name, told = model.__name__, meanings(Limits if model is LimitsPatch else model)
    defaults = model.model_construct().model_dump(mode="json", by_alias=True, warnings=False)
    for field, one in part.get("properties", {}).items():
        one.pop("title", None)
        if "default" in one and field in defaults:
            one["default"] = defaults[field]
        if field in _AS_WRITTEN.get(name, {}):
            kept = {key: one[key] for key in ("default",) if key in one}
            one.clear()
            one |= {**_AS_WRITTEN[name][field], **kept}
        if "patternProperties" in one:
            one["additionalProperties"] = False  # else any name would do
        if field in told:
            one["description"] = told[field].replace("``", "`")
    for field, written in _AS_WRITTEN.get(name, {}).items():
        part["properties"].setdefault(field, written)
    filled = _FILLED_IN.get(name, set())
    if "required" in part:
        part["required"] = [field for field in part["required"] if field not in filled]


def _used(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with those of its models that it refers to."""
    definitions, used = schema["$defs"], set[str]()
    waiting = [{key: one for key, one in schema.items() if key != "$defs"}]
    while waiting:
        for name in re.findall(r"#/\$defs/(\w+)", str(waiting.pop())):
            if name not in used:
                used.add(name)
                waiting.append(definitions[name])
    return {**schema, "$defs": {name: one for name, one in definitions.items() if name in used}}
