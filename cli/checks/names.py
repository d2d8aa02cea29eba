"""The names of a playbook's modules: what each means, through imports, and each mention of a function or a class."""

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from cli.checks.modules import Bound, Function, Imported, Module, last_name

#: Expressions that are followed from one to the next, at most.
DEEPEST = 12


class Names:
    """The modules of a playbook, and what their names mean."""

    def __init__(self, folder: Path, trees: tuple[tuple[Path, ast.AST], ...]) -> None:
        """Take the files of ``folder``, whose name is that of the package."""
        self.modules = {}
        for file, tree in trees:
            parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module(name, file, tree)
        self._of_file = {one.file: one for one in self.modules.values()}

    @cached_property
    def _mentions(self) -> dict[int | str, list[tuple[Module, ast.expr]]]:
        """The names and attributes that mean a function or a class of the playbook, by its node.

        By name: the attributes that no import leads to, and names whose binding is not seen (``import *``).
        """
        found: dict[int | str, list[tuple[Module, ast.expr]]] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
                    continue
                meant = self._named(module, node)
                if isinstance(node, ast.Name) and node.id == "cls":
                    owners = (one for one in module.scopes(node) if isinstance(one, ast.ClassDef))
                    meant = [(module, next(owners, None))]
                for _, one in meant:
                    found.setdefault(id(one), []).append((module, node))
                if not meant:
                    found.setdefault(str(getattr(node, "attr", getattr(node, "id", ""))), []).append((module, node))
        return found

    def _calls(self, target: Function | ast.ClassDef) -> Iterator[tuple[Module, ast.Call | None]]:
        """Yield the calls of a function, or of a class and its subclasses; None for any other mention of it."""
        named = [(*at, False) for at in self._mentions.get(id(target), ())]
        by_name = [(*at, True) for at in self._mentions.get(target.name, ())]
        for module, node, is_unknown in (*named, *(at for at in by_name if isinstance(at[1], ast.Name))):
            around = module.parent.get(id(node))
            named_by: ast.AST = node
            if isinstance(around, ast.Subscript) and around.value is node:  # Repository[Parcel]
                named_by, around = around, module.parent.get(id(around))
            if isinstance(around, ast.Call) and around.func is named_by and not is_unknown:
                yield module, around
            elif isinstance(around, ast.ClassDef) and isinstance(target, ast.ClassDef) and named_by in around.bases:
                makes = (id(around), "__init__") in module.bound or id(around) in module.fields
                yield from [(module, None)] if makes else self._calls(around)
            elif not module.is_annotation(node):
                yield module, None

    @cached_property
    def _packages(self) -> frozenset[str]:
        return frozenset(name.partition(".")[0] for name in self.modules)

    @cached_property
    def _replaced(self) -> list[frozenset[str]]:
        """The fields that each ``replace(one, table=other)`` of the playbook gives another value."""
        nodes = [one for module in self.modules.values() for one in ast.walk(module.tree) if isinstance(one, ast.Call)]
        return [frozenset(str(one.arg) for one in call.keywords) for call in nodes if last_name(call.func) == "replace"]

    def _bound(self, module: Module, name: ast.Name) -> list[tuple[Module, Bound]]:
        """Return what a name may be, each with its module; imports of the playbook's own are followed."""
        for number, scope in enumerate(module.scopes(name)):
            if isinstance(scope, ast.ClassDef) and number:
                continue
            if (id(scope), name.id) in module.bound:
                return [self._imported(module, one) for one in module.bound[id(scope), name.id]]
        return []

    def _imported(self, module: Module, value: Bound) -> tuple[Module, Bound]:
        for _ in range(DEEPEST):
            if not isinstance(value, Imported) or value.name is None:
                break
            if (inside := f"{value.module}.{value.name}") in self.modules:
                return module, Imported(inside, None)
            if value.module not in self.modules:
                break
            module = self.modules[value.module]
            found = module.bound.get((id(module.tree), value.name), [])
            if len(found) != 1:
                return module, None
            value = found[0]
        return module, value

    def _named(self, module: Module, node: ast.AST) -> list[tuple[Module, Bound]]:
        """Return what a name, or a name in a module of the playbook, may be."""
        match node:
            case ast.Name():
                return self._bound(module, node)
            case ast.Attribute(value=ast.Name() | ast.Attribute() as owner, attr=name):
                match self._named(module, owner):
                    case [(_, Imported(module=of, name=None))] if of.partition(".")[0] in self._packages:
                        return [self._imported(module, Imported(of, name))]
        return []
