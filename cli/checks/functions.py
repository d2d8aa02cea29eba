"""Findings about the source of undo_arguments and of fallbacks, where it can only be wrong.

Only what stands there in full is judged: the name of a field, a key, a number. What is computed is left alone.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from pydantic import BaseModel, RootModel

from ballast.contracts import ToolCall
from ballast.playbook import Effect, Playbook, Tool
from ballast.playbook.servers.tools import RemoteCall
from cli.checks import Finding, at
from cli.checks.sources import Source, file_of, line_of, own_nodes, parameters, returned, source_given, source_of

#: Keywords by which a schema may take names that its ``properties`` lack, or need others. Without them it is closed.
_OPENS = frozenset(
    ("$ref", "anyOf", "oneOf", "allOf", "if", "patternProperties", "unevaluatedProperties", "dependentSchemas")
)


def functions(playbook: Playbook, *, whole: bool = True) -> Iterator[Finding]:
    """Yield what the source of undo_arguments and of fallbacks gets wrong. Unless ``whole``, a tool may be missing."""
    for tool in playbook.tools.values():
        if not isinstance(tool.function, RemoteCall):
            yield from _undo(playbook, tool)
    seen = set()
    for script in playbook.fallbacks.values():
        if id(script) not in seen:
            seen.add(id(script))
            yield from _fallback(script.function, playbook, whole=whole)


# The form of arguments and results


@dataclass(frozen=True)
class _Names:
    """The names under which a closed set of arguments is known: each argument's, and the required ones."""

    of: tuple[frozenset[str], ...]
    required: tuple[frozenset[str], ...]

    @property
    def known(self) -> frozenset[str]:
        return frozenset().union(*self.of)


def _arguments(tool: Tool) -> _Names | None:
    """Return the names of a tool's arguments; None where a validator may take others."""
    if isinstance(tool.function, RemoteCall):
        schema = tool.schema
        if "properties" not in schema or schema.get("additionalProperties", False) is not False or _OPENS & {*schema}:
            return None
        required = tuple(frozenset({name}) for name in schema.get("required", ()))
        return _Names(tuple(frozenset({name}) for name in schema["properties"]), required)
    model = tool.arguments
    validators = model.__pydantic_decorators__.model_validators.values()
    if any(one.info.mode != "after" for one in validators):
        return None
    names: list[frozenset[str]] = []
    needed: list[frozenset[str]] = []
    for name, info in model.model_fields.items():
        given = [info.alias, info.validation_alias]
        if any(one is not None and not isinstance(one, str) for one in given):
            return None
        names.append(frozenset({name, *(one for one in given if isinstance(one, str))}))
        if info.is_required():
            needed.append(names[-1])
    return _Names(tuple(names), tuple(needed))


def fields_of_result(tool: Tool) -> frozenset[str] | None:
    """Return the names that the JSON of a result can have; None if others are possible."""
    model = tool.returns
    if not (isinstance(model, type) and issubclass(model, BaseModel)) or issubclass(model, RootModel):
        return None
    if model.__pydantic_decorators__.model_serializers or model.model_config.get("extra") == "allow":
        return None
    aliases = {name: alias for alias, name in _aliases_of_result(tool).items()}
    written = [name for name, info in model.model_fields.items() if info.exclude is not True]
    if not model.model_config.get("serialize_by_alias"):
        aliases = {}
    return frozenset(aliases.get(name, name) for name in (*written, *model.model_computed_fields))


def _aliases_of_result(tool: Tool) -> dict[str, str]:
    """Return the names in Python of the fields of a result's model, by their aliases."""
    model = tool.returns
    infos: dict[str, Any] = {**model.model_fields, **model.model_computed_fields}
    aliases = {name: getattr(info, "serialization_alias", None) or info.alias for name, info in infos.items()}
    return {alias: name for name, alias in aliases.items() if alias is not None}


# The undo


