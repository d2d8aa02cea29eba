"""Sensitive values in the body of an event, by the playbook's marks, and the playbook's own names. Pure.

They occur in calls and their results (a decision's calls, intended, refused, settled and approved calls, undos, the
blocks of a model's message) and in a request's context. Arguments that a tool refuses have no fields, so more of them
is sensitive: ``sensitive_in_refused``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import from_json, to_jsonable_python

from ballast.errors import whatever_it_raises
from ballast.masking import MASK, Secret, as_text, is_name, python_texts, read_text, values_in
from ballast.playbook.tool import Tool
from ballast.validation import Sensitive, leaves
from ballast.validation.annotations import branches, extras_of, items_of, mark_of, members_of, unwrapped
from ballast.values import dataclass

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook


#: Text inside text is read this many times, and JSON this deep; deeper values are taken as they are.
_LEVELS, _DEEPEST = 6, 100
#: This many characters of a text that is not JSON are read; the whole text is sensitive as well.
_MOST_READ = 32_768
_NAME = r"(?<![\w$.-])(?P<name>[^\W\d][\w$.-]*)"
_STRING = r"(?P<quote>[\"'`])(?P<quoted>(?:\\.|(?!(?P=quote)).)+)"
_BARE = r"(?P<bare>(?P<item>[^\s,;&<>{}()\[\]\"'`][^\n,;&<>{}()\[\]\"'`]{0,200})[^\n<>{}\[\]]{0,200})"
#: ``name: value``, ``"name": "value"``, ``name='value'``, ``name => value``, ``<name>value``; possibly nested.
_GIVES = rf"{_NAME}\\*[\"'`]?\s*(?:[:=]>?|>)"
_PAIR = re.compile(rf"(?={_GIVES}\s*\\*(?:{_STRING}|{_BARE}))", re.DOTALL)
_QUOTED = re.compile(rf"(?<!\w){_STRING}(?P=quote)?(?P<names>\s*[:=])?", re.DOTALL)
#: The number of a card, an account or a person, grouped or not, with or without letters.
_NUMBER = re.compile(r"(?<!\w)\w*\d\w*(?:[ .-]\w*\d\w*)*")
_LEAST_DIGITS = 6
_NO_TEXT = (int, float, complex, type(None))
_NUMBERS = (int, float, Decimal, Fraction)
_TEXTS = (str, bytes, bytearray)


class _NoField:
    """The type of a value that no field accepts."""


def sensitive_in_refused(model: Any, arguments: Any, field: str, tool: str, names: frozenset[str]) -> Iterator[Secret]:
    """Yield possibly sensitive values in refused ``arguments`` of a ``model`` with a mark.

    field  the name that the arguments have in the body
    names  the playbook's own names
    """
    marked, plain = _fields(model)
    yield from _RefusedArguments(tool, marked, plain, names).at(model, arguments, field)


@dataclass(frozen=True)
class _RefusedArguments:
    """A walk through refused arguments.

    marked, plain  the names of the sensitive fields, and of the others, at any depth
    lost           whether the value is inside one that no field accepts, so that fields are recognized by name only
    """

    tool: str
    marked: frozenset[str]
    plain: Mapping[str, Any]
    names: frozenset[str]
    lost: bool = False
    deep: int = 0
    levels: int = _LEVELS

    def at(self, annotation: Any, value: Any, field: str) -> Iterator[Secret]:
        """Yield possibly sensitive values in ``value``, which is at ``field`` and should have the annotated type."""
        below = replace(self, deep=self.deep + 1)
        if isinstance(value, Mapping) and self.deep < _DEEPEST:
            yield from below._of_object(annotation, value, field)
        elif isinstance(value, list | tuple) and self.deep < _DEEPEST:
            takes = any(map(_takes_items, branches(annotation)))
            for position, inner in enumerate(value):
                item = _one_of(items_of(annotation, position), Any) if takes else _NoField
                yield from replace(below, lost=self.lost or not takes).at(item, inner, field)
        elif not _takes(annotation, value) or (isinstance(value, str) and self._names_a_field(value)):
            yield from self._untaken(value, field)
        elif self.lost:
            yield from self._secret(as_text(value), field, here=field in self.plain)

    def _of_object(self, annotation: Any, value: Mapping[str, Any], field: str) -> Iterator[Secret]:
        known = [members for branch in branches(annotation) if (members := members_of(branch)) is not None]
        of = [one for branch in branches(annotation) for one in _values_of(branch)]
        for key, inner in value.items():
            named = [members[key].annotation for members in known if key in members]
            if named:
                yield from self.at(_one_of(named), inner, key)
                continue
            if self.lost or not of:
                yield from self._key(key, field, within=bool(known))
            if of:
                yield from self.at(_one_of(of), inner, field)
            else:
                yield from replace(self, lost=True).at(self.plain.get(key, _NoField), inner, key)

    def _key(self, key: str, field: str, *, within: bool) -> Iterator[Secret]:
        """Yield a key that is no field's name. ``within`` a model it is a wrong name and no value, and is skipped."""
        if not is_name(key) or field in self.marked:
            yield from self._secret(key, field)
        elif not within and key not in self.marked and key not in self.plain:
            yield from self._secret(key, field, here=True)

    def _untaken(self, value: Any, field: str) -> Iterator[Secret]:
        yield from self._secret(as_text(value), field)
        if not isinstance(value, str):
            return
        inner = read_text(value) if self.levels else None
        if type(inner) in (dict, list, str):
            yield from replace(self, levels=self.levels - 1, lost=True).at(_NoField, inner, field)
        else:
            yield from self._read_out(value, field)

    def _names_a_field(self, text: str) -> bool:
        """Return whether a text assigns a value to a sensitive field."""
        marked = frozenset(map(_letters_of, self.marked))
        return any(_letters_of(match["name"]) in marked for match in re.finditer(_GIVES, text))

    def _read_out(self, text: str, field: str) -> Iterator[Secret]:
        """Yield the values in a text that is not JSON."""
        text = text[:_MOST_READ]
        ours = bytearray(len(text))
        marked, plain = (frozenset(map(_letters_of, some)) for some in (self.marked, self.plain))
        for match in _PAIR.finditer(text):
            name = _letters_of(match["name"])
            if name in plain:
                start, end = match.span("quoted" if match["quoted"] else "item")
                ours[start:end] = b"\1" * (end - start)
                continue
            values = {match["quoted"]} if match["quoted"] else {match["bare"].strip(), match["item"].strip()}
            for value in values:
                told = name in marked or match["quoted"] or any(map(str.isdigit, value))
                yield from self._secret(value, match["name"], here=not told)
        for match in _QUOTED.finditer(text):
            if not match["names"] and not ours[match.start("quoted")]:
                yield from self._secret(match["quoted"], field)
        for match in _NUMBER.finditer(text):
            enough = sum(map(str.isdigit, match[0])) >= _LEAST_DIGITS
            if enough and not ours[match.start()]:
                yield from self._secret(match[0], field)

    def _secret(self, text: str, field: str, *, here: bool = False) -> Iterator[Secret]:
        here = here or text in self.names or text in self.marked or text in self.plain
        for one in {text, _unescaped(text)} - {"", MASK, "null"}:
            yield Secret(one, field, self.tool, here)


