"""Digests of the files that a certificate covers. Imports nothing of Ballast: the build uses it alone."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

CERTIFICATE = "certificate.json"
#: Files of a project with which its playbook is tried, beside what is in ``scenarios/``.
_TRIED_WITH = ("business.yaml", "requirements.txt")
_SCENARIOS = "scenarios"


def of_playbook(folder: Path) -> dict[str, str]:
    """Return the digest of each file of a playbook's folder, by path: all but its certificate and caches."""
    files = (file for file in _files(folder) if file != folder / CERTIFICATE)
    return _digests(folder, files)


def of_trials(project: Path) -> dict[str, str]:
    """Return the digest of each file of a project with which its playbook is tried, by path."""
    named = [project / name for name in _TRIED_WITH if (project / name).is_file()]
    return _digests(project, [*named, *_files(project / _SCENARIOS)])


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


def _files(folder: Path) -> Iterator[Path]:
    """Yield a folder's files, without bytecode and without what other tools keep under a name with a dot."""
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and not name.endswith(".pyc"):
                yield Path(at, name)