def _undo(playbook: Playbook, tool: Tool) -> Iterator[Finding]:
    undo = playbook.tools.get(tool.undo or "")
    if undo is not None and undo.effect is Effect.READ:
        return  # loading has told it
    wanted = _arguments(undo) if undo is not None else None
    field = f"{tool.name}: effect.undo_arguments"
    if undo is not None and wanted is not None and tool.undo_arguments is None:
        mine = _arguments(tool)
        if mine is None:
            return
        missing = [min(one) for one in wanted.required if one.isdisjoint(mine.known)]
        more = [min(one) for one in mine.required if one.isdisjoint(wanted.known)]
        if missing or more:
            what = f"lacks {', '.join(missing)}" if missing else f"takes no {', '.join(more)}"
            yield Finding(
                "error",
                at(playbook, tool.name),
                field,
                f"Its undo {undo.name} gets the call's own arguments, and {what}"
                f"{' among them' if missing else ''}: every call is refused.",
                f"Write undo_arguments=lambda args, result: {{…}} with {', '.join(map(min, wanted.of)) or 'nothing'}.",
            )
        return
    source = source_given(tool.undo_arguments)
    if source is None:
        return
    if undo is not None and wanted is not None:
        for value in returned(source.node):
            for said in _wrong_keys(value, wanted):
                yield Finding(
                    "error",
                    line_of(source.file, value),
                    field,
                    f"{undo.name} {said}: a rollback could never undo the call.",
                    f"Give it what it takes: {', '.join(sorted(map(min, wanted.of))) or 'nothing'}.",
                )
    yield from _unknown_fields(tool, source, field)


def _wrong_keys(value: ast.expr, wanted: _Names) -> Iterator[str]:
    """Yield what is wrong with the keys of an object that is written out."""
    whole = True
    keys: list[str] = []
    match value:
        case ast.Dict(keys=named):
            whole = all(isinstance(one, ast.Constant) for one in named)
            keys = [str(one.value) for one in named if isinstance(one, ast.Constant)]
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=given):
            whole = all(one.arg is not None for one in given)
            keys = [one.arg for one in given if one.arg is not None]
        case _:
            return
    yield from _said_of(keys, wanted, whole=whole)


def _said_of(keys: list[str], wanted: _Names, *, whole: bool) -> Iterator[str]:
    unknown = [key for key in keys if key not in wanted.known]
    missing = [min(one) for one in wanted.required if one.isdisjoint(keys)] if whole else []
    parts = [f"has no argument {', '.join(unknown)}"] if unknown else []
    parts += [f"needs {', '.join(missing)}, which is missing"] if missing else []
    if parts:
        yield ", and ".join(parts)


def _unknown_fields(tool: Tool, source: Source, field: str) -> Iterator[Finding]:
    """Yield the keys that ``undo_arguments`` reads of its result, and no result has."""
    result, known = source.name(1), fields_of_result(tool)
    if known is None or result is None:
        return
    nodes = list(own_nodes(source.node))
    looks = ast.Try | ast.With | ast.Match | ast.If | ast.IfExp | ast.BoolOp | ast.Compare
    if any(isinstance(one, looks) for one in nodes):
        return  # it may look before it reads, or go on without it
    aliases = _aliases_of_result(tool)
    for one in nodes:
        match one:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key)), ctx=ast.Load()):
                if name == result and key not in known:
                    by_name = f'Write result["{aliases.get(key)}"]: the result is recorded by its names in Python.'
                    yield Finding(
                        "error",
                        line_of(source.file, one),
                        field,
                        f'It reads result["{key}"], and the result has no {key}: a rollback could never undo the call.',
                        by_name if aliases.get(key) in known else f"The result has: {', '.join(sorted(known))}.",
                    )


# Fallbacks


