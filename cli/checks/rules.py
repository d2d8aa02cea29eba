"""Findings about the source of tools and their rules: what they read of their parameters, and what they return.

Only what stands there in full is judged, and a constant of the module. What is computed is left alone.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from types import FunctionType

from ballast.contracts import RunRequest
from ballast.playbook import Playbook, Tool, ToolContext
from ballast.playbook.agents import HAND_OVER
from ballast.playbook.first_prompt import ASK_REQUESTER
from ballast.playbook.rules import RunSoFar, wants_run
from ballast.playbook.servers.tools import RemoteCall
from cli.checks import Finding
from cli.checks.functions import asked_about, attributes, catches, fields_of_result, value_of
from cli.checks.sources import Source, certain_nodes, line_of, own_nodes, parameters, returned, source_given, source_of

#: What the functions of a tool get, in words, by its class.
_GIVEN: dict[type, str] = {
    RunRequest: "the run's request",
    ToolContext: "the tool's context",
    RunSoFar: "the run so far",
}
#: Helpers of the playbook that a value is followed into, at most.
_DEEPEST = 4


def rules(playbook: Playbook, *, whole: bool) -> Iterator[Finding]:
    """Yield what tools and their rules get wrong. Unless ``whole``, a tool may be missing."""
    for tool in playbook.tools.values():
        for setting, function, given in _called_with(tool):
            yield from _wrong_parameters(tool, setting, function, given)
        if not isinstance(tool.function, RemoteCall):
            yield from _amounts(tool)
        yield from _no_complaint(tool)
        yield from _of_the_run(playbook, tool, whole=whole)
    for script in {id(one): one for one in playbook.fallbacks.values()}.values():
        yield from _wrong_parameters(None, script.function.__name__, script.function, (RunRequest,))


# Parameters


def _called_with(tool: Tool) -> Iterator[tuple[str, object, tuple[type, ...]]]:
    """Yield the author's functions of a tool, each with the classes of what it is called with."""
    if isinstance(tool.function, RemoteCall):
        return
    args, moves = tool.arguments, tool.moves
    of_request = {"validate": tool.validate, "approval.if_": tool.approval.if_, "cost_microusd": tool.cost_microusd}
    of_context = {"": tool.function, "approval.precondition": tool.approval.precondition}
    of_context["effect.verify"] = tool.policy.verify
    if moves is not None:
        of_request["effect.moves"] = moves.amount
        of_context["effect.moves_key"] = moves.key
    for setting, function in of_request.items():
        yield setting, function, (args, RunRequest, RunSoFar) if wants_run(function) else (args, RunRequest)  # type: ignore[arg-type]
    yield from ((setting, function, (args, ToolContext)) for setting, function in of_context.items())
    yield "effect.undo_arguments", tool.undo_arguments, (args,)


def _wrong_parameters(tool: Tool | None, setting: str, function: object, given: tuple[type, ...]) -> Iterator[Finding]:
    """Yield parameters that are annotated as another one's class, and attributes that no value of theirs has."""
    source = source_given(function)
    if source is None:
        return
    field = setting if tool is None else f"{tool.name}: {setting}" if setting else tool.name
    annotated = _annotations(function)
    for position, kind in enumerate(given):
        name = source.given[position] if position < len(source.given) else None
        said = annotated.get(name or "", "")
        named = {other for other in _GIVEN if re.search(rf"\b{other.__name__}\b", said)}
        if name is None or (named and kind in named):
            pass
        elif named and kind in _GIVEN:
            yield Finding(
                "error",
                line_of(source.file, source.node),
                field,
                f"Its parameter {name} is annotated as {' or '.join(sorted(one.__name__ for one in named))}, and it is "
                f"called with {_GIVEN[kind]}.",
                f"Annotate it as {kind.__name__}, and read what a {kind.__name__} has: {_what_it_has(kind)}.",
            )
            continue
        elif said and kind in _GIVEN:
            continue  # a protocol of the author's
        if source.name(position) is not None:
            seen = set[tuple[str, int]]()
            yield from _no_attribute(source, str(name), kind, field, function, seen)


def _annotations(function: object) -> dict[str, str]:
    try:
        found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return {}
    known = {one.name: one.annotation for one in found if one.annotation not in (one.empty, object)}
    named = {
        name: one if isinstance(one, str) else f"{getattr(one, '__name__', '')} {one}" for name, one in known.items()
    }
    return {name: said for name, said in named.items() if said.split()[-1:] not in (["Any"], ["typing.Any"])}


def _what_it_has(kind: type) -> str:
    named = (one for one in [*getattr(kind, "model_fields", ()), *getattr(kind, "__dataclass_fields__", ())])
    return ", ".join(one for one in named if not one.startswith("_"))


