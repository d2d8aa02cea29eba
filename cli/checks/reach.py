"""The code of a playbook that is certainly run: a call graph by names, from decorated functions and modules.

A function that no code names needs nothing. Nor does what stands under a test of the environment, in a ``try`` that
goes on after any error, or under ``if __name__ == "__main__"``. A name is enough: which call it is, is not asked.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cli.checks.clients import Followed
from cli.checks.modules import Function, last_name, passes_over

#: Decorators that call a function for nobody: it still has to be named.
QUIET = (
    *("abstractmethod", "classmethod", "staticmethod", "property", "cached_property", "setter", "overload", "override"),
    *("cache", "lru_cache", "contextmanager", "wraps"),
)
_ALL_ERRORS = frozenset({"Exception", "BaseException", "ClientError", "BotoCoreError"})
_LEAVES = ast.Return | ast.Raise | ast.Continue | ast.Break
At = tuple[Path, ast.AST]
Tests = Callable[[Path, ast.AST], bool]


def called_by_name(function: Function) -> str:
    """Return the name of what a decorator is, for each that may call the function; "" where none may."""
    names = [last_name(one.func if isinstance(one, ast.Call) else one) for one in function.decorator_list]
    return " ".join(one for one in names if one not in QUIET)


def is_main(node: ast.AST) -> bool:
    """Return whether it is ``if __name__ == "__main__"``: no tool's code."""
    return isinstance(node, ast.If) and any(
        isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(node.test)
    )


class Reached:
    """The nodes of a playbook that are certainly run."""

    def __init__(
        self, followed: Followed, trees: Iterable[tuple[Path, ast.AST]], is_test: Tests, starts: frozenset[Path]
    ) -> None:
        """Read files. ``is_test``: whether an expression asks the environment. ``starts``: files, all of them run."""
        self._followed, self._is_test = followed, is_test
        self._own: dict[int, list[At]] = {0: []}
        self._functions: list[tuple[Path, Function, ast.ClassDef | None]] = []
        for file, tree in trees:
            self._block(file, getattr(tree, "body", []), 0, None, certain=True)
        run = {id(one) for file, one, _ in self._functions if file in starts or called_by_name(one)}
        waiting = [0, *run]
        nodes: list[At] = []
        while waiting:
            new = [at for of in waiting for at in self._own.get(of, ())]
            nodes += new
            found = {id(one) for file, one, owner in self._functions if self._is_named(one, owner, new)} - run
            run, waiting = run | found, [*found]
        self.nodes = nodes

    def _is_named(self, function: Function, owner: ast.ClassDef | None, nodes: list[At]) -> bool:
        name = function.name
        if owner is not None and name.startswith("__") and name.endswith("__"):
            return any(last_name(one) == owner.name for _, one in nodes)
        for file, one in nodes:
            match one:
                case ast.Name(id=id_) if id_ == name and owner is None:
                    return True
                case ast.Attribute(attr=attr, value=of) if attr == name:
                    if owner is None or self._followed.may_be(file, of, owner):
                        return True
        return False

    def _block(self, file: Path, body: list[ast.stmt], of: int, owner: ast.ClassDef | None, *, certain: bool) -> None:
        for one in body:
            self._read(file, one, of, owner, certain=certain)
            asks = isinstance(one, ast.If | ast.While) and self._is_test(file, one.test)
            certain = certain and not (asks and any(isinstance(inside, _LEAVES) for inside in ast.walk(one)))

    def _read(self, file: Path, node: ast.AST, of: int, owner: ast.ClassDef | None, *, certain: bool) -> None:
        if is_main(node):
            return
        if certain:
            self._own.setdefault(of, []).append((file, node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._functions.append((file, node, owner))
            for one in (*node.decorator_list, node.args):
                self._read(file, one, of, None, certain=certain)
            self._block(file, node.body, id(node), None, certain=True)
            return
        asks = passes_over(node, _ALL_ERRORS) and not (isinstance(node, ast.Try) and _raises_again(node))
        asks = asks or any(self._is_test(file, one) for one in _tests(node))
        for field, value in ast.iter_fields(node):
            sure = certain and not (asks and field in ("body", "orelse", "values"))
            inside = node if isinstance(node, ast.ClassDef) else owner if isinstance(node, ast.stmt) else None
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                self._block(file, value, of, inside, certain=sure)
                continue
            for number, one in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(one, ast.AST):
                    self._read(file, one, of, inside, certain=sure or (certain and field == "values" and not number))


def _tests(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield test
        case ast.BoolOp(values=values):
            yield from values[:-1]


def _raises_again(node: ast.Try) -> bool:
    return all(any(isinstance(one, ast.Raise) for one in ast.walk(handler)) for handler in node.handlers)
