"""Files that take a command's result: tried before anything is played, since a play costs time and perhaps money."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ballast.errors import InvalidInput, PlaybookInvalid
from ballast.playbook.file_digests import REPORTS, covers
from ballast.playbook.load import playbook_in


def check_place(option: str, file: Path) -> None:
    """Raise ``InvalidInput`` for a report that a project's layer would get, or its certificate would cover."""
    place = file.resolve()
    for folder in place.parents:
        try:
            playbook = playbook_in(folder)
        except PlaybookInvalid:
            continue  # the folder of several projects
        if not (playbook / "agent.yaml").is_file():
            continue
        project = folder.parent if playbook == folder else folder
        if covers(project, place):
            raise InvalidInput(
                f"{option} {file}: would become part of the project {project}: its layer would have it, or its "
                f"certificate would not fit any more. Name a file in {project / REPORTS}, or outside of the project."
            )
        return


def check_report(option: str, file: Path) -> None:
    """Try whether ``file`` can take a report, and leave it as it is. Raises ``InvalidInput``."""
    check_place(option, file)
    check(option, file)


def check(option: str, file: Path) -> None:
    """Try whether ``file`` can be written, and leave it as it is. Raises ``InvalidInput``, which names the option.

    The folder of reports is made where it is missing: a new project has none.
    """
    place = file.absolute().parent
    if place.name == REPORTS and place.parent.is_dir() and not place.exists():
        try:
            place.mkdir()
        except OSError as problem:
            raise InvalidInput(f"{option} {file}: {place} cannot be made ({problem.strerror}).") from None
    if file.is_dir() or not place.is_dir():
        raise InvalidInput(f"{option} {file}: must be a file in a folder that exists.")
    if file.exists() and not file.is_file():
        return  # a device or a pipe: opening it is already a use
    try:
        handle, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.")
        os.close(handle)
        os.unlink(made)
        if file.exists():
            with file.open("ab"):
                pass
    except OSError as problem:
        raise InvalidInput(f"{option} {file}: cannot be written ({problem.strerror}). Nothing was played.") from None


def check_distinct(named: dict[str, str | None]) -> None:
    """Raise ``InvalidInput`` if two options name one file: the one would replace the other."""
    places: dict[Path, str] = {}
    for option, file in named.items():
        if file is None:
            continue
        other = places.setdefault(Path(file).resolve(), option)
        if other != option:
            raise InvalidInput(f"{option} {file}: is also the file of {other}. Name another one.")
