"""Settle in a template what the template itself says: defaults of parameters, mappings, and parts of known lists.

::

    Ref, ${…} of a parameter    its Default, or one of its AllowedValues
    Fn::FindInMap               what the mapping has there; each of its values, where a key is not known
    Fn::Select, Fn::Split       the part, where the list or the text is known
    Fn::Join, Fn::Sub           the text, where all of it is known

Where several values are possible, an ``Fn::If`` has them, as if a condition chose: who reads both sides of a condition
reads all of them. What cannot be settled stays as it is written.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cli.walls.arns import texts

_PLACE = re.compile(r"\$\{(\w+)\}")
#: Stands for a sign at which a text is split, within a placeholder.
_KEPT = "\4"


def settled(template: Mapping[str, Any], value: Any) -> Any:
    """Return a value with what the template says of it in place of the functions that ask for it."""
    match value:
        case {"Ref": str(name)}:
            known = _of_parameter(template, name)
            return value if known is None else known
        case {"Fn::Sub": str(text)}:
            return _substituted(template, text, {})
        case {"Fn::Sub": [str(text), dict(given)]}:
            return _substituted(template, text, settled(template, given))
        case {"Fn::Join": [str(between), joined]}:
            listed = settled(template, joined)
            is_known = isinstance(listed, list) and all(isinstance(one, str) for one in listed)
            return between.join(listed) if is_known else {"Fn::Join": [between, listed]}
        case {"Fn::FindInMap": [*keys]}:
            found = _found(template.get("Mappings", {}), settled(template, keys[:3]))
            return value if found is None else found
        case {"Fn::Select": [index, listed]} if str(index).isdigit():
            return _over(settled(template, listed), lambda one: _selected(one, int(index)))
        case {"Fn::Split": [str(sign), text]}:
            return _over(settled(template, text), lambda one: _split(one, sign))
        case dict():
            return {key: settled(template, one) for key, one in value.items()}
        case list():
            return [settled(template, one) for one in value]
    return value


def opened(value: Any) -> Any:
    """Return a value with what its JSON texts say in their place; another text stays one."""
    match value:
        case {"Fn::Sub": _} | {"Fn::Join": _} | str():
            read = [_loaded(one) for one in texts(value)]
            return _one_of(json.dumps(value), read) if any(isinstance(one, dict | list) for one in read) else value
        case dict():
            return {key: opened(one) for key, one in value.items()}
        case list():
            return [opened(one) for one in value]
    return value


def _loaded(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _of_parameter(template: Mapping[str, Any], name: str) -> Any:
    """Return the value of a parameter that nobody gives another one; None where the template does not say it."""
    parameter = template.get("Parameters", {}).get(name, {})
    of = str(parameter.get("Type"))
    values = parameter.get("AllowedValues") or ([parameter["Default"]] if "Default" in parameter else [])
    if not values or "SSM" in of:
        return None
    if "List<" in of or of == "CommaDelimitedList":
        return [one.strip() for one in str(values[0]).split(",")] if len(values) == 1 else None
    return _one_of(name, [str(one) for one in values])


def _one_of(of: str, values: list[Any]) -> Any:
    """Return the one value, or each of them as a side of a condition that no template has."""
    one, *more = values
    return one if not more else {"Fn::If": [f"{of}={len(more)}", one, _one_of(of, more)]}


def _found(mappings: Mapping[str, Any], keys: list[Any]) -> Any:
    found: list[Any] = [mappings]
    for key in keys:
        inside = [one for one in found if isinstance(one, dict)]
        found = [one[key] for one in inside if key in one] if isinstance(key, str) else [*_all(inside)]
    different = [one for number, one in enumerate(found) if one not in found[:number]]
    return _one_of(json.dumps(keys), different) if different else None


def _all(mappings: list[dict[str, Any]]) -> Iterator[Any]:
    for one in mappings:
        yield from one.values()


def _substituted(template: Mapping[str, Any], text: str, given: Mapping[str, Any]) -> Any:
    known = {name: _of_parameter(template, name) for name in _PLACE.findall(text) if name not in given}
    put_in = {**{name: one for name, one in known.items() if one is not None}, **given}
    for name in [name for name, one in put_in.items() if isinstance(one, str)]:
        text = text.replace(f"${{{name}}}", put_in.pop(name))
    if put_in:
        return {"Fn::Sub": [text, put_in]}
    return {"Fn::Sub": text} if "${" in text else text


def _over(value: Any, made: Callable[[Any], Any]) -> Any:
    """Return what is made of a value, on each side where it has sides."""
    match value:
        case {"Fn::If": [condition, one, other]}:
            return {"Fn::If": [condition, _over(one, made), _over(other, made)]}
    return made(value)


def _selected(value: Any, index: int) -> Any:
    is_there = isinstance(value, list) and index < len(value)
    return value[index] if is_there else {"Fn::Select": [index, value]}


def _split(value: Any, sign: str) -> Any:
    written = texts(value)
    if len(written) != 1 or not sign:
        return {"Fn::Split": [sign, value]}
    kept = re.sub(r"\$\{[^}]*\}", lambda place: place[0].replace(sign, _KEPT), written[0])
    found = [one.replace(_KEPT, sign) for one in kept.split(sign)]
    return [{"Fn::Sub": one} if "${" in one else one for one in found]