def _letters_of(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False)) if "\\" in text else text
    except ValueError:
        return re.sub(r"\\(.)", r"\1", text)


def _one_of(types: Any, otherwise: Any = _NoField) -> Any:
    found = tuple(types)
    return Union[found] if found else otherwise  # noqa: UP007  how many is not known here


def _takes(annotation: Any, value: Any) -> bool:
    """Return whether a type accepts the JSON type of a value, regardless of its validators."""
    return value is None or any(_branch_takes(branch, value) for branch in branches(annotation))


def _branch_takes(branch: Any, value: Any) -> bool:
    made = get_origin(branch) or branch
    if made is Any or made is object:
        return True
    if made is Literal:
        return any(isinstance(one, str) is isinstance(value, str) for one in get_args(branch))
    if not isinstance(made, type) or made is _NoField or members_of(branch) is not None:
        return False
    if issubclass(made, Enum):
        return any(isinstance(one.value, str) is isinstance(value, str) for one in made)
    if isinstance(value, bool):
        return issubclass(made, bool)
    if not isinstance(value, str):
        return issubclass(made, _NUMBERS) and not issubclass(made, bool)
    return not issubclass(made, _NO_TEXT) and (issubclass(made, _TEXTS) or not issubclass(made, Collection))


def _takes_items(branch: Any) -> bool:
    made = get_origin(branch) or branch
    if made is Any or made is object:
        return True
    return isinstance(made, type) and issubclass(made, Collection) and not issubclass(made, (*_TEXTS, Mapping, Enum))


