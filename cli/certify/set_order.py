"""The order in which code goes through its sets: two plays in one process, one of them from the other end.

A hash seed changes the order of a set of two by a coin's chance. So each set that the playbook's code makes is one that
can be gone through from its other end.
"""

from __future__ import annotations

import ast
import builtins
import importlib.machinery
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

_NAME = "__a_set_of_certify"
_KINDS = ("set", "frozenset")


class _Order:
    """Which end comes first, and whether anybody has asked a set for its order."""

    turned = False
    asked = False


ORDER = _Order()


def _in_order(these: Iterator[Any]) -> Iterator[Any]:
    found = list(these)
    ORDER.asked |= len(found) > 1
    return iter(found[::-1] if ORDER.turned else found)


def _turnable(kind: type) -> Any:
    """Return a subclass of set or frozenset whose order can be turned, also of what it is combined to."""

    def combined(name: str) -> Any:
        def method(self: Any, *others: Any) -> Any:
            found = getattr(kind, name)(self, *others)
            return made(found) if type(found) is kind else found

        return method

    names = "and or sub xor rand ror rsub rxor"
    named = [f"__{name}__" for name in names.split()]
    named += ["copy", "union", "intersection", "difference", "symmetric_difference"]
    body: dict[str, Any] = {name: combined(name) for name in named}
    body["__iter__"] = lambda self: _in_order(kind.__iter__(self))  # type: ignore[attr-defined]
    body["__repr__"] = lambda self: repr(kind(self))
    body["__reduce__"] = lambda self: (kind, (list(kind.__iter__(self)),))  # type: ignore[attr-defined]
    if kind is set:
        body["pop"] = _pop
    made: Any = type(kind.__name__, (kind,), body)
    return made


def _pop(self: Any) -> Any:
    for one in self:
        self.discard(one)
        return one
    raise KeyError("pop from an empty set")


_TURNABLE = {name: _turnable(getattr(builtins, name)) for name in _KINDS}


def _made(kind: str, *given: Any) -> Any:
    return _TURNABLE[kind](*given)


class _Rewritten(ast.NodeTransformer):
    def __init__(self, tree: ast.AST) -> None:
        # A module that gives these names to something else means that.
        names = set()
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                    names.add(name)
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    names.add(name)
                case ast.alias(name=name, asname=other):
                    names.add(other or name)
        self._kinds = set(_KINDS) - names

    def _call(self, kind: str, args: list[ast.expr], at: ast.AST) -> ast.AST:
        name = ast.Name(_NAME, ast.Load())
        made = ast.Call(name, [ast.Constant(kind), *args], [])
        return ast.fix_missing_locations(ast.copy_location(made, at))

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        return self._call("set", [ast.copy_location(ast.List(node.elts, ast.Load()), node)], node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return self._call("set", [ast.copy_location(ast.ListComp(node.elt, node.generators), node)], node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self._kinds and not node.keywords:
            return self._call(node.func.id, node.args, node)
        return node


def turn_sets_of(folder: Path) -> None:
    """From now on, import the modules of ``folder`` with sets whose order can be turned."""
    loader: Any = importlib.machinery.SourceFileLoader
    before, inside = loader.get_code, folder.resolve()
    setattr(builtins, _NAME, _made)

    def get_code(self: Any, fullname: str) -> CodeType | None:
        path = Path(self.get_filename(fullname))
        if not path.resolve().is_relative_to(inside):
            found: CodeType | None = before(self, fullname)
            return found
        tree = ast.parse(self.get_data(str(path)), str(path))
        return compile(_Rewritten(tree).visit(tree), str(path), "exec", dont_inherit=True)

    loader.get_code = get_code
