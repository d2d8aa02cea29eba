"""The environment variables, AWS services and operations of DynamoDB that a playbook's code and servers/ name."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from cli.checks.clients import CONTEXT, ENVIRON, ENVIRONS, PROCESS, TABLE, Followed
from cli.checks.declared import Declared, declared_in
from cli.checks.files import files_in, parsed
from cli.checks.modules import last_name
from cli.checks.operations import OPERATIONS, PARTIQL, PARTS, STATEMENTS, partiql
from cli.checks.reach import Reached, is_main
from cli.checks.sources import line_of
from localcloud.project import project_of

#: Parameters that name a table: each operation of DynamoDB's client has one of them.
_TABLES = ("TableName", "RequestItems")


@dataclass(frozen=True)
class Code:
    """The Python files of a playbook's folder, and its declarations of servers."""

    folder: Path

    @cached_property
    def _trees(self) -> tuple[tuple[Path, ast.AST], ...]:
        found = ((file, parsed(file)) for file in files_in(self.folder, "**/*.py"))
        return tuple((file, tree) for file, tree in found if tree is not None)

    @cached_property
    def is_whole(self) -> bool:
        """Whether each file of the playbook's code was read: what no file names, another one may."""
        listed = {one for one in self.folder.rglob("*.py") if not one.name.startswith(".")}
        return listed == {file for file, _ in self._trees} and self._of_servers.is_whole

    @cached_property
    def named(self) -> dict[str, str]:
        """Texts that could be the name of an environment variable, each with its first place."""
        found: dict[str, str] = {}
        for file, node in self._nodes:
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if re.fullmatch(r"[A-Z][A-Z0-9_]*", text):
                found.setdefault(text, line_of(file, node))
        return self._of_servers.variables | found

    @cached_property
    def needed(self) -> dict[str, str]:
        """Variables that the code cannot do without, since it looks them up by name; each with its place.

        A table that it looks for by ``get``, and gives to a call at once, is one of them: no tool works without it.
        """
        found: dict[str, str] = {}
        tried = {
            name for file, node in self._nodes if isinstance(node, ast.Compare) for name in self._looked_for(file, node)
        }
        at_once = {
            id(one.value)
            for _, node in self._nodes
            if isinstance(node, ast.Call)
            for one in node.keywords
            if one.arg in ("TableName", "table")
        }
        for file, node in self._reached_with_the_store.nodes:
            name = None
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                name = None if self._followed.is_tried(file, node) else self._followed.variable(file, node)
            elif isinstance(node, ast.Call) and id(node) in at_once and len(node.args) + len(node.keywords) == 1:
                name = next(self._looked_for(file, node), None)
            if name is not None and name not in tried:
                found.setdefault(name, line_of(file, node))
        return self._of_servers.variables | found

    @cached_property
    def asked_for(self) -> dict[str, str]:
        """Variables that the code looks for and does without, by ``get`` or ``getenv``; each with its place."""
        found: dict[str, str] = {}
        for file, node in self._nodes:
            for name in self._looked_for(file, node):
                found.setdefault(name, line_of(file, node))
        return {name: place for name, place in found.items() if name not in self.needed}

    def _looked_for(self, file: Path, node: ast.AST) -> Iterator[str]:
        """Yield the variables that an expression looks for, and takes something else where they are missing."""
        names: list[ast.expr] = []
        match node:
            case ast.Call(func=ast.Attribute(attr="getenv") | ast.Name(id="getenv"), args=given, keywords=by_name):
                names = [*given[:1], *(one.value for one in by_name if one.arg == "key")]
            case ast.Call(func=ast.Attribute(value=read, attr="get" | "pop" | "setdefault"), args=[name, *_]):
                names = [name] if self._followed.kind(file, read) in ENVIRONS else []
            case ast.Compare(left=name, ops=[ast.In() | ast.NotIn()], comparators=[read]):
                names = [name] if self._followed.kind(file, read) in ENVIRONS else []
        yield from (text for one in names if (text := self._followed.text(file, one)) is not None)

    @cached_property
    def of_process(self) -> dict[tuple[str, str], bool | None]:
        """Variables that tools read of the process and not of their context, each with its place.

        True where the name is looked up: what is not there is a ``KeyError``. False where the code looks for it. None
        where it has another way, or hands the whole environment on, under the name "".
        """
        found: dict[tuple[str, str], bool | None] = {}
        sure = {id(node) for _, node in self._reached.nodes}
        for file, node in self._of_tools:
            kind = partial(self._followed.kind, file)
            match node:
                case ast.Subscript(value=read, ctx=ast.Load()) if kind(read) == PROCESS:
                    if (name := self._followed.variable(file, node)) is not None:
                        is_sure = id(node) in sure and not self._followed.is_tried(file, node)
                        found[name, line_of(file, node)] = is_sure or None
                case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="getenv")):
                    found |= {(name, line_of(file, node)): False for name in self._looked_for(file, node)}
                case ast.Call(func=ast.Attribute(value=read)) | ast.Compare(comparators=[read]) if (
                    kind(read) == PROCESS
                ):
                    found |= {(name, line_of(file, node)): False for name in self._looked_for(file, node)}
                case ast.Call(args=given, keywords=by_name):
                    for one in (*given, *(more.value for more in by_name)):
                        if kind(one) == PROCESS:
                            found["", line_of(file, one)] = None
        asked = {
            name for file, one in self._of_tools if isinstance(one, ast.Compare) for name in self._looked_for(file, one)
        }
        other = {True: asked, False: self._read_of_context, None: frozenset[str]()}
        return {at: None if at[0] in other[sure] else sure for at, sure in found.items()}

    @cached_property
    def _read_of_context(self) -> set[str]:
        """Variables that some code looks up in the environment of a context."""
        return {
            name
            for file, node in self._of_tools
            if isinstance(node, ast.Subscript) and self._followed.kind(file, node.value) == ENVIRON
            if (name := self._followed.variable(file, node)) is not None
        }

    @cached_property
    def of_boto3(self) -> dict[tuple[str, str], str]:
        """Clients and resources that tools make by boto3 itself: the kind and the service, each with a place."""
        found: dict[tuple[str, str], str] = {}
        for file, node, kind in self._made(self._of_tools):
            if self._followed.is_of(file, node.func, "boto3"):
                found.setdefault((kind[0], kind[1]), line_of(file, node))
        return found

    def _made(self, nodes: Iterable[tuple[Path, ast.AST]]) -> Iterator[tuple[Path, ast.Call, tuple[str, ...]]]:
        """Yield the calls that are a client or a resource, each with its kind and service."""
        for file, node in nodes:
            kind = self._followed.kind(file, node) if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and kind is not None and kind[0] in ("client", "resource"):
                yield file, node, kind

    @property
    def services(self) -> dict[str, str]:
        """Services of AWS that tools have a client of, or that the declarations sign for, each with its place."""
        return self._of_servers.services | self.clients

    @cached_property
    def clients(self) -> dict[str, str]:
        """Services of which tools certainly make a client, each with its place."""
        found: dict[str, str] = {}
        for file, node, kind in self._made(self._reached.nodes):
            found.setdefault(kind[1], line_of(file, node))
        return found

    @cached_property
    def calls(self) -> dict[tuple[str, str], str]:
        """Calls that tools certainly make of a client: its service and the method, each with its place."""
        found: dict[tuple[str, str], str] = {}
        for file, node in self._reached.nodes:
            if (of := self._call(file, node)) is not None and of[0] == "client":
                found.setdefault(of[1:], line_of(file, node))
        return found

    def _call(self, file: Path, node: ast.AST) -> tuple[str, str, str] | None:
        """Return the kind, service and method of a call of a client; of a paginator, the method that it calls."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        kind, method = self._followed.kind(file, node.func.value), node.func.attr
        if kind is None or kind[0] not in ("client", "resource"):
            return None
        pages = self._followed.text(file, node.args[0]) if method == "get_paginator" and node.args else None
        return kind[0], kind[1], pages or method

    @cached_property
    def method_names(self) -> frozenset[str]:
        """The names of all methods that tools call of anything, and the texts that may be one."""
        texts = {node.value for _, node in self._of_tools if isinstance(node, ast.Constant)}
        attributes = {node.attr for _, node in self._of_tools if isinstance(node, ast.Attribute)}
        return frozenset(attributes | {text for text in texts if isinstance(text, str)})

    @cached_property
    def markers(self) -> dict[tuple[str, str], str]:
        """The variable of a table and the key under which ``write_once`` marks a call in it, each with its place."""
        found: dict[tuple[str, str], str] = {}
        for file, node in self._reached.nodes:
            if isinstance(node, ast.Call) and last_name(node.func) in ("write_once", "written_once"):
                given = {one.arg: one.value for one in node.keywords} if [*self._operations(file, node)] else {}
                if "table" in given and "key" in given:
                    names = self._followed.variable(file, given["table"]), self._followed.text(file, given["key"])
                    if names[0] is not None and names[1] is not None:
                        found.setdefault((names[0], names[1]), line_of(file, given["key"]))
        return found

    @property
    def signed_for(self) -> frozenset[str]:
        """Services that the declarations of servers sign for."""
        return frozenset(self._of_servers.services)

    @cached_property
    def reads_unknown_variables(self) -> bool:
        """Whether some place reads variables whose names are not written out."""
        return any("client" not in what or what == "environ or client" for what in self.unfollowed.values())

    def mentions(self, variable: str) -> bool:
        """Return whether the project's code, or a declaration, has the name of a variable in any form."""
        return variable in self._of_servers.variables or _plain(variable) in self._texts

    @cached_property
    def _texts(self) -> str:
        """The Python files of the project, and the playbook's YAML, without case and signs between words."""
        project = project_of(self.folder)
        listed = {*files_in(self.folder, "**/*.py", "**/*.yaml"), *files_in(project, "*.py")}
        if project != self.folder:
            beside = [one for one in project.iterdir() if one.is_dir() and (one / "__init__.py").is_file()]
            listed |= {file for one in beside for file in files_in(one, "**/*.py")}
        return "\n".join(_plain(file.read_text(encoding="utf-8", errors="replace")) for file in sorted(listed))

    @cached_property
    def called(self) -> dict[str, frozenset[str]]:
        """The methods that tools call of the client of each service; those of servers/ are not known."""
        found: dict[str, set[str]] = {}
        for file, node in self._of_tools:
            if (of := self._call(file, node)) is not None:
                found.setdefault(of[1], set()).add(of[2])
        return {service: frozenset(names) for service, names in found.items()}

    @cached_property
    def _followed(self) -> Followed:
        return Followed(self.folder, self._trees)

    @cached_property
    def _of_servers(self) -> Declared:
        return declared_in(self.folder)

    @property
    def actions(self) -> dict[str, str]:
        """Actions that the declarations of servers need, each with its file."""
        return self._of_servers.actions

    @property
    def aims(self) -> "list[tuple[str, str, bool, str]]":
        """What the declarations of servers use: action, name or variable, whether it is a variable, and the file."""
        return self._of_servers.aims

    @cached_property
    def dynamodb(self) -> dict[str, str]:
        """Actions of DynamoDB that tools certainly need, each with its place."""
        found: dict[str, str] = {}
        for file, node in self._reached.nodes:
            for operation in self._operations(file, node):
                found.setdefault(operation, line_of(file, node))
        return found

    @cached_property
    def perhaps_dynamodb(self) -> frozenset[str]:
        """Actions of DynamoDB that tools may need, by the names of methods and of parts of a transaction alone."""
        calls = [node for _, node in self._of_tools if isinstance(node, ast.Call)]
        texts = {node.value for _, node in self._of_tools if isinstance(node, ast.Constant)}
        found = {action for node in calls for action in OPERATIONS.get(last_name(node.func), ())}
        found |= {action for node in calls if last_name(node.func) in STATEMENTS for action in PARTIQL.values()}
        found |= {action for name, actions in OPERATIONS.items() if name in texts for action in actions}
        return frozenset(found | {action for name, action in PARTS.items() if name in texts} | self.dynamodb.keys())

    def _is_dynamodb(self, file: Path, node: ast.AST) -> bool:
        """Return whether an expression is certainly a client of DynamoDB, or one of its tables."""
        of = self._followed.kind(file, node)
        return of == TABLE or of in [(kind, "dynamodb") for kind in ("client", "resource", "paginator")]

    def _operations(self, file: Path, node: ast.AST) -> Iterator[str]:
        if not isinstance(node, ast.Call):
            return
        name, by_name = last_name(node.func), {one.arg for one in node.keywords}
        of = self._followed.kind(file, node.func.value) if isinstance(node.func, ast.Attribute) else None
        if name in ("write_once", "written_once"):
            if of == CONTEXT or self._followed.is_of(file, node.func, "ballast"):
                yield from OPERATIONS[name]
        elif name == "Change" and self._followed.is_of(file, node.func, "ballast"):
            writes = [one.value for one in node.keywords if one.arg == "writes"]
            yield from self._parts(file, writes or node.args[1:2])
        elif isinstance(node.func, ast.Attribute) and self._is_dynamodb(file, node.func.value):
            if name == "get_paginator" and (named := [*node.args, *(one.value for one in node.keywords)]):
                yield from OPERATIONS.get(self._followed.text(file, named[0]) or "", ())
            elif name in ("transact_write_items", "transact_get_items"):
                yield from self._parts(file, [*node.args, *(one.value for one in node.keywords)])
            elif name == "batch_writer":
                yield "BatchWriteItem"
            elif name in STATEMENTS and not by_name.isdisjoint((None, "Statement", "Statements", "TransactStatements")):
                yield from partiql(node)
            elif of == TABLE or not by_name.isdisjoint((None, *_TABLES)):
                yield from OPERATIONS.get(name, ())

    def _parts(self, file: Path, given: list[ast.expr]) -> Iterator[str]:
        """Yield the actions of the parts of a transaction."""
        for node in given:
            for one in self._followed.within(file, node):
                for key, value in zip(one.keys, one.values, strict=True) if isinstance(one, ast.Dict) else ():
                    if isinstance(key, ast.Constant) and key.value in PARTS and not isinstance(value, ast.Constant):
                        yield PARTS[str(key.value)]

    @cached_property
    def on_tables(self) -> dict[tuple[str, str], str]:
        """Actions of DynamoDB with the variable of their table, where a call names it; each with its place."""
        found: dict[tuple[str, str], str] = {}
        for file, node in self._reached.nodes:
            for given in node.keywords if isinstance(node, ast.Call) else ():
                if given.arg not in ("TableName", "table"):
                    continue
                variable = self._followed.variable(file, given.value)
                for operation in self._operations(file, node) if variable is not None else ():
                    found.setdefault((operation, str(variable)), line_of(file, node))
        return found

    @cached_property
    def indexes(self) -> dict[str, str]:
        """Indexes of tables that tools query by a written-out name, each with its place."""
        found: dict[str, str] = {}
        for file, node in self._reached.nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                names = [one.value for one in node.keywords if one.arg == "IndexName"]
                of_dynamodb = bool(names) and self._is_dynamodb(file, node.func.value)
                for name in self._followed.texts(file, names[0]) if of_dynamodb else ():
                    found.setdefault(name, line_of(file, names[0]))
        return found

    @cached_property
    def unfollowed(self) -> dict[str, str]:
        """What cannot be known of the code's variables and clients here: places, each with what is read there."""
        found: dict[str, str] = {}
        takers = frozenset(
            node.name
            for _, node in self._nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and any(one.arg == "environ" for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
        )
        for file, tree in self._trees:
            is_known = partial(self._is_written_out, file)
            known = {id(one) for node in _walked(tree) for one in _followed(node, takers, is_known)}
            for node in _walked(tree):
                if _of_context(node) and id(node) not in known:
                    found.setdefault(line_of(file, node), last_name(node) or "environ or client")
        return found

    def _is_written_out(self, file: Path, node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) or self._followed.text(file, node) is not None

    @cached_property
    def unfollowed_clients(self) -> dict[str, str]:
        """Services whose clients the code makes, and none of whose calls can be followed; each with a place."""
        found: dict[str, str] = {}
        for file, node, kind in self._made(self._of_tools):
            found.setdefault(kind[1], line_of(file, node))
        followed = {*self.called, *(["dynamodb"] if self.dynamodb else [])}
        return {service: place for service, place in found.items() if service not in followed}

    @cached_property
    def _nodes(self) -> list[tuple[Path, ast.AST]]:
        return [(file, node) for file, tree in self._trees for node in _walked(tree)]

    @cached_property
    def _stores(self) -> frozenset[Path]:
        parts = {file: file.relative_to(self.folder).parts[0] for file, _ in self._trees}
        return frozenset(file for file, first in parts.items() if first in ("store", "store.py"))

    @cached_property
    def _of_tools(self) -> list[tuple[Path, ast.AST]]:
        """The nodes of code that may run with the executor's role: all but the store's."""
        return [(file, node) for file, node in self._nodes if file not in self._stores]

    @cached_property
    def _reached(self) -> Reached:
        """The nodes that certainly run with the executor's role."""
        own = [(file, tree) for file, tree in self._trees if file not in self._stores]
        return Reached(self._followed, own, self._asks, frozenset())

    @cached_property
    def _reached_with_the_store(self) -> Reached:
        return Reached(self._followed, self._trees, self._asks, self._stores)

    def _asks(self, file: Path, test: ast.AST) -> bool:
        """Return whether a test depends on a variable that the code looks for and does without."""
        return any(
            [*self._looked_for(where, one)]
            for inside in ast.walk(test)
            for where, one in ((file, inside), *self._followed.sources(file, inside))
        )


def _walked(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a file, but of what only its start as a script runs."""
    waiting = [tree]
    for node in waiting:  # grows
        if not is_main(node):
            yield node
            waiting += ast.iter_child_nodes(node)


def _of_context(node: ast.AST) -> bool:
    """Return whether an expression is the environment of a process or of a call, or what makes its clients."""
    match node:
        case ast.Attribute(value=ast.Name(id="ctx" | "context"), attr="environ" | "client"):
            return True
        case ast.Attribute(value=ast.Attribute(attr="ctx" | "_ctx"), attr="environ" | "client"):
            return True
        case ast.Name(id="environ", ctx=ast.Load()):
            return True
        case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "getenv"):
            return True
        case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id="ctx" | "context"), name, *_]):
            return not isinstance(name, ast.Constant) or name.value in ("environ", "client")
    return False


def _followed(node: ast.AST, takers: frozenset[str], is_known: Callable[[ast.AST], bool]) -> Iterator[ast.AST]:
    """Yield the parts of ``node`` that read a variable, or make a client, by a name that is known.

    ``takers``: functions with a parameter ``environ``, which is followed by that name.
    """
    if isinstance(node, ast.Call) and last_name(node.func) in takers:
        yield from (*node.args, *(one.value for one in node.keywords))
    match node:
        case ast.Subscript(value=read, slice=name) if is_known(name):
            yield read
        case ast.Call(func=ast.Attribute(value=read, attr="get" | "pop" | "setdefault") as named, args=[name, *_]) if (
            is_known(name)
        ):
            yield from (read, named)
        case ast.Call(func=ast.Attribute() as made, args=[name, *_]) if is_known(name):
            yield made
        case ast.Call(func=by, args=[made, name, *_]) if last_name(by) == "partial" and is_known(name):
            yield made
        case ast.Compare(left=name, ops=[ast.In() | ast.NotIn()], comparators=[read]) if is_known(name):
            yield read


def _plain(text: str) -> str:
    return re.sub(r"[_-]", "", text).casefold()
