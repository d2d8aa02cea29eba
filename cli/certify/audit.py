"""Changes that a process makes to its machine and to itself, out of sight of tables and doubles, as audit hooks tell.

A file that was written and is gone again is no effect. What a process changes in itself, such as a variable of its
environment, the next call in it would find and another process would not.
"""

from __future__ import annotations

import decimal
import locale
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Events that change something on the machine or start something, in words. Files have rules of their own.
_CHANGES = {
    "os.system": "starts another program",
    "os.exec": "starts another program",
    "os.fork": "forks its process",
    "os.forkpty": "forks its process",
    "os.posix_spawn": "starts another program",
    "os.spawn": "starts another program",
    "os.startfile": "starts another program",
    "subprocess.Popen": "starts another program",
    "pty.spawn": "starts another program",
    "webbrowser.open": "opens a browser",
    "os.kill": "sends a signal",
    "os.killpg": "sends a signal",
    "signal.pthread_kill": "sends a signal",
    "syslog.syslog": "writes to the system's log",
    "socket.sendto": "sends a datagram",
    "socket.sendmsg": "sends a datagram",
    "socket.bind": "listens to an address",
    "ctypes.dlopen": "loads a C library",
}
#: Events that change a file or folder, each with the places of its paths among what is told.
_OF_FILES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "os.setxattr": (0,),
    "os.removexattr": (0,),
    "tempfile.mkdtemp": (0,),
    "tempfile.mkstemp": (0,),
    "sqlite3.connect": (0,),
}
_NOBODYS = {os.devnull, "/dev/tty", "/dev/stdout", "/dev/stderr", ":memory:", ""}


@dataclass
class Heard:
    """What was heard while it was listened."""

    changes: list[str] = field(default_factory=list)
    written: dict[str, bool] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    on: bool = False

    def clear(self) -> None:
        """Forget all of it."""
        self.changes, self.written, self.before, self.after = [], {}, {}, {}

    def note(self, event: str, given: tuple[Any, ...]) -> None:
        """Note an audit event."""
        if event == "open":
            path, mode, flags = given
            writes = any(sign in mode for sign in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITES)
            if writes:
                self._wrote(path)
        elif event in _OF_FILES:
            for at in _OF_FILES[event]:
                self._wrote(given[at] if at < len(given) else None)
        elif event in _CHANGES and not (event == "ctypes.dlopen" and given[0] is None):
            self.changes.append(f"{_CHANGES[event]} ({_short(given)})" if given else _CHANGES[event])

    def _wrote(self, path: Any) -> None:
        if isinstance(path, int) or path is None:
            return  # an open file, which was opened by its name before
        name = os.path.abspath(os.fsdecode(path)) if os.fsdecode(path) not in _NOBODYS else ""
        if name and name not in _NOBODYS and name not in self.written:
            self.written[name] = os.path.lexists(name)

    def hidden(self) -> list[str]:
        """Return what it changed on its machine and left so, as the end of "It …"."""
        left = [
            f"writes the file {name}" if os.path.lexists(name) else f"removes the file {name}"
            for name, was_there in self.written.items()
            if was_there or os.path.lexists(name)
        ]
        return [*left, *dict.fromkeys(self.changes)]

    def process(self) -> list[str]:
        """Return what it changed in its process and left so, likewise."""
        names = sorted({*self.before, *self.after})
        return [f"changes {name} in its process" for name in names if self.before.get(name) != self.after.get(name)]


_LISTENING: list[Heard] = []
_HOOKED: list[bool] = []


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if _LISTENING and _LISTENING[-1].on:
        with suppress(ValueError, TypeError, IndexError):
            _LISTENING[-1].note(event, given)


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Within the block, note what the whole process does: it must do nothing but this."""
    if not _HOOKED:
        _HOOKED.append(True)
        sys.addaudithook(_hook)
    heard.before = _of_the_process()
    _LISTENING.append(heard)
    heard.on = True
    try:
        yield
    finally:
        heard.on = False
        _LISTENING.remove(heard)
        heard.after = _of_the_process()


def _of_the_process() -> dict[str, str]:
    """Return what the next call in the process would find, by its name in words."""
    mask = os.umask(0o22)
    os.umask(mask)
    found = {f"the variable {name}": value for name, value in os.environ.items()}
    try:
        folder = os.getcwd()
    except OSError:
        folder = "none"
    context = decimal.getcontext()
    return found | {
        "its current folder": folder,
        "its umask": str(mask),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the time zone": f"{time.tzname} {time.timezone}",
        "sys.path": repr(sys.path),
        "sys.argv": repr(sys.argv),
        "the limit of recursion": str(sys.getrecursionlimit()),
        "the default timeout of sockets": str(socket.getdefaulttimeout()),
        "decimal's context": f"{context.prec} {context.rounding} {context.Emax} {context.Emin}",
    }


def _short(given: tuple[Any, ...]) -> str:
    text = " ".join(str(one) for one in given[:2] if isinstance(one, str | bytes | list | tuple))
    return text[:80] or "…"
