"""The files that are deployed, and their digests: one list for layers, certificates and what a run says it is made of.

A function cannot see all of them: other functions' code, the workflow, what is shipped beside the playbook. So a build
keeps the digests in its layers (``keep``), and a function reads them there (``kept``).

Imports nothing of Ballast: the build uses it alone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CERTIFICATE = "certificate.json"
#: Files of a project with which its playbook is tried, beside what is in ``scenarios/``.
_TRIED_WITH = ("business.yaml", "requirements.txt")
_SCENARIOS = "scenarios"
#: Where commands write their reports: no layer has them, and no certificate covers them.
REPORTS = "reports"
#: What lies at a project's top and no layer needs, beside all names with a dot.
_NOT_SHIPPED = ("tests", _SCENARIOS, REPORTS, "business.yaml", "pyproject.toml", "samconfig.toml", "README.md")
#: Where a build keeps digests of a package: no source has it, and no digest covers it.
_KEPT = "__pycache__/shipped.json"
#: What other tools leave in any folder, beside bytecode and their caches.
_LEFT_BY_TOOLS = ("__pycache__", ".git", ".DS_Store")


def shipped(project: Path) -> Iterator[Path]:
    """Yield the files of a project that its layer gets: those of its playbook, and what lies beside it."""
    for one in sorted(project.iterdir()):
        if _is_for_layers(one.name):
            yield from _files(one, (project.resolve(),))


def covers(project: Path, file: Path) -> bool:
    """Return whether a file that is made in the project would be shipped, or compared by its certificate."""
    parts = file.relative_to(project).parts
    if any(map(_is_left_by_tools, parts)):
        return False
    return _is_for_layers(parts[0]) or parts[0] == _SCENARIOS or "/".join(parts) in _TRIED_WITH


def of_playbook(folder: Path) -> dict[str, str]:
    """Return the digest of each file of a playbook's folder, by path: all but its certificate and caches."""
    files = (file for file in _files(folder) if file != folder / CERTIFICATE)
    return _digests(folder, files)


def of_trials(project: Path, playbook: str) -> dict[str, str]:
    """Return the digest of each file of a project with which its playbook is tried, by path.

    That is each one that is shipped beside it, too. ``playbook``: the name of the playbook's folder.
    """
    named = [project / name for name in _TRIED_WITH if (project / name).is_file()]
    beside = (file for file in shipped(project) if file.relative_to(project).parts[0] != playbook)
    return _digests(project, [*named, *_files(project / _SCENARIOS), *beside])


def of_platform(root: Path) -> dict[str, str]:
    """Return the digest of each file of the platform's code by path: layer, functions, workflow, without the console.

    ``root``: the platform's folder. Model cards are apart (``made_of``).
    """
    layer = root / "layers" / "ballast" / "ballast"
    code = (file for file in _files(layer) if file.suffix == ".py" and file != layer / "testing.py")  # is not shipped
    functions = (file for file in _files(root / "functions") if file.suffix in (".py", ".yaml", ".json"))
    return _digests(root, [*code, *functions, *_files(root / "statemachine")])


def of_project(project: Path) -> dict[str, str]:
    """Return the digest of each file that the project's layer gets, by path: all but certificates."""
    return _digests(project, (file for file in shipped(project) if file.name != CERTIFICATE))


def keep(digests: Mapping[str, str], package: Path) -> None:
    """Keep the digests in a built package, for functions that cannot see the files."""
    kept = package / _KEPT
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(dict(digests), sort_keys=True), encoding="utf-8")


def kept(package: Path) -> dict[str, str] | None:
    """Return the digests that a build kept in a package; None where no build made it."""
    try:
        found: dict[str, str] = json.loads((package / _KEPT).read_bytes())
    except FileNotFoundError:
        return None
    return found


def changed(had: Mapping[str, str], has: Mapping[str, str]) -> str:
    """Return the first path whose digest differs, and whether it is new or gone; "" if none does."""
    for path in sorted({*had, *has}):
        if path not in had:
            return f"{path} is new"
        if path not in has:
            return f"{path} is gone"
        if had[path] != has[path]:
            return path
    return ""


def _digests(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    found = {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return dict(sorted(found.items()))


def _files(at: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield a file, or a folder's files, those behind links as well; without bytecode and other tools' caches.

    ``above``: the real folders that it is in. A link to one of them has no end.
    """
    name = at.name
    if _is_left_by_tools(name):
        return
    if at.is_dir():
        real = above[-1] / name if above and not at.is_symlink() else at.resolve()
        if real not in above:
            for one in sorted(at.iterdir()):
                yield from _files(one, (*above, real))
    elif at.is_file():
        yield at


def _is_for_layers(name: str) -> bool:
    """Return whether what has that name at a project's top is shipped."""
    return name not in _NOT_SHIPPED and not name.startswith(".")


def _is_left_by_tools(name: str) -> bool:
    return name in _LEFT_BY_TOOLS or name.endswith(".pyc") or (name.startswith(".") and name.endswith("_cache"))
