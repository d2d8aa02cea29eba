"""Which values in the body of an event the playbook marks as sensitive, and which names are the playbook's. Pure.

They stand where calls and their results do (a decision's calls, what was intended, refused, settled or approved,
the undo of a call, the blocks of a model's message) and in the context of a request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import from_json, to_jsonable_python

from ballast.contracts.secret import MASK, Secret, as_text
from ballast.contracts.sent import values_in
from ballast.contracts.written import as_python_writes
from ballast.errors import whatever_it_raises
from ballast.playbook.refused import may_be_sensitive
from ballast.playbook.tool import Tool
from ballast.validation import Sensitive, leaves

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook


def own_names(playbook: Playbook) -> frozenset[str]:
    """Return the names of the playbook's tools, their fields, and its intents: no value makes a secret of them."""
    names = {*playbook.tools, *playbook.agent.intents, *playbook.fallbacks, *playbook.agent.sensitive.context}
    names |= {playbook.agent.name, playbook.agent.model}
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
    """Yield the sensitive values in JSON ``body``; a value that fits no field of its model is no field's."""
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
        yield from _marked(tool.arguments, body.get(arguments), arguments, tool.name)
        yield from _as_validated(playbook, tool, body.get(arguments), arguments)
        yield from _marked(tool.returns, body.get("result"), "result", tool.name)


def _of_request(playbook: Playbook, body: Mapping[str, Any]) -> Iterator[Secret]:
    request = body.get("request")
    context = request.get("context") if isinstance(request, Mapping) else None
    if isinstance(context, Mapping):
        for name in playbook.agent.sensitive.context:
            yield from _leaves(context.get(name), name)


def _marked(annotation: Any, value: Any, where: str, tool: str) -> Iterator[Secret]:
    if annotation is None or value is None:
        return
    for leaf in leaves(annotation, value, Sensitive):
        text = as_text(leaf.value)
        if leaf.mark and text not in ("", MASK):
            yield Secret(text, leaf.field or where, tool)
            yield from _in_text(leaf.value, leaf.field or where, tool)


def _as_validated(playbook: Playbook, tool: Tool, arguments: Any, where: str) -> Iterator[Secret]:
    """Yield the sensitive arguments as the tool has them and as they are written down: stripped, parsed, in a type.

    A tool quotes what it has, and Python writes that in its own way. What it refuses may be sensitive whole.
    """
    if arguments and tool.marks_arguments:
        form: Any = None
        with whatever_it_raises():  # in a validator of the author's: then no tool has them
            args = tool.form.read(from_json(arguments) if isinstance(arguments, str) else arguments)
            form = tool.form.write(args)
        if form is None:
            yield from may_be_sensitive(tool.arguments, arguments, where, tool.name, playbook.names)
            return
        yield from _marked(tool.arguments, form, "arguments", tool.name)
        for leaf in leaves(tool.arguments, args, Sensitive):
            if leaf.mark:
                own = isinstance(leaf.value, str | int | float)
                texts = {*as_python_writes(leaf.value)} - {"", MASK}
                yield from (Secret(text, (leaf.field or "arguments") if own else "", tool.name) for text in texts)
                if isinstance(leaf.value, str):
                    yield from _in_text(leaf.value, leaf.field, tool.name)
                if leaf.in_list and len(str(leaf.value)) < _SHORT:
                    yield from _as_a_list(args, form, leaf.path.partition(".")[0], tool.name)


#: A value that is shorter is not looked for outside of its field.
_SHORT = 4
_SEPARATORS = ((",", ":"), (", ", ": "))


def _as_a_list(args: BaseModel, form: Mapping[str, Any], sent_as: str, tool: str) -> Iterator[Secret]:
    """Yield all items of a field at once, as Python and JSON write them: each item is too short to be looked for.

    ``[7]`` is too short as well, and looked for behind its name.
    """
    for name, info in type(args).model_fields.items():
        if sent_as in (name, info.alias, info.serialization_alias):
            value = getattr(args, name)
            as_json = (form.get(sent_as), to_jsonable_python(value, fallback=str))
            said = {text for items in (value, *as_json) for text in as_python_writes(items)}
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
    """Yield what is in a sensitive text that is JSON: whoever reads it shows the values and not the text."""
    if isinstance(value, str):
        yield from (Secret(as_text(one), field, tool) for one in values_in(value) if one not in ("", MASK))
