"""The syntax tree of a loaded function, and facts about its statements. Reads the source file, else pure."""

import ast
import builtins
import inspect
import linecache
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

#: Names of calls that change an object: its methods, or functions that take it.
CHANGES = frozenset(
    " ".join(
        (
            "__setattr__ __setitem__ __delitem__ __delattr__ __iadd__ __ior__ __iand__ __isub__ __imul__ __init__",
            "append appendleft extend extendleft insert add remove discard pop popleft popitem clear update setdefault",
            "sort reverse rotate subtract difference_update intersection_update symmetric_difference_update",
            "move_to_end setattr delattr setitem delitem iadd ior heappush heapify heappop insort insort_left",
            "insort_right exec eval shuffle",
        )
    ).split()
)


def changes_something(node: ast.AST) -> bool:
    """Return whether a node may change an object: by one of ``CHANGES``, or by assignment."""
    return any(
        (isinstance(one, ast.Attribute | ast.Subscript) and isinstance(one.ctx, ast.Store | ast.Del))
        or (isinstance(one, ast.Attribute) and one.attr in CHANGES)
        or (isinstance(one, ast.Name) and one.id in CHANGES)
        or isinstance(one, ast.AugAssign | ast.Nonlocal | ast.Global)
        for one in ast.walk(node)
    )


def always_raises(body: list[ast.stmt]) -> bool:
    """Return whether statements end in a raise on every path."""
    for one in body:
        if isinstance(one, ast.Raise):
            return True
        if isinstance(one, ast.If) and always_raises(one.body) and always_raises(one.orelse):
            return True
        if leaves_early(one):
            return False
    return False


def leaves_early(node: ast.AST) -> bool:
    """Return whether a statement may leave a loop or the function, other than by an error."""
    return any(isinstance(one, ast.Return | ast.Break | ast.Continue) for one in ast.walk(node))


def any_leaves_early(body: list[ast.stmt]) -> bool:
    return any(map(leaves_early, body))


def captured_names(pattern: ast.AST) -> Iterator[str]:
    for one in ast.walk(pattern):
        for name in (getattr(one, "name", None), getattr(one, "rest", None)):
            if isinstance(name, str):
                yield name


def is_from_stdlib(function: FunctionType) -> bool:
    top = str(function.__module__).partition(".")[0]
    return function is builtins.__import__ or top in sys.stdlib_module_names


def source_lines(filename: str) -> list[str]:
    linecache.checkcache(filename)  # a corrected playbook is loaded again
    return linecache.getlines(filename)


@lru_cache(maxsize=64)
def _tree(source: str) -> ast.AST | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def syntax_of(function: FunctionType) -> Any:
    """Return the function's syntax tree; None if its source is missing, or two on one line cannot be distinguished."""
    code, tree = function.__code__, _tree("".join(source_lines(function.__code__.co_filename)))
    if tree is None or inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return None
    found = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.Lambda) and _is_of(one, code)]
    if len(found) > 1:
        found = [one for one in found if _spans(one, code)]
    return found[0] if len(found) == 1 else None


def _is_of(node: ast.FunctionDef | ast.Lambda, code: CodeType) -> bool:
    name, decorated = ("<lambda>", []) if isinstance(node, ast.Lambda) else (node.name, node.decorator_list)
    first = min([node.lineno, *(one.lineno for one in decorated)])
    given = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    return (name, first) == (code.co_name, code.co_firstlineno) and given == list(code.co_varnames[: code.co_argcount])


def _spans(node: Any, code: CodeType) -> bool:
    """Return whether all positions of the code are within the node."""
    body = node.body if isinstance(node, ast.Lambda) else node
    begins, ends = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    places = [(one[0], one[2], one[1], one[3]) for one in code.co_positions() if None not in one and one[1] != 0]
    places = [one for one in places if one[1] != one[3] or one[0] != one[2]]
    return bool(places) and min(one[:2] for one in places) == begins and max(one[2:] for one in places) == ends
