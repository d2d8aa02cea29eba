"""The names that the modules of a playbook bind: by assignments, parameters, imports, functions and classes."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)


@dataclass(frozen=True)
class Imported:
    """A name that an import binds: a module, and the name in it; None for the module itself."""

    module: str
    name: str | None


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function."""

    function: Function | ast.Lambda
    arg: ast.arg


Bound = ast.expr | Imported | Parameter | Function | ast.ClassDef | None


class Module:
    """The names that one file binds, by the scope that binds them."""

    def __init__(self, name: str, file: Path, tree: ast.AST) -> None:
        """Read a file whose module has this dotted name. ``fields``: what a class annotates in its body, by class."""
        self.name, self.file, self.tree = name, file, tree
        self.parent = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.bound: dict[tuple[int, str], list[Bound]] = {}
        for node in ast.walk(tree):
            for scope, name_, value in self._binds(node):
                self.bound.setdefault((id(scope), name_), []).append(value)
        self.fields: dict[int, dict[str, ast.AnnAssign]] = {}
        for node in ast.walk(tree):
            for one in node.body if isinstance(node, ast.ClassDef) else ():
                match one:
                    case ast.AnnAssign(target=ast.Name(id=name)) if "ClassVar" not in ast.unparse(one.annotation):
                        self.fields.setdefault(id(node), {})[name] = one

    def scopes(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the scopes around a node, the nearest one first."""
        while (found := self.parent.get(id(node))) is not None:
            node = found
            if isinstance(node, SCOPES):
                yield node

    def is_annotation(self, node: ast.AST) -> bool:
        """Return whether it stands in an annotation: it says what a value is, and makes none."""
        while (around := self.parent.get(id(node))) is not None and not isinstance(around, ast.Module):
            if node in (getattr(around, "annotation", None), getattr(around, "returns", None)):
                return True
            node = around
        return False

    def _binds(self, node: ast.AST) -> Iterator[tuple[ast.AST, str, Bound]]:
        scope = next(self.scopes(node), self.tree)
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._target(scope, target, value)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield from self._target(scope, target, value)
            case ast.NamedExpr(target=target, value=value):
                yield from self._target(scope, target, value)
            case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
                yield from self._target(scope, target, None)
            case ast.comprehension(target=target):
                yield from self._target(scope, target, None)
            case ast.withitem(optional_vars=target) if target is not None:
                yield from self._target(scope, target, None)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield scope, name, None
            case ast.ClassDef(name=name):
                yield scope, name, node
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield scope, name, node
                yield from self._parameters(node)
            case ast.Lambda():
                yield from self._parameters(node)
            case ast.Import(names=names):
                for one in names:
                    whole = one.name if one.asname else one.name.partition(".")[0]
                    yield scope, one.asname or whole, Imported(whole, None)
            case ast.ImportFrom(names=names):
                for one in names:
                    yield scope, one.asname or one.name, Imported(self._from(node), one.name)

    def _target(self, scope: ast.AST, target: ast.expr, value: ast.expr | None) -> Iterator[tuple[ast.AST, str, Bound]]:
        if isinstance(target, ast.Name):
            yield scope, target.id, value
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            for one in self.scopes(target):
                if isinstance(one, ast.ClassDef):
                    yield one, f"self.{target.attr}", value
                    return
        elif isinstance(target, ast.Tuple | ast.List | ast.Starred):
            for inside in ast.iter_child_nodes(target):
                if isinstance(inside, ast.expr):
                    yield from self._target(scope, inside, None)

    def _parameters(self, node: Function | ast.Lambda) -> Iterator[tuple[ast.AST, str, Bound]]:
        given = node.args
        for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs):
            yield node, arg.arg, Parameter(node, arg)
        for more in (given.vararg, given.kwarg):
            if more is not None:
                yield node, more.arg, None

    def _from(self, node: ast.AST) -> str:
        level, module = getattr(node, "level", 0), getattr(node, "module", None)
        if not level:
            return str(module)
        parts = self.name.split(".")
        of = parts if self.file.name == "__init__.py" else parts[:-1]
        return ".".join([*of[: len(of) - level + 1], *([module] if module else [])])


def passes_over(node: ast.AST, errors: frozenset[str]) -> bool:
    """Return whether a ``try`` or a ``suppress`` may go on after one of these errors."""
    if isinstance(node, ast.Try):
        return any(one.type is None or not errors.isdisjoint(_names(one.type)) for one in node.handlers)
    if isinstance(node, ast.With | ast.AsyncWith):
        calls = [one.context_expr for one in node.items if isinstance(one.context_expr, ast.Call)]
        return any(last_name(one.func) == "suppress" and not errors.isdisjoint(_names(one)) for one in calls)
    return False


def _names(node: ast.AST) -> set[str]:
    return {last_name(one) for one in ast.walk(node)}


def last_name(node: ast.AST) -> str:
    """Return the name of a name, or the last one of an attribute."""
    return str(getattr(node, "attr", getattr(node, "id", "")))
