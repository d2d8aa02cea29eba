"""Refuse a tool that uses the old form of ``@tool``, and show the same declaration in the new form.

::

    @tool(effect=Effect.WRITE, undo="lower", approve_if=_many, timeout_s=20)
                                  │
    @tool(effect=Write(undo="lower"), approval=Approval(if_=_many), limits=CallLimits(timeout_s=20))

Arguments are quoted from the decorator's source. If it cannot be read (``tool(**declared)(function)``), they are
written from their values, and a lambda without its body.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NoReturn

from ballast.errors import PlaybookInvalid
from ballast.playbook.declaration import USUAL_LIMITS, Approval, CallLimits, Circuit, Effect, Read, Write
from ballast.values import dataclass

#: Each old argument, and the new argument whose value it belongs to. ``breaker`` is replaced as a whole.
PLACES = {
    **dict.fromkeys(("undo", "undo_arguments", "undo_gives_back", "verify", "honours_key"), "effect"),
    **dict.fromkeys(("repeat", "on_rollback", "moves", "moves_key", "outward"), "effect"),
    **dict.fromkeys(("approve_if", "approvals", "approvers", "on_unanswered", "precondition"), "approval"),
    **dict.fromkeys(("timeout_s", "argument_bytes", "result_bytes", "depth"), "limits"),
    "breaker": "circuit",
}
_RENAMED = {"approve_if": "if_", "approvals": "people"}
#: The new arguments in their order, with their defaults.
_DEFAULTS: dict[str, object] = {
    "effect": None,
    "approval": None,
    "limits": USUAL_LIMITS,
    "circuit": None,
    "validate": None,
    "taint": None,
    "untrusted": False,
    "offered": True,
    "cost_microusd": None,
}
_WIDTH = 120


@dataclass(frozen=True)
class Breaker:
    """The old ``Circuit``. Only refused declarations use it."""

    name: str
    failures: int = 5
    recovery_s: int = 30


def refuse_unknown_arguments(old_arguments: Mapping[str, object]) -> None:
    """Raise ``TypeError`` for the first argument that ``@tool`` never had."""
    for name in old_arguments:
        if name not in PLACES:
            raise TypeError(f"@tool has no argument {name!r}. It takes: {', '.join(_DEFAULTS)}.")


def refuse_old_declaration(function: Callable[..., Any], where: str, passed: Mapping[str, Any]) -> NoReturn:
    """Raise ``PlaybookInvalid`` with the declaration in the new form.

    function  the tool's own function, from whose source the decorator is quoted
    where     names the tool
    passed    every argument of ``tool`` by name, including old ones
    """
    said = {name: value for name, value in passed.items() if name in PLACES or value != _DEFAULTS[name]}
    texts = _quoted(function, said) or {name: _as_source(value) for name, value in said.items()}
    for name in ("effect", "approval", "limits"):
        if name in said and _fields_of(texts[name], type(said[name])) is None:
            texts[name] = _as_source(said[name])  # a named value: old arguments are added to its fields
    if "breaker" in said:
        texts["circuit"] = _circuit(texts.pop("breaker"), said["breaker"])
    writes = said["effect"] is Effect.WRITE or isinstance(said["effect"], Write)
    declaration, left_out = new_declaration(texts, writes=writes)
    names = [name for name in ("Approval", "CallLimits", "Circuit", "Read", "Write") if f"{name}(" in declaration]
    told = f"{where} uses the old form of @tool. Import {', '.join(names)} from ballast.playbook and replace it with:"
    if left_out:
        why = "a write has the taint of one already" if writes else "only a write has that, and this tool reads"
        told = f"{told}\n\n{declaration}\n\nLeft out: {', '.join(left_out)}; {why}."
    else:
        told = f"{told}\n\n{declaration}\n"
    raise PlaybookInvalid(told)


def new_declaration(texts: Mapping[str, str], *, writes: bool) -> tuple[str, list[str]]:
    """Return a decorator in the new form, and those old arguments that have no place in it.

    texts   the source of each argument of the decorator, by its old or new name
    writes  whether the tool writes
    """
    kinds: dict[str, type] = {"effect": Write if writes else Read, "approval": Approval, "limits": CallLimits}
    parts: dict[str, dict[str, str]] = {"effect": {}}
    for name, kind in kinds.items():
        if (inner := _fields_of(texts.get(name, ""), kind)) is not None:
            parts[name] = inner
    for name, text in texts.items():
        if name in PLACES:
            parts.setdefault(PLACES[name], {})[_RENAMED.get(name, name)] = text
    if "approval" in parts:
        parts["approval"].setdefault("if_", "None")
    arguments: dict[str, str | tuple[str, dict[str, str]]] = {}
    for name in _DEFAULTS:
        if name in parts:
            in_order = [one.name for one in fields(kinds[name])]
            arguments[name] = (kinds[name].__name__, {one: parts[name][one] for one in in_order if one in parts[name]})
        elif name in texts:
            arguments[name] = texts[name]
    known = {one.name for kind in kinds.values() for one in fields(kind)}
    left_out = [name for name in texts if name in PLACES and _RENAMED.get(name, name) not in known]
    return _laid_out(arguments), left_out


def _laid_out(arguments: Mapping[str, str | tuple[str, Mapping[str, str]]]) -> str:
    """Return the decorator in one line, or one argument a line, as a formatter would."""
    flat = {name: said if isinstance(said, str) else _call(*said) for name, said in arguments.items()}
    line = _call("@tool", flat)
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    lines = []
    for name, said in arguments.items():
        whole = f"    {name}={flat[name]},"
        if isinstance(said, str) or ("\n" not in whole and len(whole) <= _WIDTH):
            lines.append(whole)
        else:
            inner = [f"        {field}={text}," for field, text in said[1].items()]
            lines += [f"    {name}={said[0]}(", *inner, "    ),"]
    return "\n".join(["@tool(", *lines, ")"])


def _call(called: str, arguments: Mapping[str, str]) -> str:
    return f"{called}({', '.join(f'{name}={text}' for name, text in arguments.items())})"


def _circuit(text: str, breaker: object) -> str:
    """Return the circuit for an old ``breaker``: a text, whose source is ``text``, or a ``Breaker``."""
    return _as_source(breaker) if isinstance(breaker, Breaker) else f"Circuit({text})"


def _fields_of(text: str, kind: type) -> dict[str, str] | None:
    """Return the source of each field if the text constructs a value of that kind, such as ``Write(undo="x")``; else
    None."""
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    if not (isinstance(call, ast.Call) and ast.unparse(call.func) == kind.__name__):
        return None
    return {str(one.arg): str(ast.get_source_segment(text, one.value)) for one in call.keywords}


def _quoted(function: Callable[..., Any], said: Mapping[str, Any]) -> dict[str, str]:
    """Return the source of the decorator's arguments by name; empty if it cannot be read."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        definition = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return {}
    for decorator in getattr(definition, "decorator_list", ()):
        given = {one.arg: ast.get_source_segment(source, one.value) for one in getattr(decorator, "keywords", ())}
        if said.keys() <= given.keys():
            return {name: text for name, text in given.items() if name and text}
    return {}


def _as_source(value: Any) -> str:
    """Return a value as source: a text, a number, a named function, or one of the values of a declaration."""
    if isinstance(value, Effect):
        return f"Effect.{value.name}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Breaker | Circuit):
        numbers = {"failures": value.failures, "recovery_s": value.recovery_s}
        more = [f"{name}={number!r}" for name, number in numbers.items() if number != getattr(Circuit, name)]
        return f"Circuit({', '.join([_as_source(value.name), *more])})"
    if isinstance(value, Read | Write | Approval | CallLimits):
        values = {one.name: getattr(value, one.name) for one in fields(value)}
        said = {one.name: _as_source(values[one.name]) for one in fields(value) if values[one.name] != one.default}
        return _call(type(value).__name__, said)
    if not callable(value):
        return repr(value)
    name = str(getattr(value, "__name__", type(value).__name__))
    if name != "<lambda>":
        return name
    return f"lambda {', '.join(inspect.signature(value).parameters)}: ..."