def _fallback(function: Callable[..., Any], playbook: Playbook, *, whole: bool) -> Iterator[Finding]:
    node = source_of(function)
    if not isinstance(node, ast.FunctionDef):
        return
    known, nodes, field = getattr(function, "__globals__", {}), list(own_nodes(node)), function.__name__
    local = {one.id for one in nodes if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
    local |= {*parameters(node)}
    file = file_of(function)

    def proposed(value: ast.AST | None) -> Tool | None:
        return _called_tool(value, known, local)

    for one in nodes:
        called = proposed(one)
        if called is not None and isinstance(one, ast.Call):
            yield from _wrong_call(called, one, file, field)
        elif (written := _written_out(one, known, local)) is not None:
            yield from _wrong_written(*written, playbook, line_of(file, one), field, whole=whole)
        if isinstance(one, ast.Expr):
            of_tool, written = proposed(one.value), _written_out(one.value, known, local)
            name = of_tool.name if of_tool is not None else written[0] if written is not None else None
            if name is not None:
                yield Finding(
                    "error",
                    line_of(file, one),
                    field,
                    f"It makes a call of {name} and does not `yield` it: nothing is called.",
                    "Write `yield` before it.",
                )
    yield from _wrong_fields(nodes, proposed, known, file, field)


def _called_tool(value: ast.AST | None, known: dict[str, Any], local: set[str]) -> Tool | None:
    """Return the tool of an expression ``tool.call(…)``; None for any other."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute) or value.func.attr != "call":
        return None
    match value.func.value:
        case ast.Name(id=name) if name not in local:
            found = known.get(name)
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name not in local:
            module = known.get(name)
            found = getattr(module, attribute, None) if isinstance(module, ModuleType) else None
        case _:
            return None
    return found if isinstance(found, Tool) else None


def _written_out(value: ast.AST, known: dict[str, Any], local: set[str]) -> tuple[str, ast.expr | None] | None:
    """Return the tool's name and the arguments of ``ToolCall(tool="NAME", arguments=…)``; None for any other."""
    match value:
        case ast.Call(func=ast.Name() | ast.Attribute() as made, args=[], keywords=given):
            first = made.value if isinstance(made, ast.Attribute) else made
            if getattr(first, "id", None) in local or value_of(made, known) is not ToolCall:
                return None
            of = {one.arg: one.value for one in given}
            name = of.get("tool")
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                return name.value, of.get("arguments", ast.Dict([], []) if None not in of else None)
    return None


def _wrong_written(
    name: str, arguments: ast.expr | None, playbook: Playbook, place: str, field: str, *, whole: bool
) -> Iterator[Finding]:
    """Yield why the tool that a fallback names in a ``ToolCall`` does not take the call."""
    tool = playbook.tools.get(name)
    if tool is None:
        if whole:
            near = get_close_matches(name, playbook.tools, n=1)
            said = f"There is no tool {name}: the call is refused, and a person takes over."
            remedy = f'Write "{near[0]}".' if near else f"Write one of {', '.join(playbook.tools)}."
            yield Finding("error", place, field, said, remedy)
        return
    wanted = _arguments(tool)
    if arguments is None or wanted is None:
        return
    for said in _wrong_keys(arguments, wanted):
        yield Finding(
            "error",
            place,
            field,
            f"{name} {said}: the call is refused, and a person takes over.",
            f"Give it what it takes: {', '.join(sorted(map(min, wanted.of))) or 'nothing'}.",
        )


def _wrong_call(tool: Tool, call: ast.Call, file: str, field: str) -> Iterator[Finding]:
    wanted = _arguments(tool)
    said: list[str] = []
    if any(not isinstance(one, ast.Starred) for one in call.args):
        said.append("takes its arguments by name only")
    elif wanted is not None:
        keys = [one.arg for one in call.keywords if one.arg is not None]
        whole = all(one.arg is not None for one in call.keywords) and not call.args
        said += _said_of(keys, wanted, whole=whole)
    for one in said:
        yield Finding(
            "error",
            line_of(file, call),
            field,
            f"{tool.name} {one}: the fallback fails at this call, and a person takes over.",
            f"Write {tool.name}.call({', '.join(f'{min(name)}=…' for name in (wanted.of if wanted else ()))}).",
        )


def _wrong_fields(
    nodes: list[ast.AST],
    proposed: Callable[[ast.AST | None], Tool | None],
    known: dict[str, Any],
    file: str,
    field: str,
) -> Iterator[Finding]:
    """Yield attributes that no result of a call has, and those of a call that was not yielded."""
    if any(catches(one, known) for one in nodes) or any(isinstance(one, ast.Match) for one in nodes):
        return
    bound: dict[str, list[ast.expr | None]] = {}
    for one in nodes:
        match one:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ):
                bound.setdefault(name, []).append(value)
    stores = [one.id for one in nodes if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)]
    asked = asked_about(nodes)
    texts = {one.value for one in nodes if isinstance(one, ast.Constant)}  # hasattr(show, "hall"), "hall" in …
    for one in nodes:
        if not isinstance(one, ast.Attribute) or not isinstance(one.value, ast.Name):
            continue
        if one.value.id in asked:
            continue
        values = bound.get(one.value.id, [])
        if len(values) != 1 or stores.count(one.value.id) != 1:
            continue
        value, name = values[0], one.value.id
        if isinstance(value, ast.Yield) and (tool := proposed(value.value)) is not None:
            has = attributes(tool.returns)
            if has is not None and one.attr not in {*has, *texts}:
                fields = ", ".join(getattr(tool.returns, "model_fields", ()))
                said = f"The result of {tool.name} has no {one.attr}: the fallback fails here, and a person takes over."
                yield Finding("error", line_of(file, one), field, said, f"It has: {fields}.")
        elif (tool := proposed(value)) is not None and not hasattr(ToolCall, one.attr):
            if one.attr in ToolCall.model_fields:
                continue
            said = f"{name} is the call of {tool.name} and not its result: it was not yielded, so nothing is called."
            yield Finding("error", line_of(file, one), field, said, f"Write `{name} = yield {tool.name}.call(…)`.")


