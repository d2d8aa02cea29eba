"""The form of a Converse request, as Bedrock's own service description has it: required, type, length, pattern, enum.

The description is botocore's. Its client checks a part of it before it sends anything; the service checks all of it,
and reports every breach at once:

    2 validation errors detected: Value 'a b' at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy
    constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+; Value at …
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

#: A place in a request, innermost step last; written out only for a breach.
_Path = tuple[Any, ...]
#: Appends a breach of a value's form to the list.
_Check = Callable[[Any, _Path, list[str]], None]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list, tuple),
    "string": (str,),
    "blob": (str, bytes, bytearray),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


def breaches(request: Mapping[str, Any], model_id: str) -> list[str]:
    """Return what in ``request`` (the body, as JSON) or in the model's id is not of the form of Converse."""
    found: list[str] = []
    _converse()({**request, "modelId": model_id}, (), found)
    return found


def refusal_of(found: list[str]) -> str:
    """Return the words in which Bedrock reports these breaches."""
    return f"{len(found)} validation error{'s' * (len(found) > 1)} detected: {'; '.join(found)}"


@cache
def _converse() -> _Check:
    from localcloud.sessions import core_session

    model = core_session().get_service_model("bedrock-runtime")
    return _check_of(model.operation_model("Converse").input_shape)


def _check_of(shape: Any) -> _Check:
    """Return the check of values of ``shape``, built once: a request is checked in every turn of every test."""
    if getattr(shape, "is_document_type", False):
        return lambda value, path, found: None
    kind, allowed, limits, inner = shape.type_name, _TYPES.get(shape.type_name, ()), _limits(shape), _inner(shape)
    is_secret, is_number = "sensitive" in shape.metadata, kind in ("integer", "long", "float", "double")

    def check(value: Any, path: _Path, found: list[str]) -> None:
        if not isinstance(value, allowed) or (is_number and isinstance(value, bool)):
            found.append(f"Value at '{_written(path)}' failed to satisfy constraint: Member must be a {kind}")
            return
        if limits is not None:
            for broken in limits(value):
                shown = f" '{value}'" if isinstance(value, str | int | float) and not is_secret else ""
                found.append(f"Value{shown} at '{_written(path)}' failed to satisfy constraint: {broken}")
        if inner is not None:
            inner(value, path, found)

    return check


def _written(path: _Path) -> str:
    """Return a place as Bedrock writes it: ``messages.2.member.content``."""
    steps = []
    while path:
        path, step = path
        steps.append(f"{step}.member" if isinstance(step, int) else str(step))
    return ".".join(reversed(steps))


def _inner(shape: Any) -> _Check | None:
    """Return the check of what is inside a value; None for a value that has no parts."""
    if shape.type_name == "structure":
        return _members(shape)
    if shape.type_name == "list":
        item = _check_of(shape.member)

        def items(value: Any, path: _Path, found: list[str]) -> None:
            for at, one in enumerate(value, start=1):
                item(one, (path, at), found)

        return items
    if shape.type_name == "map":
        key, entry = _check_of(shape.key), _check_of(shape.value)

        def entries(value: Any, path: _Path, found: list[str]) -> None:
            for name, one in value.items():
                key(name, (path, "key"), found)
                entry(one, ((path, name), "member"), found)

        return entries
    return None


def _members(shape: Any) -> _Check:
    members = {name: _check_of(member) for name, member in shape.members.items()}
    required = tuple(shape.required_members)
    is_union = bool(shape.metadata.get("union"))

    def check(value: Any, path: _Path, found: list[str]) -> None:
        for name in required:
            if value.get(name) is None:
                place = _written((path, name))
                found.append(f"Value null at '{place}' failed to satisfy constraint: Member must not be null")
        given = 0
        for name, one in value.items():
            if one is None:
                continue
            given += 1
            if name in members:
                members[name](one, (path, name), found)
            else:
                found.append(f"Value at '{_written(path)}' failed to satisfy constraint: Unknown member: {name}")
        if is_union and given != 1:
            found.append(f"Value at '{_written(path)}' failed to satisfy constraint: Exactly one member must be set")

    return check


def _limits(shape: Any) -> Callable[[Any], list[str]] | None:
    """Return the check of a value's length, pattern and enum, which returns what is broken; None without any."""
    limits = shape.metadata
    least, most, pattern, enum = (limits.get(name) for name in ("min", "max", "pattern", "enum"))
    number = shape.type_name in ("integer", "long", "float", "double")
    measured = "value" if number else "length"
    matches = re.compile(f"(?:{pattern})").fullmatch if pattern else None

    def check(value: Any) -> list[str]:
        size = value if number else len(value)
        broken = []
        if least is not None and size < least:
            broken.append(f"Member must have {measured} greater than or equal to {least}")
        if most is not None and size > most:
            broken.append(f"Member must have {measured} less than or equal to {most}")
        if matches is not None and not matches(value):
            broken.append(f"Member must satisfy regular expression pattern: {pattern}")
        if enum and value not in enum:
            broken.append(f"Member must satisfy enum value set: [{', '.join(enum)}]")
        return broken

    return None if least is most is None and not pattern and not enum else check
