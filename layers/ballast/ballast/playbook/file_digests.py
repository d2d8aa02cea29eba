"""The files that are deployed, and their digests: one list for layers, certificates and what a run says it is made of.

A function cannot see all of them: other functions' code, the workflow, what is shipped beside the playbook. So a build
keeps the digests in its layers (``keep``), and a function reads them there (``kept``).

Imports nothing of Ballast: the build uses it alone.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CERTIFICATE = "certificate.json"
#: Files of a project with which its playbook is tried, beside what is in ``scenarios/``.
_REQUIREMENTS = "requirements.txt"
_TRIED_WITH = ("business.yaml", _REQUIREMENTS)
#: A line of requirements.txt that includes another file.
_INCLUDES = re.compile(r"(?:-r|-c|--requirement|--constraint)[\s=]*(?P<file>.+)")
_SCENARIOS = "scenarios"
#: Where commands write their reports: no layer has them, and no certificate covers them.
REPORTS = "reports"
#: What lies at a project's top and no layer needs, beside all names with a dot.
_NOT_SHIPPED = ("tests", _SCENARIOS, REPORTS, "business.yaml", "pyproject.toml", "samconfig.toml", "README.md")
#: How an exported run begins: see ``ballast.log.exported``.
_EXPORTED = b'{"ballast": "run", "version": '
#: Where a build keeps digests of a package: no source has it, and no digest covers it.
_KEPT = "__pycache__/shipped.json"
#: What other tools leave in any folder, beside bytecode and their caches.
_LEFT_BY_TOOLS = ("__pycache__", ".git", ".DS_Store")


def shipped(project: Path) -> Iterator[Path]:
    """Yield the files of a project that its layer gets: those of its playbook, and what lies beside it.

    An exported run at its top is none of them, whatever its name: it is a record with customers' data.
    """
    for one in sorted(project.iterdir()):
        if _is_for_layers(one.name) and not _is_export(one):
            yield from _files(one, (project.resolve(),))


def copy(project: Path, to: Path) -> None:
    """Copy what is shipped of a project."""
    for file in shipped(project):
        copied = to / file.relative_to(project)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copied)


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


def of_trials(project: Path, playbook: str, templates: Iterable[Path]) -> dict[str, str]:
    """Return the digest of each file of a project with which its playbook is tried, by path.

    That is each one that is shipped beside it, too. ``playbook``: the name of the playbook's folder; ``templates``:
    those that samconfig.toml names.
    """
    named = [project / name for name in _TRIED_WITH]
    named = [one for one in (*named, *templates, *included(project)) if one.is_file() and _is_inside(one, project)]
    beside = (file for file in shipped(project) if file.relative_to(project).parts[0] != playbook)
    return _digests(project, [*named, *_files(project / _SCENARIOS), *beside])


def included(project: Path) -> list[Path]:
    """Return what the project's requirements.txt names: files of requirements and constraints, and local packages."""
    return [file for _, file in includes(project) if file is not None]


def includes(project: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield each file that requirements.txt names, with the line that does; None for what is not in the project.

    A folder's files are one each. What they name themselves is yielded as well.
    """
    left, seen = [project / _REQUIREMENTS], set()
    while left:
        requirements = left.pop()
        seen.add(requirements)
        text = requirements.read_text(encoding="utf-8", errors="replace") if requirements.is_file() else ""
        for written in text.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s)#.*", "", written).strip()
            option = _INCLUDES.match(line)
            if option is None:
                for word in re.split(r"[\s=]+|@\s*file:(?://)?", line):
                    yield from ((line, file) for file in _local(requirements.parent, word, project))
                continue
            file = Path(os.path.normpath(requirements.parent / option["file"].strip("\"'")))
            there = "://" not in option["file"] and file.is_file() and _is_inside(file, project)
            yield line, file if there else None
            if there and file not in seen:
                left.append(file)


def _local(folder: Path, word: str, project: Path) -> Iterator[Path | None]:
    """Yield the files of a package, or of a folder of packages, that a word of a requirement names."""
    if "/" not in word or "://" in word or not (folder / word).exists():
        return
    place = Path(os.path.normpath(folder / word))
    if _is_inside(place, project):
        yield from _files(place)
    else:
        yield None


def _is_inside(file: Path, project: Path) -> bool:
    return Path(os.path.normpath(file)).is_relative_to(os.path.normpath(project))


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
    found = {
        Path(os.path.relpath(file, folder)).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }
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


def _is_export(file: Path) -> bool:
    """Return whether a file begins as ``ballast trace --export`` does, in any encoding of a shell."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return _EXPORTED in opened.read(64).replace(b"\0", b"")


def _is_for_layers(name: str) -> bool:
    """Return whether what has that name at a project's top is shipped."""
    return name not in _NOT_SHIPPED and not name.startswith(".")


def _is_left_by_tools(name: str) -> bool:
    return name in _LEFT_BY_TOOLS or name.endswith(".pyc") or (name.startswith(".") and name.endswith("_cache"))
