"""Another process, as if on another machine, in which a call is made that this process has made before.

::

    this process                         the worker: another hash seed, zone, locale, home, folder, host
    a local cloud, its doubles   ◀──── requests to AWS ────  a fork of it for each play, which remembers nothing
              │                  ───── their answers ─────▶         │
              └─ what stands now ◀──── how it ended, what the audit heard ──┘

It imports the playbook from a copy of what the project's layer gets, so what is read must be shipped.
One worker serves a whole certification. It is started before anything is played, so no tool has changed its
environment. It has no local cloud: what its clients send is answered by this process's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders

from ballast.errors import PlaybookInvalid
from ballast.playbook.file_digests import copy, covers
from localcloud.project import project_of

if TYPE_CHECKING:
    from ballast.playbook import Playbook, ToolContext

#: Plays that do not end have so many seconds together; after that, each has few.
_LONGEST_S, _SHORTEST_S = 120.0, 10.0
#: Seconds that the worker has to end a play, and to say so.
_ENDS_S = 10.0
_START_S = 120.0
#: Time zones, eight hours apart. Two of them at least are not this process's.
ZONES = ("<+1245>-12:45", "<-0330>3:30", "<-1130>11:30")
_LOCALES = ("de_DE.UTF-8", "C.UTF-8", "POSIX")
_SEEDS = ("20261129", "7")
#: How a fork of the worker ends that has sent what came of its play.
EXIT = 7

#: A tool's attempt, a fallback's script, or the name of a function of a declaration (``declared``).
What = str


class Away(PlaybookInvalid):
    """The other process cannot play; the text says why, and ``remedy`` what to do."""

    remedy = "Let the call end, in any process."


class NotImported(Away):
    """The other process has no playbook."""

    remedy = (
        "As they are imported, modules find only what is shipped (docs/certify.md, `The certificate`): put what they "
        "read into the playbook's folder."
    )


@dataclass(frozen=True)
class Play:
    """One play.

    args       a tool's arguments as JSON
    context    the fields of its context that can be sent
    result     of the call, for what is asked about it
    outcomes   of a script's calls: (tool, result as JSON), or (tool, status, message)
    sent       what was sent elsewhere before
    buckets    those whose objects are compared
    records    whether what it sends over HTTP is its effect
    kept       what the double of the store package keeps; None if it has no such function
    turned     go through each set from its other end
    zone       the time zone, if not the worker's own
    services   those whose clients are made beforehand
    tables     the names of the keys of each table
    most_s     seconds after which it is ended
    """

    what: What
    tool: str = ""
    args: Any = None
    context: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    draw: int = 0
    keys: tuple[str, str, str | None] = ("", "", None)
    outcomes: Sequence[tuple[str, ...]] = ()
    sent: Sequence[str] = ()
    buckets: Sequence[str] = ()
    records: bool = False
    kept: Any = None
    turned: bool = False
    zone: str = ""
    services: Sequence[str] = ()
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    most_s: float = _LONGEST_S


@dataclass
class Came:
    """What came of a play.

    end       how it ended (``rig.End``); for a script, nothing
    found     whether a verify found the effect
    answer    its result, what another rule answered, or a script's steps
    sent      what was sent elsewhere, before and in it
    kept      what the doubles keep afterwards
    hidden    changes that certify does not see, as the end of "It …"
    process   what it has changed in its process, likewise
    sets      whether it went through a set
    kept_for  (function of the declaration, name) of what the attempt has changed in a module and that function reads
    """

    end: Any = None
    found: bool = False
    answer: Any = None
    sent: list[str] = field(default_factory=list)
    kept: Any = None
    hidden: list[str] = field(default_factory=list)
    process: list[str] = field(default_factory=list)
    sets: bool = False
    kept_for: list[tuple[str, str]] = field(default_factory=list)


class Elsewhere:
    """The worker of one playbook. Make it with ``elsewhere``.

    at_import  what the playbook's modules have read as they were imported: clocks, randomness, variables
    drawn      (file, line) of the statements of modules that asked a clock, or for chance
    copies     a folder of the other process: that of which it is a copy, and which is told
    """

    def __init__(self, line: Connection, worker: subprocess.Popen[bytes], copies: Mapping[str, str]) -> None:
        self._line, self._worker, self._ready, self._copies = line, worker, False, copies
        self._broken, self._left_s = "", _LONGEST_S
        self.at_import: list[str] = []
        self.drawn: list[tuple[str, int]] = []

    def begin(self) -> None:
        """Wait until it has imported the playbook. Raises ``Away`` if it cannot."""
        if self._broken:
            raise NotImported(self._broken)
        if not self._ready:
            ready, *began = self._heard(_START_S)
            if ready != "ready":
                self._broken = self._told(str(began[0]))
                raise NotImported(self._broken)
            self._ready, self.at_import, self.drawn = True, [self._told(one) for one in began[0]], began[1]

    def play(self, play: Play, client: Any, context: ToolContext) -> Came:
        """Let the worker play. ``client``, of any service, answers its requests; ``context`` has its tokens.

        Raises ``Away`` if its process died or did not end.
        """
        self.begin()
        most_s = max(_SHORTEST_S, self._left_s)
        self._line.send(replace(play, most_s=most_s))
        while True:
            what, *said = self._heard(most_s + _ENDS_S)
            if what == "end":
                came: Came = said[0]
                came.hidden, came.process = [*map(self._told, came.hidden)], [*map(self._told, came.process)]
                return came
            if what == "asks":
                self._line.send(_answered(client, *said))
            elif what == "token":
                self._line.send(_token(context, said[0]))
            elif what == "endless":
                self._left_s -= most_s
                raise Away(f"The other process cannot play it: it did not end within {most_s:.0f} s.")
            else:
                raise Away(self._told(str(said[0])))

    def _told(self, said: str) -> str:
        for copied, of in self._copies.items():
            said = said.replace(copied, of)
        return said

    def _heard(self, most_s: float) -> tuple[Any, ...]:
        try:
            if self._line.poll(most_s):
                said: tuple[Any, ...] = self._line.recv()
                return said
            why = f"it did not end within {most_s:.0f} s"
        except (EOFError, OSError):
            why = "its process died"
        raise Away(f"The other process cannot play it: {why}.")


@contextmanager
def elsewhere(playbook: Playbook) -> Iterator[Elsewhere]:
    """Yield the worker of a playbook; it is ended with the block."""
    here, there = socket.socketpair()
    folder = Path(tempfile.mkdtemp(prefix="ballast-elsewhere-")).resolve()
    project, shipped = project_of(playbook.folder), folder / "shipped"
    copy(project, shipped)
    copied = shipped / Path(playbook.folder).relative_to(project)
    with there:
        worker = subprocess.Popen(  # noqa: S603 - this Python, a module of this package
            [sys.executable, "-m", "cli.certify.worker", str(there.fileno()), str(copied)],
            pass_fds=[there.fileno()],
            env=_environ(folder, project, shipped),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches this process, which ends the other one
        )
    line = Connection(here.detach())
    try:
        yield Elsewhere(line, worker, {str(shipped): str(project)})
    finally:
        line.close()
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)  # with its forks
        worker.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _environ(folder: Path, project: Path, shipped: Path) -> dict[str, str]:
    """Return the environment of another machine: the same programs, and nothing else as here.

    ``shipped``: the copy of what is shipped of the project, which takes its place.
    """
    now = os.environ
    other = {
        "PYTHONHASHSEED": next(one for one in _SEEDS if one != now.get("PYTHONHASHSEED")),
        "TZ": next(one for one in ZONES if one != now.get("TZ")),
        "LC_ALL": next(one for one in _LOCALES if one != now.get("LC_ALL")),
        "LANG": "POSIX" if now.get("LANG") != "POSIX" else "C.UTF-8",
        "HOME": str(folder),
        "PWD": str(folder),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "HOSTNAME": "elsewhere.example",
        "PYTHONPATH": os.pathsep.join(_paths(project, shipped)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }
    return {**now, **other}


def _paths(project: Path, shipped: Path) -> Iterator[str]:
    """Yield the places of packages: those in what is shipped of the project, and those outside of it."""
    for path in sys.path:
        at = Path(path).resolve()
        if not path:
            continue
        if not at.is_relative_to(project) or "site-packages" in at.parts or at.suffix == ".zip":
            yield path
        elif covers(project, at / "module.py"):
            yield str(shipped / at.relative_to(project))


def _answered(client: Any, event: str, sent: tuple[str, str, list[tuple[str, str]], Any]) -> Any:
    """Return the local cloud's answer to a request of the other process: status, headers and body, or an error."""
    method, url, headers, body = sent
    fields = HTTPHeaders()
    for name, value in headers:
        fields[name] = value
    request = AWSPreparedRequest(method, url, fields, body, stream_output=False)
    try:
        given = client.meta.events.emit(event, request=request)
        found = next((answer for _, answer in given if answer is not None), None)
        if found is None:
            found = client._endpoint.http_session.send(request)
        return found.status_code, dict(found.headers), found.content
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"


def _token(context: ToolContext, name: str) -> tuple[bool, str]:
    try:
        return True, context.token(name)
    except Exception as problem:
        return False, str(problem)
