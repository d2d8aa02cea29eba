"""Exported runs: one text format for a run's log outside of its table, and the readers of what older forms wrote.

JSON Lines, UTF-8. A header begins a run, and its events follow in the order of the work. A file may hold many runs::

    {"ballast": "run", "version": 1, "run_id": "run-…", "title": "demo loop"}
    {"seq": "0000.run.opened", "at": "2026-03-01T12:00:00+00:00", "body": {…}, "stored": {"tenant": "default"}}
    {"seq": "0001.model.requested", …}

``stored`` has an event's other attributes in the table, as text: the digests in a run's endings cover them. A later
version may have more fields; a reader ignores what it does not know, and refuses a higher version.

The reader also takes a saved run (``.ballast/runs/…json``), pages of ``GET /runs/{run_id}/events``, and the copies of
the log in S3 (``LogCopyDays``): files of items in DynamoDB's JSON, in a folder with the run's id. Sensitive values stay
masked in all of them. Imports ``ballast.contracts`` and the log's codec.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ballast.contracts import RunRequest
from ballast.contracts.wire import canonical, complaints, text_or_length
from ballast.errors import InvalidInput
from ballast.log.codec import decode, kept_beside, payload_of
from ballast.log.event import GARBLED, Event, order
from ballast.log.seal import shown, split
from ballast.table import plain, wire
from ballast.values import dataclass

#: Is told the run's id, or the file if that is not known, the file, and what is wrong.
Bad = Callable[[str, str, InvalidInput], None]

VERSION = 1
_SUFFIXES = (".jsonl", ".json", ".ndjson")
_UNKNOWN = "run-unknown"
_RUN_ID = re.compile("run-[a-z2-7]{24}")
#: The marks with which shells on Windows begin a redirected file.
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
#: How packed files begin, and what unpacks them.
_PACKED = {b"\x1f\x8b": "gunzip", b"PK\x03\x04": "unzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz"}


@dataclass(frozen=True)
class ExportedRun:
    """One run of a file, with its events in the order of the work.

    title   how it was started, if somebody said so
    source  the file
    whole   whether the events have their ``stored`` attributes, which the digests of the endings cover
    """

    run_id: str
    events: tuple[Event, ...]
    title: str = ""
    source: str = ""
    whole: bool = True


def write(run_id: str, events: Iterable[Event], *, title: str = "") -> Iterator[str]:
    """Yield the lines of a run, as everybody may see it: without line breaks at their ends."""
    header = {"ballast": "run", "version": VERSION, "run_id": run_id} | ({"title": title} if title else {})
    yield json.dumps(header, ensure_ascii=True)
    for event in events:
        stored = {"stored": dict(event.stored)} if event.stored else {}
        yield canonical({"seq": event.seq, "at": event.at, "body": event.shown, **stored})


def read(path: Path, *, bad: Bad | None = None) -> Iterator[ExportedRun]:
    """Yield the runs of a file, or of all files in a folder and below.

    Raises ``InvalidInput``, which names the file and what is wrong with it. With ``bad`` a run or a file that cannot be
    read is told there, and the others are yielded; only a file that does not exist is raised.
    """
    if path.is_dir():
        yield from _folder(path, bad)
    elif bad is None or not path.exists():
        yield from read_text(_text_of(path), str(path))
    else:
        try:
            yield from read_text(_text_of(path), str(path), bad=bad)
        except InvalidInput as problem:
            bad(str(path), str(path), problem)


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise InvalidInput(f"{path}: cannot be read ({problem.strerror}).") from None
    if packed := next((how for begins, how in _PACKED.items() if content.startswith(begins)), ""):
        raise InvalidInput(f"{path}: is compressed. Unpack it first: `{packed} {path}`.")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{path}: is not UTF-8. An exported run is JSON Lines: export it anew, or convert the file to UTF-8."
        ) from None


def read_text(text: str, source: str, *, bad: Bad | None = None) -> Iterator[ExportedRun]:
    """Yield the runs in a text. Raises ``InvalidInput``, which names the ``source``; ``bad``: as for ``read``."""
    documents = _documents(text, source)
    first = next(documents, None)
    if first is None:
        raise InvalidInput(f"{source}: is empty. `ballast trace RUN --export` writes a run.")
    if isinstance(first, Mapping) and first.get("ballast") == "run":
        yield from _runs(first, documents, source, bad)
    elif isinstance(first, Mapping) and "events" in first:
        yield _pages([first, *documents], source)
    elif isinstance(first, Mapping) and isinstance(first.get("seq"), Mapping):
        yield _items([first, *documents], source, lambda _: None)
    elif isinstance(first, list):
        yield _made("", _events(first, source), source=source, whole=False)
    else:
        raise InvalidInput(
            f"{source}: is no exported run. `ballast trace RUN --export` writes one; pages of "
            "GET /runs/{run_id}/events and saved runs are read as well."
        )


def _documents(text: str, source: str) -> Iterator[Any]:
    reader, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            document, at = reader.raw_decode(text, at)
        except (ValueError, RecursionError):
            line = text.count("\n", 0, at) + 1
            raise InvalidInput(f"{source}: line {line} is no JSON.") from None
        yield document


def _runs(first: Mapping[str, Any], rest: Iterator[Any], source: str, bad: Bad | None) -> Iterator[ExportedRun]:
    header: Mapping[str, Any] = first
    lines: list[Any] = []
    ends: InvalidInput | None = None
    while header:
        after: Mapping[str, Any] = {}
        try:
            for document in rest:
                if isinstance(document, Mapping) and document.get("ballast") == "run":
                    after = document
                    break
                lines.append(document)
        except InvalidInput as problem:  # the text is no JSON from here on
            ends = problem
        try:
            if ends is not None:
                raise ends
            _check(header, source)
            run = _of_header(header, lines, source)
        except InvalidInput as problem:
            if bad is None:
                raise
            bad(_name_of(header, source), source, problem)
        else:
            yield run
        header, lines = after, []


def _name_of(header: Mapping[str, Any], source: str) -> str:
    run_id = header.get("run_id")
    return run_id if isinstance(run_id, str) and _RUN_ID.fullmatch(run_id) else source


def _check(header: Mapping[str, Any], source: str) -> None:
    version = header.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidInput(f"{source}: version: must be a whole number from 1 on, not {version!r}.")
    if version > VERSION:
        raise InvalidInput(f"{source}: version {version} is newer than this Ballast reads, {VERSION}. Update Ballast.")
    if not isinstance(header.get("run_id"), str) or not header["run_id"]:
        raise InvalidInput(f"{source}: run_id: the header of a run must name it.")
    _check_id(header["run_id"], source)


def _check_id(run_id: str, source: str) -> None:
    """Raise ``InvalidInput`` for an id that no run has: it is printed, and names files."""
    if not _RUN_ID.fullmatch(run_id):
        shown = text_or_length(ascii(run_id), 64)
        raise InvalidInput(f"{source}: run_id: must be `run-` and 24 of a-z and 2-7, not {shown}. Export the run anew.")


def _of_header(header: Mapping[str, Any], lines: list[Any], source: str) -> ExportedRun:
    run_id = str(header["run_id"])
    return _made(run_id, _events(lines, source, run_id), title=str(header.get("title", "")), source=source)


def _pages(pages: list[Any], source: str) -> ExportedRun:
    """Return the run of one saved file, or of pages of the HTTP API."""
    first = pages[0]
    stored = first.get("stored")
    lines = [line for page in pages for line in page.get("events", ())]
    if isinstance(stored, list) and len(stored) == len(lines):
        lines = [{**line, "stored": beside} for line, beside in zip(lines, stored, strict=True)]
    run_id = str(first.get("run_id") or "")
    return _made(run_id, _events(lines, source, run_id), title=str(first.get("title", "")), source=source)


def _events(lines: Iterable[Any], source: str, run_id: str = "") -> tuple[Event, ...]:
    found = []
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, Mapping):
            raise InvalidInput(f"{source}: event {number} is no JSON object.")
        if line.get("corrupt") or line.get("left_out"):
            what = "cannot be read" if line.get("corrupt") else "was left out of its page, because it is large"
            raise InvalidInput(f"{source}: {line.get('seq')} {what}. Read the run with `ballast --stack NAME`.")
        beside = line.get("stored") or {}
        known = {name: line.get(name) for name in ("seq", "at", "body")}
        try:
            event = Event.model_validate({"run_id": line.get("run_id") or run_id or _UNKNOWN, **known})
            found.append(event.with_stored({str(name): str(value) for name, value in beside.items()}))
        except ValidationError as problem:
            raise InvalidInput(f"{source}: event {number}: {complaints(problem)}.") from None
        except AttributeError:
            raise InvalidInput(f"{source}: event {number}: stored: must be an object of texts.") from None
    return _once(found, source)


def _once(events: Iterable[Event], source: str) -> tuple[Event, ...]:
    """Return the events in the order of the work, each once. Raises ``InvalidInput`` for two under one key."""
    found: dict[str, Event] = {}
    for event in events:
        there = found.setdefault(event.seq, event)
        if (there.at, there.shown, dict(there.stored)) != (event.at, event.shown, dict(event.stored)):
            raise InvalidInput(f"{source}: {event.seq}: there are two events with this key, and they differ.")
    return tuple(sorted(found.values(), key=order))


def _made(
    run_id: str, events: tuple[Event, ...], *, title: str = "", source: str = "", whole: bool = True
) -> ExportedRun:
    if not events:
        raise InvalidInput(f"{source}: a run without an event.")
    known = run_id or next((one.run_id for one in events if one.run_id != _UNKNOWN), "") or _named(events)
    if not known:
        raise InvalidInput(f"{source}: run_id: nothing names the run. Put a header line before its events.")
    _check_id(known, source)
    if of_others := {one.run_id for one in events} - {known, _UNKNOWN}:
        raise InvalidInput(f"{source}: {known}: holds events of another run, {min(of_others)}. Give each run a header.")
    if any(one.run_id != known for one in events):
        events = tuple(one.model_copy(update={"run_id": known}).with_stored(dict(one.stored)) for one in events)
    return ExportedRun(known, events, title, source, whole and any(one.stored for one in events))


def _named(events: tuple[Event, ...]) -> str:
    """Return the run's id, which follows from its request if that is whole."""
    request = events[0].body.get("request")
    try:
        return RunRequest.model_validate(request, strict=False).run_id
    except ValueError:
        return ""


