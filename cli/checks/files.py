"""Files of a project: those that can be read, and findings about those that cannot or that nothing is made of."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from ballast.errors import PlaybookInvalid
from ballast.playbook import Fallback, Playbook, Tool
from ballast.playbook.load import playbook_in
from cli.checks import Finding
from localcloud.project import BUSINESS, package_of, project_of

#: Files that a check reads, by what their names end with, and those that lie in the project itself.
_READ = (".py", ".yaml", ".json")
_OF_PROJECT = (BUSINESS, "requirements.txt", "samconfig.toml")
#: The package whose decorators make tools and fallbacks.
PLAYBOOK = "ballast.playbook"


def files_in(folder: Path, *patterns: str) -> list[Path]:
    """Return the regular files of a folder that can be read, sorted; without hidden ones, which nothing imports."""
    found = {one for pattern in patterns for one in folder.glob(pattern) if not one.name.startswith(".")}
    return [one for one in sorted(found) if _why_unreadable(one) is None]


def parsed(file: Path) -> ast.Module | None:
    """Return the tree of a Python file; None if it cannot be read or is no Python, which loading tells."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def unreadable(folder: Path) -> list[Finding]:
    """Return a finding for each file of the project that no check can read."""
    try:
        project, playbook = project_of(folder), playbook_in(folder.resolve())
    except PlaybookInvalid:
        return []  # loading tells it
    inside = [one for place in (playbook, project / "scenarios") for one in place.rglob("*") if one.suffix in _READ]
    found = []
    for file in sorted({*inside, *(project / name for name in _OF_PROJECT)}):
        why = None if file.name.startswith(".") else _why_unreadable(file)
        if why is not None and os.path.lexists(file) and (file.suffix == ".py" or not file.is_dir()):
            found.append(Finding("error", str(file), "", *why))
    return found


def never_ends(file: Path) -> bool:
    """Return whether reading it may never end, as that of a pipe or of a device."""
    return file.exists() and not file.is_file() and not file.is_dir()


def _why_unreadable(file: Path) -> tuple[str, str] | None:
    """Return why a file cannot be read, and what to do; None if it can."""
    if not file.exists():
        return "It is a link to nothing.", "Remove it, or let it lead to a file."
    if file.is_dir():
        return "It is a folder, and its name is that of a file.", "Rename or remove the folder."
    if not file.is_file():
        return "It is no regular file, but a pipe, a socket or a device: reading it may never end.", "Remove it."
    if not os.access(file, os.R_OK):
        return "It cannot be read: the permission is missing.", "Give yourself the right to read it."
    return None


def idle(playbook: Playbook) -> Iterator[Finding]:
    """Yield files that look like a tool, a fallback or a server, and are none. The playbook is whole."""
    folder, package = Path(playbook.folder), package_of(playbook)
    trees = {file: tree for file in files_in(folder, "**/*.py") if (tree := parsed(file)) is not None}
    imported = {name for tree in trees.values() for node in ast.walk(tree) for name in _imported(node)}
    kinds: tuple[tuple[str, type[Tool | Fallback]], ...] = (("tool", Tool), ("fallback", Fallback))
    for kind, made in kinds:
        for file in files_in(folder / f"{kind}s", "[!_]*.py"):
            module = sys.modules.get(f"{package}.{kind}s.{file.stem}")
            if module is None or file.stem in imported or any(isinstance(one, made) for one in vars(module).values()):
                continue
            said = f"Nothing in it is decorated with @{kind}, and no file imports it: it does nothing."
            yield Finding("warning", str(file), "", said, f"Decorate its function with @{kind}, or remove the file.")
    taken = {*playbook.tools, *(str(getattr(one.function, "__name__", "")) for one in playbook.fallbacks.values())}
    for file, tree in trees.items():
        is_read = file.parent in (folder / "tools", folder / "fallbacks") and file.name != "__init__.py"
        for node in () if is_read else tree.body:
            declared = _declares(tree, node)
            if declared is not None and getattr(node, "name", None) not in {*taken, *imported}:
                place, remedy = f"{file}, line {node.lineno}", f"Move it into {declared}s/, or import it there."
                said = f"It is decorated with @{declared}, and only files in {declared}s/ itself are read."
                yield Finding("warning", place, "", said, remedy)
    for file in files_in(folder / "servers", "*.yml"):
        said = "A server's file ends with .yaml, and this one is not read."
        yield Finding("warning", str(file), "", said, "Rename it, or remove it.")


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the last part of each name that an import may take a module by."""
    match node:
        case ast.Import(names=names):
            yield from (one.name.rpartition(".")[2] for one in names)
        case ast.ImportFrom(module=module, names=names):
            yield from ((module or "").rpartition(".")[2], *(one.name for one in names))


def _declares(tree: ast.Module, node: ast.stmt) -> str | None:
    """Return what a decorator of ballast makes of a function: a tool, or a fallback."""
    own = {one.name for by in tree.body if isinstance(by, ast.ImportFrom) and by.module == PLAYBOOK for one in by.names}
    for one in getattr(node, "decorator_list", ()):
        name = ast.unparse(one.func if isinstance(one, ast.Call) else one)
        if name in own & {"tool", "fallback"}:
            return name
    return None
