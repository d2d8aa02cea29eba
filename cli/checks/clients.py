"""Follow the expressions of a playbook's modules to what they certainly are: contexts, clients, helpers, variables.

::

    ctx, ctx: ToolContext, boto3, boto3.Session()         CONTEXT: what makes clients
    ctx.client("s3"), boto3.resource("dynamodb")          ("client", "s3"), ("resource", "dynamodb")
    boto3.resource("dynamodb").Table(name)                TABLE
    ctx.environ, os.environ                               ENVIRON

Names are followed through assignments, parameters and imports, calls through the helpers that they name. Where two
values are possible, or one is not known, the answer is None.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Kind = tuple[str, ...]
CONTEXT, ENVIRON, TABLE = ("context",), ("environ",), ("table",)
_OS, _SESSION = ("os",), ("session",)
#: Of modules that are not the playbook's: what stands under a name of theirs; "": the module.
_OUTSIDE: Mapping[str, Mapping[str, Kind]] = {
    "boto3": {"": CONTEXT, "Session": _SESSION, "session": ("module of sessions",), "client": ("maker", "client")}
    | {"resource": ("maker", "resource")},
    "boto3.session": {"": ("module of sessions",), "Session": _SESSION},
    "os": {"": _OS, "environ": ENVIRON},
}
#: Expressions that are followed from one to the next, at most.
_DEEPEST = 12
Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)


@dataclass(frozen=True)
class _Imported:
    """A name that an import binds: a module, and the name in it; None for the module itself."""

    module: str
    name: str | None


@dataclass(frozen=True)
class _Parameter:
    """A parameter of a function."""

    function: Function | ast.Lambda
    arg: ast.arg


Bound = ast.expr | _Imported | _Parameter | Function | None


class Module:
    """The names that one file binds, by the scope that binds them."""

    def __init__(self, name: str, file: Path, tree: ast.AST) -> None:
        """Read a file whose module has this dotted name."""
        self.name, self.file, self.tree = name, file, tree
        self.parent = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.bound: dict[tuple[int, str], list[Bound]] = {}
        for node in ast.walk(tree):
            for scope, name_, value in self._binds(node):
                self.bound.setdefault((id(scope), name_), []).append(value)

    def scopes(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the scopes around a node, the nearest one first."""
        while (found := self.parent.get(id(node))) is not None:
            node = found
            if isinstance(node, _SCOPES):
                yield node

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
                yield scope, name, None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield scope, name, node
                yield from self._parameters(node)
            case ast.Lambda():
                yield from self._parameters(node)
            case ast.Import(names=names):
                for one in names:
                    whole = one.name if one.asname else one.name.partition(".")[0]
                    yield scope, one.asname or whole, _Imported(whole, None)
            case ast.ImportFrom(names=names):
                for one in names:
                    yield scope, one.asname or one.name, _Imported(self._from(node), one.name)

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
            yield node, arg.arg, _Parameter(node, arg)
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