# The copies of the log in S3


def _folder(folder: Path, bad: Bad | None) -> Iterator[ExportedRun]:
    if not folder.exists():
        raise InvalidInput(f"{folder}: there is no such folder.")
    files = sorted(one for one in folder.rglob("*") if one.is_file() and one.suffix in _SUFFIXES)
    files = [one for one in files if "payloads" not in one.parts and not one.name.startswith(".")]
    journals: dict[Path, list[Path]] = {}
    for file in files:
        if file.parent.name.startswith("run-") and file.name[:4].isdigit():
            journals.setdefault(file.parent, []).append(file)
        else:
            yield from read(file, bad=bad)
    for parent, items in journals.items():
        try:
            run = _items([_item(file) for file in items], str(parent), _payloads(parent.parent))
        except InvalidInput as problem:
            if bad is None:
                raise
            bad(parent.name, str(parent), problem)
        else:
            yield run
    if not files:
        raise InvalidInput(f"{folder}: has no exported run (*.jsonl, *.json).")


def _item(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InvalidInput(f"{file}: is no item of the log.") from None


def _payloads(folder: Path) -> Callable[[str], bytes | None]:
    def read(key: str) -> bytes | None:
        file = folder / key
        return file.read_bytes() if file.is_file() else None

    return read


def _items(items: Iterable[Any], source: str, payload: Callable[[str], bytes | None]) -> ExportedRun:
    events = []
    for one in items:
        try:
            item = plain(_with_bytes(one))
            key = payload_of(item)
            content = None if key is None else payload(key)
            if key is not None and content is None:
                raise InvalidInput(f"{source}: {item['seq']}: its payload {key} is not beside it.")
            stored = decode(item, content)
            body, tokens = split(stored.body)
            event = stored.model_copy(update={"body": shown(body, tokens)})
            events.append(event.with_stored(kept_beside(item, tokens)))
        except GARBLED as problem:
            if isinstance(problem, InvalidInput):
                raise
            raise InvalidInput(f"{source}: an item is none of the log ({problem}).") from None
    return _made("", _once(events, source), source=source)


def _with_bytes(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item of a file, whose binary values are base64."""

    (kind,) = wire({"x": b""})["x"]
    return {
        name: {kind: base64.b64decode(one[kind])} if isinstance(one, Mapping) and kind in one else one
        for name, one in item.items()
    }