def _values_of(branch: Any) -> Iterator[Any]:
    """Yield the type of a mapping's values; nothing for other types."""
    made = get_origin(branch) or branch
    if made is Any or made is object:
        yield Any
    elif isinstance(made, type) and issubclass(made, Mapping) and members_of(branch) is None:
        yield get_args(branch)[-1] if get_args(branch) else Any


@lru_cache(maxsize=256)
def _fields(model: Any) -> tuple[frozenset[str], Mapping[str, Any]]:
    """Return the names of a model's sensitive fields, at any depth, and the types of its other fields by name."""
    marked: set[str] = set()
    plain: dict[str, list[Any]] = {}
    seen: dict[Any, Any] = {}
    left: list[tuple[Any, bool]] = [(model, False)]
    while left:
        annotation, above = left.pop()
        inner, stands = unwrapped(annotation, Sensitive, None)
        above = above or stands is not None
        if (id(annotation), above) in seen:
            continue
        seen[id(annotation), above] = annotation  # kept, so that its id stays its own
        for branch in branches(inner):
            for name, member in (members_of(branch) or {}).items():
                hidden = above or mark_of(member.metadata, Sensitive) is not None
                hidden = hidden or unwrapped(member.annotation, Sensitive, None)[1] is not None
                if hidden:
                    marked.add(name)
                else:
                    plain.setdefault(name, []).append(member.annotation)
                left.append((member.annotation, hidden))
            extras = extras_of(branch)
            left += [(extras.annotation, above)] if extras is not None else []
            left += [(one, above) for one in get_args(branch) if get_origin(branch) is not Literal]
    return frozenset(marked), {name: _one_of(types) for name, types in plain.items() if name not in marked}


def playbook_names(playbook: Playbook) -> frozenset[str]:
    """Return the names of the playbook's tools, their fields, and its intents. They are never masked, whatever a value
    says."""
    names = {*playbook.tools, *playbook.agent.intents, *playbook.fallbacks, *playbook.agent.sensitive.context}
    names |= {playbook.agent.name, playbook.agent.model, *(one.model for one in playbook.agent.model_for)}
    for tool in playbook.tools.values():
        names.update(_properties(tool.arguments.model_json_schema()))
        names.update(_properties(tool.result.json_schema(mode="serialization")))
    return frozenset(names)


