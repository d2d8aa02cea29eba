"""Saved runs: one JSON file per run, in ``.ballast/runs/`` of the current folder or in ``$BALLAST_HOME``.

The local cloud forgets everything when its process ends; the saved log is what ``ballast trace``,
``cost`` and ``verify`` read. A file holds what customers wrote, so only its owner may read it, and
the folder has a ``.gitignore``.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ballast.contracts.wire import complaints
from ballast.errors import InvalidInput
from ballast.log.event import GARBLED, Event
from ballast.log.events import RunFeedback
from ballast.run import Run

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = 1
#: Older versions marked a run that was cut off by this title.
_CUT_OFF = "up, cut off"
#: How the titles of runs begin that a command plays again and again under one id.
_REPEATED = ("test ", "demo ")


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for the command's files: ``$BALLAST_HOME``, else ``.ballast`` here."""
    return Path(environ.get("BALLAST_HOME") or ".ballast")


def private_folder(folder: Path) -> Path:
    """Make ``folder``, for its owner only and ignored by git, and return it. Raises ``InvalidInput``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / ".gitignore"
        if not mark.exists():
            mark.write_text("*\n", encoding="utf-8")
    except OSError as problem:
        raise InvalidInput(
            f"{folder}: cannot be used to keep runs ({problem.strerror}). "
            "Set BALLAST_HOME to a folder that you can write to."
        ) from None
    return folder


def write_whole(file: Path, text: str) -> None:
    """Write ``file`` atomically: no reader sees half of it."""
    handle, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(made, file)
    except BaseException:
        os.unlink(made)
        raise


class _EmptyFile(InvalidInput):
    """A file without entries: nothing can be checked."""


@dataclass(frozen=True)
class SavedRun:
    """A saved run. ``title`` says how it was started, e.g. ``demo loop``.

    corrupt  what is wrong with each invalid entry, by its key
    cut_off  its process ended before the run did: the run is over, although its log has no ending
    """

    run_id: str
    title: str
    events: Run
    cut_off: bool = False
    corrupt: Mapping[str, str] = field(default_factory=dict)


class SavedRuns:
    """The saved runs of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "runs"
        self._home = folder

    def try_it(self) -> None:
        """Try whether a run can be saved, before one is played. Raises ``InvalidInput``."""
        try:
            handle, made = tempfile.mkstemp(dir=private_folder(private_folder(self._home) / "runs"), prefix=".try.")
            os.close(handle)
            os.unlink(made)
        except OSError as problem:
            raise InvalidInput(
                f"{self._folder}: no run can be saved there ({problem.strerror}), so none was played. Set BALLAST_HOME."
            ) from None

    def save(self, run_id: str, title: str, events: Iterable[Event], *, cut_off: bool = False) -> Path:
        """Save the log of a run and return the file. See ``SavedRun``.

        A saved log is replaced by its own continuation alone; what people said of it stays. Another run with the same
        id puts it aside, as ``RUN.1``: it can still be shown. A play of ``test`` or ``demo`` replaces an earlier one of
        the same scenario of which nobody said anything.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise InvalidInput(f"{run_id!r} is not a run id.")
        private_folder(self._home)
        private_folder(self._folder)
        file = self.file(run_id)
        kept = self._beside_earlier(run_id, title, tuple(events))
        content = {
            "version": _VERSION,
            "run_id": run_id,
            "title": title,
            "events": [event.model_dump(mode="json") for event in kept],
            # `ballast verify` needs this, too.
            "stored": [dict(event.stored) for event in kept],
            **({"cut_off": True} if cut_off else {}),
        }
        write_whole(file, json.dumps(content, indent=1))
        return file

    def _beside_earlier(self, run_id: str, title: str, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Return the log to save where one of the same id may stand: with its feedback, or the other put aside."""
        file = self.file(run_id)
        try:
            earlier = _read(file) if file.exists() else None
        except _EmptyFile:
            earlier = None
        except InvalidInput:  # whatever it is, it is not this run's
            self._put_aside(file)
            return events
        if earlier is None:
            return events
        if not earlier.corrupt and _continues(events, earlier.events):
            return events + _feedback_left(events, earlier.events)
        if not earlier.corrupt and _continues(earlier.events, events):  # an older reading of the same run
            return (*earlier.events, *_feedback_left(earlier.events, events))
        again = earlier.title == title and title.startswith(_REPEATED)
        if not again or earlier.corrupt or any(one.name == RunFeedback.NAME for one in earlier.events):
            self._put_aside(file)
        return events

    def _put_aside(self, file: Path) -> None:
        number = 1
        while self.file(f"{file.stem}.{number}").exists():
            number += 1
        other = self.file(f"{file.stem}.{number}")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            content["run_id"] = other.stem
        except (OSError, ValueError, TypeError):  # not a log: it is kept as it is
            os.replace(file, other)
            return
        write_whole(other, json.dumps(content, indent=1))

    def recent(self, most: int = 20, unreadable: dict[str, str] | None = None) -> list[SavedRun]:
        """Return the newest runs, newest first; leave out unreadable files and name them in ``unreadable``."""
        runs: list[SavedRun] = []
        for file in sorted(self._files(), key=_age):
            if len(runs) == most:
                break
            try:
                runs.append(_read(file))
            except InvalidInput as problem:
                if unreadable is not None and not isinstance(problem, _EmptyFile):
                    unreadable[file.stem] = str(problem)
        return runs

    def find(self, prefix: str) -> SavedRun:
        """Return the run whose id is ``prefix``, or the only one that starts with it.

        ``run-`` may be left out. Raises ``InvalidInput`` if none or several match.
        """
        exact = [file for file in self._files() if file.stem in (prefix, f"run-{prefix}")]
        found = exact or [file for file in self._files() if prefix and file.stem.startswith((prefix, f"run-{prefix}"))]
        if not found:
            raise InvalidInput(
                f"No saved run in {self._folder} starts with {prefix!r}. `ballast trace` lists the saved runs. "
                "A run is saved in the folder where it was started, or in $BALLAST_HOME."
            )
        if len(found) > 1:
            names = ", ".join(sorted(file.stem for file in found)[:5])
            raise InvalidInput(f"{prefix!r} matches {len(found)} saved runs: {names}. Type more of the id.")
        return _read(found[0])

    def stamp(self, run_id: str) -> tuple[int, int] | None:
        """Return what changes whenever a run with this id is saved; None if none is."""
        try:
            found = self.file(run_id).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def spent_microusd(self, run_id: str) -> int | None:
        """Return what the saved run with this whole id cost so far; None if there is none."""
        try:
            return _read(self.file(run_id)).events.timeline().money.charged_microusd
        except InvalidInput:
            return None

    def file(self, run_id: str) -> Path:
        """Return the file of a saved run."""
        return self._folder / f"{run_id}.json"

    def _files(self) -> list[Path]:
        return [file for file in self._folder.glob("*.json") if _RUN_ID.fullmatch(file.stem)]