def _no_attribute(
    source: Source, name: str, kind: type, field: str, function: object, seen: set[tuple[str, int]]
) -> Iterator[Finding]:
    """Yield the attributes of a parameter that no value of its class has, also in helpers that it is given to."""
    has, node = attributes(kind) if kind not in _GIVEN else _attributes_of(kind), source.node
    if has is None or (source.file, node.lineno) in seen or len(seen) > _DEEPEST:
        return
    seen.add((source.file, node.lineno))
    known, nodes = _globals(function), list(own_nodes(node))
    if any(catches(one, known) or isinstance(one, ast.Match) for one in nodes) or name in asked_about(nodes):
        return
    texts = {one.value for one in nodes if isinstance(one, ast.Constant)}
    for one in nodes if len(seen) == 1 else certain_nodes(node):  # a helper may be told what it is given
        match one:
            case ast.Attribute(value=ast.Name(id=read), attr=attr) if read == name and attr not in {*has, *texts}:
                what = _GIVEN.get(kind, f"a {kind.__name__}")
                yield Finding(
                    "error",
                    line_of(source.file, one),
                    field,
                    f"{name}.{attr} is read here, and {name} is {what}, which has no {attr}.",
                    f"Read what it has: {_what_it_has(kind)}.",
                )
            case ast.Call(func=called, args=given) if kind in _GIVEN and _is_free(called, node):
                helper = value_of(called, known)
                made = source_of(helper) if isinstance(helper, FunctionType) else None
                for at, value in enumerate(given):
                    if made is not None and isinstance(value, ast.Name) and value.id == name:
                        inside = Source(made, parameters(made), str(helper.__code__.co_filename))  # type: ignore[attr-defined]
                        said = _annotations(helper).get((inside.given[at : at + 1] or [""])[0], "")
                        if inside.name(at) is not None and (not said or kind.__name__ in said):
                            yield from _no_attribute(inside, inside.given[at], kind, field, helper, seen)


def _attributes_of(kind: type) -> frozenset[str]:
    return frozenset({*dir(kind), *getattr(kind, "model_fields", ()), *getattr(kind, "__dataclass_fields__", ())})


def _is_free(called: ast.expr, node: ast.AST) -> bool:
    """Return whether the name that is called is none of the function's own."""
    first = called.value if isinstance(called, ast.Attribute) else called
    own = {one.id for one in own_nodes(node) if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}
    own |= {one.arg for one in ast.walk(getattr(node, "args", node)) if isinstance(one, ast.arg)}
    own |= {one.name for one in own_nodes(node) if isinstance(one, ast.FunctionDef)}
    return isinstance(first, ast.Name) and first.id not in own


def _globals(function: object) -> dict[str, object]:
    while (inside := getattr(function, "func", getattr(function, "__func__", None))) is not None:
        function = inside
    closed = getattr(getattr(function, "__code__", None), "co_freevars", ())  # of a function around it
    return {name: value for name, value in getattr(function, "__globals__", {}).items() if name not in closed}


# Amounts and complaints


def _amounts(tool: Tool) -> Iterator[Finding]:
    given: list[tuple[str, object]] = [("cost_microusd", tool.cost_microusd)]
    if tool.moves is not None:
        given.append(("effect.moves", tool.moves.amount))
    for setting, function in given:
        source = source_given(function)
        if source is None:
            continue
        read = _Read(tool, source, _globals(function))
        for value in returned(source.node):
            if kind := read.no_amount(value):
                wanted = "an integer of micro-dollars" if setting == "cost_microusd" else "a Decimal or an integer"
                yield Finding(
                    "error",
                    line_of(source.file, value),
                    f"{tool.name}: {setting}",
                    f"It returns a {kind}, and money is never one: every call is refused.",
                    f"Return {wanted}"
                    + (', such as Decimal("20.50") * args.pieces.' if setting != "cost_microusd" else "."),
                )


class _Read:
    """What an expression of a rule certainly is."""

    def __init__(self, tool: Tool, source: Source, known: dict[str, object]) -> None:
        """Read a rule of ``tool``, whose module has ``known`` by name."""
        self.tool, self.source, self.known, self.args = tool, source, known, source.name(0)

    def no_amount(self, value: ast.expr) -> str:
        """Return "float" or "str" if the expression can have no other value; else ""."""
        match value:
            case ast.Constant(value=float()):
                return "float"
            case ast.Constant(value=str()):
                return "str"
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == self.args:
                info = self.tool.arguments.model_fields.get(attribute)
                return {float: "float", str: "str"}.get(info.annotation, "") if info is not None else ""  # type: ignore[arg-type]
            case ast.Name() | ast.Attribute() if _is_free(value, self.source.node):
                constant = value_of(value, self.known)
                return type(constant).__name__ if type(constant) in (float, str) else ""
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inside):
                return "float" if self.no_amount(inside) == "float" else ""
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() | ast.FloorDiv(), left=left, right=right):
                return "float" if "float" in (self.no_amount(left), self.no_amount(right)) else ""
            case ast.IfExp(body=one, orelse=other):
                kinds = {self.no_amount(one), self.no_amount(other)} - {""}
                return kinds.pop() if len(kinds) == 1 else ""
            case ast.Call(func=ast.Name(id="float")) if self.args != "float":
                return "float"
        return ""


