"""Follow the expressions of a playbook's modules to what they certainly are: contexts, clients, helpers, variables.

::

    ctx, ctx: ToolContext, boto3, boto3.Session()         CONTEXT: what makes clients
    ctx.client("s3"), boto3.resource("dynamodb")          ("client", "s3"), ("resource", "dynamodb")
    boto3.resource("dynamodb").Table(name)                TABLE
    ctx.environ, a parameter ``environ``                  ENVIRON
    os.environ                                            PROCESS
    Services(ctx), self                                   ("instance", module, line of the class)

Names are followed through assignments, parameters and imports, calls through the helpers and methods that they name,
attributes of the playbook's own classes through fields, properties and what their constructors are given. Where two
values are possible, or one is not known, the answer is None.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from cli.checks.modules import SCOPES, Bound, Function, Imported, Module, Parameter, last_name, passes_over
from cli.checks.names import DEEPEST, Names

Kind = tuple[str, ...]
CONTEXT, ENVIRON, PROCESS, TABLE = ("context",), ("environ",), ("environ of the process",), ("table",)
#: Where a variable is looked up.
ENVIRONS = (ENVIRON, PROCESS)
_OS, _SESSION = ("os",), ("session",)
#: Attributes that hold a tool's context, whatever holds them.
_CONTEXTS = ("ctx", "_ctx", "context", "_context", "tool_context")
_PROPERTIES = ("property", "cached_property")
#: Of modules that are not the playbook's: what stands under a name of theirs; "": the module.
_OUTSIDE: Mapping[str, Mapping[str, Kind]] = {
    "boto3": {"": CONTEXT, "Session": _SESSION, "session": ("module of sessions",), "client": ("maker", "client")}
    | {"resource": ("maker", "resource")},
    "boto3.session": {"": ("module of sessions",), "Session": _SESSION},
    "os": {"": _OS, "environ": PROCESS},
}
_NO_KEY = frozenset({"KeyError", "LookupError", "Exception", "BaseException"})


class Followed(Names):
    """The modules of a playbook, and what their expressions are."""

    def __init__(self, folder: Path, trees: tuple[tuple[Path, ast.AST], ...]) -> None:
        """Take the files of ``folder``, whose name is that of the package."""
        super().__init__(folder, trees)
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

    def is_tried(self, file: Path, node: ast.AST) -> bool:
        """Return whether it stands where a ``KeyError`` is passed over, by a ``try`` or a ``suppress``."""
        module, inside = self._of_file[file], node
        while (around := module.parent.get(id(inside))) is not None and not isinstance(around, SCOPES):
            if passes_over(around, _NO_KEY) and inside in getattr(around, "body", ()):
                return True
            inside = around
        return False

    def may_be(self, file: Path, node: ast.AST, one: ast.ClassDef) -> bool:
        """Return whether an expression may be an instance of a class of the playbook, or the class."""
        kind = self.kind(file, node)
        if kind is None or kind[0] != "instance":
            return kind is None
        module = next(of for of, made in self._by_instance.values() if made is one)
        classes = [self._by_instance[kind]], [(module, one)]
        return any(mine in self._classes(_instance(*its)) for (mine,), (its,) in (classes, classes[::-1]))

    def sources(self, file: Path, node: ast.AST) -> list[tuple[Path, ast.expr]]:
        """Return the expressions that a name or an attribute may be, each with its file."""
        found = self._sources(self._of_file[file], node, 0)
        return [(where.file, one) for where, one in found if isinstance(one, ast.expr)]

    def is_of(self, file: Path, node: ast.AST, module: str) -> bool:
        """Return whether an expression certainly names ``module``, which is not the playbook's, or what it has."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if isinstance(node, ast.Call):  # boto3.Session().client
            return self.is_of(file, node.func, module)
        found = self._bound(self._of_file[file], node) if isinstance(node, ast.Name) else []
        return bool(found) and all(
            isinstance(one, Imported) and one.module.partition(".")[0] == module for _, one in found
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

    def _calls_of_method(
        self, target: Function, owner: tuple[Module, ast.ClassDef], depth: int
    ) -> Iterator[tuple[Module, ast.Call | None]]:
        """Yield the calls of a method; None for a mention that may be one of it and is not followed."""
        for module, node in self._mentions.get(target.name, ()):
            if not isinstance(node, ast.Attribute):
                continue
            if (meant := self._function(module, node, depth)) is not None and meant[1] is not target:
                continue
            around = module.parent.get(id(node))
            if meant is not None and isinstance(around, ast.Call) and around.func is node:
                yield module, around
            elif meant is not None or self.may_be(module.file, node.value, owner[1]):
                yield module, None

    def _function(self, module: Module, called: ast.AST, depth: int = 0) -> tuple[Module, Function] | None:
        """Return the function of the playbook, or the method, that an expression certainly names."""
        found = self._named(module, called)
        if not found and isinstance(called, ast.Attribute):
            for where, one in self._classes(self._kind(module, called.value, depth)):
                if found := [(where, bound) for bound in where.bound.get((id(one), called.attr), [])]:
                    break
        match found:
            case [(where, ast.FunctionDef() | ast.AsyncFunctionDef() as function)]:
                return where, function
        return None

    def _class(self, module: Module, node: ast.AST) -> tuple[Module, ast.ClassDef] | None:
        """Return the class of the playbook that an expression, or an annotation, certainly names."""
        if isinstance(node, ast.Subscript):  # Repository[Parcel]
            node = node.value
        found = self._named(module, node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            bound = module.bound.get((id(module.tree), node.value), [])
            found = [self._imported(module, one) for one in bound]
        elif isinstance(node, ast.Name) and node.id == "cls":
            owner = next((one for one in module.scopes(node) if isinstance(one, ast.ClassDef)), None)
            found = [(module, owner)]
        match found:
            case [(where, ast.ClassDef() as one)]:
                return where, one
        return None

    def _classes(self, kind: Kind | None) -> list[tuple[Module, ast.ClassDef]]:
        """Return the class of an instance, and its bases in the playbook."""
        if kind is None or kind[0] != "instance":
            return []
        found = [self._by_instance[kind]]
        for where, one in found:  # grows
            bases = (self._class(where, base) for base in one.bases)
            found += [base for base in bases if base is not None and base not in found]
        return found

    def _kind(self, module: Module, node: ast.AST, depth: int) -> Kind | None:
        if id(node) in self._seen:
            return self._seen[id(node)]
        if depth > DEEPEST:
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
            case ast.Attribute(value=inner, attr=attr):
                of = self._kind(module, inner, depth)
                kind = self._one_of(self._members(of, attr), depth) or self._annotated(of, attr) or _attribute(of, attr)
                return CONTEXT if kind is None and attr in _CONTEXTS else kind
            case ast.Call():
                return self._made(module, node, depth)
        return None

    @cached_property
    def _by_instance(self) -> dict[Kind, tuple[Module, ast.ClassDef]]:
        nodes = [(module, node) for module in self.modules.values() for node in ast.walk(module.tree)]
        return {_instance(module, one): (module, one) for module, one in nodes if isinstance(one, ast.ClassDef)}

    def _members(self, of: Kind | None, attr: str) -> list[tuple[Module, Bound]]:
        """Return what an attribute of an instance may be: what its class assigns, returns or is made with."""
        for where, one in self._classes(of):
            if values := where.bound.get((id(one), f"self.{attr}")):
                return [(where, value) for value in values]
            match where.bound.get((id(one), attr), []):
                case [ast.FunctionDef() | ast.AsyncFunctionDef() as made]:
                    decorators = [ast.unparse(by).rpartition(".")[2] for by in made.decorator_list]
                    return [(where, value) for value in _returned(made)] if {*decorators} & {*_PROPERTIES} else []
            if attr in where.fields.get(id(one), {}):
                return self._given_to(of, attr)
            if values := where.bound.get((id(one), attr)):
                return [(where, value) for value in values]
        return []

    def _annotated(self, of: Kind | None, attr: str) -> Kind | None:
        """Return what the annotation of a field says that it is."""
        for where, one in self._classes(of):
            if (field := where.fields.get(id(one), {}).get(attr)) is not None:
                return self._of_annotation(where, field.annotation)
        return None

    def _of_annotation(self, module: Module, node: ast.AST | None) -> Kind | None:
        if node is None:
            return None
        if "ToolContext" in ast.unparse(node):
            return CONTEXT
        found = self._class(module, node)
        return None if found is None else _instance(*found)

    def _given_to(self, of: Kind | None, attr: str) -> list[tuple[Module, Bound]]:
        """Return what the field of a dataclass may be: what each call of the class gives it, or its default."""
        bases = self._classes(of)
        fields: dict[str, ast.AnnAssign] = {}
        for where, one in reversed(bases):
            fields |= where.fields.get(id(one), {})
        found: list[tuple[Module, Bound]] = []
        for where, call in self._calls(bases[0][1]):
            given = None if call is None else _argument(call, attr, [*fields].index(attr)) or fields[attr].value
            found.append((where, given))
        if any(attr in names for names in self._replaced):
            found.append((bases[0][0], None))
        return found

    def _one_of(self, values: list[tuple[Module, Bound]], depth: int) -> Kind | None:
        kinds = {self._of_bound(module, value, depth) for module, value in values}
        return kinds.pop() if len(kinds) == 1 else None

    def _of_bound(self, module: Module, value: Bound, depth: int) -> Kind | None:
        match value:
            case Imported(module=of, name=name):
                return _OUTSIDE.get(of, {}).get(name or "")
            case Parameter():
                return self._of_parameter(module, value, depth)
            case ast.expr():
                return self._kind(module, value, depth)
        return None

    def _of_parameter(self, module: Module, given: Parameter, depth: int) -> Kind | None:
        said = "" if given.arg.annotation is None else ast.unparse(given.arg.annotation)
        name = given.arg.arg
        if "ToolContext" in said or (name in ("ctx", "context") and said in ("", "Any")):
            return CONTEXT
        if name == "environ":
            return ENVIRON
        if isinstance(given.function, ast.Lambda) or depth > DEEPEST:
            return None
        owner = module.parent.get(id(given.function))
        if isinstance(owner, ast.ClassDef) and name == "self":
            return _instance(module, owner)
        return self._of_annotation(module, given.arg.annotation) or self._one_of(
            self._passed(module, given, depth), depth
        )

    def _passed(self, module: Module, given: Parameter, depth: int) -> list[tuple[Module, Bound]]:
        """Return what each call of a function, or of a class for its ``__init__``, gives a parameter."""
        function = given.function
        if isinstance(function, ast.Lambda) or depth > DEEPEST:
            return []
        positional = [*function.args.posonlyargs, *function.args.args]
        at = positional.index(given.arg) if given.arg in positional else -1
        if positional[:1] and positional[0].arg in ("self", "cls"):
            at -= 1
        owner = module.parent.get(id(function))
        if not isinstance(owner, ast.ClassDef):
            calls = [*self._calls(function)]
        elif function.name == "__init__":
            calls = [*self._calls(owner)]
        else:
            calls = [*self._calls_of_method(function, (module, owner), depth)]
        return [(where, None if call is None else _argument(call, given.arg.arg, at)) for where, call in calls]

    def _made(self, module: Module, call: ast.Call, depth: int) -> Kind | None:
        function, maker = call.func, None
        if (bound := self._partial(module, function, depth)) is not None:  # self._make()
            return self._made(bound[0], bound[1], depth + 1) if depth <= DEEPEST else None
        if isinstance(function, ast.Attribute):
            of = self._kind(module, function.value, depth)
            if of == CONTEXT and function.attr in ("client", "resource"):
                maker = function.attr
            elif of == ("resource", "dynamodb") and function.attr == "Table":
                return TABLE
            elif of is not None and of[0] == "client" and function.attr == "get_paginator":
                return ("paginator", of[1])
        kind = self._kind(module, function, depth) if maker is None else None
        if kind is not None and kind[0] == "maker":
            maker = kind[1]
        if maker is not None:
            named = [*call.args[:1], *(one.value for one in call.keywords if one.arg == "service_name")]
            service = self._text(module, named[0], depth) if named else None
            return None if service is None else (maker, service)
        if kind == _SESSION:
            return CONTEXT
        if (made := self._class(module, function)) is not None:
            return _instance(*made)
        if (helper := self._function(module, function, depth)) is None:
            return None
        returned = _returned(helper[1])
        return self._one_of([(helper[0], one) for one in returned], depth)

    def _partial(self, module: Module, function: ast.AST, depth: int) -> tuple[Module, ast.Call] | None:
        """Return the call that a ``partial`` makes, if that is certainly what is called."""
        named_ = isinstance(function, ast.Name | ast.Attribute)
        found: list[tuple[Module, Any]] = self._sources(module, function, depth) if named_ else [(module, function)]
        match found:
            case [(where, ast.Call(func=by, args=[made, *given], keywords=named))] if last_name(by) == "partial":
                return where, ast.Call(func=made, args=given, keywords=named)
        return None

    def texts(self, file: Path, node: ast.expr) -> frozenset[str]:
        """Return the known texts that an expression may be: of a parameter, what each call gives it."""
        module, found = self._of_file[file], set[str | None]()
        for where, value in self._sources(module, node, 0) or [(module, node)]:
            found.add(self._text(where, value, 0) if isinstance(value, ast.expr) else None)
        return frozenset(text for text in found if text is not None)

    def _sources(self, module: Module, node: ast.AST, depth: int) -> list[tuple[Module, Bound]]:
        """Return what a name or an attribute may be; a parameter is what its calls give it."""
        found: list[tuple[Module, Bound]] = []
        if isinstance(node, ast.Name):
            found = self._bound(module, node)
        elif isinstance(node, ast.Attribute):
            made = self._class(module, node.value)
            of = self._kind(module, node.value, depth) if made is None else _instance(*made)
            found = self._members(of, node.attr) or self._named(module, node)
        match found:
            case [(where, Parameter() as given)]:
                return self._passed(where, given, depth)
        return found

    def _text(self, module: Module, node: ast.AST, depth: int) -> str | None:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.BinOp(left=left, op=ast.Add(), right=right) if depth <= DEEPEST:
                parts = [self._text(module, one, depth + 1) for one in (left, right)]
                return None if None in parts else "".join(map(str, parts))
            case ast.Attribute(value=inner, attr="value") if depth <= DEEPEST:  # of an Enum
                return self._text(module, inner, depth + 1)
            case ast.Name() | ast.Attribute() if depth <= DEEPEST:
                return _only(
                    self._text(of, one, depth + 1) if isinstance(one, ast.expr) else None
                    for of, one in self._sources(module, node, depth)
                )
        return None

    def _variable(self, module: Module, node: ast.AST, depth: int) -> str | None:
        values: list[tuple[Module, Bound]] = []
        match node:
            case ast.Subscript(value=read, slice=name):
                return self._text(module, name, depth) if self._kind(module, read, 0) in ENVIRONS else None
            case ast.Name() | ast.Attribute() if depth <= DEEPEST:
                values = self._sources(module, node, depth)
            case ast.Call(func=called) if depth <= DEEPEST:
                if (helper := self._function(module, called, depth)) is not None:
                    values = [(helper[0], one) for one in _returned(helper[1])]
        return _only(self._variable(of, one, depth + 1) if isinstance(one, ast.expr) else None for of, one in values)


def _only(found: Iterator[str | None]) -> str | None:
    """Return the text that all of them are."""
    texts = {*found}
    return texts.pop() if len(texts) == 1 else None


def _instance(module: Module, one: ast.ClassDef) -> Kind:
    return ("instance", module.name, str(one.lineno))


def _argument(call: ast.Call, name: str, at: int) -> ast.expr | None:
    """Return what a call gives a parameter, by its name or at its position; None if that is not known."""
    by_name = [one.value for one in call.keywords if one.arg == name]
    if by_name:
        return by_name[0]
    before = call.args[: at + 1] if at >= 0 else []
    spread = any(isinstance(one, ast.Starred) for one in before)
    return before[at] if len(before) > at >= 0 and not spread else None


def _attribute(of: Kind | None, attr: str) -> Kind | None:
    match of, attr:
        case (("context",), "environ"):
            return ENVIRON
        case (("os",), "environ"):
            return PROCESS
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
        elif not isinstance(node, SCOPES):
            waiting += ast.iter_child_nodes(node)
    return found