class Followed:
    """The modules of a playbook, and what their expressions are."""

    def __init__(self, folder: Path, trees: tuple[tuple[Path, ast.AST], ...]) -> None:
        """Take the files of ``folder``, whose name is that of the package."""
        self.modules = {}
        for file, tree in trees:
            parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module(name, file, tree)
        self._of_file = {one.file: one for one in self.modules.values()}
        self._seen: dict[int, Kind | None] = {}

    def kind(self, file: Path, node: ast.AST) -> Kind | None:
        """Return what an expression of a file certainly is."""
        return self._kind(self._of_file[file], node, 0)

    def text(self, file: Path, node: ast.AST) -> str | None:
        """Return the text that an expression certainly is: one that is written out, or a name for it."""
        return self._text(self._of_file[file], node, 0)

    def variable(self, file: Path, node: ast.AST) -> str | None:
        """Return the environment variable whose value an expression certainly is."""
        return self._variable(self._of_file[file], node, 0)

    def is_ballasts(self, file: Path, node: ast.AST) -> bool:
        """Return whether a name is imported from the platform."""
        found = self._bound(self._of_file[file], node) if isinstance(node, ast.Name) else []
        return bool(found) and all(
            isinstance(one, _Imported) and one.module.partition(".")[0] == "ballast" for _, one in found
        )

    def within(self, file: Path, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes of an expression, and of what its names and helpers are in the playbook."""
        waiting: list[tuple[Module, ast.AST]] = [(self._of_file[file], node)]
        seen: set[int] = set()
        while waiting:
            module, inside = waiting.pop()
            for one in ast.walk(inside):
                if id(one) in seen:
                    continue
                seen.add(id(one))
                yield one
                if isinstance(one, ast.Name):
                    for where, value in self._bound(module, one):
                        waiting += [(where, value)] if isinstance(value, ast.expr) else []
                    waiting += [(module, added) for added in self._added(module, one)]
                elif isinstance(one, ast.Call) and (helper := self._function(module, one.func)) is not None:
                    waiting.append(helper)

    def _added(self, module: Module, name: ast.Name) -> Iterator[ast.AST]:
        """Yield what the same function appends to a list of this name."""
        for one in ast.walk(next(module.scopes(name), module.tree)):
            match one:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=named), attr="append" | "extend"), args=[more]):
                    if named == name.id:
                        yield more
                case ast.AugAssign(target=ast.Name(id=named), value=more) if named == name.id:
                    yield more

    @cached_property
    def _calls(self) -> dict[str, list[tuple[Module, ast.Call]]]:
        found: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    found.setdefault(str(name), []).append((module, node))
        return found

    def _bound(self, module: Module, name: ast.Name) -> list[tuple[Module, Bound]]:
        """Return what a name may be, each with its module; imports of the playbook's own are followed."""
        for number, scope in enumerate(module.scopes(name)):
            if isinstance(scope, ast.ClassDef) and number:
                continue
            if (id(scope), name.id) in module.bound:
                return [self._imported(module, one) for one in module.bound[id(scope), name.id]]
        return []

    def _imported(self, module: Module, value: Bound) -> tuple[Module, Bound]:
        for _ in range(_DEEPEST):
            if not isinstance(value, _Imported) or value.name is None:
                break
            if (inside := f"{value.module}.{value.name}") in self.modules:
                return module, _Imported(inside, None)
            if value.module not in self.modules:
                break
            module = self.modules[value.module]
            found = module.bound.get((id(module.tree), value.name), [])
            if len(found) != 1:
                return module, None
            value = found[0]
        return module, value

    def _function(self, module: Module, called: ast.AST) -> tuple[Module, Function] | None:
        """Return the function of the playbook that an expression certainly names."""
        found: list[tuple[Module, Bound]] = []
        match called:
            case ast.Name():
                found = self._bound(module, called)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                owner = next((one for one in module.scopes(called) if isinstance(one, ast.ClassDef)), None)
                found = [(module, one) for one in module.bound.get((id(owner), name), [])]
            case ast.Attribute(value=ast.Name() as owner, attr=name):
                match self._bound(module, owner):
                    case [(_, _Imported(module=of, name=None))] if of in self.modules:
                        found = [self._imported(module, _Imported(of, name))]
        match found:
            case [(where, ast.FunctionDef() | ast.AsyncFunctionDef() as function)]:
                return where, function
        return None

    def _kind(self, module: Module, node: ast.AST, depth: int) -> Kind | None:
        if id(node) in self._seen:
            return self._seen[id(node)]
        if depth > _DEEPEST:
            return None
        self._seen[id(node)] = None  # what leads to itself is nothing certain
        self._seen[id(node)] = found = self._look(module, node, depth + 1)
        return found

    def _look(self, module: Module, node: ast.AST, depth: int) -> Kind | None:
        match node:
            case ast.Name():
                return self._one_of(self._bound(module, node), depth)
            case ast.Await(value=inner) | ast.NamedExpr(value=inner):
                return self._kind(module, inner, depth)
            case ast.Attribute(value=ast.Name(id="self"), attr=attr):
                owner = next((one for one in module.scopes(node) if isinstance(one, ast.ClassDef)), None)
                return self._one_of([(module, one) for one in module.bound.get((id(owner), f"self.{attr}"), [])], depth)
            case ast.Attribute(value=inner, attr=attr):
                return _attribute(self._kind(module, inner, depth), attr)
            case ast.Call():
                return self._made(module, node, depth)
        return None

    def _one_of(self, values: list[tuple[Module, Bound]], depth: int) -> Kind | None:
        kinds = {self._of_bound(module, value, depth) for module, value in values}
        return kinds.pop() if len(kinds) == 1 else None

    def _of_bound(self, module: Module, value: Bound, depth: int) -> Kind | None:
        match value:
            case _Imported(module=of, name=name):
                return _OUTSIDE.get(of, {}).get(name or "")
            case _Parameter():
                return self._of_parameter(module, value, depth)
            case ast.expr():
                return self._kind(module, value, depth)
        return None

    def _of_parameter(self, module: Module, given: _Parameter, depth: int) -> Kind | None:
        said = "" if given.arg.annotation is None else ast.unparse(given.arg.annotation)
        name = given.arg.arg
        if "ToolContext" in said or (name in ("ctx", "context") and said in ("", "Any")):
            return CONTEXT
        if name == "environ":
            return ENVIRON
        if isinstance(given.function, ast.Lambda) or depth > _DEEPEST:
            return None
        positional = [*given.function.args.posonlyargs, *given.function.args.args]
        at = positional.index(given.arg) if given.arg in positional else None
        if positional[:1] and positional[0].arg == "self" and at is not None:
            at -= 1
        kinds: set[Kind | None] = set()
        for where, call in self._calls.get(given.function.name, []):
            found = self._function(where, call.func)
            if found is None or found[1] is not given.function:
                continue
            by_name = [one.value for one in call.keywords if one.arg == name]
            passed = by_name[0] if by_name else call.args[at] if at is not None and 0 <= at < len(call.args) else None
            kinds.add(self._kind(where, passed, depth) if passed is not None else None)
        return kinds.pop() if len(kinds) == 1 else None

    def _made(self, module: Module, call: ast.Call, depth: int) -> Kind | None:
        function, maker = call.func, None
        if isinstance(function, ast.Attribute):
            of = self._kind(module, function.value, depth)
            if of == CONTEXT and function.attr in ("client", "resource"):
                maker = function.attr
            elif of == ("resource", "dynamodb") and function.attr == "Table":
                return TABLE
        kind = self._kind(module, function, depth) if maker is None else None
        if kind is not None and kind[0] == "maker":
            maker = kind[1]
        if maker is not None:
            named = [*call.args[:1], *(one.value for one in call.keywords if one.arg == "service_name")]
            service = self._text(module, named[0], depth) if named else None
            return None if service is None else (maker, service)
        if kind == _SESSION:
            return CONTEXT
        if (helper := self._function(module, function)) is None:
            return None
        returned = _returned(helper[1])
        return self._one_of([(helper[0], one) for one in returned], depth)

    def _text(self, module: Module, node: ast.AST, depth: int) -> str | None:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name() if depth <= _DEEPEST:
                values = self._bound(module, node)
                found = {self._text(of, one, depth + 1) if isinstance(one, ast.expr) else None for of, one in values}
                return found.pop() if len(found) == 1 else None
        return None

    def _variable(self, module: Module, node: ast.AST, depth: int) -> str | None:
        values: list[tuple[Module, Bound]] = []
        match node:
            case ast.Subscript(value=read, slice=name):
                return self._text(module, name, depth) if self._kind(module, read, 0) == ENVIRON else None
            case ast.Name() if depth <= _DEEPEST:
                values = self._bound(module, node)
            case ast.Call(func=called) if depth <= _DEEPEST:
                if (helper := self._function(module, called)) is not None:
                    values = [(helper[0], one) for one in _returned(helper[1])]
        found = {self._variable(of, one, depth + 1) if isinstance(one, ast.expr) else None for of, one in values}
        return found.pop() if len(found) == 1 else None


def _attribute(of: Kind | None, attr: str) -> Kind | None:
    match of, attr:
        case (("context",), "environ") | (("os",), "environ"):
            return ENVIRON
        case (("module of sessions",), "Session") | (("context",), "Session"):
            return _SESSION
        case (("context",), "session"):
            return ("module of sessions",)
        case (("resource", service), "meta"):
            return ("meta", service)
        case (("meta", service), "client"):
            return ("client", service)
        case (("table",), "meta"):
            return ("meta", "dynamodb")
    return None


def _returned(function: Function) -> list[Any]:
    """Return what a function returns: its own ``return`` statements, not those of functions in it."""
    found, waiting = [], list[ast.AST](function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            found.append(node.value)
        elif not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)
    return found
