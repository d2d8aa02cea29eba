"""Import the functions of the Berkeley Function-Calling Leaderboard as tools, and count what their schemas let pass.

    python -m bench.bfcl FOLDER       the folder ``bfcl_eval/data`` of the package bfcl-eval, unpacked: data only

Each recorded answer is a call that must be accepted. Each is then corrupted in every way that its schema forbids, and
must be refused. A recorded answer that its own schema does not describe (a text for a number, an argument that is not
declared) is counted apart: the leaderboard compares answers with lists, not with schemas.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ballast.errors import PlaybookInvalid, SchemaViolation, TooLarge
from ballast.playbook import Tool
from ballast.playbook.servers.declaration import pin
from ballast.playbook.servers.tools import declared_tools

#: The leaderboard's names of types, in JSON Schema's.
_TYPES = {
    "dict": "object",
    "hashmap": "object",
    "hashtable": "object",
    "object": "object",
    "float": "number",
    "double": "number",
    "number": "number",
    "integer": "integer",
    "int": "integer",
    "long": "integer",
    "short": "integer",
    "byte": "integer",
    "bigint": "integer",
    "list": "array",
    "tuple": "array",
    "array": "array",
    "arraylist": "array",
    "set": "array",
    "queue": "array",
    "boolean": "boolean",
    "bool": "boolean",
    "null": "null",
    "string": "string",
    "char": "string",
}
_KEPT = ("description", "enum", "default", "format", "required", "maximum", "minimum", "minItems", "maxItems")


def schema_of(said: Any) -> dict[str, Any]:
    """Return a parameter of the leaderboard as JSON Schema."""
    if not isinstance(said, Mapping):
        return {}
    made: dict[str, Any] = {name: said[name] for name in _KEPT if name in said}
    if not isinstance(made.get("required", []), list):
        del made["required"]
    kind = said.get("type")
    if isinstance(kind, str) and kind.lower() != "any":
        made["type"] = _TYPES.get(kind.lower(), "string")
    if isinstance(said.get("properties"), Mapping):
        made["properties"] = {name: schema_of(one) for name, one in said["properties"].items()}
    if isinstance(said.get("items"), Mapping):
        made["items"] = schema_of(said["items"])
    if isinstance(said.get("additionalProperties"), Mapping | bool):
        extra = said["additionalProperties"]
        made["additionalProperties"] = extra if isinstance(extra, bool) else schema_of(extra)
    return made


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the cases of a file, one a line; nothing of a file that is none."""
    for line in filter(None, file.read_text(encoding="utf-8").split("\n")):
        try:
            case = json.loads(line)
        except ValueError:
            return
        if isinstance(case, dict):
            yield case


