"""Findings about what stands in for the world on this machine: the store, which is seeded, and the stand-ins."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ballast.errors import PlaybookInvalid
from ballast.playbook import Playbook
from ballast.playbook.load import playbook_in
from ballast.playbook.servers.declaration import FromEnvironment
from cli.checks import Finding
from cli.checks.files import files_in, parsed
from cli.checks.loading import finding_of
from localcloud import stand_ins
from localcloud.project import project_of, store_of


def standing(folder: Path, playbook: Playbook | None) -> Iterator[Finding]:
    """Yield why the store or the stand-ins cannot be used: both are imported, and nothing of them is called.

    ``playbook`` is None where loading refused it: its package cannot be imported, so the files are only read.
    """
    file = project_of(folder) / stand_ins.FILE
    if playbook is None:
        store = playbook_in(folder.resolve()) / "store"
        of_store = files_in(store.parent, "store/**/*.py", "store.py")
        yield from _unreadable([*of_store, *files_in(file.parent, file.name)])
        return
    before = frozenset(sys.modules)
    try:
        store_of(playbook)
    except PlaybookInvalid as problem:
        yield finding_of(str(playbook.folder), str(problem))
    try:
        stand_ins.StandInFunctions(stand_ins.imported(folder), folder)
    except PlaybookInvalid as problem:
        yield finding_of(str(file), str(problem))
    finally:
        for name in sys.modules.keys() - before:  # so that a later run reads the files anew
            if str(project_of(folder)) in str(getattr(sys.modules[name], "__file__", None)):
                sys.modules.pop(name)


def _unreadable(files: list[Path]) -> Iterator[Finding]:
    for file in files:
        try:
            ast.parse(file.read_bytes())
        except SyntaxError as problem:
            said = f"It cannot be imported: {problem}."
            yield Finding("error", f"{file}, line {problem.lineno}", "", said, "Correct it, and check again.")
        except (OSError, ValueError):
            continue


def unanswered(folder: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the declared Lambda functions for which ``FUNCTIONS`` of the stand-ins has no handler, where it is written
    out.

    environment  the variables that business.yaml gives to the tools; a value with ${…} is not known
    """
    file, handlers = project_of(folder) / stand_ins.FILE, _handlers(folder)
    if handlers is None:
        return
    led_to = {name for name, _ in yielded(folder)}
    for declared, server in stand_ins.lambda_servers(folder):
        named = server.function
        variable = named.env if isinstance(named, FromEnvironment) else None
        function = environment.get(variable, "${") if variable is not None else str(named)
        if "${" in function or variable in led_to:
            continue
        answered = {environment.get(one, one) for one in handlers}
        if stand_ins.plain(function) not in map(stand_ins.plain, answered):
            name = stand_ins.plain(function)
            yield Finding(
                "warning",
                str(file),
                stand_ins.HANDLERS,
                f"It has no handler for {name}, which servers/{declared.name} invokes: each such call fails here, as "
                f"not configured. It has: {', '.join(sorted(handlers)) or 'none'}.",
                f'Write {stand_ins.HANDLERS} = {{"{name}": handler}}, with def handler(event, context).',
            )


def _handlers(folder: Path) -> frozenset[str] | None:
    """Return the names in ``FUNCTIONS`` of the stand-ins; None if they are computed, or there are no stand-ins."""
    tree = _tree(folder)
    if tree is None:
        return None
    named = [one for one in ast.walk(tree) if stand_ins.HANDLERS in (getattr(one, "id", ""), getattr(one, "name", ""))]
    assigned = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id == stand_ins.HANDLERS
    ]
    if not named:
        is_open = any(isinstance(one, ast.alias) and one.name == "*" for one in ast.walk(tree))
        return None if is_open else frozenset()
    if len(named) > 1 or not assigned:
        return None  # it is made, or changed, elsewhere
    keys: list[ast.expr | None] = assigned[0].keys if isinstance(assigned[0], ast.Dict) else [None]
    texts = [one.value for one in keys if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return frozenset(texts) if len(texts) == len(keys) else None


def _tree(folder: Path) -> ast.Module | None:
    file = project_of(folder) / stand_ins.FILE
    return parsed(file) if file.is_file() else None


def yielded(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the variables that the stand-ins lead to by names that are written out, each with its place."""
    file, tree = project_of(folder) / stand_ins.FILE, _tree(folder)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef) and node.name == stand_ins.FUNCTION:
            for made in ast.walk(node):
                for key in made.value.keys if isinstance(made, ast.Yield) and isinstance(made.value, ast.Dict) else ():
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, f"{file}, line {key.lineno}"