def asked_about(nodes: list[ast.AST]) -> set[str]:
    """Return the names that a condition gives to a function: it may ask what class they are of, or what they have."""
    tests: list[ast.AST] = []
    for one in nodes:
        match one:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
                tests.append(test)
            case ast.BoolOp(values=values):
                tests += values
            case ast.comprehension(ifs=ifs):
                tests += ifs
    calls = [one for test in tests for one in ast.walk(test) if isinstance(one, ast.Call)]
    by_name = ("hasattr", "getattr")  # of one attribute only
    asking = [one for one in calls if getattr(one.func, "id", "") not in by_name]
    return {given.id for call in asking for given in call.args if isinstance(given, ast.Name)}


def catches(node: ast.AST, known: dict[str, Any]) -> bool:
    """Return whether it may catch an AttributeError: an ``except``, or a ``with`` of what may suppress it.

    known  what the function's module has by name
    """
    match node:
        case ast.ExceptHandler(type=None):
            return True
        case ast.ExceptHandler(type=ast.expr() as kinds):
            return _may_be(kinds, known)
        case ast.With(items=items):
            return any(_suppresses(one.context_expr, known) for one in items)
    return False


def _suppresses(manager: ast.expr, known: dict[str, Any]) -> bool:
    """Return whether a context manager may swallow an AttributeError; one that nobody knows may."""
    if isinstance(manager, ast.Call):
        made = value_of(manager.func, known)
        if made is suppress:
            return any(_may_be(one, known) for one in manager.args)
        return made not in (open, closing, nullcontext)
    return True


def _may_be(kinds: ast.expr, known: dict[str, Any]) -> bool:
    """Return whether an AttributeError is of one of the kinds that stand there; what is not known may be any."""
    if isinstance(kinds, ast.Tuple):
        return any(_may_be(one, known) for one in kinds.elts)
    found = value_of(kinds, known)
    return any(
        issubclass(AttributeError, one) if isinstance(one, type) else True
        for one in (found if isinstance(found, tuple) else (found,))
    )


def value_of(named: ast.expr, known: dict[str, Any]) -> object:
    """Return what a name, or a module's attribute, stands for; None if that is not known."""
    match named:
        case ast.Name(id=name):
            return known.get(name, getattr(builtins, name, None))
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if isinstance(known.get(name), ModuleType):
            return getattr(known[name], attribute, None)
    return None


def attributes(returns: Any) -> frozenset[str] | None:
    """Return the attributes of a result; None if it may have others."""
    if not (isinstance(returns, type) and issubclass(returns, BaseModel)):
        return None
    if returns.model_config.get("extra") == "allow" or any("__getattr__" in vars(one) for one in _own_classes(returns)):
        return None
    return frozenset({*returns.model_fields, *returns.__private_attributes__, *dir(returns)})


def _own_classes(model: type[BaseModel]) -> list[type]:
    return [one for one in model.__mro__ if one not in (BaseModel, object)]