def functions(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (id of its case, function) of every case that has functions of its own."""
    for file in sorted(folder.glob("BFCL_v4_*.json")):
        for case in _lines(file):
            for function in case.get("function", []):
                yield case["id"], function


def answers(folder: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (id of its case, function's name, arguments) of every recorded answer, with the first of its choices."""
    for file in sorted((folder / "possible_answer").glob("BFCL_v4_*.json")):
        for case in _lines(file):
            for call in case.get("ground_truth", []):
                if isinstance(call, Mapping):
                    for name, arguments in call.items():
                        if isinstance(arguments, Mapping):
                            yield case["id"], name, _chosen(arguments)


def _chosen(arguments: Mapping[str, Any]) -> dict[str, Any]:
    made = {}
    for name, choices in arguments.items():
        if not isinstance(choices, list) or not choices or choices[0] == "":
            continue
        made[name] = _value(choices[0])
    return made


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _chosen(value) if all(isinstance(one, list) for one in value.values()) else dict(value)
    return [_value(one) for one in value] if isinstance(value, list) else value


def corruptions(schema: Mapping[str, Any], sent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (kind, arguments) for each way to corrupt a call that its schema forbids."""
    yield "unknown argument", {**sent, "not_declared": 1}
    yield "a list", [sent]
    yield "a text", json.dumps(sent)
    for name in schema.get("required", []):
        if name in sent:
            yield "missing argument", {key: value for key, value in sent.items() if key != name}
    for name, value in sent.items():
        one = schema.get("properties", {}).get(name, {})
        for kind, wrong in _wrong(one, value):
            yield kind, {**sent, name: wrong}


def _wrong(one: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    kind = one.get("type")
    if kind is not None and kind != "null":
        yield "null", None
    if kind in ("integer", "number"):
        yield "a number as text", str(value)
        yield "a boolean for a number", True
        yield "a number that is none", float("nan")
        yield "a number without end", 10**400
    if kind == "integer":
        yield "a fraction for a whole number", 0.5
    if kind == "string":
        yield "a number for a text", 5
        yield "an object for a text", {"value": value}
        yield "half a character", "\ud800"
    if kind == "boolean":
        yield "a text for a boolean", "true"
        yield "a number for a boolean", 1
    if kind == "array":
        yield "a text for a list", "a"
        items = one.get("items", {}).get("type")
        if items is not None:
            yield "a wrong item", [*(value if isinstance(value, list) else []), None if items != "null" else 1]
    if kind == "object":
        yield "a list for an object", [1]
        if one.get("properties") and "additionalProperties" not in one and isinstance(value, Mapping):
            yield "unknown field inside", {**value, "not_declared": 1}
    if "enum" in one:
        yield "a value that is not offered", "not offered"


def measure(folder: Path) -> dict[str, Any]:
    """Return the figures: functions, calls accepted, corrupted calls refused by kind, and what passed wrongly."""
    tools: dict[tuple[str, str], Tool] = {}
    refused: list[str] = []
    with tempfile.TemporaryDirectory() as made:
        known = list(functions(folder))
        for at, (case, function) in enumerate(known):
            name = f"f{at}"
            schema = schema_of(function.get("parameters", {}))
            text = str(function.get("description") or function["name"])
            pinned = {"description": text, "schema": schema, "sha256": pin(name, text, schema)}
            server = {
                "server": {"kind": "lambda", "function": "f"},
                "tools": {name: {"effect": "write", "pinned": pinned}},
            }
            file = Path(made) / "bfcl.yaml"
            file.write_text(yaml.safe_dump(server), encoding="utf-8")
            try:
                tools[case, function["name"]] = next(declared_tools(Path(made)))
            except PlaybookInvalid as problem:
                refused.append(f"{case} {function['name']}: {str(problem).partition('tools.')[2]}")
    counts = _counted(tools, list(answers(folder)))
    return {"functions": len(known), "imported": len(known) - len(refused), "not imported": refused, **counts}


def _counted(tools: Mapping[tuple[str, str], Tool], calls: list[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    accepted, unfit, passed, refused = 0, list[str](), list[str](), Counter[str]()
    tried = Counter[str]()
    for case, name, sent in calls:
        tool = tools.get((case, name))
        if tool is None:
            continue
        why = _refusal(tool, sent)
        if why is not None:
            unfit.append(f"{case} {why}")
            continue
        accepted += 1
        for kind, wrong in corruptions(tool.schema, copy.deepcopy(sent)):
            tried[kind] += 1
            if _refusal(tool, wrong) is None:
                passed.append(f"{case} {name}: {kind}")
            else:
                refused[kind] += 1
    corrupted = {kind: f"{refused[kind]} of {count}" for kind, count in sorted(tried.items())}
    return {"accepted": accepted, "unfit": unfit, "refused": corrupted, "passed": passed}


def _refusal(tool: Tool, arguments: Any) -> str | None:
    try:
        tool.bounded_form(tool.read(arguments))
    except (SchemaViolation, TooLarge) as refused:
        return str(refused)
    return None


def main(folder: str) -> int:
    """Print the figures and return an exit code: 0 if nothing passed wrongly."""
    figures = measure(Path(folder))
    print(f"{figures['functions']} functions, {figures['imported']} imported as tools")
    for line in figures["not imported"]:
        print(f"  not imported: {line}")
    print(f"{figures['accepted']} recorded calls accepted; {len(figures['unfit'])} do not fit their own schema")
    for line in figures["unfit"][:200] if "-v" in sys.argv else ():
        print(f"  {line}")
    print("corrupted calls refused:")
    for kind, count in figures["refused"].items():
        print(f"  {kind:32} {count}")
    for line in figures["passed"]:
        print(f"  passed wrongly: {line}")
    return int(bool(figures["passed"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
