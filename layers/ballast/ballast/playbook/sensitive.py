"""Which values in the body of an event the playbook marks as sensitive. Pure.

They stand where calls and their results do (a decision's calls, what was intended, refused, settled or approved,
the undo of a call, the blocks of a model's message) and in the context of a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ballast.playbook.tool import Tool
from ballast.validation import Sensitive, has_mark, leaves

if TYPE_CHECKING:
    from ballast.playbook.load import Playbook


def marks_arguments(tool: Tool) -> bool:
    """Say whether an argument of the tool is sensitive."""
    return has_mark(tool.arguments, Sensitive)


def marks_result(tool: Tool) -> bool:
    """Say whether something that the tool returns is sensitive."""
    return has_mark(tool.returns, Sensitive)


def sensitive_values(playbook: Playbook, body: Any) -> Iterator[str]:
    """Yield the sensitive values in JSON ``body``, as text; a value that fits no field of its model is no field's."""
    if isinstance(body, Mapping):
        yield from _of_call(playbook, body)
        yield from _of_request(playbook, body)
        for inner in body.values():
            yield from sensitive_values(playbook, inner)
    elif isinstance(body, list | tuple):
        for inner in body:
            yield from sensitive_values(playbook, inner)


def _of_call(playbook: Playbook, body: Mapping[str, Any]) -> Iterator[str]:
    for name, arguments in (("tool", "arguments"), ("name", "input")):
        named = body.get(name)
        tool = playbook.tools.get(named) if isinstance(named, str) else None
        if tool is None:
            continue
        yield from _marked(tool.arguments, body.get(arguments))
        yield from _marked(tool.returns, body.get("result"))


def _of_request(playbook: Playbook, body: Mapping[str, Any]) -> Iterator[str]:
    request = body.get("request")
    context = request.get("context") if isinstance(request, Mapping) else None
    if isinstance(context, Mapping):
        for name in playbook.agent.sensitive.context:
            yield from _leaves(context.get(name))


def _marked(annotation: Any, value: Any) -> Iterator[str]:
    if annotation is not None and isinstance(value, Mapping | list):
        yield from (str(leaf.value) for leaf in leaves(annotation, value, Sensitive) if leaf.mark and str(leaf.value))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool) and str(value):
        yield str(value)
