"""One script for each way to end."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from ballast.contracts import ExitReason, HandOver, Planner, RunRequest
from ballast.playbook import CallFailed, GiveUp, fallback
from ballast.playbook.fallback import Script

from ..tools.notes import read_note, write_note

_NUMBERS: Iterator[int] = count(1)


@fallback(intent="tidy")
def tidy(request: RunRequest) -> Script:
    note = yield read_note.call(note_id="n-1")
    copy = yield write_note.call(note_id="n-2", text=f"copy of {note.text}")
    return f"Copied: {copy.text}."


@fallback(intent="dated")
def dated(request: RunRequest) -> Script:
    note = yield read_note.call(note_id="n-1")
    return f"{note.text}: {note.price + 1} on {note.written:%d.%m.%Y}"


@fallback(intent="recovers")
def recovers(request: RunRequest) -> Script:
    try:
        yield read_note.call(note_id="n-1")
    except CallFailed as failed:
        yield write_note.call(note_id="n-1", text=f"{failed.tool} {failed.status}: {failed.message}")
    return "Recovered."


@fallback(intent="lets_it_fail")
def lets_it_fail(request: RunRequest) -> Script:
    yield read_note.call(note_id="n-1")
    return "Never said."


@fallback(intent="gives_up")
def gives_up(request: RunRequest) -> Script:
    yield read_note.call(note_id="n-1")
    raise GiveUp("Only the archive knows.")


@fallback(intent="breaks")
def breaks(request: RunRequest) -> Script:
    yield read_note.call(note_id=str(request.context["absent"]))
    return "Never said."


@fallback(intent="silent")
def silent(request: RunRequest) -> Script:
    if request.text == "never":
        yield read_note.call(note_id="n-1")
    return "Nothing to do."


class Panic(BaseException):
    """As a panic in Rust is: no ``Exception``, and without words."""

    def __str__(self) -> str:
        raise Panic


@fallback(intent="panics")
def panics(request: RunRequest) -> Script:
    yield read_note.call(note_id="n-1")
    raise Panic


@fallback(intent="nonsense")
def nonsense(request: RunRequest) -> Any:
    yield read_note.call(note_id="n-1")
    return 42


@fallback(intent="yields_nonsense")
def yields_nonsense(request: RunRequest) -> Any:
    yield {"tool": "read_note"}
    return "Never said."


@fallback(intent="unstable")
def unstable(request: RunRequest) -> Script:
    yield read_note.call(note_id=f"n-{next(_NUMBERS)}")
    return "Never said."


@fallback(intent="endless")
def endless(request: RunRequest) -> Script:
    while True:
        try:
            yield read_note.call(note_id="n-1")
        except CallFailed:
            continue


@fallback(intent="to_itself")
def to_itself(request: RunRequest) -> Script:
    yield read_note.call(note_id="n-1")
    return HandOver(to=Planner.FALLBACK, reason=ExitReason.FALLBACK_GAVE_UP)


@fallback(intent="to_a_person")
def to_a_person(request: RunRequest) -> Script:
    yield read_note.call(note_id="n-1")
    return HandOver(to=Planner.PERSON, reason=ExitReason.FALLBACK_GAVE_UP)