def _continues(new: Iterable[Event], earlier: Iterable[Event]) -> bool:
    """Return whether all that is recorded of the run, apart from people's feedback, is also in the new log."""
    there = {one.seq: one.model_dump(mode="json") for one in new}
    return all(there.get(one.seq) == one.model_dump(mode="json") for one in earlier if one.name != RunFeedback.NAME)


def _feedback_left(new: Iterable[Event], earlier: Iterable[Event]) -> tuple[Event, ...]:
    """Return the feedback that only the earlier log has; with another number where the new log has it."""
    given = [one for one in new if one.name == RunFeedback.NAME]
    there = [one.model_dump(mode="json") for one in given]
    taken, left = {one.seq for one in given}, []
    for one in earlier:
        if one.name != RunFeedback.NAME or one.model_dump(mode="json") in there:
            continue
        number, seq = 0, one.seq
        while seq in taken:
            number += 1
            seq = RunFeedback(number=number, verdict="", by="").seq
        taken.add(seq)
        left.append(one if seq == one.seq else Event(run_id=one.run_id, seq=seq, at=one.at, body=one.body))
    return tuple(left)


def _age(file: Path) -> float:
    try:
        return -file.stat().st_mtime
    except OSError:  # removed in the meantime
        return 0.0


def _read(file: Path) -> SavedRun:
    remedy = "Remove the file, or run the request again."
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            raise InvalidInput(f"{file}: was written by another version of Ballast. {remedy}")
        stored = content.get("stored") or [{}] * len(content["events"])
        events: list[Event] = []
        corrupt: dict[str, str] = {}
        for number, (event, beside) in enumerate(zip(content["events"], stored, strict=True), start=1):
            kept = {str(name): str(value) for name, value in beside.items()}
            try:
                events.append(Event.model_validate(event).with_stored(kept))
            except ValidationError as problem:  # the other entries are still shown
                corrupt[_key(event, number)] = complaints(problem)
        if corrupt and not events:
            raise InvalidInput(f"{file}: an entry is not valid: {next(iter(corrupt.values()))}. {remedy}")
        if not events:
            raise _EmptyFile(f"{file}: has no entry: the run was cut off before it was admitted. {remedy}")
        title = str(content.get("title", ""))
        cut_off = content.get("cut_off", title == _CUT_OFF) is True
        return SavedRun(str(content["run_id"]), title, Run(events), cut_off, corrupt)
    except OSError as problem:
        raise InvalidInput(f"{file}: cannot be read ({problem.strerror}).") from None
    except GARBLED as problem:
        raise InvalidInput(f"{file}: is not a saved run ({type(problem).__name__}). {remedy}") from None


def _key(event: Any, number: int) -> str:
    named = event.get("seq") if isinstance(event, dict) else None
    return named if isinstance(named, str) else f"entry {number}"
