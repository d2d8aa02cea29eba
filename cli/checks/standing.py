"""Findings about what stands in for the world on this machine: the store, which is seeded, and the stand-ins."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from ballast.errors import PlaybookInvalid
from ballast.playbook import Playbook
from ballast.playbook.load import playbook_in
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
        stand_ins.imported(folder)
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


def yielded(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the variables that the stand-ins lead to by names that are written out, each with its place."""
    file = project_of(folder) / stand_ins.FILE
    tree = parsed(file) if file.is_file() else None
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.FunctionDef) and node.name == stand_ins.FUNCTION:
            for made in ast.walk(node):
                for key in made.value.keys if isinstance(made, ast.Yield) and isinstance(made.value, ast.Dict) else ():
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, f"{file}, line {key.lineno}"
