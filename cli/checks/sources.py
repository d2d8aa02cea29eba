"""The source of a playbook's functions: the node of a function in its file, and what it returns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType, MethodType

Function = ast.Lambda | ast.FunctionDef


def source_of(function: object) -> Function | None:
    """Return the node of a plain function or a lambda in its file; None if it is not certain which one it is."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return None
    lines = [place for place in code.co_positions() if place[0] is not None and place[0] >= code.co_firstlineno]
    kind = ast.Lambda if code.co_name == "<lambda>" else ast.FunctionDef
    fits = []
    for node in ast.walk(_tree(code.co_filename)):
        if not isinstance(node, kind):
            continue
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        if first == code.co_firstlineno and parameters(node) == list(code.co_varnames[: code.co_argcount]):
            fits.append(node)
    if len(fits) > 1:  # several lambdas in one line: by the columns of what they run
        fits = [one for one in fits if all(_holds(one, place) for place in lines[1:])]
    return fits[0] if len(fits) == 1 else None


@dataclass(frozen=True)
class Source:
    """A function in its file, and the parameters that it gets its values in: first the arguments, then the others.

    A bound method's ``self`` and what a ``partial`` gives already are none of them.
    """

    node: Function
    given: list[str]
    file: str

    def name(self, position: int) -> str | None:
        """Return the name of the value at that position; None if it has none, or it is another value later."""
        name = self.given[position] if position < len(self.given) else None
        return None if name is None or _rebound(self.node, name) else name


def source_given(function: object) -> Source | None:
    """Return the source of a function, a method or a ``partial``; None if it is not certain which one it is."""
    bound, named = 0, set[str]()
    while isinstance(function, partial | MethodType):
        if isinstance(function, partial):
            bound, named, function = bound + len(function.args), named | {*function.keywords}, function.func
        else:
            bound, function = bound + 1, function.__func__
    node = source_of(function)
    if node is None:
        return None
    free = parameters(node)[bound:]
    # What follows a parameter that is given by its name is given by name as well.
    first = next((number for number, name in enumerate(free) if name in named), len(free))
    return Source(node, free[:first], file_of(function))


def _tree(file: str) -> ast.AST:
    try:
        return _parsed(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


@lru_cache(maxsize=64)
def _parsed(text: str) -> ast.AST:
    return ast.parse(text)


def _holds(node: ast.AST, place: tuple[int | None, int | None, int | None, int | None]) -> bool:
    line, end, column, end_column = place
    if None in place or line == end == 0:
        return True
    start, stop = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
    return start <= (line, column) and (end, end_column) <= stop


def parameters(node: Function) -> list[str]:
    """Return the names of a function's positional parameters."""
    return [one.arg for one in (*node.args.posonlyargs, *node.args.args)]


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function, without those of functions and classes in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from own_nodes(child)


def certain_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function that each call of it runs: under no condition, and after none that may leave."""
    body = getattr(node, "body", [])
    for one in body if isinstance(body, list) else [body]:
        yield from _certain(one)
        if any(isinstance(inside, ast.Return | ast.Raise) for inside in (one, *own_nodes(one))):
            return


def _certain(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    yield node
    inside: list[ast.AST]
    match node:
        case ast.If(test=first) | ast.IfExp(test=first) | ast.While(test=first) | ast.For(iter=first):
            inside = [first]
        case ast.BoolOp(values=[first, *_]) | ast.Match(subject=first) | ast.Compare(left=first, ops=[_, _, *_]):
            inside = [first]
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            inside = [node.generators[0].iter]
        case ast.Try() | ast.With() | ast.AsyncWith() | ast.AsyncFor() | ast.Assert():
            return
        case _:
            inside = [*ast.iter_child_nodes(node)]
    for one in inside:
        yield from _certain(one)


def returned(node: Function) -> list[ast.expr]:
    """Return the expressions whose values it may return."""
    if isinstance(node, ast.Lambda):
        return [node.body]
    return [one.value for one in own_nodes(node) if isinstance(one, ast.Return) and one.value is not None]


def _rebound(node: Function, name: str) -> bool:
    return any(
        isinstance(one, ast.Name) and one.id == name and not isinstance(one.ctx, ast.Load) for one in own_nodes(node)
    )


def line_of(tool_file: str | Path, node: ast.AST) -> str:
    """Return the place of a node in a file."""
    return f"{tool_file}, line {getattr(node, 'lineno', 1)}"


def file_of(function: object) -> str:
    """Return the file of a plain function."""
    return str(getattr(function, "__code__").co_filename)  # noqa: B009