def _properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        named = schema.get("properties")
        if isinstance(named, Mapping):
            yield from named
        for inner in schema.values():
            yield from _properties(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _properties(inner)


def sensitive_values(playbook: Playbook, body: Any) -> Iterator[Secret]:
    """Yield the sensitive values in JSON ``body``."""
    if isinstance(body, Mapping):
        yield from _of_call(playbook, body)
        yield from _of_request(playbook, body)
        for inner in body.values():
            yield from sensitive_values(playbook, inner)
    elif isinstance(body, list | tuple):
        for inner in body:
            yield from sensitive_values(playbook, inner)


def _of_call(playbook: Playbook, body: Mapping[str, Any]) -> Iterator[Secret]:
    for name, arguments in (("tool", "arguments"), ("name", "input")):
        named = body.get(name)
        tool = playbook.tools.get(named) if isinstance(named, str) else None
        if tool is None:
            continue
        yield from _sensitive_fields(tool.arguments, body.get(arguments), arguments, tool.name)
        yield from _sensitive_as_read(playbook, tool, body.get(arguments), arguments)
        yield from _sensitive_fields(tool.returns, body.get("result"), "result", tool.name)


def _of_request(playbook: Playbook, body: Mapping[str, Any]) -> Iterator[Secret]:
    request = body.get("request")
    context = request.get("context") if isinstance(request, Mapping) else None
    if isinstance(context, Mapping):
        for name in playbook.agent.sensitive.context:
            yield from _leaves(context.get(name), name)


def _sensitive_fields(annotation: Any, value: Any, where: str, tool: str) -> Iterator[Secret]:
    if annotation is None or value is None:
        return
    for leaf in leaves(annotation, value, Sensitive):
        text = as_text(leaf.value)
        if leaf.mark and text not in ("", MASK):
            yield Secret(text, leaf.field or where, tool)
            yield from _in_text(leaf.value, leaf.field or where, tool)


def _sensitive_as_read(playbook: Playbook, tool: Tool, arguments: Any, where: str) -> Iterator[Secret]:
    """Yield the sensitive arguments as the tool gets them and as they are recorded: stripped, parsed, typed.

    A tool's messages may quote its arguments as Python writes them. Refused arguments may be sensitive as a whole.
    """
    if arguments and tool.marks_arguments:
        form: Any = None
        with whatever_it_raises():  # an error in the author's validator: then the tool does not get them
            args = tool.form.read(from_json(arguments) if isinstance(arguments, str) else arguments)
            form = tool.form.write(args)
        if form is None:
            yield from sensitive_in_refused(tool.arguments, arguments, where, tool.name, playbook.names)
            return
        yield from _sensitive_fields(tool.arguments, form, "arguments", tool.name)
        for leaf in leaves(tool.arguments, args, Sensitive):
            if leaf.mark:
                own = isinstance(leaf.value, str | int | float)
                texts = {*python_texts(leaf.value)} - {"", MASK}
                yield from (Secret(text, (leaf.field or "arguments") if own else "", tool.name) for text in texts)
                if isinstance(leaf.value, str):
                    yield from _in_text(leaf.value, leaf.field, tool.name)
                if leaf.in_list and len(str(leaf.value)) < _SHORT:
                    yield from _sensitive_lists(args, form, leaf.path.partition(".")[0], tool.name)


#: A shorter value is searched for only in its field.
_SHORT = 4
_SEPARATORS = ((",", ":"), (", ", ": "))


def _sensitive_lists(args: BaseModel, form: Mapping[str, Any], sent_as: str, tool: str) -> Iterator[Secret]:
    """Yield all items of a field as one text, as Python and JSON write them: single items are too short to search for.

    ``[7]`` is too short as well, and is searched for after its field's name.
    """
    for name, info in type(args).model_fields.items():
        if sent_as in (name, info.alias, info.serialization_alias):
            value = getattr(args, name)
            as_json = (form.get(sent_as), to_jsonable_python(value, fallback=str))
            said = {text for items in (value, *as_json) for text in python_texts(items)}
            said |= {json.dumps(items, separators=by) for items, by in product(as_json, _SEPARATORS)}
            for items in said:
                if len(items) >= _SHORT:
                    yield Secret(items, "", tool)
                else:
                    behind = (f"{name}=", f"'{name}': ", f'"{name}": ', f'"{name}":', f'"{sent_as}": ', f'"{sent_as}":')
                    yield from (Secret(f"{before}{items}", "", tool) for before in behind)


def _leaves(value: Any, field: str) -> Iterator[Secret]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in ("", MASK):
                yield Secret(key, field)
            yield from _leaves(inner, field)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, field)
    elif value is not None and value not in ("", MASK):
        yield Secret(as_text(value), field)
        yield from _in_text(value, field, "")


def _in_text(value: Any, field: str, tool: str) -> Iterator[Secret]:
    """Yield the values inside a sensitive text that is JSON: a reader of it may show them without the text."""
    if isinstance(value, str):
        yield from (Secret(as_text(one), field, tool) for one in values_in(value) if one not in ("", MASK))