def _no_complaint(tool: Tool) -> Iterator[Finding]:
    """Yield what ``validate`` returns and is neither a complaint nor None: a yes or no, a number, a list."""
    source = source_given(tool.validate)
    for value in returned(source.node) if source is not None else ():
        match value:
            case ast.Constant(value=False):
                continue  # it counts as no complaint
            case ast.Constant(value=bool() | int() | float()) | ast.UnaryOp(op=ast.Not()):
                pass
            case ast.List() | ast.Tuple() | ast.Dict() | ast.Set() | ast.ListComp() | ast.SetComp() | ast.DictComp():
                pass
            case ast.Compare(ops=[ast.In() | ast.NotIn() | ast.Is() | ast.IsNot()]):
                pass
            case _:
                continue
        assert source is not None
        yield Finding(
            "error",
            line_of(source.file, value),
            f"{tool.name}: validate",
            f"It returns {ast.unparse(value)}, which is neither a complaint nor None: the call is refused.",
            "Return None if the call is right, and a text that says what is wrong if it is not.",
        )


# The run so far


def _of_the_run(playbook: Playbook, tool: Tool, *, whole: bool) -> Iterator[Finding]:
    """Yield the tools that its rules ask the run about and the playbook does not have, and fields of no result."""
    for setting, rule in (("approval.if_", tool.approval.if_), ("validate", tool.validate)):
        source = source_given(rule)
        run = source.name(2) if source is not None and wants_run(rule) else None
        if source is None or run is None or isinstance(tool.function, RemoteCall):
            continue
        nodes, field = list(own_nodes(source.node)), f"{tool.name}: {setting}"
        for one in nodes:
            asked = _asked_for(one, run)
            if whole and asked is not None and asked not in {*playbook.tools, HAND_OVER, ASK_REQUESTER}:
                yield Finding(
                    "error",
                    line_of(source.file, one),
                    field,
                    f'It asks for run.done("{asked}"), and there is no tool {asked}: nothing is ever found.',
                    f"Write one of {', '.join(playbook.tools)}.",
                )
        if not any(isinstance(one, ast.Try | ast.With | ast.Match) for one in nodes):
            yield from _fields_of_calls(playbook, nodes, run, source.file, field)


def _asked_for(node: ast.AST, run: str) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="done"), args=[ast.Constant(value=str(asked))]):
            return asked if name == run else None
    return None


def _fields_of_calls(playbook: Playbook, nodes: list[ast.AST], run: str, file: str, field: str) -> Iterator[Finding]:
    """Yield the keys that are read of the results of ``run.done``, and that no result of that tool has."""
    bound: dict[str, set[str | None]] = {}
    for one in nodes:
        match one:
            case ast.comprehension(target=ast.Name(id=name), iter=each) | ast.For(target=ast.Name(id=name), iter=each):
                bound.setdefault(name, set()).add(_asked_for(each, run))
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript(value=each, slice=at)):
                bound.setdefault(name, set()).add(None if isinstance(at, ast.Slice) else _asked_for(each, run))
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.NamedExpr():
                for target in ast.walk(one):
                    if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                        bound.setdefault(target.id, set()).add(None)
    texts = [one.value for one in nodes if isinstance(one, ast.Constant)]
    for one in nodes:
        match one:
            case ast.Subscript(
                value=ast.Attribute(value=call, attr="result"), slice=ast.Constant(value=str(key)), ctx=ast.Load()
            ):
                asked = {_asked_for(call.value, run)} if isinstance(call, ast.Subscript) else set[str | None]()
                if isinstance(call, ast.Name):
                    asked = bound.get(call.id, set())
                tool = playbook.tools.get(next(iter(asked)) or "") if len(asked) == 1 else None
                has = fields_of_result(tool) if tool is not None else None
                if tool is not None and has is not None and key not in has and texts.count(key) == 1:
                    yield Finding(
                        "error",
                        line_of(file, one),
                        field,
                        f'It reads result["{key}"], and the result of {tool.name} has no {key}: the call is refused.',
                        f"The result has: {', '.join(sorted(has))}.",
                    )
